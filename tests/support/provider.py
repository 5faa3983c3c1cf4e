"""A provider as a process of its own: ``provider.py NAME PORT LOG``; notes the id of each request that it begins."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio

from ampmap.commands.stand_in import standing_in


async def main(name: str, port: int, log: Path) -> None:
    async with standing_in(name, port=port, word_s=0.005) as stand_in:
        print(stand_in.url, flush=True)
        written = 0
        while True:
            await anyio.sleep(0.001)
            with log.open("a") as file:
                for seen in stand_in.seen[written:]:
                    if seen.body:
                        file.write(f"{json.loads(seen.body)['id']}\n")
            written = len(stand_in.seen)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))

"""``python -m soak``: run a soak, write what it was like, and fail if anything was found."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from pathlib import Path

from .report import markdown, write
from .run import Options, soaked


def main() -> int:
    """Run it; 0 when all held, 1 when something was found."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, help="instead of --minutes")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--seed", type=int, help="of the traffic and the faults; drawn and printed without one")
    parser.add_argument("--megabytes", type=float, default=5.0, help="the largest bodies")
    parser.add_argument("--out", type=Path, default=Path("soak"))
    given = parser.parse_args()
    if not sys.platform.startswith("linux"):
        print("the soak reads /proc and uses 127.0.0.2 and so on: it runs on Linux only")
        return 2
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    seconds = given.minutes * 60 if given.seconds is None else given.seconds
    folder = given.out.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    print(f"soak: {seconds:g} s, {given.rate:g} requests a second, seed {seed}, into {folder}", flush=True)
    soak = asyncio.run(soaked(Options(seconds, seed, given.rate, folder, int(given.megabytes * 1e6))))
    write(soak, folder)
    print(markdown(soak))
    print(f"{folder / 'soak.svg'} shows it over time; to repeat it: --seed {seed}")
    return 1 if soak.failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Parts of ampmap called directly: ``python -m benchmarks.inside DIRECTORY RULES`` prints their times as JSON."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

from ampmap.config import file as configfile
from ampmap.routing.decide import Ask, decide
from ampmap.routing.snapshot import Availability, Snapshot, compile_snapshot
from ampmap.settings import Amp, Endpoint, ModelEntry, Origin, Provider, Rule, Settings

from . import bodies

BEFORE = "amp-model-mappings:\n"
KINDS = {"one rule": (1, 0), "100 rules": (100, 0), "10000 rules": (10_000, 0), "200 patterns": (0, 200)}
_REPEATS = 2000


def rules(count: int) -> str:
    """Return the head of a list of rules, with ``count`` of them."""
    lines = (f"  - {{from: {name_of(number)}, to: {bodies.SERVED}}}\n" for number in range(count))
    return BEFORE + "".join(lines)


def name_of(rule: int) -> str:
    """Return the model that a rule of :func:`rules` is for."""
    return f"some-model-{rule}"


def snapshot(exact: int, patterns: int) -> Snapshot:
    """Return that many rules, of which only the last is for the name that is asked for."""
    found = [Rule(source=f"other-{number}", targets=(bodies.SERVED,)) for number in range(max(exact, patterns) - 1)]
    found.append(Rule(source=bodies.ASKED, targets=(bodies.SERVED,)))
    if patterns:
        found = [replace(rule, source=f"^{re.escape(rule.source)}", regex=True) for rule in found]
    provider = Provider(
        name="bench",
        origin=Origin("http", "127.0.0.1", 1),
        endpoints=(Endpoint(protocol="openai-chat"),),
        models=(ModelEntry(id=bodies.SERVED),),
    )
    return compile_snapshot(Settings(amp=Amp(origin=None, rules=tuple(found)), providers=(provider,)))[0]


def decide_us(of: Snapshot) -> float:
    """Return the microseconds of one decision."""
    ask = Ask(protocol="openai-chat", model=bodies.ASKED)
    availability = Availability()
    decide(ask, of, availability)
    best = float("inf")
    for _ in range(5):
        began = time.process_time_ns()
        for _ in range(_REPEATS // 5):
            decide(ask, of, availability)
        best = min(best, (time.process_time_ns() - began) / (_REPEATS // 5))
    return best / 1e3


def main() -> None:
    """Measure and print."""
    directory, count = Path(sys.argv[1]), int(sys.argv[2])
    path = directory / "thousand.yaml"
    path.write_text(
        f'amp-upstream-url: ""\n{rules(count)}providers:\n  - name: bench\n    base-url: http://127.0.0.1:1\n'
        f"    protocols: [openai-chat]\n    api-key: k\n    models: [{bodies.SERVED}]\n"
    )
    began = time.process_time_ns()
    loaded = configfile.load(path, {})
    load_ms = (time.process_time_ns() - began) / 1e6
    began = time.process_time_ns()
    compile_snapshot(loaded.settings)
    compile_ms = (time.process_time_ns() - began) / 1e6
    decisions = {name: decide_us(snapshot(exact, patterns)) for name, (exact, patterns) in KINDS.items()}
    sys.stdout.write(json.dumps({"load_ms": load_ms, "compile_ms": compile_ms, "decide_us": decisions}))


if __name__ == "__main__":
    main()

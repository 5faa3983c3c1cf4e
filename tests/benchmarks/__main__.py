"""``make bench`` and ``make bench-check``."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import figures, peers, picture, report
from .bench import Options, running
from .figures import Measure
from .machine import Meanwhile, cores, described, many_files, no_collector, on
from .works import WORKS

HERE = Path(__file__).parent
BASELINE = HERE / "baseline.json"
BUSY = 0.03


def main(arguments: list[str] | None = None) -> int:
    """Measure, report, and compare with the baseline if that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--works", default="", help=f"only these, of: {' '.join(WORKS)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--peers", default="", help=f"also these, of: {' '.join(peers.KNOWN)}")
    parser.add_argument("--uvloop", action="store_true", help="also ampmap on uvloop")
    parser.add_argument("--limit", type=int, default=0, help="at most so many requests in a round, and one round")
    parser.add_argument("--check", action="store_true", help="fail if a ratio is much worse than the one recorded")
    parser.add_argument("--record", action="store_true", help="make the ratios the recorded ones")
    parser.add_argument("--output", type=Path, default=Path("bench"), help="a directory for bench.json and bench.svg")
    parser.add_argument(
        "--show", type=Path, help="measure nothing: print the table of this bench.json, draw its picture"
    )
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    if options.show:
        show(json.loads(options.show.read_text()), options.output)
        return 0
    names = options.works.replace(",", " ").split() or list(WORKS)
    if unknown := [name for name in names if name not in WORKS]:
        parser.error(f"no such work: {', '.join(unknown)}; there are {', '.join(WORKS)}")
    asked = Options(options.quick, tuple(options.peers.replace(",", " ").split()), options.uvloop, options.limit)

    began = time.monotonic()
    measures, notes = measured(asked, names)
    found = report.document(measures, described(), notes)
    report.write(options.output / "bench.json", found)
    show(found, options.output)
    print(f"\n{time.monotonic() - began:.0f} s; every round's values and a picture are in {options.output}/")
    if options.record:
        record(found["ratios"])
    return check(asked, found["ratios"]) if options.check else 0


def show(found: Mapping[str, Any], output: Path) -> None:
    """Print a run's table and draw its picture."""
    measures = report.restored(found)
    print(report.table(measures))
    for note in found["notes"]:
        print(f"\nNote: {note}.")
    (output / "bench.svg").write_text(picture.picture(measures, machine_line(found["machine"])))


def machine_line(machine: dict[str, str]) -> str:
    """Say in a line where it was measured."""
    return f"{machine['processor']}, {machine['python']}"


def measured(options: Options, names: list[str]) -> tuple[list[Measure], list[str]]:
    """Run the works."""
    found: list[Measure] = []
    where, meanwhile = cores(), Meanwhile()
    with tempfile.TemporaryDirectory(prefix="ampmap-bench-") as directory, on(where.load), many_files(), no_collector():
        with running(options, Path(directory), where) as bench:
            for name in names:
                found += WORKS[name](bench)
                gc.collect()
    if (others := meanwhile.others()) > BUSY:
        bench.note(f"others used {others:.0%} of this machine meanwhile: only ratios within a round mean something")
    return found, bench.notes


def record(ratios: dict[str, float]) -> None:
    """Put ratios into the baseline; those of works that were not run stay."""
    recorded = json.loads(BASELINE.read_text())["ratios"] if BASELINE.exists() else {}
    report.write(BASELINE, {"machine": described(), "ratios": dict(sorted({**recorded, **ratios}.items()))})
    print(f"recorded in {BASELINE}")


def check(options: Options, ratios: dict[str, float]) -> int:
    """Hold ratios to the baseline; what is worse is measured again before it counts."""
    recorded: dict[str, float] = json.loads(BASELINE.read_text())["ratios"]
    if not ratios.keys() & recorded.keys():
        print("nothing that was measured is in the baseline", file=sys.stderr)
        return 2
    if worse := figures.regressions(ratios, recorded):
        works = figures.works_of(worse)
        print(f"worse than recorded, so once more: {' '.join(works)}")
        again = figures.ratios(measured(options, works)[0])
        worse = figures.regressions(
            {name: min(ratios[name], again.get(name, ratios[name])) for name in ratios}, recorded
        )
    for sentence in worse:
        print(f"WORSE: {sentence}")
    if worse:
        print(f"look closer: make bench WORKS='{' '.join(figures.works_of(worse))}'")
        print("if it is meant to be so: make bench-record")
        return 1
    print(f"{len(ratios.keys() & recorded.keys())} ratios are within {figures.WORSE - 1:.0%} of those recorded")
    return 0


if __name__ == "__main__":
    sys.exit(main())

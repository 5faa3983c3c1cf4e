"""``ampmap replay``: takes recorded requests through this configuration and says what would change for them."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import IO, Any, NamedTuple

import anyio

from ..errors import Complaint, ConfigError, Place
from ..escaping import counted, printable
from ..routing.reasons import shown_rule
from ..routing.snapshot import compile_snapshot
from .availability import learn
from .options import load
from .recorded import Decider, Recorded, Served, read
from .table import NAME_CHARS, aligned

HELP = """\
Take the requests of a recorded log (lines of `log: {format: json}`) through this
configuration and say what would change: who would serve them, and which would
spend Amp credits, or no longer. Nothing is spent; providers are asked for their
lists of models at most. FILE may be - for standard input.

A record holds neither the body nor the headers of a request. Where a rule looks
at them, the request is counted apart, and has no part in the exit code.

examples:
  ampmap replay ampmap.log
  ampmap replay ampmap.log --config new.yaml

exit codes: 0; 1 requests would spend credits that did not before; 2 a
configuration or a file that cannot be used
"""

_LINE_BYTES = 1024 * 1024  # a record has some kilobytes
_ROWS = 40


def add(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Set what runs, and add the command's own options."""
    parser.add_argument("file", metavar="FILE", help="the log, one JSON object a line; - for standard input")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    settings = load(options).settings
    snapshot, _ = compile_snapshot(settings)
    name = options.file
    try:
        file = sys.stdin.buffer if name == "-" else open(name, "rb")
        with file:
            availability, learnt = anyio.run(learn, settings, dict(os.environ))
            report = replayed(file, Decider(snapshot, availability))
    except OSError as exc:
        raise ConfigError(Complaint(f"cannot read this file: {exc.strerror or exc}", Place(name, 1))) from exc
    if not report.requests and not report.others:
        what = "no line of this file is a JSON object; replay reads what 'log: {format: json}' writes"
        raise ConfigError(Complaint(what, Place(name, 1)))
    unknown = {name: availability.offers[name].error for name in sorted(availability.unlearnt)}
    if options.json:
        about = {"config": settings.source or None, "availability": learnt, "unknown_lists": unknown}
        print(json.dumps({**about, **report.as_dict()}, indent=2))
    else:
        doubts = [f"not known: the models of {name} ({why})" for name, why in unknown.items()]
        print("\n".join(map(printable, [*report.lines(), "", f"availability: {learnt}", *doubts])))
    return report.exit_code


class Change(NamedTuple):
    """A requested model, who served it, and who would now: several, if the rules look at the request itself."""

    model: str
    protocol: str
    before: Served
    after: tuple[Served, ...]

    @property
    def costs(self) -> bool:
        """True if the request would spend credits now, and did not before."""
        return self.before.kind != "amp_credits" and self.after[1:] == () and self.after[0].kind == "amp_credits"

    @property
    def saves(self) -> bool:
        """True if the request spent credits before, and would not now."""
        return self.before.kind == "amp_credits" and all(each.kind != "amp_credits" for each in self.after)


@dataclass(slots=True)
class Report:
    """The lines of a log, counted. ``rules`` are those with conditions on headers or bodies, which no record has."""

    requests: int = 0
    others: int = 0  # lines of JSON that record no request for a model
    unreadable: int = 0  # lines that are no JSON object
    changes: Counter[Change] = field(default_factory=Counter)
    doubts: Counter[Change] = field(default_factory=Counter)
    rules: dict[str, None] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """Return 1 when a request would spend credits that did not before."""
        return 1 if any(change.costs for change in self.changes) else 0

    def add(self, recorded: Recorded, decider: Decider) -> None:
        """Count one request."""
        asked, before = recorded.asked, recorded.served
        prediction = decider.predict(asked)
        self.requests += 1
        change = Change(asked.model, asked.protocol or "", before, prediction.served)
        if prediction.rules:
            self.doubts[change] += 1
            self.rules.update((shown_rule(rule), None) for rule in prediction.rules)
        elif before != prediction.served[0] and not (recorded.failed_over and before in prediction.spare):
            self.changes[change] += 1

    def as_dict(self) -> dict[str, Any]:
        """Return the report for a machine."""
        return {
            "exit_code": self.exit_code,
            "requests": self.requests,
            "other_lines": self.others,
            "unreadable_lines": self.unreadable,
            "unchanged": self.requests - self.changes.total() - self.doubts.total(),
            "changed": self.changes.total(),
            "depends_on_the_request": self.doubts.total(),
            "to_amp_credits": self._count("costs"),
            "from_amp_credits": self._count("saves"),
            "changes": [_as_dict(change, count) for change, count in self.changes.most_common()],
            "doubts": [_as_dict(change, count) for change, count in self.doubts.most_common()],
            "rules_that_look_at_the_request": list(self.rules),
        }

    def lines(self) -> Iterator[str]:
        """Yield the report for a person."""
        numbers = self.as_dict()
        passed = [counted(self.others, "other line")] if self.others else []
        passed += [f"{counted(self.unreadable, 'line')} that {_are(self.unreadable)} no JSON"] * bool(self.unreadable)
        yield f"{counted(self.requests, 'request')} for models{'; ' if passed else ''}{', '.join(passed)}"
        yield (
            f"{numbers['unchanged']} unchanged, {numbers['changed']} changed, {numbers['depends_on_the_request']} "
            "depending on the request"
        )
        yield f"to Amp credits: {numbers['to_amp_credits']}; away from Amp credits: {numbers['from_amp_credits']}"
        yield from _rows("changed:", self.changes)
        yield from _rows("depending on the request (its body and headers are in no record):", self.doubts)
        yield from (f"  because of rule {rule}" for rule in self.rules)

    def _count(self, what: str) -> int:
        return sum(count for change, count in self.changes.items() if getattr(change, what))


def replayed(file: IO[bytes], decider: Decider) -> Report:
    """Read a log line by line and decide each request anew. Blocks. Errors: OSError."""
    report = Report()
    whole = True
    while line := file.readline(_LINE_BYTES):
        begins, whole = whole, line.endswith(b"\n")
        if not line.strip() or not begins:  # a blank line, or the rest of one longer than _LINE_BYTES
            continue
        try:
            recorded = read(line)
        except ValueError:
            report.unreadable += 1
            continue
        if recorded is None:
            report.others += 1
        else:
            report.add(recorded, decider)
    return report


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _as_dict(change: Change, count: int) -> dict[str, Any]:
    return {
        "count": count,
        "requested_model": change.model,
        "protocol": change.protocol,
        "before": asdict(change.before),
        "after": [asdict(each) for each in change.after],
        "costs": change.costs,
    }


def _rows(title: str, changes: Counter[Change]) -> Iterator[str]:
    """Yield a table, the changes that cost first, then the most frequent ones."""
    if not changes:
        return
    rows = sorted(changes.items(), key=lambda item: (not item[0].costs, -item[1]))
    yield ""
    yield title
    yield from (f"  {line}" for line in aligned([_cells(change, count) for change, count in rows[:_ROWS]]))
    if len(rows) > _ROWS:
        yield f"  and {counted(len(rows) - _ROWS, 'more row')}: --json has them all"


def _cells(change: Change, count: int) -> tuple[str, str, str, str]:
    after = " or ".join(map(str, change.after))
    word = "  costs credits" if change.costs else "  saves credits" if change.saves else ""
    model = change.model[:NAME_CHARS] or "(no model)"
    return f"{count} ×", model, change.protocol, f"{change.before} → {after}{word}"

"""Requests that the log has recorded, and who would serve each of them by another configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from ..errors import ExchangeError
from ..escaping import printable
from ..formats.registry import FORMATS
from ..routing.decide import Ask, Decision, decide, unmet
from ..routing.snapshot import Availability, Candidate, Snapshot
from ..routing.target import ModelRoute, ProviderOther, parse_target, route_of
from ..routing.translation import is_translated
from ..settings import Protocol, Rule, When

Kind = Literal["provider", "amp_credits", "refused", "unavailable", "nobody"]

_KINDS: Mapping[str, Kind] = {
    "AMP_CREDITS": "amp_credits", "REJECTED": "refused", "LOCAL_PROVIDER": "unavailable",
    "MODEL_MAPPING": "unavailable", "NO_PROVIDER": "nobody",
}  # fmt: skip
_NEVER = 2**62  # bytes that no body exceeds


@dataclass(frozen=True, slots=True)
class Served:
    """Who serves a request. Only a ``provider`` has a name, a ``model``, and ``translated`` (``a -> b``)."""

    kind: Kind
    provider: str = ""
    model: str = ""
    translated: str = ""

    def __str__(self) -> str:
        if self.kind != "provider":
            return {"amp_credits": "Amp credits"}.get(self.kind, self.kind)
        return f"{self.provider}/{self.model}{', translated' if self.translated else ''}"


class RecordedRequest(NamedTuple):
    """The fields of :class:`Ask` that a record holds."""

    protocol: Protocol | None
    model: str
    segment: str | None
    translates: bool


class Recorded(NamedTuple):
    """One request. ``failed_over`` says that it was sent more than once: to several providers, or to one again."""

    asked: RecordedRequest
    served: Served
    failed_over: bool


class Prediction(NamedTuple):
    """Who would serve a request. ``spare`` are the providers that would be asked if the first one failed.

    ``served`` has several answers if ``rules`` look at headers or the body, which no record holds.
    """

    served: tuple[Served, ...]
    spare: frozenset[Served] = frozenset()
    rules: tuple[Rule, ...] = ()


def read(line: bytes) -> Recorded | None:
    """Read one line of a JSON log; None for lines other than records of requests for models.

    Errors: ValueError for a line that is no JSON object.
    """
    try:
        found: Any = json.loads(line)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    names = ("route_type", "requested_model", "protocol", "path", "method", "provider", "resolved_model", "translated")
    fields = {name: content if isinstance(content := found.get(name), str) else "" for name in names}
    kind, model = _KINDS.get(fields["route_type"]), fields["requested_model"]
    if kind is None or (kind == "refused" and not model):  # rejected before any decision
        return None
    if kind == "unavailable" and not fields["provider"] and found.get("status") != 503:  # the request itself was bad
        return None
    asked = _asked(model, fields["protocol"], fields["path"], fields["method"])
    if asked is None:
        return None
    served = Served(kind)
    if fields["provider"]:
        served = Served("provider", fields["provider"], fields["resolved_model"], fields["translated"])
    return Recorded(asked, served, found.get("attempts") not in (0, 1))


def _asked(model: str, protocol: str, path: str, method: str) -> RecordedRequest | None:
    try:
        route = route_of(parse_target(path.encode(), method.encode()), method.encode(), has_amp_headers=False)
    except ExchangeError:
        return None
    if isinstance(route, ModelRoute):
        return RecordedRequest(route.protocol, model, route.segment, is_translated(route.protocol, route.canonical))
    if isinstance(route, ProviderOther):
        return RecordedRequest(protocol if protocol in FORMATS else None, model, route.segment, True)
    return None


class Decider:
    """Decides recorded requests by a snapshot."""

    def __init__(self, snapshot: Snapshot, availability: Availability) -> None:
        self._snapshot = snapshot
        self._availability = availability
        self._known: dict[RecordedRequest, Prediction] = {}

    def predict(self, asked: RecordedRequest) -> Prediction:
        """Return who would serve a request."""
        if (known := self._known.get(asked)) is None:
            known = self._known[asked] = self._predict(asked)
        return known

    def _predict(self, asked: RecordedRequest) -> Prediction:
        rules = self._snapshot.rules_for(asked.model) if asked.model else ()
        doubtful = tuple(rule for rule in rules if rule.when is not None and _is_doubtful(rule.when, asked))
        # The first rule that holds decides. So all outcomes come up if none of the doubtful ones holds, or one alone.
        decisions = [self._decide(asked, rules, doubtful, holding) for holding in (None, *doubtful)]
        served = tuple(dict.fromkeys(map(_served, decisions)))
        spare = {_by(each, asked.protocol) for decision in decisions for each in decision.candidates[1:]}
        return Prediction(served, frozenset(spare), doubtful if len(served) > 1 else ())

    def _decide(
        self, asked: RecordedRequest, rules: tuple[Rule, ...], doubtful: tuple[Rule, ...], holding: Rule | None
    ) -> Decision:
        whens = {id(rule): When() if rule is holding else When(body_over=_NEVER) for rule in doubtful}
        settled = tuple(replace(rule, when=whens.get(id(rule), rule.when)) for rule in rules)
        snapshot = replace(self._snapshot, rules_for=lambda model: settled) if doubtful else self._snapshot
        ask = Ask(asked.protocol, asked.model, asked.segment, translates=asked.translates)
        return decide(ask, snapshot, self._availability)


def _is_doubtful(when: When, asked: RecordedRequest) -> bool:
    """Tell whether a condition looks at a header or the body, and could hold by all that is known."""
    known = When(provider=when.provider)
    return when != known and not unmet(known, Ask(asked.protocol, asked.model, asked.segment))


def _served(decision: Decision) -> Served:
    if decision.candidates:
        return _by(decision.candidates[0], decision.ask.protocol)
    if decision.refused:
        return Served("refused")
    return Served(_KINDS[decision.route_type])


def _by(candidate: Candidate, protocol: Protocol | None) -> Served:
    target = candidate.endpoint.protocol
    translated = f"{protocol} -> {target}" if target != protocol else ""
    return Served("provider", printable(candidate.provider.name), printable(candidate.model), translated)

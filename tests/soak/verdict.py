"""What may come back for a request, and what is a finding. Pure.

A visible failure is allowed where the fault that was injected for that very request calls for it, or where an upstream
that it needs was down; nothing excuses a wrong byte, a cut that looks whole, a second copy, or a strange status.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from .caller import REFUSED_WITH, Seen

# Which statuses show a fault, and whether a reply that breaks off does.
_SHOWN: dict[str, tuple[frozenset[int], bool]] = {
    "close": (frozenset({502}), False),
    "reset": (frozenset({502}), False),
    "garbage": (frozenset({502}), False),
    "stall": (frozenset({504}), False),
    "cut": (frozenset({502}), True),  # 502 where nothing had been passed on yet
    "reset-mid": (frozenset({502}), True),
    "bad-chunk": (frozenset({502}), True),
    "stall-mid": (frozenset({504}), True),
    "early": (frozenset({413, 502}), True),
    "stall-upload": (frozenset({408}), False),
}
_DOWN = frozenset({502, 503, 504, 403})  # 403: the rules refuse credits, and nobody else serves the model
_NONSENSE = frozenset({400, 405, 431, 501, 505})


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be."""

    at: float
    what: str
    tag: str = ""

    def __str__(self) -> str:
        return f"{self.at:8.1f} s  {self.tag:<18} {self.what}"


def outcome(seen: Seen, *, down: bool) -> tuple[str, str]:
    """Return how a request ended, and what is wrong with that; ``down`` says that an upstream it needs was away."""
    plan = seen.plan
    if seen.hung:
        return "hung", "the request never ended"
    if seen.wrong_at >= 0:
        return "wrong", f"{plan.kind}, {plan.fault or 'no fault'}: wrong or missing byte at {seen.wrong_at}"
    if seen.left:
        return "left", ""
    if plan.kind in ("refusal", "nonsense", "model list", "admin"):
        return _ampmaps_own(seen, down)
    good = 101 if plan.kind == "websocket" else 200
    statuses, may_break = _SHOWN.get(plan.fault, (frozenset[int](), False))
    if plan.fault == "status":
        statuses = frozenset({plan.order.status})
    if plan.kind == "websocket":
        may_break = bool(plan.fault)
    if down:
        statuses, may_break = statuses | _DOWN, True
    how = f"{plan.kind}, {plan.fault or 'no fault'}"
    if seen.whole and seen.status == good:
        if plan.fault in _SHOWN and not down:
            return "wrong", f"{how}: a reply that was cut looks whole"
        return "ok", ""
    if seen.whole:
        if seen.status not in statuses:
            return "wrong", f"{how}: status {seen.status} {seen.text[:200]!r}"
        return "failed visibly", _not_json(seen)
    if not may_break:
        return "wrong", f"{how}: broke off with status {seen.status} after {seen.read} bytes ({seen.broken})"
    return "failed visibly", ""


def _ampmaps_own(seen: Seen, down: bool) -> tuple[str, str]:
    plan = seen.plan
    how = f"{plan.kind} {plan.asked or plan.path}"
    if not seen.whole or seen.broken:
        return "wrong", f"{how}: {seen.broken or 'not whole'}, status {seen.status}"
    if plan.kind == "nonsense":
        allowed = _NONSENSE
    elif plan.kind == "refusal":
        allowed = frozenset({REFUSED_WITH[plan.asked]})
    else:
        allowed = frozenset({200})
    if seen.status not in allowed:
        return "wrong", f"{how}: status {seen.status} {seen.text[:200]!r}"
    if plan.kind == "model list" and not down and f'"{plan.asked}"'.encode() not in seen.text.replace(b"models/", b""):
        return "wrong", f"{how}: the list lacks {plan.asked}"
    if plan.kind == "admin" and not plan.path.endswith(("status", "requests")):
        return "ok", ""
    return "ok", _not_json(seen)


def _not_json(seen: Seen) -> str:
    if seen.text:
        try:
            json.loads(seen.text)
        except ValueError:
            return f"{seen.plan.kind}: what came with {seen.status} is not JSON: {seen.text[:80]!r}"
    return ""


@dataclass(frozen=True, slots=True)
class _Account:
    upstreams: tuple[str, ...]
    digests: frozenset[str]
    is_ok: bool
    may_arrive: bool
    most: int  # upstreams that may see it


class Ledger:
    """What upstreams may have seen of each request, settled when nothing is under way."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self.settled = 0

    def enter(self, seen: Seen, *, is_ok: bool) -> None:
        """Note a request that has ended."""
        plan = seen.plan
        digests = frozenset(hashlib.sha1(body, usedforsecurity=False).hexdigest() for body in seen.bodies)
        # A model route's body is read whole before anybody is asked.
        may_arrive = bool(plan.upstreams) and not (seen.left_early and plan.protocol)
        is_ok = is_ok and bool(plan.upstreams) and plan.kind != "websocket"
        most = len(plan.upstreams) if plan.kind == "failover" else 1
        self._accounts[plan.tag] = _Account(plan.upstreams, digests, is_ok, may_arrive, most)

    def settle(self, notes: Iterable[tuple[str, list[str]]]) -> list[tuple[str, str]]:
        """Compare with what upstreams noted, pairs of a name and a line's words; return tags and what is wrong."""
        wrong: list[tuple[str, str]] = []
        heads: Counter[tuple[str, str]] = Counter()
        whole: defaultdict[str, list[str]] = defaultdict(list)
        for upstream, words in notes:
            kind, tag, *rest = words
            if kind == "list":
                continue
            account = self._accounts.get(tag)
            if kind == "secret":
                wrong.append((tag, f"{upstream} was shown the client's key"))
            elif account is None:
                wrong.append((tag, f"{upstream} got a request that nobody had sent, or one that came late"))
            elif kind == "head":
                heads[tag, upstream] += 1
                if not account.may_arrive or upstream not in account.upstreams:
                    wrong.append((tag, f"{upstream} got a request that is not for it"))
            else:
                whole[tag].append(rest[0])
                if rest[0] not in account.digests:
                    wrong.append((tag, f"{upstream} got a body of {rest[1]} bytes that is not the client's"))
        wrong += [(tag, f"{upstream} got it {count} times") for (tag, upstream), count in heads.items() if count > 1]
        asked = Counter(tag for tag, _ in heads)
        for tag, account in self._accounts.items():
            if asked[tag] > account.most:
                wrong.append((tag, f"{asked[tag]} upstreams got it"))
            if account.is_ok and not whole[tag]:
                wrong.append((tag, "was answered, but no upstream has seen all of it"))
        self.settled += len(self._accounts)
        self._accounts.clear()
        return wrong

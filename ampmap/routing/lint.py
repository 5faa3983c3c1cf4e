"""Rules that can't take effect, found by looking at the file alone: shadowed ones, targets that nobody has, and others.

Pure; ``ampmap check`` prints the warnings. Each is certain: one pattern covers another only by its literal beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import Complaint
from ..settings import Rule
from .names import compile_glob, is_glob
from .reasons import shown_rule
from .snapshot import Availability, Snapshot, fold

_LITERAL = re.compile(r"\^?[\w/:@-]*")  # how a pattern begins as long as it means nothing but itself


def unreachable(snapshot: Snapshot) -> tuple[Complaint, ...]:
    """Return a warning for each rule that never applies, or only when another one's targets are not served."""
    found: list[Complaint] = []
    for same in snapshot.exact.values():
        for number, rule in enumerate(same):
            if first := next((other for other in same[:number] if other.when == rule.when), None):
                found.append(_shadowed(rule, first))
    patterns = [rule for _, rule in snapshot.patterns]
    for number, rule in enumerate(patterns):
        earlier = (other for other in patterns[:number] if _covers(other, rule))
        exact = (other for other in snapshot.exact.get(_only_name(rule), ()) if other.when == rule.when)
        if first := next(exact, None) or next(earlier, None):
            found.append(_shadowed(rule, first))
    for rule in snapshot.settings.amp.rules:
        found += [Complaint(what, rule.place, "warning") for what in _doubts(rule, snapshot)]
    return tuple(sorted(found, key=lambda complaint: (complaint.place is None, complaint.place, complaint.what)))


def _shadowed(rule: Rule, first: Rule) -> Complaint:
    what = f"this rule is shadowed by {shown_rule(first)}, which matches all that it matches and stands before it"
    return Complaint(what, rule.place, "warning")


def _doubts(rule: Rule, snapshot: Snapshot) -> Iterator[str]:
    """Yield what makes a rule useless by itself, or a target of it."""
    settings, nobody = snapshot.settings, Availability()
    source, targets = rule.source.strip(), [target.strip() for target in rule.targets]
    names_one = not rule.regex and not is_glob(source)
    changes_more = rule.credits is not None or rule.set or rule.drop
    if names_one and fold(source) in map(fold, targets) and not changes_more:
        yield "this rule maps a name to itself; remove it, or that target"
    elif names_one and not settings.amp.force_model_mappings:
        listing = next((each for each in snapshot.listing(source, nobody) if not each.is_derived), None)
        if listing is not None:
            waits = "this rule waits for 'amp-force-model-mappings: true'"
            yield f"provider {listing.provider.name} lists {source} and is asked first: {waits}"
    if any(provider.discover for provider in settings.providers):
        return  # what they have is not in the file
    unserved = [target for target in targets if not snapshot.listing(target, nobody)]
    if unserved and len(unserved) == len(targets):
        yield f"no provider lists {', '.join(unserved)}: this rule never applies"
    elif unserved:
        yield f"no provider lists {', '.join(unserved)}: this target is passed over"


def _covers(earlier: Rule, later: Rule) -> bool:
    """Tell whether every name that ``later`` matches is matched by ``earlier``, as far as literals show it."""
    if earlier.when != later.when:  # conditional rules come before the others
        return False
    first, then = earlier.source.strip().lower(), later.source.strip().lower()
    if earlier.source.strip() == later.source.strip() and earlier.regex == later.regex:
        return True
    if not earlier.regex:  # what a glob's "*" takes may be a "*" itself
        return not later.regex and "?" not in first and compile_glob(first).match(then) is not None
    if not later.regex:
        is_literal = _LITERAL.fullmatch(first) is not None
        return is_literal and (
            then.startswith(first[1:])
            if first.startswith("^")
            else any(first in part for part in re.split(r"[*?]", then))
        )
    begin = _LITERAL.match(then)
    if begin is None or _LITERAL.fullmatch(first) is None or "|" in then:
        return False
    literal = begin[0]
    if then[len(literal) : len(literal) + 1] in ("?", "*", "{"):
        literal = literal[:-1]  # the last character need not be there
    return literal.startswith(first) if first.startswith("^") else first in literal.removeprefix("^")


def _only_name(rule: Rule) -> str:
    """Return the one name that a pattern matches, where it is written so; else something that is no name."""
    source = rule.source.strip()
    inner = source[1:-1]
    plain = source.startswith("^") and source.endswith("$") and re.fullmatch(r"[\w/:@-]+", inner)
    return fold(inner) if plain else "\n"

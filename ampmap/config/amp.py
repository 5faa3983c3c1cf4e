"""The Amp section of a configuration: the upstream, its keys, and the rules that map one model's name to another.

``file`` is the only caller; values are read by ``reader``. There are two spellings, flat ``amp-…`` keys and the block
``ampcode`` of ampmap's predecessor. Rules are only built here: ``routing.snapshot`` decides whether their patterns are
valid and which of two wins.
"""

from __future__ import annotations

import json
import re

from ..errors import Place
from ..escaping import printable
from ..routing.credits import MOST_PER_DAY
from ..settings import CREDIT_POLICIES, Amp, AmpKey, CreditPolicy, Origin, Rule, When
from . import keys
from .keys import MAX_COUNT
from .nodes import Mapping, Node, Scalar, Sequence
from .reader import Reading, check_url, given, read_key
from .rule_changes import read_changes
from .yaml_tree import quoted

_SIZE = re.compile(r"([0-9]{1,15}) ?(k|kB|M|MB|)")
_UNITS = {"": 1, "k": 1000, "kB": 1000, "M": 1_000_000, "MB": 1_000_000}


def read_amp(reading: Reading, top: dict[str, Node]) -> Amp:
    """Read the Amp section, of which each value may stand among the flat keys or in the block ``ampcode``."""
    block = reading.fields(top["ampcode"], keys.AMPCODE) if "ampcode" in top else {}
    fields = dict(block)
    for key, flat in keys.AMPCODE.items():
        if flat in top and key in block:
            first, second = sorted((top[flat].place, block[key].place))
            what = f"'{flat}' and '{key}' in 'ampcode' are both given (the other is at {first}); keep one"
            reading.error(second, what)
        elif flat in top:
            fields[key] = top[flat]
    origin, base_path = given(reading, fields, "upstream-url", _read_upstream, (Amp().origin, ""))
    return Amp(
        origin=origin,
        base_path=base_path,
        api_key=given(reading, fields, "upstream-api-key", read_key, ""),
        api_keys=given(reading, fields, "upstream-api-keys", _read_amp_keys, ()),
        restrict_management_to_localhost=given(
            reading, fields, "restrict-management-to-localhost", Reading.boolean, True
        ),
        credits=given(reading, top, "amp-credits", _read_credits, "warn"),
        credits_per_day=given(reading, top, "amp-credits-per-day", _read_per_day, 0),
        force_model_mappings=given(reading, fields, "force-model-mappings", Reading.boolean, False),
        rules=given(reading, fields, "model-mappings", _read_rules, ()),
    )


def _read_upstream(reading: Reading, node: Node) -> tuple[Origin | None, str] | None:
    text = reading.string(node)
    if text is None:
        return None
    return check_url(reading, text, node.place) if text else (None, "")


def _read_per_day(reading: Reading, node: Node) -> int | None:
    return reading.count(node, 0, MOST_PER_DAY)


def _read_credits(reading: Reading, node: Node) -> CreditPolicy | None:
    return reading.word(node, CREDIT_POLICIES, "policy")


def _read_amp_keys(reading: Reading, node: Node) -> tuple[AmpKey, ...]:
    """Read which clients get which Amp key; a client that is listed twice keeps the first."""
    found: list[AmpKey] = []
    seen: dict[str, Place] = {}
    for item in reading.items(node):
        fields = reading.fields(item, keys.AMP_KEY)
        key = read_key(reading, fields["upstream-api-key"]) if "upstream-api-key" in fields else ""
        if key == "" and isinstance(item, Mapping):
            reading.error(item.place, "'upstream-api-key' is missing; write {upstream-api-key: KEY, api-keys: [KEY]}")
        client_keys: list[str] = []
        for client_node in reading.items(fields["api-keys"]) if "api-keys" in fields else ():
            client_key = read_key(reading, client_node)
            if client_key in seen:
                reading.warn(client_node.place, f"this key is listed already at {seen[client_key]}, which holds")
            elif client_key:
                seen[client_key] = client_node.place
                client_keys.append(client_key)
        if client_keys and key:
            found.append(AmpKey(upstream_api_key=key, client_keys=tuple(client_keys)))
        elif not client_keys and isinstance(item, Mapping):
            reading.warn(item.place, "no client uses this key; list theirs under 'api-keys:'")
    return tuple(found)


def _read_rules(reading: Reading, node: Node) -> tuple[Rule, ...]:
    if isinstance(node, Mapping) and node.entries:
        reading.error(node.place, f"rules are a list, not a mapping; write {_as_list(node)}")
        return ()
    found = [_read_rule(reading, item) for item in reading.items(node)]
    return tuple(rule for rule in found if rule)


def _read_rule(reading: Reading, node: Node) -> Rule | None:
    """Read one rule; one that lacks a name on either side is passed over with a warning."""
    complaint_count = len(reading.complaints)
    fields = reading.fields(node, keys.RULE)
    source = given(reading, fields, "from", Reading.string, "")
    targets: tuple[str, ...] = given(reading, fields, "to", _read_targets, ())
    regex = given(reading, fields, "regex", Reading.boolean, False)
    credits = given(reading, fields, "credits", _read_credits, None)
    when = _read_when(reading, fields["when"]) if "when" in fields else None
    changes, drop = read_changes(reading, fields)
    if source and targets:
        return Rule(
            source=source, targets=targets, regex=regex, credits=credits, when=when, set=changes, drop=drop,
            place=node.place,
        )  # fmt: skip
    if len(reading.complaints) == complaint_count:  # otherwise a complaint says already what is wrong
        what = f"this rule is skipped because a name is missing: from {quoted(source)} to {quoted(', '.join(targets))}"
        reading.warn(node.place, what)
    return None


def _as_list(node: Mapping) -> str:
    """Return rules that are written as a mapping, from names to names or a rule alone, as the list that they mean."""
    pairs: dict[str, Node | None] = {key.text: value for key, value in node.entries}
    if pairs.keys() & {"from", "to"}:
        pairs = {_text(pairs.get("from")): pairs.get("to")}
    rules = []
    for source, target in pairs.items():
        targets = [_text(item) for item in target.items] if isinstance(target, Sequence) else _text(target)
        rules.append(f"{{from: {_in_yaml(source)}, to: {_in_yaml(targets)}}}")
    return f"[{', '.join(rules)}]"


def _text(node: Node | None) -> str:
    return node.text if isinstance(node, Scalar) else "NAME"


def _in_yaml(value: str | list[str]) -> str:
    return printable(json.dumps(value, ensure_ascii=False))  # YAML reads its escapes back


def _read_when(reading: Reading, node: Node) -> When | None:
    """Read a rule's conditions; one without any is no condition at all."""
    fields = reading.fields(node, keys.WHEN)
    headers: list[tuple[str, str]] = []
    if "header" in fields:
        node = fields["header"]
        entries = node.entries if isinstance(node, Mapping) else ()
        if not isinstance(node, Mapping):
            reading.wrong(node, "a mapping")
        elif not entries:
            reading.error(node.place, "no header is named; write {NAME: GLOB}")
        for name, value in entries:
            if glob := reading.string(value):
                headers.append((name.text.strip().lower(), glob))
    when = When(
        provider=given(reading, fields, "provider", Reading.string, ""),
        headers=tuple(headers),
        tool_choice=given(reading, fields, "tool-choice", Reading.string, ""),
        system_prefix=given(reading, fields, "system-prefix", Reading.string, ""),
        body_over=given(reading, fields, "body-over", _read_size, None),
        image=given(reading, fields, "image", Reading.boolean, None),
        tool=given(reading, fields, "tool", Reading.string, ""),
    )
    return None if when == When() else when


def _read_size(reading: Reading, node: Node) -> int | None:
    """Read a number of bytes: digits, with ``k`` or ``kB`` for thousands, ``M`` or ``MB`` for millions."""
    text: str | None = node.text if isinstance(node, Scalar) else ""
    if isinstance(node, Scalar) and node.kind == "str":
        text = reading.string(node)
    if text is None:
        return None
    found = _SIZE.fullmatch(text)
    if found and 0 < (count := int(found[1]) * _UNITS[found[2]]) <= MAX_COUNT:
        return count
    reading.error(node.place, "expected a number of bytes greater than 0, such as 400000, 400kB or 2MB")
    return None


def _read_targets(reading: Reading, node: Node) -> tuple[str, ...]:
    if isinstance(node, Sequence):
        return tuple(text for _, text in reading.strings(node))
    text = reading.string(node)
    return (text,) if text else ()

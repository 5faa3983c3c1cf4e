"""Say what the first provider would be sent for a request, for ``ampmap explain --request``."""

from __future__ import annotations

import json

from ..bodies.edits import Edit, cut
from ..bodies.find_model import ModelSpan
from ..bodies.members import find_members
from ..bodies.steps import finished
from ..errors import BadRequest
from ..escaping import printable
from ..formats.base import Asked
from ..proxy.translation import Translation, dialect_of
from ..routing.decide import Decision
from ..routing.explain import Explanation
from ..routing.snapshot import Availability

_SHOWN = 200  # characters of what would change


def sent(body: bytes, span: ModelSpan | None, explanations: list[Explanation], availability: Availability) -> str:
    """Say which bytes of the body change, or show the translated body and name what is lost.

    If the command line names no format, the body is taken to be in one that needs no translation, if there is one.
    """
    served = [each.decision for each in explanations if each.decision.candidates]
    decision = next((each for each in served if not _is_translated(each)), served[0] if served else None)
    edits: list[Edit] = []
    if decision and decision.rule:
        try:
            edits = find_members(body, decision.rule.set, decision.rule.drop)
        except BadRequest as exc:
            return f"the body would be refused: {exc}"
    if decision and _is_translated(decision):
        return _translated(b"".join(cut(body, edits)), decision, availability)
    if span and decision and (model := decision.candidates[0].model) != decision.ask.model:
        edits.append((span.start, span.end, json.dumps(model, ensure_ascii=False).encode()))
    if not edits:
        return "the body would be sent unchanged"
    lines = [_change(body, edit) for edit in sorted(edits)]
    size = len(body) + sum(len(instead) - (end - start) for start, end, instead in edits)
    return "\n".join([*map(printable, lines[:-1]), printable(f"{lines[-1]} ({size} bytes are sent)")])


def _change(body: bytes, edit: Edit) -> str:
    start, end, instead = edit
    was, becomes = (text.decode("utf-8", "replace") for text in (body[start:end], instead))
    was = was if len(was) <= _SHOWN else f"{was[:_SHOWN]}…"
    if start == end:
        return f"at byte {start} of {len(body)} is added: {becomes}"
    if not instead:
        return f"bytes {start} to {end} of {len(body)} are taken out: {was}"
    return f"bytes {start} to {end} of {len(body)} change: {was} -> {becomes}"


def _is_translated(decision: Decision) -> bool:
    return decision.candidates[0].endpoint.protocol != decision.ask.protocol


def _translated(body: bytes, decision: Decision, availability: Availability) -> str:
    candidate, protocol = decision.candidates[0], decision.ask.protocol or ""
    path = min(dialect_of(protocol).paths, key=len)
    translation = Translation(protocol, Asked(body=body, model=decision.ask.model, path=path))
    try:
        found = finished(translation.write(candidate, availability))
    except BadRequest as exc:
        return f"the request would be refused: {exc}"
    into = f"{protocol} -> {candidate.endpoint.protocol}"
    text = b"".join(found.written.pieces).decode("utf-8", "replace")
    lost = f"lost: {', '.join(found.lost)}" if found.lost else "nothing is lost"
    path = found.written.path.replace("{model}", candidate.model)
    return "\n".join(map(printable, (f"translated for {candidate.provider.name}, {into}: POST {path}", text, lost)))

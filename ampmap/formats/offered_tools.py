"""Find which tools a request offers, by name and by type, in each wire format.

Pure. A tool has its ``name``, its ``type`` or both, itself or in ``function`` or ``custom``; a namespace (Responses)
has further ``tools``. Gemini's have ``functionDeclarations``, or a built-in tool's name as their key: ``googleSearch``.
"""

from __future__ import annotations

from typing import Any, Final

from ..bodies.json_walk import Part, Walk
from ..bodies.steps import Steps

NAMES: Final = 2048
"""About the most names and types that are found."""

NAME_CHARS: Final = 256
"""The longest name that is found."""

TOOLS: Final = 1000
"""The most tools that are looked at of a list that is read at once."""

_INSIDE: Final = ("tools", "functionDeclarations", "function_declarations", "function", "custom")
_LEVELS: Final = 6  # list, namespace, list, tool, function; and one to spare


def tools_of(tools: Any, *, named: bool = False) -> set[str]:
    """Return the names and types of a tool, or of the first TOOLS in a list of tools.

    With ``named`` only the member ``name`` of each tool itself counts.
    """
    found: set[str] = set()
    stack = [tools]
    for _ in range(TOOLS):
        if not stack:
            break
        value = stack.pop()
        if isinstance(value, list):
            stack += [tool for tool in value[:TOOLS] if isinstance(tool, dict)]
        elif isinstance(value, dict):
            found.update(_own(value, named))
            stack += [value[key] for key in _INSIDE if key in value and not named]
    return found


def _own(tool: dict[str, Any], named: bool) -> list[str]:
    names: list[Any] = [tool[key] for key in ("name", "type")[: 1 if named else 2] if key in tool]
    if not names and not named:
        names = [key for key in tool if key not in _INSIDE]
    return [name for name in names if isinstance(name, str) and len(name) <= NAME_CHARS]


def scan_tools(walk: Walk, part: Part, levels: int = _LEVELS, *, named: bool = False) -> Steps[set[str]]:
    """Do as ``tools_of`` for a large tool or list of tools, which begins here."""
    found: set[str] = set()
    if not levels or not (walk.is_array(part) or walk.is_object(part)):
        return found
    members: dict[str, Any] = {}
    inside: dict[str, set[str]] = {}  # of large members
    looked_at = 0
    for inner in walk.parts():
        if inner is None:
            yield
            continue
        if len(found) >= NAMES or len(members) >= NAMES:
            continue
        if isinstance(inner.value, list):
            found |= tools_of(walk.exact(inner), named=named)
        elif inner.value is not None:
            for key, value in walk.exact(inner).items():
                members[key] = value if key in _INSIDE or isinstance(value, str) else None
                inside.pop(key, None)
        elif not inner.key:
            if walk.is_object(inner) or not named:
                found |= yield from scan_tools(walk, inner, levels - 1, named=named)
        else:
            members[inner.key] = None
            if inner.key in _INSIDE and not named:
                inside[inner.key] = yield from scan_tools(walk, inner, levels - 1)
        looked_at += len(inner.value or ())
        if looked_at > TOOLS // 4:
            looked_at = 0
            yield
    return found.union(tools_of(members, named=named), *inside.values())

"""How many values a request may have in one place, because to free them at once would hold up the event loop. Pure.

Each function takes the ``key`` of the member at fault, and raises :class:`BadRequest` with it and with the limit.
"""

from __future__ import annotations

from typing import Any, Final

from ..errors import BadRequest

LIST_ELEMENTS: Final = 4096
"""The longest list, and the largest object, within a member of a request."""

MEMBER_VALUES: Final = 13_000
"""The most values in a member of a request, or in one element of its lists: freeing them takes a millisecond or two."""


def refuse_more(count: int, key: str, most: int = LIST_ELEMENTS) -> None:
    """Refuse a list or an object of more than ``most`` elements."""
    if count > most:
        raise BadRequest(f"{key}: {count} elements are too many to be translated; send at most {most}")


def refuse_values(count: int, key: str, most: int = MEMBER_VALUES) -> None:
    """Refuse a value that has more than ``most`` values in it."""
    if count > most:
        raise BadRequest(f"{key}: more than {most} values are too many to be translated; send fewer")


def bound(value: Any, key: str) -> Any:
    """Return a value; refuse one that has, at any depth, a list or an object of more than LIST_ELEMENTS."""
    if isinstance(value, dict | list):
        refuse_more(len(value), key)
        for each in value.values() if isinstance(value, dict) else value:
            if isinstance(each, dict | list):
                bound(each, key)
    return value

"""Forms of a model's name: agents decorate the names that providers list and rules are written for.

Pure. A name is looked up in its forms one after the other, each further from what the client sent: trimmed, in any
case, without a context mark (``[1m]``), without a thinking suffix (``(high)``), without a date, and in a provider's
list also with ``:latest``. :func:`forms` is the only place that knows this order; requests, rules and targets of rules
use it.
"""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import NamedTuple

AS_IT_CAME, TRIMMED, ANY_CASE, UNMARKED, UNSUFFIXED, UNDATED, LATEST, VARIANT = range(8)

DIFFERENCE = (
    "",
    "trimmed",
    "in another case",
    "without its context mark",
    "without its thinking suffix",
    "without its date",
    "with :latest",
    "as a variant of a listed name",
)
"""How a form differs from the name that the client sent, by its rank."""

_MARK = re.compile(r"(.+)(\[[0-9]+[km]\])\Z", re.IGNORECASE)
_DATE = re.compile(r"(.+)-(20[0-9]{2})(-?)(0[1-9]|1[0-2])\3(0[1-9]|[12][0-9]|3[01])\Z")
_SHORT_MONTHS = {"02": "29", "04": "30", "06": "30", "09": "30", "11": "30"}


class Form(NamedTuple):
    """One form of a name; ``rank`` is one of the constants above."""

    rank: int
    text: str
    suffix: str = ""  # the thinking suffix that goes along to the name that is sent
    marked: bool = False  # ``text`` still has its context mark
    suffixed: bool = False  # ``text`` still has its thinking suffix

    @property
    def folded(self) -> str:
        """The text as it is compared without regard to case."""
        return self.text.lower()


class Parts(NamedTuple):
    """A trimmed name taken apart; ``mark`` is empty and ``suffix`` None where there is none."""

    plain: str
    suffix: str | None = None
    mark: str = ""


def split_suffix(name: str) -> tuple[str, str | None]:
    """Split ``name(value)`` once, at the last ``(``: ``("name", "value")``; ``(name, None)`` without a suffix."""
    if not name.endswith(")"):
        return name, None
    base, bracket, value = name[:-1].rpartition("(")
    return (base, value) if bracket and base else (name, None)


def split_date(name: str) -> tuple[str, str]:
    """Split ``NAME-20251101`` or ``NAME-2025-11-01``: ``("NAME", "20251101")``; ``(name, "")`` without a real date."""
    found = _DATE.match(name) if name[-1:].isdigit() else None
    if found is None or found[5] > _SHORT_MONTHS.get(found[4], "31"):
        return name, ""
    return found[1], found[2] + found[4] + found[5]


def parts_of(name: str) -> Parts:
    """Take a name apart; a context mark may stand before or behind the thinking suffix."""
    trimmed = name.strip()
    if found := _MARK.match(trimmed):
        return Parts(*split_suffix(found[1]), mark=found[2])
    base, suffix = split_suffix(trimmed)
    if found := _MARK.match(base):
        return Parts(found[1], suffix, found[2])
    return Parts(base, suffix)


@lru_cache(maxsize=256)  # agents ask for the same few names, which are at most 256 bytes long
def forms(name: str) -> tuple[Form, ...]:
    """Return the forms of ``name``, the nearest first; those that are the same text as an earlier one are left out."""
    plain, value, mark = parts_of(name)
    trimmed, suffix, has_suffix = name.strip(), value or "", value is not None
    found = [Form(AS_IT_CAME, name, "", bool(mark), has_suffix)]
    if trimmed != name:
        found.append(Form(TRIMMED, trimmed, "", bool(mark), has_suffix))
    found.append(Form(ANY_CASE, trimmed, "", bool(mark), has_suffix))
    if mark:
        if has_suffix:
            found.append(Form(UNSUFFIXED, plain + mark, suffix, marked=True))
            found.append(Form(UNMARKED, f"{plain}({suffix})", suffixed=True))
        else:
            found.append(Form(UNMARKED, plain))
    if has_suffix:
        found.append(Form(UNSUFFIXED, plain, suffix))
    undated, date = split_date(plain)
    if date:
        found.append(Form(UNDATED, undated, suffix))
    found.append(Form(LATEST, f"{undated}:latest", suffix))
    return tuple(found)


def target_name(requested: str, target: str) -> str:
    """Return the name to look up when ``requested`` is mapped to ``target``.

    The thinking suffix and the context mark of the request go along; the target's own come first. An empty suffix is
    dropped. Whether the mark is sent depends on the provider's list.
    """
    plain, suffix, mark = parts_of(target)
    asked = parts_of(requested)
    value = suffix or asked.suffix
    return plain + (mark or asked.mark) + (f"({value})" if value else "")


def with_suffix(name: str, suffix: str) -> str:
    """Return ``name`` with a thinking suffix; one that it has already stays, an empty one is left out."""
    base, own = split_suffix(name)
    return f"{base}({own or suffix})" if own or suffix else base


def is_glob(name: str) -> bool:
    """Tell whether an entry of ``models`` or ``from`` stands for many names. Brackets are themselves."""
    return "*" in name or "?" in name


def compile_glob(glob: str, flags: int = 0) -> re.Pattern[str]:
    """Compile a glob so that it finds whole names only, by ``search()`` as by ``match()``."""
    return re.compile(r"\A" + translate(glob.replace("[", "[[]")), flags)

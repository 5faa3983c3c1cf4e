"""Images, documents and sounds from data URLs and into them. Pure. Source: RFC 2397."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, Literal

from ..bodies.texts import Str, after, head, joined, plain
from ..errors import Untranslatable
from .conversation import Mark, Media, Text

IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""The images that every format takes."""

_DATA_URL: Final = re.compile(r"data:([^;,]*)((?:;[^;,]*)*?)(;base64)?,", re.IGNORECASE)
_URL_CHARS: Final = 512  # in which a data URL has its comma
_SUFFIX: Final = re.compile(r"[^?#]*\.(png|webp|gif|heic)(?:[?#]|\Z)", re.IGNORECASE)


def media_of(
    kind: Literal["image", "document", "audio"],
    url: Str,
    where: str,
    *,
    name: str = "",
    detail: str = "",
    mark: Mark | None = None,
) -> Media:
    """Return the medium of a data URL or an http URL; ``where`` names the member of the request for errors.

    Raises :class:`Untranslatable` for a data URL without base64 and for URLs of other kinds.
    """
    begun = head(url, _URL_CHARS)
    if begun[:5].lower() != "data:":
        if not begun[:8].lower().startswith(("http://", "https://")):
            raise Untranslatable(f"{where}: send a data URL or an http URL, not {begun[:40]!r}", where)
        return Media(kind, url=url, name=name, detail=detail, mark=mark)
    found = _DATA_URL.match(begun)
    if found is None or not found[3]:
        raise Untranslatable(f"{where}: a data URL has to be base64: data:TYPE;base64,DATA", where)
    return Media(kind, found[1].lower(), after(url, found[0]), name=name, detail=detail, mark=mark)


def data_url(media: Media) -> Str:
    """Return the URL of a medium: its own, or a data URL with its data."""
    if media.url is not None:
        return media.url
    return joined("", [f"data:{media.media_type};base64,", media.data or ""])


def type_of(media: Media) -> str:
    """Return the media type; if nobody has stated it, the one that the URL's suffix stands for, or the usual one."""
    if media.media_type or media.kind == "document":
        return media.media_type or "application/pdf"
    found = _SUFFIX.match(head(media.url or "", _URL_CHARS))
    return f"image/{found[1].lower()}" if found else "image/jpeg"


def as_text(media: Media, where: str) -> Media | Text:
    """Return a document of text as a text with its name in front, any other medium unchanged.

    Raises :class:`Untranslatable` if its data is not UTF-8 in base64; ``where`` names the member of the request.
    """
    if media.data is None or not (media.media_type.startswith("text/") or media.media_type == "application/json"):
        return media
    try:
        text = base64.b64decode(plain(media.data)).decode()
    except (binascii.Error, ValueError) as exc:
        raise Untranslatable(f"{where}: the data is no text in base64", where) from exc
    return Text(f"{media.name}:\n{text}" if media.name else text, media.mark)

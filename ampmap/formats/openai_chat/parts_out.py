"""Write texts and media as parts of messages, for a chat provider. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Final

from ...bodies.texts import Str, plain
from ...errors import Untranslatable
from ..base import Json
from ..conversation import Mark, Media, Text
from ..marks import written_mark
from ..media import data_url
from ..profile import Profile

_SOUNDS: Final = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/mp3": "mp3",
                  "audio/mpeg": "mp3"}  # fmt: skip


def marked(holder: Json, mark: Mark | None, profile: Profile) -> Json:
    """Return a part or a tool with a cache mark, if the provider takes any."""
    holder |= written_mark(mark, profile)
    return holder


def text_part(text: Text, profile: Profile) -> Json:
    """Return a text as a part."""
    return marked({"type": "text", "text": text.text}, text.mark, profile)


def content_of(parts: Iterable[Json], profile: Profile) -> list[Json] | Str:
    """Return parts as a content: a single text as a string.

    A provider that takes cache marks always gets a list: a message that has a mark now has none in a later request, and
    only the mark may differ between them.
    """
    found = list(parts)
    if not profile.cache_control and len(found) == 1 and found[0]["type"] == "text":
        text: Str = found[0]["text"]
        return text
    return found


def media_part(media: Media, profile: Profile) -> Json:
    """Return a medium as a part. Raises :class:`Untranslatable` for one that the provider does not take."""
    if media.kind == "image":
        if not profile.images:
            raise Untranslatable("messages: this model takes no images; leave them out", "messages")
        image = {"url": data_url(media), **({"detail": media.detail} if media.detail else {})}
        return marked({"type": "image_url", "image_url": image}, media.mark, profile)
    if media.kind == "audio":
        form = _SOUNDS.get(media.media_type)
        if form is None or media.data is None:
            raise Untranslatable(
                f"messages: sound of the type {media.media_type or 'unknown'!r} cannot be sent; send wav or mp3",
                "messages",
            )
        return {"type": "input_audio", "input_audio": {"data": media.data, "format": form}}
    return _document(media, profile)


def _document(media: Media, profile: Profile) -> Json:
    if media.data is not None and (media.media_type.startswith("text/") or media.media_type == "application/json"):
        try:
            text = base64.b64decode(plain(media.data)).decode()
        except (binascii.Error, UnicodeDecodeError) as exc:
            raise Untranslatable("messages: a text document must be UTF-8 in base64", "messages") from exc
        return text_part(Text(f"{media.name}\n{text}" if media.name else text, media.mark), profile)
    if media.data is None or not profile.files:
        raise Untranslatable(
            "messages: this provider takes no documents; send their text" if media.data is not None else
            "messages: this provider fetches no documents; send their content",
            "messages",
        )  # fmt: skip
    file = {"filename": media.name or "document.pdf", "file_data": data_url(media)}
    return marked({"type": "file", "file": file}, media.mark, profile)

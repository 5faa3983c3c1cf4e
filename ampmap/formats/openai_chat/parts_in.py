"""Read the content of a chat client's messages: strings, and lists of parts. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ...bodies.texts import Str, head, joined
from ...errors import BadRequest, Untranslatable
from ..base import Json, Lost, bounded, elements, object_of
from ..conversation import Mark, Media, Text
from ..marks import read_mark
from ..media import media_of

_TEXT_TYPES: Final = ("text", "input_text", "output_text", "refusal")


def mark_of(holder: Json) -> Mark | None:
    """Return the cache mark of a part, a message or a tool, in Messages' form or in OpenAI's."""
    return read_mark(holder.get("cache_control")) or read_mark(holder.get("prompt_cache_breakpoint"))


def parts_of(content: Any, path: str, lost: Lost | None = None) -> Iterator[Text | Media]:
    """Yield the parts of a content. Unknown ones go into ``lost`` if it is given, otherwise they are refused."""
    if content is None:
        return
    if isinstance(content, Str):
        yield Text(content)
        return
    if not isinstance(content, list):
        raise BadRequest(f"{path}: must be a string or a list of parts")
    for at, part in enumerate(bounded(content, path)):
        place = f"{path}[{at}]"
        if isinstance(part, Str):
            yield Text(part)
        elif not isinstance(part, dict):
            raise BadRequest(f"{place}: must be an object with a type")
        elif (found := _part(part, place)) is not None:
            yield found
        elif lost is None:
            raise Untranslatable(
                f"{place}: parts of the type {str(part.get('type'))!r} cannot be translated for this provider; send "
                "text, images or files",
                place,
                "invalid_value",
            )
        else:
            lost[f"messages[].content[{part.get('type')}]"] = None


def _part(part: Json, place: str) -> Text | Media | None:
    kind = part.get("type")
    if kind in _TEXT_TYPES or (kind is None and "text" in part):
        text = part.get("refusal" if kind == "refusal" else "text")
        if not isinstance(text, Str):
            raise BadRequest(f"{place}: its text must be a string")
        return Text(text, mark_of(part))
    if kind in ("image_url", "input_image"):
        found = part.get("image_url")
        return _image(found if isinstance(found, dict) else {"url": found, **part}, part, place)
    if kind == "input_audio":
        sound = object_of(part.get("input_audio"))
        if isinstance(data := sound.get("data"), Str):
            return Media("audio", f"audio/{sound.get('format') or 'wav'}", data=data, mark=mark_of(part))
    if kind in ("file", "input_file"):
        found = part.get("file")
        return _file(found if isinstance(found, dict) else part, part, place)
    return None


def _image(image: Json, part: Json, place: str) -> Media:
    url = image.get("url")
    if not isinstance(url, Str):
        raise BadRequest(f"{place}.image_url.url: must be a data URL or the address of an image")
    detail = image.get("detail")
    detail = {"low": "low", "high": "high", "original": "high"}.get(detail, "") if isinstance(detail, str) else ""
    return media_of("image", url, f"{place}.image_url.url", detail=detail, mark=mark_of(part))


def _file(file: Json, part: Json, place: str) -> Media:
    data, name = file.get("file_data"), file.get("filename")
    name = name if isinstance(name, str) else ""
    if not isinstance(data, Str):
        raise Untranslatable(
            f"{place}.file: uploaded files are known to another provider alone; send the content as file_data", place
        )
    if head(data, 8).lower().startswith(("data:", "http:", "https:")):
        return media_of("document", data, f"{place}.file.file_data", name=name, mark=mark_of(part))
    kind = "application/pdf" if head(data, 7) == "JVBERi0" else ""  # %PDF-
    return Media("document", kind, data=data, name=name, mark=mark_of(part))


def text_of(value: Any) -> Str:
    """Return the text of a string, of an object with a ``text`` or ``summary``, or of a list of these."""
    if isinstance(value, Str):
        return value
    if isinstance(value, dict):
        return text_of(value.get("text") or value.get("summary") or "")
    return joined("", map(text_of, elements(value)))

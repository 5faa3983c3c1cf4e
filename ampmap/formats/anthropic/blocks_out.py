"""Write the turns of a conversation as blocks of content, for a provider. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ...bodies.texts import Str, head, is_blank, plain
from ...errors import Untranslatable
from ..base import Json, Lost, Steps
from ..conversation import Call, Mark, Media, Part, Result, Text, Thinking, Turn
from ..identifiers import Names, fit_id
from ..marks import written_mark
from ..profile import Target
from ..turns import paced

_IMAGES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
_MAGIC: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG", "image/png"),
    (b"GIF8", "image/gif"),
    (b"%PDF", "application/pdf"),
)


def is_ours(part: Part, target: Target) -> bool:
    """Tell whether a part is reasoning that the target's provider and model have sealed: others refuse it."""
    if not isinstance(part, Thinking) or part.seal is None or part.seal.kind not in ("signature", "redacted"):
        return False
    seal = part.seal
    return isinstance(seal.data, str) and seal.maker in ("", target.maker) and seal.model in ("", target.model)


class Blocks:
    """Writes turns as lists of blocks."""

    def __init__(self, target: Target, names: Names, lost: Lost) -> None:
        self._target = target
        self._names = names
        self._lost = lost

    def of(self, turn: Turn) -> Steps[list[Json]]:
        """Return the blocks of a turn."""
        parts: Sequence[Part] = turn.parts
        write = self._block
        if turn.role == "assistant":
            parts, write = self._texts_first(turn.parts), self._assistant_block
        found: list[Json] = []
        for part in paced(parts):
            if part is None:
                yield
            else:
                found.append(write(part))
        return found

    def texts(self, texts: Iterable[Text]) -> list[Json]:
        """Return the blocks of texts."""
        return [{"type": "text", "text": text.text, **self._marked(text.mark)} for text in texts]

    def _marked(self, mark: Mark | None) -> Json:
        return written_mark(mark, self._target.profile)

    def _texts_first(self, parts: tuple[Part, ...]) -> list[Part]:
        """Return the parts that can be sent, each text before the first call; reasoning keeps its place among calls."""
        kept = []
        for part in parts:
            if isinstance(part, Thinking) and not is_ours(part, self._target):
                self._lost["thinking"] = None
            else:
                kept.append(part)
        first = next((at for at, part in enumerate(kept) if isinstance(part, Call)), len(kept))
        behind = kept[first:]
        texts = [part for part in behind if isinstance(part, Text)]
        return [*kept[:first], *texts, *(part for part in behind if not isinstance(part, Text))]

    def _assistant_block(self, part: Part) -> Json:
        if isinstance(part, Call):
            id_ = fit_id(part.id, self._target.profile.tool_id_max)
            name = self._names.sent(part.name)
            call = {"type": "tool_use", "id": id_, "name": name, "input": part.arguments}
            return {**call, **self._marked(part.mark)}
        if isinstance(part, Thinking):
            assert part.seal is not None
            if part.seal.kind == "redacted":
                return {"type": "redacted_thinking", "data": part.seal.data}
            return {"type": "thinking", "thinking": part.text, "signature": part.seal.data}
        return self._block(part)

    def _block(self, part: Part) -> Json:
        if isinstance(part, Text):
            return {"type": "text", "text": part.text, **self._marked(part.mark)}
        if isinstance(part, Media):
            return {**self._media(part), **self._marked(part.mark)}
        assert isinstance(part, Result)
        content: Any = ""
        if len(part.parts) == 1 and isinstance(only := part.parts[0], Text) and only.mark is None:
            content = only.text
        elif part.parts:
            content = [
                self._block(inner) for inner in part.parts if not (isinstance(inner, Text) and is_blank(inner.text))
            ]
        id_ = fit_id(part.id, self._target.profile.tool_id_max)
        found: Json = {"type": "tool_result", "tool_use_id": id_, "content": content}
        if part.is_error:
            found["is_error"] = True
        return {**found, **self._marked(part.mark)}

    def _media(self, part: Media) -> Json:
        profile = self._target.profile
        if part.kind == "audio" or not (profile.files if part.kind == "document" else profile.images):
            raise Untranslatable(f"messages: this provider takes no {part.kind}; ask without it", "messages")
        if part.detail:
            self._lost["detail"] = None
        source = {"type": "url", "url": part.url} if part.data is None else _source(part, part.data)
        title = {"title": part.name} if part.kind == "document" and part.name else {}
        return {"type": part.kind, "source": source, **title}


def _source(part: Media, data: Str) -> Json:
    media_type = _magic(data) or part.media_type.partition(";")[0].strip().lower()
    if part.kind == "image":
        media_type = "image/jpeg" if media_type == "image/jpg" else media_type
        if media_type not in _IMAGES:
            raise Untranslatable(
                f"messages: this provider takes no image of the type {media_type!r}; send JPEG, PNG, GIF or WebP",
                "messages",
            )
    elif media_type.startswith("text/"):
        return {"type": "text", "media_type": "text/plain", "data": _decoded_text(data)}
    elif media_type != "application/pdf":
        raise Untranslatable(
            f"messages: this provider takes no file of the type {media_type!r}; send PDF or text", "messages"
        )
    return {"type": "base64", "media_type": media_type, "data": data}


def _magic(data: Str) -> str:
    """Return the type by a file's first bytes, as the API refuses a file with another type; empty if it is unknown."""
    try:
        begun = base64.b64decode(head(data, 16), validate=True)
    except (binascii.Error, ValueError):
        return ""
    if begun.startswith(b"RIFF") and begun[8:12] == b"WEBP":
        return "image/webp"
    return next((media_type for magic, media_type in _MAGIC if begun.startswith(magic)), "")


def _decoded_text(data: Str) -> str:
    try:
        return base64.b64decode(plain(data)).decode("utf-8", "replace")
    except (binascii.Error, ValueError) as exc:
        raise Untranslatable(f"messages: a text file is not in base64 ({exc})", "messages") from exc

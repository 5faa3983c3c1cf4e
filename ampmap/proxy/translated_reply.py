"""Translate the reply of a provider of another format back into the client's.

A stream passes through ``relay`` as every reply does, with a translating filter. Errors and replies that are not
streamed are read whole, because the length of their translation is not known before.
"""

from __future__ import annotations

import json
import math
import re
import time
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, TypeVar

from ..access.credentials import names_secret
from ..amp.gunzip import DECODED, Inflate
from ..amp.tool_names import ToolNames
from ..bodies.filters import ByteFilter, Chain
from ..bodies.steps import Steps, finished
from ..bodies.texts import dump
from ..errors import ClientGone, UpstreamError, UpstreamProtocolError
from ..escaping import printable, text
from ..formats.base import Json, ReplyReader, ReplySink, ReplySource, ReplyWriter
from ..formats.events import Failure
from ..formats.failures import QUOTA, read_failure, without_secrets
from ..formats.registry import FORMATS
from ..formats.translate import SMALL_BYTES, TranslatedStream, dump_reply, scan_whole_reply
from ..formats.usage import count as stated_count
from ..http.headers import Empty, Fields, Headers, content_coding, end_to_end
from ..http.parser import ResponseHead
from ..http.upstream_connection import UpstreamConnection
from .context import RequestContext
from .peek import NOTHING, Peeked, retry_after_s
from .reply_head import own_lines
from .translation import Translated, Translation
from .turns import in_turns
from .upstream_request import UpstreamRequest
from .usage import ReplyUsage, note_usage

REPLY_BYTES: Final = 16 * 1024 * 1024
"""The largest reply that is read whole."""
ERROR_BYTES: Final = 64 * 1024
"""How much of an error is read."""
LONGEST_WAIT_S: Final = 10**9
"""The longest wait that an error's body asks for; a provider's ``Retry-After`` may have any number."""

_SLICE_BYTES: Final = 64 * 1024  # of a whole reply that is searched for token counts in one step
_CASED_BYTES: Final = 4096
_JSON: Final = b"application/json"
_PASSED: Final = re.compile(rb"date$|retry-after(-ms)?$|x-should-retry$|.*ratelimit", re.IGNORECASE)
_REQUEST_IDS: Final = (b"request-id", b"x-request-id")
_NO_RETRY: Final = (b"x-should-retry", b"false")
_T = TypeVar("_T")
_ESTIMATED: Final = (b"ampmap-estimated", b"true")


class TranslatedReply:
    """The reply to one translated request."""

    def __init__(
        self, context: RequestContext, translation: Translation, sent: Translated, tools: dict[str, str] | None
    ) -> None:
        self._context = context
        self._translation = translation
        self._sent = sent
        self._stated = FORMATS[sent.candidate.endpoint.protocol].usage
        self._tools = tools  # the client's casing of its tools, if the reply must have it

    async def deliver(
        self, upstream: UpstreamConnection, outbound: UpstreamRequest, head: ResponseHead, peeked: Peeked = NOTHING
    ) -> None:
        """Send the reply to the client; ``peeked`` is the beginning of its body."""
        kept = self._kept_lines(head.headers)
        if self._translation.counts:
            body = await self._whole(upstream, outbound, head, peeked.held, ERROR_BYTES, cuts=True)
            await self.count(body if head.status == 200 else None)
        elif not 200 <= head.status < 300:
            body = await self._whole(upstream, outbound, head, peeked.held, ERROR_BYTES, cuts=True)
            failure = read_failure(head.status if head.status >= 400 else UpstreamProtocolError.status, body)
            self._note_limit(failure, kept)
            await self._fail(failure, kept)
        elif not self._sent.streams or peeked.form == "json":
            body = await self._whole(upstream, outbound, head, peeked.held, REPLY_BYTES)
            await self._deliver_whole(body, kept)
        elif peeked.why and (failed := self._first_failure(peeked)) is not None:
            upstream.abort()
            await self._fail(failed, kept)
        else:
            await self._stream(upstream, outbound, head, kept, peeked.held)

    async def _stream(
        self, upstream: UpstreamConnection, outbound: UpstreamRequest, head: ResponseHead, kept: Headers, held: bytes
    ) -> None:
        context = self._context
        stream = TranslatedStream(*self._ends(), self._secrets())
        coding = _coding(upstream, head)
        lines = ((b"Content-Type", self._translation.dialect.stream_type.encode()), (b"Cache-Control", b"no-cache"))
        context.relay.own_lines = self._own_lines()
        context.relay.usage = self._stated
        try:
            await context.relay.deliver(
                upstream, outbound.hop, replace(head, headers=Fields((*kept, *lines))), context.responses.cors(),
                self._filtered(stream), Inflate(coding) if coding else None, held,
            )  # fmt: skip
        except ClientGone:
            if stream.failure is None:
                raise
            context.client.abort()  # the client has left because of the failure
        if stream.failure is not None:
            context.record.outcome = "upstream_error"
            context.note_detail(stream.failure.message)

    async def _deliver_whole(self, body: bytes, kept: Headers) -> None:
        """Send a reply that was read whole, as a stream if the client asked for one."""
        context, dialect = self._context, self._translation.dialect
        is_small = len(body) <= SMALL_BYTES
        run = _at_once if is_small else in_turns
        reader, writer = self._ends()
        failure: Failure | None = None
        kind = _JSON
        pieces: list[bytes | memoryview]
        if self._sent.streams:
            stream = TranslatedStream(reader, writer, self._secrets())
            pieces = await run(_streamed(stream, body))
            failure, usage, kind = stream.failure, stream.usage, dialect.stream_type.encode()
        else:
            reply, usage = await run(scan_whole_reply(reader, writer, body))
            failure = reply if isinstance(reply, Failure) else None
            pieces = [] if isinstance(reply, Failure) else await run(dump_reply(reply, is_small=is_small))
        if usage is not None and (usage.input or usage.output):
            note_usage(context.record, usage)
        elif self._stated is not None:  # what failed may have cost tokens as well
            stated = ReplyUsage(self._stated)
            await run(_fed(stated, body))
            stated.note(context.record)
        if failure is not None:
            await self._fail(failure, kept)
            return
        if cased := self._cased():
            pieces = await run(_cased(cased, pieces))
        await context.responses.whole(200, pieces, kind, outcome="ok", extra=[*kept], own=self._own_lines())

    async def count(self, body: bytes | None) -> None:
        """Answer a request for a token count: with the provider's count in ``body``, or with an estimate."""
        context, dialect = self._context, self._translation.dialect
        assert dialect.count_reply is not None
        counted = stated_count(_loaded(body), self._sent.dialect.count_key) if body is not None else None
        tokens = counted if counted else await in_turns(self._translation.count())
        await context.responses.whole(
            200, _dumped(dialect.count_reply(tokens)), outcome="ok", extra=[] if counted else [_ESTIMATED],
            own=self._own_lines(),
        )  # fmt: skip

    async def _fail(self, failure: Failure, kept: Headers) -> None:
        """Answer with the provider's error in the client's format."""
        context, failure = self._context, without_secrets(failure, self._secrets())
        context.note_detail(failure.message)
        own = [_NO_RETRY] if failure.code == QUOTA else []
        asked = retry_after_s(kept)
        if asked is not None:
            failure = replace(failure, retry_after_s=min(max(asked, 0), LONGEST_WAIT_S))
        elif failure.retry_after_s is not None:
            own.append((b"Retry-After", b"%d" % math.ceil(failure.retry_after_s)))
        replaced = {name.lower() for name, _ in own}  # two lines of one of these mean nothing
        extra = [*(pair for pair in kept if pair[0].lower() not in replaced), *own]
        body = _dumped(self._translation.dialect.failure(failure))
        await context.responses.whole(
            failure.status, body, outcome="upstream_error", extra=extra, own=self._own_lines()
        )

    def _note_limit(self, failure: Failure, kept: Headers) -> None:
        """Let the provider's own cooldown last as long as the body of a 429 asks; a header has been heard before."""
        candidate = self._sent.candidate
        if failure.status == 429 and failure.retry_after_s is not None and candidate.endpoint.auth != "client":
            if retry_after_s(kept) is None:
                cooldowns = self._context.service.cooldowns
                cooldowns.limit(candidate.provider.name, candidate.model, failure.retry_after_s)

    def _own_lines(self) -> bytes:
        record = self._context.record
        return own_lines(record.provider, record.resolved_model, record.translated, record.lost)

    def _first_failure(self, peeked: Peeked) -> Failure | None:
        """Return the error with which a stream begins, if it does."""
        stream = TranslatedStream(*self._ends(), self._secrets())
        with suppress(UpstreamError):  # the reply is delivered, and fails then
            stream.feed(peeked.seen)
        return stream.failure

    def _ends(self) -> tuple[ReplyReader, ReplyWriter]:
        """Return a reader for the provider's reply and a writer for the client's."""
        target = self._sent.target
        source = ReplySource(target=target, names=self._sent.written.names)
        sink = ReplySink(
            model=self._context.record.requested_model,
            reply_options=self._translation.reply_options,
            maker=target.maker,
            sent=target.model,
            created=int(time.time()),
            estimate=self._translation.estimate,
        )
        return self._sent.dialect.reply_reader(source), self._translation.dialect.reply_writer(sink)

    def _secrets(self) -> tuple[str, ...]:
        """Return the secrets that the provider got; those in fields without a word such as ``Bearer`` before them."""
        provider = self._sent.candidate.provider
        values = [content for name, content in provider.headers if names_secret(name.encode())]
        return (provider.api_key, *(value.split()[-1] for value in values if value.strip()))

    def _cased(self) -> ToolNames | None:
        return ToolNames(self._tools) if self._tools else None

    def _filtered(self, stream: TranslatedStream) -> ByteFilter:
        cased = self._cased()
        return Chain(stream, cased) if cased else stream

    def _kept_lines(self, headers: Headers) -> Headers:
        """Return the provider's lines that mean the same in every format; its request id under the client's name."""
        kept = []
        for name, content in end_to_end(headers):
            if _passes(name):
                kept.append((name, content))
            elif name.lower() in _REQUEST_IDS:
                kept.append((FORMATS[self._translation.protocol].request_id_field, content))
        return tuple(dict.fromkeys(kept))

    async def _whole(
        self, upstream: UpstreamConnection, outbound: UpstreamRequest, head: ResponseHead, held: bytes, limit: int,
        *, cuts: bool = False,
    ) -> bytes:  # fmt: skip
        """Return the whole body, decoded; one of more than ``limit`` bytes is an error, or cut there if ``cuts``."""
        coding = _coding(upstream, head)
        decoder = Inflate(coding) if coding else None
        body = bytearray()
        try:
            data: bytes | None = held
            while data is not None:
                ended = upstream.body_read
                for piece in (data,) if decoder is None else decoder.feed(data, last=ended):
                    body += piece
                    if len(body) > limit:
                        break
                    if upstream.raw.turn_is_over:  # a small piece may decode to megabytes: let other tasks run
                        await upstream.raw.give_way()
                if len(body) > limit:
                    if not cuts:
                        raise UpstreamProtocolError(f"its reply has more than {limit} bytes")
                    upstream.abort()
                    return bytes(body[:limit])
                data = None if ended or isinstance(upstream.framing, Empty) else await upstream.read()
            if decoder is not None:
                decoder.finish()
        except BaseException:
            upstream.abort()
            raise
        self._context.client.raw.on_gone = None
        self._context.service.pool.release(outbound.hop, upstream)
        return bytes(body)


def _streamed(stream: TranslatedStream, body: bytes) -> Steps[list[bytes | memoryview]]:
    """Return a reply that was read whole as a stream, in pieces."""
    found: list[bytes | memoryview] = []
    for at in range(0, len(body), _SLICE_BYTES):
        for piece in stream.steps(body[at : at + _SLICE_BYTES]):
            found.append(piece)
            yield
    for piece in stream.last():
        found.append(piece)
        yield
    return found


def _cased(cased: ToolNames, pieces: list[bytes | memoryview]) -> Steps[list[bytes | memoryview]]:
    found: list[bytes | memoryview] = []
    for piece in pieces:
        for at in range(0, len(piece), _CASED_BYTES):
            found.append(cased.feed(bytes(piece[at : at + _CASED_BYTES])))
            yield
    return [*found, cased.finish()]


def _coding(upstream: UpstreamConnection, head: ResponseHead) -> bytes:
    coding = content_coding(head.headers)
    if coding and coding not in DECODED:
        upstream.abort()
        raise UpstreamProtocolError(f"its reply is encoded ({printable(text(coding))}) and cannot be translated")
    return coding


@lru_cache(maxsize=256)
def _passes(name: bytes) -> bool:
    return _PASSED.match(name) is not None


async def _at_once(steps: Steps[_T]) -> _T:
    return finished(steps)


def _fed(usage: ReplyUsage, body: bytes) -> Steps[None]:
    for at in range(0, len(body), _SLICE_BYTES):
        usage.feed(body[at : at + _SLICE_BYTES])
        yield


def _loaded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _dumped(value: Json) -> bytes:
    return b"".join(dump(value))

"""Sends one planned request, and sees what comes back: each byte compared as it arrives."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass, field

from .traffic import SECRET, Plan, error_reply, filler, reply_pieces, request_body
from .translated import KIND, provider_body, wrong_at
from .wire import Broken, Head, Line

GUARD_S = 60.0  # no request takes longer, whatever is done to it

_BIG = 9_000_000  # more than the configured limit of a model route's body


@dataclass(slots=True)
class Seen:
    """What came back for one request."""

    plan: Plan
    began: float
    ended: float = 0.0
    first_byte: float = 0.0
    status: int = 0
    whole: bool = False
    read: int = 0
    wrong_at: int = -1  # where the first byte is another one than it has to be
    text: bytes = b""  # of a reply that no upstream made
    broken: str = ""
    left: bool = False  # the client went on purpose
    left_early: bool = False  # before its request was whole
    hung: bool = False
    bodies: tuple[bytes, ...] = field(default=(), repr=False)  # as upstreams may get it


class Caller:
    """Clients of one proxy, with the connections that they keep."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Line] = []
        self.answered = 0  # requests that had an answer, each of which the proxy must have recorded
        self.unanswered = 0  # those that may have been too broken for it

    async def close_idle(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            await self._idle.pop().close()

    async def perform(self, plan: Plan) -> Seen:
        """Do what ``plan`` says; never raises for what the proxy does."""
        seen = Seen(plan, time.monotonic())
        line: Line | None = None
        keep = False
        try:
            async with asyncio.timeout(GUARD_S):
                if plan.keep and self._idle and not plan.slow and plan.kind not in ("nonsense", "websocket"):
                    line = self._idle.pop()
                else:
                    line = await Line.connect("127.0.0.1", self._port, small=plan.slow)
                keep = await self._exchange(line, seen) and plan.keep and not plan.slow
        except (Broken, OSError) as exc:
            seen.broken = str(exc) or type(exc).__name__
            if plan.kind == KIND and seen.status == 200:
                seen.wrong_at = wrong_at(plan, seen.text, whole=False)
        except TimeoutError:
            seen.hung = True
        finally:
            if line is not None:
                if keep:
                    self._idle.append(line)
                elif not seen.left:
                    await line.close()
        seen.ended = time.monotonic()
        if seen.status:
            self.answered += 1
        else:
            self.unanswered += 1
        return seen

    async def _exchange(self, line: Line, seen: Seen) -> bool:
        """Send and read; tell whether the connection can be used again."""
        plan = seen.plan
        if plan.kind == "nonsense":
            return await self._nonsense(line, seen)
        if plan.kind == "websocket":
            return await self._socket(line, seen)
        request, body = request_of(plan)
        seen.bodies = tuple(request_body(plan, name) for name in plan.there or ("",)) if plan.upstreams else ()
        if plan.kind == KIND:
            seen.bodies = tuple(provider_body(request_body(plan, name), name) for name in plan.there)
        if not await self._send(line, seen, request, body):
            return False
        if plan.fault == "leave-wait":
            await asyncio.sleep(0.05)
            line.reset()
            seen.left = True
            return False
        head = await self._head(line, seen)
        closes = head.closes or plan.asked == "too-large"
        return await self._read(line, head, seen) and not closes

    async def _send(self, line: Line, seen: Seen, head: bytes, body: bytes) -> bool:
        plan = seen.plan
        if plan.fault == "leave-upload":
            await line.send(head + body[: int(len(body) * plan.order.at)])
            line.reset()
            seen.left = seen.left_early = True
            return False
        if plan.fault == "stall-upload":
            await line.send(head + body[: int(len(body) * plan.order.at)])  # and no more: ampmap has to have enough
            seen.left_early = True
            return True
        try:
            if plan.slow and body:
                await line.send(head)
                step = max(len(body) // 40, 1)
                for at in range(0, len(body), step):
                    await line.send(body[at : at + step])
                    await asyncio.sleep(0.02)
            else:
                await line.send(head + body)
        except Broken:
            if line.reader.at_eof():
                raise  # else there may be an answer that came before all was sent
        return True

    async def _head(self, line: Line, seen: Seen) -> Head:
        while True:
            head = await line.head()
            if head is None:
                raise Broken("closed without an answer")
            if head.status >= 200 or head.status == 101:
                seen.status, seen.first_byte = head.status, time.monotonic()
                return head

    async def _read(self, line: Line, head: Head, seen: Seen) -> bool:
        plan, order = seen.plan, seen.plan.order
        expected: bytes | None = None
        is_translated = plan.kind == KIND
        if plan.upstreams and head.status == 200 and not is_translated:
            expected = b"".join(reply_pieces(order, plan.protocol, plan.asked))
        elif head.status == order.status and order.fault in ("status", "early") and not is_translated:
            expected = error_reply(order)
        leave_at = max(1, int(len(expected or b"") * order.at)) if plan.fault in ("leave-reply", "close-reply") else -1
        async for piece in line.body(head):
            if expected is None:
                seen.text += piece
            elif seen.wrong_at < 0 and expected[seen.read : seen.read + len(piece)] != piece:
                seen.wrong_at = seen.read
            seen.read += len(piece)
            if 0 <= leave_at <= seen.read:
                seen.left = True
                if plan.fault == "leave-reply":
                    line.reset()
                else:
                    await line.close()
                return False
            if plan.slow:
                await asyncio.sleep(0.01)
        seen.whole = True
        if is_translated and head.status == 200:
            seen.wrong_at, seen.text = wrong_at(plan, seen.text, whole=True), b""
        if expected is not None and seen.wrong_at < 0 and seen.read != len(expected):
            seen.wrong_at = seen.read
        return True

    async def _socket(self, line: Line, seen: Seen) -> bool:
        plan, order = seen.plan, seen.plan.order
        await line.send(request_of(plan)[0])
        if (head := await self._head(line, seen)).status != 101:
            return await self._read(line, head, seen)
        for number in range(order.count):
            if plan.fault == "leave-reply" and number >= order.count * order.at:
                line.reset()
                seen.left = True
                return False
            said = filler(order.tag, str(number), order.size).encode()
            await line.send(said)
            try:
                heard = await line.reader.readexactly(len(said))
            except (EOFError, OSError) as exc:
                raise Broken(f"the socket ended: {exc!r}") from exc
            seen.read += len(heard)
            if heard != said and seen.wrong_at < 0:
                seen.wrong_at = seen.read
            await asyncio.sleep(order.pause_ms / 1e3)
        line.writer.write_eof()
        seen.whole = await line.reader.read() == b""
        return False

    async def _nonsense(self, line: Line, seen: Seen) -> bool:
        what = seen.plan.asked
        await line.send(NONSENSE_BYTES[what])
        if what == "half-head-reset":
            line.reset()
            seen.left = True
            return False
        if what == "half-head":
            line.writer.write_eof()
        await self._read(line, await self._head(line, seen), seen)
        with suppress(OSError):
            if what != "connect" and await line.reader.read(1):  # which is a request, only none that is served
                seen.broken = "more came after the answer"
        return False


def request_of(plan: Plan) -> tuple[bytes, bytes]:
    """Return a plan's request: its head and its body as it is sent."""
    if plan.kind == "refusal":
        return _refused(plan)
    method, path = plan.method, plan.path
    fields = [("Host", "localhost"), ("x-soak", plan.order.encoded().decode())]
    fields += [("Authorization", f"Bearer {SECRET}"), ("Content-Type", "application/json"), *plan.extra]
    if plan.kind == "websocket":
        fields += [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    if not plan.keep:
        fields.append(("Connection", "close"))
    body = request_body(plan, plan.asked)
    if plan.chunked and body:
        fields.append(("Transfer-Encoding", "chunked"))
        step = max(len(body) // 7, 1)
        pieces = (body[at : at + step] for at in range(0, len(body), step))
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    elif method == "POST":
        fields.append(("Content-Length", str(len(body))))
    return _head_bytes(method, path, fields), body


def _head_bytes(method: str, path: str, fields: list[tuple[str, str]]) -> bytes:
    return "".join([f"{method} {path} HTTP/1.1\r\n", *(f"{k}: {v}\r\n" for k, v in fields), "\r\n"]).encode()


def _refused(plan: Plan) -> tuple[bytes, bytes]:
    method, path, model, host, more = "POST", "/v1/chat/completions", "big-brain", "localhost", []
    match plan.asked:
        case "unknown":
            model = f"nobody-has-{plan.tag}"  # another one each time: what is remembered of them must have an end
        case "never":
            path, model = "/api/provider/openai/v1/chat/completions", "never"
        case "nowhere":
            path = f"/nowhere/{plan.tag}"
        case "page":
            more = [("Origin", "https://page.example")]
        case "rebound":
            host = "page.example"
        case "dots":
            path = "/api/provider/openai/%2e%2e/v1/chat/completions"
        case "no-such-model":
            method, path = "GET", f"/v1/models/nobody-has-{plan.tag}"
    body = b"" if method == "GET" else json.dumps({"messages": [], "model": model}).encode()
    if plan.asked == "no-model":
        body = b'{"messages": []}'
    if plan.asked == "too-large":
        more, body = [("Content-Length", str(_BIG))], b" " * 50_000
    elif body:
        more = [*more, ("Content-Length", str(len(body)))]
    fields = [("Host", host), ("x-soak", plan.order.encoded().decode()), *more]
    return _head_bytes(method, path, fields), body


REFUSED_WITH = {
    "unknown": 404,
    "no-model": 400,
    "never": 403,
    "nowhere": 404,
    "page": 403,
    "rebound": 421,
    "dots": 400,
    "too-large": 413,
    "no-such-model": 404,
}

NONSENSE_BYTES = {
    "words": b"hello proxy, how are you?\r\n\r\n",
    "version": b"GET / HTTP/3.7\r\nHost: localhost\r\n\r\n",
    "both-lengths": b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "huge-head": b"GET / HTTP/1.1\r\nHost: localhost\r\nx: " + b"x" * 70_000 + b"\r\n\r\n",
    "connect": b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
    "half-head": b"GET /v1/models HTTP/1.1\r\nHost: lo",
    "half-head-reset": b"GET /v1/models HTTP/1.1\r\nHost: lo",
}

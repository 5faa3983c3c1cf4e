"""What is asked for and what has to come back: plans drawn from a seed, and the bytes of requests and replies.

Pure. Both ends make their bytes from the request's tag, so each knows what the other one has to send, and a piece that
is lost, doubled, moved or taken from another request shows.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

SECRET = "client-secret"  # what clients show as their key; no upstream may ever see it

UPSTREAM_FAULTS = ("close", "reset", "garbage", "stall", "cut", "reset-mid", "stall-mid", "bad-chunk", "status")
CLIENT_FAULTS = ("leave-upload", "stall-upload", "leave-wait", "leave-reply", "close-reply")
AMP = ("amp", "amp-tls")  # one after the other, as reloads will have it
REFUSALS = ("unknown", "no-model", "never", "nowhere", "page", "rebound", "dots", "too-large", "no-such-model")
NONSENSE = ("words", "version", "both-lengths", "huge-head", "connect", "half-head", "half-head-reset")

_FAULT_SHARE = 0.12


@dataclass(frozen=True, slots=True)
class Order:
    """What an upstream is told to do, in the field ``x-soak`` of the request itself."""

    tag: str
    form: str = "json"  # json, events, raw, socket
    size: int = 200  # characters of a whole reply; of one event
    count: int = 1  # events
    pause_ms: int = 0  # between two pieces
    delay_ms: int = 0  # before the reply
    chunked: bool = False
    hint: bool = False  # a 103 before the reply
    close: bool = False  # Connection: close
    fault: str = ""
    only: str = ""  # the one upstream that the fault is for
    at: float = 0.5  # how much of the reply is sent before the fault
    status: int = 200

    def encoded(self) -> bytes:
        """Return the field's value."""
        defaults = Order(self.tag)
        given = {name: getattr(self, name) for name in Order.__slots__}
        return json.dumps({k: v for k, v in given.items() if k == "tag" or v != getattr(defaults, k)}).encode()

    @staticmethod
    def decoded(value: bytes) -> Order:
        """Read the field's value."""
        return Order(**json.loads(value))


@dataclass(frozen=True, slots=True)
class Plan:
    """One request: what to ask whom, how to go about it, and what is to go wrong."""

    kind: str
    order: Order
    method: str = "POST"
    path: str = ""
    protocol: str = ""  # the wire format of the reply; empty: raw bytes, or none of an upstream's
    asked: str = ""  # the model's name as the client says it
    there: tuple[str, ...] = ()  # the names under which an upstream may be asked for it
    upstreams: tuple[str, ...] = ()  # who may be asked; nobody else may see it
    body_size: int = 0  # characters of filler in the request's body
    chunked: bool = False  # the request's body
    keep: bool = True  # on a connection that is kept
    fault: str = ""
    slow: bool = False  # the client reads slowly, or sends slowly
    extra: tuple[tuple[str, str], ...] = ()  # more header fields

    @property
    def needs(self) -> tuple[str, ...]:
        """The upstreams without which this can't go well."""
        lists = {"chat-a": ("chat",), "gem-a": ("gem",)} if self.kind == "model list" else {}
        return lists.get(self.asked, self.upstreams)

    @property
    def tag(self) -> str:
        """The request's own name."""
        return self.order.tag


def filler(tag: str, what: str, size: int) -> str:
    """Return characters that JSON need not escape, different for each tag and purpose."""
    return base64.b64encode(Random(f"{tag} {what}").randbytes(size * 3 // 4 + 3)).decode()[:size]


def request_body(plan: Plan, model: str) -> bytes:
    """Return the body of a request as it is when it names ``model``; the name stands first or last in it."""
    if not plan.body_size:
        return b""
    text = filler(plan.tag, "request", plan.body_size)
    if not plan.asked:
        return text.encode()
    named = "" if plan.protocol == "gemini" else f'"model": "{model}"'
    said = f'"messages": [{{"role": "user", "content": "{text}"}}], "meta": {{"model": "decoy"}}'
    if len(text) % 3 == 0:  # with tools, Amp's requests are looked through for what needs mending
        said += ', "tools": [{"name": "Read", "input_schema": {}}, {"name": "edit_file", "input_schema": {}}]'
    if plan.kind == "translated":
        said += ', "max_tokens": 9, "stream": true'
    parts = (named, said) if len(text) % 2 else (said, named)
    return ("{" + ", ".join(filter(None, parts)) + "}").encode()


def reply_pieces(order: Order, protocol: str, model: str) -> Iterator[bytes]:
    """Yield the body of a whole reply in the pieces in which it is sent."""
    if order.form == "raw":
        raw = filler(order.tag, "reply", order.size).encode()
        step = max(1, len(raw) // order.count)
        yield from (raw[at : at + step] for at in range(0, len(raw), step))
    elif order.form == "events":
        for number in range(order.count):
            text = filler(order.tag, str(number), order.size)
            yield f"data: {_event(protocol, model, text, number)}\n\n".encode()
        yield b"data: [DONE]\n\n"
    else:
        yield _whole(protocol, model, order).encode()


def _event(protocol: str, model: str, text: str, number: int) -> str:
    if protocol == "gemini":
        return f'{{"candidates": [{{"content": {{"parts": [{{"text": "{text}"}}]}}}}], "modelVersion": "{model}"}}'
    if protocol == "anthropic":
        if number:
            delta = f'{{"type": "text_delta", "text": "{text}"}}'
            return f'{{"type": "content_block_delta", "index": 0, "delta": {delta}}}'
        return f'{{"type": "message_start", "message": {{"id": "{text}", "model": "{model}", "content": []}}}}'
    return f'{{"id": "c{number}", "model": "{model}", "choices": [{{"index": 0, "delta": {{"content": "{text}"}}}}]}}'


def _whole(protocol: str, model: str, order: Order) -> str:
    text = filler(order.tag, "reply", order.size)
    if protocol == "gemini":
        return f'{{"candidates": [{{"content": {{"parts": [{{"text": "{text}"}}]}}}}], "modelVersion": "{model}"}}'
    content = (
        f'"content": [{{"type": "text", "text": "{text}"}}]' if protocol == "anthropic" else f'"choices": ["{text}"]'
    )
    named = f'"model": "{model}"'
    first, second = (named, content) if order.size % 2 else (content, named)
    return f'{{"id": "{order.tag}", {first}, {second}}}'


def error_reply(order: Order) -> bytes:
    """Return the body that goes with ``order.status`` when that is an error."""
    return f'{{"error": {{"message": "as ordered {order.tag}", "code": {order.status}}}}}'.encode()


@dataclass(frozen=True, slots=True)
class _Model:
    asked: str
    there: tuple[str, ...]
    upstream: str
    protocol: str
    segment: str = ""


_MODELS = (
    _Model("chat-a", ("chat-a",), "chat", "openai-chat"),
    _Model("chat-c", ("vendor/chat-c",), "chat", "openai-chat"),
    _Model("big-brain", ("chat-a",), "chat", "openai-chat", "openai"),
    _Model("shift", ("chat-a", "chat-b"), "chat", "openai-chat", "openai"),
    _Model("claude-a", ("claude-a",), "claude", "anthropic"),
    _Model("opus", ("claude-a",), "claude", "anthropic", "anthropic"),
    _Model("gem-a", ("gem-a",), "gem", "gemini"),
    _Model("gem-far", ("gem-b",), "gem", "gemini", "google"),
    _Model("vault-1", ("vault-1",), "vault", "openai-chat"),
    _Model("behind-tls-7", ("vault-2",), "vault", "openai-chat", "openai"),
)

_KINDS = {
    "small": 38,
    "stream": 20,
    "translated": 5,
    "failover": 3,
    "large request": 2,
    "large reply": 2,
    "upload": 3,
    "download": 2,
    "management": 10,
    "credits": 3,
    "websocket": 3,
    "model list": 4,
    "refusal": 5,
    "nonsense": 2,
    "admin": 3,
}


class Planner:
    """Draws one plan after the other; the same seed draws the same ones."""

    def __init__(self, seed: int, *, most_bytes: int = 5_000_000) -> None:
        self._random = Random(seed)
        self._most = most_bytes
        self._count = 0

    def plan(self) -> Plan:
        """Draw the next request."""
        draw = self._random
        kind = draw.choices(list(_KINDS), list(_KINDS.values()))[0]
        self._count += 1
        tag = f"r{self._count:x}-{draw.getrandbits(24):06x}"
        plan = self._of_kind(kind, Order(tag, delay_ms=draw.choice((0, 0, 0, 5, 40))))
        plan = replace(plan, keep=draw.random() < 0.7)
        return self._with_fault(plan) if plan.upstreams and kind != "failover" else plan

    def _large(self) -> int:
        return self._random.randint(self._most // 5, self._most)

    def _of_kind(self, kind: str, order: Order) -> Plan:
        draw = self._random
        if kind in ("small", "stream", "large request", "large reply"):
            return self._model_request(kind, order)
        amp = AMP
        match kind:
            case "failover":
                order = replace(order, fault="status", status=503, only="chat")
                body, path = draw.randint(40, 3000), "/api/provider/openai/v1/chat/completions"
                there, both = ("chat-b", "spare-a"), ("chat", "spare")
                return Plan(kind, order, path=path, protocol="openai-chat", asked="twice", there=there,
                            upstreams=both, body_size=body)  # fmt: skip
            case "translated":
                order = replace(order, form="events", size=draw.randint(1, 300), count=draw.randint(2, 60))
                order = replace(order, chunked=True, pause_ms=draw.choice((1, 5, 20)))
                body, slow = draw.randint(40, 6000), draw.random() < 0.1
                return Plan(kind, order, path="/v1/messages", protocol="openai-chat", asked="chat-a", there=("chat-a",),
                            upstreams=("chat",), body_size=body, slow=slow)  # fmt: skip
            case "upload":
                size, slow = self._large() // draw.choice((1, 1, 10)), draw.random() < 0.3
                order = replace(order, form="raw", size=draw.randint(10, 400))
                return Plan(
                    kind, order, "PUT", "/api/attachments/x", upstreams=amp, body_size=size, chunked=True, slow=slow
                )
            case "download":
                order = replace(order, form="raw", size=self._large(), count=draw.randint(1, 30))
                order = replace(order, chunked=draw.random() < 0.5)
                return Plan(kind, order, "GET", "/api/threads/t", upstreams=amp, slow=draw.random() < 0.4)
            case "management":
                order = replace(order, form="raw", size=draw.randint(20, 4000), chunked=draw.random() < 0.4)
                if draw.random() < 0.5:
                    return Plan(kind, order, "GET", "/api/user?x=1", upstreams=amp)
                body = draw.randint(1, 9000)
                return Plan(
                    kind, order, "POST", "/api/telemetry", upstreams=amp, body_size=body, chunked=draw.random() < 0.3
                )
            case "credits":
                path, asked = "/api/provider/anthropic/v1/messages", f"amp-only-{draw.choice((order.tag, '1', '2'))}"
                order = replace(order, size=draw.randint(10, 4000), chunked=draw.random() < 0.4)
                return Plan(kind, order, path=path, protocol="anthropic", asked=asked, there=(asked,), upstreams=amp,
                            body_size=draw.randint(40, 9000))  # fmt: skip
            case "websocket":
                order = replace(order, form="socket", size=draw.randint(1, 5000), count=draw.randint(2, 12))
                order = replace(order, pause_ms=draw.randint(10, 400))
                return Plan(kind, order, "GET", "/api/threads/socket", upstreams=amp)
            case "model list":
                path, expected = draw.choice((("/v1/models", "chat-a"), ("/v1beta/models", "gem-a")))
                return Plan(kind, order, "GET", path, asked=expected)
            case "refusal":
                return Plan(kind, order, asked=draw.choice(REFUSALS))
            case "nonsense":
                return Plan(kind, order, asked=draw.choice(NONSENSE))
            case _:
                page = draw.choice(("health", "ready", "status", "requests", "metrics"))
                return Plan(kind, order, "GET", f"/_ampmap/{page}")

    def _model_request(self, kind: str, order: Order) -> Plan:
        draw = self._random
        model = draw.choice(_MODELS)
        stream, body, slow = kind == "stream", draw.randint(40, 6000), False
        if stream:
            order = replace(order, form="events", size=draw.randint(1, 300), chunked=True)
            if draw.random() < 0.15:
                slow = draw.random() < 0.3
                order = replace(order, count=draw.randint(200, 600 if slow else 1500))  # it takes 10 ms for each
            else:
                order = replace(order, count=draw.randint(2, 60), pause_ms=draw.choice((1, 5, 20, 60)))
        else:
            size = self._large() if kind == "large reply" else draw.randint(10, 6000)
            order = replace(order, size=size, chunked=draw.random() < 0.3)
            slow = kind == "large reply" and draw.random() < 0.4
        if kind == "large request":
            body = self._large()
        order = replace(order, hint=draw.random() < 0.05, close=draw.random() < 0.05)
        if model.protocol == "gemini":
            verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
            path = f"/v1beta/models/{model.asked}:{verb}"
            path = f"/api/provider/google{path}" if model.segment else path
        else:
            path = "/v1/messages" if model.protocol == "anthropic" else "/v1/chat/completions"
            path = f"/api/provider/{model.segment}{path}" if model.segment else path
        return Plan(kind, order, path=path, protocol=model.protocol, asked=model.asked, there=model.there,
                    upstreams=(model.upstream,), body_size=body, slow=slow,
                    chunked=draw.random() < 0.2)  # fmt: skip

    def _with_fault(self, plan: Plan) -> Plan:
        draw = self._random
        if draw.random() >= _FAULT_SHARE:
            return plan
        if plan.kind == "websocket":
            fault = draw.choice(("leave-reply", "reset-mid"))
        elif plan.kind == "upload" and draw.random() < 0.3:
            fault = "early"
        else:
            fault = draw.choice((*UPSTREAM_FAULTS, *CLIENT_FAULTS))
        if fault in ("leave-upload", "stall-upload") and not plan.body_size:
            fault = "leave-reply"
        order = replace(plan.order, at=round(draw.uniform(0.05, 0.95), 3), delay_ms=0)
        if fault in CLIENT_FAULTS:
            if fault == "leave-wait":
                order = replace(order, delay_ms=300)
        else:
            order = replace(order, fault=fault)
            if fault == "status":
                order = replace(order, status=draw.choice((401, 429, 500, 529)))
            elif fault == "bad-chunk":
                order = replace(order, chunked=True)
            elif fault == "early":
                order = replace(order, status=413)
        return replace(plan, order=order, fault=fault)

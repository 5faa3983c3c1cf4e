"""Serve one request: pass the gates, choose the route, turn errors into responses, write the record.

``model_route`` serves model routes and ``amp_route`` Amp's; the small routes are served here. Every request whose head
was read ends in exactly one record.
"""

from __future__ import annotations

from contextlib import suppress

from ..access.credentials import has_amp_headers, presented
from ..access.gate import Peer, Refusal, admit, is_probe
from ..errors import (
    ClientGone,
    ExchangeError,
    NoFiles,
    RequestTimeout,
    Untranslatable,
    UpgradeRequired,
    UpstreamError,
)
from ..escaping import printable, text
from ..http.client_connection import ClientConnection, End
from ..http.headers import value
from ..http.parser import RequestHead
from ..routing.errorbody import amp_unreachable
from ..routing.target import (
    Admin,
    Home,
    Management,
    ModelList,
    ModelRoute,
    ProviderOther,
    Route,
    Target,
    Unknown,
    parse_target,
    path_of,
    route_of,
    unknown_path_advice,
)
from ..routing.translation import asked_in
from .amp_route import AmpHandler
from .context import RequestContext
from .model_list import form_of, scan_list
from .model_route import ModelHandler
from .state import Service
from .turns import in_turns
from .upgrade import asks_for_websocket

_HOME = (
    b"This is ampmap, a proxy for coding agents. What it does now: /_ampmap/status,"
    b" for browsers the page /_ampmap/ under the host name ampmap.localhost\n"
)
_UNKNOWN_PATH = "unknown_path"  # the code of a 404 for a path; clients take others for an unknown model


class Exchange:
    """The life of one request."""

    def __init__(self, service: Service, client: ClientConnection, peer: Peer, head: RequestHead) -> None:
        self._context = RequestContext(service, client, peer, head)

    async def run(self) -> None:
        """Serve the request; handles all of ``errors``. Cancelling cuts the client's connection."""
        context = self._context
        record = context.record
        try:
            await self._serve()
        except ClientGone as exc:
            if not context.relay.client_has_all:
                context.note_detail(str(exc))
                record.outcome = "client_gone"
            record.status = record.status or ClientGone.status
            context.client.abort()
        except ExchangeError as exc:
            await self._fail(exc)
        except Exception as exc:
            record.outcome, record.status = "rejected", record.status or 500
            record.detail = f"a bug in ampmap: {type(exc).__name__}"
            await self._tell_of_bug()
            raise
        except BaseException:
            record.outcome, record.status = "shutdown", record.status or 503
            context.client.abort()
            raise
        finally:
            context.client.raw.on_gone, context.client.raw.may_drop = None, False
            record.bytes_in = record.bytes_in or context.client.body_bytes
            context.service.journal.write(record)

    async def _fail(self, exc: ExchangeError) -> None:
        """Answer with an error; if the response has begun, cut the connection instead."""
        context = self._context
        record = context.record
        message = str(exc)
        if record.provider and isinstance(exc, UpstreamError) and not isinstance(exc, NoFiles):
            message = f"provider {record.provider}: {message}"
        context.note_detail(message)
        record.outcome = exc.outcome
        if context.relay.reply_began or context.responses.began:
            context.client.abort()
            return
        record.source = "error"
        if not context.relay.request_left:
            record.cost, record.hint = "none", ""  # no upstream got the request, so it cost nothing
        if isinstance(exc, RequestTimeout):
            context.client.end_with(End.CLOSE)  # the rest of the body may still come, and would be read as a request
        context.responses.retry_costs |= context.relay.request_left
        try:
            if context.responses.plain and isinstance(exc, UpstreamError):
                await context.responses.whole(exc.status, amp_unreachable(message), outcome=exc.outcome)
            else:
                code, param = (exc.code, exc.param) if isinstance(exc, Untranslatable) else (None, "")
                await context.responses.error(exc.status, message, outcome=exc.outcome, code=code, param=param)
        except ExchangeError:
            context.client.abort()

    async def _tell_of_bug(self) -> None:
        """Answer 500 while that can be done, and end the connection."""
        context = self._context
        began = context.relay.reply_began or context.responses.began
        context.client.end_with(End.CLOSE)
        context.responses.retry_costs |= context.relay.request_left
        if not began:
            with suppress(ExchangeError):
                await context.responses.error(500, "a bug in ampmap; its log says more")
                context.client.raw.close()
        context.client.raw.abort_unless_closed()

    async def _serve(self) -> None:
        context = self._context
        head = context.head
        try:
            target = parse_target(head.target, head.method)
        except ExchangeError:
            context.record.path = text(path_of(head.target))
            raise
        context.record.path = target.path  # visible ASCII
        route = route_of(target, head.method, has_amp_headers(head.headers))
        opens_socket = head.version == b"1.1" and asks_for_websocket(head.method, head.headers)  # RFC 9110 §7.8
        if opens_socket and isinstance(posted := route_of(target, b"POST", has_amp_headers=False), ModelRoute):
            route = posted
        if isinstance(route, ModelRoute):
            context.responses.protocol = context.record.protocol = route.protocol
        elif isinstance(route, ModelList):
            context.responses.protocol = form_of(route, target.query, head.headers).protocol
        shown = [] if is_probe(route) else presented(head.headers, target.query)
        admitted = admit(head.method, target, head.headers, route, context.peer, context.snapshot.settings, shown)
        context.responses.origin = admitted.origin
        if isinstance(admitted, Refusal):
            context.responses.plain = admitted.plain
            await context.responses.error(admitted.status, admitted.message)
            return
        context.key = admitted.key
        if admitted.preflight:
            await context.responses.preflight(head.headers)
            return
        if isinstance(route, ModelRoute):
            await (self._open_socket(route, target) if opens_socket else ModelHandler(context, route, target).serve())
        else:
            await self._dispatch(route, target)

    async def _open_socket(self, route: ModelRoute, target: Target) -> None:
        """Pass a WebSocket on a model path to Amp if no provider serves its format; otherwise ask for HTTP."""
        settings = self._context.snapshot.settings
        is_served = any(asked_in(provider, route.protocol, settings) for provider in settings.providers)
        if route.segment is None or is_served or settings.amp.origin is None:
            # Codex falls back to HTTP after a 426, and gives up after a 400 or 404.
            raise UpgradeRequired("this path is served over HTTP, not over WebSockets: send the request as a POST")
        await AmpHandler(self._context, target).serve_other(route.segment, route.protocol)

    async def _dispatch(self, route: Route, target: Target) -> None:
        context = self._context
        match route:
            case Management():
                context.record.route_type = "MANAGEMENT"
                await AmpHandler(self._context, target).serve()
            case ProviderOther():
                await AmpHandler(self._context, target).serve_other(route.segment)
            case ModelList():
                await self._model_list(route, target)
            case Admin():
                await self._admin(route)
            case Home():
                context.record.route_type, context.record.source = "ADMIN", "ampmap"
                await context.responses.whole(200, _HOME, b"text/plain; charset=utf-8", outcome="ok")
            case Unknown():
                where = f"{text(context.head.method)} {printable(context.record.path)}"
                message = f"ampmap serves nothing at {where}. {unknown_path_advice(target.path)}"
                await context.responses.error(404, message, code=_UNKNOWN_PATH)

    async def _model_list(self, asked: ModelList, target: Target) -> None:
        context = self._context
        context.record.route_type, context.record.source = "ADMIN", "ampmap"
        await context.first_lists()
        form = form_of(asked, target.query, context.head.headers)
        body = await in_turns(scan_list(asked, form, context.snapshot, context.availability))
        if body is None:
            name = printable(asked.id or "")
            message = f"no provider serves {name!r}; request the list without a name to see all models"
            await context.responses.error(404, message)
        else:
            await context.responses.whole(200, body, outcome="ok")

    async def _admin(self, route: Admin) -> None:
        context = self._context
        context.record.route_type, context.record.source = "ADMIN", "ampmap"
        found = None
        if context.snapshot.settings.admin and context.head.method in (b"GET", b"HEAD"):
            if route.page == "events":
                await self._events()
                return
            found = await in_turns(context.service.page(route.page))
        if found is None:
            pages = "the page itself, health, ready, status, requests, events and metrics"
            await context.responses.error(404, f"no such page under /_ampmap/; there are {pages}", code=_UNKNOWN_PATH)
        else:
            kind = found.content_type.encode("ascii")
            await context.responses.whole(found.status, found.body, kind, outcome="ok", extra=[*found.lines])

    async def _events(self) -> None:
        context = self._context
        feed = context.service.events(value(context.head.headers, b"last-event-id"))
        if feed is None:
            message = "/_ampmap/events has too many readers: close a page, or end another reader"
            await context.responses.error(503, message, retry_after_s=5)
            return
        try:
            await context.responses.stream(b"text/event-stream", feed)
        finally:
            feed.close()

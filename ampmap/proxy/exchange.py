"""One request, one response: what is asked, whether it may be, and one record of how it went.

The gates and the choice of a route are here; model routes are served by ``model_route``, what is Amp's by
``amp_route``. Every request that produced a head ends in exactly one record, whatever happened to it.
"""

from __future__ import annotations

from ..access.credentials import has_amp_headers, presented
from ..access.gate import Peer, Refusal, admit, is_probe
from ..errors import ClientGone, ExchangeError, NoFiles, RequestTimeout, UpgradeRequired, UpstreamError
from ..escaping import printable, text
from ..http.client_connection import ClientWire
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
from .amp_route import AmpRoute
from .context import Turn
from .model_list import form_of, scan_list
from .model_route import ModelRoute as ServedModel
from .provider_lists import in_turns
from .state import Service
from .upgrade import asks_for_websocket

_HOME = (
    b"This is ampmap, a proxy for coding agents. What it does now: /_ampmap/status,"
    b" for browsers under the host name ampmap.localhost\n"
)
_UNKNOWN_PATH = "unknown_path"  # the code of a 404 that is about a path and not about a model


class Exchange:
    """The life of one request."""

    def __init__(self, service: Service, client: ClientWire, peer: Peer, head: RequestHead) -> None:
        self._turn = Turn(service, client, peer, head)

    async def run(self) -> None:
        """Serve the request; never raises anything of ``errors``. Cancelling cuts what is under way."""
        turn = self._turn
        record = turn.record
        try:
            await self._serve()
        except ClientGone as exc:
            turn.note_detail(str(exc))
            record.outcome = "client_gone"
            record.status = record.status or ClientGone.status
            turn.client.abort()
        except ExchangeError as exc:
            await self._fail(exc)
        except Exception as exc:
            record.outcome, record.status = "rejected", record.status or 500
            record.detail = f"a bug in ampmap: {type(exc).__name__}"
            turn.client.abort()
            raise
        except BaseException:
            record.outcome, record.status = "shutdown", record.status or 503
            turn.client.abort()
            raise
        finally:
            turn.client.raw.on_gone, turn.client.raw.may_drop = None, False
            record.bytes_in = record.bytes_in or turn.client.body_bytes
            turn.service.journal.write(record)

    async def _fail(self, exc: ExchangeError) -> None:
        """Tell the client what went wrong; where its response has begun, all that is left is to cut it."""
        turn = self._turn
        record = turn.record
        message = str(exc)
        if record.provider and isinstance(exc, UpstreamError) and not isinstance(exc, NoFiles):
            message = f"provider {record.provider}: {message}"
        turn.note_detail(message)
        record.outcome = exc.outcome
        if turn.relay.reply_began or turn.answers.began:
            turn.client.abort()
            return
        record.source = "error"
        if not turn.relay.request_left:
            record.cost, record.hint = "none", ""  # nothing has been asked of anyone, so nothing was spent
        if isinstance(exc, RequestTimeout):
            turn.client.closing = True  # what is left of its body may still come, and would be taken for a request
        turn.answers.retry_costs |= turn.relay.request_left
        try:
            if turn.answers.plain and isinstance(exc, UpstreamError):
                await turn.answers.whole(exc.status, amp_unreachable(message), outcome=exc.outcome)
            else:
                await turn.answers.error(exc.status, message, outcome=exc.outcome)
        except ExchangeError:
            turn.client.abort()

    async def _serve(self) -> None:
        turn = self._turn
        head = turn.head
        try:
            target = parse_target(head.target, head.method)
        except ExchangeError:
            turn.record.path = text(path_of(head.target))
            raise
        turn.record.path = target.path  # visible ASCII
        route = route_of(target, head.method, has_amp_headers(head.headers))
        opens_socket = head.version == b"1.1" and asks_for_websocket(head.method, head.headers)  # RFC 9110 §7.8
        if opens_socket and isinstance(posted := route_of(target, b"POST", has_amp_headers=False), ModelRoute):
            route = posted
        if isinstance(route, ModelRoute):
            turn.answers.protocol = turn.record.protocol = route.protocol
        elif isinstance(route, ModelList):
            turn.answers.protocol = form_of(route, target.query, head.headers).protocol
        shown = [] if is_probe(route) else presented(head.headers, target.query)
        admitted = admit(head.method, target, head.headers, route, turn.peer, turn.snapshot.settings, shown)
        turn.answers.origin = admitted.origin
        if isinstance(admitted, Refusal):
            turn.answers.plain = admitted.plain
            await turn.answers.error(admitted.status, admitted.message)
            return
        turn.key = admitted.key
        if admitted.preflight:
            await turn.answers.preflight(head.headers)
            return
        if isinstance(route, ModelRoute):
            await (self._open_socket(route, target) if opens_socket else ServedModel(turn, route, target).serve())
        else:
            await self._dispatch(route, target)

    async def _open_socket(self, route: ModelRoute, target: Target) -> None:
        """Leave a WebSocket on a model path to Amp where no provider speaks its format; else ask for HTTP."""
        settings = self._turn.snapshot.settings
        spoken = any(provider.endpoint(route.protocol) for provider in settings.providers)
        if route.segment is None or spoken or settings.amp.origin is None:
            # Codex takes HTTP at once after a 426; 400 and 404 end it.
            raise UpgradeRequired("this path is served over HTTP, not over WebSockets: send the request as a POST")
        await AmpRoute(self._turn, target).serve_other(route.segment, route.protocol)

    async def _dispatch(self, route: Route, target: Target) -> None:
        turn = self._turn
        match route:
            case Management():
                turn.record.route_type = "MANAGEMENT"
                await AmpRoute(self._turn, target).serve()
            case ProviderOther():
                await AmpRoute(self._turn, target).serve_other(route.segment)
            case ModelList():
                await self._model_list(route, target)
            case Admin():
                await self._admin(route)
            case Home():
                turn.record.route_type, turn.record.source = "ADMIN", "ampmap"
                await turn.answers.whole(200, _HOME, b"text/plain; charset=utf-8", outcome="ok")
            case Unknown():
                where = f"{text(turn.head.method)} {printable(turn.record.path)}"
                message = f"ampmap serves nothing at {where}. {unknown_path_advice(target.path)}"
                await turn.answers.error(404, message, code=_UNKNOWN_PATH)

    async def _model_list(self, asked: ModelList, target: Target) -> None:
        turn = self._turn
        turn.record.route_type, turn.record.source = "ADMIN", "ampmap"
        await turn.first_lists()
        form = form_of(asked, target.query, turn.head.headers)
        body = await in_turns(scan_list(asked, form, turn.snapshot, turn.availability))
        if body is None:
            name = printable(asked.id or "")
            await turn.answers.error(404, f"no provider serves {name!r}; the list without a name tells what is served")
        else:
            await turn.answers.whole(200, body, outcome="ok")

    async def _admin(self, route: Admin) -> None:
        turn = self._turn
        turn.record.route_type, turn.record.source = "ADMIN", "ampmap"
        found = None
        if turn.snapshot.settings.admin and turn.head.method in (b"GET", b"HEAD"):
            found = turn.service.page(route.page)
        if found is None:
            pages = "health, ready, status, requests and metrics"
            await turn.answers.error(404, f"no such page under /_ampmap/; there are {pages}", code=_UNKNOWN_PATH)
        else:
            status, kind, body = found
            await turn.answers.whole(status, body, kind.encode("ascii"), outcome="ok")

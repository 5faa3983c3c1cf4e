"""Secrets are planted wherever a user or a client can put one, and looked for in all that ampmap says or shows."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from secrethome import AMP_CLIENT, CLIENT, ENV, SENT, assert_nowhere, furnish, secret

from ampmap.access.credentials import presented
from ampmap.access.gate import Peer, admit
from ampmap.amp.secrets import AmpSecret
from ampmap.config.file import load, parse
from ampmap.errors import ConfigError, ExchangeError
from ampmap.http.dialer import Dialer
from ampmap.http.headers import Empty, Fields
from ampmap.http.parser import RequestHead, RequestParser, ResponseHead, ResponseParser
from ampmap.http.query import parameters
from ampmap.proxy.state import Service
from ampmap.proxy.upstream_request import to_amp, to_provider
from ampmap.routing.decide import Ask, decide
from ampmap.routing.snapshot import Availability, compile_snapshot
from ampmap.routing.target import ModelRoute, parse_target, route_of
from ampmap.settings import Limits, Origin


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with secrets in its files."""
    furnish(tmp_path)
    return tmp_path


# The values that go from module to module.

FIELDS = Fields(
    [
        (b"Host", b"localhost"),
        (b"Authorization", b"Bearer " + CLIENT.encode()),
        (b"Cookie", b"session=planted"),
        (b"X-Other", b"planted"),
    ]
)
TARGET = f"/v1/chat/completions?key={secret('query')}&auth_token={secret('query')}"


def everything(home: Path) -> Iterator[tuple[str, object]]:
    loaded = load(home / "ampmap.yaml", {**ENV, "HOME": str(home)})
    settings = loaded.settings
    snapshot, _ = compile_snapshot(settings)
    head = RequestHead(b"POST", TARGET.encode(), FIELDS, b"1.1")
    target = parse_target(head.target, b"POST")
    route = route_of(target, b"POST", False)
    assert isinstance(route, ModelRoute)
    ask = Ask("openai-chat", "alias", headers=FIELDS)
    decision = decide(ask, snapshot, Availability())
    shown = presented(FIELDS, target.query)
    service = Service(snapshot, ENV)
    yield "what was loaded", loaded
    yield "settings", settings
    yield "snapshot", snapshot
    yield "request head", head
    yield "reply head", ResponseHead(200, b"OK", FIELDS, b"1.1")
    yield "target", target
    yield "parameters", parameters(target.query)
    yield "route", route
    yield "ask", ask
    yield "decision", decision
    yield "admission", admit(b"POST", target, FIELDS, route, Peer("127.0.0.1", True), settings, shown)
    yield "request for a provider", to_provider(decision.candidates[0], route, target, FIELDS, 1, settings,
                                                changed=True)  # fmt: skip
    yield "request for Amp", to_amp(b"GET", target, FIELDS, Empty(), settings, AMP_CLIENT, "sgamp_planted")
    yield "service", service
    yield "Amp's secret", AmpSecret({**ENV, "HOME": str(home)})
    yield "dialer", Dialer(ENV, Limits(), 1.0)
    yield "proxy", Dialer(ENV, Limits(), 1.0).proxy_for(Origin("https", "a.example", 443))
    service.pool.close()


async def test_nothing_that_holds_a_secret_shows_it(home: Path) -> None:
    for name, thing in everything(home):
        assert_nowhere(f"{name}: {thing!r} {thing}")


# Words about what was wrong.

WRONG = (
    "api-keys: {s}", "api-keys: {{a: {s}}}", "api-keys: [[{s}]]", "api-keys: ['{s} {s}']", "api-keys: [{s}",
    "api-keys: ['{s}]", "api-keys: [\"{s}\\q\"]", "api-keys: [*{s}]", "api-keys: [!{s} x]",
    "api-keys: [{s}]\napi-keys: [{s}]",
    "api-keys: [${{NOT_SET}}, {s}${{]", "api-keys: ['{s}\u20ac']", "api-keys:\n  - {s}\n {s}: x",
    "api-keys: [1, {s}: 2]",
    "api-keys: [{s}]\n\t{s}", "api-keys: [@{s}]", "amp-upstream-api-key: [{s}]", "amp-upstream-api-key: '{s}\u20ac'",
    "amp-upstream-api-keys: {s}", "amp-upstream-api-keys: [{s}]", "amp-upstream-api-keys: [{{api-keys: [{s}]}}]",
    "amp-upstream-api-keys: [{{upstream-api-key: '{s} x', api-keys: {s}}}]",
    "amp-upstream-api-keys: [{{upstream-api-key: {s}, api-keys: [{s}]}}, {{upstream-api-key: {s}, api-keys: [{s}]}}]",
    "amp-upstream-url: 'https://user:{s}@ampcode.com'", "amp-upstream-url: 'https://ampcode.com/?key={s}'",
    "amp-upstream-url: {s}", "allowed-origins: [{s}]", "listen: 'http://{s}:1'",
    "log: {{level: '${{SECRET}}'}}", "amp-credits: ${{SECRET}}",
    "providers: [{{name: a, type: openai, api-key: ['{s}']}}]",
    "providers: [{{name: a, type: openai, api-key: '{s} '{s}}}]",
    "providers: [{{name: a, type: openai, api-key: '${{SECRET}}\u20ac'}}]",
    "providers: [{{name: a, type: '${{SECRET}}'}}]",
    "providers: [{{name: a, type: openai, api-key-file: {s}}}]", "providers: [{{name: a, type: openai, ca-file: {s}}}]",
    "providers: [{{name: a, type: openai, api-key: {s}, api-key-file: {s}}}]",
    "providers: [{{name: a, type: openai, api-key: {s}, headers: {{X-A: \"{s}\\n\"}}}}]",
    "providers: [{{name: a, type: openai, api-key: {s}, headers: {{X-A: [{s}]}}}}]",
    "providers: [{{name: a, type: openai, api-key: {s}, headers: {{Host: {s}}}}}]",
    "providers: [{{name: a, type: openai, api-key: {s}, headers: [{s}]}}]",
    "providers: [{{name: a, base-url: 'http://u:{s}@h', protocols: [openai-chat]}}]",
    "providers: [{{name: a, base-url: 'http://h/?key={s}', protocols: [openai-chat]}}]",
    "providers: [{{name: a, base-url: 'http://h:{s}/', protocols: [openai-chat]}}]",
    "providers: [{{name: a, type: openai, auth: '${{SECRET}}'}}]",
)  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_no_complaint_about_a_configuration_quotes_a_secret(text: str) -> None:
    try:
        loaded = parse(text.format(s=secret("written")), "ampmap.yaml", {"SECRET": secret("variable")})
    except ConfigError as exc:
        assert_nowhere(exc, repr(exc), exc.complaints, "".join(traceback.format_exception(exc)))
    else:
        assert_nowhere(loaded, *loaded.warnings)


# A key where a word was expected, by a slip of the hand: no blank behind the colon, a line too far to the left.
SLIPS = (
    "providers: [{{name: a, type: openai, api-key:{s}}}]", "providers: [{{name: a, type: openai, api-key {s}}}]",
    "providers: [{{name: a, type: openai, api-key={s}}}]", "providers: [{{name: a, type: openai, {s}}}]",
    "providers:\n  - name: a\n    type: openai\n    api-key:{s}: 1\n", "{s}: x", "? {s}", "{s}: x\n{s}: x",
    "ampcode: {{upstream-api-key:{s}}}", "ampcode: {{{s}: 1}}", "timeouts: {{{s}: 1}}", "log: {{level: {s}}}",
    "amp-upstream-api-keys: [{{upstream-api-key:{s}, api-keys: [x]}}]", "amp-credits: {s}",
    "providers: [{{name: a, type: openai, auth: {s}}}]", "providers: [{{name: a, type: {s}}}]",
    "providers: [{{name: a, type: openai, protocols: [{s}]}}]",
    "providers: [{{name: a, type: openai, headers: {{'Authorization: Bearer {s}'}}}}]",
    "providers: [{{name: a, type: openai, headers: {{Authorization:Bearer{s}}}}}]",
    "providers: [{{name: a, type: openai, headers: {{'Authorization Bearer {s}': x}}}}]",
)  # fmt: skip


@pytest.mark.parametrize("key", ["sk-ant-api03-planted", "planted0a1b2c3d4e5f", "0a1b2c3d-planted"])
@pytest.mark.parametrize("text", SLIPS)
def test_no_complaint_about_a_word_quotes_the_key_that_stands_in_its_place(text: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text.format(s=key), "ampmap.yaml", {})

    assert_nowhere(caught.value, repr(caught.value))
    assert_nowhere("".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize("sent", SENT)
def test_no_error_about_a_message_quotes_it(sent: bytes) -> None:
    for parser in (RequestParser(Limits()), ResponseParser(Limits(), b"GET")):
        parser.feed(sent if isinstance(parser, RequestParser) else sent.replace(b"GET / HTTP/1.1", b"HTTP/1.1 200 OK"))
        try:
            if parser.head() is not None and isinstance(parser, RequestParser):
                rest = parser.rest()
                parser.chunked().feed(rest)
        except ExchangeError as exc:
            assert_nowhere(exc, repr(exc), "".join(traceback.format_exception(exc)))

"""Secrets are planted wherever a user or a client can put one, and looked for in all that ampmap says or shows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import kit
import pytest
from anyio import to_thread

from ampmap.access.credentials import presented
from ampmap.access.gate import Peer, admit
from ampmap.amp.secrets import AmpSecret
from ampmap.config.file import load, parse
from ampmap.errors import ConfigError, ExchangeError
from ampmap.http.dialer import Dialler
from ampmap.http.headers import Empty, Fields
from ampmap.http.parser import RequestHead, RequestParser, ResponseHead, ResponseParser
from ampmap.proxy.state import Service
from ampmap.proxy.upstream_request import to_amp, to_provider
from ampmap.records.log_format import JsonFormatter, TextFormatter
from ampmap.routing.decide import Ask, decide
from ampmap.routing.snapshot import Availability, compile_snapshot
from ampmap.routing.target import ModelRoute, parameters, parse_target, route_of
from ampmap.server import running
from ampmap.settings import Limits, ModelEntry, Origin, Settings, TcpListen

MARK = "planted"  # in each secret, and in nothing else


def secret(name: str) -> str:
    return f"sk-{MARK}-{name}"


ENV = {
    "PROVIDER_KEY": secret("provider"),
    "HEADER_VALUE": secret("header"),
    "AMP_KEY": f"sgamp_{MARK}_configured",
    "AMP_API_KEY": f"sgamp_{MARK}_environment",
    "ANTHROPIC_API_KEY": secret("anthropic"),
    "OPENAI_API_KEY": secret("openai"),
    "GEMINI_API_KEY": secret("gemini"),
    "OPENROUTER_API_KEY": secret("openrouter"),
    "HTTPS_PROXY": f"http://user:{secret('proxy')}@127.0.0.1:9",
    "ALL_PROXY": f"socks5://user:{secret('socks')}@127.0.0.1:9",
}
CLIENT = secret("client")
AMP_CLIENT = secret("amp-client")

CONFIG = """
listen: 127.0.0.1:{port}
api-keys: [{client}]
allowed-origins: ['https://app.example']
amp-upstream-url: {amp}
amp-upstream-api-key: ${{AMP_KEY}}
amp-upstream-api-keys: [{{upstream-api-key: sgamp_planted_of_client, api-keys: [{amp_client}]}}]
amp-model-mappings:
  - {{from: alias, to: m}}
providers:
  - {{name: good, base-url: '{good}', protocols: [openai-chat, anthropic], api-key: '${{PROVIDER_KEY}}', models: [m],
     headers: {{X-Team: '${{HEADER_VALUE}}'}}}}
  - {{name: filed, base-url: '{bad}', protocols: [openai-chat], api-key-file: key, models: [broken]}}
  - {{name: dead, base-url: 'http://127.0.0.1:9', protocols: [openai-chat], api-key: {inline}, models: [dead]}}
  - {{name: untrusted, base-url: 'https://untrusted.example', protocols: [openai-chat], api-key: {inline},
     models: [untrusted]}}
  - {{name: asked, base-url: '{bad}', protocols: [openai-chat], api-key: {inline}}}
log: {{level: debug}}
timeouts: {{drain-s: 0.1}}
"""


def config(port: int = 0, good: str = "http://127.0.0.1:9", bad: str = "http://127.0.0.1:9", amp: str = "") -> str:
    return CONFIG.format(
        port=port, good=good, bad=bad, amp=amp or good, client=CLIENT, amp_client=AMP_CLIENT, inline=secret("inline")
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a key in a file, and a login of Amp's."""
    (tmp_path / "key").write_text(secret("file"))
    secrets = tmp_path / ".local" / "share" / "amp" / "secrets.json"
    secrets.parent.mkdir(parents=True)
    secrets.write_text(json.dumps({"apiKey@https://ampcode.com/": f"sgamp_{MARK}_file", "x": secret("other")}))
    (tmp_path / "ampmap.yaml").write_text(config())
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in os.environ if name.startswith(("COV", "PATH", "LANG"))}
    return {**kept, **ENV, "HOME": str(home), "PYTHONDEVMODE": "1", "PYTHONFAULTHANDLER": "1"}


def assert_nowhere(*shown: object) -> None:
    for each in shown:
        content = each.decode("utf-8", "backslashreplace") if isinstance(each, bytes) else str(each)
        assert MARK not in content.lower(), content


# The values that go from room to room.

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
                                                plain_reply=True)  # fmt: skip
    yield "request for Amp", to_amp(b"GET", target, FIELDS, Empty(), settings, AMP_CLIENT, "sgamp_planted")
    yield "service", service
    yield "Amp's secret", AmpSecret({**ENV, "HOME": str(home)})
    yield "dialler", Dialler(ENV, Limits(), 1.0)
    yield "proxy", Dialler(ENV, Limits(), 1.0).proxy_for(Origin("https", "a.example", 443))
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


SENT = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization : Bearer planted\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization Bearer planted\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: plan\0ted planted\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\x01planted: x\r\n\r\n",
    b"GET /?key=planted  HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /?key=planted\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /?key=planted HTTP/3.7\r\nHost: localhost\r\n\r\n",
    b"GET http://u:planted@localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://localhost/%2e%2e/?planted HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /#planted HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /?key=planted HTTP/1.1\r\nHost: u:planted@localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: planted\r\nX-Api-Key: planted\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: planted\r\nHost: planted\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: planted\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: planted\r\n\r\n",
    b"planted\r\n\r\n",
    b"\x16\x03\x01planted\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nplanted\r\n\r\n",
    kit.post(b'{"model": "m", "planted', b"X-Api-Key: " + CLIENT.encode()),
    kit.post(b'{"model": ["planted"]}', b"X-Api-Key: " + CLIENT.encode()),
    kit.get(b"/_ampmap/status", b"X-Api-Key: planted-wrong"),
    kit.get(b"/_ampmap/status", b"Authorization: Basic planted-wrong"),
    kit.get(b"/_ampmap/status?key=planted-wrong"),
    kit.get(b"/auth?auth_token=planted-wrong", b"Cookie: session=planted"),
    kit.get(b"/_ampmap/nothing", b"X-Api-Key: " + CLIENT.encode()),
    kit.get(b"/nothing?key=" + CLIENT.encode()),
    kit.get(b"/v1/models/none?key=" + CLIENT.encode()),
    kit.get(b"/v1/models", b"Origin: https://evil.example", b"Authorization: Bearer planted"),
    kit.get(b"/v1/models", b"Sec-Fetch-Site: cross-site", b"Cookie: session=planted"),
)


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


# A whole proxy, at every level, in both forms.


@asynccontextmanager
async def upstreams() -> AsyncIterator[tuple[kit.Scripted, kit.Scripted]]:
    """Two that say back what they were sent: one in a reply that is passed on nowhere here, one where it is no HTTP."""

    async def good(peer: kit.Peer) -> None:
        while True:
            await peer.read_message()
            await peer.send(kit.OK)

    async def bad(peer: kit.Peer) -> None:
        message = await peer.read_message()
        held = next((value for name, value in message.lines if name == b"Authorization"), b"planted")
        replies = (b"HTTP/1.1 200 OK\r\nX-Said " + held + b"\r\n\r\n", b"you said " + held + b"\r\n\r\n")
        await peer.send(replies[message.start.startswith(b"GET")])

    async with kit.scripted(good) as first, kit.scripted(bad) as second:
        yield first, second


MODELS = ("m", "alias", "broken", "dead", "untrusted", "nobody")
PAGES = ("status", "requests", "metrics", "health", "ready")


async def talk(port: int) -> list[bytes]:
    """Ask for everything that can be asked for, well and badly; return all that was answered."""
    key = b"Authorization: Bearer " + CLIENT.encode()
    heard = []

    async def say(sent: bytes) -> None:
        stream = await anyio.connect_tcp("127.0.0.1", port)
        peer = kit.Peer(stream)
        await peer.send(sent)
        with anyio.fail_after(kit.GUARD_S):
            heard.append(await peer.read_rest())
        await peer.close()

    for sent in SENT:
        await say(sent.replace(b"\r\nHost", b"\r\nConnection: close\r\nHost", 1))
    for model in MODELS:
        body = json.dumps({"model": model, "messages": [secret("prompt")]}).encode()
        for path in (b"/v1/chat/completions?key=planted", b"/api/provider/x/v1/messages"):
            lines = (b"Connection: close", b"Cookie: planted", b"X-Amp-Thread: planted")
            await say(kit.post(body, key, *lines, path=path))
    for path in (b"/api/internal?x&key=planted", b"/threads/x", b"/v1/models", b"/api/provider/x/y"):
        await say(kit.get(path, b"X-Api-Key: " + AMP_CLIENT.encode(), b"Connection: close"))
        await say(kit.get(path, key, b"Connection: close"))
    for page in PAGES:
        await say(kit.get(b"/_ampmap/" + page.encode(), key, b"Connection: close"))
    return heard


@contextmanager
def serving(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Path, Path]]:
    """Run the program; yield it and the files that it writes its output to."""
    out, err = home / "out", home / "err"
    with out.open("wb") as output, err.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-m", "ampmap", "--config", str(home / "ampmap.yaml"), *arguments],
            stdout=output, stderr=errors, env=environment(home),
        )  # fmt: skip
        try:
            yield process, out, err
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.mark.parametrize("form", ["text", "json"])
async def test_a_whole_proxy_says_no_secret(form: str, home: Path) -> None:
    """It is asked for everything, given a broken file, and killed so that it prints what each of its threads does."""
    file = home / "ampmap.yaml"
    async with upstreams() as (good, bad):
        file.write_text(config(0, str(good.origin), str(bad.origin)))
        with serving(home, "--log-format", form) as (process, out, err):
            await kit.until(lambda: b"Gemini CLI" in out.read_bytes())
            port = int(out.read_text().partition("listens on http://127.0.0.1:")[2].split()[0])
            for entry in ("cmdline", "status", "stat", "comm"):
                assert_nowhere(Path(f"/proc/{process.pid}/{entry}").read_bytes())
            for thread in Path(f"/proc/{process.pid}/task").iterdir():
                assert_nowhere((thread / "comm").read_bytes())
            heard = await talk(port)
            file.write_text(config() + f"api-keys: [{secret('twice')}]\nproviders: {secret('twice')}\n")
            process.send_signal(signal.SIGHUP)
            await kit.until(lambda: b"was not reloaded" in err.read_bytes())
            file.write_text(config(0, str(good.origin), str(bad.origin)).replace(CLIENT, secret("new-client")))
            process.send_signal(signal.SIGHUP)
            await kit.until(lambda: b"generation 2" in err.read_bytes())
            process.send_signal(signal.SIGABRT)
            await to_thread.run_sync(process.wait)
        seen = good.seen

    said = err.read_text()
    assert "Fatal Python error: Aborted" in said
    assert_nowhere(out.read_text(), said, *heard)
    statuses = {answer.split(b" ")[1] for answer in heard if answer}
    assert {b"200", b"400", b"401", b"403", b"404", b"502"} <= statuses, statuses
    # And they did go where they belong.
    assert any(secret("provider").encode() in (message.one(b"authorization") or b"") for message in seen)
    assert any(secret("header").encode() == message.one(b"x-team") for message in seen)
    assert any(b"sgamp_planted_configured" == message.one(b"x-api-key") for message in seen)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["check", "--strict"], 0),
        (["explain", "alias"], 0),
        (["explain", "alias", "--json"], 0),
        (["explain", "nobody"], 3),
        (["explain", "--request", "body.json"], 0),
        (["env"], 0),
        (["env", "amp"], 0),
        (["env", "claude"], 0),
        (["env", "codex"], 0),
        (["map", "list"], 0),
        (["map", "add", "a", "m"], 0),
        (["map", "remove", "alias"], 0),
        (["init"], 2),
        (["check", "--config", "broken.yaml"], 2),
        (["check", "--config", "nothing.yaml"], 2),
    ],
)
async def test_no_command_says_a_secret(arguments: list[str], code: int, home: Path) -> None:
    (home / "body.json").write_text(json.dumps({"model": "alias"}))
    async with upstreams() as (good, bad):
        text = config(1, str(good.origin), str(bad.origin))
        (home / "ampmap.yaml").write_text(text)
        for file in home.iterdir():
            file.chmod(file.stat().st_mode & ~0o077)  # check --strict has nothing to warn of
        (home / "broken.yaml").write_text(text + f"api-keys: [{secret('twice')}]\nlog: {secret('twice')}\n")
        command = [sys.executable, "-X", "dev", "-m", "ampmap", "--config", "ampmap.yaml", *arguments]
        with anyio.fail_after(kit.GUARD_S * 2):
            done = await anyio.run_process(command, env=environment(home), cwd=home, check=False)

    assert code == done.returncode, done
    assert_nowhere(done.stdout, done.stderr)


EMBEDS = "import ampmap, os, sys; ampmap.load_config(__import__('pathlib').Path(sys.argv[1]), os.environ)"


@pytest.mark.parametrize("end", ["api-keys: [{s}", "log: {{level: '{s}\\q}}", "api-keys: [{s}]\nlog: {s}"])
async def test_a_program_that_dies_of_a_broken_file_prints_no_secret(end: str, home: Path) -> None:
    (home / "broken.yaml").write_text(config() + end.format(s=secret("written")))
    command = [sys.executable, "-X", "dev", "-c", EMBEDS, str(home / "broken.yaml")]
    done = await anyio.run_process(command, env=environment(home), check=False)

    assert 1 == done.returncode, done
    assert b"Traceback" in done.stderr
    assert_nowhere(done.stdout, done.stderr)


async def test_what_init_writes_holds_no_secret(home: Path) -> None:
    path = home / "new.yaml"
    command = [sys.executable, "-m", "ampmap", "--config", str(path), "init"]
    done = await anyio.run_process(command, env=environment(home), check=False)

    assert 0 == done.returncode, done
    assert_nowhere(done.stdout, done.stderr, path.read_text())


# Bugs.


@pytest.mark.parametrize("where", ["provider key", "header", "Amp key"])
async def test_the_traceback_of_a_bug_holds_no_secret(where: str, caplog: pytest.LogCaptureFixture) -> None:
    """Settings that no file can hold, made by a program: what can't be sent is a bug, told with its traceback."""
    broken = secret("broken") + "\u20ac"
    async with upstreams() as (good, _):
        ours = replace(kit.provider(good.origin), models=(ModelEntry(id="m"),))
        settings = Settings(listen=(TcpListen(port=0),), providers=(ours,), timeouts=kit.times())
        if where == "provider key":
            settings = replace(settings, providers=(replace(ours, api_key=broken),))
        elif where == "header":
            settings = replace(settings, providers=(replace(ours, headers=(("X-A", broken),)),))
        else:
            settings = replace(settings, amp=replace(settings.amp, origin=good.origin, api_key=broken))
        async with running(settings, env={}) as proxy, kit.connected(proxy) as client:
            await client.send(kit.get(b"/api/internal") if where == "Amp key" else kit.post(kit.BODY))
            heard = await client.read_rest()
            record = await kit.record_of(proxy)

    assert "a bug in ampmap: UnicodeEncodeError" == record.detail
    logged = [entry for entry in caplog.records if entry.exc_info]
    assert 1 == len(logged)
    for formatter in (TextFormatter(), JsonFormatter()):
        shown = formatter.format(logged[0])
        assert "Traceback" in shown and "UnicodeEncodeError" in shown
        assert_nowhere(shown)
    assert_nowhere(heard, repr(record), str(record), json.dumps(record.fields()))

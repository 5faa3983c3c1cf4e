"""A whole proxy, each command and the traceback of a bug show no secret."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import kit
import pytest
from anyio import to_thread
from secrethome import AMP_CLIENT, CLIENT, SENT, assert_nowhere, config, environment, furnish, secret, upstreams

from ampmap.records.log_format import JsonFormatter, TextFormatter
from ampmap.server import running
from ampmap.settings import ModelEntry, Settings, TcpListen


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with secrets in its files."""
    furnish(tmp_path)
    return tmp_path


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


@pytest.mark.sample(1 / 2)
@pytest.mark.parametrize("form", ["text", "json"])
async def test_a_whole_proxy_says_no_secret(form: str, home: Path) -> None:
    """It is asked for everything, given a broken file, and killed so that it prints what each of its threads does."""
    file = home / "ampmap.yaml"
    async with upstreams() as (good, bad):
        file.write_text(config(0, str(good.origin), str(bad.origin)))
        with serving(home, "--log-format", form) as (process, out, err):
            await kit.until(lambda: b"point an agent here:" in out.read_bytes())
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


@pytest.mark.sample(1 / 12)
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
        (["doctor"], 1),
        (["doctor", "--json"], 1),
        (["replay", "ampmap.log"], 0),
        (["schema"], 0),
        (["check", "--config", "broken.yaml"], 2),
        (["check", "--config", "nothing.yaml"], 2),
    ],
)
async def test_no_command_says_a_secret(arguments: list[str], code: int, home: Path) -> None:
    (home / "body.json").write_text(json.dumps({"model": "alias"}))
    (home / "ampmap.log").write_text(json.dumps({"route_type": "AMP_CREDITS"}))
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


@pytest.mark.sample(1 / 3)
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

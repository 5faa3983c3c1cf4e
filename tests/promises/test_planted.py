"""A secret that comes out in any test is seen: the looking itself is looked at, in runs of pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# The secret is put together only as the inner test runs: this one may not show it either.
INNER = """
import dataclasses, logging, subprocess, sys
import anyio, httpx, kit, planted, pytest
from ampmap.server import running
from ampmap.settings import Amp, Settings, TcpListen

SECRET = "-".join(("provider", "key"))

def test_prints():
    print(SECRET)

def test_complains():
    print(SECRET, file=sys.stderr)

def test_logs():
    logging.getLogger("ampmap.access").warning("a %s", SECRET)

def test_reads_what_it_printed(capsys):
    print(SECRET)
    capsys.readouterr()

def test_runs_a_program():
    subprocess.run([sys.executable, "-c", f"print({SECRET!r})"], capture_output=True)

def test_reads_what_a_program_prints():
    process = subprocess.Popen([sys.executable, "-c", f"print({SECRET!r})"], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout.readline()

def test_reads_bytes_that_a_program_prints():
    process = subprocess.Popen([sys.executable, "-c", f"print({SECRET!r})"], stderr=-1, stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline()
        assert process.stderr.read() == b""

async def test_runs_a_program_beside_the_loop():
    await anyio.run_process([sys.executable, "-c", f"print({SECRET!r})"])

@pytest.mark.parametrize("close", [False, True])
def test_runs_a_program_that_prints_into_a_file(tmp_path, close):
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", f"print({SECRET!r})"], stdout=log, stderr=log.fileno())
        if not close:
            process.wait()
    process.wait()

class Settled:
    # With keys that no other test knows.

    def __init__(self, upstream):
        own = dataclasses.replace(kit.provider(upstream.origin), api_key="a-key-of-its-own")
        amp = Amp(origin=upstream.origin, api_key="another-key-of-its-own")
        self.settings = Settings(listen=(TcpListen(port=0),), amp=amp, providers=(own,), timeouts=kit.times())

async def test_records_a_key_of_its_own():
    async with kit.scripted(kit.answering(kit.OK)) as upstream, running(Settled(upstream).settings, env={}) as proxy:
        async with httpx.AsyncClient(base_url=proxy.url) as client:
            await client.head("/another-key-of-its-own")

async def test_sends_a_key_of_its_own_to_a_client_that_is_not_of_kit():
    async def split(peer):
        await peer.read_message()
        reply = b"HTTP/1.1 200 OK\\r\\nContent-Length: 16\\r\\n\\r\\na-key-of-its-own"
        await peer.send(reply[:-4])
        await peer.send(reply[-4:])
    async with kit.scripted(split) as upstream, running(Settled(upstream).settings, env={}) as proxy:
        async with httpx.AsyncClient(base_url=proxy.url) as client:
            await client.post("/v1/chat/completions", content=b'{"model": "m"}')

async def test_sends_it_to_a_client():
    async def split(peer):
        await peer.read_message()
        reply = b"HTTP/1.1 200 OK\\r\\nContent-Length: 12\\r\\n\\r\\n" + SECRET.encode()
        await peer.send(reply[:-4])
        await peer.send(reply[-4:])
    async with kit.scripted(split) as upstream, kit.proxying(upstream.origin) as proxy:
        await kit.ask(proxy, kit.post(b'{"model": "m"}'))

async def test_records_it():
    async with kit.scripted(kit.answering(kit.OK)) as upstream, kit.proxying(upstream.origin) as proxy:
        await kit.ask(proxy, kit.get(b"/" + SECRET.encode(), method=b"HEAD"), no_body=True)

@pytest.mark.shows_secrets("to show that it may")
def test_may():
    print(SECRET)

def test_says_nothing():
    print("nothing")
"""
LEAKING = 14


@pytest.mark.shows_secrets("those of the tests within")
def test_each_way_out_is_watched(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(INNER)
    (tmp_path / "pytest.ini").write_text("[pytest]\nanyio_mode = auto\naddopts = --strict-markers\n")
    tests = Path(__file__).parent.parent
    path = f"{tests}{os.pathsep}{tests / 'support'}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-q", "--tb=no", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip

    report = done.stdout.decode().replace("provider-key", "SECRET")
    assert f"16 passed, {LEAKING} errors" in report, report

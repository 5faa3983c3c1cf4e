"""Instructions per request, per event and per large body, counted by valgrind: all but the same from run to run.

    PYTHONPATH=tests python -m benchmarks.instructions [--tree DIR] [--works small,event,large,start]

``--tree`` is another checkout to be measured with the same Python, for a comparison. Each work runs twice, with
different counts, in a proxy of its own on asyncio; the difference leaves the start out. The client and the upstream run
outside valgrind, in this process, and wait for each other, so that the proxy reads each piece by itself. The works with
``t-`` are translated from Messages into Chat Completions; ``m-200k`` is the body of ``t-200k`` renamed alone. The
works with ``u-`` are events that state no tokens, ``usage: null``, or as Gemini's do, all of them; each is counted
again in a proxy that does not look for tokens, for the share of that.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import bodies

_PATH = "/api/provider/openai/v1/chat/completions"
_MESSAGES = "/v1/messages"
_GEMINI = "/v1beta/models/m:streamGenerateContent?alt=sse"
_RUN = "import sys; sys.modules['uvloop'] = None; from ampmap.__main__ import main; sys.exit(main())"
# Two things depend on the time: what the watcher of the configuration does, and how many turns work takes.
_ALONE = f"""
import anyio, time
try:
    from ampmap.config import watch
except ImportError:
    from ampmap import watch  # 0.1
watch.Watcher.run = lambda _: anyio.sleep_forever()
time.thread_time = float
{_RUN}
"""
_UNREAD = "from ampmap.proxy import relay; relay.reader_of = lambda *_, **__: None" + _ALONE
_COUNTED = re.compile(r"I\s+refs:\s+([\d,]+)")
_LISTENS = re.compile(r"http://127\.0\.0\.1:(\d+)")
_WAIT_S = 600.0  # valgrind is some thirty times slower than the machine, which may be busy


class Pair:
    """A connection through the proxy: the client's end of it and, once a request was sent, the upstream's."""

    def __init__(self, port: int, listener: socket.socket) -> None:
        self.client = socket.create_connection(("127.0.0.1", port), timeout=_WAIT_S)
        self._listener = listener
        self._upstream: socket.socket | None = None

    def exchange(self, request: bytes, reply: bytes) -> None:
        """Send a request through, answer it, and read the answer's last byte."""
        self.client.sendall(request)
        self.read_request()
        self.send(reply)
        self.read_until(b"\r\n0")  # the reply is renamed, so it comes in chunks

    def read_request(self) -> None:
        if self._upstream is None:
            self._upstream, _ = self._listener.accept()
            self._upstream.settimeout(_WAIT_S)
        seen = b""
        while b"\r\n\r\n" not in seen:
            seen += self._upstream.recv(1 << 20)
        head, _, body = seen.partition(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert found is not None
        left = int(found[1]) - len(body)
        while left > 0:
            left -= len(self._upstream.recv(1 << 20))

    def send(self, data: bytes) -> None:
        assert self._upstream is not None
        self._upstream.sendall(data)

    def read_until(self, end: bytes) -> None:
        seen = b""
        while not seen.rstrip().endswith(end):
            data = self.client.recv(1 << 20)
            assert data, "the proxy closed the connection"
            seen += data


def _small(pair: Pair, count: int) -> None:
    body = b'{"model": "alias", "messages": [{"role": "user", "content": "%b"}]}' % (b"x" * 2000)
    reply = b'{"id": "1", "model": "m", "choices": []}'
    for _ in range(count):
        pair.exchange(_request(body), _reply(reply))


def _large(pair: Pair, count: int) -> None:
    text = b'{"role": "user", "content": "%b"}, ' % (b"The quick brown fox. " * 50)
    body = b'{"messages": [' + text * 4700 + b'{}], "model": "alias"}'
    for _ in range(count):
        pair.exchange(_request(body), _reply(b'{"model": "m"}'))


def _events(template: bytes, end: bytes = b"\n\n", path: str = _PATH) -> Callable[[Pair, int], None]:
    """Return a work that sends events of a template; no two tokens in a row are the same."""

    def work(pair: Pair, count: int) -> None:
        pair.client.sendall(_request(b'{"model": "alias", "stream": true}', path))
        pair.read_request()
        pair.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(count):
            event = b"data: " + template % number + end
            pair.send(b"%x\r\n%b\r\n" % (len(event), event))
            pair.read_until(template[-3:])
        pair.send(b"0\r\n\r\n")

    return work


_TEXT = b'{"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"content": "%04d"}}]'
_GEMINI_TEXT = (
    b'{"candidates": [{"content": {"parts": [{"text": "%04d"}], "role": "model"}, "index": 0}], "usageMetadata": '
    b'{"promptTokenCount": 30, "candidatesTokenCount": 7, "totalTokenCount": 37, "promptTokensDetails": '
    b'[{"modality": "TEXT", "tokenCount": 30}]}, "modelVersion": "m", "responseId": "1"}'
)


_CHUNK = b'{"id": "1", "choices": [{"index": 0, "delta": {"content": "%04d"}%b}]}'


def _translated_small(pair: Pair, count: int) -> None:
    reply = json.dumps({"id": "1", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}).encode()
    for _ in range(count):
        pair.client.sendall(_request(bodies.agent("alias", 0), _MESSAGES))
        pair.read_request()
        pair.send(_reply(reply))
        pair.read_until(b"}}")


def _translated_large(pair: Pair, count: int) -> None:
    body = bodies.agent("alias", 30)
    reply = json.dumps({"id": "1", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}).encode()
    for _ in range(count):
        pair.client.sendall(_request(body, _MESSAGES))
        pair.read_request()
        pair.send(_reply(reply))
        pair.read_until(b"}}")


def _renamed_large(pair: Pair, count: int) -> None:
    body = bodies.agent("alias", 30)
    for _ in range(count):
        pair.exchange(_request(body), _reply(b'{"id": "1", "model": "m", "choices": []}'))


def _translated_event(pair: Pair, count: int) -> None:
    body = json.loads(bodies.agent("alias", 0)) | {"stream": True}
    pair.client.sendall(_request(json.dumps(body).encode(), _MESSAGES))
    pair.read_request()
    pair.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in range(count):
        event = b"data: %b\n\n" % (_CHUNK % (number, b""))
        pair.send(b"%x\r\n%b\r\n" % (len(event), event))
        pair.read_until(b'"%04d"}}' % number)
    last = b"data: %b\n\ndata: [DONE]\n\n" % (_CHUNK % (0, b', "finish_reason": "stop"'))
    pair.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last))


def _start(pair: Pair, count: int) -> None:
    """Nothing but the start."""


WORKS: dict[str, tuple[Callable[[Pair, int], None], int, int]] = {
    "small": (_small, 50, 250),
    "event": (_events(_TEXT + b"}"), 100, 2100),
    "large": (_large, 2, 6),
    "start": (_start, 0, 1),
    "t-small": (_translated_small, 50, 250),
    "m-200k": (_renamed_large, 5, 25),
    "t-200k": (_translated_large, 5, 25),
    "t-event": (_translated_event, 100, 600),
    "u-none": (_events(_TEXT + b"}"), 100, 2100),
    "u-null": (_events(_TEXT + b', "usage": null}'), 100, 2100),
    "u-gemini": (_events(_GEMINI_TEXT, b"\r\n\r\n", _GEMINI), 100, 2100),
}


def _request(body: bytes, path: str = _PATH) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nUser-Agent: bench\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _reply(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _port(proxy: subprocess.Popen[str]) -> int:
    """Return the port that the proxy says it listens on."""
    assert proxy.stdout is not None
    for line in proxy.stdout:
        if found := _LISTENS.search(line):
            return int(found[1])
    raise AssertionError("the proxy has not started")


def counted(tree: Path, work: Callable[[Pair, int], None], count: int, run: str = _ALONE) -> int:
    """Return the instructions of one proxy of ``tree`` from its start to its end, with ``count`` units of work."""
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryDirectory() as folder:
        listener.settimeout(_WAIT_S)
        config = Path(folder, "own", "config.yaml")
        config.parent.mkdir()
        config.write_text(
            "listen: 127.0.0.1:0\n"
            "amp-upstream-url: ''\n"
            "amp-model-mappings: [{from: alias, to: m}]\n"
            f"providers: [{{name: p, base-url: 'http://127.0.0.1:{listener.getsockname()[1]}',"
            " protocols: [openai-chat, gemini], models: [m]}]\n"
        )
        command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        command += [sys.executable, "-c", run, "--config", str(config)]
        env = {**os.environ, "PYTHONHASHSEED": "0"}
        said = Path(folder, "stderr")  # no pipe: a full one would give the writer of the log other work
        with said.open("w") as errors:
            proxy = subprocess.Popen(command, cwd=tree, env=env, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            pair = Pair(_port(proxy), listener)
            work(pair, count)
            pair.client.close()
            proxy.send_signal(signal.SIGTERM)
            proxy.communicate(timeout=_WAIT_S)
        finally:
            proxy.kill()
            proxy.wait()
        found = _COUNTED.search(said.read_text())
        assert found is not None, said.read_text()
        return int(found[1].replace(",", ""))


def _each(tree: Path, name: str, run: str = _ALONE) -> int:
    work, few, many = WORKS[name]
    if not few:
        return counted(tree, work, few, _RUN)
    return (counted(tree, work, many, run) - counted(tree, work, few, run)) // (many - few)


def main() -> int:
    """Print one line for each work: its name and its instructions."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", type=Path, default=Path.cwd())
    parser.add_argument("--works", default=",".join(WORKS))
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("valgrind is not installed")
        return 1
    compileall.compile_dir(options.tree / "ampmap", quiet=2)  # a start compiles nothing where ampmap is installed
    for name in options.works.split(","):
        each = _each(options.tree, name)
        share = f", {each / _each(options.tree, name, _UNREAD) - 1:.1%} of it for tokens" if name[:2] == "u-" else ""
        print(f"{name:8} {each:>12,} instructions{share}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

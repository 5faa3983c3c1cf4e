"""A wire tap between the CLI and ampmap: passes bytes, keeps a copy, and takes the copy apart afterwards."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One HTTP message as it passed."""

    start: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first value of a header field."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def method(self) -> str:
        """The method of a request."""
        return self.start.split(" ")[0]

    @property
    def target(self) -> str:
        """The target of a request."""
        return self.start.split(" ")[1]

    @property
    def status(self) -> int:
        """The status of a reply."""
        return int(self.start.split(" ")[1])


@dataclass(frozen=True)
class Exchange:
    """A request and the reply it was given, None when there was none."""

    asked: Message
    reply: Message | None


class Tap:
    """``url`` is where the CLI is sent."""

    def __init__(self, port: int) -> None:
        self._onward = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._copies: list[tuple[bytearray, bytearray]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._onward))
            there, back = bytearray(), bytearray()
            self._copies.append((there, back))
            for source, sink, copy in ((near, far, there), (far, near, back)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=_pass_on, args=(source, sink, copy), daemon=True).start()

    def close(self) -> None:
        """Accept nothing more."""
        self._listener.close()

    def exchanges(self) -> list[Exchange]:
        """Return all that has passed, connection by connection."""
        found: list[Exchange] = []
        for there, back in self._copies:
            asked, replies = list(_messages(bytes(there))), list(_messages(bytes(back)))
            replies = [reply for reply in replies if reply.status == 101 or reply.status >= 200]
            found += [Exchange(each, replies[at] if at < len(replies) else None) for at, each in enumerate(asked)]
        return found


@contextmanager
def tapping(port: int) -> Iterator[Tap]:
    """Pass on to ``port`` what is sent to the tap, while the context lasts."""
    tap = Tap(port)
    try:
        yield tap
    finally:
        tap.close()


def _pass_on(source: socket.socket, sink: socket.socket, copy: bytearray) -> None:
    try:
        while piece := source.recv(65536):
            copy += piece
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def _messages(raw: bytes) -> Iterator[Message]:
    """Take apart what one side of a connection said; what is cut off counts as far as it goes."""
    while raw:
        head, blank, raw = raw.partition(b"\r\n\r\n")
        if not blank:
            return
        start, *lines = head.decode("latin-1").split("\r\n")
        headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        fields = {name.lower(): value for name, value in headers}
        is_reply = start.startswith("HTTP/")
        if fields.get("transfer-encoding", "").lower() == "chunked":
            body, raw = _unchunked(raw)
        elif "content-length" in fields:
            size = int(fields["content-length"])
            body, raw = raw[:size], raw[size:]
        elif fields.get("upgrade") or (is_reply and start.split(" ")[1] not in ("204", "304")):
            body, raw = raw, b""
        else:
            body = b""
        yield Message(start, headers, body)


def _unchunked(raw: bytes) -> tuple[bytes, bytes]:
    body = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if length == 0:
            return body, raw.partition(b"\r\n")[2]  # nobody here sends trailers
        body, raw = body + raw[:length], raw[length + 2 :]
    return body, b""

"""Requests that two readers could cut differently.

The spellings are facts from public collections: the permutations of Burp's HTTP Request Smuggler, PortSwigger's desync
papers, the HTTP Garden, and the advisories of the servers that fell for them. Every request hides another one, for
``HIDDEN_PATH``, which would be passed on if anybody took it for a request of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from spelledcodings import TRANSFER_ENCODINGS, Reading

BODY = b'{"model": "alias", "n": 1}'
SENT_BODY = b'{"model": "m", "n": 1}'  # as the provider of the model gets it
HIDDEN_PATH = b"/api/internal/hidden"
HIDDEN = b"GET %b HTTP/1.1\r\nHost: localhost\r\nX: y\r\n\r\n" % HIDDEN_PATH
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)

Verdict = Literal["refused", "passes", "either"]


@dataclass(frozen=True, slots=True)
class Case:
    """One way to spell a request. ``@`` in ``raw`` stands for the path of the route that is tried.

    ``refused`` means an error, an end of the connection and no whole request upstream; ``passes`` means that the first
    request is served, ``either`` that only what holds for all of them is asked for.
    """

    name: str
    raw: bytes
    verdict: Verdict

    def at(self, path: bytes) -> bytes:
        return self.raw.replace(b"@", path, 1)


_VERDICTS: dict[Reading, tuple[Verdict, Verdict]] = {  # alone, and with a length
    "chunked": ("passes", "refused"),
    "ignored": ("either", "passes"),
    "refused": ("refused", "refused"),
    "either": ("either", "either"),
}


def transfer_encodings() -> Iterator[Case]:
    """Spell each coding with and without a length that says otherwise, before and behind it."""
    long = b"0\r\n\r\n" + HIDDEN  # a reader of chunks ends at once, and finds another request
    short = b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)  # a reader of the length finds it within the chunk
    start = b"POST @ HTTP/1.1\r\nHost: localhost\r\n"
    for name, (line, reading) in TRANSFER_ENCODINGS.items():
        alone, mixed = _VERDICTS[reading]
        lengths = b"Content-Length: %d\r\n" % len(long), b"Content-Length: %d\r\n" % (len(b"%x" % len(HIDDEN)) + 2)
        yield Case(f"{name}, alone", start + line + b"\r\n\r\n" + CHUNKS, alone)
        yield Case(f"{name}, CL.TE", start + line + b"\r\n" + lengths[0] + b"\r\n" + long, mixed)
        yield Case(f"{name}, TE.CL", start + lengths[1] + line + b"\r\n\r\n" + short, mixed)
        yield Case(
            f"{name}, HTTP/1.0", b"POST @ HTTP/1.0\r\nHost: localhost\r\n" + line + b"\r\n\r\n" + CHUNKS,
            "refused" if reading == "chunked" else alone,
        )  # fmt: skip


def lengths() -> Iterator[Case]:
    """Spell the length of a body, with a hidden request behind it."""
    n = len(BODY)
    good = (
        b"%d", b" %d", b"%d ", b"\t%d\t", b"000%d", b"%d, %d", b"%d,%d", b"%d , %d", b"\r\n %d", b"%d\r\n ",
        b"%d\r\nContent-Length: %d", b"%d\r\ncontent-length: %d", b"%d\r\nConnection: content-length", b"%d\nFoo: bar",
    )  # fmt: skip
    bad = (
        b"", b"+%d", b"-%d", b"0x%x", b"%d.0", b"%de0", b"%d;x", b"%d x", b"%d %d", b"%d,", b",%d", b"%d, 0",
        b"0, %d", b"0,%d,0", b"%d\\", b'"%d"', b"'%d'", b"(%d)", b"%dL", b"1_0", b"x", b"NaN", b"%d\x00", b"\x00%d",
        b"%d\x0b",
        b"\x0b%d", b"%d\x0c", b"%d\r", b"\r%d", b"%d\xa0", b"\xa0%d", b"%d\x85", b"\xef\xbb\xbf%d", b"%d\x7f",
        b"1\r\n 0", b"%d\r\nContent-Length: 0", b"0\r\nContent-Length: %d", b"%d\r\nContent-Length: +%d",
        b"%d\r\nContent-Length:", b"%d\r\nContent-Length: %d, 0", b"9" * 20, b"9" * 21, b"9" * 5000,
        b"18446744073709551642", b"4294967322", "\u0662\u0666".encode(), "\uff12\uff16".encode(), b"\xb2\xb6",
    )  # fmt: skip
    start = b"POST @ HTTP/1.1\r\nHost: localhost\r\n"
    verdicts: tuple[tuple[tuple[bytes, ...], Verdict], ...] = ((good, "passes"), (bad, "refused"))
    for spellings, verdict in verdicts:
        for spelled in spellings:
            count = len(re.findall(rb"%[dx]", spelled))
            shown = spelled % ((n,) * count) if count else spelled
            yield Case(
                f"value {shown[:40]!r}", start + b"Content-Length:" + shown + b"\r\n\r\n" + BODY + HIDDEN, verdict
            )
    names = (
        b"Content-Length ", b"Content-Length\t", b"Content Length", b"Content\\Length", b"Content-Length x",
        b"\x0bContent-Length",
        b"Content-Length\x00", b"\x00Content-Length", b"Content-Length\r", b"Cont\rent-Length", b"Content-Length\xa0",
        b"Content\xadLength", b"C\xf6ntent-Length", b":content-length", b'"Content-Length"', b"Content-Length\n ",
    )  # fmt: skip
    for name in names:
        yield Case(f"name {name!r}", start + name + b": %d\r\n\r\n" % n + BODY + HIDDEN, "refused")
    for name in (b"Content_Length", b"X-Content-Length", b"Foo: bar\r\n Content-Length", b"Content-%4cength"):
        yield Case(f"name {name!r}", start + name + b": %d\r\n\r\n" % n + BODY + HIDDEN, "either")
    yield Case(
        "GET with a body",
        b"GET @ HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % n + BODY + HIDDEN,
        "passes",
    )
    yield Case(
        "HEAD with a body", b"HEAD @ HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % n + BODY, "passes"
    )
    yield Case("a hidden request for a body", start + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN, "passes")
    yield Case("no length at all", start + b"\r\n" + BODY + HIDDEN, "either")
    yield Case("length 0 and a body", start + b"Content-Length: 0\r\n\r\n" + HIDDEN + BODY, "either")
    yield Case(
        "HTTP/1.0",
        b"POST @ HTTP/1.0\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n" % n + BODY + HIDDEN,
        "passes",
    )
    yield Case("HTTP/1.0 without length", b"POST @ HTTP/1.0\r\n\r\n" + BODY + HIDDEN, "either")


def chunks() -> Iterator[Case]:
    """Spell the chunks of a body, with a hidden request behind them or within."""
    start = b"POST @ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    n, end = b"%x" % len(BODY), b"0\r\n\r\n"
    good = (
        n, n.upper(), b"0" * 18 + n, n + b" ", n + b"\t ", n + b";", n + b";a", n + b"; a=b", n + b';a="b;c"',
        n + b";a\rb",
        n + b";\x00", n + b";\xff", n + b";" + b"x" * 4000, n + b';a="', n + b";;;", n + b";0x0",
    )  # fmt: skip
    bad = (
        b"", b" " + n, b"\t" + n, b"+" + n, b"-" + n, b"0x" + n, b"x", n + b"h", n + b",", n + b" ;a", n + b"\x00",
        b"\x00" + n,
        n + b"\x0b", n + b"\xa0", n + b".0", n + b" " + n, n + b"\r", b"0" * 30 + n, b"f" * 20, b"f" * 16, b"f" * 21,
        b"1" + b"0" * 6 + n, b"1" + b"0" * 14 + n, n + b";a\nb", n + b";\n", n + b"\n" + n, b"'" + n + b"'", b"_" + n,
        n[:1] + b"_" + n[1:], n + b";" + b"x" * 200_000, "\u0661".encode() + n, b"\xb9", b"\r\n" + n, b"\n" + n,
        n + b"\\",
    )  # fmt: skip
    verdicts: tuple[tuple[tuple[bytes, ...], Verdict], ...] = ((good, "passes"), (bad, "refused"))
    for spellings, verdict in verdicts:
        for size in spellings:
            yield Case(
                f"size {size[:40]!r}, {len(size)}", start + size + b"\r\n" + BODY + b"\r\n" + end + HIDDEN, verdict
            )
    whole = n + b"\r\n" + BODY
    for mark, verdict_ in ((b"", "refused"), (b"\n", "refused"), (b"\r", "refused"), (b"\n\r", "refused"),
    (b"\r\n\r\n", "refused"),
                           (b"x\r\n", "refused"), (b" \r\n", "refused"), (b"\x00\r\n", "refused")):  # fmt: skip
        yield Case(f"after the data {mark!r}", start + whole + mark + end + HIDDEN, verdict_)  # type: ignore[arg-type]
    yield Case("LF everywhere", start + (n + b"\n" + BODY + b"\n0\n\n") + HIDDEN, "refused")
    yield Case("CR for CRLF", start + n + b"\r" + BODY + b"\r0\r\r" + HIDDEN, "refused")
    yield Case("a hidden request for a chunk", start + b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN), "passes")
    yield Case("an end within a chunk", start + b"5\r\n0\r\n\r\n\r\n0\r\n\r\n" + HIDDEN, "passes")
    yield Case("no data", start + end + HIDDEN, "passes")
    yield Case("no chunks", start + HIDDEN, "refused")
    yield Case("no last chunk", start + whole + b"\r\n" + HIDDEN, "refused")
    yield Case("no end of the trailers", start + whole + b"\r\n0\r\n" + HIDDEN, "refused")
    good_ends = (
        b"000\r\n\r\n", b"0;a\r\n\r\n", b"0 \r\n\r\n", b"0\r\nX-Sum: y\r\n\r\n", b"0\r\nX-Sum: y\r\n z\r\n\r\n",
        b"0\r\n\n", b"0\r\nX-Sum: y\n\n",
        b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\nHost: evil\r\n\r\n",
        b"0\r\nConnection: x-sum\r\nX-Sum: y\r\n\r\n", b"0\r\nUpgrade: h2c\r\nExpect: 100-continue\r\n\r\n",
    )  # fmt: skip
    bad_ends = (
        b"0\n\n", b"0\n\r\n", b"0\r\n\r", b"0\r\r\n\r\n", b"0\r\nX : y\r\n\r\n", b"0\r\nX\r\n\r\n",
        b"0\r\n X: y\r\n\r\n", b"0\r\nX: y\x00\r\n\r\n",
        b"0\r\nX: a\rb\r\n\r\n", b"0\r\n: y\r\n\r\n", b"00000000000000000000000\r\n\r\n", b"0x0\r\n\r\n",
        b"-0\r\n\r\n", b"+0\r\n\r\n",
        b"0\r\nContent-Length: 60\r\nTransfer-Encoding: identity\r\n\r\n", b"0\r\nContent-Length: x\r\n\r\n",
        b"0\r\nTransfer-Encoding: cow\r\n\r\n", b"0\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    )  # fmt: skip
    for mark in good_ends:
        yield Case(f"end {mark[:60]!r}", start + whole + b"\r\n" + mark + HIDDEN, "passes")
    for mark in bad_ends:
        yield Case(f"end {mark[:60]!r}", start + whole + b"\r\n" + mark + HIDDEN, "refused")


def heads() -> Iterator[Case]:
    """Spell what stands around the framing: versions, request lines, hosts, line ends, expectations, upgrades."""
    length = b"Content-Length: %d\r\n" % len(BODY)
    rest = b"Host: localhost\r\n" + length + b"\r\n" + BODY + HIDDEN
    for version in (
        b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/9.9", b"HTTP/1.10", b"HTTP/1.1.1", b"HTTP/01.1",
        b"HTTP/1",
        b"HTTP/1.", b"HTTP/.1", b"HTTP/1,1", b"HTTP/1.1 ", b"HTTP/1.1\t", b"HTTP/1.1 x", b"HTTP/1.1\x00",
        b"HTTP/1.1\r", b"HTTP/1.1\x0b",
        b"HTTP/ 1.1", b"HTTP /1.1", b"HTTP/-1.1", b"HTTP/+1.1", b"HTTP/1.\xb9", b"http/1.1", b"Http/1.1",
        b"HTTPS/1.1", b"ICAP/1.1",
        b"HTTP/1.1HTTP/1.1", b"HTTP", b"", b"\x00",
    ):  # fmt: skip
        yield Case(f"version {version!r}", b"POST @ " + version + b"\r\n" + rest, "refused")
    yield Case("version 0.9 without a word", b"GET @\r\n" + HIDDEN, "refused")
    yield Case("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN, "refused")
    for line in (
        b" POST @ HTTP/1.1", b"\tPOST @ HTTP/1.1", b"POST  @ HTTP/1.1", b"POST @  HTTP/1.1", b"POST\t@ HTTP/1.1",
        b"POST @\tHTTP/1.1",
        b"POST\x0b@ HTTP/1.1", b"POST @\x0cHTTP/1.1", b"POST\xa0@ HTTP/1.1", b"PO\x00ST @ HTTP/1.1",
        b"POST @\x00 HTTP/1.1",
        b"POST @\r HTTP/1.1", b"POST\r@ HTTP/1.1", b"POST\n@ HTTP/1.1", b"POST\r\n @ HTTP/1.1",
        b"POST @\r\n HTTP/1.1", b"POST @\xff HTTP/1.1",
        b"POST @ x HTTP/1.1", b"POST @ HTTP/1.1 HTTP/1.1", b"@ HTTP/1.1", b"POST HTTP/1.1", b"POST",
        b":POST @ HTTP/1.1", b"P(ST @ HTTP/1.1",
        b'"POST" @ HTTP/1.1', b"P\xd6ST @ HTTP/1.1", b"\x16\x03\x01@", b"\x00POST @ HTTP/1.1",
    ):  # fmt: skip
        yield Case(f"line {line!r}", line + b"\r\n" + rest, "refused")
    for line in (
        b"POST x@ HTTP/1.1", b"POST @#x HTTP/1.1", b"POST \\@ HTTP/1.1", b"POST http:@ HTTP/1.1",
        b"POST ftp://localhost@ HTTP/1.1", b"POST http://a:b@localhost/ HTTP/1.1",
        b"POST http://evil.example@ HTTP/1.1", b"POST /.@ HTTP/1.1", b"POST /x/..@ HTTP/1.1", b"POST /%2e%2e@ HTTP/1.1",
        b"POST * HTTP/1.1", b"POST localhost:80 HTTP/1.1", b"CONNECT localhost:80 HTTP/1.1", b"CONNECT @ HTTP/1.1",
        b"TRACE @ HTTP/1.1", b"post @ HTTP/1.1", b"POST //x@ HTTP/1.1", b"POST @?a=HTTP/1.1 HTTP/1.1",
        b"X!#$%&'*+-.^_`|~ @ HTTP/1.1",
    ):  # fmt: skip
        yield Case(f"line {line!r}", line + b"\r\n" + rest, "either")
    for line in (
        b"POST http://localhost@ HTTP/1.1", b"POST HTTP://LOCALHOST@ HTTP/1.1", b"POST @?x=%0d%0a%00 HTTP/1.1",
        b"\r\nPOST @ HTTP/1.1", b"\r\n\r\n\r\nPOST @ HTTP/1.1", b"\n\nPOST @ HTTP/1.1",
    ):  # fmt: skip
        yield Case(f"line {line!r}", line + b"\r\n" + rest, "passes")
    start, ending = b"POST @ HTTP/1.1\r\n", length + b"\r\n" + BODY + HIDDEN
    for host in (
        b"", b"Host: localhost\r\nHost: localhost\r\n", b"Host: localhost\r\nhost: evil\r\n", b"Host : localhost\r\n",
        b" Host: localhost\r\n", b"Host\t: localhost\r\n", b"Host: localhost\x00\r\n", b"Host: localhost\rX: y\r\n",
        b"H\x00ost: localhost\r\n",
        b"Host\r\n", b"Host localhost\r\n", b"Host: local\x0bhost\r\n", b"Host: localhost\r\n\rHost: evil\r\n",
    ):  # fmt: skip
        yield Case(f"host {host!r}", start + host + ending, "refused")
    for host in (
        b"Host: evil.example\r\n", b"Host: localhost, evil\r\n", b"Host: localhost@evil\r\n",
        b"Host: evil#localhost\r\n", b"Host: \r\n",
        b"Host: localhost\r\n evil\r\n", b"Host: localhost/x\r\n", b"Host: http://localhost\r\n",
        b"Host: localhost\\x\r\n",
        b"Host: localhost\r\nX-Forwarded-Host: evil\r\n", b"Host: localhost\r\nConnection: host\r\n",
        b"Host: local host\r\n",
    ):  # fmt: skip
        yield Case(f"host {host!r}", start + host + ending, "either")
    for line in (
        b"X: a\x00b", b"X: a\rb", b"X: a\x0bb", b"X: a\x0cb", b"X\x00: a", b"X\r: a", b"X", b"X a: b", b"(X): a",
        b"X: a\r", b"\x00", b"\r",
        b"X: y\r\n\rContent-Length: 0", b"X: y\r\r\nContent-Length: 0", b"\xc3\xa4: b", b"X: y\r\n : z", b"X{: y",
    ):  # fmt: skip
        at = "refused" if line != b"X: y\r\n : z" else "passes"
        yield Case(f"field {line!r}", start + b"Host: localhost\r\n" + line + b"\r\n" + ending, at)  # type: ignore[arg-type]
    for line in (
        b"X: a\nY: b", b"X: a\r\n b", b"X: a\r\n\t\r\n b", b"X:", b"X:a", b"X: \xff\x80", b"X: a\x1b[31m",
        b"X: \x7f\x01", b"X: a: b: c", b"X: %0d%0aY: z",
        b"Connection: close", b"Connection: keep-alive, host, content-length", b"Connection: , ,",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: close", b"Content-Type: message/http", b"X-Http-Method-Override: TRACE",
        b"Expect: 100-continue",
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", b"Upgrade: websocket\r\nConnection: Upgrade",
        b"Upgrade: TLS/1.0\r\nConnection: upgrade", b"Trailer: Content-Length", b"TE: trailers, chunked",
    ):  # fmt: skip
        yield Case(f"field {line!r}", start + b"Host: localhost\r\n" + line + b"\r\n" + ending, "passes")
    for expected in (
        b"x",
        b"100-continuex",
        b"y 100-continue",
        b"100-continue, 100-continue",
        b"100-Continue",
        b"\x0b100-continue",
        b"",
    ):
        yield Case(
            f"expect {expected!r}", start + b"Host: localhost\r\nExpect: " + expected + b"\r\n" + ending, "either"
        )
    for method in (b"GET", b"POST", b"OPTIONS"):
        yield Case(
            f"expect and no body, {method!r}",
            method + b" @ HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n" + HIDDEN,
            "either",
        )
    yield Case(
        "head by LF alone",
        b"POST @ HTTP/1.1\nHost: localhost\nContent-Length: %d\n\n" % len(BODY) + BODY + HIDDEN,
        "passes",
    )
    yield Case("head by CR alone", b"POST @ HTTP/1.1\rHost: localhost\rContent-Length: 0\r\r" + HIDDEN, "refused")
    yield Case(
        "head ended by LF CRLF", b"POST @ HTTP/1.1\r\nHost: localhost\r\n" + length + b"\n" + BODY + HIDDEN, "passes"
    )
    yield Case(
        "fold before the first field",
        b"POST @ HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: localhost\r\n" + ending,
        "refused",
    )
    yield Case(
        "body split", start + b"Host: localhost\r\nFoo: bar\n\nTransfer-Encoding: chunked\r\n" + ending, "either"
    )
    yield Case("pipelined", start + rest, "passes")
    yield Case(
        "half a request behind", start + b"Host: localhost\r\n" + length + b"\r\n" + BODY + HIDDEN[:-2], "passes"
    )
    yield Case(
        "WebSocket with a length", b"GET @ HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + rest, "passes"
    )
    yield Case("WebSocket with chunks",
    b"GET @ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS + HIDDEN, "passes")  # fmt: skip


FAMILIES = {
    "transfer-encoding": tuple(transfer_encodings()),
    "content-length": tuple(lengths()),
    "chunks": tuple(chunks()),
    "heads": tuple(heads()),
}

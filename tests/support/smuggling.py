"""Requests and replies that two readers could cut differently, and readers without leniency to hold what comes out to.

The spellings are facts from public collections: the permutations of Burp's HTTP Request Smuggler, PortSwigger's desync
papers, the HTTP Garden, and the advisories of the servers that fell for them. Every request hides another one, for
``HIDDEN_PATH``, which would be passed on if anybody took it for a request of its own.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Literal, TypeVar

import anyio
import h11
from kit import Peer, connected, get, scripted, times

from ampmap.server import Server, running
from ampmap.settings import Amp, Endpoint, ModelEntry, Origin, Provider, Rule, Settings, TcpListen, Timeouts

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


# -- How a transfer coding is spelled: ``chunked`` is read as that, ``ignored`` is another field's business.

Reading = Literal["chunked", "ignored", "refused", "either"]
_TE = b"Transfer-Encoding"

TRANSFER_ENCODINGS: dict[str, tuple[bytes, Reading]] = {
    "plain": (b"Transfer-Encoding: chunked", "chunked"),
    "lower case": (b"transfer-encoding: chunked", "chunked"),
    "upper case": (b"TRANSFER-ENCODING: CHUNKED", "chunked"),
    "mixed case": (b"tRaNsFeR-eNcOdInG: cHuNkEd", "chunked"),
    "no blank": (b"Transfer-Encoding:chunked", "chunked"),
    "blanks": (b"Transfer-Encoding:   chunked   ", "chunked"),
    "tabs": (b"Transfer-Encoding:\tchunked\t", "chunked"),
    "folded": (b"Transfer-Encoding:\r\n chunked", "chunked"),
    "folded with a tab": (b"Transfer-Encoding:\r\n\tchunked", "chunked"),
    "folded by LF": (b"Transfer-Encoding:\n chunked", "chunked"),
    "folded after": (b"Transfer-Encoding: chunked\r\n\t", "chunked"),
    "after a bare LF": (b"Foo: bar\nTransfer-Encoding: chunked", "chunked"),
    "nominated": (b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked", "chunked"),
    "nominated behind": (b"Transfer-Encoding: chunked\r\nConnection: close, transfer-encoding", "chunked"),
    "with TE": (b"TE: chunked, trailers\r\nTransfer-Encoding: chunked", "chunked"),
    "underscore": (b"Transfer_Encoding: chunked", "ignored"),
    "percent-encoded name": (b"Transfer-%45ncoding: chunked", "ignored"),
    "longer name": (b"X-Transfer-Encoding: chunked", "ignored"),
    "another field": (b"Content-Encoding: chunked", "ignored"),
    "TE alone": (b"TE: chunked", "ignored"),
    "in a fold": (b"Foo: bar\r\n Transfer-Encoding: chunked", "ignored"),
    "in a fold with a tab": (b"Foo: bar\r\n\tTransfer-Encoding: chunked", "ignored"),
    "in a comment": (b"Foo: (\\\"Transfer-Encoding: chunked", "ignored"),
    "blank before the colon": (b"Transfer-Encoding : chunked", "refused"),
    "tab before the colon": (b"Transfer-Encoding\t: chunked", "refused"),
    "blank before the name": (b"\tTransfer-Encoding: chunked\r\nFoo: bar", "either"),
    "blank for hyphen": (b"Transfer Encoding: chunked", "refused"),
    "backslash for hyphen": (b"Transfer\\Encoding: chunked", "refused"),
    "junk after the name": (b"Transfer-Encoding x: chunked", "refused"),
    "no colon": (b"Transfer-Encoding chunked", "refused"),
    "no name": (b": chunked", "refused"),
    "colon before": (b":transfer-encoding: chunked", "refused"),
    "two colons": (b"Transfer-Encoding:: chunked", "refused"),
    "folded before the colon": (b"Transfer-Encoding\n : chunked", "refused"),
    "folded within": (b"Transfer-Encoding: chun\r\n ked", "refused"),
    "after a bare CR": (b"Foo: bar\rTransfer-Encoding: chunked", "refused"),
    "CR before the name": (b"Foo: bar\r\n\rTransfer-Encoding: chunked", "refused"),
    "CR in the name": (b"Tra\rnsfer-Encoding: chunked", "refused"),
    "wrapped by a vertical tab": (b"Transfer-Encoding: chunked\n\x0b", "refused"),
    "LF before the value": (b"Transfer-Encoding: \nchunked", "refused"),
    "double quotes": (b'Transfer-Encoding: "chunked"', "refused"),
    "single quotes": (b"Transfer-Encoding: 'chunked'", "refused"),
    "encoded word": (b"Transfer-Encoding: =?iso-8859-1?B?Y2h1bmtlZA==?=", "refused"),
    "accent in the name": (b"Transf\x82r-Encoding: chunked", "refused"),
    "accent in the value": (b"Transfer-Encoding: ch\x96nked", "refused"),
    "small letter K": ("Transfer-Encoding: chun\u212aed".encode(), "refused"),
    "no-break space": ("Transfer-Encoding:\u00a0chunked".encode(), "refused"),
    "soft hyphen": ("Transfer-Encoding: chunked\u00ad".encode(), "refused"),
    "line separator": ("Foo: bar\u2028Transfer-Encoding: chunked".encode(), "ignored"),
    "two lines": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "refused"),
    "identity, then chunked": (b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "refused"),
    "chunked, then identity": (b"Transfer-Encoding: chunked\r\nTransfer-encoding: identity", "refused"),
    "chunked, then nothing": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding:", "refused"),
    **{f"value {value!r}": (b"Transfer-Encoding: " + value, "refused") for value in (
        b"", b",", b"chunked,", b", chunked", b"chunked,chunked", b"chunked, chunked", b"chunked, identity",
        b"identity, chunked", b"identity,chunked,identity", b"gzip, chunked", b"chunked, gzip", b"deflate", b"identity",
        b"chunk", b"chunkedx", b"xchunked", b"x-chunked", b"chunked;q=1", b"chunked;", b"chunked ;a=b", b"chunked\\",
        b"chunked\\0", b"chunked x", b"cow", b"1", b"[chunked]", b"(x)chunked", b"chunked\\r\\n", b"%63hunked",
    )},
    **{f"{byte!r} {where}": (spelled, "refused") for byte in
        (b"\x00", b"\x08", b"\x0b", b"\x0c", b"\r", b"\x1b", b"\x1c", b"\x1f", b"\x7f", b"\x85", b"\xa0", b"\xad",
        b"\xff")
        for where, spelled in (
            ("before the name", byte + _TE + b": chunked"),
            ("after the name", _TE + byte + b": chunked"),
            ("before the value", _TE + b": " + byte + b"chunked"),
            ("for the blank", _TE + b":" + byte + b"chunked"),
            ("after the value", _TE + b": chunked" + byte),
        )},
}  # fmt: skip


_VERDICTS: dict[Reading, tuple[Verdict, Verdict]] = {  # alone, and with a length
    "chunked": ("passes", "refused"),
    "ignored": ("either", "passes"),
    "refused": ("refused", "refused"),
    "either": ("either", "either"),
}


def transfer_encodings() -> Iterator[Case]:
    """Spell each coding with and without a length that says otherwise, before and behind it."""
    long = b"0\r\n\r\n" + HIDDEN  # whoever reads chunks ends at once, and finds another request
    short = b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)  # whoever reads the length finds it within the chunk
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


# -- What an upstream may say. The client is told one response, or that there is none, and nobody else is told the rest.


@dataclass(frozen=True, slots=True)
class Reply:
    """What an upstream sends in answer to one request.

    ``kept`` is one good response whose connection may serve again; ``once`` one that is passed on, but its connection
    is not to be trusted with another; ``broken`` is an error, or a response that visibly breaks off.
    """

    name: str
    raw: bytes
    verdict: Literal["kept", "once", "broken"]
    method: bytes = b"POST"


_OK = b"HTTP/1.1 200 OK\r\n"
_SPLIT = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsplit"


def replies() -> Iterator[Reply]:
    """Spell responses."""
    for raw in (
        _OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", _OK + b"Content-Length: 2, 2\r\n\r\nok",
        _OK + b"content-length:002\r\n\r\nok", _OK + b"Content-Length: 2\r\nX: a\r\n b\r\n\r\nok",
        _OK + b"X: a\nContent-Length: 2\n\nok",
        _OK + b"Transfer-Encoding: Chunked\r\n\r\n2;x\r\nok\r\n0\r\n\r\n",
        _OK + b"Transfer-Encoding:\r\n chunked\r\n\r\n2\r\nok\r\n00\r\nX: y\r\n\r\n",
        _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 5\r\nSet-Cookie: a\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 200 \xff\x1b\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"X: \xff\x1b\x85\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"Connection: content-length\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"Content_Length: 9\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"Transfer_Encoding: chunked\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nContent-Length: 9\r\nTransfer_Encoding: x\r\n\r\n"
        + _OK + b"Content-Length: 2\r\n\r\nok",
        b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n",
        _OK + b"Content-Length: 0\r\n\r\n",
    ):  # fmt: skip
        yield Reply(repr(raw), raw, "kept")
    yield Reply("HEAD with a length", _OK + b"Content-Length: 2\r\n\r\n", "kept", b"HEAD")
    yield Reply("HEAD with a coding", _OK + b"Transfer-Encoding: chunked\r\n\r\n", "kept", b"HEAD")
    for raw in (
        _OK + b"Content-Length: 2\r\n\r\nok\r\n", _OK + b"Content-Length: 2\r\n\r\nokx",
        _OK + b"Content-Length: 2\r\n\r\nok" + _SPLIT,
        _OK + b"Content-Length: 0\r\n\r\n" + _SPLIT,
        _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + _SPLIT,
        _OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n\r\n", b"HTTP/1.1 204 No\r\n\r\n" + _SPLIT,
        b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n" + _SPLIT, b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"Connection: x, Close\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"Content-Length: 2\r\n\r\nok\x00", b"HTTP/1.1 304 Not\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):  # fmt: skip
        yield Reply(repr(raw), raw, "once")
    yield Reply("HEAD with a body", _OK + b"Content-Length: 2\r\n\r\nok", "once", b"HEAD")
    yield Reply("HEAD with another response", _OK + b"Content-Length: 43\r\n\r\n" + _SPLIT, "once", b"HEAD")
    yield Reply("HEAD with chunks", _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "once", b"HEAD")
    for raw in (
        _OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        _OK + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + _SPLIT,
        _OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", _OK + b"Content-Length: 2, 3\r\n\r\nok",
        _OK + b"Content-Length: +2\r\n\r\nok",
        _OK + b"Content-Length: 0x2\r\n\r\nok", _OK + b"Content-Length: -2\r\n\r\nok",
        _OK + b"Content-Length: 2 2\r\n\r\nok", _OK + b"Content-Length: \r\n\r\nok",
        _OK + b"Content-Length: 18446744073709551618\r\n\r\nok", _OK + b"Content-Length: " + b"9" * 20 + b"\r\n\r\nok",
        _OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nok", _OK + b"Content-Length : 2\r\n\r\nok",
        _OK + b"Content Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        _OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        _OK + b"Transfer-Encoding: identity\r\n\r\nok", _OK + b"Transfer-Encoding: xchunked\r\n\r\nok",
        _OK + b"Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n",
        _OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        _OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        _OK + b"X: a\x00b\r\nContent-Length: 2\r\n\r\nok", _OK + b"X: a\rb\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"X\x00: a\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"X\r\nContent-Length: 2\r\n\r\nok", _OK + b"X y: z\r\nContent-Length: 2\r\n\r\nok",
        _OK + b" X: y\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok", b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 000 OK\r\n\r\n", b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 +20 OK\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTP/1.1 200 O\x00K\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" + _SPLIT,
        b"<html>no head</html>\r\n\r\n", b"\r\n" + _SPLIT, b"ok",
        b"HTTP/1.1 103 Early\r\nX: y\r\n\r\n" * 11 + _SPLIT, b"HTTP/1.1 103 Early\r\nX: a\x00\r\n\r\n" + _SPLIT,
        b"HTTP/1.1 100 Continue\r\n\r\nok",
        b"HTTP/1.1 102 P\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + _SPLIT,
        _OK + b"X: y\r\n" * 200 + b"Content-Length: 2\r\n\r\nok",
        _OK + b"X: " + b"y" * 70_000 + b"\r\nContent-Length: 2\r\n\r\nok", _OK + b"Content-Length: 5\r\n\r\nok",
        *(_OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked for chunked in (
            b"2\r\nok", b"2\r\nok0\r\n\r\n", b"2\nok\n0\n\n", b"0x2\r\nok\r\n0\r\n\r\n", b"-2\r\nok\r\n0\r\n\r\n",
            b"+2\r\nok\r\n0\r\n\r\n",
            b"2 ;x\r\nok\r\n0\r\n\r\n", b"f" * 21 + b"\r\nok\r\n0\r\n\r\n", b"ffffffffffffffff\r\nok\r\n0\r\n\r\n",
            b"2\r\nokay\r\n0\r\n\r\n", b"2\r\nok\r\n0\r\n",
            b"2\r\nok\r\n0\r\nX : y\r\n\r\n", b"2\r\nok\r\n0\r\nX: \x00\r\n\r\n", b"2\r\nok\r\n" + _SPLIT,
            b"2\r\nok\r\n0\r\n" + _SPLIT,
            b"2\r\nok\r\n0\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        )),
    ):  # fmt: skip
        yield Reply(repr(raw)[:120] + f" {len(raw)}", raw, "broken")


REPLIES = tuple(replies())


# -- Readers.


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as a reader cut it out."""

    method: bytes
    target: bytes
    body: bytes
    fields: tuple[tuple[bytes, bytes], ...] = ()  # names in lower case
    trailers: tuple[tuple[bytes, bytes], ...] = ()


_NO_FIELDS: tuple[tuple[bytes, bytes], ...] = ()


class NotStrict(ValueError):
    """Bytes that a reader without any leniency takes for no request."""


_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ ]?([^\x00\r\n]*)")


def strictly(raw: bytes) -> tuple[list[Seen], bytes]:
    """Cut a connection's bytes into requests by the grammar alone; return them and what is left of one unfinished.

    Of every choice that RFC 9112 leaves to recipients this reader takes none: CRLF ends each line, one ``Host``, one
    framing, decimal lengths, plain chunk sizes. Raises :class:`NotStrict`.
    """
    found = []
    while raw:
        head, mark, rest = raw.partition(b"\r\n\r\n")
        if not mark:
            break
        line, *lines = head.split(b"\r\n")
        start = _LINE.fullmatch(line)
        if start is None:
            raise NotStrict(line)
        fields = _fields(lines)
        named = {name: [value for key, value in fields if key == name] for name, _ in fields}
        lengths, codings = named.get(b"content-length", []), named.get(b"transfer-encoding", [])
        if len(named.get(b"host", [])) != 1 or len(lengths) + len(codings) > 1 or codings not in ([], [b"chunked"]):
            raise NotStrict(head)
        body, trailers = b"", _NO_FIELDS
        if lengths:
            if not re.fullmatch(rb"0|[1-9][0-9]*", lengths[0]):
                raise NotStrict(lengths[0])
            if len(rest) < int(lengths[0]):
                break
            body, rest = rest[: int(lengths[0])], rest[int(lengths[0]) :]
        elif codings:
            taken = _chunked(rest)
            if taken is None:
                break
            body, trailers, rest = taken
        found.append(Seen(start[1], start[2], body, fields, trailers))
        raw = rest
    return found, raw


def _fields(lines: list[bytes]) -> tuple[tuple[bytes, bytes], ...]:
    matches = [_FIELD.fullmatch(line) for line in lines]
    if not all(matches):
        raise NotStrict(lines)
    return tuple((match[1].lower(), match[2]) for match in matches if match)


def _chunked(raw: bytes) -> tuple[bytes, tuple[tuple[bytes, bytes], ...], bytes] | None:
    body = b""
    while True:
        size, mark, raw = raw.partition(b"\r\n")
        if not mark:
            return None
        if not re.fullmatch(rb"0|[1-9a-f][0-9a-f]{0,7}", size):
            raise NotStrict(size)
        if size == b"0":
            break
        count = int(size, 16)
        if len(raw) < count + 2:
            return None
        if raw[count : count + 2] != b"\r\n":
            raise NotStrict(raw[count : count + 2])
        body, raw = body + raw[:count], raw[count + 2 :]
    if raw.startswith(b"\r\n"):
        return body, (), raw[2:]
    section, mark, raw = raw.partition(b"\r\n\r\n")
    return (body, _fields(section.split(b"\r\n")), raw) if mark else None


class Reader:
    """h11 as a server reads one connection: fed with bytes as they come, it gives requests and the first error."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.error: h11.RemoteProtocolError | None = None
        self.wants_continue = False
        self._conn = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        self._request: h11.Request | None = None
        self._body = b""

    def feed(self, data: bytes) -> None:
        if self.error is not None or not data:
            return
        self._conn.receive_data(data)
        try:
            while (event := self._conn.next_event()) is not h11.NEED_DATA and event is not h11.PAUSED:
                if isinstance(event, h11.Request):
                    self._request, self._body = event, b""
                elif isinstance(event, h11.Data):
                    self._body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    self._finish(tuple(event.headers))
        except h11.RemoteProtocolError as exc:
            self.error = exc
        self.wants_continue = self.error is None and self._conn.they_are_waiting_for_100_continue

    def _finish(self, trailers: tuple[tuple[bytes, bytes], ...]) -> None:
        assert self._request is not None
        fields = tuple(self._request.headers)
        self.seen.append(Seen(self._request.method, self._request.target, self._body, fields, trailers))
        rest = self._conn.trailing_data[0].lstrip(b"\r\n")
        self._conn = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        if rest:
            self.feed(rest)


def as_h11_reads(raw: bytes) -> list[Seen]:
    """Return the requests that h11 finds in what a client sends, up to the first thing that is none."""
    reader = Reader()
    reader.feed(raw.lstrip(b"\r\n"))
    return reader.seen


@dataclass(frozen=True, slots=True)
class Answered:
    """One response as h11 cut it out; ``whole`` is False for one that breaks off."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    whole: bool


def responses(raw: bytes, methods: list[bytes]) -> tuple[list[Answered], bytes]:
    """Cut all that a client was sent into final responses to ``methods``; return them and what lies behind the last.

    Raises :class:`h11.RemoteProtocolError` for what is no response, and :class:`NotStrict` for heads with bare line
    ends, folds or two framings, which h11 would let pass.
    """
    found: list[Answered] = []
    for method in methods:
        if not raw:
            break
        conn = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        conn.send(
            h11.Request(method=method if method in (b"GET", b"HEAD") else b"POST", target="/", headers=[("Host", "a")])
        )
        conn.send(h11.EndOfMessage())
        conn.receive_data(raw)
        conn.receive_data(b"")
        status, fields, body, whole = 0, _NO_FIELDS, b"", False
        try:
            while not whole and not isinstance(event := conn.next_event(), h11.ConnectionClosed):
                if isinstance(event, h11.Response | h11.InformationalResponse):
                    status, fields = event.status_code, tuple(event.headers)
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    whole = True
        except h11.RemoteProtocolError:
            if status < 200:
                raise
        for head in raw.split(b"\r\n\r\n")[:1]:
            if re.search(rb"(?<!\r)\n|\r(?!\n)|\r\n[ \t]|\x00", head):
                raise NotStrict(head)
        names = [name for name, _ in fields]
        if names.count(b"content-length") + names.count(b"transfer-encoding") > 1:
            raise NotStrict(names)
        found.append(Answered(status, fields, body, whole))
        raw = conn.trailing_data[0] if whole else b""
    return found, raw


class Upstream:
    """A server that reads with h11, answers each whole request by naming its target, and keeps every byte it got."""

    def __init__(self) -> None:
        self.raw: list[bytearray] = []  # by connection
        self.readers: list[Reader] = []

    async def script(self, peer: Peer) -> None:
        raw, reader, answered = bytearray(), Reader(), 0
        self.raw.append(raw)
        self.readers.append(reader)
        while True:
            data = await peer.stream.receive()
            raw += data
            reader.feed(data)
            if reader.wants_continue:
                reader.wants_continue = False
                await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            for seen in reader.seen[answered:]:
                said = b"" if seen.method == b"HEAD" else seen.target
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(seen.target) + said)
            answered = len(reader.seen)


# -- One case tried on a proxy of its own.

ROUTES = {"model": b"/v1/chat/completions", "buffered": b"/api/internal", "streamed": b"/api/threads"}
_AT_ONCE = 24
VICTIM = b"/api/user/victim"
QUICK = times(keepalive_s=0.05, head_s=0.1, body_idle_s=0.1, response_head_s=1.0, stream_idle_s=1.0)


@asynccontextmanager
async def proxy_at(origin: Origin, base_path: str = "", *, timeouts: Timeouts = QUICK) -> AsyncIterator[Server]:
    """Run a proxy before ``origin``: both its Amp upstream and its provider of ``m``, which it maps ``alias`` to."""
    endpoints = (Endpoint(protocol="openai-chat", base_path=base_path),)
    local = Provider(name="local", origin=origin, endpoints=endpoints, models=(ModelEntry(id="m"),), api_key="own-key")
    settings = Settings(
        listen=(TcpListen(port=0),),
        amp=Amp(origin=origin, base_path=base_path, api_key="sgamp_key", rules=(Rule(source="alias", targets=("m",)),)),
        providers=(local,),
        timeouts=timeouts,
    )
    async with running(settings, env={}) as proxy:
        yield proxy


async def said_to(proxy: Server, raw: bytes) -> bytes:
    """Send ``raw`` on a connection of its own; return all that comes until the proxy ends it, as it soon does."""
    async with connected(proxy) as client, anyio.create_task_group() as group:
        group.start_soon(_pour, client, raw)
        said = await client.read_rest()
    return said


async def _pour(client: Peer, raw: bytes) -> None:
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        await client.send(raw)


def complaints(case: Case, path: bytes, said: bytes, passed: list[Seen], *, begun: bool) -> Iterator[str]:
    """Say what is wrong with what a client was told and an upstream got: ``passed`` are the whole requests there.

    ``begun`` tells whether part of another one came too.
    """
    raw = case.at(path)
    read = as_h11_reads(raw)
    try:
        told, behind = responses(said, [seen.method for seen in read] + [b"POST"])
    except (NotStrict, h11.RemoteProtocolError) as exc:
        yield f"the client is told what is no response: {exc!r} in {said!r}"
        return
    served = [answer for answer in told if answer.status < 400]
    if behind or not all(answer.whole for answer in told):
        yield f"the client is told more, or less, than whole responses: {said!r}"
    if len(served) != len(passed):
        yield f"{len(served)} served, but {len(passed)} requests passed: {passed}"
    left = iter(read)
    for seen in passed:
        if not any(_same(seen, asked) for asked in left):
            yield f"nobody asked for {seen}"
    if told and told[-1].status in (400, 408, 413, 431, 501, 505) and (b"connection", b"close") not in told[-1].fields:
        if len(told) > len(read):
            yield f"the connection goes on after {told[-1].status}"
    first = told[0].status if told else 0
    if case.verdict == "refused" and (first < 400 or passed or len(told) != 1):
        yield f"not refused: {[answer.status for answer in told]}, {passed}"
    if case.verdict == "passes":
        served_here = path != ROUTES["model"] or (read and read[0].method == b"POST" and read[0].body == BODY)
        if served_here and (first != 200 or not passed):
            yield f"not served: {said!r}"
    if begun and first < 400:
        yield "a request is left unfinished"


def _same(passed: Seen, asked: Seen) -> bool:
    bodies = (asked.body, SENT_BODY) if asked.body == BODY else (asked.body,)
    return passed.method == asked.method and passed.body in bodies


async def tried(case: Case, path: bytes) -> list[str]:
    """Try one case, then ask for something harmless on the connections that it left; return what is wrong."""
    upstream, found = Upstream(), []
    async with scripted(upstream.script) as server, proxy_at(server.origin) as proxy:
        with anyio.fail_after(20):
            said = await said_to(proxy, case.at(path))
            passed, begun = [], False
            try:
                for raw, reader in zip(upstream.raw, upstream.readers, strict=True):
                    seen, rest = strictly(bytes(raw))
                    begun = begun or bool(rest)
                    passed += seen
                    if reader.error is not None or seen != [
                        Seen(x.method, x.target, x.body, x.fields, x.trailers) for x in reader.seen
                    ]:
                        found.append(f"h11 reads {reader.seen}, {reader.error}, and not {seen}")
            except NotStrict as exc:
                return [f"{case.name}: what is passed on is not strict: {exc}"]
            found += complaints(case, path, said, passed, begun=begun)
            if VICTIM not in (answer := await said_to(proxy, get(VICTIM, b"Connection: close"))):
                found.append(f"the next client is told {answer!r}")
    return [f"{case.name}: {what}" for what in found]


_T = TypeVar("_T")


async def in_turn(check: Callable[[_T], Awaitable[list[str]]], cases: Iterable[_T]) -> list[str]:
    """Check all cases, a few at a time; return all that is found wrong."""
    found: list[str] = []
    slots = anyio.Semaphore(_AT_ONCE)

    async def one(case: _T) -> None:
        async with slots:
            found.extend(await check(case))

    async with anyio.create_task_group() as group:
        for case in cases:
            group.start_soon(one, case)
    return found

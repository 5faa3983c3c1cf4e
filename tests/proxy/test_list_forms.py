"""Lists of models as servers give them: forms, codings, limits; and nobody is held up, however long they are."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from typing import Any

import anyio
import kit
import pytest

from ampmap.formats.model_page import Names, Refused, scan_page
from ampmap.http.dialer import Dialer
from ampmap.http.pool import Pool
from ampmap.proxy.provider_lists import list_models
from ampmap.settings import Endpoint, Limits, Origin, Protocol, Provider, Timeouts

TURN_S = 0.005


def page(content: object, protocol: Protocol = "openai-chat", room: int = 100) -> tuple[list[str], str]:
    """Read a page whole; ``content`` is its JSON, or its bytes."""
    steps = scan_page(content if isinstance(content, bytes) else json.dumps(content).encode(), protocol, room)
    try:
        while True:
            next(steps)
    except StopIteration as done:
        found: tuple[list[str], str] = done.value
        return found


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}, ["a", "b"]),
        ([{"id": "a"}, {"id": "b"}], ["a", "b"]),
        (b'\xef\xbb\xbf [{"id": "a"}]', ["a"]),
        (b'\xef\xbb\xbf{"data": [{"id": "a"}]}', ["a"]),
        (["a", "b"], ["a", "b"]),
        ({"data": ["a"]}, ["a"]),
        ({"object": "list", "data": None}, []),
        ({"data": None}, []),
        ({"models": None}, []),
        ({"object": "list"}, []),
        ({"data": []}, []),
        ([], []),
        ({"data": [{"id": "models/gemini-2.5-pro"}]}, ["gemini-2.5-pro"]),
        ({"models": [{"name": "l:latest", "model": "l:latest"}, {"name": "q"}]}, ["l:latest", "q"]),
        ({"models": [{"name": "For People", "model": "m"}]}, []),
        ({"data": [{"id": "a", "name": "For People"}]}, ["a"]),
        ({"data": [{"id": "a"}], "models": [{"slug": "b"}]}, ["a"]),
        ({"data": [], "models": [{"name": "b"}]}, ["b"]),
        ({"data": [{"id": 5}, {"id": None}, {}, None, 3, ["x"], {"id": ""}, {"id": " "}, {"id": "a"}]}, ["a"]),
        ({"data": [{"id": "模型"}, {"id": "é", "owned_by": "ü"}]}, ["模型", "é"]),
        (json.dumps({"data": [{"id": "模型-é"}]}, ensure_ascii=False).encode(), ["模型-é"]),
        (b'{"data": [{"id": "\\ud800"}, {"id": "a"}]}', ["a"]),
        ({"data": [{"about": "x" * 100_000, "id": "a", "more": {"id": "no", "x": "y" * 50_000}}, {"id": "b"}]},
         ["a", "b"]),
        ({**{f"k{i}": i for i in range(100)}, "data": [{"id": "a"}]}, ["a"]),
        ({"models": [{"id": "a"}, {"id": "b"}], "etag": "x" * 100_000}, ["a", "b"]),
    ],
)  # fmt: skip
def test_each_form_of_a_list_is_read(content: object, names: list[str]) -> None:
    assert (names, "") == page(content)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"models": [{"name": "models/g", "baseModelId": "g"}]}, ["g"]),
        ({"models": None}, []),
        ({}, []),
        ({"models": [{"name": "models/g", "model": "other"}]}, ["g"]),
        ({"data": [{"id": "a"}]}, ["a"]),
    ],
)
def test_gemini_leaves_out_what_is_empty(content: object, names: list[str]) -> None:
    assert (names, "") == page(content, "gemini")


@pytest.mark.parametrize(
    ("protocol", "content", "after"),
    [
        ("gemini", {"models": [{"name": "models/a"}], "nextPageToken": "t t"}, "pageToken=t%20t"),
        ("gemini", {"nextPageToken": "t"}, "pageToken=t"),
        ("gemini", {"data": [{"id": "a"}], "has_more": True}, "after=a"),
        ("anthropic", {"data": [{"id": "a"}, {"id": "b"}], "has_more": True, "last_id": "b"}, "after_id=b"),
        ("openai-chat", {"data": [{"id": "a"}, {"id": "b"}], "has_more": True}, "after=b"),
        ("openai-chat", {"has_more": True, "data": [{"id": "a"}], "last_id": "x"}, "after=x"),
        ("openai-chat", {"data": [{"id": "a"}], "has_more": False, "last_id": "a"}, ""),
        ("openai-chat", {"data": [], "has_more": True}, ""),
    ],
)
def test_the_next_page_is_asked_for_in_the_form_of_this_one(protocol: Protocol, content: object, after: str) -> None:
    assert after == page(content, protocol)[1]


@pytest.mark.parametrize(
    "content",
    [
        {}, {"data": {}}, {"data": "a"}, {"error": {"message": "no"}}, {"object": "list", "error": "no"}, {"ok": True},
        {"data": {"x": "y" * 100_000}}, b'"a"', b"null", b"5",
    ],
)  # fmt: skip
def test_anything_else_is_no_list(content: object) -> None:
    with pytest.raises(Refused, match=r"no list of models in the form of openai-chat|is not JSON"):
        page(content)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b'{"data": [{"id": "a"}', b'{"data": []} x', b"[" * 100_000, b'{"data": [\xff]}', b"[1,]"],
)
def test_what_is_not_json_is_said_to_be_so(content: bytes) -> None:
    with pytest.raises(Refused, match="is not JSON"):
        page(content)


def test_more_names_than_may_be_and_longer_ones_are_refused_by_their_limit() -> None:
    assert 3 == len(page(["a", "b", "c"], room=3)[0])
    assert 1 == len(page(["ü" * 128])[0])
    with pytest.raises(Refused, match="its list has more than 20,000 models"):
        page(["a", "b", "c", "d"], room=3)
    with pytest.raises(Refused, match="its list has a name of more than 256 bytes"):
        page(["ü" * 128 + "x"])


def test_lists_read_alike_wherever_a_window_ends_in_them() -> None:
    """Like ``json.loads``, for lists of all sizes of entries."""
    rng = random.Random(7)
    for _ in range(40):
        entries = [
            {
                "note": 'ü"\\' * rng.randrange(rng.choice([3, 30, 9000])),
                "id": f"m-{n}-é",
                "deep": [[{"id": "no"}] * 3] * 2,
            }
            for n in range(rng.randrange(200))
        ]
        body = json.dumps({"object": "list", "data": entries}, ensure_ascii=rng.random() < 0.5).encode()
        assert [entry["id"] for entry in entries] == page(body, room=1000)[0]


# Over sockets.


def a_provider(origin: Origin, *protocols: Protocol) -> Provider:
    endpoints = tuple(Endpoint(protocol=protocol) for protocol in protocols or ("openai-chat",))
    return Provider(name="p", origin=origin, endpoints=endpoints, discover=True)


def reply(body: bytes, *lines: bytes) -> bytes:
    head = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *lines]
    return b"".join(line + b"\r\n" for line in head) + b"\r\n" + body


async def listed(*replies: bytes, protocols: tuple[Protocol, ...] = ("openai-chat",)) -> list[str]:
    pool = Pool(Dialer({}, Limits(), 2.0), Limits(), Timeouts())
    found: list[str] | Refused
    with anyio.fail_after(kit.GUARD_S):
        async with kit.scripted(kit.answering(*replies)) as server:
            try:
                found = await list_models(pool, a_provider(server.origin, *protocols))
            except Refused as exc:
                found = exc
            pool.close()
    if isinstance(found, Refused):
        raise found
    return found


LIST = b'{"object": "list", "data": [{"id": "a"}]}'


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (gzip.compress(LIST), [b"Content-Encoding: gzip"]),
        (gzip.compress(LIST), [b"Content-Encoding: x-gzip", b"Content-Type: application/json"]),
        (gzip.compress(LIST), []),
        (zlib.compress(LIST), [b"Content-Encoding: deflate"]),
        (raw_deflate(LIST), [b"Content-Encoding: deflate"]),
        (LIST, [b"Content-Encoding: gzip"]),
        (LIST, [b"Content-Encoding: deflate"]),
        (LIST, [b"Content-Encoding: utf-8"]),
    ],
)
async def test_a_list_that_comes_compressed_although_identity_was_asked_is_read(
    body: bytes, lines: list[bytes]
) -> None:
    assert ["a"] == await listed(reply(body, *lines))


async def test_what_has_no_list_in_one_form_is_asked_in_the_next() -> None:
    none = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"

    assert ["a"] == await listed(none, reply(LIST), protocols=("gemini", "openai-chat"))
    with pytest.raises(
        Refused, match="answers 404 at /v1beta/models; it answers 404 at /v1/models; list them under 'mo"
    ):
        await listed(none, none, protocols=("gemini", "openai-chat"))


MIB = 2**20


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b" " * (8 * MIB + 1), "its list has more than 8 MiB a page; list them under 'models:'"),
        (gzip.compress(b" " * (8 * MIB + 1)), "its list has more than 8 MiB a page; list them under 'models:'"),
        (gzip.compress(LIST)[:-9], "cannot be decoded: .*breaks off"),
        (
            json.dumps([{"id": f"m{n}"} for n in range(20_001)]).encode(),
            "its list has more than 20,000 models; list",
        ),
    ],
)
async def test_lists_beyond_the_limits_are_refused_in_words(body: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why):
        await listed(reply(body))


async def test_the_names_of_all_pages_are_counted_together() -> None:
    pages = [{"data": [{"id": f"m{i}-{n}"} for n in range(8000)], "has_more": True} for i in range(3)]

    with pytest.raises(Refused, match="its list has more than 20,000 models"):
        await listed(*(reply(json.dumps(content).encode()) for content in pages))


@pytest.mark.parametrize("size", [0, 40_000], ids=["small", "large"])
def test_what_a_list_says_of_a_model_is_kept(size: int) -> None:
    says = {"max_tokens": 64000, "capabilities": {"effort": {"low": {"supported": True}}}}
    entries: list[Any] = [{"id": "a", **says, "display_name": "x" * size}, {"id": "b"}, "c"]
    entries += [{"id": f"m{number}", "max_tokens": number} for number in range(300)]

    names = page({"data": entries}, room=1000)[0]

    assert isinstance(names, Names)
    assert (says, 200) == (names.entries["a"], len(names.entries))
    assert not {"b", "c"} & names.entries.keys()

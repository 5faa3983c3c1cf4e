"""Rules that follow the file while requests run: saved in every way, many times, under many streams."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import httpx
import pytest
from kit import GUARD_S
from samples import examples

from ampmap.commands.stand_in import StandIn, standing_in
from ampmap.config import file as configfile
from ampmap.proxy.reload import Source
from ampmap.server import Server, running

SAVES, STREAMS = examples(200, 40), examples(50, 15)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # not in debug mode, which would spend these tests' time on itself


def text(stand_in: StandIn, number: int) -> str:
    """A configuration whose only rule leads to ``t-<number>``."""
    return f"""\
listen: 127.0.0.1:0
amp-model-mappings:
  - {{from: asked, to: t-{number}}}
providers:
  - {{name: p, base-url: '{stand_in.url}', protocols: [openai-chat], models: ['t-*']}}
"""


@asynccontextmanager
async def following(path: Path) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    loaded = configfile.load(path, {})
    source = Source(path, partial(configfile.load, path, {}), loaded.files)
    limits = httpx.Limits(max_connections=STREAMS + 5)
    async with running(loaded.settings, env={}, source=source) as proxy:
        async with httpx.AsyncClient(base_url=proxy.url, limits=limits, timeout=30) as client:
            yield proxy, client


async def ask(client: httpx.AsyncClient) -> str:
    """Ask for the mapped model, streamed; return the name under which the provider answered."""
    reply = await client.post("/v1/chat/completions", json={"model": "asked", "stream": True})
    assert reply.status_code == 200, reply.text
    assert reply.text.endswith("data: [DONE]\n\n"), reply.text
    assert '"model": "t-' not in reply.text
    return "t-" + reply.text.partition("t-")[2].partition(".")[0]


def in_place(path: Path, content: str) -> None:
    path.write_text(content)


def in_pieces(path: Path, content: str) -> None:
    with path.open("w") as file:
        for start in range(0, len(content), 40):
            file.write(content[start : start + 40])
            file.flush()


def by_rename(path: Path, content: str) -> None:
    new = path.with_name(".new~")
    new.write_text(content)
    new.replace(path)


def by_deletion(path: Path, content: str) -> None:
    path.unlink()
    path.write_text(content)


def by_symlink(path: Path, content: str) -> None:
    versions = path.parent.parent / "versions"
    versions.mkdir(exist_ok=True)
    version = versions / f"{len(list(versions.iterdir()))}.yaml"
    version.write_text(content)
    link = path.with_name("link")
    link.symlink_to(version)
    link.replace(path)


def by_config_map(path: Path, content: str) -> None:
    """As the kubelet does: a new directory of files, to which ``..data`` is switched."""
    root = path.parent
    version = root / f"..{len(list(root.iterdir()))}-{os.urandom(4).hex()}"
    version.mkdir()
    (version / path.name).write_text(content)
    link = root / "..data_tmp"
    link.symlink_to(version.name)
    link.replace(root / "..data")
    if not path.is_symlink():
        path.unlink(missing_ok=True)
        path.symlink_to(f"..data/{path.name}")


WAYS = (in_place, in_pieces, by_rename, by_deletion, by_symlink, by_config_map)


@pytest.mark.sample(1 / 6)
@pytest.mark.parametrize("save", WAYS, ids=lambda way: way.__name__)
async def test_many_saves_under_many_streams_fail_no_request_and_the_last_rules_hold(
    save: Callable[[Path, str], None], tmp_path: Path
) -> None:
    path = tmp_path / "config" / "ampmap.yaml"
    path.parent.mkdir()
    answered: set[str] = set()
    async with standing_in("p", word_s=0.04) as stand_in:
        path.write_text(text(stand_in, 0))
        if save in (by_symlink, by_config_map):
            save(path, text(stand_in, 0))
        async with following(path) as (proxy, client):
            over = False

            async def stream() -> None:
                while not over:
                    answered.add(await ask(client))

            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    for _ in range(STREAMS):
                        group.start_soon(stream)
                    for number in range(1, SAVES + 1):
                        await anyio.to_thread.run_sync(save, path, text(stand_in, number))
                        await anyio.lowlevel.checkpoint()
                    while await ask(client) != f"t-{SAVES}":
                        pass
                    over = True

            records = [record for record in proxy.service.journal.recent if record.requested_model]
            by_generation: dict[int, set[str]] = {}
            for record in records:
                by_generation.setdefault(record.generation, set()).add(record.resolved_model)

    assert {"ok"} == {record.outcome for record in records}
    assert {1} == {len(names) for names in by_generation.values()}
    assert f"t-{SAVES}" in answered


async def test_a_request_in_flight_ends_under_the_rules_it_began_with(tmp_path: Path) -> None:
    path = tmp_path / "ampmap.yaml"
    async with standing_in("p", word_s=0.1) as stand_in:
        path.write_text(text(stand_in, 1))
        async with following(path) as (proxy, client):
            async with client.stream("POST", "/v1/chat/completions", json={"model": "asked", "stream": True}) as reply:
                pieces = reply.aiter_text()
                begun = await anext(pieces)
                path.write_text("listen: 127.0.0.1:0\nproviders: []\n")
                with anyio.fail_after(GUARD_S):
                    while proxy.service.snapshot.generation == 1:
                        await anyio.sleep(0.01)
                begun += "".join([piece async for piece in pieces])
            refused = await client.post("/v1/chat/completions", json={"model": "asked"})

            assert begun.endswith("data: [DONE]\n\n")
            assert '"model": "asked"' in begun
            assert 404 == refused.status_code
            assert [1, 2] == [record.generation for record in proxy.service.journal.recent]


async def test_a_broken_edit_keeps_the_rules_and_the_status_says_so_until_a_good_one_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ampmap")
    path = tmp_path / "ampmap.yaml"
    async with standing_in("p") as stand_in:
        path.write_text(text(stand_in, 1))
        async with following(path) as (proxy, client):
            path.write_text("amp-model-mappings: nonsense\n")
            with anyio.fail_after(GUARD_S):
                while not proxy.service.reload.error:
                    await anyio.sleep(0.01)
            assert "t-1" == await ask(client)
            status = (await client.get("/_ampmap/status")).json()
            assert f"{path}:1:21: expected a list" in status["last_reload"]["error"]
            assert 1 == status["generation"]

            path.write_text(text(stand_in, 2))
            with anyio.fail_after(GUARD_S):
                while proxy.service.reload.error:
                    await anyio.sleep(0.01)
            assert "t-2" == await ask(client)
            assert (await client.get("/_ampmap/status")).json()["last_reload"]["error"] is None

    assert any("rule changed" in message or "t-1" in message for message in caplog.messages)

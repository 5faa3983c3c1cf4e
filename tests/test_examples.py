"""What lies in examples/ is what users copy: it has to work as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

import ampmap
from ampmap.commands.main import main
from ampmap.commands.stand_in import standing_in
from ampmap.config.file import parse

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_the_example_configuration_has_no_fault() -> None:
    assert 0 == main(["check", "--strict", "--config", str(EXAMPLES / "ampmap.yaml")])


@pytest.mark.parametrize(("name", "count"), [("test_with_ampmap.py", 1), ("test_my_rules.py", 3)])
def test_an_example_test_passes_in_a_pytest_that_knows_nothing_else(name: str, count: int) -> None:
    arguments = ["-q", "-p", "no:cacheprovider", "-W", "error", "-c", "/dev/null", "--rootdir", str(EXAMPLES)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert f"{count} passed" in done.stdout


def test_every_public_name_can_be_imported_and_no_other() -> None:
    assert all(getattr(ampmap, name) is not None for name in ampmap.__all__)
    assert sorted(ampmap.__all__) == list(ampmap.__all__)
    assert not hasattr(ampmap, "nothing")


async def test_the_status_line_shows_the_last_decision(tmp_path: Path) -> None:
    async def shown(url: str, key: str = "") -> str:
        env = {**os.environ, "ANTHROPIC_BASE_URL": url, "AMPMAP_API_KEY": key, "http_proxy": "http://127.0.0.1:9"}
        done = await anyio.run_process([sys.executable, str(EXAMPLES / "status_line.py")], env=env)
        return done.stdout.decode()

    body = json.dumps({"model": "claude-opus-4-8", "max_tokens": 9, "messages": []}).encode()
    async with standing_in("local") as provider:
        text = (
            f"listen: 127.0.0.1:0\napi-keys: [k]\nproviders: [{{name: ollama, base-url: '{provider.url}', "
            "protocols: [anthropic], models: [qwen3-coder]}]\namp-model-mappings: [{from: 'claude-*', to: qwen3-coder}]"
        )
        async with ampmap.running(parse(text, "ampmap.yaml", {}).settings, env={}) as proxy:
            assert "ampmap: no request yet\n" == await shown(proxy.url, "k")
            request = urllib.request.Request(f"{proxy.url}/v1/messages", body, {"x-api-key": "k"})
            await anyio.to_thread.run_sync(lambda: urllib.request.urlopen(request).read())
            assert "claude-opus-4-8 → qwen3-coder  ollama  200\n" == await shown(proxy.url, "k")
            assert "\n" == await shown(proxy.url, "wrong")
            url = proxy.url
    assert "\n" == await shown(url)

"""Every command works where Python lacks what it has on Linux, as on Windows and macOS."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from kit import BODY, OK, answering, post, scripted
from platforms import program
from process import configuration, process, run

_SYSTEMS = pytest.mark.parametrize("system", ["Windows", "macOS"])
_MAIN = """
from ampmap.commands.main import COMMANDS, main
for arguments in (["--version"], *(["help", name] for name in COMMANDS), *{commands!r}):
    try:
        code = main(arguments)
    except SystemExit as exc:
        code = exc.code
    print("-> exit", code, *arguments, flush=True)
"""
_CONFIG = """\
amp-model-mappings: [{from: alias, to: m}]
providers: [{name: local, base-url: 'http://127.0.0.1:9', protocols: [openai-chat], auth: none, models: [m]}]
"""


def _ran(system: str, *commands: list[str]) -> tuple[list[str], str]:
    """Run commands one after the other, as well as ``--version`` and the help of each; return what they printed."""
    done = run("-I", *program(system, "exec(" + repr(_MAIN.format(commands=commands)) + ")"))
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.splitlines(), done.stderr


@_SYSTEMS
def test_commands_work_elsewhere(system: str, tmp_path: Path) -> None:
    path = tmp_path / "ampmap.yaml"
    path.write_text(_CONFIG)
    path.chmod(0o600)
    file = ["--config", str(path)]

    lines, errors = _ran(system, ["check", *file], ["explain", "alias", *file], ["map", "add", "other", "m", *file])

    ends = [line for line in lines if line.startswith("-> exit ")]
    assert len(ends) > 10
    assert not [line for line in ends if not line.startswith("-> exit 0 ")], errors
    assert f"{path}: added other -> m" in lines
    assert path.read_text().count("to: m") == 2


def test_without_unix_sockets_an_address_says_so(tmp_path: Path) -> None:
    path = tmp_path / "ampmap.yaml"
    path.write_text(f"listen: unix:{tmp_path}/socket\n{_CONFIG}")
    path.chmod(0o600)

    lines, errors = _ran("Windows", ["serve", "--config", str(path)])

    assert lines[-1].startswith("-> exit 1 serve")
    assert "Python has no unix sockets on this system; write 127.0.0.1:8267" in errors


@_SYSTEMS
async def test_a_proxy_serves_reloads_by_its_poll_and_ends(system: str, tmp_path: Path) -> None:
    path = tmp_path / "ampmap.yaml"
    async with scripted(answering(OK, OK)) as provider:
        path.write_text(configuration(provider.origin))
        path.chmod(0o600)
        with process("--config", str(path), program=program(system)) as proxy:
            await proxy.said(b"cannot watch the configuration")
            assert 200 == (await proxy.ask(post(BODY))).status
            path.write_text(configuration(provider.origin).replace("alias", "other"))
            await proxy.said(b"configuration reloaded, generation 2")
            assert 200 == (await proxy.ask(post(BODY.replace(b'"m"', b'"other"')))).status
            proxy.signal(signal.SIGINT)
            await proxy.said(b"SIGINT: draining")
            assert 0 == await proxy.ended()

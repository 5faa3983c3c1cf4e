"""Help for somebody who has installed a wheel and nothing else: what each command does, an example, its exit codes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ampmap
from ampmap import __version__
from ampmap.commands.main import main

COMMANDS = ("serve", "run", "init", "check", "doctor", "explain", "replay", "map", "env", "schema", "demo")


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit, match="0"):
        main(arguments)
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_says_what_it_does_with_an_example_and_exit_codes(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = printed([command, "--help"], capsys)

    what, _, examples = shown.partition("\nexample")
    written = what.partition("\n\n")[2] + examples.partition("\noptions:")[0]
    assert f"ampmap {command}" in examples.partition("exit codes: ")[0] and "\nexit codes: " in examples
    assert len(what.partition("\n\n")[2]) > 60
    assert max(map(len, written.splitlines())) <= 82
    assert shown == printed(["help", command], capsys)


def test_help_without_a_command_names_them_all_and_the_first_steps(capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(["help"], capsys)

    assert shown == printed(["--help"], capsys)
    assert [name for name in (*COMMANDS, "help") if f"\n    {name} " not in shown] == []
    assert "ampmap init" in shown and "ampmap run claude" in shown


def test_the_version_has_a_short_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert f"ampmap {__version__}\n" == printed(["-V"], capsys)


def test_help_for_no_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["help", "nothing"])
    assert "invalid choice: 'nothing'" in capsys.readouterr().err


def test_nothing_that_a_wheel_lacks_is_named() -> None:
    for path in Path(ampmap.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and path.parent.name == "commands":
                assert not [word for word in ("`make", "make run", "examples/") if word in node.value], path

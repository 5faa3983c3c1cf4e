"""A configuration of unknown origin does not steer the terminal of whoever looks at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ampmap.commands.main import main

STRANGE = r"""
amp-model-mappings:
  - {from: "a\e[31mb", to: "x\e]52;c;aGk=\a\u202e"}
  - {from: "c", to: ""}
providers: [{name: p, base-url: 'http://127.0.0.1:1', protocols: [openai-chat], models: [m]}]
"""
BROKEN = STRANGE + '"provider\\e[2Js": 1\n'


@pytest.mark.parametrize("command", ["check", "map list", "map remove c", 'map add d "x\x1b[2J"', "explain a"])
@pytest.mark.parametrize("text", [STRANGE, BROKEN], ids=["usable", "broken"])
def test_what_is_printed_is_printable(
    text: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "strange.yaml"
    config.write_text(text)

    main([*command.split(), "--config", str(config)])

    shown = "".join(capsys.readouterr())
    assert shown and all(line.isprintable() for line in shown.split("\n")), shown

"""Pictures of agents at a terminal: ``python -m e2e.screens FOLDER``; ``make agent-pictures``.

In a network namespace that has loopback alone, ``ampmap run`` starts Claude Code and Codex in a tmux of their own,
before strict providers. A headless Chromium makes a picture of what the terminal shows, with ampmap's table at the end.
"""

from __future__ import annotations

import contextlib
import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio
from browser import chromium

from .agent_run import KEY
from .agents import AGENTS, put_on_path
from .inside import loopback_up
from .pictures import draw
from .provider import NO_FAULTS, providing
from .replies import FINAL

_COLUMNS, _ROWS = 100, 24
_PATIENCE_S = 90.0
_STEADY_S = 2.0
_MODEL = "qwen3-coder:30b"
_CONFIG = f"""\
amp-upstream-url: ''
amp-model-mappings: [{{{{from: '*', to: '{_MODEL}'}}}}]
providers:
  - {{{{name: ollama, base-url: '{{url}}', protocols: [openai-chat], api-key: {KEY}, models: ['{_MODEL}']}}}}
"""


@dataclass(frozen=True)
class Screen:
    """An agent at a terminal: what its user has settled before, what shows that it listens, what ends it."""

    files: dict[str, str]  # below its home; WORK stands for the folder that it works in
    ready: str
    leave: str
    requests: str  # in ampmap's table


SCREENS: dict[str, Screen] = {
    "claude": Screen(
        {
            ".claude.json": '{"hasCompletedOnboarding": true, "theme": "dark", "projects": {"WORK":'
            ' {"hasTrustDialogAccepted": true, "hasCompletedProjectOnboarding": true}}}',
            ".claude/settings.json": '{"permissions": {"allow": ["Bash"]}}',
        },
        "\u276f", "/exit", "of Claude Code",
    ),
    "codex": Screen(
        {
            ".codex/config.toml": 'approval_policy = "never"\nsandbox_mode = "danger-full-access"\n'
            '[projects."WORK"]\ntrust_level = "trusted"\n',
        },
        "\u203a", "/quit", "of Codex",
    ),
}  # fmt: skip


def _inside(folder: Path, commands: dict[str, tuple[str, ...]]) -> None:
    loopback_up()
    with contextlib.ExitStack() as stack:
        pages = {}
        for name, command in commands.items():
            provider = stack.enter_context(providing("openai-chat", KEY, _MODEL, NO_FAULTS))
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
            pages[name] = home / "screen.html"
            pages[name].write_text(_page(_shown(name, command, home, provider.url)))
            assert provider.complaints == [], provider.complaints
        profile = Path(stack.enter_context(tempfile.TemporaryDirectory()), "profile")
        anyio.run(_pictures, stack.enter_context(chromium.launched(profile)), folder, pages)


def _shown(name: str, command: tuple[str, ...], home: Path, url: str) -> str:
    """Have an agent do its job at a terminal and end; return what the terminal shows, with its colours."""
    screen, work = SCREENS[name], home / "work"
    for folder in ("bin", "work", "tmp"):
        (home / folder).mkdir()
    (home / "ampmap.yaml").write_text(_CONFIG.format(url=url))
    (home / "ampmap.yaml").chmod(0o600)
    put_on_path(home / "bin", name, command)
    put_on_path(home / "bin", "ampmap", (sys.executable, "-m", "ampmap"))
    for file, content in screen.files.items():
        (home / file).parent.mkdir(exist_ok=True)
        (home / file).write_text(content.replace("WORK", str(work)))
    env = {
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "HOME": str(home), "TMPDIR": str(home / "tmp"), "PS1": "$ ",
        "SHELL": "/bin/sh", "LANG": "C.UTF-8", "AMPMAP_CONFIG": str(home / "ampmap.yaml"), "COLORTERM": "truecolor",
        **AGENTS[name].env,
    }  # fmt: skip

    def tmux(*words: str) -> str:
        asked = ["tmux", "-S", str(home / "tmux"), "-f", "/dev/null", *words]
        return subprocess.run(asked, env=env, cwd=work, capture_output=True, text=True, check=True).stdout

    def typed(line: str, until: str) -> None:
        tmux("send-keys", "-l", line)
        _until(lambda: line in tmux("capture-pane", "-p"), line)
        tmux("send-keys", "Enter")
        _until(lambda: until in tmux("capture-pane", "-p"), until)

    tmux("new-session", "-d", "-x", str(_COLUMNS), "-y", str(_ROWS), "sh")
    try:
        typed(f"ampmap run {name}", screen.ready)
        typed("say hello", FINAL)
        before, shown = "", tmux("capture-pane", "-e", "-p")
        while shown != before:  # it goes on moving for a while
            time.sleep(_STEADY_S)
            before, shown = shown, tmux("capture-pane", "-e", "-p")
        typed(screen.leave, screen.requests)
        _until(lambda: "log: " in tmux("capture-pane", "-p"), "the log's name")
        table = re.search(r"^ampmap: .*(\n  .*)*", tmux("capture-pane", "-p"), re.MULTILINE)
        assert table is not None
        return f"{shown.rstrip()}\x1b[m\n\n{table[0]}"
    except TimeoutError as exc:
        raise SystemExit(f"{name} has not shown {exc}:\n{tmux('capture-pane', '-p')}") from None
    finally:
        tmux("kill-server")


def _until(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(what)
        time.sleep(0.2)


# The colours of a terminal.

_SGR = re.compile("\x1b\\[([0-9;]*)m")
_NAMED = "#1c1c1c #e06c75 #98c379 #e5c07b #61afef #c678dd #56b6c2 #abb2bf".split()
_BRIGHT = "#5c6370 #ff7b86 #b5e890 #ffd68a #7cc7ff #de8ef5 #6fd3df #ffffff".split()
_STYLES = {1: "font-weight:bold", 2: "opacity:.6", 3: "font-style:italic", 4: "text-decoration:underline"}
_ENDS = {22: (1, 2), 23: (3,), 24: (4,), 27: (7,), 39: ("color",), 49: ("background",)}


def _page(text: str) -> str:
    """Return a page that shows a terminal's text with what SGR (ECMA-48 §8.3.117) says of it."""
    text = text.replace("\u23bf", "\u2514")  # which the font has
    on: dict[int | str, str] = {}
    out = []
    for number, piece in enumerate(_SGR.split(text)):
        if number % 2:
            _change(on, [int(code or 0) for code in piece.split(";")])
        elif piece:
            style = ";".join(on.values())
            out.append(f'<span style="{style}">{html.escape(piece)}</span>')
    return (
        '<!doctype html><meta charset="utf-8"><style>body{margin:0;background:#1c1c1c}pre{margin:12px;'
        "width:max-content;"
        f"color:#d0d0d0;font:14px/1.25 'DejaVu Sans Mono',monospace}}</style><pre>{''.join(out)}</pre>"
    )


def _change(on: dict[int | str, str], codes: list[int]) -> None:
    """Change the styles that are in force as a list of codes says."""
    while codes:
        code = codes.pop(0)
        where = "background" if code // 10 in (4, 10) else "color"
        if code == 0:
            on.clear()
        elif code in _STYLES:
            on[code] = _STYLES[code]
        elif code == 7:
            on[7] = "filter:invert(1)"
        elif code in _ENDS:
            for name in _ENDS[code]:
                on.pop(name, None)
        elif code in (38, 48):
            on[where] = f"{where}:{_colour(codes)}"
        elif 30 <= code < 48:
            on[where] = f"{where}:{_NAMED[code % 10]}"
        elif 90 <= code < 108:
            on[where] = f"{where}:{_BRIGHT[code % 10]}"


def _colour(codes: list[int]) -> str:
    """Take the rest of a colour of 256, or of one in red, green and blue, from the codes."""
    if codes.pop(0) == 2:
        red, green, blue = codes[:3]
        del codes[:3]
        return f"rgb({red},{green},{blue})"
    number = codes.pop(0)
    if number < 16:
        return (_NAMED + _BRIGHT)[number]
    if number >= 232:
        return f"rgb({','.join([str((number - 232) * 10 + 8)] * 3)})"
    levels = (0, 95, 135, 175, 215, 255)
    cube = number - 16
    return f"rgb({levels[cube // 36]},{levels[cube // 6 % 6]},{levels[cube % 6]})"


async def _pictures(devtools: str, folder: Path, pages: dict[str, Path]) -> None:
    async with chromium.connected(devtools) as browser:
        for name, page in pages.items():
            async with browser.page() as tab:
                await tab.looks(900, 200, "dark", still=True)
                await tab.go(page.as_uri())
                size = "const {right, bottom} = document.querySelector('pre').getBoundingClientRect();"
                width, height = await tab.run(f"{size} return [Math.ceil(right) + 12, Math.ceil(bottom) + 12]")
                await tab.looks(width, height, "dark", still=True)
                await tab.picture(folder / f"{name}.webp")


if __name__ == "__main__":
    if shutil.which("tmux") is None:
        raise SystemExit("make agent-pictures: no tmux here (on Debian: apt-get install tmux)")
    draw("e2e.screens", SCREENS, _inside)

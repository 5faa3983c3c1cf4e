"""``ampmap run`` at a real terminal: signals, job control, window size and exit codes are the agent's own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakeagents import Bench, stood_in

# An agent that tells of each signal that it hears, and that its proxy is still there, until it hears TERM.
HEARS = """\
def heard(number, frame):
    say(signal.Signals(number).name, ask())
    if number == signal.SIGTERM:
        sys.exit(5)

for name in ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"):
    signal.signal(getattr(signal, name), heard)
say("ready")
while True:
    time.sleep(0.05)  # Python sees a signal that came just before a sleep when the sleep is over
"""
BASH = ["bash", "--norc", "--noprofile", "-i"]


@pytest.fixture(params=["asyncio", "uvloop"])
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    with stood_in() as provider:
        yield Bench(tmp_path, provider, request.param, variables={"PS1": "prompt$ "})


@pytest.fixture
def one_loop(tmp_path: Path) -> Iterator[Bench]:
    with stood_in(word_s=0.2) as provider:
        yield Bench(tmp_path, provider, variables={"PS1": "prompt$ "})


@pytest.mark.sample(1 / 5)
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("sys.exit(0)", 0),
        ("sys.exit(255)", 255),
        ("os.kill(os.getpid(), signal.SIGTERM)", 143),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137),
        ("signal.signal(signal.SIGINT, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGINT)", 130),
    ],
)
def test_the_exit_code_is_the_agents(code: str, expected: int, one_loop: Bench) -> None:
    one_loop.agent(f"{code}\n")

    assert expected == one_loop.run("run", "claude").returncode


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize("bench", ["asyncio", "uvloop", "as on macOS"], indirect=True)
def test_a_signal_to_ampmap_alone_reaches_the_agent_once_and_ends_only_it(bench: Bench) -> None:
    bench.agent(HEARS)

    with bench.started("run", "claude") as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for name in ("SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGINT", "SIGTERM"):
            process.send_signal(getattr(signal, name))
            assert f"{name} 200\n" == process.stdout.readline()
        assert (5, "") == (process.wait(30), process.stdout.read())


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize("bench", ["asyncio", "uvloop", "as on macOS"], indirect=True)
def test_ctrl_c_reaches_the_agent_once_and_the_proxy_goes_on(bench: Bench) -> None:
    bench.agent(HEARS)

    with bench.terminal(bench.command("run", "claude")) as terminal:
        terminal.until("ready")
        for _ in range(2):
            terminal.type("\x03")
            terminal.until("SIGINT 200")
        terminal.process.terminate()
        between = terminal.until("SIGTERM 200")
        assert "SIGINT" not in between  # each Ctrl-C once
        assert "8 requests" not in terminal.until("3 requests of Claude Code")
        assert 5 == terminal.ended()


def test_the_window_is_the_agents(one_loop: Bench) -> None:
    one_loop.agent(
        "def resized(number, frame): say('size', *os.get_terminal_size())\n"
        "signal.signal(signal.SIGWINCH, resized)\nsay(os.isatty(0), os.isatty(1), os.isatty(2))\n"
        "say('foreground', os.tcgetpgrp(0) == os.getpgrp(), os.getsid(0) == os.getsid(os.getppid()))\n"
        "sys.stdin.readline()\n"
    )

    with one_loop.terminal(one_loop.command("run", "claude")) as terminal:
        terminal.until("True True True")
        terminal.until("foreground True True")
        terminal.resize(33, 77)
        terminal.until("size 77 33")
        terminal.type("\n")
        terminal.until("log: ")
        assert 0 == terminal.ended()


@pytest.mark.sample(1 / 4)
@pytest.mark.parametrize("how", ["Ctrl-Z", "the agent itself"])
def test_a_stopped_agent_gives_the_shell_its_terminal_and_goes_on_with_fg(how: str, bench: Bench) -> None:
    stops = "" if how == "Ctrl-Z" else "os.kill(os.getpid(), signal.SIGSTOP)\n"
    bench.agent(
        "signal.signal(signal.SIGCONT, lambda *_: say('goes on'))\n"
        f"say('here', ask())\n{stops}say('got', sys.stdin.readline().strip(), ask())\n"
    )

    with bench.terminal(BASH) as terminal:
        terminal.until("prompt$ ")
        terminal.type(f"{' '.join(map(quoted, bench.command('run', 'claude')))}\n")
        terminal.until("here 200")
        if how == "Ctrl-Z":
            terminal.type("\x1a")
        terminal.until("Stopped")
        terminal.until("prompt$ ")
        terminal.type("fg\n")
        terminal.until("goes on")  # the terminal is the agent's again, in the mode that it had
        terminal.type("back\n")
        terminal.until("got back 200")
        terminal.until("2 requests of Claude Code")
        terminal.until("prompt$ ")
        terminal.type("exit\n")
        assert 0 == terminal.ended()


def test_it_stops_once_where_the_terminal_stops_it_after_its_agent(one_loop: Bench) -> None:
    one_loop.loop = "slow to stop"
    one_loop.agent("os.kill(os.getpid(), signal.SIGSTOP)\nsay('got', sys.stdin.readline().strip(), ask())\n")

    with one_loop.terminal(BASH) as terminal:
        terminal.until("prompt$ ")
        terminal.type(f"{' '.join(map(quoted, one_loop.command('run', 'claude')))}\n")
        while not (one_loop.root / "stopping").exists():  # it has seen that its agent has stopped
            time.sleep(0.01)
        terminal.type("\x1a")
        terminal.until("Stopped")
        terminal.until("prompt$ ")
        terminal.type("fg\n")
        terminal.until("\n")
        (one_loop.root / "goes-on").touch()
        terminal.type("back\n")
        between = terminal.until("prompt$ ")
        assert "got back 200" in between and "Stopped" not in between
        terminal.type("exit\n")
        assert 0 == terminal.ended()


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_a_background_job_runs_to_its_end(one_loop: Bench) -> None:
    one_loop.agent("say('here', ask())\nsys.exit(9)\n")

    with one_loop.terminal(BASH) as terminal:
        terminal.until("prompt$ ")
        terminal.type(f"{' '.join(map(quoted, one_loop.command('run', 'claude')))} & wait $!; echo code=$?\n")
        terminal.until("here 200")
        terminal.until("code=9")
        terminal.type("exit\n")
        terminal.ended()


def test_a_terminal_that_goes_ends_the_agent_and_ampmap(one_loop: Bench) -> None:
    one_loop.agent(
        "def gone(number, frame):\n    open('gone', 'w').write(str(ask()))\n    sys.exit(1)\n"
        "signal.signal(signal.SIGHUP, gone)\nsay('ready')\nwhile True: time.sleep(0.05)\n"
    )

    with one_loop.terminal(one_loop.command("run", "claude")) as terminal:
        terminal.until("ready\r\n")  # all of it: the agent is not in the middle of writing
        terminal.hang_up()
        terminal.ended()
    assert "200" == (one_loop.root / "gone").read_text()


def test_the_agent_gets_the_signals_that_ampmap_was_started_with(one_loop: Bench) -> None:
    one_loop.agent("").write_text("#!/bin/sh\nexec grep -E 'SigBlk|SigIgn' /proc/self/status\n")

    def ignoring() -> None:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)  # a shell's job in the background ignores some, Python SIGPIPE
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    done = subprocess.run(
        one_loop.command("run", "claude"), env=one_loop.env, capture_output=True, text=True, preexec_fn=ignoring
    )

    lines = (line.split(":\t") for line in done.stdout.splitlines())
    masks = {name: int(mask, 16) & 0x7FFF_FFFF for name, mask in lines}  # the others are glibc's own
    assert {"SigBlk": 0, "SigIgn": 1 << signal.SIGHUP - 1} == masks


def test_an_agent_that_leaves_in_mid_stream_leaves_nothing_behind(one_loop: Bench) -> None:
    one_loop.more = "timeouts: {drain-s: 3600}"  # to wait for the stream would outlast the test's patience
    one_loop.configure("claude-*")
    one_loop.agent("connection, begun = ask(stream=True)\nsay(begun)\nos._exit(3)\n")

    done = one_loop.run("run", "claude")

    assert 3 == done.returncode
    assert "1 request of Claude Code" in done.stderr and "outcome=client_gone" in one_loop.log.read_text()


def test_what_an_agent_leaves_behind_is_served_until_it_is_cut(one_loop: Bench) -> None:
    one_loop.more = "timeouts: {drain-s: 3600}"
    one_loop.configure("claude-*")
    one_loop.provider.word_s = 60.0
    one_loop.agent(
        "begun, told = os.pipe()\nsay(os.getpid())\nif os.fork():\n    os.read(begun, 1)\n    os._exit(4)\n"
        "connection, _ = ask(stream=True)\nos.close(1)\nos.close(2)\nos.write(told, b'.')\ntime.sleep(60)\n"
    )

    with one_loop.started("run", "claude") as process:
        assert process.stdout is not None
        agent = Path("/proc", process.stdout.readline().strip())
        while agent.exists():
            time.sleep(0.01)
        assert process.poll() is None
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert process.stderr is not None and "1 request of Claude Code" in process.stderr.read()
        assert 4 == process.returncode
        os.killpg(process.pid, signal.SIGKILL)


def test_nothing_of_the_log_appears_between_the_agents_lines(one_loop: Bench) -> None:
    one_loop.agent("say(ask(), ask('unserved'))\nopen('/dev/stderr', 'w').write('mine\\n')\n")

    with one_loop.terminal(one_loop.command("run", "claude")) as terminal:
        before = terminal.until("ampmap: 2 requests")
        terminal.ended()

    assert ["200 400", "mine"] == before.split("\r\n")[:2]
    assert 2 == one_loop.log.read_text().count("route_type=")

"""A stranger's first two commands, ``init`` and ``run``, on a machine of his own: a network namespace, a new home."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Runs in the namespace: loopback up, perhaps a local server, then each command; prints what came of them as JSON.
SCRIPT = """\
import fcntl, http.server, json, socket, struct, sys, threading
from contextlib import ExitStack
from pathlib import Path
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:  # netdevice(7): SIOCSIFFLAGS, IFF_UP | IFF_RUNNING
    fcntl.ioctl(sock, 0x8914, struct.pack("16sH14x", b"lo", 0x41))
from fakeagents import Bench, stood_in
servers, commands, folder, agent = json.loads(sys.argv[1])
with ExitStack() as stack:
    bench = Bench(Path(folder), stack.enter_context(stood_in()), variables={"AMPMAP_CONFIG": ""})
    for port, models in servers:
        if models is None:  # no server of models
            web = http.server.ThreadingHTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler)
            threading.Thread(target=web.serve_forever, daemon=True).start()
        else:
            stack.enter_context(stood_in(port=port, models=tuple(models)))
    bench.agent(agent)
    for command in commands:
        done = bench.run(*command)
        print(json.dumps([done.returncode, done.stdout, done.stderr]), flush=True)
"""

OLLAMA, VLLM = 11434, 8000
README = Path(__file__).parents[2] / "README.md"


def in_new_home(
    folder: Path,
    servers: list[tuple[int, list[str] | None]],
    *commands: list[str],
    agent: str = "say(ask(), ask('claude-haiku-4-5-20251001'))\n",
) -> list[tuple[int, str, str]]:
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        pytest.skip("this user may not make a network namespace (unshare -rn)")
    command = ["unshare", "-rn", sys.executable, "-c", SCRIPT, json.dumps([servers, commands, str(folder), agent])]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[1] / "support")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 0, done.stderr
    found = map(json.loads, done.stdout.splitlines())
    return [(code, said, complaint) for code, said, complaint in found]


def test_with_a_local_server_that_lists_one_model_the_first_run_is_served(tmp_path: Path) -> None:
    init, check, run, again = in_new_home(
        tmp_path, [(OLLAMA, ["any:7b"])], ["init"], ["check", "--strict"], ["run", "claude"], ["init"]
    )

    assert init[0] == 0 and "found ollama (http://127.0.0.1:11434): 1 model\n" in init[1]
    assert "claude-* (agents ask for claude-opus-4-8 today) → any:7b (ollama)\n" in init[1]
    assert "next: ampmap run claude (or codex, " in init[1]
    assert 0 == check[0]
    assert (0, "200 200\n") == run[:2] and "claude-opus-4-8 → any:7b" in run[2]
    assert 2 == again[0] and "there is one already" in again[2]


def test_with_nothing_it_is_said_what_to_do_and_init_may_be_tried_again(tmp_path: Path) -> None:
    commands = [["init"], ["check"], ["run", "claude"], ["init"]]
    found = in_new_home(tmp_path, [], *commands)
    assert [0, 0, 2, 0] == [code for code, _, _ in found]
    for _, said, complaint in found:
        assert "ANTHROPIC_API_KEY" in said + complaint and "`ampmap init`" in said + complaint

    init, run = in_new_home(tmp_path, [(OLLAMA, ["any"])], ["init"], ["run", "claude"])
    assert "found ollama" in init[1] and run[1] == "200 200\n"


def test_what_answers_at_a_servers_port_and_is_none_is_left_out(tmp_path: Path) -> None:
    init, explain = in_new_home(tmp_path, [(OLLAMA, ["any"]), (VLLM, None)], ["init"], ["explain", "claude-opus-4-8"])

    assert "left out vllm (http://127.0.0.1:8000): something answers there, but it answers 404 at /v1/models" in init[1]
    assert "found ollama" in init[1] and "vllm" not in explain[1]


def test_the_readme_shows_what_happens(tmp_path: Path) -> None:
    (transcript,) = re.findall(r"^```console\n(.*?)^```", README.read_text(), re.M | re.S)
    steps = [step.partition("\n") for step in transcript.split("$ ")[1:]]
    said = "This is local, answering as qwen3-coder:30b."

    found = in_new_home(
        tmp_path,
        [(OLLAMA, ["qwen3-coder:30b"])],
        *[shlex.split(command)[1:] for command, _, _ in steps],
        agent=f"ask(), ask(), say({said!r})\n",
    )

    for (_, _, shown), (code, out, complaint) in zip(steps, found, strict=True):
        assert code == 0
        happened = re.sub(r"\d+\.\d s", "0.4 s", (out + complaint).replace(str(tmp_path / "home"), "/home/you"))
        assert happened.splitlines() == shown.splitlines()

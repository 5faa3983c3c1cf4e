"""One run of a coding agent: ``python -m e2e.agent_run RUN OUTCOME`` within a network namespace, two pickles for files.

It brings up loopback, a strict provider, ampmap before it, and the agent before that, as a user would start it: by
``ampmap run``, or with the lines of ``ampmap env`` and a proxy that is there already.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from .agents import put_on_path
from .asks import Format
from .inside import ampmap, loopback_up
from .origins import Arrival
from .provider import NO_FAULTS, RUNNING, Faults, Provider, providing
from .sdks import CLIENTS

KEY = "provider-key-of-the-stand-in"
SERVED: dict[Format, str] = {
    "anthropic": "served-messages-1", "openai-responses": "served-responses-1",
    "openai-chat": "local/served-chat-1", "gemini": "served-gemini-1",
}  # fmt: skip
PROMPT = "say hello"
Via = Literal["env", "run"]

_PORT = 8267
_NOBODY = "http://127.0.0.1:9"
AS_ENV_SAYS = """\
python=$1 config=$2 name=$3
shift 2
eval "$("$python" -m ampmap env "$name" --config "$config")"
"$@"
"""


@dataclass(frozen=True)
class AgentRun:
    """What to run: which agent before a provider of which format, how it is pointed there, what goes wrong."""

    agent: str
    command: tuple[str, ...]
    provider: Format
    via: Via = "env"
    rules: bool = True  # any model is mapped to the one that is served
    faults: Faults = NO_FAULTS
    down: bool = False  # nobody listens where the provider should be
    interrupt: bool = False  # Ctrl-C while a stream that stays open or a slow command runs
    resumed: tuple[str, ...] = ()  # then it is run again with these arguments; the last one is the prompt
    patience_s: float = 0.0  # so long after its first request for a model it is killed; 0: only at its limit
    limit_s: float = 120.0
    prompt: str = PROMPT
    arguments: tuple[str, ...] = ()  # more of them, before the prompt
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)  # below its home
    by_hand: bool = False  # ``env`` and ``files`` are all that points it at ampmap
    repository: dict[str, str] = field(default_factory=dict)  # files of the git repository in which it is run; or none


@dataclass
class AgentOutcome:
    """All that was seen of a run."""

    status: int | None  # None: it was killed at its limit
    seconds: float
    stdout: str
    stderr: str
    seen: list[Arrival]
    complaints: list[str]
    records: list[dict[str, Any]]
    gone_s: float | None  # from Ctrl-C until the provider saw its client leave
    ended_s: float | None  # from Ctrl-C until the agent ended
    repository: dict[str, str]  # its files afterwards
    commits: list[str]  # the subjects in the repository, the newest first

    @property
    def said(self) -> str:
        """All that the user could read, less what steers a terminal."""
        return f"{self.stdout}\n{self.stderr}"


def main() -> None:
    """Run what the first file says, write the second one."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # for the finally clauses
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background would pass on that it is ignored
    run: AgentRun = pickle.loads(Path(sys.argv[1]).read_bytes())
    loopback_up()
    Path(sys.argv[2]).write_bytes(pickle.dumps(_run(run)))


def _run(run: AgentRun) -> AgentOutcome:
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ampmap-e2e-", ignore_cleanup_errors=True)))
        provider = stack.enter_context(providing(run.provider, KEY, SERVED[run.provider], run.faults))
        config, log = home / "ampmap.yaml", home / "ampmap.log"
        config.write_text(_config(run, _NOBODY if run.down else provider.url))
        for name in ("bin", "work", "tmp"):
            (home / name).mkdir()
        put_on_path(home / "bin", run.agent, run.command)
        for name, content in run.files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(content)
        if run.repository:
            _commit(home / "work", run.repository)
        if run.via == "run":
            log = home / "state" / "ampmap" / "run.log"
        else:
            stack.enter_context(ampmap(config, log, home))
        status, seconds, interrupted = _agent(run, home, config, provider, log)
        ended = time.monotonic()
        if run.resumed:
            *arguments, prompt = run.resumed
            again = replace(run, arguments=tuple(arguments), prompt=prompt, interrupt=False)
            status, seconds, _ = _agent(again, home, config, provider, log)
        until = time.monotonic() + 2
        while interrupted and provider.gone_at is None and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.2)  # the last records are written when the connections are over
        lines = log.read_text().splitlines() if log.exists() else []
        found = [json.loads(line) for line in lines if line.startswith("{")]
        stdout, stderr = ((home / name).read_text(errors="replace") for name in ("stdout", "stderr"))
        return AgentOutcome(
            status, seconds, stdout, stderr,
            provider.seen, provider.complaints, [record for record in found if "route_type" in record],
            provider.gone_at - interrupted if provider.gone_at and interrupted else None,
            ended - interrupted if interrupted else None,
            {name: (home / "work" / name).read_text() for name in run.repository},
            _git(home / "work", "log", "--format=%s").splitlines() if run.repository else [],
        )  # fmt: skip


def _commit(folder: Path, files: dict[str, str]) -> None:
    """Make a repository of a folder, with the files in its first commit."""
    _git(folder, "init", "--quiet")
    _git(folder, "config", "user.name", "A User")
    _git(folder, "config", "user.email", "user@example.com")
    for name, content in files.items():
        (folder / name).write_text(content)
    _git(folder, "add", ".")
    _git(folder, "commit", "--quiet", "-m", "begin")


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True).stdout


def _config(run: AgentRun, url: str) -> str:
    rules = f"amp-model-mappings: [{{from: '*', to: {SERVED[run.provider]}}}]\n" if run.rules else ""
    return (
        f"listen: 127.0.0.1:{_PORT}\namp-upstream-url: ''\nlog: {{format: json}}\n{rules}providers:\n"
        f"  - {{name: standin, base-url: '{url}', protocols: [{run.provider}], api-key: {KEY},\n"
        f"     models: [{SERVED[run.provider]}]}}\n"
    )


def _agent(run: AgentRun, home: Path, config: Path, provider: Provider, log: Path) -> tuple[int | None, float, float]:
    """Run the agent; return its exit code, how long it ran, and when it was interrupted, 0 if it was not."""
    agent = CLIENTS[run.agent]
    given = [*agent.arguments, *run.arguments, run.prompt, *agent.after]
    if run.by_hand:
        command = [run.agent, *given]
    elif run.via == "run":
        named = [run.agent] if agent.has_name else ["--as", agent.speaks]
        program = [] if agent.has_name else [run.agent]
        command = [sys.executable, "-m", "ampmap", "run", *named, "--config", str(config), "--", *program, *given]
    else:
        command = ["sh", "-c", AS_ENV_SAYS, "sh", sys.executable, str(config), run.agent, *given]
    env = {
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "HOME": str(home), "TERM": "dumb", "SHELL": "/bin/sh",
        "TMPDIR": str(home / "tmp"), "XDG_STATE_HOME": str(home / "state"), **agent.env, **run.env,
    }  # fmt: skip
    begun, interrupted = time.monotonic(), 0.0
    end, patience_s = begun + run.limit_s, run.patience_s
    with (home / "stdout").open("ab") as stdout, (home / "stderr").open("ab") as stderr:
        process = subprocess.Popen(
            command, cwd=home / "work", env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
            start_new_session=True,
        )  # fmt: skip
        try:
            while (status := process.poll()) is None and time.monotonic() < end:
                runs = provider.streaming.is_set() or (home / "work" / RUNNING).exists()
                if run.interrupt and not interrupted and runs:
                    time.sleep(0.5)  # what has arrived is on the screen
                    interrupted = time.monotonic()
                    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
                if patience_s and re.search('"requested_model": "[^"]', log.read_text()):
                    end, patience_s = time.monotonic() + patience_s, 0.0
                time.sleep(0.05)
        finally:
            with contextlib.suppress(ProcessLookupError):  # its tools, too: all of its process group
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return status, time.monotonic() - begun, interrupted


if __name__ == "__main__":
    # Pickles name the module by its import path, not "__main__".
    from e2e import agent_run

    agent_run.main()

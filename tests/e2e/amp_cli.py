"""One run of an agent: ``python -m e2e.amp_cli RUN OUTCOME`` within a network namespace, two pickles for files.

It brings up loopback, stand-ins, ampmap as a process of its own and the tap, runs the agent to its end or kills it, and
writes down all that was seen. What that should have been is for the tests to say. The agent is Amp's CLI, unless the
run's ``set_up`` says otherwise.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .amp_server import standing_in
from .asks import Format
from .inside import ampmap, loopback_up
from .origins import Arrival
from .replies import Manner
from .tap import Exchange, tapping

AMP_KEY = "sgamp_user_e2e_0123456789abcdef"
PROVIDER_KEY = "provider-key-of-the-stand-ins"
FORMATS: tuple[Format, ...] = ("anthropic", "openai-responses", "openai-chat", "gemini")
SERVED: dict[Format, str] = {
    "anthropic": "served-messages-1", "openai-responses": "served-responses-1",
    "openai-chat": "local/served-chat-1", "gemini": "served-gemini-1",
}  # fmt: skip


def amp(home: Path, url: str, settings: dict[str, Any]) -> dict[str, str]:
    """Write the settings of Amp's CLI; return the environment that points it at ``url``."""
    path = home / ".config" / "amp" / "settings.json"
    path.parent.mkdir(parents=True)
    content = {
        "amp.updates.mode": "disabled",
        "amp.dangerouslyAllowAll": True,
        "amp.git.commit.ampThread.enabled": False,
    }
    path.write_text(json.dumps(content | settings))
    return {
        "AMP_URL": url, "AMP_API_KEY": AMP_KEY, "AMP_SKIP_UPDATE_CHECK": "1", "XDG_CONFIG_HOME": str(home / ".config"),
    }  # fmt: skip


@dataclass(frozen=True)
class Run:
    """What to run: the command without its options, the rules of ampmap, and when to give up."""

    command: tuple[str, ...]
    arguments: tuple[str, ...]
    rules: str
    settings: dict[str, Any] = field(default_factory=dict)
    more: str = ""  # further lines of ampmap's configuration
    manner: Manner | None = None  # of the providers
    limit_s: float = 45.0
    set_up: Callable[[Path, str, dict[str, Any]], dict[str, str]] = amp  # the agent's home, ampmap's URL, settings
    upstream: bool = True  # ampmap has an Amp upstream
    enough: int = 0  # a CLI that never ends is killed once a provider was asked this often


@dataclass
class Outcome:
    """All that was seen of a run."""

    status: int | None  # None: it was killed
    seconds: float
    stdout: str
    stderr: str
    seen: dict[str, list[Arrival]]  # by wire format; "amp" is the stand-in for ampcode.com
    passed: list[Exchange]
    records: list[dict[str, Any]]  # ampmap's own log of requests
    log: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of ``--stream-json``."""
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]


def main() -> None:
    """Run what the first file says, write the second one."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # for the finally clauses
    run: Run = pickle.loads(Path(sys.argv[1]).read_bytes())
    loopback_up()
    outcome = _run(run)
    Path(sys.argv[2]).write_bytes(pickle.dumps(outcome))


def _run(run: Run) -> Outcome:
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ampmap-e2e-", ignore_cleanup_errors=True)))
        amp_server = stack.enter_context(standing_in(None))
        providers = {wire: stack.enter_context(standing_in(wire)) for wire in FORMATS}
        urls = {wire: provider.url for wire, provider in providers.items()}
        for provider in providers.values():
            provider.manner = run.manner
        config = home / "ampmap.yaml"
        config.write_text(_config(amp_server.url if run.upstream else '""', urls, run))
        log = home / "ampmap.log"
        port = stack.enter_context(ampmap(config, log, home))
        tap = stack.enter_context(tapping(port))

        def enough() -> bool:
            return bool(run.enough) and sum(len(each.seen) for each in providers.values()) >= run.enough

        status, seconds, stdout, stderr = _cli(run, home, tap.url, enough)
        until = time.monotonic() + 4
        while amp_server.open_websockets and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.2)  # the last records are written when the connections are over
        text = log.read_text()
        seen = {"amp": list(amp_server.seen)} | {wire: list(provider.seen) for wire, provider in providers.items()}
        records = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        records = [record for record in records if "route_type" in record]
        return Outcome(status, seconds, stdout, stderr, seen, tap.exchanges(), records, text)


def _config(amp_url: str, urls: dict[Format, str], run: Run) -> str:
    providers = "".join(
        f"  - {{name: {wire}, base-url: '{url}', protocols: [{wire}], api-key: {PROVIDER_KEY},\n"
        f"     models: [{SERVED[wire]}]}}\n"
        for wire, url in urls.items()
    )
    rules = f"amp-model-mappings:\n{run.rules}" if run.rules else ""
    return f"listen: 127.0.0.1:0\namp-upstream-url: {amp_url}\n{run.more}{rules}providers:\n{providers}"


def _cli(run: Run, home: Path, url: str, enough: Callable[[], bool]) -> tuple[int | None, float, str, str]:
    work = home / "work"
    work.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "dumb", "SHELL": "/bin/sh"}
    env |= run.set_up(home, url, run.settings)
    out, err = home / "stdout", home / "stderr"
    begun = time.monotonic()
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [*run.command, *run.arguments], cwd=work, env=env, stdin=subprocess.DEVNULL,
            stdout=stdout, stderr=stderr, start_new_session=True,
        )  # fmt: skip
        try:
            status = _wait(process, begun + run.limit_s, enough)
        finally:
            with contextlib.suppress(ProcessLookupError):  # its tools, too: all of its process group
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    seconds = time.monotonic() - begun
    return status, seconds, out.read_text(errors="replace"), err.read_text(errors="replace")


def _wait(process: subprocess.Popen[bytes], until: float, enough: Callable[[], bool]) -> int | None:
    while time.monotonic() < until:
        if (status := process.poll()) is not None:
            return status
        if enough():
            until = min(until, time.monotonic() + 1.0)  # time for the reply to arrive
        time.sleep(0.05)
    return None


if __name__ == "__main__":
    # Pickles name the module by its import path, not "__main__".
    from e2e import amp_cli

    amp_cli.main()

"""The clients that are run: fetched once from the npm registry, kept in the user's cache."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from .amp_cli import Outcome, Run

PACKAGE = "@sourcegraph/amp"
# Classic: the first, a middle and the last one of those that ask for models through AMP_URL. Neo: the first of these
# that can be had.
VERSIONS: dict[str, tuple[str, ...]] = {
    "old": ("0.0.1767830505-ga62310",),
    "mid": ("0.0.1774310664-gcb98ac",),
    "new": ("0.0.1777897475-g2324e1",),
    "neo": ("0.0.1790142911-g7618fb", "0.0.1784106548-gd81d8b"),
}
CLASSIC = ("old", "mid", "new")
CLAUDE_CODE = "@anthropic-ai/claude-code"

_TESTS = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "ampmap-e2e")
_UNREACHABLE = ("ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH")
installing = threading.Lock()  # held while a package is installed: one after the other
_unreachable: list[str] = []  # what has been said of the registry: it is not asked again


class Lacking(Exception):
    """This machine lacks a part; the message is one line that says which."""


def run(run: Run) -> Outcome:
    """Run Amp's CLI, or another agent by its ``set_up``, in a namespace of its own. Raises :class:`Lacking`."""
    outcome: Outcome = within("e2e.amp_cli", run, run.limit_s)
    return outcome


def within(module: str, run: object, limit_s: float) -> Any:
    """Have a module make a run in a namespace of its own, and return its outcome. Raises :class:`Lacking`."""
    with tempfile.TemporaryDirectory(prefix="ampmap-e2e-") as folder:
        what, seen = Path(folder, "run"), Path(folder, "seen")
        what.write_bytes(pickle.dumps(run))
        command = [*namespace(), sys.executable, "-m", module, str(what), str(seen)]
        env = {**os.environ, "PYTHONPATH": f"{_TESTS}{os.pathsep}{_TESTS / 'support'}"}
        process = subprocess.Popen(command, env=env, start_new_session=True, stderr=subprocess.PIPE, text=True)
        try:
            _, complaint = process.communicate(timeout=limit_s + 40)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)  # lets it end the CLI, whose process group is another
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            raise AssertionError(f"the run did not end, nor did its deadline: {run}") from None
        assert seen.exists(), complaint
        return pickle.loads(seen.read_bytes())


@functools.cache
def namespace() -> tuple[str, ...]:
    """Return what puts a command into a network namespace that has loopback alone."""
    if shutil.which("unshare") is None:
        raise Lacking("this machine has no unshare(1), so the CLI cannot be kept off the network")
    for command in (("unshare", "-rn"), ("unshare", "-n")):
        if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            return command
    raise Lacking("this user may not make a network namespace (unshare -rn), so the CLI cannot be kept off the network")


def command(client: str) -> tuple[str, ...]:
    """Return how a client is started; install it if need be. Raises :class:`Lacking`."""
    with installing:
        found = _found(client)
    if isinstance(found, str):
        raise Lacking(found)
    return found


@functools.cache
def _found(client: str) -> tuple[str, ...] | str:
    """Return the command, or why there is none: what is lacking once is not looked for again."""
    why = ""
    for version in VERSIONS[client]:
        try:
            namespace()
            return _command(installed(PACKAGE, version))
        except Lacking as exc:
            why = why or str(exc)
    return why


def _command(folder: Path) -> tuple[str, ...]:
    modules = folder / "node_modules"
    native = sorted(modules.glob("@ampcode/cli-*/amp"))
    if native:
        return (str(native[0]),)
    script = modules / PACKAGE / "dist" / "main.js"
    if not script.exists():
        raise Lacking(f"{PACKAGE} {folder.name} has no program for this system")
    return (node(), "--no-warnings", str(script))


def node() -> str:
    """Return the path of Node.js. Raises :class:`Lacking`."""
    found = shutil.which("node")
    if found is None:
        raise Lacking("this machine has no node, which this client runs on")
    return found


def version(client: str) -> str:
    """Return the version of a client that :func:`command` has found."""
    return next(version for version in VERSIONS[client] if version in " ".join(command(client)))


@functools.cache
def claude_code(version: str) -> tuple[str, ...]:
    """Return how a version of Claude Code is started; install it if need be. Raises :class:`Lacking`."""
    namespace()
    modules = installed(CLAUDE_CODE, version) / "node_modules" / "@anthropic-ai"
    native = sorted(modules.glob("claude-code-*/claude"))
    scripts = sorted(modules.glob("claude-code/cli.*js"))
    if native:
        return (str(native[0]),)
    if not scripts:
        raise Lacking(f"{CLAUDE_CODE} {version} has no program for this system")
    return (node(), "--no-warnings", str(scripts[0]))


@functools.cache
def released(package: str) -> str:
    """Return the newest version of a package. Raises :class:`Lacking`."""
    if shutil.which("npm") is None:
        raise Lacking(f"this machine has no npm to look for {package} with")
    done = subprocess.run(["npm", "view", package, "version"], capture_output=True, text=True, timeout=90)
    if done.returncode != 0:
        raise Lacking(f"the npm registry does not say which version of {package} is the newest")
    return done.stdout.strip()


def installed(package: str, version: str) -> Path:
    """Return the folder with a package; install it if need be. Raises :class:`Lacking`."""
    folder = CACHE / package.rpartition("/")[2] / version
    if (folder / "node_modules").is_dir():
        return folder
    if _unreachable:
        raise Lacking(_unreachable[0])
    if shutil.which("npm") is None:
        raise Lacking(f"this machine has no npm to install {package} with")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".installing-", dir=folder.parent, ignore_cleanup_errors=True) as made:
        Path(made, "package.json").write_text(json.dumps({"private": True}))
        # Its scripts would fetch and run programs; nothing that is tested here needs them.
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--fetch-retries=1",
                   "--fetch-retry-mintimeout=1000")  # fmt: skip
        try:
            done = subprocess.run(
                ["npm", "install", *options, f"{package}@{version}"],
                cwd=made, capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            _unreachable.append(f"the npm registry, where {package} comes from, does not answer")
            raise Lacking(_unreachable[0]) from None
        if done.returncode != 0:
            said = re.search(r"^npm (?:error|ERR!) code (\w+)", done.stderr, re.MULTILINE)
            code = said[1] if said else f"status {done.returncode}"
            if code in _UNREACHABLE:
                _unreachable.append(f"the npm registry, where {package} comes from, cannot be reached ({code})")
                raise Lacking(_unreachable[0])
            raise Lacking(f"npm could not install {package} {version} ({code})")
        with contextlib.suppress(OSError):  # another run was quicker
            Path(made).rename(folder)
    return folder

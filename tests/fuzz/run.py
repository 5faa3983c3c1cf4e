"""Run the fuzz targets by coverage, each for a time, and keep what they find: ``python -m fuzz.run --seconds 60``.

Each target runs in a process of its own, from its seeds and from what earlier runs found worth keeping (in ``--work``).
A finding stops its target; it is made smaller, put into the target's corpus under a readable name, and told with its
traceback. The exit status is 1 after a finding, 2 where a target could not be run.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from . import CORPUS, TARGETS

_SLOW_S = 10  # one input that takes longer is a finding
# Of one input: a tool's name is held for 4 KiB, and int takes 4300 digits.
_MOST_BYTES = {
    "heads": 2500, "upstreams": 1500, "bodies": 5000, "replies": 6000, "asked": 3000, "answers": 6000, "gzips": 1500,
    "configs": 1000, "edits": 300,
}  # fmt: skip
_MOST_MIB = 1024
_SHRINK_S = 20.0

Check = Callable[[bytes], None]


def main() -> int:
    """Run the targets that the command line names; all by default."""
    parser = argparse.ArgumentParser(prog="fuzz.run", description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"one or more of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--work", type=Path, required=True, help="a directory for what is worth keeping between runs")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.work = asked.work.resolve()
    if asked.inside:
        _fuzz(asked.inside, asked.seconds, asked.work)
    for name in asked.targets:
        if name not in TARGETS:
            parser.error(f"there is no target {name!r}")
    codes = [_run(name, asked.seconds, asked.work) for name in asked.targets or TARGETS]
    return max(codes)


def _fuzz(name: str, seconds: int, work: Path) -> None:
    """Fuzz one target in this process, which ends with it."""
    atheris = import_module("atheris")
    with atheris.instrument_imports(include=["ampmap", "h11"], enable_loader_override=False):
        check: Check = import_module(f"fuzz.{name}").check
    kept = work / name
    options = [
        f"-max_total_time={seconds}", f"-timeout={_SLOW_S}", f"-rss_limit_mb={_MOST_MIB}",
        f"-max_len={_MOST_BYTES[name]}", f"-artifact_prefix={work}/{name}-", "-print_final_stats=1", "-reload=0",
        str(kept), str(CORPUS / name),
    ]  # fmt: skip
    if (words := CORPUS.parent / "words" / name).exists():
        options.insert(0, f"-dict={words}")
    atheris.Setup([name, *options], check)
    atheris.Fuzz()


def _run(name: str, seconds: int, work: Path) -> int:
    """Run one target and tell of it; 0 where nothing was found."""
    (work / name).mkdir(parents=True, exist_ok=True)
    for old in work.glob(f"{name}-*"):
        old.unlink()
    command = [sys.executable, "-m", "fuzz.run", "--inside", name, "--seconds", str(seconds), "--work", str(work)]
    began = time.monotonic()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=CORPUS.parents[2], timeout=2 * seconds + 600,
        check=False,
    )  # fmt: skip
    said = done.stdout.decode("utf-8", "backslashreplace")
    runs = re.search(r"number_of_executed_units: (\d+)", said) or re.search(r"Done (\d+) runs", said)
    covered = re.findall(r"cov: (\d+)", said)
    shown = f"{name}: {runs[1] if runs else '?'} runs in {time.monotonic() - began:.0f} s"
    sys.stdout.write(f"{shown}, {covered[-1] if covered else '?'} places of the code reached\n")
    found = sorted(work.glob(f"{name}-*"))
    for artifact in found:
        sys.stdout.write(_keep(name, artifact))
    sys.stdout.flush()
    if found:
        return 1
    if done.returncode:
        sys.stdout.write(f"{said[-4000:]}\n{name} could not be run\n")
        return 2
    return 0


def _keep(name: str, artifact: Path) -> str:
    """Put a finding into the corpus; return what is to be told of it."""
    check: Check = import_module(f"fuzz.{name}").check
    data = artifact.read_bytes()
    kind = artifact.name.removeprefix(f"{name}-").partition("-")[0]
    told = ""
    if kind == "crash" and (failure := failure_of(check, data)):
        data, kind = smaller(check, data, failure), failure
        try:
            check(data)
        except Exception:
            told = traceback.format_exc()
    slug = re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-")
    path = CORPUS / name / f"found-{slug}-{hashlib.sha256(data).hexdigest()[:8]}"
    path.write_bytes(data)
    return f"{told}{name}: {kind}; the input is kept as {path.relative_to(CORPUS.parents[2])}\n"


def failure_of(check: Check, data: bytes) -> str:
    """Return what fails, where, in a few words; empty where nothing does."""
    try:
        check(data)
    except Exception as exc:
        last = traceback.extract_tb(exc.__traceback__)[-1]
        return f"{type(exc).__name__} in {Path(last.filename).stem} {last.name}"
    return ""


def smaller(check: Check, data: bytes, failure: str) -> bytes:
    """Leave out of a finding what it can do without, as long as it fails in the same way; for a bounded time."""
    until = time.monotonic() + _SHRINK_S
    size = len(data) // 2
    while size and time.monotonic() < until:
        at = 0
        while at < len(data) and time.monotonic() < until:
            less = data[:at] + data[at + size :]
            if failure_of(check, less) == failure:
                data = less
            else:
                at += size
        size //= 2
    return data


if __name__ == "__main__":
    sys.exit(main())

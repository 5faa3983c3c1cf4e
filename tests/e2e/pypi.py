"""Python programs from PyPI, each in an environment of its own in the user's cache."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .clients import CACHE, Lacking

_PLACE = CACHE / "python"
_LIMIT_S = 300.0


def environment(package: str, version: str, beside: tuple[str, ...] = ()) -> Path:
    """Return the folder of an environment with a package and others; make it if need be. Raises :class:`Lacking`."""
    folder = _PLACE / re.sub(r"\W+", "-", package).strip("-") / version
    stamp = folder / ".installed"
    if not stamp.exists():
        uv = _uv()
        _run([sys.executable, "-m", "venv", "--without-pip", "--clear", str(folder)], "make an environment")
        wanted = [f"{package}=={version}", *beside]
        _run([uv, "pip", "install", "--quiet", "--python", str(folder), *wanted], f"install {' '.join(wanted)}")
        stamp.touch()
    return folder


@functools.cache
def released(package: str) -> str:
    """Return the newest version of a package. Raises :class:`Lacking`."""
    said = _run([_uv(), "pip", "compile", "--quiet", "--no-deps", "--no-header", "-"], f"look for {package}", package)
    return said.rpartition("==")[2].strip()


@functools.cache
def _uv() -> str:
    """Return the path of uv, in an environment of its own where the machine has none: pip takes minutes for LiteLLM."""
    if found := shutil.which("uv"):
        return found
    folder = _PLACE / "uv"
    if not (folder / "bin" / "uv").exists():
        _run([sys.executable, "-m", "venv", "--clear", str(folder)], "make an environment")
        _run([str(folder / "bin" / "pip"), "install", "--quiet", "uv"], "install uv")
    return str(folder / "bin" / "uv")


def _run(command: list[str], what: str, given: str = "") -> str:
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        raise Lacking(f"PyPI could not be used to {what} within {_LIMIT_S:.0f} s") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise Lacking(f"this machine could not {what}: {said[:300]}")
    return done.stdout

"""Have a vendor's JavaScript SDK read streams under node, many in one run; installed once, beside the virtual env."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

_CACHE = Path(__file__).resolve().parents[2] / ".venv" / "node"
_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--fetch-retries=1")


def run(package: str, version: str, script: str, cases: Any, limit_s: float = 120) -> Any:
    """Run a script, which gets ``cases`` as JSON on its input and prints JSON; skips where node or npm is missing."""
    folder, lacking = _installed(package, version)
    if folder is None:
        pytest.skip(lacking)
    path = folder / f"judge-{abs(hash(script)):x}.mjs"
    path.write_text(script)
    try:
        done = subprocess.run(
            ["node", "--no-warnings", str(path)], input=json.dumps(cases), capture_output=True, text=True,
            timeout=limit_s, cwd=folder,
        )  # fmt: skip
    finally:
        path.unlink()
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


# The whole stream comes as one body: what is judged is the accumulator, not the connection.
_ACCUMULATING = """
import Sdk from 'PACKAGE';
let text = '';
for await (const piece of process.stdin) text += piece;
const judged = {};
for (const [name, stream] of Object.entries(JSON.parse(text))) {
  const client = new Sdk({apiKey: 'k', maxRetries: 0, baseURL: 'BASE',
    fetch: async () => new Response(stream, {headers: {'content-type': 'text/event-stream; charset=utf-8'}})});
  try {
    judged[name] = await READ;
  } catch (error) {
    judged[name] = {error: String(error.message ?? error)};
  }
}
process.stdout.write(JSON.stringify(judged));
"""


def accumulated(package: str, version: str, base: str, read: str, streams: dict[str, bytes]) -> dict[str, Any]:
    """Return what an SDK makes of each stream, or the error; ``read`` is the expression that has ``client`` read it."""
    script = _ACCUMULATING.replace("PACKAGE", package).replace("BASE", base).replace("READ", read)
    found: dict[str, Any] = run(package, version, script, {name: stream.decode() for name, stream in streams.items()})
    return found


def installed(package: str, version: str) -> Path:
    """Return the folder in which a package is installed; skips as :func:`run` does."""
    folder, lacking = _installed(package, version)
    if folder is None:
        pytest.skip(lacking)
    return folder / "node_modules" / package


@functools.cache
def _installed(package: str, version: str) -> tuple[Path | None, str]:
    folder = _CACHE / package.replace("/", "+") / version
    if shutil.which("node") is None or shutil.which("npm") is None:
        return None, f"this machine has no node to run {package} with"
    if not (folder / "node_modules").is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as made:
            Path(made, "package.json").write_text('{"private": true}')
            try:
                done = subprocess.run(
                    ["npm", "install", *_OPTIONS, f"{package}@{version}"],
                    cwd=made, capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                return None, f"the npm registry does not answer for {package}"
            if done.returncode != 0:
                return None, f"npm could not install {package} {version}"
            Path(made).rename(folder)
            Path(made).mkdir()  # to be removed
    return folder, ""

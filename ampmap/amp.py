"""Amp's own login on this machine, for when neither the configuration nor the client brings one.

Amp's CLI keeps its key in ``~/.local/share/amp/secrets.json`` under ``apiKey@<upstream>/``. The file is read again
when it changes, so a login made while ampmap runs is used by the next request.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from .credentials import is_header_safe
from .settings import Origin

_log = logging.getLogger("ampmap.amp")
_MAX_BYTES = 1024 * 1024


class AmpSecret:
    """The key that Amp's environment or secrets file holds; ``env`` is the process's environment."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._from_env = env.get("AMP_API_KEY", "").strip()
        if self._from_env and not is_header_safe(self._from_env):
            _log.warning("AMP_API_KEY is not used: it has blanks or characters that no header may carry")
            self._from_env = ""
        home = env.get("HOME", "")
        data = env.get("XDG_DATA_HOME") or (f"{home}/.local/share" if home else "")
        self._path = Path(data) / "amp" / "secrets.json" if data else None
        self._stamp: tuple[int, int, int] | None = None
        self._secrets: dict[str, str] = {}

    def key_for(self, origin: Origin) -> str:
        """Return the key for the Amp upstream ``origin``; empty when there is none. Costs one ``stat``."""
        if self._from_env or self._path is None:
            return self._from_env
        try:
            stat = self._path.stat()
        except OSError:
            self._stamp, self._secrets = None, {}
            return ""
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if stamp != self._stamp:
            self._stamp, self._secrets = stamp, _read_secrets(self._path)
        return self._secrets.get(f"apiKey@{origin}/", "")


def _read_secrets(path: Path) -> dict[str, str]:
    """Return the file's usable keys; a value of another type elsewhere in it is no obstacle."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError) as exc:
        _log.warning("%s is not used: it cannot be read as JSON (%s)", path, type(exc).__name__)
        return {}
    if not isinstance(content, dict):
        _log.warning("%s is not used: it holds no object", path)
        return {}
    keys = {name: value.strip() for name, value in content.items() if isinstance(value, str)}
    return {name: value for name, value in keys.items() if is_header_safe(value)}

"""Find Amp's login on this machine, for requests for which neither the configuration nor the client has a key.

Amp's CLI keeps its key in ``~/.local/share/amp/secrets.json`` under ``apiKey@<upstream>/``. The file is read again
when it changes, so the next request uses a login made while ampmap runs.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from ..files import read_regular
from ..http.headers import is_header_safe
from ..settings import Origin

_log = logging.getLogger("ampmap.amp")
_MAX_BYTES = 1024 * 1024


class AmpSecret:
    """The key in ``AMP_API_KEY`` or in Amp's secrets file; ``env`` is the process's environment."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._from_env = env.get("AMP_API_KEY", "").strip()
        if self._from_env and not is_header_safe(self._from_env):
            _log.warning("AMP_API_KEY is not used: it has blanks or characters that are not allowed in a header")
            self._from_env = ""
        home, data = env.get("HOME", ""), env.get("XDG_DATA_HOME", "")
        folders = [Path(data)] if data else []
        if home:
            folders.append(Path(home) / ".local" / "share")
        self._files = [_SecretsFile(folder / "amp" / "secrets.json") for folder in folders]

    def key_for(self, origin: Origin) -> str:
        """Return the key for the Amp upstream ``origin``; empty if there is none. Blocks for a ``stat`` or two."""
        if self._from_env:
            return self._from_env
        found = (file.keys().get(f"apiKey@{origin}/") for file in self._files)
        return next(filter(None, found), "")


class _SecretsFile:
    """A file of Amp's keys, read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, ...] | None = None
        self._keys: dict[str, str] = {}

    def keys(self) -> dict[str, str]:
        """Return the usable keys; empty if there is no file."""
        try:
            found = self._path.stat()
        except (OSError, ValueError):  # ValueError: a NUL in the path
            self._stamp, self._keys = None, {}
            return self._keys
        # ctime changes with the permissions: a file that could not be read may have become readable.
        stamp = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
        if stamp != self._stamp:
            self._stamp, self._keys = stamp, _read_secrets(self._path)
        return self._keys


def _read_secrets(path: Path) -> dict[str, str]:
    """Return the file's usable keys; members with other values are ignored. Logs why a file cannot be used."""
    try:
        content = json.loads(read_regular(path, _MAX_BYTES))
    except OSError as exc:
        _log.warning("%s is not used: %s", path, exc.strerror)
        return {}
    except (ValueError, RecursionError) as exc:
        _log.warning("%s is not used: it cannot be read as JSON (%s)", path, type(exc).__name__)
        return {}
    if not isinstance(content, dict):
        _log.warning("%s is not used: it holds no object", path)
        return {}
    keys = {name: value.strip() for name, value in content.items() if isinstance(value, str)}
    return {name: value for name, value in keys.items() if is_header_safe(value)}

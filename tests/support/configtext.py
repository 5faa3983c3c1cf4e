"""Configurations written and read."""

from __future__ import annotations

from pathlib import Path

import pytest

from ampmap.config import file as configfile
from ampmap.config.file import Loaded
from ampmap.errors import ConfigError


def parse(text: str, **env: str) -> Loaded:
    return configfile.parse(text, "f.yaml", env)


def complaints(text: str, **env: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, **env)
    return [str(complaint) for complaint in caught.value.complaints]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path

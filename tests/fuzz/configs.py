"""A configuration's bytes: settings that can be used, or a ConfigError that says where and what, and nothing else.

The data is the file. What can be used compiles and shows no secret; each complaint has a place within the file.
"""

from __future__ import annotations

import re

from ampmap.config import yaml_tree as yamltree
from ampmap.config.diff import differences
from ampmap.config.file import Loaded, parse
from ampmap.errors import Complaint, ConfigError
from ampmap.formats.registry import FORMATS
from ampmap.routing.snapshot import compile_snapshot

FILE = "/nowhere/ampmap.yaml"  # relative paths start in a directory that is not there
ENV = {
    "KEY": "secret-of-the-environment",
    "NAME": "a-name",
    "EMPTY": "",
    "BROKEN": "a\nb",
    "HALF": "\udcff",
    "HOME": "/nowhere",
}

_FILES = re.compile(rb"/(?:dev|proc|sys)\b|-file")
_SECRETS = re.compile(r"""^[ -]*['"]?api-key['"]?: *['"]?\$\{KEY\}['"]?,?$""", re.MULTILINE)
_PLACED = re.compile(r"([0-9]+):([0-9]+): ")


def check(data: bytes) -> None:
    """Read a configuration."""
    if _FILES.search(data):
        return  # a device could be named there, which has no end
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        _refused(data)
        return
    try:
        loaded = parse(text, FILE, ENV)
    except ConfigError as exc:
        assert exc.complaints
        assert any(complaint.severity == "error" for complaint in exc.complaints)
        _placed(exc.complaints, text)
        return
    _placed(loaded.warnings, text)
    _usable(loaded, text)


def _refused(data: bytes) -> None:
    """Hold bytes that are no text to being refused as such, wherever they are read."""
    found: list[Complaint] = []
    try:
        yamltree.parse(data, FILE, found)
    except ConfigError as exc:
        _placed(exc.complaints, data.decode("utf-8", "replace"))
        assert not found
    else:
        raise AssertionError("read what is not UTF-8")


def _placed(complaints: tuple[Complaint, ...], text: str) -> None:
    # A secret that is used for a name is none; a quoted name may go over many lines.
    shown = "${KEY}" in _SECRETS.sub("", text) or any(line.count(q) % 2 for line in text.splitlines() for q in "'\"|>")
    lines = re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff"))
    for complaint in complaints:
        assert complaint.what
        assert shown or ENV["KEY"] not in complaint.what
        place = complaint.place
        assert place is not None, complaint
        assert str(complaint).startswith(f"{FILE}:")
        assert _PLACED.match(str(complaint), len(FILE) + 1)
        assert place.file == FILE
        # YAML 1.1 had more line ends than these, so the parser may count more lines.
        more = len(re.findall("[\x85\u2028\u2029]", text))
        assert 1 <= place.line <= len(lines) + more, complaint
        assert 1 <= place.column <= max(map(len, lines)) + 1, complaint


def _usable(loaded: Loaded, text: str) -> None:
    settings = loaded.settings
    keys = [settings.amp.api_key, *settings.api_keys, *(provider.api_key for provider in settings.providers)]
    if text.count("${KEY}") == keys.count(ENV["KEY"]) == 1:  # used for a name as well, it is no secret
        assert ENV["KEY"] not in repr(settings)
    assert settings.listen
    assert all(provider.name and provider.endpoints for provider in settings.providers)
    assert all(e.protocol in FORMATS for provider in settings.providers for e in provider.endpoints)
    snapshot, warnings = compile_snapshot(settings)
    _placed(warnings, text)
    assert differences(settings, settings) == []
    for name in ("m", "gpt-5", "claude-opus-4(8192)", ""):
        list(snapshot.rules_for(name))

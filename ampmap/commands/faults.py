"""Find all errors and warnings of a configuration, for ``check`` and ``doctor``."""

from __future__ import annotations

from collections.abc import Callable

from ..config.file import Loaded, UnusableFiles
from ..errors import Complaint, Place
from ..routing.lint import unreachable
from ..routing.logins import login_warnings
from ..routing.snapshot import compile_snapshot
from ..settings import Settings
from .options import no_provider


def find_faults(load: Callable[[], Loaded]) -> tuple[list[Complaint], Settings]:
    """Return the complaints about a configuration, in the order of its files, and the settings that could be read.

    Blocks as ``load`` does. Errors: ConfigError if nothing could be read.
    """
    try:
        loaded = load()
        settings, found = loaded.settings, list(loaded.warnings)
    except UnusableFiles as exc:
        if exc.settings is None:
            raise
        settings, found = exc.settings, list(exc.complaints)
    snapshot, warnings = compile_snapshot(settings)
    found += [*warnings, *unreachable(snapshot), *login_warnings(settings)]
    has_errors = any(complaint.severity == "error" for complaint in found)
    if not settings.providers and not has_errors:
        found.append(Complaint(no_provider(), severity="warning"))
    return sorted(found, key=lambda complaint: complaint.place or Place("", 0)), settings

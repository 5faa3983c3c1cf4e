"""All that can be said of a configuration: errors and warnings together, in the order of its files."""

from __future__ import annotations

from collections.abc import Callable

from ..config.file import Loaded, UnusableFiles
from ..errors import Complaint, Place
from ..routing.lint import unreachable
from ..routing.logins import login_warnings
from ..routing.snapshot import compile_snapshot
from ..settings import Settings


def check(load: Callable[[], Loaded]) -> tuple[list[Complaint], Settings]:
    """Return what is wrong with a configuration, and the settings that could be read from it. Blocks as ``load`` does.

    Errors: ConfigError where nothing could be read.
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
        what = "no provider is configured, so that nothing can be served but by Amp; write one under 'providers:'"
        found.append(Complaint(what, severity="warning"))
    return sorted(found, key=lambda complaint: complaint.place or Place("", 0)), settings

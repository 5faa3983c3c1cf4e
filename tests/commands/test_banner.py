"""The block that is printed when the proxy listens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from policy import provider, rule, settings

from ampmap.commands.banner import banner
from ampmap.settings import Amp, CreditPolicy, Origin


def test_it_says_where_what_and_how_and_holds_no_secret() -> None:
    configured = settings(
        provider("one", "a", "b", protocols=("anthropic", "gemini"), key="hidden-1", headers=(("x", "hidden-2"),)),
        provider("nothing", protocols=("gemini",)),
        provider("asked", discover=True, protocols=("gemini",)),
        provider("both", "m", discover=True, protocols=("gemini",)),
        rule("^x", "a", regex=True),
        api_keys=("hidden-3",),
        amp=Amp(api_key="hidden-4"),
    )

    shown = banner(replace(configured, source="/etc/f.yaml"), ["http://127.0.0.1:8267", "unix:/run/a.sock"])

    for part in (
        "listens on http://127.0.0.1:8267, unix:/run/a.sock",
        "config     /etc/f.yaml",
        "one (https://one.example; anthropic, gemini): a, b",
        "nothing (https://nothing.example; gemini): no models",
        "asked (https://asked.example; gemini): its own list",
        "both (https://both.example; gemini): m, and its own list",
        "rules      '^x' (regex) -> a",
        "otherwise  https://ampcode.com (costs credits, with a warning)",
        "export AMP_URL=http://127.0.0.1:8267 and one of this proxy's api-keys as its key",
    ):
        assert part in shown
    assert "hidden" not in shown


@pytest.mark.parametrize(
    ("address", "pages"),
    [
        ("http://127.0.0.1:8267", "http://ampmap.localhost:8267/_ampmap/"),
        ("http://[::1]:1", "http://ampmap.localhost:1/_ampmap/"),
        ("http://0.0.0.0:1", "http://ampmap.localhost:1/_ampmap/"),
        ("http://[::]:1", "http://ampmap.localhost:1/_ampmap/"),
        ("http://192.0.2.1:1", ""),
        ("http://127.0.0.2:1", ""),
        ("unix:/run/127.0.0.1:1", ""),
    ],
)
def test_it_says_where_a_browser_finds_the_proxys_own_pages(address: str, pages: str) -> None:
    shown = banner(settings(), [address])

    assert (f"  pages      {pages}\n" in f"{shown}\n") == bool(pages) == ("ampmap.localhost" in shown)
    assert "ampmap.localhost" not in banner(replace(settings(), admin=False), [address])


@pytest.mark.parametrize(
    ("credits", "words"), [("allow", "(costs credits)"), ("warn", "with a warning)"), ("refuse", "(refused)")]
)
def test_it_says_what_is_done_with_the_rest(credits: CreditPolicy, words: str) -> None:
    amp = Amp(origin=Origin("http", "::1", 1), credits=credits)

    assert f"otherwise  http://[::1]:1 {'(' if '(' not in words else ''}" in banner(settings(amp=amp), [])
    assert words in banner(settings(amp=amp), [])
    assert "there is no Amp upstream" in banner(settings(amp=Amp(origin=None)), [])


def test_with_defaults_alone_it_says_so_and_without_a_url_it_exports_nothing() -> None:
    shown = banner(settings(), ["unix:/run/a.sock"])

    assert "none: built-in defaults, providers from the environment" in shown
    assert "providers  none" in shown and "rules      none" in shown
    assert "export" not in shown


def test_long_lists_are_counted() -> None:
    many = settings(provider("p", *(f"m{n}" for n in range(14))), *(rule(f"r{n}", "m1") for n in range(15)))
    shown = banner(many, [])

    assert "m11 and 2 more" in shown and "m12" not in shown
    assert "and 3 more" in shown and "'r12'" not in shown


def test_nothing_in_it_can_draw_on_the_terminal() -> None:
    shown = banner(settings(provider("p", "\x1b[2J"), rule("a\nb", "c")), ["http://h:1"])

    assert all(line.isprintable() for line in shown.split("\n"))

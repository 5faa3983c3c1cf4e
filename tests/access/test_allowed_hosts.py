"""``allowed-hosts``: what may stand there, what ``check`` says where it is missing, and that it reloads live."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import httpx
import kit
import pytest

from ampmap.config import file as configfile
from ampmap.errors import ConfigError
from ampmap.proxy.reload import Source
from ampmap.server import running

OPEN = "allow-open-access: true\n"


def parse(text: str) -> configfile.Loaded:
    return configfile.parse(text, "f.yaml", {})


def test_names_are_read_in_lower_case_and_once() -> None:
    hosts = parse("allowed-hosts: [Box.LAN, box.lan, ' ampmap ', proxy.lan.]").settings.allowed_hosts

    assert ("box.lan", "ampmap", "proxy.lan.") == hosts


@pytest.mark.parametrize(
    ("host", "what"),
    [
        ("box.lan:8267", "expected a host name"),
        ("http://box.lan", "expected a host name"),
        ("box.lan/x", "expected a host name"),
        ("user@box.lan", "expected a host name"),
        ("*.lan", "expected a host name"),
        ("*", "expected a host name"),
        ("b x", "expected a host name"),
        ("127.1", "expected a host name"),
        ("bäx.lan", "expected a host name"),
        ("192.0.2.1", "an address is allowed anyway"),
        ("::1", "an address is allowed anyway"),
        ("[::1]", "an address is allowed anyway"),
        ("fe80::1%eth0", "an address is allowed anyway"),
    ],
)
def test_what_is_no_name_is_an_error(host: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"allowed-hosts: ['{host}']")

    advice = "write names without port or path, such as ampmap.lan"
    assert [f"f.yaml:1:17: {what}; {advice}"] == [str(each) for each in caught.value.complaints]


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("listen: 0.0.0.0:1\n" + OPEN, "clients that call this proxy by a name get 421; list its names"),
        ("listen: '[::]:1'\n" + OPEN, "clients that call this proxy by a name get 421; list its names"),
        ("listen: box.lan:1\n" + OPEN, "by another name than 'box.lan' get 421; list all its names"),
        ("listen: 192.0.2.1:1\n" + OPEN, ""),
        ("listen: localhost:1\n" + OPEN, ""),
        ("listen: 'unix:/run/a.sock'\n" + OPEN, ""),
        ("listen: 0.0.0.0:1\napi-keys: [k]\n" + OPEN, ""),
        ("listen: 0.0.0.0:1\nallowed-hosts: [box.lan]\n" + OPEN, ""),
        ("listen: 0.0.0.0:1\nallowed-hosts: []\n" + OPEN, ""),
    ],
)
def test_open_access_without_them_is_warned_of(text: str, warned: str) -> None:
    warnings = parse(text).warnings

    assert bool(warned) == len(warnings)
    for warning in warnings:
        assert warned in warning.what and "'allowed-hosts:'" in warning.what
        assert "f.yaml:1" in str(warning)


async def test_they_reload_live(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("listen: 127.0.0.1:0\nallowed-hosts: [box.lan]\n")
    loaded = configfile.load(path, {})
    source = Source(path, partial(configfile.load, path, {}), loaded.files)

    async with running(loaded.settings, env={}, source=source) as proxy, httpx.AsyncClient() as client:

        async def served(host: str) -> int:
            return (await client.get(f"{proxy.url}/", headers={"Host": f"{host}:8267"})).status_code

        before = [await served("box.lan"), await served("other.lan")]
        path.write_text("listen: 127.0.0.1:0\nallowed-hosts: [other.lan]\n")
        await kit.until(lambda: proxy.service.snapshot.generation > 1)
        after = [await served("box.lan"), await served("other.lan")]

    assert ([200, 421], [421, 200]) == (before, after)

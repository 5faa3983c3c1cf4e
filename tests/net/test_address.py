"""Hosts: which are this machine, and what an authority names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampmap.net.address import host_of, is_host, is_loopback, split_listen, split_url


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("127.0.0.1.", True),
        ("::1", True),
        ("0:0:0:0:0:0:0:1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:7f00:1", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("a.localhost", True),
        ("a.b.localhost.", True),
        ("", False),
        (".localhost", False),
        ("a..localhost", False),
        ("user@a.localhost", False),
        ("localhost..", False),
        ("localhost.example", False),
        ("notlocalhost", False),
        ("126.0.0.1", False),
        ("128.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("::ffff:10.0.0.1", False),
        ("127.1", False),
        ("[::1]", False),
        ("10.0.0.1", False),
    ],
)
def test_only_this_machines_own_names_are_loopback(host: str, loopback: bool) -> None:
    assert loopback == is_loopback(host)


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("Example.COM:80", "example.com"),
        ("a", "a"),
        ("a:", "a"),
        ("a.", "a."),
        ("container_1:5", "container_1"),
        ("[::1]:5", "::1"),
        ("[::1]", "::1"),
        ("1.2.3.4:5", "1.2.3.4"),
        ("::1", None),
        ("[::1", None),
        ("[a]", None),
        ("[1.2.3.4]", None),
        ("u@a", None),
        ("a:x", None),
        ("a:123456", None),
        ("a/b", None),
        ("a b", None),
        ("1.2.3", None),
        ("-a", None),
        ("", None),
        (":80", None),
        ("x" * 254, None),
    ],
)
def test_an_authority_names_one_host_or_none(authority: str, host: str | None) -> None:
    assert host == host_of(authority)


@given(st.text("a1.:[]@/%-_* \n\x00é") | st.text())
def test_any_text_is_understood_or_refused_in_words(text: str) -> None:
    is_loopback(text)
    is_host(text)
    found = host_of(text)
    assert found is None or is_host(found)
    for split in (split_url, split_listen):
        try:
            split(text)
        except ValueError as exc:
            assert str(exc)

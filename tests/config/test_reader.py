"""Single values of a configuration: expanded, of the right type, within their range, safe to send."""

from __future__ import annotations

import pytest

from ampmap.config.file import parse
from ampmap.errors import ConfigError
from ampmap.net.address import is_loopback, split_listen, split_url
from ampmap.settings import Listen, Settings, TcpListen, UnixListen


def complaints(text: str, **env: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.yaml", env)
    return [str(complaint) for complaint in caught.value.complaints]


def rules(text: str, **env: str) -> list[tuple[str, tuple[str, ...]]]:
    settings: Settings = parse(text, "f.yaml", env).settings
    return [(rule.source, rule.targets) for rule in settings.amp.rules]


# Variables.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("x-${A}-${B}", "x-one-two"),
        ("${A:-other}", "one"),
        ("${UNSET:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("x${EMPTY}", "x"),
        ("${UNSET:-a:-b}", "a:-b"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A $$ ^x$", "$A $$ ^x$"),
        ("  ${PADDED}  ", "padded"),
        # What comes out of a variable is text: it is neither expanded again nor read as YAML.
        ("${NESTED}", "${A}"),
        ("${YAML}", "b\nregex: true"),
    ],
)
def test_variables_are_expanded_in_strings(text: str, value: str) -> None:
    env = {"A": "one", "B": "two", "EMPTY": "", "PADDED": " padded\n", "NESTED": "${A}", "YAML": "b\nregex: true"}

    assert [(value, (value, "x"))] == rules(f"amp-model-mappings: [{{from: '{text}', to: ['{text}', x]}}]", **env)


def test_a_default_may_be_nothing() -> None:
    assert parse("api-keys: ['${K:-}']", "f.yaml", {}).settings.api_keys == ()


def test_a_variable_that_is_not_set_is_named() -> None:
    assert [
        "f.yaml:1:12: the variable NO_SUCH is not set; set it, or write ${NO_SUCH:-default}",
        "f.yaml:2:11: the variable OTHER is not set; set it, or write ${OTHER:-default}",
    ] == complaints("api-keys: ['a${NO_SUCH}']\nlisten: [ '${OTHER}' ]")


def test_a_url_with_an_unset_variable_is_complained_of_once() -> None:
    assert ["f.yaml:1:19: the variable X is not set; set it, or write ${X:-default}"] == complaints(
        "amp-upstream-url: ${X}"
    )


@pytest.mark.parametrize("text", ["sk-secret${", "sk-secret${1A}", "sk-secret${}", "sk-secret${A:default}", "${A"])
def test_a_broken_variable_is_refused_unseen(text: str) -> None:
    assert [
        "f.yaml:1:12: '${' begins a variable: write ${NAME} or ${NAME:-default}, or $${ for the text"
    ] == complaints(f"api-keys: ['{text}']")


def test_a_variable_that_is_not_utf_8_is_refused() -> None:
    assert ["f.yaml:1:11: a variable that is used here does not hold UTF-8"] == complaints(
        "listen: [ '${A}' ]", A="\udcff"
    )


# Addresses to listen on.


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("127.0.0.1:8267", TcpListen(host="127.0.0.1", port=8267)),
        ("localhost:0", TcpListen(host="localhost", port=0)),
        ("[::1]:65535", TcpListen(host="::1", port=65535)),
        ("[fe80::1%eth0]:1", TcpListen(host="fe80::1%eth0", port=1)),
        ("my_box.local.:80", TcpListen(host="my_box.local.", port=80)),
        ("unix:/run/a b.sock", UnixListen(path="/run/a b.sock")),
        ("unix:/" + "x" * 102, UnixListen(path="/" + "x" * 102)),
    ],
)
def test_an_address_to_listen_on(text: str, listen: Listen) -> None:
    assert listen == split_listen(text)


UNIX = "write unix:/PATH, at most 103 bytes of it"
NO_HOST = "a port needs a host; write 127.0.0.1:{0}, or 0.0.0.0:{0} for every interface"
BRACKETS = "an IPv6 address needs brackets, a port and quotes; write '[::1]:8267'"
NO_ADDRESS = "not an address to listen on; write 127.0.0.1:8267, '[::1]:8267' or unix:/run/ampmap.sock"
NO_PORT = "expected a port from 0 to 65535 after the last ':'"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("8267", NO_HOST.format("8267")),
        ("'8300'", NO_HOST.format("8300")),
        (":8300", NO_HOST.format("8300")),
        ("0x10", NO_HOST.format("0x10")),
        ("':'", NO_HOST.format("8267")),
        ("''", NO_HOST.format("8267")),
        ("':123456'", NO_HOST.format("8267")),
        ("localhost", "an address needs a port; write localhost:8267"),
        ("127.0.0.1", "an address needs a port; write 127.0.0.1:8267"),
        ("'::1:8267'", BRACKETS),
        ("'::1'", BRACKETS),
        ("'[::1]'", BRACKETS),
        ("'[::1:80'", BRACKETS),
        ("'[x]:80'", NO_ADDRESS),
        ("'[127.0.0.1]:80'", NO_ADDRESS),
        ("'[]:80'", NO_ADDRESS),
        ("'*:80'", NO_ADDRESS),
        ("127.1:80", NO_ADDRESS),
        ("256.0.0.1:80", NO_ADDRESS),
        ("http://localhost:80", NO_ADDRESS),
        ("-a:80", NO_ADDRESS),
        ("a..b:80", NO_ADDRESS),
        (f"{'a' * 254}:80", NO_ADDRESS),
        ("localhost:65536", NO_PORT),
        ("'localhost:'", NO_PORT),
        ("localhost:http", NO_PORT),
        ("localhost:-1", NO_PORT),
        ("localhost:٣", NO_PORT),
        ("unix:relative", UNIX),
        ("'unix:'", UNIX),
        ('"unix:/a\\0b"', UNIX),
        (f"unix:/{'x' * 103}", UNIX),
        (f"unix:/{'é' * 52}", UNIX),
        ("true", "expected a string, got true or false; put it in quotes"),
        ("{a: b}", "expected a string, got a mapping; write a string"),
    ],
)
def test_what_is_no_address_says_what_to_write(text: str, what: str) -> None:
    assert [f"f.yaml:1:11: {what}"] == complaints(f"listen: [ {text} ]")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.255.0.9", "::1", "0::1", "::ffff:127.0.0.1", "localhost", "LocalHost."]
)
def test_these_hosts_are_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "128.0.0.1", "::ffff:10.0.0.1", "::2", "local", "localhost.example", ""]
)
def test_these_hosts_are_not(host: str) -> None:
    assert not is_loopback(host)


# Base URLs.


@pytest.mark.parametrize(
    ("text", "origin", "path"),
    [
        ("https://api.example.com", "https://api.example.com", ""),
        ("https://api.example.com/", "https://api.example.com", ""),
        ("HTTPS://API.Example.com/V1//", "https://api.example.com", "/V1"),
        ("http://127.0.0.1:4000/a/b~c/%2F", "http://127.0.0.1:4000", "/a/b~c/%2F"),
        ("http://h:80", "http://h", ""),
        ("http://h:", "http://h", ""),
        ("https://h:80", "https://h:80", ""),
        ("http://[0:0::1]:4000", "http://[::1]:4000", ""),
        ("http://[::1]", "http://[::1]", ""),
        ("http://my_box:1/...", "http://my_box:1", "/..."),
    ],
)
def test_a_base_url(text: str, origin: str, path: str) -> None:
    split = split_url(text)

    assert (origin, path) == (str(split[0]), split[1])


BAD_HOST = "the URL's host or port is not valid"
BAD_PATH = "the URL's path has characters or segments that a path cannot have"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "a URL has visible ASCII characters only"),
        ("http://a b", "a URL has visible ASCII characters only"),
        ("http://a\\nb", "a URL has visible ASCII characters only"),
        ("http://ä", "a URL has visible ASCII characters only"),
        ("api.example.com", "a base URL begins with http:// or https://"),
        ("ftp://a", "a base URL begins with http:// or https://"),
        ("https:/a", "a base URL begins with http:// or https://"),
        ("http:a", "a base URL begins with http:// or https://"),
        ("http://a?x=secret", "a base URL has no query and no fragment"),
        ("http://a#x", "a base URL has no query and no fragment"),
        ("http://me:secret@a", "a base URL has no user name and no password"),
        ("http://", BAD_HOST),
        ("http:///x", BAD_HOST),
        ("http://:80", BAD_HOST),
        ("http://a:0", BAD_HOST),
        ("http://a:65536", BAD_HOST),
        ("http://a:123456", BAD_HOST),
        ("http://a:x", BAD_HOST),
        ("http://::1", BAD_HOST),
        ("http://[::1", BAD_HOST),
        ("http://[::1]x", BAD_HOST),
        ("http://[a]", BAD_HOST),
        ("http://[127.0.0.1]", BAD_HOST),
        ("http://[fe80::1%25eth0]", BAD_HOST),
        ("http://127.1", BAD_HOST),
        ("http://a..b", BAD_HOST),
        ("http://a/b/../c", BAD_PATH),
        ("http://a/.", BAD_PATH),
        ("http://a/%2E%2e/c", BAD_PATH),
        ("http://a/<b>", BAD_PATH),
        ("http://a/%zz", BAD_PATH),
        ("http://a/b\\\\c", BAD_PATH),
    ],
)
def test_what_is_no_base_url_says_what_to_write_and_does_not_show_it(text: str, what: str) -> None:
    provider = f'{{name: a, base-url: "{text}", protocols: [gemini], auth: none, models: [m]}}'

    assert [f"f.yaml:1:33: {what}; write it like https://api.example.com or http://127.0.0.1:4000/base"] == complaints(
        f"providers: [{provider}]"
    )

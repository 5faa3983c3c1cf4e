"""Who a client is, and that no key ever goes to somebody whose it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy import lines

from ampmap.access.credentials import (
    amp_credential,
    client_key,
    has_amp_headers,
    our_keys,
    own_login,
    presented,
    provider_credential,
    query_for_amp,
    query_for_provider,
    shows_one_of,
    without_keys,
)
from ampmap.errors import BadRequest
from ampmap.http.headers import Fields, Headers, is_header_safe
from ampmap.settings import Amp, AmpKey, Auth, Settings

KEYS = ("client-1", "a+b/c==")
AMPS = lines(x_amp_client_type="cli")

# What a client shows.


@pytest.mark.parametrize(
    ("headers", "query", "shown"),
    [
        (lines(authorization="Bearer k"), None, ["k"]),
        (lines(Authorization="bEaReR  k "), None, ["k"]),
        (lines(authorization="k"), None, ["k"]),
        (lines(authorization="Basic a:b"), None, ["Basic a:b"]),
        (lines(authorization=""), None, []),
        (lines(X_Api_Key=" k "), None, ["k"]),
        (lines(x_goog_api_key="k"), None, ["k"]),
        (lines(api_key="k", cookie="key=k", proxy_authorization="Bearer k"), None, []),
        ((), "key=k", ["k"]),
        ((), "auth_token=k", ["k"]),
        ((), "a=1&%6bey=%6B&auth%5Ftoken=t", ["k", "t"]),
        ((), "key=a&key=b", ["a", "b"]),
        ((), "key=a+b", ["a b", "a+b"]),
        ((), "key=a%2Bb", ["a+b"]),
        ((), "key=&auth_token", []),
        ((), "KEY=k&xkey=k&token=k", []),
        ((), "key=%ff", ["\N{REPLACEMENT CHARACTER}"]),
        (lines(authorization="Bearer a", x_api_key="b"), "key=c", ["a", "b", "c"]),
    ],
)
def test_credentials_are_found_in_fields_and_in_the_query(
    headers: Headers, query: str | None, shown: list[str]
) -> None:
    assert tuple(shown) == presented(headers, query)
    assert tuple(shown) == presented(Fields(headers), query)


@pytest.mark.parametrize("name", [b"authorization", b"X-Api-Key", b"x-goog-api-key"])
def test_two_lines_of_one_credential_field_are_refused(name: bytes) -> None:
    with pytest.raises(BadRequest, match="more than once") as caught:
        presented([(name, b"secret-a"), (b"a", b"b"), (name.upper(), b"secret-a")], None)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("shown", "key"),
    [
        ([], None),
        (["other"], None),
        (["client-1"], "client-1"),
        (["other", "client-1"], "client-1"),
        (["client-1", "other"], "client-1"),
        (["Client-1"], None),
        (["client-"], None),
        (["client-11"], None),
        (["a b/c==", "a+b/c=="], "a+b/c=="),
        (["ключ"], None),
    ],
)
def test_any_credential_that_is_a_client_key_counts(shown: list[str], key: str | None) -> None:
    assert key == client_key(shown, KEYS)


def test_without_client_keys_nobody_is_known() -> None:
    assert client_key(["", "x"], ()) is None
    assert client_key([], ("",)) is None


def test_keys_of_clients_with_an_amp_key_of_their_own_are_ours_too() -> None:
    amp = Amp(api_keys=(AmpKey(upstream_api_key="u", client_keys=("client-1", "client-9")),))

    assert ("client-1", "client-2", "client-9") == our_keys(Settings(api_keys=("client-1", "client-2"), amp=amp))


@pytest.mark.parametrize(
    ("content", "shows"),
    [
        ("client-1", True),
        ("Bearer client-1", True),
        ("Bearer\tclient-1", True),
        ('Token token="client-1"', True),
        ("a=1; key=client-1; b", True),
        ("https://h/?key=client-1&x", True),
        ("a+b/c==", True),
        ("client-11", False),
        ("xclient-1", False),
        ("my-client-1", False),
        ("CLIENT-1", False),
        ("client", False),
        ("", False),
    ],
)
def test_a_key_is_recognised_wherever_it_stands_by_itself(content: str, shows: bool) -> None:
    assert shows == shows_one_of(KEYS, content)
    assert not shows_one_of((), content)
    assert ([] if shows else [(b"x", content.encode())]) == without_keys([(b"x", content.encode())], KEYS)


# To a provider.


@pytest.mark.parametrize(
    ("auth", "credential"),
    [
        ("bearer", [(b"Authorization", b"Bearer p")]),
        ("x-api-key", [(b"x-api-key", b"p")]),
        ("x-goog-api-key", [(b"x-goog-api-key", b"p")]),
        ("none", []),
        ("client", []),
    ],
)
def test_a_providers_own_key_is_shown_as_it_wants(auth: Auth, credential: list[tuple[bytes, bytes]]) -> None:
    assert credential == provider_credential(auth, "p")
    assert [] == provider_credential(auth, "")


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        (lines(authorization="Bearer sk-ant-oat01-x"), True),
        (lines(x_api_key="anything"), True),
        (lines(authorization="Bearer client-1"), False),
        (lines(authorization="Bearer\tclient-1"), False),
        (lines(authorization="Token client-1"), False),
        (lines(x_goog_api_key="client-1"), False),
        (lines(authorization="Bearer sgamp_user_x"), False),
        (lines(x_api_key="sgamp_user_x"), False),
        (lines(x_api_key=""), False),
        (lines(x_api_key="new-kind-of-amp-token", X_Amp_Thread_Id="t"), False),
        (lines(x_api_key="sk-ant-mine", x_amp_thread_id="t"), True),
        (lines(authorization="Bearer mine", connection="close, Authorization"), False),
        (lines(cookie="session=mine", api_key="mine"), False),
    ],
)
def test_a_clients_own_login_passes_only_if_it_is_its_own(headers: Headers, passes: bool) -> None:
    assert (list(headers[:1]) if passes else []) == own_login(headers, KEYS)


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (None, None),
        ("", ""),
        ("beta=true", "beta=true"),
        ("alt=sse&key=x&b=%2F+", "alt=sse&b=%2F+"),
        ("key=x", None),
        ("auth_token=x&a&auth_token=y", "a"),
        ("%6Bey=x&a", "a"),
        ("KEY=x&Auth_Token=x&api_key=x&access_token=x&a", "a"),
        ("mykey=x&keys=y", "mykey=x&keys=y"),
        ("other=client-1&a", "a"),
        ("other=%63lient-1&a", "a"),
        ("other=a+b/c==&a", "a"),
        ("other=a%2Bb%2Fc%3D%3D&a", "a"),
        ("a&&b", "a&&b"),
    ],
)
def test_a_query_for_a_provider_loses_its_credentials_and_keeps_its_bytes(query: str | None, left: str | None) -> None:
    for auth in ("bearer", "x-api-key", "none"):
        assert left == query_for_provider(query, auth, KEYS)


@pytest.mark.parametrize(
    ("query", "left", "left_of_amps"),
    [
        ("key=AIza-mine&a", "key=AIza-mine&a", "key=AIza-mine&a"),
        ("key=mine&a", "key=mine&a", "a"),
        ("key=client-1&key=mine", "key=mine", None),
        ("key=%63lient-1&a", "a", "a"),
        ("key=a+b/c==&a", "a", "a"),
        ("auth_token=sgamp_x&a", "a", "a"),
        ("a=1", "a=1", "a=1"),
    ],
)
def test_a_clients_own_query_credentials_pass_only_if_they_are_its_own(
    query: str, left: str | None, left_of_amps: str | None
) -> None:
    assert left == query_for_provider(query, "client", KEYS)
    assert left_of_amps == query_for_provider(query, "client", KEYS, is_amp=True)


# To Amp.


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (None, None),
        ("", ""),
        ("getUserInfo", "getUserInfo"),
        ("authToken=abc&b=%20+", "authToken=abc&b=%20+"),
        ("key=another&auth_token=sgamp_x", "key=another&auth_token=sgamp_x"),
        ("key=client-1", None),
        ("key=client-1&key=another&z=1&a=2", "key=another&z=1&a=2"),
        ("auth_token=%63lient%2D1&a", "a"),
        ("key=a+b/c==&a", "a"),
        ("whatever=client-1&a", "a"),
        ("key=AIzaSyX&a", "a"),
        ("auth_token=sk-ant-x&a", "a"),
        ("api_key=sk-proj&a", "a"),
    ],
)
def test_a_query_for_amp_loses_our_keys_and_other_vendors(query: str | None, left: str | None) -> None:
    assert left == query_for_amp(query, KEYS)


CONFIGURED = Amp(
    api_key="sgamp_configured",
    api_keys=(AmpKey(upstream_api_key="sgamp_of_1", client_keys=("client-1",)),),
)
TOKEN = lines(authorization="Bearer sgamp_own")


def as_lines(secret: str) -> list[tuple[bytes, bytes]]:
    return [(b"X-Api-Key", secret.encode()), (b"Authorization", b"Bearer " + secret.encode())]


def test_amps_credential_is_the_first_of_an_order() -> None:
    only_default = Amp(api_key="sgamp_configured")

    assert as_lines("sgamp_of_1") == amp_credential(TOKEN, CONFIGURED, KEYS, "client-1", "fallback")
    assert as_lines("sgamp_configured") == amp_credential(TOKEN, CONFIGURED, KEYS, "client-2", "fallback")
    assert as_lines("sgamp_configured") == amp_credential(TOKEN, CONFIGURED, KEYS, None, "fallback")
    assert as_lines("sgamp_configured") == amp_credential(TOKEN, only_default, KEYS, "client-1", "fallback")
    assert list(TOKEN) == amp_credential(TOKEN, Amp(), KEYS, "client-1", "fallback")
    assert as_lines("fallback") == amp_credential((), Amp(), KEYS, None, "fallback")
    assert [] == amp_credential((), Amp(), KEYS, None, "")


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        (lines(authorization="Bearer sgamp_x"), True),
        (lines(x_api_key="sgamp_x"), True),
        (lines(x_api_key="new-kind"), False),
        (lines(x_api_key="new-kind", X_AMP_feature="chat"), True),
        (lines(x_api_key="client-1", x_amp_feature="chat"), False),
        (lines(authorization="Bearer\tclient-1", x_amp_feature="chat"), False),
        (lines(authorization="sgamp_x", connection="authorization"), False),
        *((lines(x_api_key=key, x_amp_feature="chat"), False) for key in (
            "sk-ant-api03-x", "sk-proj-x", "AIzaSyX", "ya29.x", "gsk_x", "xai-x", "fw_x", "hf_x", "csk-x", "pplx-x",
            "r8_x", "nvapi-x", "ghp_x", "gho_x", "github_pat_x", "AKIAX",
        )),
        (lines(authorization="Token sk-x", x_amp_feature="chat"), False),
    ],
)  # fmt: skip
def test_a_clients_own_credential_goes_to_amp_only_if_it_is_amps(headers: Headers, passes: bool) -> None:
    expected = list(headers[:1]) if passes else as_lines("fallback")

    assert expected == amp_credential(headers, Amp(), KEYS, None, "fallback")


def test_of_several_own_credentials_amps_alone_go_to_amp() -> None:
    headers = lines(authorization="Bearer sgamp_x", x_api_key="sk-ant-x", x_goog_api_key="placeholder", x_amp_a="b")

    assert [headers[0], headers[2]] == amp_credential(headers, Amp(), KEYS, None, "")


@pytest.mark.parametrize(("name", "amps"), [(b"X-Amp-Feature", True), (b"x-amp-", True), (b"x-ample", False)])
def test_amps_own_fields_are_known_by_their_prefix(name: bytes, amps: bool) -> None:
    assert amps == has_amp_headers([(b"a", b"b"), (name, b"")])


@pytest.mark.parametrize(("secret", "safe"), [("a~!", True), ("", False), ("a b", False), ("a\n", False), ("é", False)])
def test_a_secret_that_a_field_cannot_carry_is_known(secret: str, safe: bool) -> None:
    assert safe == is_header_safe(secret)


# Anything at all.

BYTES = st.binary(max_size=12) | st.sampled_from([b"Bearer ", b"bearer client-1", b"client-1", b"sgamp_x", b"\xff"])
FIELDS = st.lists(
    st.tuples(
        st.sampled_from([b"Authorization", b"X-API-KEY", b"x-goog-api-key", b"Connection", b"x-amp-x", b"Cookie"])
        | st.binary(max_size=4),
        BYTES,
    ),
    max_size=5,
)
QUERIES = st.none() | st.text("akey=&%+;26Bclient-1_", max_size=30) | st.text(max_size=10)


@given(FIELDS, QUERIES)
def test_any_bytes_are_read_or_refused_and_no_client_key_comes_through(headers: Headers, query: str | None) -> None:
    try:
        tokens = presented(headers, query)
    except BadRequest:
        tokens = ()
    client_key(tokens, KEYS)

    out = own_login(headers, KEYS) + amp_credential(headers, Amp(), KEYS, None, "")
    assert not any(shows_one_of(KEYS, content.decode("latin-1")) for _, content in out)
    for left in (query_for_amp(query, KEYS), query_for_provider(query, "client", KEYS)):
        assert client_key(presented((), left), KEYS) is None

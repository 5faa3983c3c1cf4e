"""A key never goes to an upstream whose it is not."""

from __future__ import annotations

import base64
from itertools import product
from urllib.parse import unquote, unquote_plus

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from outbounds import field, fields, for_amp, for_provider
from policy import provider, split_head
from samples import examples

from ampmap.http.headers import Headers, Length
from ampmap.proxy.upstream_request import UpstreamRequest
from ampmap.settings import Auth, Settings

CLIENT_KEY = "client+key/1="
SHOWN = [
    (b"authorization", b"Bearer "),
    (b"Authorization", b"bearer\t"),
    (b"AUTHORIZATION", b""),
    (b"authorization", b"Token "),
    (b"X-Api-Key", b""),
    (b"x-GOOG-api-key", b" "),
    (b"api-key", b""),
    (b"cookie", b"a=b; key="),
    (b"Proxy-Authorization", b"Bearer "),
    (b"X-Whatever", b"key="),
    (b"Referer", b"http://localhost/?key="),
]
IN_QUERY = [
    "key=client+key/1=",
    "key=client%2Bkey%2F1%3D",
    "key=client%2bkey/1%3d",
    "%6Bey=%63lient%2Bkey%2F1=",
    "auth_token=client%2Bkey/1=",
    "KEY=client+key/1=",
    "key=other&key=client%2Bkey/1=&key=third",
    "token=client+key/1=",
    "x=client%2Bkey/1%3D",
]


@pytest.mark.parametrize(("shown", "query"), [*product(SHOWN, ["a=b"]), *product(SHOWN[:1], IN_QUERY)])
@pytest.mark.parametrize("auth", ["bearer", "none", "client"])
@pytest.mark.parametrize("amps", [True, False])
def test_no_upstream_ever_sees_a_client_key(shown: tuple[bytes, bytes], query: str, auth: Auth, amps: bool) -> None:
    settings = Settings(api_keys=("another", CLIENT_KEY))
    headers = [(shown[0], shown[1] + CLIENT_KEY.encode()), (b"X-Kept", b"kept")]
    headers += [(b"X-Amp-Feature", b"amp.chat")] if amps else []
    who = provider("one", "m", auth=auth)

    for outbound in (
        for_provider(f"/v1/messages?{query}&z=1", headers, who=who, settings=settings),
        for_provider(f"/v1beta/models/g:x?{query}&z=1", headers, who=who, settings=settings),
        for_amp(f"/api/internal?{query}&z=1", headers, settings=settings, key=CLIENT_KEY, fallback="sgamp_file"),
    ):
        assert_nowhere(outbound, CLIENT_KEY)
        assert ["kept"] == field(outbound, "x-kept")
        assert "z=1" in split_head(outbound.head)[0]


def assert_nowhere(outbound: UpstreamRequest, secret: str) -> None:
    shown = outbound.head.decode("latin-1")
    for reading in (shown, unquote(shown), unquote_plus(shown)):
        assert secret not in reading
    assert base64.b64encode(secret.encode()).decode() not in shown


@pytest.mark.parametrize("shown", SHOWN[:8])
@pytest.mark.parametrize("token", ["sgamp_user_01X", "amp-token-of-another-kind"])
def test_no_provider_ever_sees_amps_token(shown: tuple[bytes, bytes], token: str) -> None:
    headers = [(shown[0], shown[1] + token.encode()), (b"x-amp-thread-id", b"T")]
    for auth in ("bearer", "none", "client"):
        outbound = for_provider(f"/v1/messages?key={token}&a", headers, who=provider("one", "m", auth=auth))
        assert_nowhere(outbound, token)


def test_no_provider_sees_amps_token_where_a_client_has_put_it_itself() -> None:
    token = "sgamp_user_01X"
    for auth in ("bearer", "none", "client"):
        outbound = for_provider(
            f"/v1/messages?x={token}&y=%73gamp_user_01X&{token}&kept=1",
            [(b"X-Mine", b"a " + token.encode()), (b"X-Kept", b"1")],
            who=provider("one", "m", auth=auth),
        )
        assert_nowhere(outbound, token)
        assert "kept=1" in split_head(outbound.head)[0] and ["1"] == field(outbound, "x-kept")


@pytest.mark.parametrize("token", ["sk-ant-api03-x", "sk-proj-x", "AIzaSyX", "gsk_x", "xai-x", "fw_x", "hf_x"])
@pytest.mark.parametrize("shown", [*SHOWN[:7]])
@pytest.mark.parametrize("amps", [True, False])
def test_amp_never_sees_another_vendors_key(shown: tuple[bytes, bytes], token: str, amps: bool) -> None:
    headers = [(shown[0], shown[1] + token.encode())]
    headers += [(b"X-Amp-Feature", b"amp.chat")] if amps else []

    for path in ("/api/internal", "/api/provider/x/v1/messages"):
        outbound = for_amp(f"{path}?key={token}&auth_token={token}&a", headers, fallback="sgamp_file")
        assert_nowhere(outbound, token)
        assert ["sgamp_file"] == field(outbound, "x-api-key")


FIELD = st.tuples(
    st.sampled_from([b"Connection", b"connection", b"Host", b"Content-Length", b"Transfer-Encoding", b"Authorization",
                     b"X-Api-Key", b"x-amp-a", b"X-Forwarded-By", b"anthropic-beta", b"Cookie", b"Custom"]),
    st.sampled_from([b"", b"close", b"host, content-length", b"Authorization", b"Bearer secret", b"7", b"custom"]),
)  # fmt: skip


@hypothesis_settings(max_examples=examples(200))
@given(st.lists(FIELD, max_size=8), st.sampled_from(["bearer", "client", "none"]), st.booleans())
def test_whatever_a_client_sends_there_is_one_host_one_framing_and_no_key(
    headers: Headers, auth: Auth, changed: bool
) -> None:
    settings = Settings(api_keys=("secret",))
    asked = for_provider(headers=headers, who=provider("one", auth=auth), settings=settings, changed=changed)
    passed = for_amp(headers=headers, framing=Length(3), settings=settings)

    for outbound in (asked, passed):
        names = [name for name, _ in fields(outbound)]
        assert [1, 1] == [names.count("host"), names.count("content-length")]
        assert not {"connection", "transfer-encoding", "x-forwarded-by"} & set(names)
        assert b"secret" not in outbound.head.replace(b"provider-secret", b"")
    assert ["identity"] == field(asked, "accept-encoding")


OF_GATEWAYS = (
    b"x-litellm-api-key", b"Helicone-Auth", b"cf-aig-authorization", b"Ocp-Apim-Subscription-Key", b"x-portkey-api-key",
    b"x_gateway_token", b"X-Secret", b"apikey",
)  # fmt: skip


@pytest.mark.parametrize("name", OF_GATEWAYS)
@pytest.mark.parametrize("auth", ["bearer", "none", "client"])
def test_no_provider_sees_a_secret_that_is_meant_for_a_gateway(name: bytes, auth: Auth) -> None:
    """With ``auth: client`` the client's secrets are meant for the provider."""
    outbound = for_provider(headers=[(name, b"opaque"), (b"X-Tokens", b"kept")], who=provider("one", "m", auth=auth))

    assert ["kept"] == field(outbound, "x-tokens")
    assert (["opaque"] if auth == "client" else []) == field(outbound, name.decode().lower())


@pytest.mark.parametrize("name", OF_GATEWAYS)
def test_amp_sees_no_other_vendors_key_in_a_field_of_a_gateway(name: bytes) -> None:
    outbound = for_amp(headers=[(name, b"Bearer sk-helicone-x"), (b"X-Csrf-Token", b"of-amps-page")])

    assert ["of-amps-page"] == field(outbound, "x-csrf-token")
    assert [] == field(outbound, name.decode().lower())

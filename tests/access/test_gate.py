"""Who may call what: web pages, rebound names, strangers, keys, and the order in which they are told."""

from __future__ import annotations

import pytest
from gates import ADMIN, ALLOWING, KEYED, LOCAL, MANAGED, MODEL, OTHER, REMOTE, ROUTES, UNIX, ask, status
from hypothesis import given
from hypothesis import strategies as st
from policy import lines

from ampmap.access.credentials import presented
from ampmap.access.gate import LOCALHOST_ONLY, Admitted, Peer, Refusal, admit
from ampmap.errors import RequestError
from ampmap.http.headers import Headers
from ampmap.routing.target import Management, Target, parse_target, route_of
from ampmap.settings import Amp, AmpKey, Settings, TcpListen, UnixListen

# The two ends of a connection.


@pytest.mark.parametrize(
    ("peer", "here", "local", "by_unix_socket"),
    [
        (("127.0.0.1", 5), ("127.0.0.1", 8267), True, False),
        (("127.9.9.9", 5), ("127.0.0.1", 8267), True, False),
        (("::1", 5, 0, 0), ("::1", 8267, 0, 0), True, False),
        (("::ffff:127.0.0.1", 5, 0, 0), ("::ffff:127.0.0.1", 8267, 0, 0), True, False),
        (("::ffff:192.0.2.1", 5, 0, 0), ("::ffff:192.0.2.7", 8267, 0, 0), False, False),
        (("192.0.2.1", 5), ("192.0.2.7", 8267), False, False),
        (("192.0.2.7", 5), ("192.0.2.7", 8267), False, False),
        (("fe80::1%eth0", 5, 0, 2), ("fe80::2%eth0", 1, 0, 2), False, False),
        (("::1%eth0", 5, 0, 2), ("fe80::2%eth0", 1, 0, 2), False, False),
        (("", 5), ("", 5), False, False),
        ("", "/run/ampmap.sock", True, True),
        (None, "/run/ampmap.sock", True, True),
        (b"\0abstract", b"\0abstract", True, True),
        # Who resets its connection at once has no address any more, and may be anyone.
        (None, ("192.0.2.7", 8267), False, False),
        (None, ("127.0.0.1", 8267), False, False),
        (None, None, False, False),
    ],
)
def test_only_loopback_and_unix_sockets_are_local(
    peer: object, here: object, local: bool, by_unix_socket: bool
) -> None:
    found = Peer.of(peer, here)

    assert (local, by_unix_socket) == (found.local, found.by_unix_socket)


# Names that were rebound.


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost", True),
        ("localhost:8267", True),
        ("LOCALHOST:1", True),
        ("localhost.", True),
        ("localhost.:8267", True),
        ("localhost:", True),
        ("app.localhost:8267", True),
        ("127.0.0.1", True),
        ("127.0.0.1.", False),
        ("127.8.8.8:8267", True),
        ("[::1]", True),
        ("[::1]:8267", True),
        ("[0:0:0:0:0:0:0:1]:8267", True),
        # Browsers do not trust these, so they do not say which page asks.
        ("[::ffff:127.0.0.1]:8267", False),
        ("[::ffff:0.0.0.0]", False),
        ("[::1%25lo]:8267", False),
        ("[fe80::1%25eth0]", False),
        ("[::1%lo]", False),
        ("proxy.lan:8267", True),
        ("Proxy.LAN.", True),
        ("box.test:8267", True),
        ("Box.Test.", True),
        ("x.box.test", False),
        ("", False),
        (" ", False),
        (":8267", False),
        ("evil.example", False),
        ("evil.example:8267", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("evillocalhost", False),
        ("192.0.2.1", True),
        ("192.0.2.1.evil.example", False),
        ("0.0.0.0", False),
        ("0.0.0.0:8267", False),
        ("[::]", False),
        ("[::2]:8267", True),
        ("::1", False),
        ("[::1", False),
        ("localhost@evil.example", False),
        ("evil.example@localhost", False),
        ("user:pw@foo.localhost", False),
        ("localhost/", False),
        ("localhost:x", False),
        ("localhost, evil.example", False),
        ("127.1", False),
        ("2130706433", False),
        ("[localhost]", False),
        ("evil.example\\.localhost", False),
        ("ä.localhost", False),
    ],
)
@pytest.mark.parametrize("path", ROUTES)
def test_without_keys_a_host_must_be_ours_wherever_it_listens(host: str, ours: bool, path: str) -> None:
    listens = (TcpListen(host="proxy.lan"), TcpListen(host="0.0.0.0"), TcpListen(host="::"), UnixListen(path="/x"))
    settings = Settings(listen=listens, allow_open_access=True, allowed_hosts=("box.test",))
    headers = [(b"Host", host.encode("latin-1"))]

    assert (200 if ours else 421) == status(ask(path, headers, settings=settings))
    assert (200 if ours else 421) == status(ask(MODEL, headers, peer=REMOTE, settings=settings))
    assert 200 == status(ask(MODEL, headers, peer=UNIX, settings=settings))
    assert 401 == status(ask(MODEL, headers, settings=KEYED))


def test_a_request_of_http_1_0_needs_no_host() -> None:
    assert 200 == status(ask(MODEL))


def test_an_absolute_targets_authority_outranks_the_host_field() -> None:
    assert 421 == status(ask("http://evil.example/v1/messages", lines(host="localhost")))
    assert 200 == status(ask("http://localhost:8267/v1/messages", lines(host="evil.example")))
    assert 200 == status(ask("http://[::1]/v1/messages"))


def test_the_host_is_named_in_the_refusal_only_where_it_is_a_name() -> None:
    named, not_named = ask(MODEL, lines(host="evil.example:80")), ask(MODEL, lines(host="user:secret@evil.example"))

    assert isinstance(named, Refusal) and "evil.example" in named.message and "allowed-hosts" in named.message
    assert isinstance(not_named, Refusal) and "secret" not in not_named.message


# Strangers.


@pytest.mark.parametrize("path", [MANAGED, "/threads", "/auth", "/threads.rss", ADMIN, "/_ampmap/metrics"])
@pytest.mark.parametrize("spoof", ["x_forwarded_for", "x_real_ip", "forwarded", "host"])
def test_management_and_admin_answer_this_machine_alone(path: str, spoof: str) -> None:
    headers = lines(**{spoof: "127.0.0.1"})

    assert Refusal(403, LOCALHOST_ONLY, plain=True) == ask(path, headers, peer=REMOTE)
    assert LOCALHOST_ONLY == "Access denied: management routes restricted to localhost"
    for peer in (LOCAL, UNIX):
        assert Admitted() == ask(path, headers, peer=peer)


@pytest.mark.parametrize("path", [MANAGED, ADMIN])
def test_unless_told_otherwise(path: str) -> None:
    settings = Settings(amp=Amp(restrict_management_to_localhost=False))

    assert Admitted() == ask(path, peer=REMOTE, settings=settings)


@pytest.mark.parametrize("path", [MODEL, OTHER, "/v1/models", "/", "/nothing"])
def test_other_routes_answer_strangers(path: str) -> None:
    assert Admitted() == ask(path, peer=REMOTE)


# Keys.


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_with_keys_everything_needs_one(path: str, method: str) -> None:
    for shown in (lines(authorization="Bearer k2"), lines(x_api_key="k2"), lines(X_Goog_Api_Key="k2")):
        assert Admitted("k2") == ask(path, shown, method=method, settings=KEYED)
    assert Admitted("k1") == ask(f"{path}?key=k1", method=method, settings=KEYED)
    assert Admitted("k1") == ask(f"{path}?auth_token=k1", lines(x_api_key="no"), method=method, settings=KEYED)

    missing, wrong = ask(path, method=method, settings=KEYED), ask(path, lines(x_api_key="no"), settings=KEYED)

    assert isinstance(missing, Refusal) and isinstance(wrong, Refusal)
    assert [401, 401] == [missing.status, wrong.status]
    assert missing.message.startswith("Missing API key") and wrong.message.startswith("Invalid API key")


def test_without_keys_a_client_with_an_amp_key_of_its_own_is_known_all_the_same() -> None:
    pairs = (AmpKey(upstream_api_key="u", client_keys=("k1", "k9")),)

    assert Admitted("k9") == ask(MODEL, lines(x_api_key="k9"), settings=Settings(amp=Amp(api_keys=pairs)))
    settings = Settings(api_keys=("k1",), amp=Amp(api_keys=pairs))
    assert Admitted("k1") == ask(MODEL, lines(x_api_key="k1"), settings=settings)
    assert 401 == status(ask(MODEL, lines(x_api_key="k9"), settings=settings))


# The order, and what passes every gate.

WORST = [(b"Host", b"evil.example"), (b"Origin", b"https://evil.example"), (b"x-api-key", b"no")]


def test_the_order_is_availability_origin_localhost_key() -> None:
    for amp, headers, peer, expected in [
        (Amp(origin=None), WORST, REMOTE, 503),
        (Amp(), WORST, REMOTE, 403),
        (Amp(), WORST[2:], REMOTE, 403),
        (Amp(), WORST[2:], LOCAL, 401),
    ]:
        settings = Settings(api_keys=("k1",), amp=amp)
        assert expected == status(ask(MANAGED, headers, peer=peer, settings=settings))
    assert 421 == status(ask(MANAGED, WORST, settings=Settings()))


def test_without_an_upstream_management_is_not_available() -> None:
    settings = Settings(amp=Amp(origin=None))

    assert Refusal(503, "amp upstream proxy not available", plain=True) == ask(MANAGED, settings=settings)
    for path in (MODEL, OTHER, ADMIN, "/"):
        assert Admitted() == ask(path, settings=settings)


@pytest.mark.parametrize("page", ["health", "ready"])
def test_probes_pass_every_gate(page: str) -> None:
    settings = Settings(api_keys=("k1",), amp=Amp(origin=None))

    for method in ("GET", "HEAD", "POST", "OPTIONS"):
        assert Admitted() == ask(f"/_ampmap/{page}", WORST, method=method, peer=REMOTE, settings=settings)
    assert 403 == status(ask(f"/_ampmap/{page}/x", WORST, peer=REMOTE, settings=settings))


# Anything at all.

NAMES = st.sampled_from([b"Host", b"Origin", b"Sec-Fetch-Site", b"Sec-Fetch-Mode", b"Sec-Fetch-Dest", b"X-Api-Key"])
VALUES = st.binary(max_size=20) | st.sampled_from([b"localhost", b"[::1]:1", b"null", b"http://localhost", b"none"])


@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=5),
    st.binary(max_size=20) | st.sampled_from([b"/api/user", b"/", b"/v1/messages?key=%ff", b"http://[::1]:0/x"]),
    st.sampled_from([b"GET", b"POST", b"OPTIONS"]),
    st.sampled_from([LOCAL, REMOTE, UNIX]),
    st.sampled_from([Settings(), KEYED, ALLOWING]),
)
def test_any_bytes_are_admitted_or_refused(
    headers: Headers, raw: bytes, method: bytes, peer: Peer, settings: Settings
) -> None:
    try:
        target = parse_target(raw, method)
        route = route_of(target, method, False)
        answer = admit(method, target, headers, route, peer, settings, presented(headers, target.query))
    except RequestError:
        return

    origin = [value for name, value in headers if name == b"Origin"]
    if isinstance(answer, Admitted) and settings is KEYED:
        assert answer.key in KEYED.api_keys
    if isinstance(answer, Admitted) and origin and settings is not ALLOWING:
        assert origin[0].lower().startswith((b"http://", b"https://"))
    if isinstance(answer, Admitted) and isinstance(route, Management):
        assert peer is not REMOTE
    if isinstance(answer, Refusal):
        assert answer.status in (401, 403, 421)


def test_a_target_without_authority_has_none() -> None:
    assert Target("/") == parse_target(b"/", b"GET")

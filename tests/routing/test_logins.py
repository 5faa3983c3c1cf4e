"""A client's own login (``auth: client``) goes to one origin only, whatever fails and wherever a rule leads."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from kit import OK, answering, ask, closed_origin, post, proxying, scripted
from kit import provider as served
from policy import decided, provider, rule, sent, snapshot

from ampmap.commands.main import main
from ampmap.routing.decide import Ask, decide
from ampmap.routing.reasons import Step
from ampmap.routing.snapshot import Availability
from ampmap.settings import Amp, Endpoint, Origin, Provider

FORCED_AMP = Amp(force_model_mappings=True)
ONE = provider("one", "a", "both", auth="client")
TWO = provider("two", "b", "both", auth="client")
KEYED = provider("keyed", "a", "b", "both", "k")
SAME = replace(provider("same", "b", "s", auth="client", base_path="/x"), origin=ONE.origin)


@pytest.mark.parametrize("cooling", [(), ("one",), ("two",), ("one", "two"), ("keyed", "one")])
def test_of_two_vendors_the_first_that_lists_the_model_has_the_login(cooling: tuple[str, ...]) -> None:
    """Also while it is down; the second is no candidate at all."""
    decision = decided("both", ONE, TWO, KEYED, cooling=cooling)

    assert {("one", "both"), ("keyed", "both")} == set(sent(decision))
    assert [("two", "b")] == sent(decided("b", ONE, TWO, cooling=cooling))


def test_a_rule_leads_no_login_to_another_vendor() -> None:
    """Neither from a name that another vendor lists, nor from one that none does where there are two."""
    for force in (None, FORCED_AMP):
        assert [("one", "a")] == sent(decided("a", ONE, TWO, rule("a", "b"), amp=force))
    assert [("keyed", "b")] == sent(decided("x", ONE, TWO, KEYED, rule("x", "b")))
    assert "AMP_CREDITS" == decided("x", ONE, TWO, rule("x", "b")).route_type


def test_a_rule_leads_a_login_to_its_own_vendor() -> None:
    """To another provider at the same origin; and where only one vendor takes logins in the request's format."""
    assert [("same", "s")] == sent(decided("a", ONE, SAME, TWO, rule("a", "s"), amp=FORCED_AMP))
    assert [("one", "a")] == sent(decided("x", ONE, SAME, KEYED, rule("x", "a")))[:1]
    chat = provider("chat", "b", auth="client", protocols=("openai-chat",))
    assert [("one", "a")] == sent(decided("x", ONE, chat, rule("x", "a")))


def test_a_rule_that_is_passed_over_for_a_login_says_so() -> None:
    steps: list[Step] = []
    decide(Ask("anthropic", "x", None), snapshot(ONE, TWO, rule("x", "b")), Availability(), steps)

    assert "its targets want the client's own login, which may not go there" in [step.why for step in steps]


PROVIDERS = (ONE, TWO, SAME, KEYED)


@pytest.mark.parametrize("force", [False, True])
def test_no_request_ever_has_two_origins_for_a_login(force: bool) -> None:
    """Each list of providers, each name, each rule, each cooldown."""
    orders = [(a, b, c) for a, b, c in product(PROVIDERS, repeat=3) if len({a.name, b.name, c.name}) == 3]
    for order, source, targets in product(orders, ("a", "b", "both", "x"), (("a",), ("b", "a"), ("both", "s"))):
        origins: set[Origin] = set()
        for cooling in ((), ("one",), ("two",), ("same", "one")):
            found = decided(
                source, *order, rule(source, *targets), amp=FORCED_AMP if force else None, cooling=cooling
            ).candidates
            origins |= {each.provider.origin for each in found if each.endpoint.auth == "client"}
        assert len(origins) <= 1, (order, source, targets)


# --- on the wire ------------------------------------------------------------------------------------------------------


def taking_logins(origin: Origin, name: str) -> Provider:
    return replace(served(origin, name=name), endpoints=(Endpoint(protocol="openai-chat", auth="client"),))


@pytest.mark.parametrize("status", [402, 429, 503, None])
async def test_a_second_vendor_never_sees_a_login(status: int | None) -> None:
    """The first one's own answer passes, also when it cannot be reached."""
    reply = b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno" % (status or 200)
    login = b"Authorization: Bearer sk-ant-login"
    async with scripted(answering(*[reply] * 2)) as one, scripted(answering(*[OK] * 2)) as two:
        origin = one.origin if status else await closed_origin()
        providers = taking_logins(origin, "one"), taking_logins(two.origin, "two")
        async with proxying(one.origin, providers=providers, rules=(rule("alias", "m"),)) as proxy:
            for _ in range(2):
                assert (status or 502) == (await ask(proxy, post(b'{"model": "m"}', login))).status
            assert 404 == (await ask(proxy, post(b'{"model": "alias"}', login))).status
    assert not two.seen


def test_check_warns_of_two_vendors_that_take_logins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.yaml"
    item = "  - {{name: {}, base-url: 'http://{}.test', protocols: [anthropic], auth: client, models: [m]}}\n"
    path.write_text("providers:\n" + item.format("p", "one") + item.format("q", "one") + item.format("r", "two"))

    assert 1 == main(["check", "--strict", "--config", str(path)])
    told = [line for line in capsys.readouterr().err.splitlines() if "auth: client" in line]
    assert 1 == len(told)
    assert "providers p and r both have 'auth: client'" in told[0]

"""The pages under /_ampmap/: what they tell, and that no secret is among it."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from policy import provider, rule, settings

from ampmap import __version__
from ampmap.admin.pages import page, scan_page, status_of
from ampmap.bodies.steps import finished
from ampmap.errors import Place
from ampmap.proxy.state import Service
from ampmap.records.record import Record
from ampmap.routing.snapshot import compile_snapshot
from ampmap.settings import Amp, AmpKey, Rule


def service() -> Service:
    placed = Rule(source="^x", targets=("m",), regex=True, place=Place("f.yaml", 7, 3))
    configured = settings(
        provider("one", "m", "g-*", protocols=("anthropic", "gemini"), key="planted-1", headers=(("x", "planted-2"),)),
        provider("two", "n", protocols=("openai-chat",)),
        placed,
        rule("a", "m"),
        api_keys=("planted-3",),
        amp=Amp(api_key="planted-4", api_keys=(AmpKey(upstream_api_key="planted-5", client_keys=("planted-6",)),)),
    )
    snapshot, _ = compile_snapshot(replace(configured, source="/etc/f.yaml"), 3)
    return Service(snapshot, {"HOME": "/nowhere", "AMP_API_KEY": "planted-7", "http_proxy": "http://u:planted-8@h"})


def body(name: str, served: Service) -> bytes:
    found = page(name, served)
    assert found is not None
    assert 200 == found[0]
    return found[2]


def told(name: str, served: Service) -> Any:
    return json.loads(body(name, served))


PAGES = ("", "health", "ready", "status", "requests", "metrics")


@pytest.mark.parametrize("name", PAGES)
def test_no_page_holds_a_secret(name: str) -> None:
    served = service()
    served.journal.write(Record(path="/v1/messages", requested_model="m", route_type="AMP_CREDITS"))

    assert b"planted" not in body(name, served)
    assert "planted" not in repr(served)


@pytest.mark.parametrize("name", ["Health", "health/", "x", "../health", "__class__", "events"])
def test_there_is_no_other_page(name: str) -> None:
    assert page(name, service()) is None


def test_it_is_alive_while_it_drains_but_not_ready() -> None:
    served = service()
    assert (200, b"ready\n") == (page("ready", served) or (0, "", b""))[:3:2]

    served.draining = True

    assert (503, b"draining\n") == (page("ready", served) or (0, "", b""))[:3:2]
    health = f"ok\nconfiguration {served.snapshot.digest}\n".encode()
    assert (200, health) == (page("health", served) or (0, "", b""))[:3:2]
    assert told("status", served)["draining"] is True


def test_the_status_tells_what_runs() -> None:
    status = told("status", service())

    assert (__version__, "/etc/f.yaml", 3) == (status["version"], status["config"], status["generation"])
    assert ("https://ampcode.com", "warn") == (status["amp_upstream"], status["amp_credits"])
    assert 0 <= status["uptime_s"] < 60
    assert (0, 0) == (status["connections"], status["idle_upstream_connections"])
    one, two = status["providers"]
    assert ("one", "https://one.example", ["anthropic", "gemini"]) == (one["name"], one["origin"], one["protocols"])
    assert ("up", None, ["m"], ["g-*"]) == (one["state"], one["why"], one["models"], one["patterns"])
    assert ["n"] == two["models"]


def test_the_status_tells_of_the_last_reload_and_its_error() -> None:
    served = service()
    assert (None, None) == (
        told("status", served)["last_reload"]["error"],
        told("status", served)["last_reload"]["failed_at"],
    )

    served.reload.error, served.reload.failed_at = "f.yaml:1:1: wrong \x1b\nf.yaml:2:1: so is this", 1_000_000_000.0

    reload = told("status", served)["last_reload"]
    assert "f.yaml:1:1: wrong \\x1b\nf.yaml:2:1: so is this" == reload["error"]  # a line for each
    assert "2001-09-09T01:46:40.000Z" == reload["failed_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", reload["time"])


def test_the_status_tells_who_is_in_cooldown_and_why() -> None:
    served = service()
    served.cooldowns.failed("two", "no connection within 10 s", 0.0)

    one, two = told("status", served)["providers"]

    assert ["up", "cooldown"] == [one["state"], two["state"]]
    assert "no connection within 10 s" == two["why"]


_AMP = "/api/provider/anthropic/v1/messages"


def test_the_status_counts_hits_models_that_nothing_covers_and_what_was_paid() -> None:
    served = service()
    for record in (
        Record(route_type="MODEL_MAPPING", cost="own", requested_model="x1", rule="f.yaml:7", status=200, path=_AMP),
        Record(route_type="MODEL_MAPPING", cost="own", requested_model="x2", rule="f.yaml:7", status=200, path=_AMP),
        Record(route_type="LOCAL_PROVIDER", cost="own", requested_model="x3", status=200, path="/v1/messages"),
        Record(route_type="AMP_CREDITS", requested_model="\u202enew", status=200, protocol="gemini"),
        Record(route_type="NO_PROVIDER", requested_model="gone", status=404, protocol="openai-chat"),
        Record(route_type="NO_PROVIDER", requested_model="down", status=503, protocol="gemini", covered=True),
    ):
        served.journal.write(record)

    status = told("status", served)

    used = served.journal.recent[1].fields()["time"]
    assert [
        {"rule": "'^x' (regex) -> m [f.yaml:7]", "hits": 2, "last_used": used},
        {"rule": "'a' -> m", "hits": 0, "last_used": None},
    ] == status["rules"]
    uncovered = {each["model"]: each for each in status["uncovered_models"]}
    assert {"\u202enew": 1, "gone": 1} == {name: each["requests"] for name, each in uncovered.items()}
    assert "ampmap map add gone " in uncovered["gone"]["add"]
    assert "ampmap map add gone m" == uncovered["gone"]["paste"]
    assert body("status", served).isascii()
    assert {"own": 3, "paid": 1, "avoided": 2} == status["requests"]


def test_the_status_tells_the_tokens_of_each_model_the_most_used_first() -> None:
    served = service()
    for record in (
        Record(requested_model="a", resolved_model="few", input_tokens=3, output_tokens=1),
        Record(requested_model="a", resolved_model="many", input_tokens=30, output_tokens=4, cached_tokens=20),
    ):
        served.journal.write(record)

    assert [
        {"model": "many", "requests": 1, "input": 30, "output": 4, "cached": 20, "reasoning": 0},
        {"model": "few", "requests": 1, "input": 3, "output": 1, "cached": 0, "reasoning": 0},
    ] == told("status", served)["tokens"]


def test_without_upstream_and_file_the_status_says_null() -> None:
    served = Service(compile_snapshot(settings(amp=Amp(origin=None)))[0], {})

    assert (None, None) == (told("status", served)["amp_upstream"], told("status", served)["config"])


def test_the_last_records_are_told_as_they_were_logged() -> None:
    served = service()
    for number in range(3):
        served.journal.write(Record(path=f"/{number}", method="GET", status=404))

    assert [record.fields() for record in served.journal.recent] == told("requests", served)["requests"]


def test_a_brief_status_has_the_same_numbers_without_the_names() -> None:
    served = service()
    for number in range(30):
        served.journal.write(Record(route_type="NO_PROVIDER", requested_model=f"gone-{number}", status=404))

    full, brief = finished(status_of(served)), finished(status_of(served, brief=True))

    assert [1, 1] == [each["model_count"] for each in full["providers"]]
    for each in full["providers"]:
        del each["models"], each["discovery"]["dated"]
    assert full.pop("uncovered_models")[:20] == brief.pop("uncovered_models")
    assert full.pop("uptime_s") <= brief.pop("uptime_s")
    assert full == brief


@pytest.mark.parametrize("name", ["status", "requests"])
def test_a_long_page_is_made_in_short_steps(name: str) -> None:
    """Clients choose the names that nobody serves, a provider the length of its list."""
    served = Service(
        compile_snapshot(settings(provider("p", *(f"model-{number:04}" for number in range(2000)))))[0], {}
    )
    for number in range(1000):
        record = Record(route_type="NO_PROVIDER", requested_model=f"modql-{number:04}", status=404, detail="x" * 1000)
        served.journal.write(record)
    steps, longest = scan_page(name, served), 0.0
    while True:
        began = time.thread_time()
        try:
            next(steps)
        except StopIteration as done:
            assert done.value is not None and json.loads(done.value.body)
            break
        served.journal.write(Record(status=200))  # while the page is made
        longest = max(longest, time.thread_time() - began)

    assert longest < 0.05, "all at once the status takes a second"


def test_of_many_rules_a_brief_status_has_those_that_are_used() -> None:
    rules = [rule(f"m-{number}", "m") for number in range(300)]
    served = Service(compile_snapshot(settings(provider("one", "m"), *rules))[0], {})
    served.journal.write(Record(route_type="MODEL_MAPPING", rule="'m-299' -> m", status=200))

    found = finished(status_of(served, brief=True))

    assert ("'m-299' -> m", 1, 200, 300) == (
        found["rules"][0]["rule"], found["rules"][0]["hits"], len(found["rules"]), found["rule_count"]
    )  # fmt: skip


def test_the_live_page_may_do_nothing_but_read_this_proxy() -> None:
    found = page("", service())
    assert found is not None

    lines = {name.lower(): content.decode() for name, content in found.lines}
    policy = lines[b"content-security-policy"]

    assert 60_000 > len(found.body)
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy and "form-action 'none'" in policy and "base-uri 'none'" in policy
    assert 2 == found.body.count(b"<script>") + found.body.count(b"<style>")
    for way_out in (b"innerHTML", b"http:", b"https:", b"//cdn", b"url(", b"@import", b"eval(", b"style=", b"onclick="):
        assert way_out not in found.body.replace(b"http://www.w3.org/2000/svg", b"")

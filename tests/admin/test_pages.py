"""The pages under /_ampmap/: what they tell, and that no secret is among it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from policy import provider, rule, settings

from ampmap import __version__
from ampmap.admin.pages import page
from ampmap.errors import Place
from ampmap.proxy.state import Service
from ampmap.records.record import Record
from ampmap.routing.snapshot import compile_snapshot
from ampmap.settings import Amp, AmpKey, Rule


def service() -> Service:
    placed = Rule(source="^x", targets=("m",), regex=True, place=Place("f.yaml", 7, 3))
    configured = settings(
        provider("one", "m", "g-*", protocols=("anthropic", "gemini"), key="hidden-1", headers=(("x", "hidden-2"),)),
        provider("two", "n", protocols=("openai-chat",)),
        placed,
        rule("a", "m"),
        api_keys=("hidden-3",),
        amp=Amp(api_key="hidden-4", api_keys=(AmpKey(upstream_api_key="hidden-5", client_keys=("hidden-6",)),)),
    )
    snapshot, _ = compile_snapshot(replace(configured, source="/etc/f.yaml"), 3)
    return Service(snapshot, {"HOME": "/nowhere", "AMP_API_KEY": "hidden-7", "http_proxy": "http://u:hidden-8@h"})


def body(name: str, served: Service) -> bytes:
    found = page(name, served)
    assert found is not None
    assert 200 == found[0]
    return found[2]


def told(name: str, served: Service) -> Any:
    return json.loads(body(name, served))


PAGES = ("health", "ready", "status", "requests", "metrics")


@pytest.mark.parametrize("name", PAGES)
def test_no_page_holds_a_secret(name: str) -> None:
    served = service()
    served.journal.write(Record(path="/v1/messages", requested_model="m", route_type="AMP_CREDITS"))

    assert b"hidden" not in body(name, served)
    assert "hidden" not in repr(served)


@pytest.mark.parametrize("name", ["", "Health", "health/", "x", "../health", "__class__"])
def test_there_is_no_other_page(name: str) -> None:
    assert page(name, service()) is None


def test_it_is_alive_while_it_drains_but_not_ready() -> None:
    served = service()
    assert (200, b"ready\n") == (page("ready", served) or (0, "", b""))[::2]

    served.draining = True

    assert (503, b"draining\n") == (page("ready", served) or (0, "", b""))[::2]
    health = f"ok\nconfiguration {served.snapshot.digest}\n".encode()
    assert (200, health) == (page("health", served) or (0, "", b""))[::2]
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

    served.reload.error, served.reload.failed_at = "f.yaml:1:1: wrong \x1b", 1_000_000_000.0

    reload = told("status", served)["last_reload"]
    assert ("f.yaml:1:1: wrong \\x1b", "2001-09-09T01:46:40.000Z") == (reload["error"], reload["failed_at"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", reload["time"])


def test_the_status_tells_who_is_in_cooldown_and_why() -> None:
    served = service()
    served.rests.failed("two", "no connection within 10 s", 0.0)

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
    assert body("status", served).isascii()
    assert {"paid": 1, "avoided": 2} == status["requests"]


def test_without_upstream_and_file_the_status_says_null() -> None:
    served = Service(compile_snapshot(settings(amp=Amp(origin=None)))[0], {})

    assert (None, None) == (told("status", served)["amp_upstream"], told("status", served)["config"])


def test_the_last_records_are_told_as_they_were_logged() -> None:
    served = service()
    for number in range(3):
        served.journal.write(Record(path=f"/{number}", method="GET", status=404))

    assert [record.fields() for record in served.journal.recent] == told("requests", served)["requests"]


def test_the_numbers_are_prometheus_text() -> None:
    served = service()
    served.count_connections = lambda: 4
    served.count_tasks = lambda: 9
    served.journal.write(Record(route_type="MODEL_MAPPING", status=200, bytes_in=5, bytes_out=7))
    served.journal.write(Record(route_type="AMP_CREDITS", status=200))
    found = page("metrics", served)
    assert found is not None

    lines = found[2].decode().splitlines()

    assert found[1].startswith("text/plain; version=0.0.4")
    for line in (
        'ampmap_requests_total{route_type="MODEL_MAPPING",status="200",outcome="ok"} 1',
        "ampmap_request_body_bytes_total 5",
        "ampmap_response_body_bytes_total 7",
        "ampmap_paid_requests_total 1",
        "ampmap_avoided_requests_total 0",
        "ampmap_connections 4",
        "ampmap_tasks 9",
        "ampmap_generation 3",
    ):
        assert line in lines
    sample = re.compile(r'[a-z_]+(\{[a-z_]+="[^"\\\n]*"(,[a-z_]+="[^"\\\n]*")*\})? \d+')
    for line in lines:
        assert sample.fullmatch(line) or re.fullmatch(r"# (HELP|TYPE) [a-z_]+ .+", line)
    named = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert named == {re.split(r"[ {]", line)[0] for line in lines if not line.startswith("#")}

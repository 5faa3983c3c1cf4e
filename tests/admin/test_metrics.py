"""The numbers for Prometheus: read by its own parser, the same as elsewhere, and few whatever clients send."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from kit import closed_origin, proxying, record_of, scripted
from policy import provider, settings
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from ampmap.admin.pages import page
from ampmap.proxy.state import Service
from ampmap.records.histograms import Histogram
from ampmap.records.record import Record
from ampmap.routing.snapshot import compile_snapshot
from ampmap.settings import Endpoint, ModelEntry, Provider

BOTH_LOOPS = True
MANUAL = Path(__file__).parents[2] / "examples" / "README.md"


def service() -> Service:
    return Service(compile_snapshot(settings(provider("one", "m"), provider("two", "n")))[0], {"HOME": "/nowhere"})


def text(served: Service) -> str:
    found = page("metrics", served)
    assert found is not None
    assert (200, "text/plain; version=0.0.4; charset=utf-8") == (found.status, found.content_type)
    return found.body.decode()


def families(shown: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(shown)}


def samples(shown: str, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Return the samples of one name by the values of the labels that matter, added up over the others."""
    found: Counter[tuple[str, ...]] = Counter()
    for family in families(shown).values():
        for sample in family.samples:
            if sample.name == name:
                found[tuple(sample.labels[label] for label in labels)] += sample.value  # type: ignore[assignment]
    return dict(found)


def busy() -> Service:
    served = service()
    for number, record in enumerate((
        Record(route_type="MODEL_MAPPING", provider="one", protocol="gemini", status=200, cost="own",
               resolved_model="m", input_tokens=30, output_tokens=4, cached_tokens=20, reasoning_tokens=0,
               translated="gemini -> anthropic", lost="seed, tools[x]", ttfb_ms=40.0, overhead_ms=0.5),
        Record(route_type="LOCAL_PROVIDER", provider="two", protocol="openai-chat", status=502,
               outcome="upstream_error"),
        Record(route_type="AMP_CREDITS", requested_model='a"b\\c\nd\ud800', status=200, output_tokens=7),
        Record(route_type="REJECTED", status=403, outcome="rejected"),
    )):  # fmt: skip
        record.started -= number
        served.journal.write(record)
    served.cooldowns.failed("two", "no route", 0.0)
    served.reload.error = "f.yaml:1: wrong"
    return served


def test_its_parser_reads_all_of_it_and_each_number_is_described() -> None:
    shown = text(busy())
    described = {name for name, family in families(shown).items() if family.documentation and family.type != "unknown"}

    assert described == set(families(shown))
    assert shown.endswith("\n")
    for line in shown.splitlines():
        name = line.split()[2] if line.startswith("#") else re.split(r"[ {]", line)[0]
        assert name.startswith("ampmap_")
    series = [(sample.name, *sorted(sample.labels.items())) for f in families(shown).values() for sample in f.samples]
    assert len(series) == len(set(series))
    blocks = [line.split()[2] for line in shown.splitlines() if line.startswith("# TYPE")]
    assert len(blocks) == len(set(blocks))


def test_names_keep_the_rules_of_its_linter() -> None:
    """As ``promtool check metrics`` has them: suffixes by type, base units, no type or abbreviation in a name."""
    types = dict(re.findall(r"# TYPE (\S+) (\S+)", text(busy())))

    assert {"counter", "gauge", "histogram"} == set(types.values())
    for name, kind in types.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert (kind == "counter") == name.endswith("_total")
        assert (kind == "histogram") == (name.endswith("_seconds") and "timestamp" not in name)
        assert not re.search(r"_(ms|milliseconds|kb|mb|bits|minutes|hours|percent)(_|$)", name)
        assert not re.search(r"_(counter|gauge|histogram|summary|count|sum|bucket|info_total)$", name)
        assert ("bytes" in name) == name.endswith("_bytes_total")


def test_each_number_is_in_the_manual() -> None:
    table = MANUAL.read_text().partition("| `/_ampmap/metrics`, each name")[2].partition("\n\n")[0]
    described = {f"ampmap_{name}" for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}

    missing = set(re.findall(r"# TYPE (\S+)", text(busy()))) - described
    assert not missing, f"the table of examples/README.md, under Pages and records, has to name {missing}"


def test_labels_are_escaped_and_come_back_as_they_were() -> None:
    models = {model for model, _ in samples(text(busy()), "ampmap_tokens_total", "model", "kind")}

    assert {"m", 'a"b\\c\\nd\\ud800'} == models  # what does not show is escaped before, as everywhere


def test_a_histogram_counts_what_lies_at_or_below_each_bound() -> None:
    histogram = Histogram((1, 10))
    for ms in (0.5, 1, 1.01, 10, 10_000):
        histogram.add(ms)

    assert ([2, 2, 1], 10_012.51) == (histogram.counts, histogram.sum_ms)


def test_buckets_are_cumulative_and_in_seconds() -> None:
    shown = text(busy())

    first = samples(shown, "ampmap_time_to_first_byte_seconds_bucket", "provider", "le")
    assert (0, 1, 1) == (first["one", "0.025"], first["one", "0.05"], first["one", "+Inf"])
    assert {("one",): 1, ("two",): 0, ("",): 0} == samples(shown, "ampmap_time_to_first_byte_seconds_count", "provider")
    assert 0.04 == samples(shown, "ampmap_time_to_first_byte_seconds_sum", "provider")["one",]
    assert 0.0005 == samples(shown, "ampmap_overhead_seconds_sum", "provider")["one",]
    assert 1 == samples(shown, "ampmap_overhead_seconds_bucket", "provider", "le")["one", "0.0005"]
    assert {(): 4} == samples(shown, "ampmap_duration_seconds_count")
    assert 6.0 <= samples(shown, "ampmap_duration_seconds_sum")[()] < 7.0


def test_state_is_told() -> None:
    served = busy()
    served.count_connections, served.count_tasks = lambda: 4, lambda: 9
    served.apply(served.snapshot)
    shown = text(served)

    for name, value in (("connections", 4), ("tasks", 9), ("streams", 0), ("generation", 2), ("draining", 0),
                        ("last_reload_successful", 1), ("idle_upstream_connections", 0)):  # fmt: skip
        assert {(): value} == samples(shown, f"ampmap_{name}")
    assert {("applied",): 1, ("failed",): 0} == samples(shown, "ampmap_reloads_total", "result")
    assert {("one",): 1, ("two",): 0} == samples(shown, "ampmap_provider_up", "provider")
    assert {("one",): 0, ("two",): 1} == samples(shown, "ampmap_provider_cooldowns_total", "provider")
    assert {("gemini", "anthropic"): 1} == samples(shown, "ampmap_translations_total", "asked", "sent")
    assert {("seed",): 1, ("tools[]",): 1} == samples(shown, "ampmap_lost_members_total", "member")
    assert {(): 0} == samples(text(busy()), "ampmap_last_reload_successful")


def test_what_clients_invent_makes_no_series() -> None:
    served = busy()
    before = len(text(served).splitlines())
    for number in range(3_000):
        name = f"invented-{number}"
        served.journal.write(Record(route_type="NO_PROVIDER", requested_model=name, path=f"/{name}", method=name,
                                    status=404, outcome="rejected"))  # fmt: skip
        served.journal.write(Record(route_type="AMP_CREDITS", requested_model=name, status=200, output_tokens=1))
        served.journal.write(Record(route_type="MODEL_MAPPING", provider="one", status=200, resolved_model="m",
                                    protocol="gemini", lost=f"{name}, tools[{name}]", input_tokens=1))  # fmt: skip

    after = text(served)

    assert len(after.splitlines()) < before + 1_100  # of them 200 models with four kinds, and 100 members
    assert 3_000 + 34 + 7 + 3_000 == sum(samples(after, "ampmap_tokens_total", "kind").values()) - 20
    assert 3_001 == samples(after, "ampmap_tokens_total", "model", "kind")["m", "input"] - 29
    assert len(samples(after, "ampmap_tokens_total", "model")) == 201


CHAT: Any = {"prompt_tokens": 30, "completion_tokens": 11, "prompt_tokens_details": {"cached_tokens": 20}}
REPLY = json.dumps({"model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"},
                                               "finish_reason": "stop"}], "usage": CHAT}).encode()  # fmt: skip
ASKED = '{"model": "%s", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}'


async def test_the_numbers_agree_with_the_status_and_the_records_after_mixed_traffic() -> None:
    async def answer(peer: Any) -> None:
        while True:
            request = await peer.read_message()
            status = b"429 Too Many Requests" if b"fails" in request.body else b"200 OK"
            await peer.send(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(REPLY), REPLY))

    async with scripted(answer) as upstream:
        chat = Provider(name="chat", origin=upstream.origin, endpoints=(Endpoint(protocol="openai-chat"),),
                        models=(ModelEntry(id="m"), ModelEntry(id="fails")), api_key="k")  # fmt: skip
        down = Provider(name="down", origin=await closed_origin(), endpoints=(Endpoint(protocol="openai-chat"),),
                        models=(ModelEntry(id="gone"),), api_key="k")  # fmt: skip
        async with proxying(upstream.origin, providers=(chat, down)) as proxy, httpx.AsyncClient(
            base_url=proxy.url, headers={"content-type": "application/json"}
        ) as client:  # fmt: skip
            for path, model in (
                ("/v1/chat/completions", "m"), ("/v1/chat/completions", "alias"), ("/v1/messages", "m"),
                ("/v1/chat/completions", "fails"), ("/v1/chat/completions", "gone"), ("/v1/messages", "unknown"),
                ("/api/provider/openai/v1/chat/completions", "paid"), ("/api/internal", "x"), ("/v1/nothing", "x"),
            ):  # fmt: skip
                await client.post(path, content=ASKED % model)
            await record_of(proxy, 9)
            records = (await client.get("/_ampmap/requests")).json()["requests"]
            await record_of(proxy, 10)
            status = (await client.get("/_ampmap/status")).json()
            await record_of(proxy, 11)
            shown = (await client.get("/_ampmap/metrics")).text

    counted = samples(shown, "ampmap_requests_total", "route_type", "provider", "protocol", "status", "outcome")
    names = ("route_type", "provider", "protocol", "status", "outcome")
    expected = Counter(tuple(str(record.get(name, "")) for name in names) for record in records)
    expected["ADMIN", "", "", "200", "ok"] += 2  # the pages that were read in between
    assert dict(expected) == counted
    assert {"own", "paid", "avoided"} <= set(status["requests"])
    for name, number in status["requests"].items():
        assert {(): number} == samples(shown, f"ampmap_{name}_requests_total"), f"admin/metrics.py: {name}"
    tokens = samples(shown, "ampmap_tokens_total", "model", "kind")
    assert {
        (each["model"], kind): each[kind]
        for each in status["tokens"]
        for kind in ("input", "output", "cached", "reasoning")
    } == tokens
    for kind in ("input", "output", "cached"):
        assert sum(record.get(f"{kind}_tokens", 0) for record in records) == sum(
            number for (_, each), number in tokens.items() if each == kind
        )
    assert {("m",), ("paid",)} == set(samples(shown, "ampmap_tokens_total", "model"))
    assert {("anthropic", "openai-chat"): 1} == samples(shown, "ampmap_translations_total", "asked", "sent")
    assert {("chat",): 1, ("down",): 0} == samples(shown, "ampmap_provider_up", "provider")
    duration = sum(record["duration_ms"] for record in records) / 1e3
    assert duration <= samples(shown, "ampmap_duration_seconds_sum")[()] < duration + 1
    own = {"LOCAL_PROVIDER", "MODEL_MAPPING"}
    assert sum(record["overhead_ms"] for record in records if record["route_type"] in own) / 1e3 == pytest.approx(
        samples(shown, "ampmap_overhead_seconds_sum")[()], abs=1e-5
    )

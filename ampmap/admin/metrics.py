"""``/_ampmap/metrics``: numbers in the text format of Prometheus, version 0.0.4.

Labels are names in the configuration, ampmap's own words, statuses, and models that served a reply with tokens. The
number of series is bounded, whatever clients ask for. Source of the format and of the names:
https://prometheus.io/docs/instrumenting/exposition_formats/, https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from .._version import __version__
from ..escaping import printable
from ..proxy.state import AdminPage, Service
from ..records.histograms import Histogram
from ..records.journal import Journal

Sample = tuple[dict[str, str], float]
"""Labels and a value."""

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_page(service: Service) -> AdminPage:
    """Return ``/_ampmap/metrics``."""
    lines = [line for family in _families(service) for line in family]
    return AdminPage(200, _CONTENT_TYPE, "\n".join(lines).encode() + b"\n")


def _families(service: Service) -> Iterator[Iterable[str]]:
    yield from _counters(service.journal)
    yield from _histograms(service.journal)
    yield from _state(service)


def _counters(journal: Journal) -> Iterator[Iterable[str]]:
    names = ("route_type", "provider", "protocol", "status", "outcome")
    requests = [
        (dict(zip(names, map(str, key), strict=True)), count) for key, count in sorted(journal.requests.items())
    ]
    yield _family("ampmap_requests_total", "counter", "Requests by how they were routed and ended.", requests)
    for name, what, count in (
        ("own_requests", "Requests that providers of the configuration served.", journal.own),
        ("paid_requests", "Requests that spent Amp credits.", journal.paid),
        ("avoided_requests", "Requests of Amp's clients that were served without Amp credits.", journal.avoided),
        ("request_body_bytes", "Bytes of request bodies.", journal.bytes_in),
        ("response_body_bytes", "Bytes of response bodies.", journal.bytes_out),
    ):
        yield _family(f"ampmap_{name}_total", "counter", what, [({}, count)])
    tokens = [
        ({"model": model, "kind": kind}, getattr(counts, kind))
        for model, counts in sorted(journal.tokens.by_model.items())
        for kind in ("input", "output", "cached", "reasoning")
    ]
    what = "Tokens that replies stated. Cached ones are among the input, reasoning is among the output."
    yield _family("ampmap_tokens_total", "counter", what, tokens)
    translated = [
        ({"asked": pair.partition(" -> ")[0], "sent": pair.partition(" -> ")[2]}, count)
        for pair, count in sorted(journal.translated.items())
    ]
    yield _family("ampmap_translations_total", "counter", "Requests translated into another wire format.", translated)
    lost = [({"member": member}, count) for member, count in sorted(journal.lost.items())]
    yield _family("ampmap_lost_members_total", "counter", "Requests that had to do without a member.", lost)


def _histograms(journal: Journal) -> Iterator[Iterable[str]]:
    for name, attribute, what in (
        ("duration", "duration", "Seconds from a request's head to the end of its reply."),
        ("time_to_first_byte", "first_byte", "Seconds from a request's head to the first byte of its reply."),
        ("overhead", "overhead", "Seconds that ampmap itself took of a request."),
    ):
        name = f"ampmap_{name}_seconds"
        lines = _family(name, "histogram", what, [])
        for (route, provider), timings in sorted(journal.timings.items()):
            lines += _histogram(name, {"route_type": route, "provider": provider}, getattr(timings, attribute))
        yield lines


def _state(service: Service) -> Iterator[Iterable[str]]:
    journal, pool, availability = service.journal, service.pool, service.availability()
    for name, what, value in (
        ("connections", "Open client connections.", service.count_connections()),
        ("streams", "Replies of models on their way.", len(journal.streams)),
        ("idle_upstream_connections", "Upstream connections that wait for a request.", pool.idle_count),
        ("tasks", "Tasks of the event loop.", service.count_tasks()),
        ("draining", "1 while the proxy ends.", int(service.draining)),
        ("generation", "Generation of the configuration in force.", service.snapshot.generation),
        ("last_reload_successful", "1 unless the last reload failed.", int(not service.reload.error)),
        ("last_reload_success_timestamp_seconds", "When the configuration was read.", service.reload.at),
    ):  # fmt: skip
        yield _family(f"ampmap_{name}", "gauge", what, [({}, value)])
    reloads = [({"result": result}, service.reloads[result]) for result in ("applied", "failed")]
    yield _family("ampmap_reloads_total", "counter", "Reloads of the configuration.", reloads)
    dialled = [({"kind": "new"}, pool.dialled), ({"kind": "reused"}, pool.reused)]
    yield _family("ampmap_upstream_connections_total", "counter", "Upstream connections that took a request.", dialled)
    names = [provider.name for provider in service.snapshot.settings.providers]
    up = [({"provider": name}, int(name not in availability.cooldowns)) for name in names]
    yield _family("ampmap_provider_up", "gauge", "0 while a provider is in cooldown: it cannot be reached.", up)
    begun = [({"provider": name}, service.cooldowns.begun[name]) for name in names]
    yield _family("ampmap_provider_cooldowns_total", "counter", "Cooldowns that have begun.", begun)
    yield _family("ampmap_build_info", "gauge", "The version, as a label.", [({"version": __version__}, 1)])


def _family(name: str, kind: str, what: str, samples: Iterable[Sample]) -> list[str]:
    return [f"# HELP {name} {what}", f"# TYPE {name} {kind}", *(_line(name, *sample) for sample in samples)]


def _histogram(name: str, labels: dict[str, str], histogram: Histogram) -> Iterator[str]:
    """Return the lines of a histogram, whose buckets are cumulative."""
    shown = _shown(labels)
    bounds = [*(repr(float(ms) / 1e3) for ms in histogram.bounds_ms), "+Inf"]
    counts = list(accumulate(histogram.counts))
    for bound, count in zip(bounds, counts, strict=True):
        yield f'{name}_bucket{{{shown},le="{bound}"}} {count}'
    yield f"{name}_sum{{{shown}}} {histogram.sum_ms / 1e3!r}"
    yield f"{name}_count{{{shown}}} {counts[-1]}"


def _line(name: str, labels: dict[str, str], value: float) -> str:
    shown = _shown(labels)
    return f"{name}{{{shown}}} {value!r}" if shown else f"{name} {value!r}"


def _shown(labels: dict[str, str]) -> str:
    return ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())


def _escaped(text: str) -> str:
    return printable(text).replace("\\", r"\\").replace('"', r"\"")

"""The samples over time as an SVG of small multiples. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from .numbers import Sample, floors_of, slope

_WIDTH, _LEFT, _RIGHT, _TOP = 960, 64, 150, 64
_HEIGHT, _GAP = 96, 34
_BLUE, _TEAL, _ORANGE, _RED, _GREY = "#2563eb", "#0d9488", "#d97706", "#dc2626", "#64748b"


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a panel; with ``trend``, idle moments are dots and their slope is drawn."""

    label: str
    colour: str
    value: Callable[[Sample], float]
    trend: bool = False
    bars: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the multiples."""

    title: str
    series: tuple[Series, ...]
    from_zero: bool = True


def _rate(name: str, samples: Sequence[Sample]) -> Callable[[Sample], float]:
    before = {id(sample): earlier.at for earlier, sample in pairwise(samples)}

    def per_second(sample: Sample) -> float:
        return float(getattr(sample, name)) / max(sample.at - before.get(id(sample), 0.0), 0.2)

    return per_second


def _load(samples: Sequence[Sample]) -> Callable[[Sample], float]:
    before = {id(sample): earlier for earlier, sample in pairwise(samples)}

    def percent(sample: Sample) -> float:
        earlier = before.get(id(sample))
        return 100 * (sample.cpu_s - earlier.cpu_s) / max(sample.at - earlier.at, 0.2) if earlier else 0.0

    return percent


def _panels(samples: Sequence[Sample]) -> tuple[Panel, ...]:
    return (
        Panel(
            "Memory, MiB",
            (
                Series("resident", _BLUE, lambda s: s.rss_mib, trend=True),
                Series("kept free by malloc", _TEAL, lambda s: s.native_free_mib),
                Series("malloc, in use", _ORANGE, lambda s: s.native_mib, trend=True),
            ),
        ),
        Panel(
            "Python's blocks in use, thousands, all garbage collected",
            (Series("idle", _BLUE, lambda s: s.objects / 1000, trend=True),),
        ),
        Panel(
            "File descriptors",
            (
                Series("open files", _BLUE, lambda s: s.fds, trend=True),
                Series("sockets of them", _TEAL, lambda s: s.sockets),
            ),
        ),
        Panel(
            "Tasks and connections",
            (
                Series("tasks", _BLUE, lambda s: s.tasks, trend=True),
                Series("clients", _TEAL, lambda s: s.connections),
                Series("idle upstream", _ORANGE, lambda s: s.idle_upstream),
            ),
        ),
        Panel("Requests a second", (Series("ended", _BLUE, _rate("requests", samples)),)),
        Panel(
            "Faults a second",
            (
                Series("failed visibly", _RED, _rate("failed_visibly", samples), bars=True),
                Series("clients that left", _ORANGE, _rate("left", samples), bars=True),
            ),
        ),
        Panel("CPU, % of one core", (Series("ampmap", _BLUE, _load(samples)),)),
    )


def draw(samples: Sequence[Sample], outages: Sequence[tuple[float, float]], title: str, note: str) -> str:
    """Return the picture; ``outages`` are spans of seconds in which an upstream was away."""
    panels = _panels(samples)
    height = _TOP + len(panels) * (_HEIGHT + _GAP) + 40
    end = max((sample.at for sample in samples), default=1.0) or 1.0
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'font-family="system-ui, DejaVu Sans, sans-serif" font-size="11">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="24" font-size="16" font-weight="600" fill="#0f172a">{escape(title)}</text>',
        f'<text x="{_LEFT}" y="42" fill="{_GREY}">{escape(note)}</text>',
    ]
    for number, panel in enumerate(panels):
        lines += _panel(panel, samples, outages, _TOP + 14 + number * (_HEIGHT + _GAP), end)
    bottom = _TOP + 14 + len(panels) * (_HEIGHT + _GAP) - _GAP
    lines += _time_axis(bottom, end)
    legend = "dots: nothing under way · dashed: their slope · grey bands: an upstream killed · ticks: "
    lines.append(
        f'<text x="{_LEFT}" y="{bottom + 38}" fill="{_GREY}">{legend}'
        f'<tspan fill="{_TEAL}">reload</tspan>, <tspan fill="{_ORANGE}">broken file refused</tspan></text>'
    )
    return "\n".join([*lines, "</svg>", ""])


def _x(at: float, end: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * at / end


def _panel(
    panel: Panel, samples: Sequence[Sample], outages: Sequence[tuple[float, float]], top: float, end: float
) -> Iterator[str]:
    right = _WIDTH - _RIGHT
    highest = max((one.value(sample) for one in panel.series for sample in samples), default=1.0)
    step = _nice(max(highest, 1e-9) / 3)
    ceiling = max(math.ceil(highest / step) * step, step)

    def y(value: float) -> float:
        return top + _HEIGHT * (1 - min(value, ceiling) / ceiling)

    yield f'<text x="{_LEFT}" y="{top - 6}" font-weight="600" fill="#0f172a">{escape(panel.title)}</text>'
    for since, until in outages:
        left = _x(min(since, end), end)
        wide = max(_x(min(until, end), end) - left, 1)
        yield f'<rect x="{left:.1f}" y="{top}" width="{wide:.1f}" height="{_HEIGHT}" fill="#e2e8f0"/>'
    tick = 0.0
    while tick <= ceiling + step / 2:
        shade = "#94a3b8" if tick == 0 else "#e2e8f0"
        yield f'<line x1="{_LEFT}" x2="{right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="{shade}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end" fill="{_GREY}">{tick:g}</text>'
        tick += step
    for sample in samples:
        if sample.event:
            colour = _ORANGE if "broken" in sample.event else _TEAL
            x = _x(sample.at, end)
            yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top + _HEIGHT}" y2="{top + _HEIGHT + 4}" stroke="{colour}"/>'
    for number, series in enumerate(panel.series):
        yield from _series(series, samples, y, end)
        at = top + number * 18
        yield f'<rect x="{right + 12}" y="{at + 2}" width="10" height="10" rx="2" fill="{series.colour}"/>'
        yield f'<text x="{right + 28}" y="{at + 11}" fill="#334155">{escape(series.label)}</text>'


def _series(series: Series, samples: Sequence[Sample], y: Callable[[float], float], end: float) -> Iterator[str]:
    points = [(_x(sample.at, end), y(series.value(sample))) for sample in samples]
    if series.bars:
        path = "".join(f"M{x:.1f} {y(0):.1f}V{height:.1f}" for x, height in points if height < y(0))
        wide = max(min((_WIDTH - _LEFT - _RIGHT) / max(len(points), 1) * 0.8, 6), 0.8)
        yield f'<path d="{path}" stroke="{series.colour}" stroke-width="{wide:.1f}" stroke-opacity="0.75" fill="none"/>'
        return
    path = "M" + "L".join(f"{x:.1f} {height:.1f}" for x, height in points)
    yield f'<path d="{path}" stroke="{series.colour}" stroke-width="1.3" stroke-linejoin="round" fill="none"/>'
    floors = floors_of(samples)
    if not series.trend or not floors:
        return
    for floor in floors:
        x, height = _x(floor.at, end), y(series.value(floor))
        yield f'<circle cx="{x:.1f}" cy="{height:.1f}" r="2.6" fill="#ffffff" stroke="{series.colour}"/>'
    values = [(floor.at, series.value(floor)) for floor in floors]
    rise, middle = slope(values), values[len(values) // 2]
    first, last = (middle[1] + rise * (at - middle[0]) for at in (values[0][0], values[-1][0]))
    yield (
        f'<line x1="{_x(values[0][0], end):.1f}" y1="{y(first):.1f}" x2="{_x(values[-1][0], end):.1f}" '
        f'y2="{y(last):.1f}" stroke="{series.colour}" stroke-dasharray="5 4" stroke-width="1"/>'
    )


def _time_axis(bottom: float, end: float) -> Iterator[str]:
    in_minutes = end >= 120
    unit, per = ("minutes", 60.0) if in_minutes else ("seconds", 1.0)
    step = _nice(end / per / 8)
    tick = 0.0
    while tick * per <= end:
        x = _x(tick * per, end)
        yield f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle" fill="{_GREY}">{tick:g}</text>'
        tick += step
    yield f'<text x="{_WIDTH - _RIGHT + 12}" y="{bottom + 18}" fill="{_GREY}">{unit}</text>'


def _nice(step: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * 0.999)

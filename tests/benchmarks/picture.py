"""The measures as bars, in SVG that needs nothing but a browser. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from .figures import Measure
from .report import shown

WIDTH = 1000
_MARGIN = 24
_COLUMNS = 2
_GAP = 32
_LABEL = 132
_LETTER = 6.7  # a letter of a label is about that wide
_FIGURE = 56
_BAR = 16
_STEP = 24
_TITLE = 46
_COLOURS = {"ampmap": "#0b7a75", "nginx": "#8d99ae", "other": "#c9ada7", "floor": "#d9d9d9"}
_FLOORS = ("alone", "bare", "json.loads", "Python with", "direct")
_STYLE = """
text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; fill: #22303c; }
.title { font-size: 22px; font-weight: 600; } .under { font-size: 13px; fill: #5c6b77; }
.name { font-size: 14px; font-weight: 600; } .unit { font-size: 12px; fill: #5c6b77; }
.label { font-size: 12px; } .figure { font-size: 12px; font-weight: 600; }
"""


HEADLINES = (
    "small.cpu",
    "single.p50",
    "large.5MB.added",
    "streams.cpu",
    "streams.p50",
    "hostile.cpu",
    "scale.cpu",
    "scale.memory",
    "scale.tls",
    "start.exec",
)


def picture(measures: Sequence[Measure], machine: str) -> str:
    """Return those measures that tell most in two columns, each on a scale of its own."""
    measures = [measure for measure in measures if measure.key in HEADLINES]
    heights = [_TITLE + _STEP * len(measure.values) + _GAP for measure in measures]
    columns: list[list[tuple[Measure, int]]] = [[] for _ in range(_COLUMNS)]
    bottoms = [96] * _COLUMNS
    half = sum(heights) / _COLUMNS
    at = 0
    for measure, height in zip(measures, heights, strict=True):
        if at < _COLUMNS - 1 and columns[at] and bottoms[at] - 96 + height / 2 > half:
            at += 1
        columns[at].append((measure, bottoms[at]))
        bottoms[at] += height
    height = max(bottoms)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-label="ampmap measured beside other proxies">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_MARGIN}" y="40" class="title">ampmap beside other proxies</text>',
        f'<text x="{_MARGIN}" y="62" class="under">{escape(machine)}; medians of alternating rounds, '
        "whiskers from the least to the greatest; shorter is better</text>",
    ]
    width = (WIDTH - 2 * _MARGIN - _GAP * (_COLUMNS - 1)) // _COLUMNS
    for number, column in enumerate(columns):
        for measure, top in column:
            parts += _panel(measure, _MARGIN + number * (width + _GAP), top, width)
    return "\n".join([*parts, "</svg>", ""])


def _panel(measure: Measure, left: int, top: int, width: int) -> list[str]:
    parts = [
        f'<text x="{left}" y="{top + 14}" class="name">{escape(measure.title)}</text>',
        f'<text x="{left}" y="{top + 31}" class="unit">{escape(measure.unit)}{_scale_note(measure)}</text>',
    ]
    indent = max(_LABEL, int(max(map(len, measure.values), default=0) * _LETTER) + 10)
    room = width - indent - _FIGURE - 10
    for number, subject in enumerate(measure.values):
        y = top + _TITLE + _STEP * number
        middle, (low, high) = measure.median(subject), measure.spread(subject)
        start = left + indent
        end = start + _length(measure, middle) * room
        parts += [
            f'<text x="{start - 8}" y="{y + 12}" text-anchor="end" class="label">{escape(subject)}</text>',
            f'<rect x="{start}" y="{y}" width="{max(end - start, 1):.1f}" height="{_BAR}" rx="2" '
            f'fill="{_colour(subject)}"/>',
        ]
        reach = max(end, start)
        if len(measure.values[subject]) > 1:
            first, last = (start + _length(measure, value) * room for value in (low, high))
            reach = max(end, last)
            parts.append(
                f'<path d="M{first:.1f} {y + _BAR / 2:g}H{last:.1f}M{first:.1f} {y + 5}v6M{last:.1f} {y + 5}v6" '
                'stroke="#22303c" stroke-opacity=".55" fill="none"/>'
            )
        parts.append(f'<text x="{reach + 6:.1f}" y="{y + 12}" class="figure">{shown(middle)}</text>')
    return parts


def _greatest(measure: Measure) -> float:
    return max((measure.spread(subject)[1] for subject in measure.values), default=0.0)


def _is_wide(measure: Measure) -> bool:
    """Tell whether the figures lie too far apart for bars that begin at nothing."""
    middles = [measure.median(subject) for subject in measure.values]
    return min(middles) > 0 and max(middles) / min(middles) > 100


def _scale_note(measure: Measure) -> str:
    return " (logarithmic)" if _is_wide(measure) else ""


def _length(measure: Measure, value: float) -> float:
    greatest = _greatest(measure)
    if value <= 0 or greatest <= 0:
        return 0.0
    if not _is_wide(measure):
        return value / greatest
    least = min(measure.spread(subject)[0] for subject in measure.values if measure.spread(subject)[0] > 0) / 2
    return max(0.0, math.log(value / least) / math.log(greatest / least))


def _colour(subject: str) -> str:
    if subject.startswith("ampmap"):
        return _COLOURS["ampmap"]
    if subject.startswith("nginx"):
        return _COLOURS["nginx"]
    return _COLOURS["floor" if any(word in subject for word in _FLOORS) else "other"]

"""The benchmark harness: what it makes of figures, and that a short run goes through to its end."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from benchmarks import __main__ as program
from benchmarks import bodies, figures, peers, picture, report
from benchmarks.bench import Options
from benchmarks.figures import Measure, Target
from benchmarks.load import Reply
from benchmarks.works import WORKS

CPU = Measure(
    "small.cpu",
    "small <requests>",
    "µs",
    {"nginx": [10.0, 20.0, 40.0], "ampmap": [30.0, 40.0, 80.0]},
    (Target("ampmap", 50.0), Target("ampmap", 1.5, "nginx"), Target("ampmap", 2.0, "absent")),
    check=("nginx", "absent"),
)


def test_a_ratio_is_the_middle_of_each_rounds_ratio() -> None:
    assert 2.0 == CPU.ratio("ampmap", "nginx")  # of 3, 2, 2: the medians alone say 2, the means 2.14
    assert 40.0 == CPU.median("ampmap")
    assert (30.0, 80.0) == CPU.spread("ampmap")


def test_a_percentile_is_a_value_that_was_seen() -> None:
    assert 99 == figures.percentile(range(100), 0.99)
    assert 7 == figures.percentile([7], 0.5)


def test_a_target_says_whether_it_is_met_and_is_silent_about_what_was_not_measured() -> None:
    assert ["≤ 50: met", "≤ 1.50 × nginx: NOT met (2.00)", ""] == [report.verdict(CPU, each) for each in CPU.targets]


def test_the_table_shows_every_subject_in_columns() -> None:
    lines = report.table([CPU]).splitlines()

    assert ["ampmap", "40.0", "30.0", "…", "80.0", "2.00", "×", "nginx"] == lines[-1].split()[:8]
    assert 4 == len([line for line in lines if line])
    assert lines[-1].index("40.0") == lines[-2].index("20.0")


@pytest.mark.parametrize(("now", "count"), [(2.5, 0), (2.51, 1), (1.0, 0)])
def test_a_ratio_fails_the_check_when_it_is_a_quarter_worse(now: float, count: int) -> None:
    found = figures.regressions({"small.cpu: ampmap / nginx": now, "new": 9.0}, {"small.cpu: ampmap / nginx": 2.0})

    assert count == len(found)
    assert ["small"] * count == figures.works_of(found)


def test_only_what_the_baseline_is_held_to_is_in_the_ratios() -> None:
    assert {"small.cpu: ampmap / nginx": 2.0} == figures.ratios([CPU])


def test_a_run_that_is_worse_is_measured_again_and_then_fails_and_says_what_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps({"ratios": {"small.cpu: ampmap / nginx": 1.0}}))
    monkeypatch.setattr(program, "BASELINE", baseline)
    monkeypatch.setattr(program, "measured", lambda options, names: ([CPU], []))

    assert 1 == program.check(Options(), figures.ratios([CPU]))
    assert "small.cpu: ampmap / nginx is 2.00, recorded is 1.00: +100%" in (said := capsys.readouterr().out)
    assert "make bench WORKS='small'" in said


def test_measures_survive_the_way_through_json() -> None:
    found = json.loads(json.dumps(report.document([CPU], {}, [])))

    assert [CPU] == report.restored(found)


def test_the_picture_is_well_formed_and_has_a_bar_for_every_subject() -> None:
    root = ET.fromstring(picture.picture([CPU], "a machine & <more>"))

    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"ampmap", "nginx", "small <requests>", "40.0"} <= set(texts)
    bars = [float(each.attrib["width"]) for each in root.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert bars[1] == pytest.approx(2 * bars[0])


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_conversations_name_one_model_where_they_should(place: bodies.Place) -> None:
    body = bodies.conversation("some-model", 100_000, place)

    assert "some-model" == json.loads(body)["model"]
    assert abs(len(body) - 100_000) < 30_000
    at = body.index(b'"model"') / len(body)
    assert {"first": at < 0.01, "middle": 0.2 < at < 0.8, "last": at > 0.99}[place]


def test_hostile_bodies_are_valid_and_name_the_model_last() -> None:
    for body in bodies.hostile("some-model", 5000).values():
        assert ("model", "some-model") == list(json.loads(body).items())[-1]


def test_a_chunked_reply_is_whole_with_its_last_chunk_and_not_before() -> None:
    reply = Reply()

    assert not reply.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Left: 0\r\n\r\n")
    assert not reply.feed(b"2\r\nab\r\n0\r\n")
    assert reply.feed(b"\r\n")


def test_a_short_run_goes_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = os.sched_getaffinity(0)

    assert 0 == program.main(["--works", "small", "--limit", "50", "--output", str(tmp_path)])

    assert before == os.sched_getaffinity(0)
    found = json.loads((tmp_path / "bench.json").read_text())
    assert found["measures"][0]["values"]["ampmap"][0] > 0
    assert "h11 alone" in capsys.readouterr().out
    assert (tmp_path / "bench.svg").read_text().startswith("<svg")


def test_an_unknown_work_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["--works", "tiny"])

    assert "no such work: tiny; there are small" in capsys.readouterr().err
    assert "small" in WORKS


def test_a_peer_that_nobody_knows_is_refused_with_those_that_are_known() -> None:
    assert "nobody is no peer that the bench knows; it knows mitmproxy, litellm" in peers.missing("nobody")

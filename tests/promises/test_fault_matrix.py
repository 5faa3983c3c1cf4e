"""The fault matrix: whichever side breaks, and when and how, clients, upstreams and records get what is promised."""

from __future__ import annotations

import ssl
import sys
from collections import Counter
from pathlib import Path

import kit
import pytest
import trustme
from faultfacts import expected
from faultmatrix import ALL, POSSIBLE, RULES, Cell, Fault, Kind, Leg, Point, Side, why_impossible
from faultpeers import act
from quickclock import on_both_quick_clocks
from samples import sampled
from servertls import server_tls


@pytest.fixture(scope="module")
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    return server_tls(authority.issue_cert("127.0.0.1"))


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the upstream's authority among those of the system; and let nothing wait for more than a quick day."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setattr(kit, "GUARD_S", 5_000.0)


@on_both_quick_clocks(debug=False)  # asyncio's debug mode would take half of the time here
@pytest.mark.usefixtures("trusted", "nothing_left")
@pytest.mark.sample
@pytest.mark.parametrize("cell", sampled(POSSIBLE, 1 / 12), ids=str)
async def test_what_was_promised_comes_of_it(cell: Cell, server_context: ssl.SSLContext) -> None:
    facts, amiss = await act(cell, server_context)

    assert expected(cell) == facts
    assert [] == amiss


# What is tried.


def test_every_cell_is_there_once_and_has_a_meaning_or_a_rule_against_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(Side) * len(Point) * len(Fault) * len(Kind) * len(Leg) == len(ALL) == len(set(ALL)) == 1000
    ruled_out = Counter(filter(None, map(why_impossible, ALL)))
    told = [f"{count:5} not: {reason}" for reason, count in ruled_out.items()]
    with capsys.disabled():
        sys.stdout.write("\n".join(("", f"fault matrix: {len(ALL)} cells, {len(POSSIBLE)} possible", *told, "")))

    assert set(RULES) == set(ruled_out)
    assert 719 == len(POSSIBLE) == len(ALL) - ruled_out.total()


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("point", Point)
def test_no_side_and_point_is_without_a_cell_but_by_a_rule(side: Side, point: Point) -> None:
    """A rule that is too wide would take out what nobody misses."""
    here = [cell for cell in POSSIBLE if (cell.side, cell.point) == (side, point)]

    assert bool(here) != (side is Side.CLIENT and point in (Point.BEFORE_CONNECT, Point.HANDSHAKE))
    if point not in (Point.BEFORE_CONNECT, Point.HANDSHAKE) and here:
        assert {(fault, kind) for fault in Fault for kind in Kind if kind is not Kind.UPGRADE} <= {
            (cell.fault, cell.kind) for cell in here
        }


def test_nothing_expected_is_asked_for_twice_or_kept_unclean() -> None:
    """The promises that hold for every cell, whatever else is expected of it."""
    for cell in POSSIBLE:
        facts = expected(cell)
        asked = [record for record in facts.records if record.attempts]

        assert (facts.requests or 0) <= 1
        assert len(asked) == sum(record.attempts for record in asked) <= 1
        assert not facts.pooled or facts.whole or facts.requests == 0
        assert [record.status for record in facts.records if record.status != 499] == [each for each, _ in facts.seen]

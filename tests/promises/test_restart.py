"""A new proxy takes over from the old one on the same socket, time after time under load, and nobody notices."""

from __future__ import annotations

from pathlib import Path

import pytest
from restarts import restart, shown
from samples import examples

RESTARTS = examples(20, 2)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # not in debug mode, which would spend this test's time on itself


@pytest.mark.sample
@pytest.mark.usefixtures("nothing_left")
async def test_no_reply_is_lost_or_cut_while_one_proxy_after_the_other_takes_over(tmp_path: Path) -> None:
    tally = await restart(RESTARTS, tmp_path)

    assert [] == tally.lost, shown(tally)
    assert RESTARTS == len(tally.takeover_s)
    assert 4 == len(tally.kinds), "streams and plain replies, on new connections and on kept ones"

"""A sample of a generated family is small but never empty, the same in each run, and all of it when asked for."""

from __future__ import annotations

import pytest
from samples import examples, sampled, seed, takes_all

CELLS = [f"cell {number}" for number in range(400)]


@pytest.mark.parametrize("count", [1, 2, 3, 50, 400])
@pytest.mark.parametrize("share", [0.0001, 0.1, 0.5])
def test_a_sample_is_never_empty(count: int, share: float) -> None:
    found = sampled(CELLS[:count], share, env={})

    assert max(1, share * count) <= len(found) < share * count + 1


def test_a_sample_is_the_same_in_each_run_and_in_order() -> None:
    found = sampled(CELLS, 0.1, env={})

    assert found == sampled(CELLS, 0.1, env={}) == sorted(found, key=CELLS.index)
    assert set(found) == set(sampled(reversed(CELLS), 0.1, env={}))


def test_another_seed_takes_others_and_seeds_together_take_all() -> None:
    assert sampled(CELLS, 0.1, env={}) != sampled(CELLS, 0.1, env={"AMPMAP_SEED": "2"})
    assert set(CELLS) == {
        cell for number in range(200) for cell in sampled(CELLS, 0.1, env={"AMPMAP_SEED": str(number)})
    }


def test_all_is_all() -> None:
    whole = {"AMPMAP_ALL": "1", "AMPMAP_SEED": "2"}

    assert CELLS == sampled(CELLS, 0.0001, env=whole)
    assert 2500 == examples(2500, env=whole) > examples(2500, env={}) > 0
    assert examples(7, env={}) == 7
    assert [takes_all({"AMPMAP_ALL": value}) for value in ("1", "0", "")] == [True, False, False]
    assert seed({"AMPMAP_SEED": ""}) == seed({})

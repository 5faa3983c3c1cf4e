"""``http.query``: parameters with each reading that servers may have of them."""

from __future__ import annotations

import pytest

from ampmap.http.query import parameters, query_values


@pytest.mark.parametrize("query", [None, ""])
def test_without_a_query_there_are_no_parameters(query: str | None) -> None:
    assert [] == parameters(query)


@pytest.mark.parametrize(
    ("raw", "name", "readings"),
    [
        ("a=b", "a", ("b",)),
        ("a", "a", ("",)),
        ("=b", "", ("b",)),
        ("a=b=c", "a", ("b=c",)),
        ("a=b+c", "a", ("b c", "b+c")),
        ("a=b%2Bc", "a", ("b+c",)),
        ("a%62=%63", "ab", ("c",)),
        ("a=%ff", "a", ("\ufffd",)),
        ("a=%zz", "a", ("%zz",)),
        ("a+b=c", "a+b", ("c",)),
    ],
)
def test_a_parameter_has_its_name_and_each_reading_of_its_value(raw: str, name: str, readings: tuple[str, ...]) -> None:
    (parameter,) = parameters(raw)

    assert (raw, name, readings) == (parameter.raw, parameter.name, parameter.readings)


def test_parameters_keep_their_order_and_their_empty_neighbours() -> None:
    assert ["a=1", "", "b=2", "a=3"] == [parameter.raw for parameter in parameters("a=1&&b=2&a=3")]


def test_the_values_of_one_name_come_in_order_with_a_plus_as_a_blank() -> None:
    assert ["1 2", "3"] == query_values("a=1+2&b=0&%61=3", "a")


def test_no_value_is_shown_by_repr() -> None:
    assert "secret" not in repr(parameters("key=secret"))

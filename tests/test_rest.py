"""Providers that rest, with a clock that is turned by hand."""

from __future__ import annotations

from ampmap.rest import FIRST_S, LONGEST_S, Rests


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_rest_grows_with_each_failure_up_to_a_limit() -> None:
    clock = Clock()
    rests = Rests(clock)

    def fail_again() -> float:
        clock.now += LONGEST_S
        return rests.failed("a", "refused", clock.now)

    assert [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] == [fail_again() for _ in range(8)]
    assert LONGEST_S == [fail_again() for _ in range(2000)][-1]


def test_one_request_tries_a_provider_whose_rest_is_over_while_the_others_pass_it_by() -> None:
    clock = Clock()
    rests = Rests(clock)
    rests.failed("a", "refused", clock.now)

    assert {"a"} == rests.names()
    clock.now += FIRST_S
    assert frozenset() == rests.names()
    rests.asked("a")
    assert {"a"} == rests.names()
    assert rests.reached("a")
    assert frozenset() == rests.names()
    assert not rests.reached("a")
    assert "" == rests.why("a")


def test_a_try_that_was_given_up_leaves_the_provider_to_the_next_request() -> None:
    clock = Clock()
    rests = Rests(clock)
    rests.failed("a", "refused", clock.now)
    clock.now += FIRST_S
    rests.asked("a")
    rests.gave_up("a")

    assert frozenset() == rests.names()
    assert "refused" == rests.why("a")


def test_a_try_that_fails_makes_the_rest_longer() -> None:
    clock = Clock()
    rests = Rests(clock)
    rests.failed("a", "refused", clock.now)
    clock.now += FIRST_S
    rests.asked("a")
    rests.failed("a", "refused", clock.now)
    clock.now += FIRST_S

    assert {"a"} == rests.names()


def test_providers_that_are_no_longer_configured_are_forgotten() -> None:
    clock = Clock()
    rests = Rests(clock)
    rests.failed("a", "refused", clock.now)
    rests.failed("b", "refused", clock.now)
    rests.keep_only(frozenset({"b", "c"}))
    rests.asked("a")
    rests.gave_up("a")

    assert {"b"} == rests.names()


def test_requests_that_were_on_their_way_together_count_as_one_failure() -> None:
    clock = Clock()
    rests = Rests(clock)
    began = [rests.asked("a") for _ in range(12)]
    clock.now += FIRST_S
    told = [rests.failed("a", "refused", time) for time in began]

    assert {1.0} == set(told)
    clock.now += FIRST_S
    assert 2.0 == rests.failed("a", "refused", rests.asked("a"))


def test_attempts_that_began_before_a_cooldown_do_not_escalate_it_when_they_fail_after_it() -> None:
    clock = Clock()
    rests = Rests(clock)
    began = [rests.asked("a") for _ in range(5)]
    clock.now += 10.0
    told = []
    for time in began:
        told.append(rests.failed("a", "no connection within 10 s", time))
        clock.now += 2 * FIRST_S

    assert [1.0, 0.0, 0.0, 0.0, 0.0] == told
    assert 2.0 == rests.failed("a", "refused", rests.asked("a"))

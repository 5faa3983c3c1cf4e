"""Cooldowns, with a clock that is turned by hand."""

from __future__ import annotations

from ampmap.routing.cooldown import FIRST_S, LIMITED_S, LONGEST_S, UNREACHABLE_S, Cooldowns


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def failing(clock: Clock, *names: str) -> Cooldowns:
    """Return cooldowns in which these providers have just failed once."""
    cooldowns = Cooldowns(clock)
    for name in names:
        cooldowns.failed(name, "refused", cooldowns.begin(name))
    return cooldowns


def test_a_cooldown_grows_with_each_failure_up_to_a_limit() -> None:
    clock = Clock()
    cooldowns = Cooldowns(clock)

    def fail_again() -> float:
        clock.now += LONGEST_S
        return cooldowns.failed("a", "refused", cooldowns.begin("a"))

    assert [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] == [fail_again() for _ in range(8)]
    assert LONGEST_S == [fail_again() for _ in range(2000)][-1]


def test_one_request_at_a_time_tries_a_provider_during_its_cooldown_and_after_it() -> None:
    for waited in (0.0, FIRST_S):
        clock = Clock()
        cooldowns = failing(clock, "a")
        assert ["a"] == list(cooldowns.current())
        clock.now += waited

        assert not cooldowns.on_trial("a")
        cooldowns.begin("a")
        assert cooldowns.on_trial("a")
        assert ["a"] == list(cooldowns.current())
        assert cooldowns.reached("a")
        assert {} == cooldowns.current()
        assert not cooldowns.reached("a")


def test_any_number_of_requests_ask_a_provider_that_is_up() -> None:
    cooldowns = Cooldowns(Clock())

    for _ in range(3):
        cooldowns.begin("a")
    assert not cooldowns.on_trial("a")


def test_a_try_that_was_given_up_leaves_the_provider_to_the_next_request() -> None:
    clock = Clock()
    cooldowns = failing(clock, "a")
    clock.now += FIRST_S
    cooldowns.gave_up("a", cooldowns.begin("a"))

    assert {} == cooldowns.current()
    assert not cooldowns.on_trial("a")


def test_a_request_that_began_before_the_cooldown_does_not_end_another_ones_try() -> None:
    clock = Clock()
    cooldowns = Cooldowns(clock)
    before, first = cooldowns.begin("a"), cooldowns.begin("a")
    clock.now += 1.0
    cooldowns.failed("a", "refused", first)
    clock.now += 1.0
    cooldowns.begin("a")
    cooldowns.gave_up("a", before)

    assert cooldowns.on_trial("a")


def test_a_try_that_fails_makes_the_cooldown_longer() -> None:
    clock = Clock()
    cooldowns = failing(clock, "a")
    clock.now += FIRST_S
    assert 2.0 == cooldowns.failed("a", "refused", cooldowns.begin("a"))
    clock.now += FIRST_S

    assert ["a"] == list(cooldowns.current())


def test_the_cooldown_that_ends_first_comes_first_with_its_reason_and_its_end() -> None:
    clock = Clock()
    cooldowns = Cooldowns(clock, lambda: 1_000_000.0 + clock.now)
    for name, why in (("a", "refused"), ("b", "no address"), ("a", "refused again")):
        cooldowns.failed(name, why, cooldowns.begin(name))
        clock.now += 0.25

    found = cooldowns.current()
    assert ["b", "a"] == list(found)
    assert ("refused again", 1_000_102.5) == (found["a"].why, found["a"].until)


def test_providers_that_are_no_longer_configured_are_forgotten() -> None:
    clock = Clock()
    cooldowns = failing(clock, "a", "b")
    cooldowns.limit("a", "m", None)
    cooldowns.limit("b", "m", None)
    cooldowns.keep_only(frozenset({"b", "c"}))
    cooldowns.gave_up("a", cooldowns.begin("a"))

    assert ["b"] == list(cooldowns.current())
    assert {("b", "m")} == cooldowns.limited()


def test_requests_that_were_on_their_way_together_count_as_one_failure() -> None:
    clock = Clock()
    cooldowns = Cooldowns(clock)
    began = [cooldowns.begin("a") for _ in range(12)]
    clock.now += FIRST_S
    told = [cooldowns.failed("a", "refused", time) for time in began]

    assert {1.0} == set(told)
    clock.now += FIRST_S
    assert 2.0 == cooldowns.failed("a", "refused", cooldowns.begin("a"))


def test_attempts_that_began_before_a_cooldown_do_not_escalate_it_when_they_fail_after_it() -> None:
    clock = Clock()
    cooldowns = Cooldowns(clock)
    began = [cooldowns.begin("a") for _ in range(5)]
    clock.now += 10.0
    told = []
    for time in began:
        told.append(cooldowns.failed("a", "no connection within 10 s", time))
        clock.now += 2 * FIRST_S

    assert [1.0, 0.0, 0.0, 0.0, 0.0] == told
    assert 2.0 == cooldowns.failed("a", "refused", cooldowns.begin("a"))


def test_a_provider_is_long_unreachable_by_its_first_failure() -> None:
    clock = Clock()
    cooldowns = failing(clock, "a")
    assert not cooldowns.long_unreachable("a")
    clock.now += UNREACHABLE_S
    cooldowns.failed("a", "refused", cooldowns.begin("a"))

    assert cooldowns.long_unreachable("a")
    assert not cooldowns.long_unreachable("b")
    cooldowns.reached("a")
    assert not cooldowns.long_unreachable("a")


def test_a_429_lasts_for_its_retry_after_within_a_bound() -> None:
    clock = Clock()
    cooldowns = Cooldowns(clock)
    for model, seconds in (("none", None), ("two", 2.0), ("hour", 3600.0), ("past", -1.0)):
        cooldowns.limit("a", model, seconds)

    assert {("a", "none"), ("a", "two"), ("a", "hour")} == cooldowns.limited()
    clock.now += 2.0
    assert {("a", "none"), ("a", "hour")} == cooldowns.limited()
    clock.now += LIMITED_S
    assert {("a", "hour")} == cooldowns.limited()
    clock.now += LONGEST_S
    assert frozenset() == cooldowns.limited()

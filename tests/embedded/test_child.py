"""The state machine of supervision, on a clock that the test moves."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proventrail.embedded.bounded_log import BoundedLog
from proventrail.embedded.child import Backoff, Child, ChildSpec, Family, State
from proventrail.embedded.errors import SupervisorError


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def spec(name: str, *after: str, **more) -> ChildSpec:
    return ChildSpec(name, ["true"], BoundedLog(Path("unused")), after=after, **more)


def names(children: list[Child]) -> list[str]:
    return [child.name for child in children]


def run(child: Child, clock: Clock, seconds: float) -> float:
    """One run of `seconds`; gives the back-off after it."""
    child.started(1)
    child.became_ready()
    clock.now += seconds
    child.exited("killed by SIGKILL")
    return child.not_before - clock.now


def test_backoff_doubles_to_its_longest_and_is_the_same_each_time(clock: Clock) -> None:
    child = Child(spec("a"), clock)
    assert [run(child, clock, 1) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert child.restarts == 8


def test_a_stable_run_starts_the_count_anew(clock: Clock) -> None:
    child = Child(spec("a"), clock)
    assert [run(child, clock, 1) for _ in range(6)][-1] == 16
    assert child.failing
    assert run(child, clock, 30) == 0.5
    assert not child.failing


def test_a_failing_child_is_reported_and_started_again_still(clock: Clock) -> None:
    family = Family([spec("a", backoff=Backoff(failing_after=3))], clock)
    (child,) = family.children
    for _ in range(50):
        run(child, clock, 0)
        assert family.startable() == []
        clock.now = child.not_before
        assert family.startable() == [child]
    assert child.status()["failing"] is True
    assert child.status()["last_exit"] == "killed by SIGKILL"


def test_a_start_that_fails_counts_as_an_exit(clock: Clock) -> None:
    child = Child(spec("a"), clock)
    child.exited("no Java")
    assert (child.state, child.not_before - clock.now) == (State.BACKOFF, 0.5)


@given(st.integers(1, 10**6))
def test_backoff_is_bounded_and_never_shrinks(exits: int) -> None:
    backoff = Backoff()
    assert backoff.first <= backoff.delay(exits) <= backoff.delay(exits + 1) <= backoff.longest


def test_children_start_when_what_they_need_has_been_ready(clock: Clock) -> None:
    family = Family([spec("gateway", "kafka", "store"), spec("kafka"), spec("store", "kafka")], clock)
    gateway, kafka, store = family.children
    assert names(family.startable()) == ["kafka"]
    kafka.started(1)
    assert family.startable() == []
    kafka.became_ready()
    assert names(family.startable()) == ["store"]
    store.started(2)
    store.became_ready()
    assert names(family.startable()) == ["gateway"]
    # A dependency that ends later holds nobody up: they wait for it themselves.
    kafka.exited("x")
    assert names(family.startable()) == ["gateway"]
    gateway.started(3)
    gateway.became_ready()
    assert not family.ready


def test_children_drain_in_reverse_each_after_those_that_need_it(clock: Clock) -> None:
    family = Family([spec("kafka"), spec("refine", "kafka"), spec("sink", "kafka", "refine")], clock)
    kafka, refine, sink = family.children
    for child in family.children:
        child.started(1)
    order = []
    while not family.finished:
        (child,) = family.stoppable()
        order.append(child.name)
        child.stop()
        assert family.stoppable() == []
        child.exited("exit code 0")
    assert order == ["sink", "refine", "kafka"]
    assert (kafka.state, refine.state, sink.state) == (State.STOPPED,) * 3


def test_a_child_that_does_not_run_is_stopped_at_once(clock: Clock) -> None:
    family = Family([spec("kafka"), spec("refine", "kafka")], clock)
    kafka, refine = family.children
    run(kafka, clock, 1)
    for child in (refine, kafka):
        child.stop()
    assert family.finished


def test_a_child_is_overdue_after_its_own_time(clock: Clock) -> None:
    child = Child(spec("a", stop_seconds=7), clock)
    child.started(1)
    child.stop()
    clock.now += 6.9
    assert not child.overdue
    clock.now += 0.1
    assert child.overdue
    child.exited("killed by SIGKILL")
    assert not child.overdue


def test_hurry_ends_the_draining(clock: Clock) -> None:
    child = Child(spec("a"), clock)
    child.started(1)
    child.stop()
    child.hurry()
    assert child.overdue


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([spec("a"), spec("a")], "two children have one name"),
        ([spec("a", "b")], "after b, which is no child"),
        ([spec("a", "b"), spec("b", "a")], "wait for each other"),
    ],
)
def test_descriptions_that_cannot_work_are_refused(specs: list[ChildSpec], message: str, clock: Clock) -> None:
    with pytest.raises(SupervisorError, match=message):
        Family(specs, clock)


def test_argv_may_be_made_for_each_start() -> None:
    counted = iter("12")
    child = ChildSpec("a", lambda: ["echo", next(counted)], BoundedLog(Path("unused")))
    assert [child.command(), child.command()] == [["echo", "1"], ["echo", "2"]]

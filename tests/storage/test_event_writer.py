"""The event writer: once by coordinates, once by event id, whatever is repeated or was left half-done."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proventrail.schemas import avro
from proventrail.storage.dialect import Dialect
from proventrail.storage.sink.events import EventWriter
from proventrail.storage.sink.progress import Pending
from proventrail.storage.sink.rows import event_columns
from proventrail.storage.sink.writer import SinkError, Written
from proventrail.storage.store import ClientStore

from .conftest import TOPIC_ID, chunk, chunk_of, dataset, refined

Rows = list[tuple[Any, ...]]


@pytest.fixture
def writer(store: ClientStore, dialect: Dialect) -> EventWriter:
    writer = EventWriter(store, dialect, 0)
    writer.open(None)
    return writer


def select(store: ClientStore, dialect: Dialect, what: str) -> Rows:
    return store.rows(f"SELECT {what}".replace("FROM ", f"FROM {dialect.database}."))


def test_what_lies_below_the_mark_is_dropped(store: ClientStore, dialect: Dialect, writer: EventWriter) -> None:
    events = [refined(i) for i in range(10)]
    assert writer.write(chunk(events), replay=False) == Written(events=10)
    # Refine crashed and repeats 5..9 before it goes on: other refined offsets, the same raw ones.
    again = [*events[5:], refined(10), refined(11)]
    assert writer.write(chunk(again, 10), replay=False) == Written(events=2, replayed=5)
    assert select(store, dialect, "count(), uniqExact(raw_offset) FROM events") == [(12, 12)]
    assert writer.marks() == {TOPIC_ID: 11}


def test_marks_and_window_come_back_from_the_store(store: ClientStore, dialect: Dialect, writer: EventWriter) -> None:
    writer.write(chunk([refined(0), refined(1)]), replay=False)
    next_one = EventWriter(store, dialect, 0)
    next_one.open(None)
    assert next_one.marks() == {TOPIC_ID: 1}
    twin = refined(2, event_id=refined(0)["event_id"])
    assert next_one.write(chunk([refined(1), twin], 2), replay=False) == Written(duplicates=1, replayed=1)


def test_a_second_delivery_is_recorded_beside_the_event(
    store: ClientStore, dialect: Dialect, writer: EventWriter
) -> None:
    first = refined(0)
    in_one_chunk = refined(2, event_id=first["event_id"])
    later = refined(3, event_id=first["event_id"].upper())
    writer.write(chunk([first, refined(1), in_one_chunk]), replay=False)
    assert writer.write(chunk([later], 3), replay=False) == Written(duplicates=1)
    assert select(store, dialect, "count() FROM events") == [(2,)]
    found = select(store, dialect, "raw_offset, first_offset FROM duplicate_deliveries ORDER BY 1")
    assert found == [(2, 0), (3, 0)]


def test_beyond_the_window_a_delivery_is_an_event_again(store: ClientStore, dialect: Dialect) -> None:
    writer = EventWriter(store, dialect, 0, window=10)
    writer.open(None)
    same = {"event_id": refined(0)["event_id"]}
    events = [refined(0), refined(10, **same), refined(21, **same)]
    assert writer.write(chunk(events), replay=False) == Written(events=2, duplicates=1)


def test_a_topic_made_again_counts_from_zero(store: ClientStore, dialect: Dialect, writer: EventWriter) -> None:
    other = "11111111-2222-4333-8444-666666666666"
    writer.write(chunk([refined(0), refined(1)]), replay=False)
    made_again = [refined(i, raw_topic_id=other, event_id=f"00000000-0000-4000-8000-00000000000{i}") for i in (0, 1)]
    assert writer.write(chunk([refined(2), *made_again], 2), replay=False) == Written(events=3)
    assert writer.marks() == {TOPIC_ID: 2, other: 1}


@pytest.mark.parametrize("stored", [0, 3, 10])
def test_an_interrupted_insert_is_completed(store: ClientStore, dialect: Dialect, stored: int) -> None:
    """Some rows are there and their views never ran: as after a kill between the insert and the views."""
    events = [refined(i, event_type="COMPLETE", outputs=[dataset(f"d{i}")], inputs=[dataset("in")]) for i in range(10)]
    feeds = [
        row[0]
        for row in store.rows(
            f"SELECT name FROM system.tables WHERE database = '{dialect.database}' AND engine = 'MaterializedView'"
        )
    ]
    for feed in feeds:
        store.command(f"DETACH TABLE {dialect.name(feed)}")
    if stored:
        values = [avro.encode("refined_event", event) for event in events[:stored]]
        from proventrail.schemas.columns import decode_batch

        store.insert(dialect.name("events"), event_columns(decode_batch("refined_event", values)[0]), "half")
    for feed in feeds:
        store.command(f"ATTACH TABLE {dialect.name(feed)}")
    writer = EventWriter(store, dialect, 0)
    writer.open(Pending(10, {}))
    writer.write(chunk(events), replay=True)
    assert select(store, dialect, "count(), uniqExact(raw_offset) FROM events") == [(10, 10)]
    assert select(store, dialect, "count() FROM runs WHERE state = 'COMPLETE'") == [(10,)]
    assert select(store, dialect, "count(), uniqExact(target_name) FROM lineage_edges") == [(10, 10)]


def test_a_repeated_insert_with_its_token_is_dropped(store: ClientStore, dialect: Dialect, writer: EventWriter) -> None:
    """A sink that lost its partition may end an insert that its successor has done: the token tells."""
    late = EventWriter(store, dialect, 0)
    late.open(None)
    events = [refined(i) for i in range(5)]
    writer.write(chunk(events), replay=False)
    late.write(chunk(events), replay=False)
    assert select(store, dialect, "count() FROM events") == [(5,)]


def test_undecodable_records_are_kept_as_dead_letters(
    store: ClientStore, dialect: Dialect, writer: EventWriter
) -> None:
    values = [avro.encode("refined_event", refined(0)), b"poison", avro.encode("refined_event", refined(1))]
    assert writer.write(chunk_of(values, 7), replay=False) == Written(events=2, dead_letters=1)
    found = select(store, dialect, "raw_topic, raw_offset, reason, value FROM dead_letters")
    assert found == [("lineage.refined", 8, "undecodable", "poison")]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"raw_partition": 3}, "raw partitions 3 to 3"),
        ({"event_id": "x"}, "not a UUID"),
        ({"raw_topic_id": "topic"}, "no UUID"),
    ],
)
def test_what_refine_cannot_have_written_stops_the_sink(
    writer: EventWriter, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(SinkError, match=message):
        writer.write(chunk([refined(0, **wrong)]), replay=False)


# -- order and repetition ----------------------------------------------------------------------------------------------

_TYPES = ["START", "RUNNING", "COMPLETE", "FAIL", "ABORT", "OTHER"]
_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(_TYPES), st.integers(0, 3), st.sets(st.sampled_from("abc")), st.sets(st.sampled_from("xy"))
    ),
    min_size=1,
    max_size=6,
)


def _write_all(store: ClientStore, dialect: Dialect, events: list[dict[str, Any]], cuts: random.Random) -> None:
    writer = EventWriter(store, dialect, 0)
    writer.open(None)
    at = 0
    while at < len(events):
        size = cuts.randint(1, len(events) - at)
        writer.write(chunk(events[at : at + size], at), replay=False)
        at += size


def _answers(store: ClientStore, dialect: Dialect) -> list[Rows]:
    return [
        select(store, dialect, "* FROM runs ORDER BY ALL"),
        select(store, dialect, "* FROM lineage_edges ORDER BY ALL"),
        select(store, dialect, "* FROM lineage_edges_by_target ORDER BY ALL"),
        select(store, dialect, "* FROM dataset_versions ORDER BY ALL"),
        select(store, dialect, "* FROM job_edges FINAL ORDER BY ALL"),
    ]


@settings(max_examples=12, deadline=None)
@given(_EVENTS, st.randoms(use_true_random=False))
def test_answers_are_a_function_of_the_set_of_events(
    store: ClientStore, events: list[tuple[str, int, set[str], set[str]]], shuffle: random.Random
) -> None:
    """Any order, any cutting into chunks and any repetition give the same runs, edges and versions."""
    told = [
        {
            "event_type": kind,
            "event_time": 1_700_000_000_000_000 + second * 1_000_000,
            "run_id": "r",
            "inputs": [dataset(name) for name in sorted(inputs)],
            "outputs": [dataset(name, version="v1" if name == "x" else "") for name in sorted(outputs)],
        }
        for kind, second, inputs, outputs in events
    ]
    answers = []
    for repeat in range(2):
        order = told + (told[: len(told) // 2] if repeat else [])
        if repeat:
            shuffle.shuffle(order)
        from proventrail.storage.migrations import migrate

        dialect = Dialect(database=f"p_{random.getrandbits(64):x}")
        migrate(store, dialect)
        _write_all(store, dialect, [refined(i, **fields) for i, fields in enumerate(order)], shuffle)
        answers.append(_answers(store, dialect))
        store.command(f"DROP DATABASE {dialect.database}")
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (["START"], "RUNNING"),
        (["START", "RUNNING"], "RUNNING"),
        (["OTHER"], "UNKNOWN"),
        (["COMPLETE", "START"], "COMPLETE"),
        (["FAIL", "RUNNING", "START"], "FAIL"),
        (["COMPLETE", "ABORT"], "ABORT"),
    ],
)
def test_a_late_start_reopens_nothing(
    store: ClientStore, dialect: Dialect, writer: EventWriter, told: list[str], state: str
) -> None:
    for i, kind in enumerate(told):
        writer.write(chunk([refined(i, event_type=kind, run_id="r")], i), replay=False)
    assert select(store, dialect, "state, isNull(ended_at) FROM runs") == [(state, state in ("RUNNING", "UNKNOWN"))]


def test_inputs_of_the_start_join_outputs_of_the_end(store: ClientStore, dialect: Dialect, writer: EventWriter) -> None:
    writer.write(chunk([refined(0, run_id="r", inputs=[dataset("in")])]), replay=False)
    writer.write(chunk([refined(1, run_id="r", event_type="COMPLETE", outputs=[dataset("out")])], 1), replay=False)
    assert select(store, dialect, "source_name, target_name, run_id FROM lineage_edges") == [("in", "out", "r")]


def test_a_job_event_has_edges_without_a_run(store: ClientStore, dialect: Dialect, writer: EventWriter) -> None:
    static = {"event_kind": "JOB", "event_type": "", "run_id": "", "inputs": [dataset("a")], "outputs": [dataset("b")]}
    writer.write(chunk([refined(0, **static)]), replay=False)
    assert select(store, dialect, "source_name, target_name, run_id FROM lineage_edges") == [("a", "b", "")]
    assert select(store, dialect, "count() FROM runs") == [(0,)]

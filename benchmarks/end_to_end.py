"""End to end, all processes on this machine: sustained rate, CPU by process, peak memory, bytes per event on disk."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.processes import per_event
from benchmarks.report import Options, Row
from benchmarks.sender import Sender
from benchmarks.whole import STAGES, whole
from benchmarks.workloads import Kind

_GOALS: dict[Kind, tuple[int, int, int]] = {"compact": (60_000, 400_000, 100_000), "recorded": (10_000, 60_000, 15_000)}
_BASELINES = {"compact": "baseline/Python loop, compact", "recorded": "baseline/Python loop, recorded"}


def run(options: Options) -> Iterator[Row]:
    """Rate = events / (first one sent until last one queryable); the sender's CPU time is shown apart."""
    for kind in options.kinds:
        goal, full, quick = _GOALS[kind]
        yield from _of_kind(options, kind, options.count(full, quick), goal)


def _of_kind(options: Options, kind: Kind, events: int, goal: int) -> Iterator[Row]:
    rates: list[float] = []
    costs: list[float] = []
    with whole(options.scratch / f"end-to-end-{kind}") as pipeline:
        before = pipeline.warm_up(kind, min(events, 2_000))
        for n in range(options.runs):
            sender = Sender(pipeline.servers, kind, events, seed=n)
            meter = pipeline.meter()
            sender.go()
            sent = sender.done()
            before += events
            rates.append(events / (pipeline.wait_stored(before) - sent.started))
            pipeline.drain()
            used = meter.used()
            costs.append(sum(used.values()) * 1e6 / events)
        note = f"{per_event(used, events)}; sender {sent.cpu_seconds * 1e6 / events:.1f}"
        case = f"{kind}, {sender.mean_bytes:.0f} bytes"
        cost = sorted(costs)[len(costs) // 2]
        yield Row("end to end", case, "events/s", tuple(rates), cost, f"≥ {goal}", _BASELINES[kind], note)
        yield Row("end to end", f"{kind}, per second of CPU", "events/s", (1e6 / cost,), note="of one core")
        peaks = pipeline.peaks()
        for stage in STAGES:
            yield Row("memory", f"{stage}, {kind}", "MB", (peaks[stage],), goal="≤ 600", note="VmHWM")

"""Runs: START when they begin, COMPLETE or FAIL when they end, and what was read and written in between."""

from __future__ import annotations

import contextvars
import functools
import inspect
import time
import traceback
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, TypeVar

from proventrail.producers.identity import uuid7
from proventrail.schemas.openlineage import dumps

Job = tuple[str, str]
"""Namespace and name."""

F = TypeVar("F", bound=Callable[..., Any])

_PRODUCER = "https://github.com/proventrail/proventrail"
_FACETS = "https://openlineage.io/spec/facets"
_current: contextvars.ContextVar[Run | None] = contextvars.ContextVar("proventrail_run", default=None)


def facet(schema: str, content: dict[str, Any]) -> str:
    """A facet of OpenLineage's as JSON text; `schema` is `VERSION/NAME`."""
    name = schema.partition("/")[2]
    head = {"_producer": _PRODUCER, "_schemaURL": f"{_FACETS}/{schema}.json#/$defs/{name}"}
    return dumps({**head, **content})


class Dataset:
    """A dataset that a run reads or writes; facets by name, as JSON objects."""

    def __init__(
        self, namespace: str, name: str, *, version: str | None = None, facets: dict[str, Any] | None = None
    ) -> None:
        self.namespace, self.name, self.version = namespace, name, version
        self._facets = {key: dumps(value) for key, value in (facets or {}).items()}
        self._io_facets: dict[str, str] = {}

    def add_facet(self, name: str, content: dict[str, Any]) -> Dataset:
        """Add a dataset facet; gives the dataset itself."""
        self._facets[name] = dumps(content)
        return self

    def set_row_count(self, rows: int, size: int | None = None) -> Dataset:
        """Rows (and bytes) written, as the outputStatistics facet."""
        content = {"rowCount": rows, **({"size": size} if size is not None else {})}
        self._io_facets["outputStatistics"] = facet("1-0-2/OutputStatisticsOutputDatasetFacet", content)
        return self

    def to_record(self) -> dict[str, Any]:
        """The dataset as the event schema has it."""
        return {
            "namespace": self.namespace,
            "name": self.name,
            "version": self.version,
            "facets": dict(self._facets) or None,
            "io_facets": dict(self._io_facets) or None,
        }


def _dataset(given: Dataset | tuple[str, str]) -> Dataset:
    return given if isinstance(given, Dataset) else Dataset(*given)


class Run:
    """One run of a job. As a context manager it starts, and completes or fails; exceptions go on unchanged."""

    def __init__(
        self,
        emitter: RunApi,
        job: Job,
        inputs: Iterable[Dataset | tuple[str, str]] = (),
        outputs: Iterable[Dataset | tuple[str, str]] = (),
        *,
        run_id: str | None = None,
        parent: Run | None = None,
        facets: dict[str, Any] | None = None,
        job_facets: dict[str, Any] | None = None,
        processing_type: str = "BATCH",
        nominal_start: int | None = None,
        nominal_end: int | None = None,
    ) -> None:
        self._emitter = emitter
        self.job = job
        self.run_id = run_id or uuid7()
        self.parent = parent
        self.inputs = [_dataset(item) for item in inputs]
        self.outputs = [_dataset(item) for item in outputs]
        self._facets = {key: dumps(value) for key, value in (facets or {}).items()}
        self._job_facets = {key: dumps(value) for key, value in (job_facets or {}).items()}
        self._edges: list[dict[str, Any]] = []
        self._processing_type = processing_type
        self._nominal = (nominal_start, nominal_end)
        self._token: contextvars.Token[Run | None] | None = None

    @property
    def root(self) -> Run:
        """The outermost run around this one; itself if there is none."""
        return self.parent.root if self.parent else self

    # -- what happens on the way ---------------------------------------------------------------------------------------

    def add_input(self, namespace: str, name: str, **options: Any) -> Dataset:
        """Add a dataset that the run reads; `options` are those of Dataset."""
        self.inputs.append(Dataset(namespace, name, **options))
        return self.inputs[-1]

    def add_output(self, namespace: str, name: str, **options: Any) -> Dataset:
        """Add a dataset that the run writes; `options` are those of Dataset."""
        self.outputs.append(Dataset(namespace, name, **options))
        return self.outputs[-1]

    def set_row_count(self, rows: int, output: int = -1) -> None:
        """Rows written to an output, the last one by default."""
        if self.outputs:
            self.outputs[output].set_row_count(rows)

    def add_facet(self, name: str, content: dict[str, Any]) -> None:
        """Add a run facet to the events that follow."""
        self._facets[name] = dumps(content)

    def add_column_lineage(
        self,
        output_field: str,
        source: Dataset,
        input_field: str,
        *,
        output: int = -1,
        transformation: str | None = None,
    ) -> None:
        """Say that a column of an output is made from a column of `source`."""
        self._edges.append(
            {
                "output": output % max(1, len(self.outputs)),
                "output_field": output_field,
                "input_namespace": source.namespace,
                "input_name": source.name,
                "input_field": input_field,
                "transformation": transformation,
            }
        )

    # -- events --------------------------------------------------------------------------------------------------------

    def _parent_record(self) -> dict[str, Any] | None:
        if self.parent is None:
            return None
        root = self.root
        return {
            "run_id": self.parent.run_id,
            "job_namespace": self.parent.job[0],
            "job_name": self.parent.job[1],
            "root_run_id": root.run_id,
            "root_job_namespace": root.job[0],
            "root_job_name": root.job[1],
        }

    def _emit(self, event_type: str, facets: dict[str, str] | None = None) -> str | None:
        return self._emitter.emit(
            {
                "source": self._emitter.source,
                "time": time.time_ns() // 1000,
                "kind": "RUN",
                "type": event_type,
                "run": {"id": self.run_id, "facets": {**self._facets, **(facets or {})} or None},
                "parent": self._parent_record(),
                "nominal_start": self._nominal[0],
                "nominal_end": self._nominal[1],
                "processing_type": self._processing_type,
                "job": {"namespace": self.job[0], "name": self.job[1], "facets": self._job_facets or None},
                "inputs": [item.to_record() for item in self.inputs],
                "outputs": [item.to_record() for item in self.outputs],
                "column_lineage": self._edges,
            }
        )

    def start(self) -> Run:
        """Emit START."""
        self._emit("START")
        return self

    def running(self) -> None:
        """Emit RUNNING, with what was added so far."""
        self._emit("RUNNING")

    def complete(self) -> None:
        """Emit COMPLETE."""
        self._emit("COMPLETE")

    def abort(self) -> None:
        """Emit ABORT: the run was ended from outside."""
        self._emit("ABORT")

    def fail(self, error: BaseException | str | None = None) -> None:
        """End the run as failed; an exception becomes the errorMessage facet with its stack trace."""
        content = {"message": str(error) if error is not None else "failed", "programmingLanguage": "Python"}
        if isinstance(error, BaseException):
            content["message"] = f"{type(error).__name__}: {error}"
            content["stackTrace"] = "".join(traceback.format_exception(error))
        self._emit("FAIL", {"errorMessage": facet("1-0-1/ErrorMessageRunFacet", content)})

    def __enter__(self) -> Run:
        if self.parent is None:
            self.parent = _current.get()
        self._token = _current.set(self)
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._token is not None:
            _current.reset(self._token)
        if error is None:
            self.complete()
        else:
            self.fail(error)


class RunApi:
    """The part of the emitter that tells of runs."""

    source: str

    def emit(self, event: dict[str, Any]) -> str | None:
        """Send one event; its id, or None where it was refused."""
        raise NotImplementedError

    def run(
        self,
        job: Job,
        inputs: Iterable[Dataset | tuple[str, str]] = (),
        outputs: Iterable[Dataset | tuple[str, str]] = (),
        **options: Any,
    ) -> Run:
        """A run of `job`, for `with`. A run inside another one names it as its parent."""
        return Run(self, job, inputs, outputs, **options)

    def start(self, job: Job, **options: Any) -> Run:
        """Begin a run that is ended by hand: `complete`, `fail` or `abort` of what comes back."""
        return Run(self, job, parent=options.pop("parent", None) or _current.get(), **options).start()

    def complete(self, run: Run) -> None:
        """Emit COMPLETE for a run that `start` gave."""
        run.complete()

    def fail(self, run: Run, error: BaseException | str | None = None) -> None:
        """Emit FAIL for a run that `start` gave, with the error facet."""
        run.fail(error)

    def traced(
        self,
        job: Job | None = None,
        inputs: Iterable[Dataset | tuple[str, str]] = (),
        outputs: Iterable[Dataset | tuple[str, str]] = (),
        **options: Any,
    ) -> Callable[[F], F]:
        """Decorator: each call of the function, a coroutine function too, is a run of `job` (default: module, name)."""
        reads, writes = list(inputs), list(outputs)

        def decorate(function: F) -> F:
            named = job or (function.__module__, function.__qualname__)

            @functools.wraps(function)
            def call(*args: Any, **kwargs: Any) -> Any:
                with self.run(named, reads, writes, **options):
                    return function(*args, **kwargs)

            @functools.wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                with self.run(named, reads, writes, **options):
                    return await function(*args, **kwargs)

            return call_async if inspect.iscoroutinefunction(function) else call  # type: ignore[return-value]

        return decorate


def current_run() -> Run | None:
    """The innermost run of this thread or task."""
    return _current.get()

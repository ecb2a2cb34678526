"""Where tasks run: here, in processes of this machine, or on the workers of Ray."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from typing import Any, Literal, get_args

from losscope.diagnosis.packing import called, packed
from losscope.errors import InvalidInput, UnknownName
from losscope.tasks import Run, in_turn, without_script

On = Literal["local", "ray"]
AHEAD = 2
"""Tasks handed out for each process, so that none waits and few arguments are held."""
PLACED = 256
"""Tasks placed on Ray at a time."""


def check_engine(on: str | None, jobs: int | None) -> None:
    """Raises UnknownName or InvalidInput for what `engine` does not know, before any work."""
    if on is not None and on not in get_args(On):
        raise UnknownName.of("engine", on, get_args(On))
    if jobs is not None and jobs < 1:
        raise InvalidInput(f"jobs = {jobs}; expected at least one")


@contextmanager
def engine(on: On | None, *, jobs: int | None = None, address: str | None = None) -> Iterator[Run]:
    """What runs tasks: None in this process; "local" in `jobs` processes with one thread each; "ray" on Ray, at
    `address` or in a session of its own with `jobs` workers. Raises UnknownName, InvalidInput, MissingDependency.
    """
    check_engine(on, jobs)
    workers = jobs or os.cpu_count() or 1
    if on is None or (on == "local" and workers == 1):
        yield in_turn
    elif on == "local":
        yield from _processes(workers)
    else:
        from losscope.integrations import ray

        with ray.session(address, cpus=workers):
            yield lambda function, arguments: _in_batches(ray.tasks, function, arguments)


def _in_batches(
    run: Run, function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]
) -> Iterator[tuple[int, Any]]:  # fmt: skip
    """Ray holds the arguments of all tasks that were placed: so many at a time."""
    rest, first = iter(arguments), 0
    while batch := list(islice(rest, PLACED)):
        yield from ((first + place, result) for place, result in run(function, batch))
        first += len(batch)


def _processes(workers: int) -> Iterator[Run]:
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes, which read it when they start
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield lambda function, arguments: _spread(pool, workers, function, arguments)
    finally:
        if before is None:
            os.environ.pop("OMP_NUM_THREADS")
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _spread(
    pool: ProcessPoolExecutor, workers: int, function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]
) -> Iterator[tuple[int, Any]]:
    waiting: dict[Future[Any], int] = {}
    for place, given in enumerate(arguments):
        if len(waiting) >= AHEAD * workers:
            yield from _ended(waiting)
        with without_script():  # a process starts when there is work for it
            waiting[pool.submit(called, function, packed(given))] = place
    while waiting:
        yield from _ended(waiting)


def _ended(waiting: dict[Future[Any], int]) -> Iterator[tuple[int, Any]]:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for one in done:
        try:
            yield waiting.pop(one), pickle.loads(one.result())
        except BrokenProcessPool:
            raise InvalidInput(
                "a worker process was ended from outside, most often for want of memory; use fewer --jobs"
            ) from None

"""Functions over the workers of Ray: a session, and tasks in it. The only file that imports ray.

A session of our own runs on this machine alone: all its servers listen on 127.0.0.1 and ask for a token that lives in
the environment of its processes, so that nothing is written to the home folder; no usage statistics, no dashboard, a
bounded object store, and a temporary folder that goes with it. With an address it is the user's own cluster, whose
settings are theirs. Starting Ray takes about ten seconds: use it for what takes minutes.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from losscope.errors import InvalidInput, LosscopeError, MissingDependency
from losscope.files.lock import take, take_surely

OBJECT_STORE = 128 * 2**20
"""Bytes of shared memory that a session of our own may take: arguments and results are small, data come from files."""

OOM_RETRIES = 3
"""How often a task that was ended for lack of memory is placed again; Ray's own default is without end."""

ONE_THREAD = {"OMP_NUM_THREADS": "1"}
FOLDER, LOCK = "losscope-ray-", "lock"
LONGEST_FOLDER = 18
"""Characters of a temporary folder that leave room for the names of Ray's sockets, which have 104 in all on a Mac."""


_fixed = False
"""Whether the session is of our own: no machine joins it."""


class WorkerLost(LosscopeError, RuntimeError):
    """A worker of Ray died at a task, and at every retry of it."""


@contextmanager
def session(address: str | None = None, *, cpus: int = 1, memory: int = OBJECT_STORE) -> Iterator[None]:
    """Ray with `cpus` workers and an object store of `memory` bytes on this machine, shut down when the block ends
    however it ends; or a connection to the cluster at `address` ("auto", "host:port", "ray://host:port").

    A script that has called `ray.init` itself stays in that session. Raises MissingDependency without Ray, InvalidInput
    if there is no cluster at the address.
    """
    ray = _ray()
    if ray.is_initialized():
        if address is not None:
            raise InvalidInput(
                f"Ray is already in use in this process, so it can't connect to {address}; call ray.shutdown() before, "
                "or leave the address out to stay in that session"
            )
        yield
        return
    started = _connected(address) if address is not None else _started(cpus, memory)
    with started:
        yield


def check(address: str | None = None) -> None:
    """Raise what `session` would raise, without starting anything: MissingDependency, or InvalidInput where nothing
    listens at a cluster's address. Ray itself tries for a minute, and then ends the process."""
    _ray()
    if address is None or address == "auto":
        return
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise _nobody(address, error) from None


def tasks(
    function: Callable[..., Any],
    arguments: Iterable[tuple[Any, ...]],
    *,
    cpus: float = 1.0,
    gpus: float = 0.0,
    retries: int = 3,
    lost: Callable[[int, str], Any] | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> Iterator[tuple[int, Any]]:
    """`(index, function(*arguments[index]))` of each task as it ends, in the order of ending.

    A task takes `cpus` and `gpus` (fractions too) of one machine. One whose worker died is placed again, up to `retries`
    times; then `lost(index, reason)` stands for its result, or without it WorkerLost is raised. What a task raises is
    raised here, and ends the others, as does leaving the loop. `meanwhile` is called about once a second.

    Raises InvalidInput for tasks that no machine of a session of our own can take. On a cluster, which may grow, that
    is a warning.
    """
    ray = _ray()
    _check_room(cpus, gpus)
    placed = ray.remote(function).options(num_cpus=cpus, num_gpus=gpus, max_retries=retries)
    pending = {placed.remote(*given): index for index, given in enumerate(arguments)}
    try:
        while pending:
            ended, _ = ray.wait(list(pending), timeout=1.0)
            for reference in ended:
                index = pending.pop(reference)
                try:
                    result = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise (error.cause if isinstance(error.cause, LosscopeError) else error) from None
                except ray.exceptions.RayError as error:
                    reason = f"the worker of Ray was lost, and so was every retry: {_first_line(error)}"
                    if lost is None:
                        raise WorkerLost(f"task {index}: {reason}") from None
                    result = lost(index, reason)
                yield index, result
            if meanwhile is not None:
                meanwhile()
    finally:
        for reference in pending:
            ray.cancel(reference, force=True)


def _check_room(cpus: float, gpus: float) -> None:
    """Say so where no machine could ever take a task: Ray would wait for one without a word."""
    wanted = {"CPU": cpus, "GPU": gpus}
    machines = [machine["Resources"] for machine in _ray().nodes() if machine["Alive"]]
    if any(all(machine.get(name, 0) >= number for name, number in wanted.items()) for machine in machines):
        return
    has = "; ".join(" and ".join(f"{machine.get(name, 0):g} {name}s" for name in wanted) for machine in machines)
    told = (
        f"a task takes {cpus:g} CPUs and {gpus:g} GPUs, and no machine of this session of Ray has them (there: {has})"
    )
    if _fixed:
        raise InvalidInput(
            f"{told}; ask for less (--cpus-per-cell, --gpus-per-cell), or connect to a cluster that has them"
        )
    warnings.warn(f"{told}; waiting for one to join the cluster", stacklevel=3)


@contextmanager
def _started(cpus: int, memory: int) -> Iterator[None]:
    """A session on this machine."""
    ray = _ray()
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_task_oom_retries": str(OOM_RETRIES),
        **ONE_THREAD,
    }
    with _own_folder() as own, _environment(settings), _silent():
        folder = str(own / "r")  # which Ray opens to everybody
        try:
            with _on_loopback():
                ray.init(
                    "local",
                    num_cpus=cpus,
                    object_store_memory=memory,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level="ERROR",
                    _temp_dir=folder,
                    _plasma_directory=None if _shared_memory() > memory else folder,  # unasked, Ray would warn
                )
            with _replaced(__name__, "_fixed", True):
                yield
        finally:
            ray.shutdown(wait_for_processes=True)


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """A session on somebody's cluster; leaving it ends its tasks, not the cluster."""
    ray = _ray()
    check(address)
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR", runtime_env={"env_vars": ONE_THREAD})
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _nobody(address, error) from None
    try:
        with _silent():
            yield
    finally:
        ray.shutdown()


def _nobody(address: str, error: Exception) -> InvalidInput:
    return InvalidInput(
        f"no cluster of Ray answers at {address} ({_first_line(error)}); expected 'auto' on a machine of the cluster, "
        "'host:port', or 'ray://host:port'"
    )


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingDependency.of("ray", "ray", "running on Ray") from None
    return ray


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Settings for Ray in this process and in those that start in the block, then those from before."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    _read_environment()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _read_environment()


def _read_environment() -> None:
    """Let Ray see the environment as it is now: it has read it when it was imported."""
    compiled = import_module("ray._raylet")
    compiled.Config.initialize("")
    compiled.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _replaced(module: str, name: str, value: object) -> Iterator[None]:
    """A variable of one of Ray's modules, with another value while the block runs."""
    found = import_module(module)
    before = getattr(found, name)
    setattr(found, name, value)
    try:
        yield
    finally:
        setattr(found, name, before)


def _on_loopback() -> AbstractContextManager[None]:
    """Let Ray take 127.0.0.1 for this machine's address, as it does on systems without clusters. Its own setting for the
    address, `_node_ip_address`, is replaced by an address that other machines reach."""
    return _replaced("ray._private.ray_constants", "ENABLE_RAY_CLUSTER", False)


def _silent() -> AbstractContextManager[None]:
    """Keep off stdout what Ray says there of lost workers, also with `log_to_driver=False`: that may be a document."""
    return _replaced("ray._private.worker", "_worker_logs_enabled", False)


@contextmanager
def _own_folder() -> Iterator[Path]:
    """A temporary folder that only this user may enter, and that goes with the block. One that a killed process has left
    goes with the next."""
    usual = tempfile.gettempdir()
    place = Path(usual if len(usual) <= LONGEST_FOLDER else "/tmp")
    for left in place.glob(f"{FOLDER}*/{LOCK}"):
        with suppress(OSError), left.open("a") as file:
            if take_surely(file, wait=False):  # without locks nobody knows whose it is
                shutil.rmtree(left.parent, ignore_errors=True)
    own = Path(tempfile.mkdtemp(prefix=FOLDER, dir=place))
    try:
        with (own / "new").open("w") as file:
            take(file)
            (own / "new").rename(own / LOCK)  # seen by others only when it is ours
            yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _shared_memory() -> int:
    """Free bytes of /dev/shm; many where there is none, since Ray then uses its own folder."""
    return shutil.disk_usage("/dev/shm").free if os.path.isdir("/dev/shm") else 2**62


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)

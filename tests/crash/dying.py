"""A tiny study in forked processes that die, or can't write, at one boundary of `losscope.files.disk`.

Run as a program: `python dying.py dying|failing FOLDER FIRST STEP` takes every STEP-th boundary from FIRST on,
`python dying.py killed FOLDER KILLS SEED` kills at random; either prints one JSON document. It is a process of its own because
forking is safe only from a process that has no threads: this one imports torch and never computes.
"""

from __future__ import annotations

import errno
import gc
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet  # imported before forking
import torch

import losscope
from losscope.errors import LosscopeError
from losscope.files import disk
from losscope.study import Study, parse
from losscope.sweep import drive
from losscope.table import damage_in, read_map, read_measurements, read_queries, read_runs
from losscope.training import measure
from losscope.training.environment import environment
from losscope.training.run import Place

CALLS = ("create", "write", "sync", "rename", "mkdir", "unlink", "cut")
DIED = 77

STUDY: dict[str, Any] = {
    "name": "tiny",
    "seeds": 2,
    "data": [{"name": "synthetic", "classes": 3, "samples_per_class": 5, "dim": 4, "outliers": 2}],
    "protocol": [{"name": "p", "model": {"widths": [4]}, "epochs": 2, "batch": {"terms": 8}, "evaluate_at": [1]}],
    "loss": [{"name": "contrastive"}],
}


def study() -> Study:
    return parse(STUDY)


def study_file(folder: Path, losses: Sequence[Mapping[str, str]] = STUDY["loss"]) -> Path:
    """The same study as a file, with other `losses` if they are given."""
    (data,), path = STUDY["data"], folder / "tiny.toml"
    path.write_text(
        "\n".join(
            [
                'name = "tiny"',
                "seeds = 2",
                "[[data]]",
                *(f"{key} = {json.dumps(value)}" for key, value in data.items()),
                '[[protocol]]\nname = "p"\nepochs = 2\nevaluate_at = [1]',
                'model = { name = "mlp", widths = [4] }\nbatch = { terms = 8 }',
                *(f'[[loss]]\nname = "{loss["name"]}"' for loss in losses),
            ]
        )
    )
    return path


def checkpointing_each_epoch(make_place: Callable[..., Place]) -> Callable[..., Place]:
    return lambda *given, **named: replace(make_place(*given, **named), checkpoint_seconds=0)


def contents(folder: Path) -> str:
    """A digest of every row and record of a folder, bit for bit, but for the seconds."""
    digest = hashlib.sha256()
    steps = read_measurements(folder, steps=True)
    for table in (read_measurements(folder), steps, read_queries(folder), read_map(folder)):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table.combine_chunks())
        digest.update(sink.getvalue())
    for record in read_runs(folder):
        digest.update(repr(replace(record, seconds=0, cpu_seconds=0)).encode())
    return digest.hexdigest()


# Boundaries ----------------------------------------------------------------------------------------------------


@dataclass
class Boundaries:
    """Counts the calls that reach the disk and does something to one of them."""

    at: int = -1
    act: Callable[[str, Callable[..., Any], tuple[Any, ...]], Any] = lambda name, call, given: call(*given)
    stays: bool = False  # also at all later calls
    seen: list[str] = field(default_factory=list)

    def install(self) -> None:
        for name in CALLS:
            setattr(disk, name, self._wrapped(name, getattr(disk, name)))

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any) -> Any:
            number = len(self.seen)
            self.seen.append(f"{name} {given[0].name if isinstance(given[0], Path) else ''}".strip())
            if number == self.at or (self.stays and 0 <= self.at < number):
                return self.act(name, call, given)
            return call(*given)

        return wrapped


def dies(name: str, call: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    os._exit(DIED)


def dies_halfway(name: str, call: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    if name == "write":
        descriptor, data = given
        call(descriptor, data[: len(data) // 2])
    else:
        call(*given)
    os._exit(DIED)


def is_full(name: str, call: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    """No space for anything new; what is there can be removed and cut."""
    if name in ("unlink", "cut"):
        return call(*given)
    if name == "write" and len(given[1]) > 1:  # what still fits is written
        call(given[0], given[1][: len(given[1]) // 2])
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def is_read_only(name: str, call: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(given[0]))


# Processes -----------------------------------------------------------------------------------------------------


def fork(work: Callable[[], Any], answer: Path) -> int:
    """Start a process that does some work and leaves what it returns in `answer`."""
    child = os.fork()
    if child:
        return child
    try:
        answer.write_text(json.dumps(work()))
        code = 0
    except BaseException:
        answer.write_text(json.dumps(traceback.format_exc()))
        code = 1
    os._exit(code)


def forked(work: Callable[[], Any], answer: Path) -> tuple[int, Any]:
    """Exit code (negative: the signal) of a forked process, and what it left; None where it died."""
    answer.unlink(missing_ok=True)
    _, status = os.waitpid(fork(work, answer), 0)
    return os.waitstatus_to_exitcode(status), json.loads(answer.read_text()) if answer.is_file() else None


def train(folder: Path) -> list[str]:
    """Train what is missing; how the runs of this call ended."""
    return [record.status for record in losscope.run(study(), folder, jobs=1).records]


def resume(folder: Path) -> str:
    """What a process that died left is no damage; go on, and read everything."""
    if found := damage_in(folder):
        raise AssertionError(found)
    return train_and_read(folder)


def train_and_read(folder: Path) -> str:
    if "failed" in train(folder):
        raise AssertionError([record.error for record in read_runs(folder)])
    if left := [
        path for name in ("*.jsonl", "checkpoint.*", "queries-*", ".*") for path in folder.glob(f"groups/*/{name}")
    ]:
        raise AssertionError(left)
    if found := damage_in(folder):
        raise AssertionError(found)
    return contents(folder)


def seen_boundaries(folder: Path) -> tuple[list[str], list[str]]:
    """The calls of a study from beginning to end, and what it has imported."""
    counting = Boundaries()
    counting.install()
    train(folder)
    contents(folder)
    return counting.seen, sorted(sys.modules)


def finished(folder: Path) -> dict[str, int]:
    """The groups that have ended, by the identity of the file that says so."""
    return {path.parent.name: path.stat().st_ino for path in folder.glob("groups/*/runs.json")}


def trying_to_train(folder: Path, at: int, act: Callable[..., Any]) -> list[str]:
    """What a study says that can't write from one boundary on: its errors in words."""
    Boundaries(at, act, stays=True).install()
    try:
        result = losscope.run(study(), folder, jobs=1)
    except (OSError, LosscopeError) as error:
        return [f"{type(error).__name__}: {error}"]
    return [record.error or "" for record in result.failed]


def warm_up(folder: Path, answer: Path) -> list[str]:
    """Train the whole study once and return its calls; import all that it needed, so that no other process has to."""
    code, told = forked(lambda: seen_boundaries(folder), answer)
    assert code == 0, told
    calls, modules = told
    for name in modules:
        if not name.startswith("__"):
            with suppress(Exception):  # modules that only others can import
                importlib.import_module(name)
    environment("cpu")  # it remembers what takes long
    gc.freeze()
    return list(calls)


def trials(folder: Path, first: int, step: int) -> Iterator[tuple[int, str, Path, Path]]:
    """Every `step`-th boundary from the `first` on, with its call, a folder for its study and a file for answers."""
    answer = folder / "answer.json"
    calls = warm_up(folder / "whole", answer)
    for at in range(first, len(calls), step):
        yield at, calls[at], folder / "study", answer
        shutil.rmtree(folder / "study", ignore_errors=True)


def dying(folder: Path, first: int, step: int) -> dict[str, Any]:
    """Die before each call and, where it writes, halfway; after the last call too. Resume, and read all rows."""
    wrong, count, whole = [], 0, None
    for at, call, study_folder, answer in trials(folder, first, step):
        whole = whole or forked(lambda: contents(folder / "whole"), answer)
        for act in (dies, dies_halfway) if call == "write" else (dies,):
            shutil.rmtree(study_folder, ignore_errors=True)

            def until_it_dies(at: int = at, act: Any = act, study_folder: Path = study_folder) -> None:
                Boundaries(at, act).install()
                train(study_folder)

            died = forked(until_it_dies, answer)
            before = finished(study_folder)
            resumed = forked(lambda where=study_folder: resume(where), answer)
            lost = before.items() - finished(study_folder).items()
            count += 1
            if died != (DIED, None) or resumed != whole or lost:
                wrong.append([at, call, act.__name__, died, resumed, whole, sorted(lost)])
    return {"trials": count, "wrong": wrong}


def failing(folder: Path, first: int, step: int) -> dict[str, Any]:
    """A disk that is full, or read-only, from each call on. What was finished stays; then there is room again."""
    wrong, messages, count, whole = [], {}, 0, None
    for at, call, study_folder, answer in trials(folder, first, step):
        whole = whole or forked(lambda: contents(folder / "whole"), answer)
        for act in (is_full, is_read_only):
            shutil.rmtree(study_folder, ignore_errors=True)
            told = forked(lambda at=at, act=act, where=study_folder: trying_to_train(where, at, act), answer)
            before = finished(study_folder)
            resumed = forked(lambda where=study_folder: resume(where), answer)
            lost = before.items() - finished(study_folder).items()
            count += 1
            code, errors = told
            reason = os.strerror(errno.ENOSPC if act is is_full else errno.EROFS)
            clear = code == 0 and (all(reason in one for one in errors) if errors else call.startswith("unlink"))
            if not clear or resumed != whole or lost:
                wrong.append([at, call, act.__name__, told, resumed, whole, sorted(lost)])
            messages.setdefault((errors or ["none"])[0].strip().splitlines()[-1][:200], call)
    return {"trials": count, "wrong": wrong, "messages": messages}


def killed(folder: Path, wanted: int, seed: int) -> dict[str, Any]:
    """Kill -9 at random moments, again and again on one folder until it ends, until there were as many as `wanted`."""
    chance, answer = random.Random(seed), folder / "answer.json"
    warm_up(folder / "warm", answer)
    began = time.monotonic()
    code, whole = forked(lambda: train_and_read(folder / "whole"), answer)
    assert code == 0, whole
    took = time.monotonic() - began
    kills, chains, wrong, lengths = 0, 0, [], []
    while kills < wanted:
        study_folder, chain = folder / f"study-{chains}", 0
        while True:
            before = finished(study_folder)
            answer.unlink(missing_ok=True)
            child = fork(lambda where=study_folder: train_and_read(where), answer)
            # A study that has to reach its first checkpoint before a kill ends: patience grows along a chain.
            time.sleep(chance.uniform(0, took) * (1 + chain / 10))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            if lost := before.items() - finished(study_folder).items():
                wrong.append([chains, chain, "lost", sorted(lost)])
            if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
                break
            chain += 1
        ended = os.waitstatus_to_exitcode(status), json.loads(answer.read_text())
        if ended != (0, whole):
            wrong.append([chains, chain, ended])
        kills, chains = kills + chain, chains + 1
        lengths.append(chain)
        shutil.rmtree(study_folder, ignore_errors=True)
    return {"kills": kills, "chains": lengths, "wrong": wrong}


if __name__ == "__main__":
    torch.set_num_threads(1)
    disk.sync = lambda descriptor: None  # no machine loses power here, and a sync takes milliseconds
    measure.linear_probe_accuracy = lambda *given, **named: 0.5  # takes a third of the time and writes nothing
    drive.make_place = checkpointing_each_epoch(drive.make_place)
    name, where, *numbers = sys.argv[1:]
    json.dump({"dying": dying, "failing": failing, "killed": killed}[name](Path(where), *map(int, numbers)), sys.stdout)

"""`losscope.diagnose` of embeddings on disk at scale: CPU seconds, peak memory, and what more workers bring.

    OMP_NUM_THREADS=1 python -m benchmarks.scale --out benchmarks/scale.json

Rows x 128 float32 in 1,000 classes, 2,000 sampled queries, each measurement in a process of its own. First one npy
file, with the resident memory at its peak (`VmHWM`, mapped pages included) and the CPU seconds of its parts. Then the
same rows in safetensors shards: here, in two processes and on Ray with one and two workers, where seconds are those of
the clock and mean something on an idle machine only. All ways are checked to say the same.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from benchmarks.memory import resident
from benchmarks.rows import Row, divided, finish, row

DIM, CLASSES, BLOCK = 128, 1000, 50_000
PARTS = {
    "retrieval": ("losscope.diagnosis.door", "retrieve"),
    "moments": ("losscope.geometry.geometry", "first_pass"),
    "pairs": ("losscope.geometry.geometry", "watched"),
    "classes": ("losscope.geometry.geometry", "_against_classes"),
    "splits of classes": ("losscope.geometry.geometry", "per_class"),
    "neighbors that are listed": ("losscope.diagnosis.door", "nearest"),
}
WAYS: dict[str, dict[str, Any]] = {
    "here": {},
    "two processes": {"on": "local", "jobs": 2},
    "ray, one worker": {"on": "ray", "jobs": 1},
    "ray, two workers": {"on": "ray", "jobs": 2},
}
MEMORY_BAR, SECONDS_BAR = 2000.0, 120.0


def make(folder: Path, rows: int, shards: int) -> None:
    """One npy file, or shards with labels in them."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, rows)
    centers = random.standard_normal((CLASSES, DIM)).astype(np.float32)

    def block(start: int, stop: int) -> np.ndarray:
        noise = random.standard_normal((stop - start, DIM)).astype(np.float32)
        made: np.ndarray = 0.5 * centers[labels[start:stop]] + noise
        return made

    if not shards:
        np.save(folder / "labels.npy", labels)
        whole = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (rows, DIM))
        for start in range(0, rows, BLOCK):
            whole[start : start + BLOCK] = block(start, min(start + BLOCK, rows))
        return
    ends = [rows * one // shards for one in range(shards + 1)]
    for number, (start, stop) in enumerate(itertools.pairwise(ends)):
        part = {"embeddings": block(start, stop), "labels": labels[start:stop]}
        save_file(part, folder / f"x-{number:04}.safetensors")


def timed(module: Any, name: str, spent: dict[str, float], part: str) -> None:
    """Let a function of a module count its CPU seconds."""
    real: Callable[..., Any] = getattr(module, name)

    def counted(*given: Any, **options: Any) -> Any:
        start = time.process_time()
        try:
            return real(*given, **options)
        finally:
            spent[part] = spent.get(part, 0.0) + time.process_time() - start

    setattr(module, name, counted)


def one(folder: Path, way: str) -> dict[str, Any]:
    """One diagnosis, for a fresh process."""
    torch.set_num_threads(1)
    from importlib import import_module

    import losscope

    spent: dict[str, float] = {}
    if way == "file":
        for part, (module, name) in PARTS.items():
            timed(import_module(module), name, spent, part)
    given = (folder / "x.npy", folder / "labels.npy") if way == "file" else (str(folder / "x-*.safetensors"), None)
    before = resident("VmHWM")
    clock, start = time.perf_counter(), time.process_time()
    found = losscope.diagnose(*given, out=folder / f"out {way}", **WAYS.get(way, {}))
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cpu": time.process_time() - start,
        "workers": children.ru_utime + children.ru_stime,
        "clock": time.perf_counter() - clock,
        "loaded": before,
        "peak": resident("VmHWM"),
        "parts": spent,
        "says": hashlib.sha256(found.to_json().encode()).hexdigest(),
    }


def in_a_process(folder: Path, way: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scale", "--one", str(folder), way]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    said: dict[str, Any] = json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout.splitlines()[-1]
    )
    return said


def one_file(rows: int, repetitions: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), rows, 0)
        found = [in_a_process(Path(folder), "file") for _ in range(repetitions)]
    name = f"{rows:,} rows, one file"
    return [
        row("none", f"{name}: all", "CPU seconds", [this["cpu"] for this in found], bar=SECONDS_BAR),
        row("none", f"{name}: peak", "MB resident", [this["peak"] for this in found], bar=MEMORY_BAR),
        row("none", f"{name}: before the work", "MB resident", [this["loaded"] for this in found]),
        *(row("none", f"{name}: {part}", "CPU seconds", [this["parts"][part] for this in found]) for part in PARTS),
    ]


def in_shards(rows: int, shards: int, repetitions: int) -> list[Row]:
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), rows, shards)
        for _ in range(repetitions):
            for way, measured in found.items():
                measured.append(in_a_process(Path(folder), way))
    if len({this["says"] for measured in found.values() for this in measured}) > 1:
        raise AssertionError("the ways say different things")
    name, seconds = f"{rows:,} rows, {shards} shards", {way: [this["clock"] for this in found[way]] for way in WAYS}
    lines = [row("none", f"{name}: {way}", "seconds", seconds[way]) for way in WAYS]
    for few, more in (("here", "two processes"), ("ray, one worker", "ray, two workers")):
        lines.append(row("none", f"{name}: {few} / {more}", "times", divided(seconds[few], seconds[more])))
    return [*lines, row("none", f"{name}: here, CPU", "CPU seconds", [this["cpu"] for this in found["here"]])]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/scale.json"), help="where the rows go")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the one file")
    parser.add_argument("--sharded-rows", type=int, default=1_000_000, help="of the shards; 0 leaves them out")
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "WAY"), help="measure in this process and print JSON")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(Path(given.one[0]), given.one[1])))
        return
    rows = one_file(given.rows, given.repetitions)
    if given.sharded_rows:
        rows += in_shards(given.sharded_rows, given.shards, given.repetitions)
    finish(given.out, {"dim": DIM, "classes": CLASSES, "queries": 2000, "threads": 1, "load": os.getloadavg()[0]}, rows)


if __name__ == "__main__":
    main()

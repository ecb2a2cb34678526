"""Mutated files of every kind end as columns or as an error of ours: no traceback, no hang, no memory without bound.

The mutants are seeded. CI runs some of each kind in seconds; all 10,000 of each are one command, some ten minutes of one core:

    LOSSCOPE_FUZZ=10000 python -m pytest tests/diagnosis/test_fuzz.py

Each kind is read in a process of its own, whose address space is limited: a reader that believes a damaged header and
allocates ends there as a MemoryError that is none of ours, and fails the test. A mutant that takes more than SECONDS is
a hang. Parquet mutants are read as the reading process of parquet reads them, in a fork for each.
"""

from __future__ import annotations

import io
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save

from losscope.diagnosis.labels import encode
from losscope.diagnosis.reading import open_columns, parquet_process
from losscope.diagnosis.reading.parquet_file import answer, written
from losscope.diagnosis.reading.stored import Stored
from losscope.errors import LosscopeError

MUTANTS = int(os.environ.get("LOSSCOPE_FUZZ", "0"))
"""Of each kind; 0: a thousand, of parquet, whose every column forks, a tenth."""
SECONDS = 20
BOUND = 1 << 30
"""Bytes of address space beyond what the process had when it began."""
RANDOM = np.random.default_rng(0)
MATRIX, LABELS = RANDOM.standard_normal((20, 4)).astype(np.float32), np.repeat(np.arange(4), 5)
NAMES = np.array([f"class {one}" for one in LABELS])


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, MATRIX)
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, embeddings=MATRIX, label=NAMES)
    return file.getvalue()


def safetensors() -> bytes:
    content: bytes = save({"embeddings": MATRIX, "label": LABELS})
    return content


def parquet() -> bytes:
    file = io.BytesIO()
    table = {"embedding": list(MATRIX), "label": NAMES, "several": [[one, one + 4] for one in LABELS.tolist()]}
    pq.write_table(pa.table(table), file, row_group_size=7)
    return file.getvalue()


def csv() -> bytes:
    lines = [",".join([*map(str, row), name]) for row, name in zip(MATRIX.tolist(), NAMES, strict=True)]
    return ("a,b,c,d,label\n" + "\n".join(lines)).encode()


def txt() -> bytes:
    return "\n".join(NAMES).encode()


KINDS: dict[str, Callable[[], bytes]] = {
    "npy": npy, "npz": npz, "safetensors": safetensors, "parquet": parquet, "csv": csv, "txt": txt,
}  # fmt: skip


def mutants(content: bytes, count: int) -> Iterator[bytes]:
    """Flipped bits, other bytes, cuts, doubled and dropped parts, numbers that are too large; heads and ends most."""
    random = np.random.default_rng(1)
    for nth in range(count):
        mutant = bytearray(content)
        for _ in range(int(random.integers(1, 4))):
            place = (
                int(min(random.random(), random.random()) * len(mutant))
                if nth % 2
                else -1 - int(min(random.random(), random.random()) * max(len(mutant) - 1, 1))
            )
            place %= max(len(mutant), 1)
            match int(random.integers(7)) if mutant else 6:
                case 0:
                    mutant[place] ^= 1 << int(random.integers(8))
                case 1:
                    mutant[place] = int(random.integers(256))
                case 2:
                    del mutant[place:]
                case 3:
                    del mutant[place : place + int(random.integers(1, 9))]
                case 4:
                    mutant[place:place] = mutant[place : place + int(random.integers(1, 64))]
                case 5:
                    mutant[place : place + 8] = b"\xff" * int(random.integers(1, 9))
                case _:
                    mutant[place:place] = bytes(random.integers(0, 256, int(random.integers(1, 9))).astype(np.uint8))
        yield bytes(mutant)


def read_all(path: Path) -> None:
    """Read every column as the door would, as values, as a matrix, and as labels."""
    try:
        columns = open_columns(path)
    except LosscopeError:
        return
    for name in columns.names:
        for take in (columns.take, columns.matrix, lambda name: encode((columns.take(name), "labels"))):
            try:
                found = take(name)
                if isinstance(found, Stored):
                    found[:]
            except LosscopeError as error:
                checked(error)


def checked(error: LosscopeError) -> None:
    """A message is a paragraph, not a dump of the file."""
    if len(str(error)) > 2000:
        raise AssertionError(f"a message of {len(str(error)):,} characters")


def read_parquet(path: Path) -> None:
    """The same by a fork that does what the reading process does."""
    for wanted, name in (("names", ""), ("matrix", "embedding"), ("column", "label"), ("column", "several")):
        to = path.with_suffix(".out")
        said = path.with_suffix(".said")
        child = os.fork()
        if child == 0:
            with said.open("w") as file:
                sys.stdout = file
                parquet_process.main([str(path), wanted, name, str(to)])
            os._exit(0)
        _, status = os.waitpid(child, 0)
        try:
            answer(path, os.waitstatus_to_exitcode(status), said.read_text())
            if wanted == "column":
                encode((written(to), "labels"))
        except LosscopeError as error:
            checked(error)
            if wanted == "names":
                return


def main(kind: str, count: int) -> None:
    """Read the mutants of one kind; the place of the one at work is printed, so that it can be made again."""
    status = Path("/proc/self/statm").read_text().split()
    allowed = int(status[0]) * os.sysconf("SC_PAGE_SIZE") + BOUND
    if kind != "parquet":  # its processes limit themselves
        resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
    read = read_parquet if kind == "parquet" else read_all
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x.{kind}"
        for nth, mutant in enumerate(mutants(KINDS[kind](), count)):
            print(nth, flush=True)
            path.write_bytes(mutant)
            signal.alarm(SECONDS)
            read(path)
            signal.alarm(0)
    print("done")


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files(kind: str) -> None:
    count = MUTANTS or (100 if kind == "parquet" else 1000)
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, kind, str(count)],
        capture_output=True, text=True, timeout=60 + count * SECONDS, env=environment,
    )  # fmt: skip
    last = ended.stdout.split()[-1:]
    assert ended.returncode == 0, f"mutant {last} of {kind}: exit {ended.returncode}\n{ended.stderr[-3000:]}"
    assert last == ["done"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_itself_is_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    path.write_bytes(KINDS[kind]())
    columns = open_columns(path)
    for name in columns.names:
        assert len(columns.take(name)) == 20


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

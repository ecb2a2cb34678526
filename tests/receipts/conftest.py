"""Small trained records, and a way to change them that leaves their seals whole."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import losscope
from cli.conftest import cli
from losscope.files import disk, read_json, read_parquet, seal_of, write_json, write_table
from losscope.receipts import verifying
from losscope.receipts.comparing import Difference, compare
from losscope.receipts.recorded import RecordedRun, ended_runs
from losscope.study import Study, parse
from losscope.table import RunRecord, groups, read_ending, read_measurements, write_ending

__all__ = ["cli"]

Rows = list[dict[str, Any]]
Train = Callable[..., Path]


def small(seeds: Sequence[int] = (0, 1, 2), **changes: Any) -> Study:
    document: dict[str, Any] = {
        "name": "small",
        "seeds": list(seeds),
        "data": [{"name": "synthetic", "classes": 4, "samples_per_class": 8, "dim": 8, "outliers": 3}],
        "protocol": [{"name": "short", "model": {"widths": [8, 4]}, "epochs": 2, "batch": {"terms": 16}}],
        "loss": [{"name": "contrastive"}, {"name": "triplet", "squared": [False, True]}],
    }
    return parse(document | changes)


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for the disk: what survives a crash of the machine is tested elsewhere (tests/crash)."""
    monkeypatch.setattr(disk, "sync", lambda descriptor: None)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Folders of the small study with some seeds, each trained once; not to be changed."""
    made: dict[tuple[int, ...], Path] = {}

    def train(*seeds: int) -> Path:
        if seeds not in made:
            folder = tmp_path_factory.mktemp("trained") / f"seeds-{'-'.join(map(str, seeds))}"
            result = losscope.run(small(seeds), folder, jobs=1)
            assert {record.status for record in result.records} == {"done"}
            made[seeds] = folder
        return made[seeds]

    return train


@pytest.fixture
def copied(trained: Train, tmp_path: Path) -> Train:
    """The same, copied: to be changed."""

    def copy(*seeds: int, name: str = "copy") -> Path:
        return Path(shutil.copytree(trained(*seeds), tmp_path / name))

    return copy


@pytest.fixture
def trained_before(trained: Train, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes `verify` and `rerun` take what they would train anew from the small study as it was trained before, whose
    bits are the same (test_all_runs_of_a_fresh_study_have_the_same_bits_alone)."""

    def take(*seeds: int) -> None:
        known = {run.place: run for run in ended_runs(trained(*seeds))}

        def recompute(run: RecordedRun, *args: Any, **options: Any) -> RecordedRun:
            return known[run.place]

        monkeypatch.setattr(verifying, "recompute", recompute)

    return take


def spread_of(folder: Path, without: str, **wanted: Any) -> float:
    """Standard deviation over seeds of one row, but for that of the run `without`; without the code under test."""
    rows = [row for row in read_measurements(folder).to_pylist() if all(row[key] == wanted[key] for key in wanted)]
    values = [row["value"] for row in rows if row["run"] != without]
    assert len(values) == len(rows) - 1 > 1
    return statistics.stdev(values)


def group_of(folder: Path, loss: str, variant: str = "") -> Path:
    """The first group of a loss and variant."""
    for group in groups(folder):
        about = read_json(group / "group.json")
        if about["loss"] == loss and variant in about["variants"]:
            return group
    raise AssertionError(f"no group of {loss} {variant} in {folder}")


def reseal(group: Path, records: Sequence[RunRecord] | None = None) -> None:
    """Make `runs.json` true of the files as they are now: what a forger would do, or a bug."""
    ending = read_ending(group / "runs.json")
    assert ending.files is not None
    names = [name for name in ending.files if name != "group.json"]
    write_ending(group, records or ending.records, {name: seal_of(group / name) for name in names})


def change_rows(group: Path, edit: Callable[[Rows], Rows], name: str = "measurements.parquet") -> None:
    """Change rows of a finished group, seals and all."""
    table = read_parquet(group / name)
    write_table(group / name, pa.Table.from_pylist(edit(table.to_pylist()), schema=table.schema))
    reseal(group)


def change_value(
    group: Path, change: Callable[[float], float], *, name: str = "measurements.parquet", **wanted: Any
) -> None:
    """Change the values of rows with these columns; there must be some."""

    def edit(rows: Rows) -> Rows:
        hits = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
        assert hits
        for row in hits:
            row["value"] = change(row["value"])
        return rows

    change_rows(group, edit, name)


def doubled(rows: Rows) -> Rows:
    """Every row twice, as an epoch that was trained again after a kill and whose first lines were left."""
    return [*rows, *rows]


def times_a_thousand(folder: Path, seed: int, processor: str = "another") -> tuple[str, ...]:
    """Spoil everything measured over epochs and steps of a seed's runs, seals and all, and say that another kind of
    processor did; returns the runs. Raw inputs stay as they are."""
    spoiled = []
    for group in groups(folder):
        about = read_json(group / "group.json")
        if about["loss"] == "none":
            continue
        runs = [run for run, of in zip(about["runs"], about["seeds"], strict=True) if of == seed]
        spoiled += runs

        def edit(rows: Rows, runs: list[str] = runs) -> Rows:
            for row in rows:
                if row["run"] in runs and row["value"] is not None:
                    row["value"] = 1000 * row["value"] + 7
            return rows

        change_environment(group, processor=processor)
        for name in ("measurements.parquet", "steps.parquet"):
            change_rows(group, edit, name)
    return tuple(spoiled)


def change_environment(group: Path, **changes: Any) -> None:
    """Change what a group says that it was trained with, seals and all."""
    (environment,) = read_json(group / "environment.json")["environments"]
    change_document(group / "environment.json", environments=[{**environment, **changes}])
    reseal(group)


def change_document(path: Path, **changes: Any) -> None:
    """Change keys of a JSON document."""
    write_json(path, {**read_json(path), **changes})


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file's bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def against(folder: Path, trained: Path, **how: bool) -> dict[str, tuple[Difference, ...]]:
    """The runs of a changed folder, compared with what was trained: digest -> what differs, without training again."""
    ended, anew = ended_runs(folder), {run.place: run for run in ended_runs(trained)}
    changed = {group for group in groups(folder) if files_of(group) != files_of(trained / "groups" / group.name)}
    found = {}
    for run in (run for run in ended if run.group in changed):
        compared = compare(run, anew[run.place], [one for one in ended if one.cell == run.cell], **how)
        if differing := tuple(part for part in compared if part.verdict != "identical"):
            found[run.record.run] = differing
    return found

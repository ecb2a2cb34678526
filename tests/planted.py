"""Small records written through the table's own schema, without training: what a report reads."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from losscope.files import write_json, write_table
from losscope.study import Study, parse
from losscope.table import MAP, MEASUREMENT, QUERY, RunRecord

CLASSES = 4
LOSSES = [{"name": "contrastive", "margin": 1.0}, {"name": "triplet", "margin": 1.0, "squared": [False, True]}]
TRAINING = {
    "loss": 0.2,
    "active_ratio": 0.6,
    "gradient_norm": 0.5,
    "gradient_norm_tensor_mean": 0.15,
    "update_ratio": 0.003,
}
GEOMETRY = {
    "intra_class_variance_mean": 0.1,
    "intra_class_variance_over_classes": 1e-4,
    "inter_class_distance_mean": 1.2,
    "inter_class_distance_mean_corrected": 1.19,
    "inter_class_distance_variance": 0.05,
    "intra_inter_ratio": 0.07,
    "effective_rank": 5.0,
}
VARIANCE = {
    "intra_class_variance_cv": 0.3,
    "inter_class_distance_cv": 0.2,
    "inter_class_distance_min": 0.5,
    "inter_class_distance_q05": 0.7,
    "centroid_cosine_mean": 0.1,
    "centroid_cosine_max": 0.6,
    "within_variance": 0.2,
    "between_variance": 0.5,
    "mean_resultant_squared": 0.3,
    "within_class_effective_rank": 4.0,
    "fisher_ratio": 2.5,
}
PROBE = {
    "gradient_share_90": 0.5,
    "gradient_norm_embedding_tangential": 0.02,
    "gradient_participation": 0.6,
    "gradient_effective_share": 0.7,
    "residual_mass": 0.4,
    "active_ratio": 0.8,
    "pair_weight_mean": 0.01,
    "greedy_fraction": 0.5,
    "satisfied_share": 0.8,
    "greedy_ratio": 0.6,
}
PROFILES = {
    "gradient_share_curve": {percent: 0.8 * percent / 100 for percent in range(10, 101, 10)},
    "relative_activity": {1: 0.3, 2: 0.5, 3: 0.7},
    "pair_weight": dict.fromkeys(range(-5, 3), 0.125),
}
SEVEN = [
    {"name": "contrastive", "margin": 1.0},
    {"name": "triplet", "margin": 1.0, "squared": [False, True]},
    {"name": "n_pair", "scale": 10.0},
    {"name": "info_nce", "temperature": [0.07, 0.1]},
    {"name": "arcface", "margin": 0.5, "scale": 64.0},
    {"name": "sup_con", "temperature": 0.1},
    {"name": "center_contrastive", "margin": 0.2, "scale": 64.0, "center_weight": [0.0, 1.0]},
]
EVALUATION = {"knn_accuracy": 0.8, "linear_probe_accuracy": 0.7, "map_at_r": 0.5}

Rows = list[dict[str, Any]]
Edit = Callable[[Rows], Iterable[dict[str, Any]]]
WriteRecord = Callable[..., Path]
Queries = Callable[[Mapping[str, Any], int], Mapping[str, Sequence[Any]]]
"""(columns of a run, seed) -> query, label and results: what the queries of one run found after its last epoch."""


def digest(*parts: object) -> str:
    """A run's digest, for a record that only looks like one."""
    return f"{zlib.crc32(repr(parts).encode()):016x}"


def noise(*parts: object) -> float:
    """A number between -1 and 1 that depends on its arguments alone."""
    return zlib.crc32(repr(parts).encode()) / 2**31 - 1


def rows_of(place: Mapping[str, Any], run: str, seed: int, last: int, *, full: bool, validation: bool) -> Rows:
    """Measurements of one run: epochs 0 and 1 to `last`, or epoch 0 alone for the input.

    `full` adds VARIANCE in full, the probe and speeds; `validation` a split with classes of its own.
    """
    shared = {**place, "run": run, "seed": seed, "step": None, "item": None}
    loss = f"{place['loss']}{place['variant']}" if place["loss"] != "none" else ""
    found: Rows = []

    def add(split: str | None, epoch: int, diagnostic: str, item: int | None, level: float | None) -> None:
        whose = loss if epoch else f"{place['loss'] == 'none'}"  # before training every loss measures the same
        value = level and level * (
            1
            + 0.1 * noise(whose, place["dataset"], place["protocol"], split, epoch, diagnostic, item)
            + 0.02 * noise(whose, split, epoch, diagnostic, item, seed)
        )
        found.append({**shared, "split": split, "epoch": epoch, "diagnostic": diagnostic, "item": item, "value": value})

    for epoch in range(last + 1):
        for split in ("train", "heldout", *(["validation"] if validation else [])):
            for diagnostic, level in {**GEOMETRY, **(VARIANCE if full else {})}.items():
                compacting = 3 if full and diagnostic == "intra_inter_ratio" and not epoch else 1
                add(split, epoch, diagnostic, None, level * compacting)
            for label in range(CLASSES):
                add(split, epoch, "intra_class_variance", label + 100 * (split == "validation"), 0.1)
        if epoch in (0, last):
            for diagnostic, level in EVALUATION.items():
                add("heldout", epoch, diagnostic, None, level)
            for k, level in ((1, 0.6), (5, 0.8), (10, 0.9)):
                add("heldout", epoch, "recall_at_k", k, level)
                if validation:
                    add("validation", epoch, "recall_at_k", k, level)
        if loss:
            for diagnostic, level in TRAINING.items():
                add(None, epoch, diagnostic, None, level)
            if place["loss"] == "contrastive":
                found.append(
                    {**shared, "split": None, "epoch": epoch, "diagnostic": "active_ratio_positive", "value": 1.0}
                )
            if full and epoch in (0, last):
                for diagnostic, level in PROBE.items():
                    add("probe", epoch, diagnostic, None, level)
                for diagnostic, items in PROFILES.items():
                    for item, level in items.items():
                        add("probe", epoch, diagnostic, item, level)
    if loss:
        add(None, last, "loss_decay_epoch", None, 2.0)
    if loss and full:
        add("heldout", last, "compaction_epoch", None, 1.5)
        add(None, last, "loss_decay_epoch_excess", None, 2.0)
        add(None, 0, "loss_floor", None, 0.01)
    return found


def plane_of(run: str, epoch: int) -> Mapping[str, Sequence[Any]]:
    """Twenty points of one run."""
    count = 20
    return {
        "run": [run] * count,
        "split": ["train"] * count,
        "epoch": [epoch] * count,
        "row": list(range(count)),
        "label": [row % CLASSES - (row == 7) * 10 for row in range(count)],
        "x": [noise(run, row, "x") for row in range(count)],
        "y": [noise(run, row, "y") for row in range(count)],
        "explained": [0.5] * count,
    }


def queries_of(queries: Queries, place: Mapping[str, Any], runs: Mapping[int, str], last: int) -> pa.Table:
    """The results of all queries of a group, the last first, and rows of another split and epoch that hold nonsense."""
    parts = []
    for seed, run in runs.items():
        found = {name: list(values)[::-1] for name, values in queries(place, seed).items()}
        for split, epoch, scale in (("heldout", 0, 100.0), ("heldout", last, 1.0), ("train", last, 100.0)):
            rows = [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]
            parts += [
                {name: value * scale if name in ("recall_at_1", "average_precision_at_r") and value is not None else value
                 for name, value in row.items()} | {"run": run, "split": split, "epoch": epoch}
                for row in rows
            ]  # fmt: skip
    return pa.Table.from_pylist(parts, schema=QUERY)


@pytest.fixture
def write_record(tmp_path: Path) -> WriteRecord:
    """Writes a study's folder and returns it.

    `full` and `validation` as in `rows_of`. `status` maps (loss, variant, seed) to how a run ended; `edit` changes the
    measurements of a group; `running` names losses whose group has begun and not ended; `fingerprint` is of the data,
    drawn for each seed unless it is given; `sources` are what the manifest adds of each data set; `queries` says what the
    queries of each run of a loss found.
    """

    def write(
        name: str = "tiny",
        *,
        datasets: Sequence[Mapping[str, Any]] = ({"name": "synthetic"},),
        protocols: Sequence[Mapping[str, Any]] = ({"name": "as_printed", "epochs": 3},),
        losses: Sequence[Mapping[str, Any]] = tuple(LOSSES),
        seeds: int = 5,
        status: Mapping[tuple[str, str, int], str] = {},
        running: Sequence[str] = (),
        edit: Edit | None = None,
        fingerprint: str | None = None,
        salt: str = "",
        split_protocol: str = "fresh_draw",
        sources: Mapping[str, Mapping[str, str]] = {},
        full: bool = False,
        validation: bool = False,
        queries: Queries | None = None,
    ) -> Path:
        folder = tmp_path / name
        study: Study = parse({"name": name, "seeds": seeds, "data": datasets, "protocol": protocols, "loss": losses})
        folder.mkdir()
        write_json(folder / "study.json", {"schema": 1, "seeds": study.seed_list, **study.comparable()})
        write_json(
            folder / "manifest.json",
            {
                "schema": 1,
                "data": {
                    data.get("label", data["name"]): {
                        "split_protocol": split_protocol,
                        "note": "A note of its reader.",
                        "source": {key: data[key] for key in ("backbone",) if key in data}
                        | dict(sources.get(data.get("label", data["name"]), {})),
                        "fingerprints": {},
                    }
                    for data in datasets
                },
                "invocations": [
                    {
                        "command": ["/opt/bin/losscope", "study", name],
                        "losscope": "0.1.0",
                        "python": "3.11",
                        "packages": {},
                        "platform": "Linux",
                        "device": "cpu",
                        "started": "2026-01-01T00:00:00Z",
                    }
                ],
            },
        )
        measured = set()
        for cell in study.cells():
            choices = [(cell.loss.name, cell.loss.variant, dict(cell.loss.hyperparameters))]
            if (cell.data, cell.protocol) not in measured:
                choices += [("none", variant, {}) for variant in ("input", *(["whitened"] if full else []))]
                measured.add((cell.data, cell.protocol))
            for loss, variant, hyperparameters in choices:
                place = {
                    "dataset": cell.data.label or cell.data.name,
                    "protocol": cell.protocol.name,
                    "loss": loss,
                    "variant": variant,
                }
                epochs = cell.protocol.epochs if loss != "none" else 0
                decisive = cell.protocol.decisive() if loss != "none" else {}
                runs = [digest(place, hyperparameters, decisive, seed, salt) for seed in study.seed_list]
                group = folder / "groups" / digest(place)
                group.mkdir(parents=True)
                write_json(
                    group / "group.json",
                    {**place, "seeds": study.seed_list, "runs": runs, "hyperparameters": hyperparameters},
                )
                if loss in running:
                    (group / "epochs.jsonl").write_text("")
                    continue
                rows: Rows = [
                    row
                    for run, seed in zip(runs, study.seed_list, strict=True)
                    for row in rows_of(place, run, seed, epochs, full=full, validation=validation)
                ]
                rows = list(edit(rows)) if edit else rows
                write_table(group / "measurements.parquet", pa.Table.from_pylist(rows, schema=MEASUREMENT))
                if queries and loss != "none":
                    by_seed = dict(zip(study.seed_list, runs, strict=True))
                    write_table(group / "queries.parquet", queries_of(queries, place, by_seed, epochs))
                write_table(group / "map.parquet", pa.table(dict(plane_of(runs[0], epochs)), schema=MAP))
                records = [
                    RunRecord(run=run, **place, seed=seed, epochs=epochs, status=status.get((loss, variant, seed), "done"),
                              updates=100, samples=200, terms=1000, seconds=1.0, cpu_seconds=1.0, diverged_at=7,
                              data_fingerprint=fingerprint or f"data {seed}", error="Traceback\nValueError: no")
                    for run, seed in zip(runs, study.seed_list, strict=True)
                ]  # fmt: skip
                write_json(group / "runs.json", [asdict(record) for record in records])
        return folder

    return write


@pytest.fixture
def write_seven(write_record: WriteRecord) -> WriteRecord:
    """As `write_record`, of all seven losses with all that is measured of them."""

    def write(name: str = "seven", **settings: Any) -> Path:
        return write_record(name, **{"losses": SEVEN, "full": True, "fingerprint": "one and the same", **settings})

    return write


@cache
def rows_in(folder: Path) -> Rows:
    """All measurements of a record, read without the report's code."""
    import pyarrow.parquet as pq

    return [row for path in folder.glob("groups/*/measurements.parquet") for row in pq.read_table(path).to_pylist()]


def values(folder: Path, **wanted: Any) -> list[float]:
    """Values of a record's rows with these columns, in order of seed."""
    chosen = [row for row in rows_in(folder) if all(row[key] == value for key, value in wanted.items())]
    return [row["value"] for row in sorted(chosen, key=lambda row: row["seed"])]


@pytest.fixture(name="values")
def _values() -> Callable[..., list[float]]:
    return values


def set_values(level: Callable[[dict[str, Any]], float | None], **wanted: Any) -> Edit:
    """An edit that sets the value of rows with these columns to `level(row)`."""

    def edit(rows: Rows) -> Iterable[dict[str, Any]]:
        for row in rows:
            hit = all(row[key] == value for key, value in wanted.items())
            yield {**row, "value": level(row)} if hit else row

    return edit


@pytest.fixture(name="set_values")
def _set_values() -> Callable[..., Edit]:
    return set_values


@pytest.fixture(scope="session")
def browser() -> Iterable[Any]:
    """A headless Chromium; tests that need one are skipped by name where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip("no browser at /usr/bin/chromium")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with playwright.sync_playwright() as api:
        opened = api.chromium.launch(executable_path=str(chromium), args=flags)
        yield opened
        opened.close()


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)

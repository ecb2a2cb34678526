"""Rows of finer labels: the diagnostics' and evaluation's own values, in a table that others read as before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
import torch
from torch.nn.functional import normalize

from losscope import diagnostics
from losscope.evaluation import recall_within, retrieval
from losscope.losses import LOSSES
from losscope.studies import load, shipped
from losscope.study import Data, parse
from losscope.sweep import drive
from losscope.table import SCHEMA_VERSION, read_measurements
from losscope.training.granularity import SHARES
from losscope.training.measure import KS, Embedded, evaluation_rows, geometry_rows
from losscope.training.run import Place, build_stack, load_datasets
from stacks import cell

COARSE = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2]).repeat(2, 1)
FINE = torch.tensor([3, 3, 4, 4, 5, 5, 6, 6, -1, -1]).repeat(2, 1)
RETRIEVED = {
    ("r_precision", None),
    ("map_at_r", None),
    ("fine_map_at_r", None),
    *((name, k) for name in ("recall_at_k", "fine_recall_at_k", "fine_recall_at_k_within_coarse") for k in KS),
}

STUDY = {
    "name": "small",
    "seeds": 2,
    "data": [{"name": "digits", "limit": 6, "coarse": "parity"}, {"name": "digits", "limit": 6}],
    "protocol": [{"name": "p", "epochs": 2, "evaluate_every": 1, "batch": {"samples": 20, "sampling": "all_in_batch"}}],
    "loss": [{"name": "contrastive"}],
}


def embedded(fine: torch.Tensor | None = FINE) -> Embedded:
    random = torch.Generator().manual_seed(0)
    return Embedded(normalize(torch.randn(2, 10, 4, generator=random), dim=-1), COARSE, fine)


def found(rows: Any, run: int) -> dict[tuple[str, int | None], float]:
    return {(name, item): value for index, _, _, name, item, value in rows if index == run}


def test_geometry_has_the_shares() -> None:
    given = embedded()
    rows = list(geometry_rows("train", 3, given))
    for run in range(2):
        values = found(rows, run)
        for name in SHARES:
            expected = getattr(diagnostics, name)(given.embeddings[run], COARSE[run], FINE[run])
            assert values[name, None] == expected.item()
    part = list(geometry_rows("train", 3, given, whole=False))
    assert not {row[3] for row in part} & set(SHARES)


def test_retrieval_has_fine_labels() -> None:
    given = embedded()
    splits = {"train": given, "test": given}
    full = list(evaluation_rows(splits, 5, classify=True))
    few = list(evaluation_rows(splits, 5))
    assert {row[1] for row in full + few} == {"test"}
    for run in range(2):
        z, values = given.embeddings[run], found(full, run)
        expected = retrieval(z, FINE[run], KS)
        assert {k: values["fine_recall_at_k", k] for k in KS} == expected.recall_at_k
        assert values["fine_map_at_r", None] == expected.map_at_r
        within = recall_within(z, COARSE[run], FINE[run], KS)
        assert {k: values["fine_recall_at_k_within_coarse", k] for k in KS} == within
        assert not {name for name, _ in found(few, run)} & {"knn_accuracy", "linear_probe_accuracy"}
        assert found(few, run).keys() >= RETRIEVED
        for place in found(few, run):
            assert found(few, run)[place] == pytest.approx(values[place], rel=1e-6)


def test_without_fine_labels_there_are_no_such_rows() -> None:
    given = {"train": embedded(None), "test": embedded(None)}
    rows = [
        *geometry_rows("test", 0, given["test"]),
        *evaluation_rows(given, 0, classify=True),
    ]
    assert rows
    assert not [row for row in rows if "fine" in row[3] or "coarse" in row[3]]


def test_fine_labels_without_a_pair_give_no_retrieval() -> None:
    alone = torch.tensor([3, 4, 5, 6, -1, -1, -1, -1, -1, -1]).repeat(2, 1)
    given = {"train": embedded(alone), "test": embedded(alone)}
    rows = list(evaluation_rows(given, 0, classify=True))
    assert {row[3] for row in rows} == {
        "recall_at_k",
        "r_precision",
        "map_at_r",
        "knn_accuracy",
        "linear_probe_accuracy",
    }


def test_a_study_writes_them_beside_what_it_always_wrote(tmp_path: Path) -> None:
    result = drive.run(parse(STUDY), tmp_path, jobs=1)
    assert result.failed == ()
    table = read_measurements(tmp_path)
    assert table.schema.metadata[b"losscope_schema"] == str(SCHEMA_VERSION).encode()
    told = table.filter(pc.is_in(table["diagnostic"], pc.unique(table["diagnostic"]).filter(
        pc.match_substring_regex(pc.unique(table["diagnostic"]), "fine|coarse"))))  # fmt: skip
    assert set(told["dataset"].to_pylist()) == {"digits/parity"}
    rows = {(row["loss"], row["variant"], row["split"], row["epoch"], row["diagnostic"]) for row in told.to_pylist()}
    for name in (*SHARES, "fine_recall_at_k", "fine_recall_at_k_within_coarse", "fine_map_at_r"):
        assert ("none", "input", "test", 0, name) in rows
        assert {("contrastive", "", "test", epoch, name) for epoch in range(3)} <= rows
    assert {split for *_, split, _, name in rows if name in SHARES} == {"train", "test"}
    usual = {
        name: {row["diagnostic"] for row in table.filter(pc.equal(table["dataset"], name)).to_pylist()}
        for name in ("digits", "digits/parity")
    }
    assert usual["digits/parity"] - usual["digits"] == {row["diagnostic"] for row in told.to_pylist()}


def test_training_does_not_see_fine_labels() -> None:
    """Trained on parities, a run is the same whether or not finer labels are at hand."""
    one = cell((0, 1), data=Data(name="digits", coarse="parity", limit=6))
    (with_fine,) = {id(data): data for data in load_datasets(one, Place())}.values()
    without = replace(with_fine, splits={name: replace(part, fine=None) for name, part in with_fine.splits.items()})
    trained = [build_stack(one, [data] * 2, Place()) for data in (with_fine, without)]
    for stack in trained:
        stack.train_epoch(1)
    assert torch.equal(trained[0].parameters, trained[1].parameters)


@pytest.mark.parametrize("name", [name for name in shipped() if name.startswith("granularity")])
def test_the_studies_are_whole(name: str) -> None:
    study = load(name)
    assert len(study.seed_list) == 13
    assert all(data.options["coarse"] for data in study.data)
    assert {loss.name for loss in study.loss} == set(LOSSES)
    variants = [choice.variant for loss in study.loss for choice in loss.variants()]
    assert [variant for variant in variants if variant] == ["squared=false", "squared=true"]

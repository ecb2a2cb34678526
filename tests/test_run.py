"""`losscope.run`: a folder holds one study, trains what is missing and nothing twice, whatever the number of jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from torch import Tensor

import losscope
from losscope import data
from losscope.errors import InvalidInput, InvalidStudy, UnknownName
from losscope.files import read_json
from losscope.losses import LOSSES
from losscope.study import Study, parse
from losscope.sweep import measuring
from losscope.sweep.estimate import estimate
from losscope.sweep.plan import Plan
from losscope.table import read_measurements, read_queries, read_runs
from losscope.training.run import Place, Progress
from losscope.types import Loss, LossTerms, Pairs


def study(**changes: Any) -> Study:
    document: dict[str, Any] = {
        "name": "small",
        "seeds": 2,
        "data": [{"name": "synthetic", "classes": 4, "samples_per_class": 8, "dim": 8, "outliers": 3}],
        "protocol": [
            {"name": "short", "model": {"widths": [8, 4]}, "epochs": 2, "batch": {"terms": 16}},
        ],
        "loss": [{"name": "contrastive"}, {"name": "triplet", "squared": [False, True]}],
    }
    return parse(document | changes)


def rows_of(folder: Path, **wanted: Any) -> list[tuple[Any, ...]]:
    """Measurements without the columns that name their run, in a fixed order."""
    table = read_measurements(folder)
    for column, value in wanted.items():
        table = table.filter(pc.equal(table[column], value))
    return sorted(zip(*(table[name].to_pylist() for name in table.column_names), strict=True), key=repr)


def groups_of(folder: Path) -> dict[str, float]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("groups/*/runs.json")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "out"
    result = losscope.run(study(), folder, jobs=1)
    assert len(result.records) == 3 * 2 + 2  # three variants and the inputs, two seeds
    assert {record.status for record in result.records} == {"done"}
    assert result.failed == ()
    return folder


def test_a_study_leaves_its_rows(trained: Path) -> None:
    table = read_measurements(trained)
    assert set(table["loss"].to_pylist()) == {"none", "contrastive", "triplet"}
    assert set(table["variant"].to_pylist()) == {"input", "", "squared=false", "squared=true"}
    assert set(table["seed"].to_pylist()) == {0, 1}
    assert set(table["epoch"].to_pylist()) == {0, 1, 2}
    assert set(read_measurements(trained, steps=True)["epoch"].to_pylist()) == {1, 2}
    assert set(read_queries(trained)["split"].to_pylist()) == {"heldout"}
    records = read_runs(trained)
    assert len({record.run for record in records}) == len(records) == 8
    for record in records:
        if record.loss == "none":
            assert (record.updates, record.terms) == (0, 0)
        else:
            anchors = 35 if record.loss == "contrastive" else 32  # an outlier has a negative, but no positive
            assert record.terms == 2 * anchors
            assert record.updates == 2 * -(-anchors // 16)
            assert record.samples == record.terms * (2 if record.loss == "contrastive" else 3)


def test_the_rows_are_those_of_the_contract(trained: Path) -> None:
    last = read_measurements(trained).filter(pc.equal(read_measurements(trained)["epoch"], 2))
    trained_rows = last.filter(pc.equal(last["loss"], "contrastive"))
    named = {(row["split"], row["diagnostic"]) for row in trained_rows.to_pylist()}
    for diagnostic in ("loss", "active_ratio", "active_ratio_positive", "active_ratio_negative", "gradient_norm",
                       "gradient_norm_tensor_mean", "gradient_norm_embedding", "update_ratio",
                       "gradient_norm_embedding_tangential", "loss_decay_epoch", "loss_probe"):  # fmt: skip
        assert (None, diagnostic) in named
    for diagnostic in ("intra_class_variance", "intra_class_variance_mean", "intra_class_variance_over_classes",
                       "inter_class_distance_mean", "inter_class_distance_variance", "intra_inter_ratio",
                       "inter_class_squared_distance_mean", "effective_rank"):  # fmt: skip
        assert {("train", diagnostic), ("train_clean", diagnostic), ("heldout", diagnostic)} <= named
    for diagnostic in ("recall_at_k", "r_precision", "map_at_r", "knn_accuracy", "linear_probe_accuracy"):
        assert ("heldout", diagnostic) in named
        assert ("train", diagnostic) not in named


def test_repeating_the_command_trains_nothing(trained: Path) -> None:
    before = groups_of(trained)
    result = losscope.run(study(), trained, jobs=1)
    assert result.records == ()
    assert result.finished_before == 8
    assert groups_of(trained) == before


def test_the_same_study_elsewhere_gives_the_same_rows(trained: Path, tmp_path: Path) -> None:
    losscope.run(study(), tmp_path / "again", jobs=1)
    assert rows_of(tmp_path / "again") == rows_of(trained)


@pytest.mark.slow
def test_processes_give_the_same_rows(trained: Path, tmp_path: Path) -> None:
    result = losscope.run(study(), tmp_path / "out", jobs=2)
    assert result.failed == ()
    assert rows_of(tmp_path / "out") == rows_of(trained)


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_chunks_give_the_same_rows(trained: Path, tmp_path: Path, chunk: int) -> None:
    protocol = {"name": "short", "model": {"widths": [8, 4]}, "epochs": 2, "batch": {"terms": 16}, "chunk": chunk}
    losscope.run(study(protocol=[protocol]), tmp_path / "out", jobs=1)
    assert rows_of(tmp_path / "out") == rows_of(trained)


def all_losses(**protocol: Any) -> Study:
    """Every loss in batches of classes x samples, some in variants that train in one stack."""
    batch = {"sampling": "customary", "partners": "batch", "classes": 3, "per_class": 4}
    varied = {"arcface": {"margin": [0.1, 0.5]}, "center_contrastive": {"momentum": [0.0, 0.9]}}
    return study(
        protocol=[{"name": "balanced", "model": {"widths": [8, 4]}, "epochs": 2, "batch": batch, **protocol}],
        loss=[{"name": name, **varied.get(name, {})} for name in LOSSES],
    )


@pytest.fixture(scope="module")
def all_trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("all") / "out"
    result = losscope.run(all_losses(), folder, jobs=1)
    assert {record.status for record in result.records} == {"done"}
    return folder


def test_a_study_of_all_losses_leaves_their_rows(all_trained: Path) -> None:
    records = [record for record in read_runs(all_trained) if record.loss != "none"]
    assert len(records) == 2 * (len(LOSSES) + 2)
    assert len({record.run for record in records}) == len(records)
    assert {record.updates for record in records} == {2 * 2}  # 32 inliers make two batches of 12
    assert {record.samples for record in records} == {2 * 2 * 12}
    last = read_measurements(all_trained).filter(pc.equal(read_measurements(all_trained)["epoch"], 2)).to_pylist()
    named = {(row["loss"], row["variant"], row["diagnostic"]) for row in last}
    for record in records:
        for diagnostic in ("loss", "gradient_norm", "gradient_share_90", "update_norm", "gradient_signal_fraction"):
            assert (record.loss, record.variant, diagnostic) in named
        trained_vectors = LOSSES[record.loss].proxies and "momentum=0.9" not in record.variant
        assert trained_vectors == ((record.loss, record.variant, "proxy_gradient_norm") in named)


def test_variants_in_one_stack_give_the_rows_of_each_alone(all_trained: Path, tmp_path: Path) -> None:
    losscope.run(all_losses(chunk=3), tmp_path / "out", jobs=1)
    assert len(groups_of(all_trained)) == len(LOSSES) + 2  # the margins of ArcFace together; and the inputs
    assert len(groups_of(tmp_path / "out")) == len(LOSSES) + 3
    assert rows_of(tmp_path / "out") == rows_of(all_trained)


def test_shuffled_labels_are_trained_on_but_not_measured_by(trained: Path, tmp_path: Path) -> None:
    """Before training all is as with the labels given; after it the classes are farther from compact."""
    batch, model = {"terms": 16}, {"widths": [8, 4]}
    given = [{"name": "short", "model": model, "epochs": 2, "batch": batch, "labels": "shuffled"}]
    losscope.run(study(protocol=given, loss=[{"name": "contrastive"}]), tmp_path / "out", jobs=1)

    def values(folder: Path, epoch: int) -> list[tuple[Any, ...]]:
        rows = rows_of(folder, loss="contrastive", split="heldout", epoch=epoch)
        return sorted((row[1:] for row in rows), key=repr)  # without the run, whose digest differs

    assert values(tmp_path / "out", 0) == values(trained, 0)
    assert values(tmp_path / "out", 2) != values(trained, 2)


def test_raised_seeds_train_only_the_new_ones(tmp_path: Path, trained: Path) -> None:
    folder = tmp_path / "out"
    losscope.run(study(), folder, jobs=1)
    before = groups_of(folder)
    result = losscope.run(study(seeds=3), folder, jobs=1)
    assert sorted(record.seed for record in result.records) == [2] * 4
    assert result.finished_before == 8
    after = groups_of(folder)
    assert {name: after[name] for name in before} == before
    assert read_json(folder / "study.json")["seeds"] == [0, 1, 2]
    for seed in (0, 1):
        assert rows_of(folder, seed=seed) == rows_of(trained, seed=seed)
    fewer = losscope.run(study(seeds=1), folder, jobs=1)
    assert fewer.records == ()
    assert read_json(folder / "study.json")["seeds"] == [0, 1, 2]
    assert len(read_json(folder / "manifest.json")["invocations"]) == 3


def test_added_seeds_are_what_they_would_have_been(tmp_path: Path) -> None:
    first, whole = tmp_path / "first", tmp_path / "whole"
    losscope.run(study(seeds=1), first, jobs=1)
    losscope.run(study(seeds=2), first, jobs=1)
    losscope.run(study(seeds=2), whole, jobs=1)
    assert rows_of(first) == rows_of(whole)


class Interrupted(BaseException):
    """As Ctrl-C."""


@pytest.mark.parametrize("seeds", [2, 3])
def test_an_interrupted_study_goes_on_with_the_membership_it_had(tmp_path: Path, trained: Path, seeds: int) -> None:
    def interrupting(planned: Plan) -> Progress:
        def progress(name: str, done: int, total: int) -> None:
            if "squared=false" in name and done == 1:
                raise Interrupted

        return progress

    folder = tmp_path / "out"
    with pytest.raises(Interrupted):
        losscope.run(study(), folder, jobs=1, progress=interrupting)
    begun = {path.parent.name: read_json(path)["seeds"] for path in folder.glob("groups/*/group.json")}
    done = groups_of(folder)
    assert 0 < len(done) < len(begun)
    losscope.run(study(seeds=seeds), folder, jobs=1)
    after = {path.parent.name: read_json(path)["seeds"] for path in folder.glob("groups/*/group.json")}
    assert {name: after[name] for name in begun} == begun
    assert {name: groups_of(folder)[name] for name in done} == done  # what was finished is not trained again
    assert len(read_runs(folder)) == 4 * seeds
    for seed in (0, 1):
        assert rows_of(folder, seed=seed) == rows_of(trained, seed=seed)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"loss": [{"name": "contrastive", "margin": 0.5}]}, "loss"),
        ({"name": "other"}, "name"),
        ({"data": [{"name": "synthetic", "classes": 3, "samples_per_class": 8, "dim": 8}]}, "data"),
        ({"protocol": [{"name": "short", "epochs": 3}]}, "protocol"),
    ],
)
def test_a_folder_with_another_study_is_refused_untouched(trained: Path, change: dict[str, Any], named: str) -> None:
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    with pytest.raises(InvalidStudy, match=f"holds another study: its {named} differ"):
        losscope.run(study(**change), trained, jobs=1)
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InvalidStudy, match="is not empty and holds no study"):
        losscope.run(study(), tmp_path, jobs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"loss": [{"name": "contrastiv"}]}, UnknownName, "did you mean 'contrastive'"),
        ({"loss": [{"name": "contrastive", "marginn": 1}]}, UnknownName, "did you mean 'margin'"),
        ({"loss": [{"name": "contrastive", "margin": -1}]}, InvalidStudy, "positive, finite"),
        ({"data": [{"name": "synthetik"}]}, UnknownName, "did you mean 'synthetic'"),
        ({"data": [{"name": "synthetic", "clases": 3}]}, UnknownName, "did you mean 'classes'"),
        ({"protocol": [{"name": "p", "model": {"name": "mpl"}}]}, UnknownName, "did you mean 'mlp'"),
        ({"protocol": [{"name": "p", "model": {"name": "convnet"}}]}, InvalidStudy, "needs images"),
        (
            {"protocol": [{"name": "p", "batch": {"sampling": "all_in_batch", "mining": "batch_hard"}}]},
            InvalidStudy,
            "mines triplets, but loss 'contrastive' has terms of another kind",
        ),
        (
            {"protocol": [{"name": "p", "batch": {"tuples_per_anchor": 2}}], "loss": [{"name": "sup_con"}]},
            InvalidStudy,
            r"draws 2 tuples for each anchor, but loss 'sup_con' has terms of another kind \(anchor\)",
        ),
        (
            {"data": [{"name": "digits"}], "protocol": [{"name": "p", "labels": "clean"}]},
            InvalidStudy,
            "has no split 'train_clean'",
        ),
    ],
)
def test_what_a_study_says_wrong_is_found_before_anything_is_written(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        losscope.run(study(**change), tmp_path / "out", jobs=1)
    assert not (tmp_path / "out").exists()


def test_a_dry_run_draws_the_data_of_a_seed_once_for_all_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    load = data.load

    def counted(name: str, **options: Any) -> data.Dataset:
        seeds.append(options["seed"])
        return load(name, **options)

    monkeypatch.setattr(data, "load", counted)
    protocols = [{"name": "a", "epochs": 2}, {"name": "b", "epochs": 4}]
    found = estimate(study(protocol=protocols), tmp_path, Place(), jobs=1)
    assert len(found.rows) == 6
    assert sorted(seeds) == [0, 0, 1, 1]  # to plan, and to time steps
    steps = {(row.protocol, row.loss): row.steps for row in found.rows}
    assert all(steps["b", loss] == 2 * steps["a", loss] for loss in ("contrastive", "triplet"))


def test_a_dry_run_counts_what_is_measured_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs with everything measured take longer than those with little, at equal steps."""
    monkeypatch.setattr(measuring, "_seconds", lambda rows: float(len(list(rows))))  # time itself depends on the day
    protocols = [{"name": "all", "epochs": 40}, {"name": "few", "epochs": 40, "evaluate_every": 40}]
    found = estimate(study(protocol=protocols, loss=[{"name": "contrastive"}]), tmp_path, Place(), jobs=1)
    steps = {row.protocol: row.steps for row in found.rows}
    seconds = {row.protocol: row.cpu_seconds for row in found.rows}
    assert steps["all"] == steps["few"]
    assert seconds["all"] > seconds["few"] > 0
    assert found.wall_seconds >= sum(seconds.values())


def test_an_unknown_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="device 'gpu' can't be used"):
        losscope.run(study(), tmp_path / "out", device="gpu", jobs=1)


def own_loss(z: Tensor, pairs: Pairs, *, weight: float = 1.0) -> LossTerms:
    gap = (z[pairs.first] - z[pairs.second]).square().sum(-1)
    return LossTerms(weight * (pairs.same * gap + ~pairs.same * (2 - gap).relu()), pairs.valid)


def test_a_loss_of_ones_own_is_trained_beside_the_others(tmp_path: Path) -> None:
    wanted = study(loss=[{"name": "mine", "weight": [1.0, 3.0]}, {"name": "contrastive"}], seeds=1)
    result = losscope.run(
        wanted, tmp_path / "out", losses={"mine": Loss(own_loss, kind="pair", saturates=True, reference="mine")}
    )
    assert {record.status for record in result.records} == {"done"}
    losses: pa.Table = read_measurements(tmp_path / "out")
    start = {
        row["variant"]: row["value"]
        for row in losses.to_pylist()
        if row["loss"] == "mine" and row["diagnostic"] == "loss" and row["epoch"] == 0
    }
    assert start["weight=3.0"] == pytest.approx(3 * start["weight=1.0"])

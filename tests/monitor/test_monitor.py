"""The monitor in plain loops: it changes nothing, and its numbers are those computed directly."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_metric_learning import losses as pml
from torch import Tensor, nn

import losscope
from losscope import diagnostics
from losscope.errors import InvalidInput
from losscope.monitor import LosscopeWarning, Monitor, every, never, tap
from losscope.table import read_measurements, read_runs

CLASSES, DIM = 6, 8
CRITERIA: dict[str, Callable[[], Any]] = {
    "contrastive": lambda: losscope.Criterion("contrastive"),
    "triplet, batch-hard": lambda: losscope.Criterion("triplet", mining="batch_hard"),
    "arcface": lambda: losscope.Criterion("arcface", classes=CLASSES, dim=DIM),
    "pml contrastive": lambda: pml.ContrastiveLoss(),
    "pml triplet": lambda: pml.TripletMarginLoss(),
    "pml proxy anchor": lambda: pml.ProxyAnchorLoss(CLASSES, DIM),
    "pml with a random sample of triplets": lambda: pml.TripletMarginLoss(triplets_per_anchor=2),
    "a function": lambda: lambda z, y: (z @ z.T * (y.unsqueeze(0) != y.unsqueeze(1))).mean(),
}


class Loop:
    """An ordinary training loop; `seen` keeps what each step had."""

    def __init__(self, criterion: Any) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, DIM))
        self.criterion = criterion
        own = list(criterion.parameters()) if isinstance(criterion, nn.Module) else []
        self.optimizer = torch.optim.Adam([*self.model.parameters(), *own], 1e-2)
        random = torch.Generator().manual_seed(1)
        self.labels = torch.randint(0, CLASSES, (300,), generator=random)
        self.inputs = (
            torch.randn(300, 12, generator=random) + 2 * torch.randn(CLASSES, 12, generator=random)[self.labels]
        )
        self.seen: list[dict[str, Tensor]] = []

    def epoch(self, steps: int = 7, between: Callable[[Tensor, Tensor, Tensor], None] | None = None) -> None:
        for _ in range(steps):
            chosen = torch.randint(0, 300, (32,))
            embeddings = nn.functional.normalize(self.model(self.inputs[chosen]), dim=-1)
            embeddings.retain_grad()
            loss = self.criterion(embeddings, self.labels[chosen])
            self.optimizer.zero_grad()
            loss.backward()
            assert embeddings.grad is not None
            self.seen.append(
                {
                    "z": embeddings.detach().clone(),
                    "g": embeddings.grad.clone(),
                    "y": self.labels[chosen],
                    "loss": loss.detach(),
                    "norm": torch.stack(
                        [one.grad.norm() for one in self.model.parameters() if one.grad is not None]
                    ).norm(),
                }
            )
            if between:
                between(embeddings, self.labels[chosen], loss)
            self.optimizer.step()

    @property
    def state(self) -> list[Tensor]:
        parts = [*self.model.state_dict().values(), torch.get_rng_state()]
        parts += [one for group in self.optimizer.state.values() for one in group.values()]
        if isinstance(self.criterion, nn.Module):
            parts += self.criterion.state_dict().values()
        return parts


def seeded(name: str) -> Any:
    torch.manual_seed(0)
    return CRITERIA[name]()


@pytest.mark.parametrize("name", CRITERIA)
def test_a_monitored_run_is_bit_identical(name: str) -> None:
    alone, watched = (Loop(seeded(name)) for _ in range(2))
    torch.manual_seed(5)
    alone.epoch()
    alone.epoch()
    expected = alone.state
    torch.manual_seed(5)
    monitor = Monitor(optimizer=watched.optimizer, strict=True, full=every(3))
    watched.criterion = tap(watched.criterion, monitor)
    watched.epoch()
    monitor.epoch(watched.inputs, watched.labels)
    watched.epoch()
    monitor.close()
    watched.criterion = alone.criterion if not isinstance(watched.criterion, nn.Module) else watched.criterion
    found = watched.state
    assert len(found) == len(expected)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert monitor.count == 14
    if isinstance(watched.criterion, nn.Module):
        assert not watched.criterion._forward_hooks
        assert not watched.criterion._forward_pre_hooks


@pytest.mark.parametrize("name", CRITERIA)
def test_numbers_are_those_computed_directly(name: str) -> None:
    loop = Loop(CRITERIA[name]())
    monitor = Monitor(optimizer=loop.optimizer, strict=True, full=every(2))
    loop.criterion = tap(loop.criterion, monitor)
    loop.epoch()
    monitor.close()
    assert len(monitor.lines) == len(loop.seen) == 7
    for line, seen in zip(monitor.lines, loop.seen, strict=True):
        z, g, y = seen["z"], seen["g"], seen["y"]
        norms = diagnostics.tangential_norms(g, z)
        statistics = [(z[y == c].double() - z[y == c].double().mean(0)).square().sum(-1).mean() for c in y.unique()
                      if (y == c).sum() > 1]  # fmt: skip
        expected = {
            "loss": seen["loss"].item(),
            "gradient_norm": seen["norm"].item(),
            "gradient_norm_embedding": g.norm().item(),
            "gradient_norm_embedding_tangential": norms.mean().item(),
            "gradient_share_90": diagnostics.gradient_share_90(norms).item(),
            "active_rows": (g != 0).any(-1).double().mean().item(),
            "batch_size": 32.0,
            "batch_classes": float(len(y.unique())),
            "intra_class_variance_batch": torch.stack(statistics).mean().item(),
        }
        if line["step"] % 2 == 0:
            expected["gradient_pull"] = diagnostics.gradient_pull(z, g, y).item()
            expected["effective_rank_batch"] = diagnostics.effective_rank(z).item()
        found = {key: line[key][0] for key in expected}
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_active_ratios_of_pml_are_those_of_its_terms() -> None:
    criterion = pml.ContrastiveLoss()
    loop = Loop(criterion)
    monitor = Monitor(criterion, strict=True)
    loop.epoch(3)
    monitor.close()
    for line, seen in zip(monitor.lines, loop.seen, strict=True):
        parts = criterion.compute_loss(seen["z"], seen["y"], None, seen["z"], seen["y"])
        positive, negative = (parts[side]["losses"] for side in ("pos_loss", "neg_loss"))
        assert line["active_ratio_positive"][0] == pytest.approx((positive > 1e-8).double().mean().item())
        assert line["active_ratio_negative"][0] == pytest.approx((negative > 1e-8).double().mean().item())
        assert line["active_ratio"][0] == pytest.approx((torch.cat([positive, negative]) > 1e-8).double().mean().item())


def test_active_ratios_are_the_packages_own_statistics() -> None:
    criterion = pml.TripletMarginLoss(margin=0.3)
    criterion.reducer.collect_stats = True
    loop = Loop(criterion)
    monitor = Monitor(criterion, strict=True)
    loop.epoch(3)
    monitor.close()
    terms = criterion.compute_loss(loop.seen[-1]["z"], loop.seen[-1]["y"], None, loop.seen[-1]["z"], loop.seen[-1]["y"])
    total = len(terms["loss"]["losses"])
    assert monitor.lines[-1]["active_ratio"] == [pytest.approx(criterion.reducer.num_past_filter / total)]


@pytest.mark.parametrize("name", ["triplet", "distance", "cosine"])
def test_activity_of_torchs_own_losses_is_that_of_their_formula(name: str) -> None:
    anchor, positive, negative = nn.functional.normalize(torch.randn(3, 16, DIM), dim=-1)
    target = torch.where(torch.arange(16) % 3 == 0, 1, -1)
    gaps = {
        "triplet": (anchor - positive + 1e-6).norm(dim=-1) - (anchor - negative + 1e-6).norm(dim=-1) + 0.2,
        "distance": (anchor - positive).square().sum(-1) - (anchor - negative).square().sum(-1) + 0.2,
        "cosine": torch.where(target > 0, 1.0, (anchor * positive).sum(-1) - 0.1),
    }
    criterion: Any = {
        "triplet": nn.TripletMarginLoss(0.2),
        "distance": nn.TripletMarginWithDistanceLoss(
            distance_function=lambda one, other: (one - other).square().sum(-1), margin=0.2
        ),
        "cosine": nn.CosineEmbeddingLoss(0.1),
    }[name]
    anchor.requires_grad_()
    with Monitor(criterion, strict=True) as monitor:
        criterion(anchor, positive, target if name == "cosine" else negative).backward()
    (line,) = monitor.lines
    active = (gaps[name] > 0).double()
    assert 0 < active.mean() < 1
    assert line["active_ratio"] == [pytest.approx(active.mean().item())]
    if name == "cosine":
        assert line["active_ratio_negative"] == [pytest.approx(active[target < 0].mean().item())]
        assert "batch_classes" not in line
    else:
        assert (line["batch_size"], line["batch_classes"]) == ([48.0], [16.0])


def test_a_criterion_that_nothing_is_trained_through_is_said() -> None:
    criterion = losscope.Criterion("contrastive")
    with pytest.warns(LosscopeWarning, match="no backward came through it"), Monitor(criterion):
        criterion(torch.randn(4, 3, requires_grad=True), torch.tensor([0, 0, 1, 1]))


def test_frozen_embeddings_under_trained_class_vectors() -> None:
    criterion = losscope.Criterion("arcface", classes=2, dim=3)
    with Monitor(criterion, batch=every(2), terms=never, full=never, strict=True) as monitor:
        for _ in range(4):
            criterion(torch.randn(4, 3), torch.tensor([0, 0, 1, 1])).backward()
    assert [line.keys() for line in monitor.lines] == [{"epoch", "step", "loss"}] * 4


def test_class_vectors_are_not_in_the_gradient_norm() -> None:
    loop = Loop(losscope.Criterion("arcface", classes=CLASSES, dim=DIM))
    monitor = Monitor(loop.criterion, optimizer=loop.optimizer, strict=True)
    loop.epoch(2)
    monitor.close()
    assert monitor.lines[0]["gradient_norm"][0] == pytest.approx(loop.seen[0]["norm"].item(), rel=1e-6)


def test_three_calls_do_what_a_tap_does() -> None:
    tapped, called = Loop(losscope.Criterion("triplet")), Loop(losscope.Criterion("triplet"))
    torch.manual_seed(3)
    first = Monitor(tapped.criterion, optimizer=tapped.optimizer, strict=True)
    tapped.epoch()
    first.close()
    torch.manual_seed(3)
    second = Monitor(strict=True)
    called.epoch(between=lambda z, y, loss: second.step(z, y, loss=loss, parameters=called.model.parameters()))
    second.close()
    for one, other in zip(first.lines, second.lines, strict=True):
        assert one.keys() - other.keys() == {"active_ratio"}  # three calls don't show the terms
        for key in other.keys() - {"epoch", "step"}:
            assert one[key][0] == pytest.approx(other[key][0])


def test_a_missing_gradient_is_said_and_training_goes_on() -> None:
    embeddings, labels = torch.randn(4, 3, requires_grad=True) * 2, torch.tensor([0, 0, 1, 1])
    with pytest.warns(LosscopeWarning, match=r"call embeddings.retain_grad\(\) before backward"):
        Monitor().step(embeddings, labels)
    with pytest.raises(InvalidInput, match="have no gradient"):
        Monitor(strict=True).step(embeddings, labels)


def test_skipped_steps_are_counted_and_not_observed() -> None:
    loop = Loop(losscope.Criterion("contrastive"))
    monitor = Monitor(loop.criterion, steps=every(3), strict=True)
    loop.epoch(7)
    monitor.close()
    assert [line["step"] for line in monitor.lines] == [0, 3, 6]
    silent = Loop(losscope.Criterion("contrastive"))
    monitor = Monitor(silent.criterion, steps=never, strict=True)
    silent.epoch(2)
    assert monitor.lines == []


def test_evaluation_is_not_training() -> None:
    loop = Loop(losscope.Criterion("contrastive"))
    monitor = Monitor(loop.criterion, strict=True)
    loop.epoch(2)
    with torch.no_grad():
        loop.criterion(loop.model(loop.inputs), loop.labels)
    loop.epoch(1)
    monitor.close()
    assert monitor.count == 3


def test_a_record_is_read_like_a_study(tmp_path: Path) -> None:
    for name in ("contrastive", "triplet"):
        loop = Loop(losscope.Criterion(name))
        with Monitor(loop.criterion, out=tmp_path / name, optimizer=loop.optimizer, strict=True) as monitor:
            monitor.epoch(loop.model(loop.inputs), loop.labels)
            for _ in range(2):
                loop.epoch()
                monitor.epoch(loop.model(loop.inputs), loop.labels)
    (run,) = read_runs(tmp_path / "triplet")
    assert (run.status, run.epochs, run.updates, run.samples, run.loss) == ("done", 2, 14, 14 * 32, "triplet")
    rows = read_measurements(tmp_path / "triplet").to_pylist()
    assert {row["epoch"] for row in rows if row["diagnostic"] == "recall_at_k"} == {0, 1, 2}
    losses = {row["epoch"]: row["value"] for row in rows if row["diagnostic"] == "loss"}
    assert losses[1] == pytest.approx(sum(seen["loss"].item() for seen in loop.seen[:7]) / 7)
    steps = read_measurements(tmp_path / "triplet", steps=True).to_pylist()
    assert {row["step"] for row in steps} == set(range(14))
    pages = losscope.write_report([tmp_path / "contrastive", tmp_path / "triplet"], tmp_path / "report")
    text = pages[1].read_text()
    assert "contrastive" in text
    assert "triplet" in text


def test_a_resumed_run_has_the_record_of_one_that_was_not_killed(tmp_path: Path) -> None:
    def rows(folder: Path) -> list[dict[str, Any]]:
        found = read_measurements(folder, steps=True).to_pylist() + read_measurements(folder).to_pylist()
        return [{key: value for key, value in row.items() if key != "run"} for row in found]

    def start(out: Path | None) -> tuple[Loop, Monitor]:
        loop = Loop(losscope.Criterion("contrastive"))
        torch.manual_seed(9)
        return loop, Monitor(loop.criterion, out=out, strict=True)

    loop, monitor = start(tmp_path / "whole")
    loop.epoch()
    monitor.epoch()
    loop.epoch(8)
    monitor.close()

    loop, monitor = start(tmp_path / "killed")
    loop.epoch()
    monitor.epoch()
    loop.epoch(3)
    state, rng = monitor.state_dict(), torch.get_rng_state()
    weights = {key: value.clone() for key, value in loop.model.state_dict().items()}
    optimizer = deepcopy(loop.optimizer.state_dict())
    loop.epoch(1)
    monitor.flush()  # what is written here is trained again
    resumed = Loop(losscope.Criterion("contrastive"))
    resumed.model.load_state_dict(weights)
    resumed.optimizer.load_state_dict(optimizer)
    again = Monitor(resumed.criterion, strict=True)
    again.load_state_dict(state)
    torch.set_rng_state(rng)
    resumed.epoch(5)
    again.close()
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")


def test_a_script_started_again_resumes_or_starts_its_record_again(tmp_path: Path) -> None:
    def start() -> tuple[Loop, Monitor]:
        loop = Loop(losscope.Criterion("contrastive"))
        return loop, Monitor(loop.criterion, out=tmp_path / "run", resume=True, strict=True)

    def seen() -> list[int]:
        return sorted({row["step"] for row in read_measurements(tmp_path / "run", steps=True).to_pylist()})

    loop, monitor = start()
    loop.epoch(4)
    state = monitor.state_dict()
    loop.epoch(2)
    monitor.close()
    assert seen() == [*range(6)]
    loop, monitor = start()
    monitor.load_state_dict(state)
    loop.epoch(1)
    monitor.close()
    assert seen() == [*range(5)]
    loop, monitor = start()  # without a state
    loop.epoch(2)
    monitor.close()
    assert seen() == [0, 1]
    with pytest.raises(InvalidInput, match="holds the record of another run or loss"):
        Monitor(out=tmp_path / "run", resume=True, loss="another")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note").write_text("mine")
    with pytest.raises(InvalidInput, match="holds no monitored run"):
        Monitor(out=tmp_path / "mine", resume=True)


def test_two_encoders_are_matched_rows() -> None:
    def criterion(first: Tensor, second: Tensor) -> Tensor:
        return nn.functional.cross_entropy(first @ second.T / 0.1, torch.arange(len(first)))

    torch.manual_seed(0)
    images, texts = nn.Linear(5, DIM), nn.Linear(7, DIM)
    monitor = Monitor(strict=True)
    watched = tap(criterion, monitor)
    first, second = images(torch.randn(9, 5)), texts(torch.randn(9, 7))
    watched(nn.functional.normalize(first), nn.functional.normalize(second)).backward()
    monitor.close()
    (line,) = monitor.lines
    assert (line["batch_size"], line["batch_classes"], line["batch_positive_share"]) == ([18.0], [9.0], [1.0])
    assert line["active_rows"] == [1.0]


def test_a_loss_that_is_not_finite_is_the_runs_status(tmp_path: Path) -> None:
    with Monitor(out=tmp_path / "run", strict=True) as monitor:
        for value in (1.0, math.nan):
            embeddings = torch.ones(4, 2, requires_grad=True)
            (embeddings.sum() * value).backward()
            monitor.step(embeddings, torch.tensor([0, 0, 1, 1]), loss=torch.tensor(value))
    (run,) = read_runs(tmp_path / "run")
    assert (run.status, run.diverged_at) == ("diverged", 1)


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(InvalidInput, match="is not empty"):
        Monitor(out=tmp_path)
    assert (tmp_path / "note").read_text() == "mine"


def test_loggers_get_scalars_by_step() -> None:
    class Logger:
        def __init__(self) -> None:
            self.told: dict[int, dict[str, float]] = {}

        def log(self, values: dict[str, float], step: int) -> None:
            self.told.setdefault(step, {}).update(values)

    logger = Logger()
    loop = Loop(losscope.Criterion("contrastive"))
    monitor = Monitor(loop.criterion, loggers=[logger], strict=True)
    loop.epoch(3)
    monitor.close()
    assert sorted(logger.told) == [0, 1, 2]
    assert logger.told[1]["loss"] == pytest.approx(loop.seen[1]["loss"].item())

"""From traces of steps to rows, lines and counts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from losscope.diagnostics import (
    active_ratio,
    active_ratio_negative,
    active_ratio_positive,
    gradient_norm_embedding,
    gradient_norm_tensor_mean,
    gradient_signal_fraction,
)
from losscope.diagnostics.gradients import tangential_norms
from losscope.losses.reductions import mean_over_valid
from losscope.training.records import GroupRecord
from losscope.training.seen import CONCENTRATION, activity, read
from losscope.training.traces import Counts, active_ratios, epoch_rows, history_rows, probe_loss_rows, step_lines
from losscope.types import Pairs
from stacks import COMBINATIONS, build, cell


@pytest.mark.parametrize(("loss", "sampling"), COMBINATIONS)
def test_a_step_traces_what_the_diagnostics_say(loss: str, sampling: str) -> None:
    stack = build(cell((0, 1), loss, sampling))
    for step in list(stack.sampler.epoch(1))[:3]:
        embeddings, terms, tuples, losses = stack.forward(step)
        by_embedding = torch.autograd.grad(losses.sum(), embeddings)[0]
        before = stack.parameters.detach().clone()
        trace = read([stack.train_step(step)])
        ratios = active_ratios(trace, pooled=False)
        torch.testing.assert_close(ratios["active_ratio"][0].float(), active_ratio(terms, runs=1))
        if isinstance(tuples, Pairs):
            for name, function in (("active_ratio_positive", active_ratio_positive),
                                   ("active_ratio_negative", active_ratio_negative)):  # fmt: skip
                torch.testing.assert_close(
                    ratios[name][0].float(), function(terms, tuples.same, runs=1), equal_nan=True
                )
        else:
            assert ratios.keys() == {"active_ratio"}
        if "balanced" not in sampling:
            torch.testing.assert_close(trace["loss"][0].float(), mean_over_valid(terms, runs=1).detach())
        assert trace["terms"][0].tolist() == terms.valid.flatten(1).sum(1).tolist()
        torch.testing.assert_close(trace["gradient_norm_embedding"][0].float(), gradient_norm_embedding(by_embedding))
        step_size = (stack.parameters.detach() - before).norm(dim=1) / before.norm(dim=1)
        torch.testing.assert_close(trace["update_ratio"][0].float(), step_size)


@pytest.mark.parametrize(("loss", "sampling"), COMBINATIONS)
def test_an_epoch_traces_how_gradients_of_its_steps_are_spread(loss: str, sampling: str) -> None:
    """Step by step and by the diagnostics' own functions, also where the last batch is smaller."""
    stack, twin = (build(cell((0, 1), loss, sampling)) for _ in range(2))
    found = stack.train_epoch(1)
    total, squares, steps = 0.0, 0.0, list(twin.sampler.epoch(1))
    for place, step in enumerate(steps):
        embeddings, _, _, losses = twin.forward(step)
        by_embedding, gradient = torch.autograd.grad(losses.sum(), (embeddings, twin.parameters))
        expected = {
            "gradient_norm_tensor_mean": gradient_norm_tensor_mean(twin.encoder.layers(gradient), runs=1),
            **{name: measure(tangential_norms(by_embedding, embeddings)) for name, measure in CONCENTRATION.items()},
        }
        for name, values in expected.items():
            torch.testing.assert_close(
                found[name][place].float(), values.detach().float(), rtol=1e-4, atol=1e-6, equal_nan=True
            )
        total, squares = total + gradient.double(), squares + gradient.double().square().sum(1)
        twin.train_step(step)
    signal = gradient_signal_fraction(torch.as_tensor(total), torch.as_tensor(squares), len(steps))
    torch.testing.assert_close(stack.signal_fraction(found), signal, rtol=1e-4, atol=1e-6)


def test_activity_counts_pairs_by_sign() -> None:
    stack = build(cell((0, 1), "contrastive", "all_in_batch"))
    _, terms, tuples, _ = stack.forward(next(iter(stack.sampler.epoch(1))))
    assert isinstance(tuples, Pairs)
    counts = activity(terms, tuples)
    for run in range(2):
        valid, active = terms.valid[run], terms.values[run] > 1e-8
        assert counts["terms"][run] == valid.sum()
        assert counts["active"][run] == (active & valid).sum()
        assert counts["terms_positive"][run] == (valid & tuples.same[run]).sum()
        assert counts["active_positive"][run] == (active & valid & tuples.same[run]).sum()


def trace(**values: list[list[float]]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(rows, dtype=torch.float64) for name, rows in values.items()}


def test_epoch_rows_are_means_over_steps_and_ratios_pool_over_terms() -> None:
    given = trace(
        loss=[[1.0, 2.0], [3.0, 6.0]], terms=[[64, 64], [16, 64]], active=[[64, 0], [0, 32]],
        terms_positive=[[32, 0], [8, 0]], active_positive=[[32, 0], [0, 0]],
    )  # fmt: skip
    rows = {(run, name): value for run, _, _, name, _, value in epoch_rows(given, 4)}
    assert rows[0, "loss"] == 2
    assert rows[1, "loss"] == 4
    assert rows[0, "active_ratio"] == 64 / 80
    assert rows[0, "active_ratio_positive"] == 32 / 40
    assert rows[0, "active_ratio_negative"] == 32 / 40
    assert math.isnan(rows[1, "active_ratio_positive"])  # no positive pair: undefined, not 0
    assert all(row[1] is None and row[2] == 4 and row[4] is None for row in epoch_rows(given, 4))


def test_a_step_without_gradient_is_left_out_of_the_mean_share() -> None:
    """Every hinge met: nobody has a share of nothing. A loss that is not a number stays one."""
    given = trace(loss=[[0.0, 1.0], [2.0, math.nan]], gradient_share_90=[[math.nan, 0.5], [0.25, math.nan]],
                  terms=[[4, 4], [4, 4]], active=[[0, 4], [4, 4]])  # fmt: skip
    rows = {(run, name): value for run, _, _, name, _, value in epoch_rows(given, 1)}
    assert rows[0, "gradient_share_90"] == 0.25
    assert rows[0, "loss"] == 1
    assert math.isnan(rows[1, "loss"])


def test_step_lines_go_on_counting() -> None:
    given = trace(loss=[[1.0, 2.0], [3.0, 6.0]], terms=[[4, 4], [4, 4]], active=[[4, 2], [1, 0]])
    lines = step_lines(given, epoch=3, first_step=10)
    assert lines == [
        {"epoch": 3, "step": 11, "loss": [1.0, 2.0], "active_ratio": [1.0, 0.5]},
        {"epoch": 3, "step": 12, "loss": [3.0, 6.0], "active_ratio": [0.25, 0.0]},
    ]


def test_probe_rows_are_the_mean_loss() -> None:
    rows = list(probe_loss_rows(trace(loss=[[1.0, 2.0], [3.0, 6.0]]), 7))
    assert rows == [(0, None, 7, "loss_probe", None, 2.0), (1, None, 7, "loss_probe", None, 4.0)]


def test_the_probe_is_the_same_batches_each_time() -> None:
    stack = build(cell((0, 1), "triplet"))
    first = stack.measure_epoch(0, 2)
    assert len(first["loss"]) == 2
    assert torch.equal(stack.measure_epoch(0, 2)["loss"], first["loss"])
    stack.train_epoch(1)
    assert not torch.equal(stack.measure_epoch(0, 2)["loss"], first["loss"])


def test_counts_add_up_and_survive_a_checkpoint() -> None:
    counts = Counts.start(2)
    good = trace(loss=[[1.0, 1.0]] * 3, gradient_norm=[[1.0, 1.0]] * 3, terms=[[5, 4]] * 3)
    bad = trace(loss=[[1.0, 1.0]] * 3, gradient_norm=[[1.0, 1.0], [1.0, math.inf], [1.0, 1.0]], terms=[[5, 4]] * 3)
    counts.add(1, good, 30)
    counts = Counts(**json.loads(json.dumps(counts.document())))
    counts.add(2, bad, 60)
    counts.add(3, bad, 90)
    assert counts.outcome(0) == {
        "status": "done", "epochs": 3, "updates": 9, "samples": 90, "terms": 45, "diverged_at": None,
    }  # fmt: skip
    assert counts.outcome(1) == {
        "status": "diverged", "epochs": 3, "updates": 9, "samples": 90, "terms": 36, "diverged_at": 5,
    }  # fmt: skip


def test_history_rows_tell_decay_and_compaction(tmp_path: Path) -> None:
    record = GroupRecord(tmp_path, {})
    for epoch, (losses, ratio) in enumerate([((1.0, 1.0), 1.0), ((0.5, 0.9), 0.5), ((0.05, 0.8), 0.25)]):
        rows = [(run, None, epoch, "loss", None, loss) for run, loss in enumerate(losses)]
        rows += [(0, split, epoch, "intra_inter_ratio", None, ratio) for split in ("train", "test")]
        if epoch < 2:  # run 1 has diverged by then
            rows.append((1, "test", epoch, "intra_inter_ratio", None, ratio))
        record.append(epoch, rows)
    found = {row[:2] + row[3:4]: row[5] for row in history_rows(record, 2, 2, ["train", "test"])}
    assert found == {
        (0, None, "loss_decay_epoch"): 2,
        (1, None, "loss_decay_epoch"): None,
        (0, "test", "compaction_epoch"): 1.0,
        (0, "test", "compaction_area"): 0.5,
    }


@pytest.mark.parametrize("steps", [16, 33, 132])
def test_means_of_an_epoch_have_the_same_bits_however_many_runs_are_stacked(steps: int) -> None:
    random = torch.Generator().manual_seed(steps)
    loss, share = torch.rand(2, steps, 20, generator=random, dtype=torch.float64)
    share[::7] = torch.nan
    counts = torch.ones(steps, 20, dtype=torch.float64)
    trace = {"loss": loss, "gradient_share_90": share, "active": counts, "terms": counts}
    stacked = list(epoch_rows(trace, 1))
    for run in range(20):
        alone = epoch_rows({name: values[:, run : run + 1].contiguous() for name, values in trace.items()}, 1)
        assert [row[1:] for row in alone] == [row[1:] for row in stacked if row[0] == run]

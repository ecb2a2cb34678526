"""What the lines of a monitor show, and a monitor that says it once."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import losscope
from doctor.gallery import Encoder, SupContrast, batches
from losscope.doctor import watch
from losscope.doctor.live import EARLY, LASTING, LIVE


def lines(count: int = 4, first: int = 0, **scalars: float) -> list[dict[str, Any]]:
    return [
        {"step": first + step, "epoch": 1} | {name: [value] for name, value in scalars.items()} for step in range(count)
    ]


HEALTHY = {
    "loss": 0.4, "gradient_norm_embedding": 0.1, "batch_negative_share": 1.0, "batch_positive_share": 1.0,
    "intra_class_variance_batch": 0.2, "inter_class_squared_distance_batch": 0.5, "gradient_norm": 1.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "scalars"),
    [
        ("single-class-batches", {"batch_negative_share": 0.0}),
        ("no-positives", {"batch_positive_share": 0.0}),
        ("not-finite", {"loss": math.nan}),
        ("not-finite", {"gradient_norm_embedding": math.inf}),
        ("zero-gradient", {"gradient_norm_embedding": 0.0}),
        ("collapsed", {"intra_class_variance_batch": 1e-6, "inter_class_squared_distance_batch": 1e-6}),
    ],
)
def test_what_lines_show_is_named(code: str, scalars: dict[str, float]) -> None:
    assert watch(lines(30, **HEALTHY)) == ()
    (found,) = watch(lines(30, **HEALTHY | scalars))
    assert (found.code, found.outcome) == (code, "issue")
    assert code in LIVE


def test_a_gradient_that_explodes_is_named_by_its_step() -> None:
    (found,) = watch([*lines(**HEALTHY), *lines(1, 4, **HEALTHY | {"gradient_norm": 5000.0})])
    assert found.code == "exploding-gradient"
    assert "step 4" in found.evidence[0]


def test_steps_that_a_scaler_skips_are_no_fault() -> None:
    skipped = lines(**HEALTHY | {"gradient_norm_embedding": math.inf})
    assert watch(skipped)[0].code == "not-finite"
    assert watch(skipped, scaled=True) == ()
    assert watch(lines(**HEALTHY | {"loss": math.nan}), scaled=True)[0].code == "not-finite"


def test_shares_need_several_steps_and_a_majority() -> None:
    assert watch(lines(2, **HEALTHY | {"batch_negative_share": 0.0})) == ()
    half = [*lines(2, **HEALTHY), *lines(2, 2, **HEALTHY | {"batch_negative_share": 0.0})]
    assert watch(half) == ()
    assert watch([*half, *lines(1, 4, **HEALTHY | {"batch_negative_share": 0.0})])[0].evidence == (
        "3 of 5 steps (60 %) had a batch of a single class: no negatives, first step 2.",
    )


def test_class_vectors_need_no_positives_and_late_silence_is_no_fault() -> None:
    assert (
        watch(lines(**HEALTHY | {"batch_positive_share": 0.0}), losscope.Criterion("arcface", classes=8, dim=8)) == ()
    )
    assert watch(lines(4, EARLY, **HEALTHY | {"gradient_norm_embedding": 0.0})) == ()


def test_a_network_that_starts_from_one_point_is_given_time() -> None:
    point = {"intra_class_variance_batch": 1e-6, "inter_class_squared_distance_batch": 1e-6}
    assert watch(lines(LASTING - 1, **HEALTHY | point)) == ()
    assert watch([*lines(40, **HEALTHY | point), *lines(1, 40, **HEALTHY)]) == ()


def test_classes_that_collapse_each_by_itself_are_no_fault() -> None:
    assert watch(lines(30, **HEALTHY | {"intra_class_variance_batch": 1e-6})) == ()


@pytest.mark.parametrize(
    ("criterion", "loss", "name"),
    [
        (losscope.Criterion("triplet", margin=0.3), 0.3, "its margin 0.3"),
        (nn.SoftMarginLoss(), math.log(2), "ln 2 (soft margin)"),
        (SupContrast(), math.log(127) / 0.7, "log(127) x 1.429 (temperature / base temperature)"),  # 6.920
    ],
)
def test_collapse_is_told_by_its_closed_form(criterion: nn.Module, loss: float, name: str) -> None:
    point = {"intra_class_variance_batch": 1e-6, "inter_class_squared_distance_batch": 1e-6, "batch_size": 128.0}
    (found,) = watch(lines(LASTING, **HEALTHY | point | {"loss": loss}), criterion)
    assert f"the loss is {loss:.4g}, {name}: all embeddings are one point" in found.evidence[0]


def test_what_was_not_measured_is_not_judged() -> None:
    assert watch(lines(loss=0.3)) == ()
    assert watch([]) == ()


def train(labels: list[list[int]], criterion: Any, **options: Any) -> tuple[losscope.Monitor, Encoder]:
    torch.manual_seed(0)
    model = Encoder()
    optimizer = torch.optim.Adam(model.parameters())
    with losscope.Monitor(criterion, **options) as monitor:
        for inputs, of in batches(labels):
            loss: Tensor = criterion(model(inputs), of)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return monitor, model


def test_a_monitor_says_once_what_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "losscope"):
        monitor, _ = train([[0] * 6] * 6, losscope.Criterion("triplet"))
    assert [one.code for one in monitor.findings] == ["single-class-batches", "zero-gradient"]
    assert [record.getMessage().split("\n")[0] for record in caplog.records] == [
        "issue: single-class-batches", "issue: zero-gradient",
    ]  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"doctor": False}])
def test_a_healthy_run_is_silent_and_so_is_one_without_doctor(
    options: dict[str, bool], caplog: pytest.LogCaptureFixture
) -> None:
    labels = [[0] * 6] * 6 if options else [[0, 0, 1, 1, 2, 2]] * 6
    with caplog.at_level(logging.WARNING, "losscope"):
        monitor, _ = train(labels, losscope.Criterion("triplet"), **options)
    assert monitor.findings == []
    assert caplog.records == []


def test_class_vectors_are_watched_without_asking_for_positives() -> None:
    criterion = losscope.Criterion("arcface", classes=8, dim=8, scale=8.0)
    monitor, _ = train([[0, 1, 2, 3], [4, 5, 6, 7]] * 3, criterion)
    assert monitor.findings == []


def test_the_doctor_changes_nothing_in_training() -> None:
    weights = [
        train([[0, 0, 1, 1]] * 4, losscope.Criterion("triplet"), doctor=on)[1].state_dict() for on in (True, False)
    ]
    assert all(torch.equal(one, other) for one, other in zip(weights[0].values(), weights[1].values(), strict=True))

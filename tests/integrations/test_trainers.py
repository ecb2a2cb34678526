"""Trainers of pytorch-metric-learning, loops of accelerate, TensorBoard: monitored or not, the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import losscope
from losscope.errors import InvalidInput
from losscope.monitor import Monitor
from losscope.table import read_measurements, read_runs

INPUTS, LABELS = torch.randn(24, 6, generator=torch.Generator().manual_seed(0)), torch.arange(24) % 3


def pml_trained(watched: bool) -> tuple[list[torch.Tensor], Monitor | None]:
    from pytorch_metric_learning import losses, trainers

    from losscope.integrations.pml_trainer import monitored

    torch.manual_seed(0)
    trunk = nn.Linear(6, 4)
    ended: list[int] = []
    trainer = trainers.MetricLossOnly(
        models={"trunk": trunk}, optimizers={"trunk_optimizer": torch.optim.Adam(trunk.parameters(), 1e-2)},
        batch_size=8, loss_funcs={"metric_loss": losses.ContrastiveLoss()}, dataset=TensorDataset(INPUTS, LABELS),
        data_device="cpu", dtype=torch.float32, dataloader_num_workers=0, end_of_epoch_hook=lambda one: ended.append(one.epoch),
    )  # fmt: skip
    monitor = monitored(trainer, strict=True) if watched else None
    trainer.train(num_epochs=2)
    if monitor:
        monitor.close()
    assert ended == [1, 2]
    return [*trunk.state_dict().values(), torch.get_rng_state()], monitor


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True:UserWarning")
def test_a_trainer_of_pml() -> None:
    alone, _ = pml_trained(watched=False)
    seen, monitor = pml_trained(watched=True)
    assert all(torch.equal(one, other) for one, other in zip(alone, seen, strict=True))
    assert monitor is not None
    assert (monitor.count, monitor.epochs, monitor.identity.loss) == (6, 2, "ContrastiveLoss")
    assert {"active_ratio_positive", "gradient_norm_embedding"} <= monitor.lines[0].keys()


def test_a_trainer_without_the_loss_is_refused() -> None:
    from losscope.integrations.pml_trainer import monitored

    with pytest.raises(InvalidInput, match="none is called 'metric_loss'"):
        monitored(nn.Linear(1, 1))


def accelerated(watched: bool) -> tuple[list[torch.Tensor], Monitor | None]:
    from accelerate import Accelerator

    from losscope.integrations.accelerate import monitored

    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    torch.manual_seed(0)
    criterion = losscope.Criterion("contrastive", margin=2.0)
    model = nn.Linear(6, 4)
    model, optimizer = accelerator.prepare(model, torch.optim.Adam(model.parameters(), 1e-2))
    monitor = monitored(accelerator, criterion, strict=True) if watched else None
    for rows in torch.arange(24).split(8):
        with accelerator.accumulate(model):
            accelerator.backward(criterion(model(INPUTS[rows]), LABELS[rows]))
            optimizer.step()
            optimizer.zero_grad()
    if monitor:
        monitor.close()
    return [*model.state_dict().values(), torch.get_rng_state()], monitor


def test_a_loop_of_accelerate() -> None:
    alone, _ = accelerated(watched=False)
    seen, monitor = accelerated(watched=True)
    assert all(torch.equal(one, other) for one, other in zip(alone, seen, strict=True))
    assert monitor is not None
    assert monitor.count == 3
    assert monitor.scaler is False


def test_a_checkpoint_of_accelerate_goes_on_in_the_record(tmp_path: Path) -> None:
    from accelerate import Accelerator

    from losscope.integrations.accelerate import monitored

    def steps(monitor: Monitor, criterion: nn.Module, count: int) -> None:
        for rows in torch.arange(24).split(8)[:count]:
            criterion(INPUTS[rows].clone().requires_grad_(), LABELS[rows]).backward()
        monitor.epoch()

    criterion = losscope.Criterion("contrastive", margin=2.0)
    accelerator = Accelerator(cpu=True)
    monitor = monitored(accelerator, criterion, out=tmp_path / "run", resume=True, strict=True)
    steps(monitor, criterion, 3)
    accelerator.save_state(str(tmp_path / "checkpoint"))
    steps(monitor, criterion, 2)  # killed here: trained again
    criterion = losscope.Criterion("contrastive", margin=2.0)
    accelerator = Accelerator(cpu=True)
    again = monitored(accelerator, criterion, out=tmp_path / "run", resume=True, strict=True)
    accelerator.load_state(str(tmp_path / "checkpoint"))
    assert (again.count, again.epochs) == (3, 1)
    steps(again, criterion, 1)
    again.close()
    rows = read_measurements(tmp_path / "run", steps=True).to_pylist()
    assert [row["step"] for row in rows if row["diagnostic"] == "loss"] == [0, 1, 2, 3]
    (run,) = read_runs(tmp_path / "run")
    assert (run.updates, run.epochs, run.samples) == (4, 2, 32)


def test_tensorboard_gets_what_the_monitor_measures(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from losscope.integrations.tensorboard import TensorBoard

    logger: Any = TensorBoard(tmp_path)
    criterion = losscope.Criterion("contrastive", margin=2.0)
    with Monitor(criterion, loggers=[logger], strict=True) as monitor:
        for rows in torch.arange(24).split(8):
            criterion(INPUTS[rows].clone().requires_grad_(), LABELS[rows]).backward()
    logger.close()
    written = EventAccumulator(str(tmp_path)).Reload()
    assert [one.step for one in written.Scalars("loss")] == [0, 1, 2]
    assert [one.value for one in written.Scalars("loss")] == pytest.approx([line["loss"][0] for line in monitor.lines])

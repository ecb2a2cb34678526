"""The Lightning callback: a fit with it is bit-identical, and its gradients are of before clipping."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import losscope
from losscope.integrations.lightning import MonitorCallback
from losscope.monitor import Monitor
from losscope.table import read_measurements, read_runs

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning.*"),
]


class Module(LightningModule):
    """An encoder as users write it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.1), nn.Linear(8, 4))
        self.criterion = losscope.Criterion("contrastive", margin=2.0)
        self.norms: list[float] = []

    def training_step(self, batch: list[Tensor], index: int) -> dict[str, Tensor]:
        embeddings = self.encoder(batch[0])
        embeddings.retain_grad()
        self.last = embeddings
        return {"loss": self.criterion(embeddings, batch[1]), "embeddings": embeddings, "labels": batch[1]}

    def validation_step(self, batch: list[Tensor], index: int) -> dict[str, Tensor]:
        return {"embeddings": self.encoder(batch[0]), "labels": batch[1]}

    def on_after_backward(self) -> None:
        self.norms.append(torch.stack([one.grad.norm() for one in self.encoder.parameters()]).norm().item())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 1e-2)


def fit(tmp_path: Path, callbacks: list[Any], tapped: Monitor | None = None, epochs: int = 2, **options: Any) -> Module:
    module = Module()
    if tapped is not None:
        losscope.tap(module.criterion, tapped)
    random = torch.Generator().manual_seed(1)
    data = TensorDataset(torch.randn(24, 6, generator=random), torch.arange(24) % 3)
    trainer = Trainer(
        max_epochs=epochs, callbacks=callbacks, gradient_clip_val=0.01, logger=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", default_root_dir=tmp_path, enable_checkpointing=False, num_sanity_val_steps=1,
    )  # fmt: skip
    torch.manual_seed(3)
    trainer.fit(module, DataLoader(data, 8, shuffle=True), DataLoader(data, 24), **options)
    module.state = torch.get_rng_state()  # type: ignore[assignment]
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    return module


@pytest.mark.parametrize("tapped", [False, True])
def test_a_fit_is_bit_identical_and_gradients_are_of_before_clipping(tmp_path: Path, tapped: bool) -> None:
    alone = fit(tmp_path, [])
    monitor = Monitor(out=tmp_path / "run", loss="contrastive", strict=True)
    callback = MonitorCallback(monitor, embeddings="none" if tapped else "embeddings")
    watched = fit(tmp_path, [callback], monitor if tapped else None)
    for one, other in zip(alone.state_dict().values(), watched.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(alone.state, watched.state)
    assert "training_step" not in watched.__dict__
    assert [line["gradient_norm"][0] for line in monitor.lines] == pytest.approx(watched.norms)
    assert monitor.lines[-1]["gradient_norm_embedding"][0] == pytest.approx(watched.last.grad.norm().item())
    assert (monitor.count, monitor.epochs) == (6, 2)
    assert (any(row[3] == "recall_at_k" for row in monitor.rows)) is not tapped
    assert (tmp_path / "run" / "groups").is_dir()


def test_a_resumed_fit_goes_on_in_the_record(tmp_path: Path) -> None:
    fit(tmp_path, [MonitorCallback(Monitor(out=tmp_path / "run", strict=True))], epochs=1)
    again = Monitor(strict=True)
    fit(tmp_path, [MonitorCallback(again)], ckpt_path=tmp_path / "last.ckpt", weights_only=False)
    assert (again.count, again.epochs) == (6, 2)
    assert {row["step"] for row in read_measurements(tmp_path / "run", steps=True).to_pylist()} == set(range(6))


TWO_PROCESSES = """
import sys
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, TensorDataset
from integrations.test_lightning import Module
from losscope.integrations.lightning import MonitorCallback
from losscope.monitor import Monitor

if __name__ == "__main__":
    data = TensorDataset(torch.randn(24, 6), torch.arange(24) % 3)
    monitor = Monitor(out=sys.argv[1], loss="contrastive", gather=True, strict=True)
    trainer = Trainer(max_epochs=1, callbacks=[MonitorCallback(monitor)], accelerator="cpu", devices=2, strategy="ddp",
                      logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False)
    trainer.fit(Module(), DataLoader(data, 6), DataLoader(data, 24))
    print(trainer.global_rank, monitor.count, [line["batch_size"] for line in monitor.lines])
"""


def test_two_processes_of_a_fit_are_one_record(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(TWO_PROCESSES)
    beside = {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(tmp_path / "run")], env={**os.environ, **beside},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert {"0 2 [[12.0], [12.0]]", "1 2 []"} <= {*ended.stdout.splitlines()}
    (run,) = read_runs(tmp_path / "run")
    assert (run.updates, run.epochs, run.status) == (2, 1, "done")
    assert "rank 0 of 2, the rows of all" in (tmp_path / "run" / "manifest.json").read_text()

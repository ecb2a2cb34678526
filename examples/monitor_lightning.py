"""A Lightning fit, watched: the training step returns embeddings and labels beside its loss.

Run it:  python examples/monitor_lightning.py [folder]
"""

from __future__ import annotations

import logging
import sys

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import losscope
from losscope import data
from losscope.integrations.lightning import MonitorCallback


class Encoder(LightningModule):
    """A small encoder under a triplet loss."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16))
        self.criterion = losscope.Criterion("triplet", margin=0.2, squared=True, normalize=True)

    def training_step(self, batch: list[Tensor], index: int) -> dict[str, Tensor]:
        embeddings = self.network(batch[0])
        return {"loss": self.criterion(embeddings, batch[1]), "embeddings": embeddings, "labels": batch[1]}

    def validation_step(self, batch: list[Tensor], index: int) -> dict[str, Tensor]:
        return {"embeddings": self.network(batch[0]), "labels": batch[1]}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def main(out: str | None = None) -> losscope.Monitor:
    """Fit for two epochs on the embedded digits."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.manual_seed(0)
    train, test = (
        TensorDataset(torch.from_numpy(split.inputs).flatten(1), torch.from_numpy(split.labels))
        for split in (data.load("digits").splits[name] for name in ("train", "test"))
    )
    monitor = losscope.Monitor(out=out, loss="triplet")
    trainer = Trainer(
        max_epochs=2, callbacks=[MonitorCallback(monitor)], accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, gradient_clip_val=1.0,
    )  # fmt: skip
    trainer.fit(Encoder(), DataLoader(train, 64, shuffle=True), DataLoader(test, 256))
    return monitor


if __name__ == "__main__":
    monitor = main(*sys.argv[1:])
    recall = [row[5] for row in monitor.rows if row[3:5] == ("recall_at_k", 1)]
    print(f"{monitor.count} steps, Recall@1 {recall[0]:.3f} -> {recall[-1]:.3f}")

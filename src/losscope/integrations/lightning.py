"""A Lightning callback that monitors training: `Trainer(callbacks=[MonitorCallback(losscope.Monitor(...))])`.

Embeddings and labels come from what `training_step` returns, `{"loss": ..., "embeddings": ..., "labels": ...}`, or from
a criterion that the monitor has tapped. Gradients are those of backward, before any clipping; the norm of all parameters'
gradients too. `validation_step` may return embeddings and labels for the measures of an epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from losscope.errors import MissingDependency
from losscope.monitor import Monitor

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError:
    raise MissingDependency.of("lightning", "lightning", "the Lightning callback") from None


class MonitorCallback(Callback):
    """Hands a Lightning run to `monitor`, which closes with the fit.

    embeddings, labels   keys of the training and the validation step's output
    split                what the validation data are called in the record

    Its state is in Lightning's checkpoints: a resumed fit goes on in the same record.
    """

    def __init__(
        self, monitor: Monitor, *, embeddings: str = "embeddings", labels: str = "labels", split: str = "heldout"
    ) -> None:
        self.monitor, self.split = monitor, split
        self._embeddings, self._labels = embeddings, labels
        self._parameters: list[Tensor] = []
        self._collected: list[tuple[Tensor, Tensor]] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See what the training step returns before backward runs."""
        self.monitor.run_as(trainer.global_rank, trainer.world_size)
        if self.monitor.scaler is None:
            self.monitor.scaler = getattr(trainer.precision_plugin, "scaler", None) or False
        self._parameters = self.monitor.encoders_of(pl_module.parameters())
        step = pl_module.training_step

        @wraps(step)
        def watched(*arguments: Any, **keywords: Any) -> Any:
            output = step(*arguments, **keywords)
            if isinstance(output, Mapping) and self._embeddings in output:
                self.monitor.watch(output[self._embeddings], output.get(self._labels), loss=output.get("loss"))
            return output

        pl_module.__dict__["training_step"] = watched

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Measure the norm of the parameters' gradient, before clipping."""
        self.monitor.step(parameters=self._parameters)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:  # fmt: skip
        """Keep embeddings and labels for the end of the epoch."""
        if isinstance(outputs, Mapping) and self._embeddings in outputs and not trainer.sanity_checking:
            self._collected.append((outputs[self._embeddings].detach(), outputs[self._labels]))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the monitor's epoch, with the embeddings of its validation."""
        collected, self._collected = self._collected, []
        if collected:
            embeddings, labels = (torch.cat(parts) for parts in zip(*collected, strict=True))
            self.monitor.epoch(embeddings, labels, split=self.split)
        else:
            self.monitor.epoch()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the module as it was, and close."""
        pl_module.__dict__.pop("training_step", None)
        self.monitor.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """The same after a failure: what was measured is kept."""
        self.on_fit_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """The monitor's."""
        return self.monitor.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the checkpoint was taken."""
        self.monitor.load_state_dict(state_dict)

"""A callback for trainers of transformers and sentence-transformers, beside a criterion that the monitor has tapped.

These trainers clip gradients before any callback sees them (`max_grad_norm` is 1 unless set), so a norm that is read
there is 1 whenever it matters. Embeddings' gradients are seen by the tap, before that; the norm of the parameters'
gradient is taken from the trainer's own log, `grad_norm`, which is of before clipping: at steps that are logged.
Don't give such a monitor the optimizer.
"""

from __future__ import annotations

from typing import Any

from losscope.errors import MissingDependency
from losscope.monitor import Monitor

try:
    from transformers import TrainerCallback
except ImportError:
    raise MissingDependency.of("transformers", "transformers", "the callback for its Trainer") from None


class MonitorCallback(TrainerCallback):
    """Ends epochs of `monitor`, reads the trainer's gradient norm and closes with the training."""

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **beside: Any) -> None:
        """Take the gradient norm of the step just done."""
        if logs and "grad_norm" in logs:
            self.monitor.note(gradient_norm=float(logs["grad_norm"]))

    def on_epoch_end(self, args: Any, state: Any, control: Any, **beside: Any) -> None:
        """End the monitor's epoch."""
        self.monitor.epoch()

    def on_train_end(self, args: Any, state: Any, control: Any, **beside: Any) -> None:
        """Close."""
        self.monitor.close()

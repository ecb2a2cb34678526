"""One call that monitors a trainer of pytorch-metric-learning: `monitored(trainer, out="runs/first")`.

All its loss functions are tapped; its epochs are the monitor's. Hooks that the trainer has are called as before.
"""

from __future__ import annotations

from typing import Any

from losscope.errors import InvalidInput
from losscope.monitor import Monitor, tap


def monitored(trainer: Any, *, loss: str = "metric_loss", **options: Any) -> Monitor:
    """A monitor of the trainer's loss function of this name; `options` are those of `losscope.Monitor`.

    Raises InvalidInput where there is no such loss function. Close it after `trainer.train()`.
    """
    known = getattr(trainer, "loss_funcs", {})
    if loss not in known:
        raise InvalidInput(f"the trainer has loss functions {sorted(known)}; none is called {loss!r}")
    monitor = Monitor(**{"loss": type(known[loss]).__name__, **options})
    tap(known[loss], monitor)
    before = trainer.end_of_epoch_hook

    def ended(trained: Any) -> Any:
        monitor.epoch()
        return before(trained)

    trainer.end_of_epoch_hook = ended
    return monitor

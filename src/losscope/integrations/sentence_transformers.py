"""One call that monitors a trainer of sentence-transformers: `monitored(trainer, out="runs/first")`.

The loss there encodes the sentences itself; the monitor taps both. Columns of matched texts (anchor, positive, ...) are
matched rows; a single column with labels has classes.

    monitor = monitored(trainer, out="runs/first", resume=True)
    trainer.train(resume_from_checkpoint=...)                       # goes on in the record, as the trainer in its training
"""

from __future__ import annotations

from typing import Any

from losscope.errors import InvalidInput
from losscope.integrations.transformers import MonitorCallback
from losscope.monitor import Monitor, tap


def monitored(trainer: Any, **options: Any) -> Monitor:
    """A monitor of all losses of a SentenceTransformerTrainer; `options` are those of `losscope.Monitor`.

    Raises InvalidInput for a trainer without a loss.
    """
    loss = getattr(trainer, "loss", None)
    if loss is None:
        raise InvalidInput(f"a {type(trainer).__name__} has no loss; expected a SentenceTransformerTrainer with one")
    losses = list(loss.values()) if isinstance(loss, dict) else [loss]
    if "scaler" not in options:
        options["scaler"] = getattr(trainer.accelerator, "scaler", None) or False
    monitor = Monitor(**{"loss": type(losses[0]).__name__, **options})
    for one in losses:
        tap(one, monitor)
    trainer.add_callback(MonitorCallback(monitor))
    return monitor

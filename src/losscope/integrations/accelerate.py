"""One call that monitors a loop of accelerate: `monitored(accelerator, criterion, out="runs/first")`.

`accelerator.backward(loss)` divides by `gradient_accumulation_steps` before backward, so gradients are 1/k of those of
the loss that is recorded. Where each process has its own batch, the first monitor sees its own and writes; with
`gather=True` it sees the rows of all.

The monitor is registered for checkpoints: `accelerator.save_state()` holds its state, and `load_state()` goes on in the
same record, where the monitor was made with `resume=True`.
"""

from __future__ import annotations

from typing import Any

from losscope.monitor import Monitor


def monitored(accelerator: Any, criterion: Any, **options: Any) -> Monitor:
    """A monitor of `criterion` with the accelerator's scaler; `options` are those of `losscope.Monitor`."""
    if "scaler" not in options:
        options["scaler"] = getattr(accelerator, "scaler", None) or False
    monitor = Monitor(criterion, **options)
    accelerator.register_for_checkpointing(monitor)
    return monitor

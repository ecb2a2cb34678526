"""A callback for trainers of transformers and sentence-transformers, beside a criterion that the monitor has tapped.

These trainers clip gradients before any callback sees them (`max_grad_norm` is 1 unless set), so a norm that is read
there is 1 whenever it matters. Embeddings' gradients are seen by the tap, before that; the norm of the parameters'
gradient is taken from the trainer's own log, `grad_norm`, which is of before clipping: at steps that are logged.
Don't give such a monitor the optimizer.

The monitor's state is in the trainer's checkpoints. With `Monitor(out=..., resume=True)` the same script, started again
with `trainer.train(resume_from_checkpoint=...)`, goes on in the same record, with or without
`restore_callback_states_from_checkpoint`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from losscope.errors import InvalidInput, MissingDependency
from losscope.monitor import Monitor

try:
    from transformers import TrainerCallback
    from transformers.trainer_callback import ExportableState
except ImportError:
    raise MissingDependency.of("transformers", "transformers", "the callback for its Trainer") from None

_MONITORS: WeakValueDictionary[str, Monitor] = WeakValueDictionary()
"""By the name of the run: a trainer that restores callbacks makes new ones from what JSON can hold."""


class MonitorCallback(TrainerCallback, ExportableState):
    """Ends epochs of `monitor`, reads the trainer's gradient norm and closes with the training.

    A trainer that restores its callbacks makes this one from `run` and `saved` of its checkpoint.
    """

    def __init__(
        self, monitor: Monitor | None = None, *, run: str = "", saved: Mapping[str, Any] | None = None
    ) -> None:
        found = monitor if monitor is not None else _MONITORS.get(run)
        if found is None:
            raise InvalidInput(f"a callback without a monitor, and none of the run {run!r}; expected the same as in the "
                               "script that wrote the checkpoint: MonitorCallback(losscope.Monitor(...))")  # fmt: skip
        self.monitor = found
        self._run = _name(found)
        _MONITORS[self._run] = found

    def state(self) -> dict[str, Any]:
        """What the trainer writes to its checkpoint."""
        return {"args": {"run": self._run, "saved": self.monitor.state_dict()}, "attributes": {}}

    def on_train_begin(self, args: Any, state: Any, control: Any, **beside: Any) -> None:
        """Go on where the checkpoint was taken, if this training does."""
        if not state.global_step:
            return
        written = state.stateful_callbacks.get(type(self).__name__, [])
        for one in written if isinstance(written, list) else [written]:
            if one["args"]["run"] == self._run:
                self.monitor.load_state_dict(one["args"]["saved"])

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


def _name(monitor: Monitor) -> str:
    of = monitor.identity
    return "/".join((of.dataset, of.protocol, of.loss, of.variant, str(of.seed)))

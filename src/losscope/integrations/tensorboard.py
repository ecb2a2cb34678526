"""A logger for `losscope.Monitor(loggers=[TensorBoard("runs/tb")])`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from losscope.errors import MissingDependency

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError:
    raise MissingDependency.of("tensorboard", "tensorboard", "its logger") from None


class TensorBoard:
    """Writes a monitor's scalars, each under its name, to event files in `folder`."""

    def __init__(self, folder: str | Path) -> None:
        self.writer = SummaryWriter(str(folder))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write scalars of one step."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what waits."""
        self.writer.close()

"""What goes wrong in measuring is a warning, once for each kind, and training goes on."""

from __future__ import annotations

import traceback
import warnings
from types import TracebackType


class LosscopeWarning(UserWarning):
    """Something that a monitor could not measure. Training goes on."""


class Guard:
    """`with guard:` around whatever measures; under `strict` errors pass. At each step `met` is cheaper.

    A kind of error is its type and the line that raised it: texts have counts in them, which differ at each step.
    """

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self._said: set[object] = set()

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self.strict or not isinstance(error, Exception):
            return False
        self.met(error)
        return True

    def met(self, error: Exception) -> None:
        """An error in measuring: raised under `strict`, else said once. To be called where it is caught."""
        if self.strict:
            raise error
        *_, raised = traceback.walk_tb(error.__traceback__)
        frame, line = raised
        self.say(f"{type(error).__name__}: {error}", kind=(type(error), frame.f_code.co_filename, line))

    def say(self, what: str, *, kind: object = None) -> None:
        """Warn, unless the same kind has been said; of a text without a kind, the same text."""
        kind = kind or what
        if kind not in self._said:
            self._said.add(kind)
            warnings.warn(
                f"losscope could not measure a step ({what}); training goes on", LosscopeWarning, stacklevel=5
            )

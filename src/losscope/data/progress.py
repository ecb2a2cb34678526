"""How long work reports how far it is: `progress(what, done, total)`; a total of 0 means unknown."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]

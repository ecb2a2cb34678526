"""One call of a criterion in training: what is kept of it until backward has brought its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from losscope.monitor.batch import Batch, flat, own
from losscope.monitor.gathering import Gathering, Rows
from losscope.monitor.terms import Scalars


class Glance:
    """A call of which the loss is all that is kept, and whether backward came: `came` is appended to as it does, by the
    `hook`."""

    __slots__ = ("came", "hook", "loss", "samples")

    def __init__(self, samples: int, loss: Tensor | None = None) -> None:
        self.samples = samples
        self.loss = loss  # () without a graph
        self.came: list[object] = []
        self.hook: Any = None

    def see(self, gradient: object) -> None:
        """Backward has come by; the gradient is not kept."""
        self.came.append(None)

    @property
    def is_complete(self) -> bool:
        """Whether backward has come by."""
        return bool(self.came)

    def remove(self) -> None:
        """Take the hook away."""
        if self.hook is not None:
            self.hook.remove()


class Call:
    """A call with embeddings, labels, loss, activity, and gradients once backward has run.

    `unscaled` turns a gradient as backward brings it into that of the loss; None: there is no telling, so gradients
    are not kept. With `gathering`, the rows of all processes are brought together as backward ends.
    """

    def __init__(
        self, batch: Batch, unscaled: Callable[[Tensor], Tensor] | None, gathering: Gathering | None = None
    ) -> None:
        self.batch = batch.kept
        self.loss: Tensor | None = None
        self.scalars: Scalars = {}
        self.samples = sum(part.numel() // part.shape[-1] for part in batch.parts)
        self.is_complete = False
        self._unscaled, self._gathering = unscaled, gathering
        self._gradients: list[Tensor | None] = [None] * len(batch.parts)
        self._rows: Rows | None = None  # of all processes
        self._hooks = [
            part.register_hook(self._keeper(place, part.is_leaf))  # type: ignore[no-untyped-call]
            for place, part in enumerate(batch.parts)
            if part.requires_grad
        ]

    @property
    def rows(self) -> Rows:
        """Embeddings (samples, dim), ∂L/∂Z and labels of all rows. A part that got no gradient has 0; there is none
        where its scale is not known."""
        if self._rows is not None:
            return self._rows
        return self.batch.embeddings, self._gradient, self.batch.labels

    def remove(self) -> None:
        """Take the hooks away: embeddings that are parameters outlive a step."""
        for hook in self._hooks:
            hook.remove()

    def see(self, gradient: Tensor) -> None:
        """Backward was run outside: this is what it brought to the one part."""
        self.is_complete = True
        if self._unscaled is not None:
            self._gradients = [self._unscaled(gradient.clone())]
        if self._gathering is not None:
            self._gather()

    def listen_to(self, loss: Tensor) -> None:
        """Backward comes by the loss, and not through the embeddings."""
        self._hooks.append(loss.register_hook(self._see_nothing))  # type: ignore[no-untyped-call]

    def _see_nothing(self, gradient: object) -> None:
        if self._gathering is not None and not self.is_complete:
            self._gather()
        self.is_complete = True

    def _keeper(self, place: int, is_leaf: bool) -> Callable[[Tensor], None]:
        def keep(gradient: Tensor) -> None:
            if self._gathering is not None and not self.is_complete:  # as DistributedDataParallel ends its backward
                torch.autograd.Variable._execution_engine.queue_callback(self._gather)
            self.is_complete = True
            if self._unscaled is None:
                return
            # A leaf's becomes its .grad, which loops clip and set to zero in place.
            mine = self._unscaled(gradient.clone() if is_leaf else own(gradient.detach()))
            before = self._gradients[place]
            self._gradients[place] = mine if before is None else before + mine

        return keep

    @property
    def _gradient(self) -> Tensor | None:
        if not self.is_complete or self._unscaled is None:
            return None
        pairs = zip(self._gradients, self.batch.parts, strict=True)
        return flat([torch.zeros_like(part) if one is None else one for one, part in pairs])

    def _gather(self) -> None:
        assert self._gathering is not None
        self._rows = self._gathering.all_rows(self.batch, self._gradient)

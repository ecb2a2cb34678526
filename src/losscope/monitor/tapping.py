"""Hooks on a criterion's input and output: what it got, what it returned, and the gradient that came back.

The criterion stays the object it was, with its class, its parameters and its state: hooks look, and are removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from losscope.doctor.calls import encoder_of, parameters_of
from losscope.errors import InvalidInput
from losscope.monitor.batch import Batch, batch_of
from losscope.monitor.call import Call, Glance
from losscope.monitor.encoded import batch_of_columns, columns_of
from losscope.monitor.terms import catcher_of, reader_of

if TYPE_CHECKING:
    from losscope.monitor.monitor import Monitor

Tapped = TypeVar("Tapped", bound=Callable[..., Any])


class Tap:
    """Watches one criterion for a monitor until it is removed."""

    def __init__(self, criterion: Callable[..., Any], monitor: Monitor) -> None:
        self.criterion, self.monitor = criterion, monitor
        self._reader, self._catcher = reader_of(criterion), catcher_of(criterion)
        self._hooks: list[Any] = []
        self._listens: Callable[[], bool] = torch.is_grad_enabled
        self.is_called = False  # with gradients
        self._sees = False  # the call that runs
        self._call: Call | None = None
        self._encoded: list[Tensor] | None = None
        self._encodes_itself = False
        if isinstance(criterion, nn.Module):
            self._hooks.append(criterion.register_forward_pre_hook(self._before, with_kwargs=True))
            self._hooks.append(criterion.register_forward_hook(self._after, with_kwargs=True))
            encoder = encoder_of(criterion)
            if encoder is not None:
                self._encodes_itself = True
                self._hooks.append(encoder.register_forward_hook(self._encodes))

    def __reduce__(self) -> tuple[Callable[[], Tap], tuple[()]]:
        """Copied or saved with its criterion, it hears nothing: a copy's calls are no steps of this run."""
        return deaf, ()

    @property
    def own_parameters(self) -> list[nn.Parameter]:
        """What the criterion trains itself, such as class vectors: never in the encoder's gradient norm."""
        return [*parameters_of(self.criterion).values()]

    def remove(self) -> None:
        """Take the hooks away."""
        for hook in self._hooks:
            hook.remove()
        if self._catcher is not None:
            self._catcher.remove()
        self._drop_call()

    def _drop_call(self) -> None:
        if self._call is not None:
            self._call.remove()
            self._call = None

    def wrapped(self) -> Callable[..., Any]:
        """A plain function that does what the criterion does, watched."""

        @wraps(self.criterion)
        def watched(*arguments: Any, **keywords: Any) -> Any:
            self._before(None, arguments, keywords)
            loss = self.criterion(*arguments, **keywords)
            self._after(None, arguments, keywords, loss)
            return loss

        watched.untapped = self.criterion  # type: ignore[attr-defined]  # for who wants to call it unseen
        return watched

    # These two run at every step: each call and each attribute in them counts.

    def _before(self, module: nn.Module | None, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
        self._sees = self._listens()
        if not self._sees:
            return
        monitor = self.monitor
        try:
            monitor.settle()
            self._drop_call()  # of a call that failed
            if self._encodes_itself and columns_of(arguments) is not None:
                self._encoded = []
            elif monitor.measures:
                self._call = self._watched(batch_of(arguments, keywords))
            if monitor.reads_terms and self._catcher is not None:
                self._catcher.arm()
        except Exception as error:
            monitor.guarded.met(error)

    def _after(
        self, module: nn.Module | None, arguments: tuple[Any, ...], keywords: Mapping[str, Any], loss: Any
    ) -> None:
        if not self._sees:
            return
        monitor = self.monitor
        try:
            self.is_called = True
            if monitor.measures:
                call = self._call if self._encoded is None else self._encoded_call(arguments, keywords, loss)
                if call is not None:
                    self._complete(call, arguments, keywords, loss)
                    monitor.expect(call)
                    return
            given = (*arguments, *keywords.values()) if keywords else arguments
            if self._encoded:
                batch = batch_of_columns(columns_of(arguments) or [], self._encoded, ())
                given = batch.parts if batch is not None else ()
            monitor.expect(_glanced(given, loss))
        except Exception as error:
            monitor.guarded.met(error)
        finally:
            self._call = self._encoded = None

    def _complete(self, call: Call, arguments: tuple[Any, ...], keywords: Mapping[str, Any], loss: Any) -> None:
        if isinstance(loss, Tensor) and loss.numel() == 1:
            call.loss = loss.detach().clone().reshape(())
        if self.monitor.reads_terms:
            if self._catcher is not None:
                call.scalars |= self._catcher.take()
            if self._reader is not None:
                call.scalars |= self._reader(arguments, keywords)

    def _encodes(self, module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        found = output.get("sentence_embedding") if isinstance(output, Mapping) else output
        if self._encoded is not None and isinstance(found, Tensor) and found.ndim == 2:
            self._encoded.append(found)

    def _encoded_call(self, arguments: tuple[Any, ...], keywords: Mapping[str, Any], loss: Any) -> Call | None:
        """A call of a loss of sentence-transformers, which got texts and has encoded them."""
        columns = columns_of(arguments)
        if not self._encoded or columns is None:
            return None
        batch = batch_of_columns(columns, self._encoded, (*arguments[1:], *keywords.values()))
        if batch is None or any(part.requires_grad for part in batch.parts):
            return None if batch is None else self._watched(batch)
        if not isinstance(loss, Tensor) or not loss.requires_grad:
            return None
        call = Call(batch, None, self.monitor.gathering)  # the cached ones: texts are encoded again within backward
        call.listen_to(loss)
        return call

    def _watched(self, batch: Batch) -> Call | None:
        if not any(part.requires_grad for part in batch.parts):
            return None
        return Call(batch, self.monitor.unscaling(batch.parts[0]), self.monitor.gathering)


def tap(criterion: Tapped, monitor: Monitor) -> Tapped:
    """Let `monitor` see every call of `criterion` in training, and the gradient that comes back to its input.

    A module is returned as it is, with hooks that `monitor.close()` removes; a plain function comes back wrapped.
    Under torch.compile, tap the criterion outside the compiled region. Raises InvalidInput for what can't be called.
    """
    if not callable(criterion):
        raise InvalidInput(f"criterion is a {type(criterion).__name__}; expected a module or a function of embeddings")
    watching = Tap(criterion, monitor)
    monitor.keep(watching)
    return criterion if isinstance(criterion, nn.Module) else watching.wrapped()  # type: ignore[return-value]


def deaf() -> Tap:
    """The tap of a copied criterion."""
    found = object.__new__(Tap)
    found._listens, found._encoded = _never, None
    return found


def _never() -> bool:
    return False


def _glanced(given: Iterable[Any], loss: Any) -> Glance | None:
    """What is left of a call: its rows and its loss, and whether backward comes to it."""
    samples, point = 0, None
    for one in given:
        if isinstance(one, Tensor) and one.dim() > 1 and one.is_floating_point():
            samples += one.numel() // one.size(-1)
            if one.requires_grad:
                point = one
    if not samples:
        return None
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
        glance = Glance(samples)
        if point is not None:
            glance.hook = point.register_hook(glance.see)  # type: ignore[no-untyped-call]
        return glance
    value = loss.detach().clone()
    glance = Glance(samples, value if value.dim() == 0 else value.reshape(()))
    if loss.grad_fn is not None:
        glance.hook = loss.grad_fn.register_prehook(glance.came.append)  # cheaper than a tensor's; a number comes
    else:
        glance.hook = loss.register_hook(glance.see)  # type: ignore[no-untyped-call]
    return glance

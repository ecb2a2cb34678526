"""The monitor: inside anybody's training loop, it measures what a loss does and changes nothing."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import torch
from torch import Tensor

from losscope.criterion import Criterion
from losscope.doctor.finding import Finding
from losscope.doctor.live import look, watch
from losscope.errors import InvalidInput
from losscope.monitor.batch import Batch, labels_of
from losscope.monitor.buffer import Buffer, Step
from losscope.monitor.call import Call, Glance
from losscope.monitor.gathering import Gathering, process
from losscope.monitor.guard import Guard
from losscope.monitor.precision import parameters_divisor, unscaling
from losscope.monitor.record import Identity, MonitorRecord
from losscope.monitor.schedule import ALWAYS, OFTEN, RARELY, Schedule, first_then_every, never
from losscope.monitor.series import Line, Series
from losscope.monitor.space import SpaceRows
from losscope.monitor.tapping import Tap, tap
from losscope.training.records import Row

TERMS = first_then_every(10, 25)
"""When terms are read: the first ten steps, then every 25th."""

EARLY = 3
"""First steps that are measured at once where in full, so that a run that goes wrong is told there; later ones wait."""

WATCHED = 128
"""Latest steps that the doctor looks at."""

KEPT = 10_000
"""Lines, and rows, that are kept in memory at least, where they are in a record too."""


class Logger(Protocol):
    """Anything with `log(dict, step)`, as the runs of W&B, trackio or MLflow wrappers have it."""

    def log(self, values: Mapping[str, float], step: int) -> Any: ...


class Monitor:
    """Measures a training run from inside: three calls in a plain loop, or one tap on the criterion.

        monitor = losscope.Monitor(criterion, out="runs/first")      with losscope.Monitor(criterion) as monitor:
        ...                                                              ...
        loss = criterion(embeddings, labels)                             loss.backward()   # seen through the criterion
        loss.backward()                                                  optimizer.step()
        monitor.step(parameters=model.parameters())  # optional
        optimizer.step()
        monitor.epoch(embeddings_of_heldout, labels_of_heldout)
        monitor.close()

    criterion   tapped at once (`losscope.tap`); without it, call `step(embeddings, labels, loss=...)` yourself after
                `embeddings.retain_grad()` and `backward()`
    out         folder of the record, which `losscope report` reads; without it rows are kept in memory alone
    resume      `out` may hold an earlier part of this run: `load_state_dict` goes on in it; where no state is loaded the
                run starts again, and so does its record
    loss, variant, seed, dataset, protocol, hyperparameters   what the run is called; see `Identity`
    steps       schedule of what is observed at all: the loss; `batch` of measuring embeddings and gradients, `terms` of
                reading terms, `full` of what is costly; `describe`, of epochs, of describing embeddings in whole
    optimizer   measures the gradient norm of its parameters at each of its steps: no call is needed
    scaler      the GradScaler of mixed precision, by whose scale gradients are divided; False: there is none. Under float16
                without a word about it gradients are not measured
    gather      on several processes, each of which makes its monitor: what is measured of a batch is of the rows of all
    loggers     objects with `log(dict, step)` that get every step's scalars
    doctor      log what is wrong with the run (`losscope.doctor.watch`), once for each kind, as warnings of the logger
                `losscope`, and keep it in `findings`
    strict      raise what goes wrong in measuring; else it is a warning, once for each kind, and training goes on

    Measured for each step: loss. On `batch` steps, by default the first 64 and every 25th: share of rows with a gradient,
    the comparable share of samples that carry 90 % of the tangential gradient, norms, composition of the batch, its
    variance; on `terms` steps the native active ratio of terms; on `full` steps who gets the gradient (pull and push,
    deciles of hardness, classes), effective rank. For each epoch: means over its measured steps, and of the embeddings
    handed to `epoch` what `losscope.diagnose` says (limits: `losscope.monitor.space`).

    On several processes each has its own part of the batch: the first measures its own, writes, and says in the record
    that it is rank 0 of N; the others watch nothing. With `gather` the rows of all are brought together at measured steps,
    as backward ends there, so schedules must be the same on all; the loss and the active ratio of terms stay the first's.

    A step is a call of the criterion with a backward: where gradients are accumulated, each part of a batch is one, its
    gradient is that of what `backward` was called on, and the parameters' norm belongs to the last of them.
    """

    def __init__(
        self,
        criterion: Callable[..., Any] | None = None,
        *,
        out: str | Path | None = None,
        resume: bool = False,
        loss: str | None = None,
        variant: str = "",
        seed: int = 0,
        dataset: str = "data",
        protocol: str = "monitored",
        hyperparameters: Mapping[str, Any] | None = None,
        steps: Schedule = ALWAYS,
        batch: Schedule = OFTEN,
        terms: Schedule = TERMS,
        full: Schedule = RARELY,
        describe: Schedule = ALWAYS,
        optimizer: torch.optim.Optimizer | None = None,
        scaler: Any = None,
        gather: bool = False,
        loggers: Iterable[Logger] = (),
        doctor: bool = True,
        strict: bool = False,
    ) -> None:
        given = dict(hyperparameters or getattr(criterion, "hyperparameters", {}))
        self.identity = Identity(loss or _name(criterion), variant, seed, dataset, protocol, given)
        self.loggers, self.scaler = tuple(loggers), scaler
        self.guarded = Guard(strict=strict)
        self.lines: list[Line] = []  # of steps, as written; with a record, the latest KEPT at least
        self.rows: list[Row] = []  # of epochs, as written; with a record, the latest KEPT at least
        self.findings: list[Finding] = []  # of the doctor, each code once, as last found
        self.count, self.epochs = 0, 0  # steps seen, epochs ended
        self._steps, self._batch, self._terms, self._full = steps, batch, terms, full
        self._describe, self._doctor = describe, doctor
        self._buffer, self._series = Buffer(), Series()
        self._samples, self._ended_at = 0, 0
        self._call: Call | Glance | None = None
        self._norms: dict[str, Tensor] = {}
        self._taps: list[Any] = []
        self._closed = False
        self.process = process()
        self.gathering = Gathering(self.guarded) if gather else None
        self._record, self._starts_again = self._opened(None if self.process[0] else out, resume)
        self.run_as(*self.process)
        if criterion is not None:
            tap(criterion, self)
        if optimizer is not None:
            self._taps.append(optimizer.register_step_pre_hook(self._before_update))

    def run_as(self, rank: int, count: int) -> None:
        """Which process this is, of how many: for trainers that start their processes after the monitor was made. The
        first one writes; without gathering the others have nothing to see."""
        self.process = rank, count
        if rank:
            self._record, self.loggers = None, ()
            self._steps = self._steps if self.gathering is not None else never
        elif self._record is not None:
            self._record.process = self.process
        self._look_ahead()

    # What taps ask for. Of the step that comes: `observes`, whether it is observed at all; `measures`, whether more than
    # its loss is kept; `reads_terms`, whether its terms are read.

    def _look_ahead(self) -> None:
        count = self.count
        self.observes = not self._closed and self._steps(count)
        self.reads_terms = self.observes and self._terms(count)
        self.measures = self.observes and (self.reads_terms or self._batch(count) or self._full(count))

    def unscaling(self, embeddings: Tensor) -> Callable[[Tensor], Tensor] | None:
        """How a gradient that backward brings to `embeddings` becomes that of the loss; None: it is not measured."""
        try:
            return unscaling(self.scaler, embeddings)
        except InvalidInput as error:
            if self.guarded.strict:
                raise
            self.guarded.say(str(error))
            return None

    def keep(self, watching: Tap) -> None:
        """Remove this tap when the monitor closes."""
        self._taps.append(watching)

    def encoders_of(self, parameters: Iterable[Tensor]) -> list[Tensor]:
        """Those of `parameters` that are not of a tapped criterion, such as class vectors."""
        own = {id(one) for watching in self._taps if isinstance(watching, Tap) for one in watching.own_parameters}
        return [one for one in parameters if id(one) not in own]

    def expect(self, call: Call | Glance | None) -> None:
        """A criterion was called; its gradient comes with backward. A call before it that waits is dropped."""
        if self._call is not None:
            self._call.remove()
        self._call = call

    @property
    def diverged_at(self) -> int | None:
        """The first step whose loss or gradient was not finite, as far as steps are measured."""
        return self._series.diverged_at

    # What a training loop calls.

    def step(
        self,
        embeddings: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        loss: Tensor | None = None,
        parameters: Iterable[Tensor] | None = None,
    ) -> None:
        """Between backward and the optimizer's step. With a tapped criterion, embeddings, labels and loss are known.

        `parameters` are those whose gradient norm is wanted: the encoder's, without class vectors. Raises InvalidInput
        (under `strict`) for embeddings without a gradient.
        """
        with self.guarded:
            if parameters is not None and self.measures:
                self._measure_parameters(parameters)
            if embeddings is not None:
                self.expect(self._called(embeddings, labels, loss))
            self.settle()

    def watch(self, embeddings: Tensor, labels: Tensor | None = None, *, loss: Tensor | None = None) -> None:
        """Between forward and backward, in place of a tap: the gradient is seen when it comes, and nothing is retained."""
        with self.guarded:
            self.settle()
            if not torch.is_grad_enabled() or not embeddings.requires_grad:
                return
            call: Call | Glance
            if self.measures:
                parts = (embeddings,)
                batch = Batch(parts, labels_of(parts, labels), labels is not None)
                call = Call(batch, self.unscaling(embeddings), self.gathering)
            else:
                call = Glance(embeddings.numel() // embeddings.shape[-1])
                call.hook = embeddings.register_hook(call.see)  # type: ignore[no-untyped-call]
            call.loss = loss.detach().clone().reshape(()) if loss is not None else None
            self.expect(call)

    def note(self, **values: float) -> None:
        """Scalars that a trainer measured itself of the step whose backward is done, such as `gradient_norm`. Once the
        epoch has ended there is no such step, and they are left out."""
        if self._call is not None and self._call.is_complete:
            self._norms = {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}

    def settle(self) -> None:
        """Count the last call of the criterion as a step, if backward has brought its gradient."""
        call = self._call
        if call is None:
            return
        self._call = None
        call.remove()
        if not call.is_complete:
            return
        self._samples += call.samples
        step, self.count = self.count, self.count + 1
        norms, buffer = self._norms, self._buffer
        if self.observes and not self.process[0]:
            full = False
            if type(call) is Call:
                full = self._full(step)
                buffer.add(Step(step, *call.rows, call.loss, full, {**call.scalars, **norms}))
            elif norms:
                buffer.add(Step(step, loss=call.loss, scalars=norms))
            elif call.loss is not None:
                buffer.losses.append((step, call.loss))
            if (full and step < EARLY) or buffer.is_full:
                self.flush()
        if norms:
            self._norms = {}
        self._look_ahead()

    def flush(self) -> None:
        """Measure and write the steps that wait."""
        steps, losses = self._buffer.empty()
        if not steps and not losses:
            return
        # A scaler tries scales until gradients overflow, and skips such steps: that is how it works.
        judged = ("loss",) if self.scaler else ("loss", "gradient_norm_embedding")
        before = self._series.diverged_at
        lines = self._series.lines(self.epochs + 1, steps, losses, judged)
        if before is None and self._series.diverged_at is not None:
            told = "step %d: the loss or its gradient is not finite"
            logging.getLogger("losscope").warning(told, self._series.diverged_at)
        self.lines += lines
        if self._record is not None and len(self.lines) > 2 * KEPT:
            del self.lines[:-KEPT]
        with self.guarded:
            if self._doctor:
                criterion = next((one.criterion for one in self._taps if isinstance(one, Tap)), None)
                self._tell(watch(self.lines[-WATCHED:], criterion, scaled=bool(self.scaler)))
        with self.guarded:
            self._write(self.epochs + 1, (), lines)
        if self.loggers:
            self._log([(line["step"], _finite(line)) for line in lines])

    def _log(self, told: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Values of steps, to every logger: one that fails keeps nothing from the others."""
        for logger in self.loggers:
            with self.guarded:
                for step, values in told:
                    logger.log(values, step)

    def epoch(self, embeddings: Any = None, labels: Any = None, *, split: str = "heldout") -> dict[str, float]:
        """End of an epoch, with embeddings (samples, dim) and labels (samples,) of a split; before the first step it
        measures the untrained model, as epoch 0, and called again before the next step one more split of the same epoch.

        Returns what was measured of the embeddings, scalars by name; on the first process alone, which is handed the
        whole split."""
        with self.guarded:
            self.settle()
            self.flush()
        ended = self.epochs + 1 if self.count > self._ended_at else self.epochs
        rows = self._series.means(ended)
        found: dict[str, float] = {}
        if embeddings is not None and not self.process[0]:
            with self.guarded:
                measured = self._measured(split, ended, embeddings, labels)
                rows += measured
                found = {name: value for *_, name, item, value in measured if item is None and value is not None}
        self.epochs, self._ended_at = ended, self.count
        if self._record is not None and len(self.rows) > KEPT:
            del self.rows[:-KEPT]
        self.rows += rows
        with self.guarded:
            self._write(ended, rows)
        if found:
            self._log([(self.count, {f"{split}/{name}": value for name, value in found.items()})])
        return found

    def close(self) -> None:
        """Measure what waits, take all hooks away, end the record. Twice is once; whatever fails, the hooks are gone."""
        self._close(broken_off=False)

    def _close(self, *, broken_off: bool) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            with self.guarded:
                self.settle()
                self.flush()
                if self._series.has_means:
                    self.epoch()
        finally:
            self._look_ahead()
            self.expect(None)
            for watching in self._taps:
                watching.remove()
            self._finish()
        unseen = not self.count and any(isinstance(one, Tap) and one.is_called for one in self._taps)
        if unseen and not broken_off:
            self.guarded.say(
                "the criterion was called and no backward came through it: tap the one whose loss is trained, before it is "
                "wrapped or replaced"
            )

    def _finish(self) -> None:
        if self._record is not None:
            with self.guarded:
                self._record.finish(
                    epochs=self.epochs,
                    steps=self.count,
                    samples=self._samples,
                    status="done" if self._series.diverged_at is None else "diverged",
                    diverged_at=self._series.diverged_at,
                )

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._close(broken_off=error is not None)
        except Exception as met:  # under `strict`; the error of who trains goes before
            if error is None:
                raise
            error.add_note(f"Nor could the monitor be closed in order ({type(met).__name__}: {met}).")

    # Resuming.

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs to go on: plain numbers. Waiting steps are measured first."""
        with self.guarded:
            self.settle()
            self.flush()
        return {
            "count": self.count,
            "epochs": self.epochs,
            "ended_at": self._ended_at,
            "samples": self._samples,
            **self._series.state_dict(),
            "out": str(self._record.folder) if self._record else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken: in this monitor's record (`resume`), else in that of `state`, whose later lines
        are cut: they are trained again."""
        self.count, self.epochs = state["count"], state["epochs"]
        self._samples, self._ended_at = state["samples"], state.get("ended_at", 0)
        self._series.load_state_dict(state)
        self._look_ahead()
        if self._record is None and state["out"] is not None and self.process[0] == 0:
            self._record, self._starts_again = self._opened(state["out"], resume=True)
        if self._starts_again and self._record is not None:
            self._record.cut(self.count, self.epochs)
            self._starts_again = False

    def _opened(self, out: str | Path | None, resume: bool) -> tuple[MonitorRecord | None, bool]:
        """The record, and whether there is something in it that is trained again."""
        if out is None:
            return None, False
        folder = Path(out)
        before = resume and folder.is_dir() and any(folder.iterdir())
        record = MonitorRecord(
            folder, self.identity, resumed=before, process=self.process, gathers=self.gathering is not None
        )
        return record, before

    def _write(self, epoch: int, rows: Sequence[Row], lines: Sequence[Line] = ()) -> None:
        if self._record is None:
            return
        if self._starts_again:
            self._record.cut(0, -1)
            self._starts_again = False
        self._record.append(epoch, rows, lines)

    # Measuring.

    def _called(self, embeddings: Tensor, labels: Tensor | None, loss: Tensor | None) -> Call | Glance:
        """A call as a tap would have seen it, from what a loop hands in."""
        if not (embeddings.is_leaf or embeddings.retains_grad) or embeddings.grad is None:
            raise InvalidInput(
                "embeddings have no gradient: call embeddings.retain_grad() before backward (and monitor.step after "
                "it), or hand the criterion to the monitor, which then sees the gradient by itself"
            )
        points = embeddings.detach()
        call: Call | Glance
        if self.measures:
            batch = Batch((points,), labels_of((points,), labels), labels is not None)
            call = Call(batch, self.unscaling(points), self.gathering)
        else:
            call = Glance(points.numel() // points.shape[-1])
        call.see(embeddings.grad.detach())
        call.loss = loss.detach().clone().reshape(()) if loss is not None else None
        return call

    def _before_update(self, optimizer: torch.optim.Optimizer, arguments: Any, keywords: Any) -> None:
        if not isinstance(self._call, Call) or self.process[0]:
            return
        with self.guarded:
            trained = (one for group in optimizer.param_groups for one in group["params"])
            self._measure_parameters(self.encoders_of(trained), optimizer)

    @torch.no_grad()
    def _measure_parameters(self, parameters: Iterable[Tensor], optimizer: torch.optim.Optimizer | None = None) -> None:
        gradients = [one.grad for one in parameters if one.grad is not None]
        if not gradients:
            raise InvalidInput("no parameter has a gradient; call monitor.step after backward and before zero_grad")
        norms = torch.stack(torch._foreach_norm(gradients, dtype=torch.float32)).double()
        divisor = parameters_divisor(self.scaler, optimizer)
        if divisor is not None:
            norms = norms / divisor
        self._norms = {"gradient_norm": norms.square().sum().sqrt(), "gradient_norm_tensor_mean": norms.mean()}

    def _measured(self, split: str, epoch: int, embeddings: Any, labels: Any) -> list[Row]:
        """Rows of a split's embeddings."""
        if labels is None:
            raise InvalidInput("monitor.epoch got embeddings and no labels; expected one label for each row")
        space = SpaceRows(split, epoch, embeddings, labels)
        rows = [*space.variance(), *space.retrieved()]
        if self._describe(epoch):
            rows += space.described()
        if self._doctor and space.geometry is not None:
            self._tell(look(space.geometry, f"epoch {epoch}, {split}"))
        return rows

    def _tell(self, found: Iterable[Finding]) -> None:
        """Keep findings, and log each code once."""
        known = {one.code: place for place, one in enumerate(self.findings)}
        for one in found:
            if one.code in known:
                self.findings[known[one.code]] = one
                continue
            self.findings.append(one)
            level = logging.WARNING if one.outcome == "issue" else logging.INFO
            logging.getLogger("losscope").log(level, "%s", one)
        if self._record is not None and len(self.findings) > len(known):
            self._record.say(self.findings)


def _finite(line: Line) -> dict[str, float]:
    return {name: one[0] for name, one in line.items() if isinstance(one, list) and math.isfinite(one[0])}


def _name(criterion: object) -> str:
    if isinstance(criterion, Criterion):
        return criterion.name
    return getattr(criterion, "__name__", type(criterion).__name__) if criterion is not None else "loss"

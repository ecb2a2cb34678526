"""The monitor: inside anybody's training loop, it measures what a loss does and changes nothing."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import torch
from torch import Tensor

from losscope.criterion import Criterion
from losscope.doctor.finding import Finding
from losscope.doctor.live import watch
from losscope.errors import InvalidInput
from losscope.monitor.batch import Batch, labels_of
from losscope.monitor.buffer import Buffer, Step, alike
from losscope.monitor.guard import Guard
from losscope.monitor.measuring import Item, costly, scalars
from losscope.monitor.precision import parameters_divisor, unscaling
from losscope.monitor.record import Identity, MonitorRecord
from losscope.monitor.schedule import ALWAYS, OFTEN, RARELY, Schedule, first_then_every, never
from losscope.monitor.space import space
from losscope.monitor.tapping import Call, Glance, Tap, tap
from losscope.training.records import Row

DECAY = 0.98
"""Of the running intra-class variance, per step: it looks back about fifty steps."""

TERMS = first_then_every(10, 25)
"""When terms are read: the first ten steps, then every 25th."""


WATCHED = 128
"""Latest steps that the doctor looks at."""


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
    loss, variant, seed, dataset, protocol, hyperparameters   what the run is called; see `Identity`
    steps       schedule of what is observed at all: the loss; `batch` of measuring embeddings and gradients, `terms` of
                reading terms, `full` of what is costly
    optimizer   measures the gradient norm of its parameters at each of its steps: no call is needed
    scaler      the GradScaler of mixed precision, by whose scale gradients are divided; False: there is none. Under float16
                without a word about it gradients are not measured
    loggers     objects with `log(dict, step)` that get every step's scalars
    doctor      log what is wrong with the run (`losscope.doctor.watch`), once for each kind, as warnings of the logger
                `losscope`, and keep it in `findings`
    strict      raise what goes wrong in measuring; else it is a warning, once for each kind, and training goes on

    Measured for each step: loss. On `batch` steps, by default the first 64 and every 25th: share of rows with a gradient,
    the comparable share of samples that carry 90 % of the tangential gradient, norms, composition of the batch, its
    variance; on `terms` steps the native active ratio of terms; on `full` steps who gets the gradient (pull and push,
    deciles of hardness, classes), effective rank. For each epoch: means over its measured steps, and geometry and
    retrieval of the embeddings handed to `epoch`.

    On several processes each has its own part of the batch: the first measures its own, writes, and says in the record
    that it is rank 0 of N; the others watch nothing. Nothing is gathered.

    A step is a call of the criterion with a backward: where gradients are accumulated, each part of a batch is one, its
    gradient is that of what `backward` was called on, and the parameters' norm belongs to the last of them.
    """

    def __init__(
        self,
        criterion: Callable[..., Any] | None = None,
        *,
        out: str | Path | None = None,
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
        optimizer: torch.optim.Optimizer | None = None,
        scaler: Any = None,
        loggers: Iterable[Logger] = (),
        doctor: bool = True,
        strict: bool = False,
    ) -> None:
        given = dict(hyperparameters or getattr(criterion, "hyperparameters", {}))
        self.identity = Identity(loss or _name(criterion), variant, seed, dataset, protocol, given)
        self.loggers, self.scaler = tuple(loggers), scaler
        self.guarded = Guard(strict=strict)
        self.lines: list[dict[str, Any]] = []  # of steps, as written
        self.rows: list[Row] = []  # of epochs, as written
        self.findings: list[Finding] = []  # of the doctor, each code once
        self.count, self.epochs = 0, 0  # steps seen, epochs ended
        self._steps, self._batch, self._terms, self._full, self._doctor = steps, batch, terms, full, doctor
        self._buffer, self._sums = Buffer(), dict[tuple[str, int | None], tuple[float, int]]()
        self._running: float | None = None
        self._samples = 0
        self._diverged_at: int | None = None
        self._call: Call | Glance | None = None
        self._norms: dict[str, Tensor] = {}
        self._taps: list[Any] = []
        self._closed = False
        self.process = _process()
        if self.process[0] > 0:  # each would see its own part of a batch; one of them is enough, and writes
            out, self.loggers, self._steps = None, (), never
        self._record = MonitorRecord(Path(out), self.identity, resumed=False, process=self.process) if out else None
        if criterion is not None:
            tap(criterion, self)
        if optimizer is not None:
            self._taps.append(optimizer.register_step_pre_hook(self._before_update))

    # What taps ask for.

    @property
    def observes(self) -> bool:
        """Whether the step that comes is observed."""
        return not self._closed and self._steps(self.count)

    @property
    def measures(self) -> bool:
        """Whether more than the loss of the step that comes is kept."""
        count = self.count
        return self.observes and (self._batch(count) or self._full(count) or self._terms(count))

    @property
    def reads_terms(self) -> bool:
        """Whether the terms of the step that comes are read."""
        return self.observes and self._terms(self.count)

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

    def expect(self, call: Call | Glance) -> None:
        """A criterion was called; its gradient comes with backward."""
        self._call = call

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
                self._call = self._called(embeddings, labels, loss)
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
                call = Call(Batch(parts, labels_of(parts, labels)), self.unscaling(embeddings))
            else:
                call = Glance(len(embeddings))
                embeddings.register_hook(call.came)  # type: ignore[no-untyped-call]
            call.loss = loss.detach().reshape(()) if loss is not None else None
            self._call = call

    def note(self, **values: float) -> None:
        """Scalars that a trainer measured itself of the step whose backward is done, such as `gradient_norm`."""
        self._norms = {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}

    def settle(self) -> None:
        """Count the last call of the criterion as a step, if backward has brought its gradient."""
        call = self._call
        if call is None:
            return
        self._call = None
        if not call.is_complete:
            return
        norms, self._norms = self._norms, {}
        if isinstance(call, Glance):
            self._samples += call.samples
            if call.loss is not None and self._steps(self.count):
                self._buffer.add(Step(self.count, self.epochs + 1, loss=call.loss, scalars=norms))
            self.count += 1
            return
        found = Step(
            self.count,
            self.epochs + 1,
            call.batch.embeddings,
            call.gradient,
            call.batch.labels,
            call.loss,
            full=self._full(self.count),
            scalars={**call.scalars, **norms},
        )
        self.count += 1
        self._samples += len(call.batch.embeddings)
        self._buffer.add(found)
        if found.full or self._buffer.is_full:
            self.flush()

    def flush(self) -> None:
        """Measure and write the steps that wait."""
        lines = self._measured(self._buffer.empty())
        self.lines += lines
        if self._record is not None and lines:
            self._record.append(self.epochs + 1, (), lines)
        if self._doctor and lines:
            self._consult()

    def epoch(
        self, embeddings: Tensor | None = None, labels: Tensor | None = None, *, split: str = "heldout"
    ) -> dict[str, float]:
        """End of an epoch, with embeddings (samples, dim) and labels (samples,) of a split; before the first step it
        measures the untrained model, as epoch 0. Returns what was measured of the embeddings, scalars by name."""
        found: dict[str, float] = {}
        with self.guarded:
            self.settle()
            self.flush()
            ended = self.epochs + 1 if self.count else 0
            rows: list[Row] = [(0, None, ended, *place, total / n) for place, (total, n) in self._sums.items()]
            if embeddings is not None:
                if labels is None:
                    raise InvalidInput("monitor.epoch got embeddings and no labels; expected one label for each row")
                measured = list(space(split, ended, embeddings.detach(), labels))
                rows += measured
                found = {name: value for *_, name, item, value in measured if item is None and value is not None}
            self._sums, self.epochs = {}, ended
            self.rows += rows
            if self._record is not None:
                self._record.append(ended, rows)
            for logger in self.loggers if found else ():
                logger.log({f"{split}/{name}": value for name, value in found.items()}, self.count)
        return found

    def close(self) -> None:
        """Measure what waits, take all hooks away, end the record. Twice is once."""
        if self._closed:
            return
        with self.guarded:
            self.settle()
            self.flush()
            if self._sums:
                self.epoch()
        self._closed = True
        for watching in self._taps:
            watching.remove()
        if self._record is not None:
            with self.guarded:
                self._record.finish(
                    epochs=self.epochs,
                    steps=self.count,
                    samples=self._samples,
                    status="done" if self._diverged_at is None else "diverged",
                    diverged_at=self._diverged_at,
                )

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Resuming.

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs to go on: plain numbers. Waiting steps are measured first."""
        with self.guarded:
            self.settle()
            self.flush()
        return {
            "count": self.count,
            "epochs": self.epochs,
            "sums": [[*place, *sums] for place, sums in self._sums.items()],
            "running": self._running,
            "samples": self._samples,
            "diverged_at": self._diverged_at,
            "out": str(self._record.folder) if self._record else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken: in its folder, whose later lines are cut, unless this monitor has its own."""
        self.count, self.epochs = state["count"], state["epochs"]
        self._sums = {(name, item): (total, n) for name, item, total, n in state["sums"]}
        self._running, self._samples = state["running"], state["samples"]
        self._diverged_at = state["diverged_at"]
        if self._record is None and state["out"] is not None and self.process[0] == 0:
            self._record = MonitorRecord(Path(state["out"]), self.identity, resumed=True, process=self.process)
            self._record.cut(self.count, self.epochs)

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
            call = Call(Batch((points,), labels_of((points,), labels)), self.unscaling(points))
        else:
            call = Glance(len(points))
        call.came(embeddings.grad.detach())
        call.loss = loss.detach().reshape(()) if loss is not None else None
        return call

    def _before_update(self, optimizer: torch.optim.Optimizer, arguments: Any, keywords: Any) -> None:
        with self.guarded:
            if isinstance(self._call, Call):
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

    def _measured(self, steps: list[Step]) -> list[dict[str, Any]]:
        """The lines of steps; the only place that reads values from a device."""
        measured: dict[int, dict[str, float]] = {}
        for group in alike(steps):
            found, scheduled = scalars(group), {name for step in group for name in step.scalars}
            columns = torch.stack(list(found.values())).T.tolist() if found else [[] for _ in group]
            for step, column in zip(group, columns, strict=True):
                measured[step.step] = {
                    name: value
                    for name, value in zip(found, column, strict=True)
                    if name not in scheduled or name in step.scalars
                }
        lines = []
        for step in steps:
            values = measured[step.step]
            items: list[Item] = []
            if step.full:
                more, items = costly(step)
                values |= more
            unbiased = values.pop("intra_class_variance_batch_unbiased", math.nan)
            if math.isfinite(unbiased):
                before = unbiased if self._running is None else self._running
                self._running = DECAY * before + (1 - DECAY) * unbiased
            if self._running is not None:
                values["intra_class_variance_running"] = self._running
            self._judge(step, values)
            scalar = ((name, None, value) for name, value in values.items())
            for name, item, value in (*scalar, *((one.diagnostic, one.item, one.value) for one in items)):
                if math.isfinite(value):
                    total, count = self._sums.get((name, item), (0.0, 0))
                    self._sums[name, item] = total + value, count + 1
            for logger in self.loggers:
                logger.log({name: value for name, value in values.items() if math.isfinite(value)}, step.step)
            lines.append({"epoch": step.epoch, "step": step.step, **{name: [value] for name, value in values.items()}})
        return lines

    def _consult(self) -> None:
        """Log what the latest steps show to be wrong, once for each code."""
        criterion = next((one.criterion for one in self._taps if isinstance(one, Tap)), None)
        known = {one.code for one in self.findings}
        for found in watch(self.lines[-WATCHED:], criterion, scaled=bool(self.scaler)):
            if found.code not in known:
                self.findings.append(found)
                logging.getLogger("losscope").warning("%s", found)

    def _judge(self, step: Step, values: Mapping[str, float]) -> None:
        """The first step whose loss or gradient is not finite."""
        # A scaler tries scales until gradients overflow, and skips such steps: that is how it works.
        judged = ("loss",) if self.scaler else ("loss", "gradient_norm_embedding")
        wrong = any(not math.isfinite(values.get(name, 0.0)) for name in judged)
        if wrong and self._diverged_at is None:
            self._diverged_at = step.step
            logging.getLogger("losscope").warning("step %d: the loss or its gradient is not finite", step.step)


def _name(criterion: object) -> str:
    if isinstance(criterion, Criterion):
        return criterion.name
    return getattr(criterion, "__name__", type(criterion).__name__) if criterion is not None else "loss"


def _process() -> tuple[int, int]:
    """Rank of this process and how many there are."""
    known = torch.distributed.is_available() and torch.distributed.is_initialized()
    return (torch.distributed.get_rank(), torch.distributed.get_world_size()) if known else (0, 1)

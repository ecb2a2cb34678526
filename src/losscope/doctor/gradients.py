"""Checks of gradients: none, far too much, or not a number at distance zero."""

from __future__ import annotations

import math

import torch

from losscope.doctor.calls import parameters_of
from losscope.doctor.case import Case, Observed, share

TOO_LARGE = 1e3
"""Gradient norm over parameter norm, above which no learning rate in use helps."""

_ADAPTIVE = ("Adam", "RMSprop", "Adagrad", "Adadelta", "Lion", "Rprop")
"""Optimizers whose update does not grow with the gradient, by words in their names."""


def zero_gradient(case: Case) -> list[str] | None:
    """Batches from which the model learns nothing."""
    finite = case.finite
    if not finite or not parameters_of(case.model):
        return None
    silent = [one for one in finite if _model_norm(one) == 0]
    if 2 * len(silent) <= len(finite):
        return []
    one = silent[0]
    if one.gradient is None:
        where = "it starts at the criterion: no gradient reaches the embeddings (detached, or a loss of constants)"
    elif not bool(one.gradient.any()):
        where = f"it starts at the criterion: the loss is {one.value:.4g} and its gradient is 0 for every embedding"
    else:
        first = next((name for name in reversed([*one.gradients]) if name.startswith("model.")), "model")
        where = f"the embeddings have a gradient; it is lost before {first.removeprefix('model.')}"
    return [f"{share(len(silent), len(finite))} give no parameter of the model a gradient: {where}."]


def silent_modules(case: Case) -> list[str] | None:
    """Trained modules that get no gradient while others do."""
    finite = [one for one in case.finite if _model_norm(one) > 0]
    names = {name.removeprefix("model.") for one in finite for name in one.gradients if name.startswith("model.")}
    if not names:
        return None
    alive = {
        name.removeprefix("model.").rpartition(".")[0]
        for one in finite
        for name, norm in one.gradients.items()
        if norm and name.startswith("model.")
    }
    dead = sorted({name.rpartition(".")[0] for name in names} - alive)
    return [f"no gradient in any batch: {', '.join(dead)}."] if dead else []


def exploding_gradient(case: Case) -> list[str] | None:
    """A gradient that throws the weights away with the first update."""
    finite = [one for one in case.finite if math.isfinite(_model_norm(one))]
    if not finite or not _model_norm(finite[0]):
        return None
    parameters = {f"model.{name}": one for name, one in parameters_of(case.model).items()}
    size = math.sqrt(sum(float(one.detach().square().sum()) for one in parameters.values()))
    worst = max(finite, key=_model_norm)
    norm = _model_norm(worst)
    adaptive = any(word.lower() in type(case.optimizer).__name__.lower() for word in _ADAPTIVE)
    rate = max((float(group["lr"]) for group in case.optimizer.param_groups), default=0.0)
    name = max((key for key in worst.gradients if key in parameters), key=lambda key: worst.gradients[key] or 0.0)
    where = f"the largest part is that of {name.removeprefix('model.')}"
    if norm > TOO_LARGE * size:
        return [f"the gradient norm is {norm:.3g} where the weights have {size:.3g}; {where}."]
    if not adaptive and rate * norm > size:
        return [f"learning rate {rate:g} x gradient norm {norm:.3g} is more than the weights' {size:.3g}; {where}."]
    return []


def root_at_zero(case: Case) -> list[str] | None:
    """A square root whose slope at distance 0 is infinite."""
    trials = case.trials
    if trials is None or trials.twinned is None or trials.twinned.gradient is None or trials.plain.gradient is None:
        return None
    if not bool(trials.plain.gradient.isfinite().all()):
        zero = _has_zero_pair(trials.call.rows)
        return ["two embeddings of a batch are equal, and the gradient is not finite."] if zero else None
    if bool(trials.twinned.gradient.isfinite().all()):
        return []
    value = trials.twinned.value
    return [f"with one positive at distance 0 the loss is {value:.4g} and its gradient is not finite."]


def _model_norm(one: Observed) -> float:
    norms = [norm for name, norm in one.gradients.items() if norm is not None and name.startswith("model.")]
    return math.sqrt(sum(norm**2 for norm in norms))


def _has_zero_pair(rows: torch.Tensor) -> bool:
    return len(torch.unique(rows, dim=0)) < len(rows)

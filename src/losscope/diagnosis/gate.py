"""`--fail-if`: a condition on the numbers of a diagnosis, for a pipeline that must stop when embeddings get worse.

    map_at_r.low < -0.01 and not recall_at_1.mean > 0

Names with and, or, not, parentheses and the comparisons < <= > >= with numbers; nothing else is understood, and nothing
is executed. `.low` and `.high` are the bounds of the 95 % interval over classes, `.low_queries` and `.high_queries`
those over queries, `.mean` (or the bare name) the point.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Collection, Mapping
from itertools import pairwise

from losscope.errors import InvalidInput, UnknownName

LONGEST = 1000
COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
GRAMMAR = "expected comparisons of names and numbers (< <= > >=) with and, or, not, such as map_at_r.low < -0.01"


def holds(condition: str, numbers: Mapping[str, float | None]) -> bool:
    """Whether the condition is true of these numbers.

    Raises InvalidInput for anything but conditions, and where a number does not exist (a gate must not pass because
    nothing was measured); UnknownName with the nearest name.

    >>> holds("map_at_r.low < -0.01 or mrr > 0.9", {"map_at_r.low": -0.02, "mrr": 0.5})
    True
    """
    tree = parse(condition)
    return _true(tree, condition, numbers)


def check(condition: str, names: Collection[str]) -> None:
    """Raises InvalidInput or UnknownName where the condition can't be read or asks for another number than `names`."""
    holds(condition, dict.fromkeys(names, 0.0))


def parse(condition: str) -> ast.expr:
    """The condition as a tree. Raises InvalidInput where it is none; names are looked up later."""
    if len(condition) > LONGEST:
        raise InvalidInput(f"--fail-if has {len(condition):,} characters; expected at most {LONGEST}")
    try:
        with warnings.catch_warnings(action="ignore"):  # the parser warns of things that are refused below
            return ast.parse(condition.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise InvalidInput(f"--fail-if {condition!r} can't be read ({error.__class__.__name__}); {GRAMMAR}") from None


def _true(node: ast.expr, condition: str, numbers: Mapping[str, float | None]) -> bool:
    if isinstance(node, ast.BoolOp):
        values = [_true(part, condition, numbers) for part in node.values]  # all of them: a wrong name is always told
        return all(values) if isinstance(node.op, ast.And) else any(values)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not _true(node.operand, condition, numbers)
    if isinstance(node, ast.Compare) and all(type(one) in COMPARISONS for one in node.ops):
        sides = [_value(part, condition, numbers) for part in (node.left, *node.comparators)]
        return all(COMPARISONS[type(how)](*pair) for how, pair in zip(node.ops, pairwise(sides), strict=True))
    raise InvalidInput(f"--fail-if {condition!r}: '{ast.unparse(node)}' is no condition; {GRAMMAR}")


def _value(node: ast.expr, condition: str, numbers: Mapping[str, float | None]) -> float:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        try:
            return float(node.value)  # type: ignore[arg-type]
        except OverflowError:
            raise InvalidInput("--fail-if has a number that is too large; expected numbers below 1.8e308") from None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, condition, numbers)
    name = _dotted(node)
    if name is None:
        raise InvalidInput(f"--fail-if {condition!r}: '{ast.unparse(node)}' is neither name nor number; {GRAMMAR}")
    if name not in numbers:
        raise UnknownName.of("name in --fail-if", name, numbers)
    value = numbers[name]
    if value is None or not math.isfinite(value):
        raise InvalidInput(f"--fail-if {condition!r}: '{name}' does not exist for these embeddings (too few classes or "
                           "queries for an interval?); expected a number that was measured")  # fmt: skip
    return value


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return None if before is None else f"{before}.{node.attr}"
    return None

"""Conditions of --fail-if: true, false, or refused; nothing is ever executed."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from losscope.diagnosis.gate import holds
from losscope.errors import InvalidInput, LosscopeError, UnknownName

NUMBERS = {"map_at_r": -0.005, "map_at_r.low": -0.02, "map_at_r.high": 0.01, "mrr": 0.9, "r_precision.low": None}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("map_at_r.low < -0.01", True),
        ("map_at_r < -0.01", False),
        ("map_at_r.low < -0.01 and mrr > 0.95", False),
        ("map_at_r.low < -0.01 or mrr > 0.95", True),
        ("not mrr > 0.95", True),
        ("-0.03 < map_at_r.low < map_at_r.high <= 0.01", True),
        ("(mrr >= 0.9)", True),
        (" 1 > 2 ", False),
    ],
)
def test_conditions(condition: str, expected: bool) -> None:
    assert holds(condition, NUMBERS) is expected


@pytest.mark.parametrize(
    "condition",
    ["", "mrr", "mrr <", "mrr = 1", "mrr == 0.9", "mrr < '1'", "mrr < True", "mrr + 1 > 0", "abs(mrr) > 0", "mrr < 1; 2",
     "__import__('os').system('false') < 1", "[1] < 2", "mrr.__class__ < 1 if 1 else 2", "(" * 500, "lambda: 1", "mrr\0< 1"],
)  # fmt: skip
def test_what_is_no_condition(condition: str) -> None:
    with pytest.raises(InvalidInput, match="--fail-if"):
        holds(condition, NUMBERS)


def test_names_are_told_also_where_they_decide_nothing() -> None:
    with pytest.raises(UnknownName, match=r"'map_at.low'; did you mean 'map_at_r.low'\?"):
        holds("mrr > 0 or map_at.low < 0", NUMBERS)


def test_a_number_that_does_not_exist_lets_nothing_pass() -> None:
    with pytest.raises(InvalidInput, match=r"'r_precision.low' does not exist"):
        holds("r_precision.low < 0", NUMBERS)


@given(st.text(alphabet="map_tr.lowhig<>=()-+*/.,0123456789 andornot'\"[]{}:\\\n", max_size=60))
def test_any_text_is_a_condition_or_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(LosscopeError):
        assert holds(text, NUMBERS) in (True, False)

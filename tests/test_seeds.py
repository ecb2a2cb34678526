"""Named generators: equal names draw equally, any other name draws otherwise."""

from __future__ import annotations

import pytest

from losscope.errors import InvalidInput
from losscope.seeds import generator


def test_equal_names_draw_equally_and_all_others_apart() -> None:
    names = [
        (0,),
        (1,),
        (0, "a"),
        (0, "b"),
        (1, "a"),
        (0, "a", 0),
        (0, "a", 1),
        (0, "a", 0, 0),
        (0, 0),
        (2**32, "a"),
    ]
    draws = [generator(*name).integers(2**62) for name in names]  # type: ignore[arg-type]
    assert draws == [generator(*name).integers(2**62) for name in names]  # type: ignore[arg-type]
    assert len(set(draws)) == len(names)


def test_the_draws_are_the_same_on_every_machine() -> None:
    assert generator(0, "weights").integers(2**62) == 3232779514800148123


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InvalidInput, match="seed is -1"):
        generator(-1, "a")

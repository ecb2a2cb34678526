"""The one door: names, options, their types and ranges, and what an import may cost."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from losscope.data import DATASETS, draws_per_seed, load, options_of
from losscope.errors import InvalidStudy, UnknownName


def test_importing_losscope_data_loads_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "PIL", "pyarrow", "safetensors", "huggingface_hub")
    code = f"import sys, losscope.data; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_an_unknown_data_set_names_the_nearest() -> None:
    for call in (load, options_of, lambda name: draws_per_seed(name, {})):
        with pytest.raises(UnknownName, match="did you mean 'digits'"):
            call("digit")


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'classes'"):
        load("synthetic", clases=3)
    with pytest.raises(UnknownName, match="option of data set 'digits'"):
        load("digits", difficulty=1.0)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("synthetic", "difficulty", "hard"),
        ("synthetic", "difficulty", 0.0),
        ("synthetic", "difficulty", float("nan")),
        ("synthetic", "classes", 1),
        ("synthetic", "classes", True),
        ("synthetic", "classes", 2.5),
        ("synthetic", "label_noise", 1.1),
        ("synthetic", "data_seed", -1),
        ("digits", "split", "official"),
        ("digits", "limit", 1),
    ],
)
def test_values_of_the_wrong_type_or_range(name: str, option: str, value: Any) -> None:
    with pytest.raises(InvalidStudy, match=f"data set '{name}': {option} = "):
        load(name, **{option: value})


def test_options_are_listed_with_defaults_and_without_what_the_caller_provides() -> None:
    options = options_of("synthetic")
    assert options["samples_per_class"].default == 200
    assert "seed" not in options
    assert all(options_of(name).keys().isdisjoint({"folder", "device", "progress"}) for name in DATASETS)


def test_only_synthetic_data_without_data_seed_are_drawn_per_seed() -> None:
    assert draws_per_seed("synthetic", {})
    assert draws_per_seed("synthetic", {"data_seed": None})
    assert not draws_per_seed("synthetic", {"data_seed": 0})
    assert not any(draws_per_seed(name, {}) for name in DATASETS if name != "synthetic")

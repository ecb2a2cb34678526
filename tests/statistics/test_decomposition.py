"""Variance decomposition against statsmodels, on planted designs, and over all orders by hand."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations, product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from losscope.errors import InvalidInput
from losscope.statistics import decompose

RANDOM = np.random.default_rng(0)
SEEDS = range(13)
FULL = {f"{a}{b}{c}": {"loss": a, "margin": b, "sampler": c} for a, b, c in product("ct", "123", "xy")}
AROUND = {
    "base": {"loss": "c", "margin": "1", "sampler": "x"},
    "t": {"loss": "t", "margin": "1", "sampler": "x"},
    "2": {"loss": "c", "margin": "2", "sampler": "x"},
    "3": {"loss": "c", "margin": "3", "sampler": "x"},
    "y": {"loss": "c", "margin": "1", "sampler": "y"},
    "t2": {"loss": "t", "margin": "2", "sampler": "x"},
}


def measured(levels: Mapping[str, Mapping[str, str]], **effects: float) -> dict[str, dict[int, float]]:
    """Values with the given sizes of effects; noise has size `noise`."""
    of_seeds = RANDOM.normal(size=len(SEEDS)) * effects.get("seed", 0.0)
    sizes: dict[str, float] = {"c": -effects.get("loss", 0.0), "t": effects.get("loss", 0.0),
                               "1": -effects.get("margin", 0.0), "3": effects.get("margin", 0.0),
                               "x": -effects.get("sampler", 0.0), "y": effects.get("sampler", 0.0)}  # fmt: skip
    return {
        name: {seed: float(sum(sizes.get(level, 0.0) for level in of.values()) + of_seeds[seed]
                           + RANDOM.normal() * effects.get("noise", 1.0)) for seed in SEEDS}
        for name, of in levels.items()
    }  # fmt: skip


def test_a_balanced_design_is_statsmodels_omega_squared() -> None:
    values = measured(FULL, loss=1.0, margin=0.5, seed=0.7)
    found = decompose(values, FULL)
    # The variants hold what the factors don't: fitted last, with the degrees that are left.
    main = ["loss", "margin", "sampler"]
    frame = pd.DataFrame([{"value": value, "seed": seed, "variant": name, **FULL[name]}
                          for name, of in values.items() for seed, value in of.items()])  # fmt: skip
    table = anova_lm(ols("value ~ C(seed) + " + " + ".join(f"C({name})" for name in main), frame).fit())
    whole = anova_lm(ols("value ~ C(seed) + C(variant)", frame).fit())
    error = whole.loc["Residual", "mean_sq"]
    total = ((frame.value - frame.value.mean()) ** 2).sum()
    for name in (*main, "seed"):
        row = table.loc[f"C({name})"]
        assert found.shares[name].mean == pytest.approx((row.sum_sq - row.df * error) / (total + error)), name
    beyond = whole.loc["C(variant)", "sum_sq"] - sum(table.loc[f"C({name})", "sum_sq"] for name in main)
    assert found.shares["interactions"].mean == pytest.approx((beyond - (11 - 4) * error) / (total + error))
    assert sum(share.mean for share in found.shares.values()) == pytest.approx(1)


def test_an_unbalanced_design_is_the_mean_over_all_orders() -> None:
    values = measured(AROUND, loss=1.0, margin=0.8, sampler=0.4)
    table = np.array([[of[seed] for of in values.values()] for seed in SEEDS])
    centered = table - table.mean()
    means, error_free = centered.mean(0), centered - centered.mean(0) - centered.mean(1, keepdims=True)
    error = (error_free**2).sum() / (12 * 5)

    def explained(factors: tuple[str, ...]) -> tuple[float, int]:
        columns = [np.ones(6)] + [
            np.array([of[name] == level for of in AROUND.values()], dtype=float)
            for name in factors
            for level in "ct123xy"
        ]
        design = np.stack(columns, axis=1)
        fitted = design @ np.linalg.lstsq(design, means)[0]
        return 13 * float((fitted**2).sum()), int(np.linalg.matrix_rank(design)) - 1

    expected = dict.fromkeys(("loss", "margin", "sampler"), 0.0)
    for order in permutations(expected):
        for at, name in enumerate(order):
            (with_it, rank), (before, rank_before) = explained(order[: at + 1]), explained(order[:at])
            expected[name] += (with_it - before - (rank - rank_before) * error) / 6
    found = decompose(values, AROUND)
    for name, gain in expected.items():
        assert found.shares[name].mean == pytest.approx(gain / ((centered**2).sum() + error)), name


def test_planted_shares_are_found_and_nothing_is_found_in_noise() -> None:
    # ±1 by loss, 0 or ±0.5 by margin (2/3 · 0.25), noise and seeds of variance 1: of 19/6 the loss has 6/19.
    estimates = [decompose(measured(FULL, loss=1.0, margin=0.5, seed=1.0), FULL).shares for _ in range(200)]
    for name, share in {"loss": 6 / 19, "margin": 1 / 19, "sampler": 0, "interactions": 0}.items():
        found = np.array([shares[name].mean for shares in estimates])
        assert abs(found.mean() - share) < 0.02, name
    noise = [decompose(measured(AROUND), AROUND).shares for _ in range(200)]
    for name in ("loss", "margin", "sampler", "seed", "interactions"):
        found = np.array([shares[name].mean for shares in noise])
        assert abs(found.mean()) < 4 * found.std() / np.sqrt(200), name


def test_without_noise_everything_is_explained() -> None:
    found = decompose(measured(FULL, loss=1.0, noise=0.0), FULL)
    assert found.shares["loss"].mean == pytest.approx(1)
    assert found.shares["residual"].mean == pytest.approx(0)
    assert found.shares["loss"].low == pytest.approx(1)


def test_two_names_of_one_factor_share_what_it_explains() -> None:
    levels = {name: {**of, "twin": of["loss"]} for name, of in FULL.items()}
    values = measured(FULL, loss=1.0)
    twins, alone = decompose(values, levels).shares, decompose(values, FULL).shares
    assert twins["loss"].mean == pytest.approx(twins["twin"].mean)
    assert twins["loss"].mean + twins["twin"].mean == pytest.approx(alone["loss"].mean)


def test_only_common_seeds_count_and_damage_is_refused() -> None:
    values = measured(FULL, loss=1.0)
    values["c1x"] = {seed: value for seed, value in values["c1x"].items() if seed != 4}
    assert decompose(values, FULL).seeds == tuple(seed for seed in SEEDS if seed != 4)
    cases: list[tuple[Any, Any, str]] = [
        ({}, FULL, "0 variants"),
        ({"c1x": {0: 1.0}, "t1x": {0: 2.0}}, FULL, "2 variants with 1 seeds"),
        (values, {name: FULL[name] for name in list(FULL)[1:]}, "the same factors for each"),
        (values, {name: {**of, "seed": "1"} for name, of in FULL.items()}, "none of them named seed"),
        (values, {name: {} for name in FULL}, "0 factors"),
        ({name: dict.fromkeys(SEEDS, 1.0) for name in FULL}, FULL, "no variance to explain"),
        ({name: dict.fromkeys(SEEDS, float("nan")) for name in FULL}, FULL, "not finite"),
    ]
    for damaged, levels, message in cases:
        with pytest.raises(InvalidInput, match=message):
            decompose(damaged, levels)

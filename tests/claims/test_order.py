"""The sign test over seeds: against scipy, with what is never reached, and its error rate."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from losscope.claims.order import Order, Sign, decide_orders, order


def signs(later: int, earlier: int, ties: int = 0) -> tuple[Sign, ...]:
    return (*[1] * later, *[-1] * earlier, *[0] * ties)  # type: ignore[return-value]


def test_never_is_later_than_every_epoch_and_says_nothing_about_never() -> None:
    found = order({0: 10.0, 1: 10.0, 2: 5.0}, {0: 9.0, 1: 10.0, 3: 4.0}, ((3, 4, 5), (2, 4)), "smaller")
    # seeds 0: earlier; 1: tie; 2: never against 5; 3: 4 against never; 4: neither; 5: not in both
    assert found.signs == (-1, 0, 1, -1, 0)
    assert (found.wins, found.telling) == (2, 3)


@pytest.mark.parametrize(("wins", "losses"), [(13, 0), (11, 2), (7, 6), (0, 13), (12, 1), (20, 5), (0, 0)])
def test_p_and_interval_are_those_of_the_binomial_test(wins: int, losses: int) -> None:
    (found,) = decide_orders([Order(signs(wins, losses, 13 - min(13, wins + losses)), "larger")])
    if not wins + losses:
        assert (found.p, found.effect, found.verdict) == (1.0, None, "cannot tell")
        return
    both = [stats.binomtest(wins, wins + losses, 0.5, alternative=side).pvalue for side in ("greater", "less")]
    assert found.p == pytest.approx(min(1.0, 2 * min(both)))
    exact = stats.binomtest(wins, wins + losses).proportion_ci(0.95, method="exact")
    assert found.effect is not None
    assert (found.effect.low, found.effect.high) == pytest.approx((exact.low, exact.high))


def test_the_family_is_adjusted_together() -> None:
    clear, weak = Order(signs(13, 0), "larger"), Order(signs(11, 2), "larger")
    assert [one.verdict for one in decide_orders([clear, weak])] == ["holds", "holds"]
    many = decide_orders([weak, *[Order(signs(7, 6), "larger")] * 9])
    assert many[0].verdict == "cannot tell"
    assert many[0].p_adjusted == pytest.approx(10 * 2 * stats.binomtest(11, 13, alternative="greater").pvalue)


def test_verdicts_follow_the_claimed_direction_and_need_thirteen_seeds() -> None:
    later = signs(13, 0)
    assert [decide_orders([Order(later, way)])[0].verdict for way in ("larger", "smaller")] == [
        "holds",
        "does not hold",
    ]
    assert decide_orders([Order(later[:12], "larger")])[0].why == "12 paired seeds; a verdict needs 13."


@pytest.mark.parametrize("n", [13, 20])
def test_without_an_effect_a_wrong_verdict_has_a_chance_of_at_most_five_percent(n: int) -> None:
    """Exactly, over all outcomes of n fair coins and, for two claims at once, all pairs of them."""
    chance = stats.binom.pmf(np.arange(n + 1), n, 0.5)
    outcomes = [Order(signs(wins, n - wins), "larger") for wins in range(n + 1)]
    alone = sum(chance[wins] for wins, one in enumerate(outcomes) if decide_orders([one])[0].verdict != "cannot tell")
    assert alone <= 0.05
    together = sum(
        chance[first] * chance[second]
        for first, second in product(range(n + 1), repeat=2)
        if any(one.verdict != "cannot tell" for one in decide_orders([outcomes[first], outcomes[second]]))
    )
    assert together <= 0.05

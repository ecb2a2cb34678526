"""The sign test over seeds: against scipy, with what is never reached, and its error rate."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from losscope.claims.order import Order, Sign, decide_orders, order
from losscope.claims.types import Direction
from losscope.statistics import Region

TENTH = Region(0.1, "log")


def told(signs: tuple[Sign, ...], direction: Direction) -> Order:
    return Order(signs, direction, TENTH)


def signs(later: int, earlier: int, ties: int = 0) -> tuple[Sign, ...]:
    return (*[1] * later, *[-1] * earlier, *[0] * ties)  # type: ignore[return-value]


def test_never_is_later_than_every_epoch_and_says_nothing_about_never() -> None:
    found = order({0: 10.0, 1: 10.0, 2: 5.0}, {0: 9.0, 1: 10.0, 3: 4.0}, ((3, 4, 5), (2, 4)), "smaller", TENTH)
    # seeds 0: 9 after 10, by more than 10 %; 1: tie; 2: never against 5; 3: 4 against never; 4: neither; 5: not in both
    assert found.signs == (-1, 0, 1, -1, 0)
    assert (found.wins, found.telling) == (2, 3)


@pytest.mark.parametrize(("wins", "losses"), [(13, 0), (11, 2), (7, 6), (0, 13), (12, 1), (20, 5), (0, 0)])
def test_p_and_interval_are_those_of_the_binomial_test(wins: int, losses: int) -> None:
    (found,) = decide_orders([told(signs(wins, losses, 13 - min(13, wins + losses)), "larger")])
    if not wins + losses:
        assert (found.p, found.effect, found.verdict) == (1.0, None, "cannot tell")
        return
    both = [stats.binomtest(wins, wins + losses, 0.5, alternative=side).pvalue for side in ("greater", "less")]
    assert found.p == pytest.approx(min(1.0, 2 * min(both)))
    exact = stats.binomtest(wins, wins + losses).proportion_ci(0.95, method="exact")
    assert found.effect is not None
    assert (found.effect.low, found.effect.high) == pytest.approx((exact.low, exact.high))


def test_the_family_is_adjusted_together() -> None:
    clear, weak = told(signs(13, 0), "larger"), told(signs(11, 2), "larger")
    assert [one.verdict for one in decide_orders([clear, weak])] == ["holds", "holds"]
    many = decide_orders([weak, *[told(signs(7, 6), "larger")] * 9])
    assert many[0].verdict == "cannot tell"
    assert many[0].p_adjusted == pytest.approx(10 * 2 * stats.binomtest(11, 13, alternative="greater").pvalue)


def test_verdicts_follow_the_claimed_direction_and_need_thirteen_seeds() -> None:
    later = signs(13, 0)
    assert [decide_orders([told(later, way)])[0].verdict for way in ("larger", "smaller")] == [
        "holds",
        "does not hold",
    ]
    assert decide_orders([told(later[:12], "larger")])[0].why == "12 paired seeds; a verdict needs 13."


@pytest.mark.parametrize("n", [13, 20])
def test_without_an_effect_a_wrong_verdict_has_a_chance_of_at_most_five_percent(n: int) -> None:
    """Exactly, over all outcomes of n fair coins and, for two claims at once, all pairs of them."""
    chance = stats.binom.pmf(np.arange(n + 1), n, 0.5)
    outcomes = [told(signs(wins, n - wins), "larger") for wins in range(n + 1)]
    alone = sum(chance[wins] for wins, one in enumerate(outcomes) if decide_orders([one])[0].verdict != "cannot tell")
    assert alone <= 0.05
    together = sum(
        chance[first] * chance[second]
        for first, second in product(range(n + 1), repeat=2)
        if any(one.verdict != "cannot tell" for one in decide_orders([outcomes[first], outcomes[second]]))
    )
    assert together <= 0.05


def test_epochs_within_the_region_are_a_tie() -> None:
    first = {0: 30.0, 1: 30.0, 2: 0.0, 3: 0.0}
    found = order(first, {0: 33.0, 1: 33.1, 2: 0.0, 3: 1.0}, ((), ()), "larger", TENTH)
    assert found.signs == (0, 1, 0, 1)


def test_a_verdict_needs_thirteen_seeds_that_tell() -> None:
    (few,) = decide_orders([told(signs(6, 0, 7), "larger")])
    assert (few.verdict, few.n) == ("cannot tell", 13)
    assert few.why.endswith("a verdict needs 13 that tell.")
    assert decide_orders([told(signs(13, 0, 7), "larger")])[0].verdict == "holds"


def test_the_sign_test_stays_valid_where_seeds_are_added() -> None:
    """Fair coins, looked at after every seed up to 100: a verdict in at most 5 %, also by the interval."""
    random, wrong, outside = np.random.default_rng(0), 0, 0
    for _ in range(400):
        coins = (random.integers(0, 2, 100) * 2 - 1).tolist()
        looks = [decide_orders([told(tuple(coins[:n]), "larger")], anytime=True)[0] for n in range(13, 101, 3)]
        wrong += any(one.verdict != "cannot tell" for one in looks)
        outside += any(not one.effect.low <= 0.5 <= one.effect.high for one in looks)  # type: ignore[union-attr, operator]
    assert stats.binom.sf(wrong - 1, 400, 0.05) > 1e-3
    assert stats.binom.sf(outside - 1, 400, 0.05) > 1e-3
    assert decide_orders([told(signs(13, 0), "larger")], anytime=True)[0].verdict == "holds"

"""Holm's p of the ledger and the simultaneous interval of tables: the second decides nothing that the first does not."""

from __future__ import annotations

import numpy as np

from losscope.statistics import Contrast, Region, decide, standing

REGION = Region(0.01)


def test_what_an_interval_decides_holm_decides(random: np.random.Generator) -> None:
    by_interval = by_holm = 0
    for _ in range(60):
        family = []
        for nth, effect in enumerate(random.normal(0, 0.02, 6)):
            effects = random.normal(effect, 0.02, 13)
            direction = "larger" if effects.mean() >= 0 else "smaller"
            family.append(
                Contrast(f"{nth}", tuple(range(13)), tuple(effects.tolist()), REGION, "other seeds", direction)
            )
        for decision in decide(family):
            assert decision.simultaneous is not None
            place = standing(decision.simultaneous, REGION)
            by_holm += decision.verdict != "cannot tell"
            by_interval += place != "cannot tell"
            if place in ("larger", "smaller"):
                assert (decision.verdict, decision.contrast.direction) == ("holds", place)
            elif place == "equivalent":
                assert (decision.verdict, decision.reason) == ("does not hold", "equivalent")
    assert by_holm > by_interval > 20  # Holm is the sharper

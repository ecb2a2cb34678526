"""Every claim on three planted tables: one where it is true, one where its reverse is, one where there is no effect."""

from __future__ import annotations

from typing import Any

import pytest

from claims.planting import SEEDS, levels, losses_of, plant
from losscope.claims import claims, ledger
from losscope.claims.types import Claim, Entry


def judged(write_record: Any, claim: Claim, truth: str, **settings: Any) -> Entry:
    data = [{"name": claim.data[0][0]}] if claim.data else [{"name": "synthetic"}]
    folder = write_record(
        truth, losses=losses_of(claim), full=True, edit=plant(levels(claim, truth)),
        **{"seeds": SEEDS, "datasets": data, **settings},
    )  # fmt: skip
    return next(entry for entry in ledger(folder).entries if entry.claim.name == claim.name)


def verdicts(entry: Entry) -> set[str]:
    return {line.verdict for line in entry.lines}


@pytest.mark.parametrize("claim", claims(), ids=lambda claim: claim.name)
def test_a_claim_comes_out_as_the_table_is(write_record: Any, claim: Claim) -> None:
    true, reversed_, null = (judged(write_record, claim, truth) for truth in ("true", "reversed", "null"))
    assert {line.ruling.n for entry in (true, reversed_, null) for line in entry.lines} == {SEEDS}
    assert {line.measure for line in true.lines} == set(claim.measures)
    assert (true.verdict, verdicts(true)) == ("holds", {"holds"})
    assert (reversed_.verdict, verdicts(reversed_)) == ("does not hold", {"does not hold"})
    assert "holds" not in verdicts(null)
    assert null.verdict in ("does not hold", "cannot tell")


@pytest.mark.parametrize("name", ["absolute_variance", "loss_decay", "variance_retrieves_finer"])
def test_twelve_seeds_are_too_few(write_record: Any, name: str) -> None:
    claim = next(claim for claim in claims() if claim.name == name)
    entry = judged(write_record, claim, "true", seeds=12)
    assert (entry.verdict, verdicts(entry)) == ("cannot tell", {"cannot tell"})
    assert "12 paired seeds; a verdict needs 13" in entry.reason

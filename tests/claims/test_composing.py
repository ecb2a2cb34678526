"""From lines to the verdict of a claim: what holds everywhere, what depends and on what, what stays open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from losscope.claims import claims
from losscope.claims.composing import compose
from losscope.claims.types import Claim, Line, Ruling
from losscope.summary import summarize
from losscope.summary.measures import BY_KEY

TWO = next(claim for claim in claims() if claim.name == "absolute_variance")
MANY = next(claim for claim in claims() if claim.name == "looser_classes")
TRAIN, HELDOUT = (BY_KEY[f"intra_class_variance_mean/{where}/last"] for where in ("train", "evaluation"))


@pytest.fixture
def line(write_record: Any) -> Any:
    comparison = summarize(write_record(seeds=2)).comparisons[0]

    def make(verdict: str, *, claim: Claim = TWO, protocol: str = "a", measure: Any = TRAIN, pair: Any = ("triplet", "contrastive"),
             **reading: str) -> Line:  # fmt: skip
        ruling = Ruling(verdict, f"because it {verdict}.", None, "ratio", 13, 0.01, 0.02, 4, "±10 %")  # type: ignore[arg-type]
        where = replace(comparison, protocol=protocol)
        return Line(claim, where, measure, "", pair, reading, ruling, None, "other seeds", ())

    return make


def words(claim: Claim, *lines: Line) -> tuple[str, tuple[str, ...]]:
    verdict, factors, _ = compose(claim, lines)
    return verdict, factors


def test_all_places_decide_together(line: Any) -> None:
    assert words(TWO, line("holds"), line("holds", protocol="b")) == ("holds", ())
    assert words(TWO, line("does not hold"), line("does not hold", protocol="b")) == ("does not hold", ())
    assert words(TWO) == ("cannot tell", ())


def test_one_open_place_leaves_a_claim_open_and_the_others_are_counted(line: Any) -> None:
    verdict, _, reason = compose(TWO, [line("holds"), line("holds", protocol="b"), line("cannot tell", protocol="c")])
    assert verdict == "cannot tell"
    assert reason == "It holds in 2 of 3 places. Open in 1 of 3: because it cannot tell."


def test_a_factor_that_tells_the_verdicts_apart_is_named(line: Any) -> None:
    by_protocol = [line(verdict, protocol=protocol, measure=measure)
                   for protocol, verdict in (("a", "holds"), ("b", "does not hold")) for measure in (TRAIN, HELDOUT)]  # fmt: skip
    assert words(TWO, *by_protocol) == ("depends", ("protocol",))
    assert compose(TWO, by_protocol)[2] == "Holds for a. Does not hold for b."
    by_split = [line(verdict, protocol=protocol, measure=measure)
                for protocol in ("a", "b") for measure, verdict in ((TRAIN, "holds"), (HELDOUT, "does not hold"))]  # fmt: skip
    assert words(TWO, *by_split) == ("depends", ("split",))
    by_reading = [
        line(verdict, **{"triplet squared": value})
        for value, verdict in (("true", "holds"), ("false", "does not hold"))
    ]
    assert words(TWO, *by_reading) == ("depends", ("triplet squared",))


def test_five_and_ten_neighbors_are_two_places(line: Any) -> None:
    five, ten = (BY_KEY[f"recall_at_k/{k}/evaluation/last"] for k in (5, 10))
    verdict, factors, reason = compose(TWO, [line("holds", measure=five), line("does not hold", measure=ten)])
    assert (verdict, factors) == ("depends", ("measure",))
    assert reason == "Holds for recall at k 5. Does not hold for recall at k 10."


def test_two_factors_are_named_where_one_does_not_tell(line: Any) -> None:
    lines = [line("does not hold" if (protocol, measure) == ("a", HELDOUT) else "holds", protocol=protocol, measure=measure)
             for protocol in ("a", "b", "c", "d") for measure in (TRAIN, HELDOUT)]  # fmt: skip
    assert words(TWO, *lines) == ("depends", ("protocol", "split"))
    assert compose(TWO, lines)[2] == "Does not hold for a, heldout. Holds for the other 7."


def test_what_is_open_does_not_blur_a_dependence(line: Any) -> None:
    lines = [line("holds"), line("does not hold", protocol="b"), line("cannot tell", protocol="c")]
    verdict, factors, reason = compose(TWO, lines)
    assert (verdict, factors) == ("depends", ("protocol",))
    assert reason.endswith("Open in 1 of 3: because it cannot tell.")


PAIRS = [(loss, against) for loss in MANY.losses for against in MANY.against]


def test_a_claim_about_several_losses_needs_each_comparison(line: Any) -> None:
    whole = [line("holds", claim=MANY, pair=pair, measure=HELDOUT) for pair in PAIRS]
    assert words(MANY, *whole) == ("holds", ())
    assert words(MANY, *whole[:-1]) == ("cannot tell", ())
    one_against = [*whole[:-1], line("does not hold", claim=MANY, pair=PAIRS[-1], measure=HELDOUT)]
    assert words(MANY, *one_against) == ("does not hold", ())
    assert "Not so for sup_con / info_nce. because it does not hold." in compose(MANY, one_against)[2]
    one_open = [*whole[:-1], line("cannot tell", claim=MANY, pair=PAIRS[-1], measure=HELDOUT)]
    assert words(MANY, *one_open) == ("cannot tell", ())

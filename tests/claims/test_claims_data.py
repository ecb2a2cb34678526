"""The claims as data: whole, decidable, and without a word on what will come out."""

from __future__ import annotations

from typing import Any

import pytest

from losscope.claims import claims
from losscope.claims.source import FILES, document, parse
from losscope.errors import InvalidStudy, UnknownName
from losscope.report.paper import paper
from losscope.statistics import region_of
from losscope.studies import shipped
from losscope.summary.measures import CENSORED, COMPACTIONS
from losscope.summary.subjects import HUES

WHOLE = {
    "name": "one", "text": "A is looser than B.", "source": "nowhere", "tag": "A", "kind": "losses",
    "measures": ["intra_class_variance_mean/train/last"], "direction": "larger", "losses": ["triplet"],
    "against": ["contrastive"], "study": "quick", "would_change": "Another margin.",
}  # fmt: skip


def test_every_claim_can_be_decided() -> None:
    names = [claim.name for claim in claims()]
    assert len(set(names)) == len(names) > 25
    for claim in claims():
        assert {*claim.losses, *claim.against} <= set(HUES)
        assert not set(claim.losses) & set(claim.against)
        assert {claim.study, *(study for _, study in claim.data)} <= set(shipped())
        assert claim.text.endswith(".")
        assert len(claim.would_change) > 30
        epochs = {measure.diagnostic in (*CENSORED, *COMPACTIONS) for measure in claim.measures}
        assert len(epochs) == 1, "one kind of test for a claim"
        if claim.kind != "association" and not epochs.pop():
            assert all(region_of(measure.diagnostic).margin > 0 for measure in claim.measures)


def test_the_papers_and_their_opposite_are_there() -> None:
    sources = [claim.source.split(",")[0].split(":")[0] for claim in claims()]
    assert list(dict.fromkeys(sources)) == [
        "paper A (arXiv 2510.02161)", "paper B (arXiv 2601.21450)", "powerful-benchmarker"
    ]  # fmt: skip
    by_name = {claim.name: claim for claim in claims()}
    papers, opposite = by_name["better_retrieval"], by_name["contrastive_retrieves_better"]
    assert (papers.losses, papers.against) == (opposite.against, opposite.losses)
    assert papers.direction == opposite.direction


@pytest.mark.parametrize("key", ["verdict", "expected", "holds", "seeds"])
def test_a_claim_cannot_name_what_will_come_out(key: str) -> None:
    with pytest.raises(UnknownName, match=f"unknown key of a claim .* '{key}'"):
        parse({"claim": [{**WHOLE, key: "holds"}]}, "here")
    fields = {name for file in FILES for entry in document(file)["claim"] for name in entry}
    assert not {"verdict", "expected", "holds", "threshold", "p"} & fields


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"would_change": ""}, "has no would_change"),
        ({"kind": "opinion"}, "of kind 'opinion'"),
        ({"direction": "better"}, "direction 'better'"),
        ({"against": []}, "has no against"),
        ({"kind": "lead"}, "has no beside"),
        ({"kind": "level"}, "has no level"),
        ({"kind": "setting"}, "has no setting"),
    ],
)
def test_a_claim_that_cannot_be_decided_is_refused(change: dict[str, Any], words: str) -> None:
    assert parse({"claim": [WHOLE]}, "here")[0].name == "one"
    with pytest.raises(InvalidStudy, match=words):
        parse({"claim": [{**WHOLE, **change}]}, "here")


def test_a_measure_that_does_not_exist_is_named() -> None:
    with pytest.raises(UnknownName, match="did you mean 'intra_class_variance_mean/train/last'"):
        parse({"claim": [{**WHOLE, "measures": ["intra_class_variance_mean/train/lst"]}]}, "here")


def test_printed_numbers_are_those_of_the_papers_tables() -> None:
    of_tables = {
        (row["name"], loss): row[loss] for row in paper()["table"][0]["dataset"] for loss in ("contrastive", "triplet")
    }
    for row in document("printed.toml")["row"]:
        intra, _, inter, spread = of_tables[row["data"], row["loss"]]
        assert (row["intra"], row["inter"], row["spread"]) == (intra, inter, spread)

"""What printed numbers leave possible: the identity on real geometry, p values against scipy, the paper's test on records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from losscope.claims import judge
from losscope.claims.printed import least, mean_centroid_squared, printed_numbers
from losscope.claims.source import document
from losscope.summary import summarize


def test_the_identity_holds_on_unit_length_embeddings(random: np.random.Generator) -> None:
    for classes, spread in ((3, 0.2), (10, 0.6), (11, 2.0)):
        centers = random.normal(size=(classes, 1, 8))
        points = centers + spread * random.normal(size=(classes, 30, 8))
        points /= np.linalg.norm(points, axis=2, keepdims=True)
        means = points.mean(1)
        intra = np.mean(np.sum((points - means[:, None]) ** 2, 2))
        distances = [np.linalg.norm(means[i] - means[j]) for i in range(classes) for j in range(i)]
        left = mean_centroid_squared(float(intra), float(np.mean(distances)), float(np.var(distances, ddof=1)), classes)
        assert left == pytest.approx(np.sum(means.mean(0) ** 2), abs=1e-12)


def test_rounding_is_granted() -> None:
    for printed in ("0.074", "1.4399", "0.0030", "0.0710"):
        assert round(least(printed) + 1e-12, len(printed.split(".")[1])) == pytest.approx(float(printed))
        assert least(printed) < float(printed)


def test_one_row_of_table_1_is_impossible_and_three_are_not(write_record: Any) -> None:
    found = [one for one in judge(summarize(write_record())).printed if "can come from one set" in one.what]
    assert [(one.what.split(" of ")[1].split(" can")[0], one.verdict) for one in found] == [
        ("contrastive loss on synthetic", "holds"),
        ("triplet loss on synthetic", "does not hold"),
        ("contrastive loss on mnist", "holds"),
        ("triplet loss on mnist", "holds"),
    ]
    # At the printed digits themselves:
    rows = document("printed.toml")["row"]
    left = [mean_centroid_squared(*(float(row[key]) for key in ("intra", "inter", "spread")), 10) for row in rows]
    assert left == pytest.approx([0.273, -0.022, 0.512, 0.001], abs=6e-4)


def test_printed_p_values_do_not_follow_from_their_t(write_record: Any) -> None:
    found = [one for one in judge(summarize(write_record())).printed if "has p <" in one.what]
    assert len(found) == 2
    for one, entry in zip(found, document("printed.toml")["test"], strict=True):
        p = 2 * stats.t.sf(float(entry["t"]), entry["classes"] - 1)
        assert p > 0.001
        assert one.verdict == "does not hold"
        assert f"p = {p:.3g}" in one.follows
        assert "pseudo-replication" in one.follows


def test_the_papers_test_is_run_on_every_run_and_labeled(write_record: Any, values: Any) -> None:
    folder = write_record(seeds=4)
    found = [one for one in printed_numbers(summarize(folder)) if "on this record" in one.what]
    assert [one.what.split(": ")[1] for one in found] == [
        "triplet squared=false against contrastive.", "triplet squared=true against contrastive."
    ]  # fmt: skip
    p = []
    for seed in range(4):
        one, other = (
            [values(folder, seed=seed, epoch=3, split="train", diagnostic="intra_class_variance", item=item, loss=loss,
                    variant=variant)[0] for item in range(4)]
            for loss, variant in (("contrastive", ""), ("triplet", "squared=false"))
        )  # fmt: skip
        p.append(stats.ttest_rel(one, other).pvalue)
    below = sum(value < 0.001 for value in p)
    assert f"p < 0.001 in {below} of 4 runs" in found[0].follows
    assert "pseudo-replication" in found[0].follows
    assert {one.verdict for one in found} == {"cannot tell"}

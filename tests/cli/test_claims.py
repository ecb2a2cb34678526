"""The ledger in the terminal and as JSON."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cli.conftest import Cli
from losscope.claims import claims


def test_json_is_the_ledger(cli: Cli, write_record: Any) -> None:
    called = cli("claims", write_record(seeds=13), "--json")
    assert called.code == 0, called.err
    found = called.json()
    assert {claim.name for claim in claims()} <= {one["claim"] for one in found}
    assert {"claim", "source", "verdict", "effect", "interval", "n", "text", "reason", "population", "measure", "protocol",
            "dataset", "adjusted_p", "rows", "would_change"} <= found[0].keys()  # fmt: skip


@pytest.mark.parametrize("lines", [False, True])
def test_the_terminal_shows_every_claim_within_100_columns(
    cli: Cli, write_record: Any, monkeypatch: pytest.MonkeyPatch, lines: bool
) -> None:
    from losscope.cli.console import out

    monkeypatch.setattr(out, "_width", 100)
    called = cli("claims", write_record(seeds=13), *(["--lines"] if lines else []))
    assert called.code == 0, called.err
    assert max(len(line) for line in called.out.splitlines()) <= 100
    plain = re.sub(r"\s+", " ", called.out)
    for claim in claims():
        assert re.search(
            rf"(holds|does not hold|depends on [a-z ]+|cannot tell) +{re.escape(claim.text)} {claim.name}", plain
        )
    assert "Printed numbers, held against one another" in plain
    assert ("triplet squared=false / contrastive" in plain) == lines
    for words in ("could have seen ×", "sign-flip p", "Wilcoxon p", "d_z", "% of seeds"):
        assert (words in plain) == lines


def test_seeds_that_were_added_after_looking_are_judged_at_any_time(cli: Cli, write_record: Any) -> None:
    folder = write_record(seeds=13)
    fixed, anytime = cli("claims", folder), cli("claims", folder, "--anytime")
    assert "judge with --anytime" in re.sub(r"\s+", " ", fixed.out)
    assert "Valid at any time: seeds may have been added" in anytime.out
    pairs = zip(
        cli("claims", folder, "--json").json(), cli("claims", folder, "--anytime", "--json").json(), strict=True
    )
    assert any(one["p"] != other["p"] for one, other in pairs)


def test_several_folders_are_one_ledger_and_damage_is_said(cli: Cli, write_record: Any) -> None:
    one, other = write_record("one", seeds=13), write_record("other", seeds=13, datasets=[{"name": "digits"}])
    torn = next(other.glob("groups/*/measurements.parquet"))
    torn.write_bytes(b"PAR1")
    called = cli("claims", one, other)
    assert called.code == 0, called.err
    assert f"Left out: {torn} can't be read" in called.out
    assert cli("claims", one / "nothing").code == 2

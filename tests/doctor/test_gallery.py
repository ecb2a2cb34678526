"""Every broken set-up is named by the right code, and no healthy one raises an issue."""

from __future__ import annotations

from pathlib import Path

import pytest

from doctor.gallery import BROKEN, HEALTHY
from losscope import doctor


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_set_up_is_named(name: str) -> None:
    broken = BROKEN[name]
    found = doctor.check(**broken.make())
    assert found[broken.code].outcome == broken.outcome, found
    assert found[broken.code].evidence


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_set_up_has_no_issue(name: str) -> None:
    found = doctor.check(**HEALTHY[name]())
    assert not found.issues, found
    assert len(found.passed) >= 8


def test_the_gallery_is_as_large_as_promised_and_every_issue_has_a_case() -> None:
    assert len(BROKEN) >= 20
    assert len(HEALTHY) >= 10
    shown = {broken.code for broken in BROKEN.values()}
    assert {one.code for one in doctor.CHECKS if one.severity == "issue"} - shown == {"fails"}


def test_the_documentation_says_what_the_checks_say() -> None:
    text = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    for one in doctor.CHECKS:
        assert f"### `{one.code}` ({one.severity})\n\nDetects {one.detects}.\n" in text
        assert f"Why it matters: {one.why}\n\nWhat to do: {one.fix}\n" in text
    assert text.count("### `") == len(doctor.CHECKS)

"""The pages: self-contained, escaped, whole or not there, and the same numbers in every form."""

from __future__ import annotations

import base64
import csv
import gzip
import html
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from losscope.errors import InvalidInput
from losscope.report import summarize, write_report

ATTACK = "<script>alert(1)</script>"


def test_pages_are_written_into_the_first_folder(write_record: Any) -> None:
    one, other = write_record("one"), write_record("other", datasets=[{"name": "digits"}])
    assert write_report([one, other]) == (one / "report.html", one / "report.md")
    assert not list(other.glob("report*"))
    assert not list(one.glob(".report*"))
    assert (one / "report.json").is_file()


def test_pages_go_where_they_are_told(write_record: Any, tmp_path: Path) -> None:
    page, text = write_report(write_record(), tmp_path / "new" / "place")
    assert page == tmp_path / "new" / "place" / "report.html"
    assert text.is_file()


def test_a_place_that_cannot_be_written_is_refused(write_record: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="can't write a report to"):
        write_report(write_record(), tmp_path / "file")


def test_an_old_page_stays_if_a_new_one_fails(write_record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_record()
    page, _ = write_report(folder)
    before = page.read_bytes()
    monkeypatch.setattr("losscope.report.render.markdown", lambda content: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(folder)
    assert page.read_bytes() == before
    assert not list(folder.glob(".report*"))


def test_the_page_asks_for_nothing_and_is_small(write_record: Any) -> None:
    page = write_report(write_record())[0].read_text()
    links = re.findall(r'(?:src|href|action|data|poster)="([^"]*)"', page)
    assert len(links) > 30
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not re.search(r"@import|url\(|<link(?! rel=\"icon\" href=\"data:,\")|<iframe|<img", page)
    assert len(page) < 6e6


def test_names_from_data_are_escaped(write_record: Any) -> None:
    data = [{"name": "synthetic", "label": ATTACK}]
    page, text = write_report(write_record(datasets=data, protocols=[{"name": "a|b<i>", "epochs": 2}]))
    assert ATTACK not in page.read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.read_text()
    assert ATTACK not in text.read_text()
    assert "a\\|b&lt;i>" in text.read_text()


def test_both_pages_and_json_carry_the_same_numbers(write_record: Any) -> None:
    folder = write_record()
    page, text = (path.read_text() for path in write_report(folder))
    document = json.loads((folder / "report.json").read_text())
    plain = html.unescape(re.sub(r"<[^>]+>", "", page))
    cells = re.findall(r"\d\.\d+ \[[^\]]+\]", text)
    assert len(cells) > 150
    assert all(cell in plain for cell in cells)
    for row in document["estimates"]:
        found = list(row["values"].values())
        assert row["mean"] == pytest.approx(np.mean(found))
        assert row["n"] == 5
    assert document["headline"]["which"] in plain
    assert len(document["differences"]) == len(summarize(folder).differences)
    assert {found["code"] for found in document["findings"] if found["fired"]} >= {"few-seeds", "equal-margin"}


def download(body: str) -> str:
    """The text of the CSV that a figure offers."""
    (link,) = re.findall(r'class="download"[^>]* href="data:([^"]+)"', body)
    kind, content = html.unescape(link).split(",", 1)
    if kind == "application/gzip;base64":
        return gzip.decompress(base64.b64decode(content)).decode()
    assert kind == "text/csv;charset=utf-8"
    return unquote(content)


def test_every_figure_has_its_table_and_its_csv(write_record: Any) -> None:
    folder = write_record()
    page = write_report(folder)[0].read_text()
    figures = re.findall(r'<figure id="([^"]+)">(.*?)</figure>', page, flags=re.S)
    assert [name for name, _ in figures] == ["variance-1", "plane-1", "training-1", "response"]
    for name, body in figures:
        assert f'<table id="{name}-numbers">' in body
        assert "<figcaption>" in body
        assert re.search(r'role="img" aria-label="[^"]{20,}"', body)
        rows = list(csv.reader(io.StringIO(download(body))))
        assert len(rows) > 20
        assert len({len(row) for row in rows}) == 1


def test_the_csv_of_training_is_the_tables(write_record: Any, values: Any) -> None:
    folder = write_record()
    page = write_report(folder)[0].read_text()
    link = re.search(r'download="training-1.csv" href="data:text/csv;charset=utf-8,([^"]+)"', page)
    assert link
    rows = list(csv.DictReader(io.StringIO(unquote(html.unescape(link[1])))))
    row = next(one for one in rows if (one["loss"], one["diagnostic"], one["epoch"]) == ("contrastive", "loss", "2"))
    mean = np.mean(values(folder, loss="contrastive", diagnostic="loss", epoch=2))
    assert float(row["mean"]) == pytest.approx(mean, rel=1e-5)
    assert row["n"] == "5"


def test_a_study_without_a_finished_run_has_a_page(write_record: Any) -> None:
    page, text = write_report(write_record(running=["none", "contrastive", "triplet"]))
    assert "No run with an evaluation is finished yet" in page.read_text()
    assert "0 of 15 runs have ended" in text.read_text()


def test_the_table_and_not_torch_is_what_a_report_needs(write_record: Any) -> None:
    code = (  # nor pandas: but where that is installed, pyarrow imports it by itself
        "import sys, losscope.report; losscope.report.write_report(sys.argv[1]); "
        "print(sorted({'torch', 'matplotlib', 'plotly.graph_objects', 'scipy.stats'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, write_record()], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

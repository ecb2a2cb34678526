"""The page of a diagnosed space in a real browser: quiet, offline, names escaped, tables that sort, pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import losscope

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>&amp;"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diagnosis")
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), 10)
    embeddings = random.standard_normal((12, 6))[labels] + random.standard_normal((120, 6))
    names = []
    for row in range(120):
        names.append(str(folder / f"{row}.png"))
        if row % 2:
            Image.fromarray(random.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(names[-1])
    (folder / "names.txt").write_text("\n".join(names))
    losscope.diagnose(
        embeddings, [f"{EVIL} {label}" for label in labels], names=folder / "names.txt",
        against=embeddings + random.standard_normal((120, 6)), out=folder,
    )  # fmt: skip
    return folder


@pytest.fixture
def open_page(browser: Any, folder: Path) -> Iterator[Any]:
    contexts = []

    def opened(**settings: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        contexts.append(context)
        page = context.new_page()
        page.noise, page.asked = [], []
        page.on("console", lambda message: page.noise.append(message.text))
        page.on("pageerror", lambda error: page.noise.append(str(error)))
        page.on("dialog", lambda dialog: (page.noise.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto((folder / "report.html").as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true })")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.wait_for_function(
            "[...document.querySelectorAll('[data-plot]')].every((box) => box.dataset.drawn)", timeout=120_000
        )
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_it_is_quiet_offline_and_fits(open_page: Any, width: int, scheme: str) -> None:
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.noise == []
    assert [url for url in page.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("[data-plot] svg.main-svg").count() >= page.locator("[data-plot]").count() >= 4
    assert page.locator("h1").count() == 1


def test_names_are_shown_as_they_are_and_do_nothing(open_page: Any) -> None:
    page = open_page()
    page.locator("[data-plot='map-0']").hover()
    page.wait_for_timeout(300)
    assert page.noise == []
    assert page.locator("img[src='x']").count() == 0
    assert EVIL in page.inner_text("#classes-table")
    assert EVIL in page.inner_text("#answers")


def test_the_classes_sort_by_their_heads(open_page: Any) -> None:
    page = open_page()
    column = [text.split(" ")[0] for text in page.locator("#classes-table thead th").all_inner_texts()].index("MAP@R")
    cells = f"#classes-table tbody tr > :nth-child({column + 1})"
    head = page.locator("#classes-table thead th").nth(column)
    for press, descending in ((1, False), (2, True)):
        head.get_by_role("button").click()
        shown = [float(text) for text in page.locator(cells).all_inner_texts()]
        assert shown == sorted(shown, reverse=descending), press
    assert head.get_attribute("aria-sort") == "descending"
    page.locator("#classes-table thead th").nth(0).get_by_role("button").click()
    names = page.locator("#classes-table tbody th").all_inner_texts()
    assert names == sorted(names)


def test_failing_queries_show_their_pictures(open_page: Any) -> None:
    page = open_page()
    assert page.locator("#failures ul.failure").count() > 3
    pictures = page.locator("#failures img")
    assert pictures.count() > 3
    page.evaluate("Promise.all([...document.images].map((one) => one.decode()))")
    assert page.evaluate("[...document.querySelectorAll('#failures img')].every((one) => one.naturalWidth === 60)")
    assert "MAP@R" in page.inner_text("#difference")


def test_numbers_are_there_without_scripts(browser: Any, folder: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "report.html").as_uri())
    assert "Recall@1 is" in page.inner_text("#answers")
    assert page.locator("#measures-table tbody tr").count() > 10
    context.close()

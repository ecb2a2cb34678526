"""The page in a real browser: quiet, offline, drawn, readable on a phone, at night and on paper."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from losscope.report import write_report

WIDTHS = (1280, 390)


@pytest.fixture
def page_path(write_record: Any) -> Path:
    data = [{"name": "synthetic"}, {"name": "digits", "label": "<script>alert(1)</script>"}]
    protocols = [{"name": "as_printed", "epochs": 3}, {"name": "best_fit", "epochs": 3}]
    page: Path = write_report(write_record(datasets=data, protocols=protocols))[0]
    return page


@pytest.fixture
def open_page(browser: Any, page_path: Path) -> Iterator[Any]:
    contexts = []

    def opened(path: Path = page_path, **settings: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        contexts.append(context)
        page = context.new_page()
        page.noise, page.asked = [], []
        page.on("console", lambda message: page.noise.append(message.text))
        page.on("pageerror", lambda error: page.noise.append(str(error)))
        page.on("dialog", lambda dialog: (page.noise.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


def draw_all(page: Any) -> None:
    """Open everything and wait until every figure is drawn."""
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true })")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function(
        "[...document.querySelectorAll('[data-plot]')].every((box) => box.dataset.drawn)", timeout=60_000
    )


def test_it_is_quiet_offline_and_complete(open_page: Any) -> None:
    page = open_page()
    draw_all(page)
    assert page.noise == []
    assert [url for url in page.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.locator("[data-plot] svg.main-svg").count() >= page.locator("[data-plot]").count() > 20
    assert page.locator("h1").count() == 1
    assert page.locator("th:not([scope]):not(:empty)").count() == 0


def test_there_is_no_button_that_uploads(open_page: Any) -> None:
    page = open_page()
    draw_all(page)
    page.locator("[data-plot]").first.hover()
    page.wait_for_timeout(200)
    assert page.locator(".modebar-btn, [data-title*='hart'], a[href*='plotly']").count() == 0
    assert "plotly.com" not in page.evaluate("document.body.innerText")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen(open_page: Any, width: int, scheme: str) -> None:
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    draw_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background, text = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert (_brightness(background) > _brightness(text)) == (scheme == "light")
    labels = page.evaluate("getComputedStyle(document.querySelector('[data-plot] .xtick text')).fill")
    assert (_brightness(labels) > 128) == (scheme == "dark")


@pytest.mark.parametrize("width", WIDTHS)
def test_seven_losses_fit_the_screen(open_page: Any, write_seven: Any, width: int) -> None:
    protocols = [{"name": "given", "epochs": 2}, {"name": "random", "epochs": 2, "labels": "shuffled"}]
    data = [{"name": "cub200", "label": "cub200/class_disjoint"}]
    path = write_report(write_seven(protocols=protocols, datasets=data))[0]
    page = open_page(path, viewport={"width": width, "height": 800})
    draw_all(page)
    assert page.noise == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#seven-losses [data-plot] svg.main-svg").count() >= 7
    names = page.locator("#seven-1 tbody th[scope=row]")
    assert names.count() == 13
    # No name is broken within a word: every part between places to break fits its column.
    assert page.evaluate("[...document.querySelectorAll('#seven-1 tbody th')].every((cell) => "
                         "cell.scrollWidth <= cell.clientWidth + 1)")  # fmt: skip
    assert page.locator("#budget-1 .plot").bounding_box()["height"] > 13 * 25


def _brightness(color: str) -> float:
    return sum(float(part) for part in color[color.index("(") + 1 : -1].split(",")[:3]) / 3


def test_it_opens_at_once(open_page: Any) -> None:
    started = time.monotonic()
    page = open_page()
    page.wait_for_selector("#answers p")
    assert time.monotonic() - started < 5  # about 0.3 s alone; generous for a machine at work
    assert "Which loss?" in page.inner_text("#answers")


def test_the_first_screen_holds_the_answers(open_page: Any) -> None:
    page = open_page(viewport={"width": 1280, "height": 800})
    for heading in ("Which loss?", "By how much?", "Can I trust it?"):
        box = page.get_by_role("heading", name=heading).bounding_box()
        assert box["y"] < 400
    assert page.locator("#leads").bounding_box()["y"] < 600


def test_terms_explain_themselves_and_lead_to_the_glossary(open_page: Any) -> None:
    page = open_page()
    terms = page.locator("a.term")
    assert terms.count() > 20
    assert all(page.evaluate("[...document.querySelectorAll('a.term')].map((term) => term.title.length > 20 && "
                             "document.querySelector(term.getAttribute('href')) !== null)"))  # fmt: skip


def test_it_prints_with_all_figures(open_page: Any) -> None:
    page = open_page()
    page.emulate_media(media="print")
    draw_all(page)
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert len(page.pdf()) > 100_000


def test_numbers_are_there_without_scripts(open_page: Any) -> None:
    page = open_page(java_script_enabled=False)
    assert "Cannot tell yet" in page.inner_text("#answers")
    assert page.locator("table").count() > 20

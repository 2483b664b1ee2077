"""The report as a reader sees it: in headless Chromium, from a file, with nothing on the console."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import fake_run
from layeratlas.report import build
from layeratlas.studies.hierarchy.study import PLUGIN as HIERARCHY
from layeratlas.studies.hierarchy.study import Hierarchy

selenium = pytest.importorskip("selenium")
pytestmark = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")), reason="no Chromium here"
)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--allow-file-access-from-files",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    fake = fake_run.Fake(rename={"edible": fake_run.HOSTILE, "animal": fake_run.LONG})
    return build(fake_run.write_run(tmp_path_factory.mktemp("run"), fake), HIERARCHY).as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    driver.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    yield driver
    driver.quit()


def show(browser: Any, page: str, width: int = 1280, scheme: str = "light") -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    metrics = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get_log("browser")
    browser.get(page)
    WebDriverWait(browser, 60).until(lambda b: run(b, "return document.documentElement.dataset.ready") == "yes")


def run(browser: Any, script: str) -> Any:
    return browser.execute_script(script)


def console(browser: Any) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] != "INFO"]


def lines(browser: Any) -> list[str]:
    script = "return [...document.querySelectorAll('.hero .mark-line path')].map(p => p.getAttribute('d'))"
    return [d for d in run(browser, script) if d and d.count("L") > 10]


def test_it_draws_with_nothing_on_the_console(browser: Any, page: str) -> None:
    show(browser, page)
    assert console(browser) == []
    assert run(browser, "return window.pwned === undefined")
    charts = run(
        browser, "return [...document.querySelectorAll('[data-chart]')].map(c => c.querySelectorAll('svg path').length)"
    )
    assert len(charts) >= 8
    assert min(charts) > 5
    assert len(lines(browser)) >= 3  # a line for each of the three levels, through all 31 points


def test_hover_shows_layer_estimate_interval_and_control(browser: Any, page: str) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    show(browser, page)
    hero = browser.find_element(By.CSS_SELECTOR, ".hero svg")
    run(browser, "document.querySelector('.hero').scrollIntoView({block: 'center'})")
    ActionChains(browser).move_to_element_with_offset(hero, 20, -60).move_by_offset(3, 2).pause(0.5).perform()
    text = run(browser, "return document.getElementById('vg-tooltip-element').innerText")
    shown = {line.split("\t")[0].strip() for line in text.splitlines()}
    assert {"Layer", "Estimate", "95 % interval", "Control (shuffled labels)", "Chance"} <= shown
    assert console(browser) == []


def test_switches_and_legend_change_the_chart(browser: Any, page: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    show(browser, page)
    before = lines(browser)
    run(browser, "document.querySelector('input[value=mlp]').click()")
    WebDriverWait(browser, 20).until(lambda b: lines(b) and lines(b) != before)
    count = len(lines(browser))
    run(browser, "document.querySelector('[data-level=relation]').click()")
    WebDriverWait(browser, 20).until(lambda b: len(lines(b)) < count)
    assert run(browser, "return document.querySelector('[data-level=relation]').ariaPressed") == "false"
    assert console(browser) == []


def test_what_has_no_curve_is_named_and_not_drawn_empty(browser: Any, tmp_path: Path) -> None:
    run_dir = fake_run.write_run(tmp_path / "classes", fake_run.Fake(layers=6, levels=("item", "relation")))
    other = fake_run.write_run(tmp_path / "numbers", fake_run.Fake(layers=6, levels=("own",), numbers=True))
    both = [pl.read_parquet(folder / "curves.parquet") for folder in (run_dir, other)]
    pl.concat(both).write_parquet(run_dir / "curves.parquet")
    show(browser, build(run_dir, HIERARCHY).as_uri())
    note = "return document.getElementById('absent').textContent"
    charts = "return [...document.querySelectorAll('.grid figure')].filter(f => !f.hidden).length"
    assert run(browser, note) == "No curve with these choices: own."
    before = run(browser, charts)
    run(browser, "document.querySelector('input[value=spearman]').click()")
    assert run(browser, note) == "No curve with these choices: item, relation."
    assert 0 < run(browser, charts) < before
    assert console(browser) == []


def test_columns_sort_by_their_numbers(browser: Any, page: str) -> None:
    show(browser, page)
    script = """const head = [...document.querySelectorAll('[aria-labelledby=all] th')].find(
        h => h.textContent.trim() === 'p'); head.querySelector('button').click();
        return [...head.closest('table').tBodies[0].rows].map(row => row.cells[head.cellIndex].textContent.trim())"""
    values = [float(text.removeprefix("< ")) for text in run(browser, script)]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 2


def test_map_has_a_scale(browser: Any, page: str) -> None:
    show(browser, page)
    assert "Estimate minus control (shuffled labels)" in run(
        browser, "return document.querySelector('[data-chart=heat]').textContent"
    )


def test_verdicts_stay_in_sight_where_a_table_scrolls(browser: Any, page: str) -> None:
    show(browser, page, width=420)
    script = """const box = document.querySelector('.scroll[aria-labelledby=all]'); box.scrollLeft = 9999;
        const cell = box.querySelector('tbody td');
        return [box.scrollLeft, cell.textContent.trim(), cell.getBoundingClientRect().left
            - box.getBoundingClientRect().left]"""
    scrolled, text, offset = run(browser, script)
    assert scrolled > 100
    assert text == "✓ supported"
    assert abs(offset) <= 1


def test_keyboard_reads_layer_by_layer(browser: Any, page: str) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    show(browser, page)
    browser.find_element(By.CSS_SELECTOR, ".hero").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert run(browser, "return document.getElementById('reading').textContent").startswith("Layer 1: item 0.")
    assert console(browser) == []


def test_a_narrow_window_does_not_scroll_sideways(browser: Any, page: str) -> None:
    show(browser, page, width=360)
    assert run(browser, "return document.documentElement.scrollWidth") <= 360
    assert run(browser, "return document.querySelector('.hero svg').getBoundingClientRect().width") <= 360
    assert console(browser) == []


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_page_and_charts_follow_the_readers_scheme(browser: Any, page: str, scheme: str, dark: bool) -> None:
    show(browser, page, scheme=scheme)
    paper = run(browser, "return getComputedStyle(document.documentElement).backgroundColor")
    ink = run(browser, "return getComputedStyle(document.querySelector('.hero .role-axis-label text')).fill")
    bright = [sum(map(int, colour[4:-1].split(","))) / 3 > 128 for colour in (paper, ink)]
    assert bright == [not dark, dark]
    assert console(browser) == []


def test_a_study_without_curves_has_a_page_that_works(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hierarchy, "curves", False)
    fake = fake_run.Fake(layers=3, levels=("item", "relation"), methods=("ridge",), components=("resid",))
    show(browser, build(fake_run.write_run(tmp_path / "run", fake), HIERARCHY).as_uri())
    assert run(browser, "return document.querySelectorAll('.hero').length") == 0
    assert run(browser, "return document.querySelectorAll('th button').length") > 5
    assert console(browser) == []

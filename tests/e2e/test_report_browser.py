"""The report as a reader sees it: in headless Chromium, from a file, with nothing on the console."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import fake_run
from layeratlas.report import build
from layeratlas.report.index import write_index
from layeratlas.studies.hierarchy.study import PLUGIN as HIERARCHY
from layeratlas.studies.hierarchy.study import Hierarchy

selenium = pytest.importorskip("selenium")
pytestmark = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")), reason="no Chromium here"
)
AXE = "axe-core@4.14.1"
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
def axe(pytestconfig: pytest.Config) -> str:
    """Return the accessibility checker, from the package registry once; skips where there is no npm or no registry."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir(AXE.replace("@", "-"))
    script = folder / "node_modules/axe-core/axe.min.js"
    if not script.exists() and shutil.which("npm"):
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), AXE]
        subprocess.run(command, check=False, capture_output=True, timeout=120)
    if not script.exists():
        pytest.skip("no axe-core here")
    return script.read_text(encoding="utf-8")


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
    browser.get("about:blank")  # an address that differs in its last part alone would not load the page again
    browser.get(page)
    WebDriverWait(browser, 60).until(lambda b: run(b, "return document.documentElement.dataset.ready") == "yes")


def show_hero(browser: Any, page: str, width: int = 1280) -> None:
    """Show the page at the chart of all levels, which is drawn when it comes near the window."""
    show(browser, page, width=width)
    run(browser, "document.querySelector('.hero').scrollIntoView()")
    waiting(browser).until(lines)


def waiting(browser: Any) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 30)


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
    run(browser, "window.dispatchEvent(new Event('beforeprint'))")  # draws what is far below, and opens what is closed
    counts = "return [...document.querySelectorAll('[data-chart]')].map(c => c.querySelectorAll('svg path').length)"
    waiting(browser).until(lambda b: min(run(b, counts)) > 5)
    assert len(run(browser, counts)) >= 8
    assert console(browser) == []
    assert len(lines(browser)) >= 3  # a line for each of the three levels, through all 31 points


def test_hover_shows_layer_estimate_interval_and_control(browser: Any, page: str) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    show_hero(browser, page)
    hero = browser.find_element(By.CSS_SELECTOR, ".hero svg")
    run(browser, "document.querySelector('.hero').scrollIntoView({block: 'center'})")
    ActionChains(browser).move_to_element_with_offset(hero, 20, -60).move_by_offset(3, 2).pause(0.5).perform()
    text = run(browser, "return document.getElementById('vg-tooltip-element').innerText")
    shown = {line.split("\t")[0].strip() for line in text.splitlines()}
    assert {"Layer", "Estimate", "95 % interval", "Control (shuffled labels)", "Chance"} <= shown
    assert console(browser) == []


def test_switches_and_legend_change_the_chart(browser: Any, page: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    show_hero(browser, page)
    before = lines(browser)
    run(browser, "document.querySelector('input[value=mlp]').click()")
    WebDriverWait(browser, 20).until(lambda b: lines(b) and lines(b) != before)
    count = len(lines(browser))
    run(browser, "document.querySelector('.legend [data-level=relation]').click()")
    WebDriverWait(browser, 20).until(lambda b: len(lines(b)) < count)
    assert run(browser, "return document.querySelector('.legend [data-level=relation]').ariaPressed") == "false"
    assert console(browser) == []


def test_a_level_without_the_measure_is_named_and_has_a_chart_of_its_own(browser: Any, tmp_path: Path) -> None:
    run_dir = fake_run.write_run(tmp_path / "classes", fake_run.Fake(layers=6, levels=("item", "relation")))
    other = fake_run.write_run(tmp_path / "numbers", fake_run.Fake(layers=6, levels=("own",), numbers=True))
    both = [pl.read_parquet(folder / "curves.parquet") for folder in (run_dir, other)]
    pl.concat(both).write_parquet(run_dir / "curves.parquet")
    show(browser, build(run_dir, HIERARCHY).as_uri())
    note = "return document.getElementById('absent').textContent"
    measures = "return [...document.querySelectorAll('.question .measure')].map(m => m.textContent)"
    assert run(browser, note) == "No curve with these choices: own."
    assert run(browser, measures) == ["Accuracy", "Accuracy", "Spearman correlation"]
    change = "const list = document.querySelector('select[name=metric]'); list.value = 'spearman';"
    run(browser, f"{change} list.dispatchEvent(new Event('change'))")
    assert run(browser, note) == "No curve with these choices: item, relation."
    assert run(browser, measures) == ["Accuracy", "Accuracy", "Spearman correlation"]
    assert console(browser) == []


def test_columns_sort_by_their_numbers(browser: Any, page: str) -> None:
    show(browser, f"{page}#all")
    script = """const head = [...document.querySelectorAll('[aria-labelledby=all] th')].find(
        h => h.textContent.trim() === 'p'); head.querySelector('button').click();
        return [...head.closest('table').tBodies[0].rows].map(row => row.cells[head.cellIndex].textContent.trim())"""
    values = [float(text.removeprefix("< ")) for text in run(browser, script)]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 2


def test_map_has_a_scale_and_leads_to_a_level(browser: Any, page: str) -> None:
    show(browser, page)
    assert "100%" in run(browser, "return document.querySelector('[data-chart=heat]').textContent")
    click = "new MouseEvent('click', {bubbles: true, clientX: 300, clientY: 300})"
    run(browser, f"document.querySelector('[data-chart=heat] .mark-rect path').dispatchEvent({click})")
    waiting(browser).until(lambda b: run(b, "return location.hash") == "#level-item")


def test_verdicts_stay_in_sight_where_a_table_scrolls(browser: Any, page: str) -> None:
    show(browser, f"{page}#all", width=420)
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

    show_hero(browser, page)
    browser.find_element(By.CSS_SELECTOR, ".hero").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert run(browser, "return document.getElementById('reading').textContent").startswith("Layer 1: item 0.")
    assert console(browser) == []


def test_a_narrow_window_does_not_scroll_sideways(browser: Any, page: str) -> None:
    show_hero(browser, page, width=360)
    assert run(browser, "return document.documentElement.scrollWidth") <= 360
    assert run(browser, "return document.querySelector('.hero svg').getBoundingClientRect().width") <= 360
    assert console(browser) == []


def violations(browser: Any, axe: str) -> list[str]:
    run(browser, "window.dispatchEvent(new Event('beforeprint'))")
    counts = "return [...document.querySelectorAll('[data-chart]')].every(c => c.querySelector('svg'))"
    waiting(browser).until(lambda b: run(b, counts))
    run(browser, axe)
    check = """const done = arguments[0]; const html = (v) => v.nodes.slice(0, 3).map(n => n.html.slice(0, 120));
        axe.run(document, {resultTypes: ['violations']}).then(result =>
            done(result.violations.map(v => v.id + ': ' + html(v).join(' | '))))"""
    found: list[str] = browser.execute_async_script(check)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_out_of_reach_for_a_reader_without_eyes_or_a_mouse(
    browser: Any, page: str, axe: str, scheme: str
) -> None:
    show(browser, page, scheme=scheme)
    assert violations(browser, axe) == []
    run(browser, "document.querySelector('.prose').style.color = 'var(--line)'; document.querySelector('h1').remove()")
    assert {found.partition(":")[0] for found in violations(browser, axe)} >= {"color-contrast", "page-has-heading-one"}


def test_what_is_shown_is_in_the_address(browser: Any, page: str) -> None:
    show(browser, f"{page}#level-relation;component=mlp;levels=item;layer=4")
    assert run(browser, "return document.querySelector('input[value=mlp]').checked")
    assert run(browser, "return document.querySelector('.legend [data-level=relation]').ariaPressed") == "false"
    assert run(browser, "return document.getElementById('reading').textContent").startswith("Layer 4: item 0.")
    run(browser, "document.querySelector('input[value=svm]').click()")
    assert run(browser, "return location.hash") == "#level-relation;component=mlp;method=svm;levels=item;layer=4"
    assert console(browser) == []


def test_a_finding_and_its_curve_light_up_together(browser: Any, page: str) -> None:
    show_hero(browser, page)
    widths = "return [...document.querySelectorAll('.hero .mark-line path')].map(p => p.getAttribute('stroke-opacity'))"
    assert "0.15" not in run(browser, widths)
    run(browser, "document.querySelector('li[data-level=item]').dispatchEvent(new Event('pointerenter'))")
    waiting(browser).until(lambda b: run(b, widths).count("0.15") == 2)
    assert run(browser, "return document.querySelector('li[data-level=item]').classList.contains('lit')")


def test_a_chart_and_a_finding_can_be_taken_away(browser: Any, page: str) -> None:
    show(browser, page)
    below = """const [chart, row] = ['.chart', '.take'].map(s => document.querySelector(`.lead figure ${s}`));
        return row.getBoundingClientRect().top - chart.getBoundingClientRect().bottom"""
    assert 0 <= run(browser, below) < 120
    script = """const done = arguments[0]; const made = [];
        URL.createObjectURL = (blob) => { made.push(blob); return '#'; };
        HTMLAnchorElement.prototype.click = function () { made.push(this.download); };
        for (const button of document.querySelectorAll('.lead figure .take button')) button.click();
        const wait = () => made.length < 6 ? setTimeout(wait, 50)
            : Promise.all(made.map(m => typeof m === 'string' ? m : m.text())).then(done); wait();"""
    made = browser.execute_async_script(script)
    texts = dict(zip(made[1::2], made[::2], strict=True))
    kinds = {name.rpartition(".")[2]: text for name, text in texts.items()}
    assert "var(--" not in kinds["svg"]
    assert kinds["png"][1:4] == "PNG"
    header, *cells = kinds["csv"].splitlines()
    assert {"level", "layer", "estimate", "lo", "hi", "control"} <= set(header.split(","))
    assert len(cells) == 7 * 31  # levels and tasks, and points of the residual stream
    sentence = "return atlas.taking.sentence(document.querySelector('.findings li'), arguments[0])"
    latex, plain = (browser.execute_script(sentence, form) for form in ("LaTeX", "Markdown"))
    assert "95 \\% interval" in latex
    assert "95 % interval" in plain
    assert plain.endswith("SmolLM2-135M-Instruct, hierarchy study, size standard, seed 0, Layer Atlas 0.1.0)")


def test_a_wide_window_is_used_and_print_hides_the_switches(browser: Any, page: str) -> None:
    show(browser, page, width=3840)
    width = run(browser, "return document.querySelector('main').getBoundingClientRect().width")
    assert width > 1500
    assert run(browser, "return document.documentElement.scrollWidth") <= 3840
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert run(browser, "return getComputedStyle(document.querySelector('.switches')).display") == "none"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


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


def test_an_index_sorts_and_filters_and_is_within_reach(browser: Any, axe: str, tmp_path: Path) -> None:
    for name, layers in (("beta", 3), ("alpha", 2)):
        fake_run.write_run(tmp_path / name, fake_run.Fake(layers=layers, levels=("item",), model=f"model-{name}"))
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone/run.json").write_text("{")
    browser.get(write_index(tmp_path).as_uri())
    names = """return [...document.querySelector('tbody').rows].filter(row => !row.hidden)
        .map(row => row.cells[7].innerText.split('\\n')[0])"""
    assert run(browser, names) == ["alpha", "beta", "gone"]
    run(browser, "[...document.querySelectorAll('th button')].find(b => b.textContent === 'model').click()")
    assert run(browser, names) == ["gone", "alpha", "beta"]
    find = "const box = document.getElementById('filter'); box.value = 'done bet';"
    run(browser, f"{find} box.dispatchEvent(new Event('input'))")
    assert run(browser, names) == ["beta"]
    assert run(browser, "return document.getElementById('count').textContent") == "1 of 3"
    assert console(browser) == []
    assert violations(browser, axe) == []

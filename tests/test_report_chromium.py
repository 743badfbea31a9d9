"""The report in Chromium: it needs nothing else, fits every window, is accessible, and sorts, filters and tells."""

import contextlib
import itertools
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from contracts import refuse_absent
from playwright.sync_api import Page
from report_fixtures import formats_with, report_study, with_inputs
from verdict_fixtures import write_study

from quantlab.runtimes import RUNTIMES
from quantlab.store import Store
from quantlab.types import Budget
from quantlab_reports.batch import BatchEntry, BatchRow, batch_table
from quantlab_reports.page import overview_page, report_page
from quantlab_reports.subject import Subject
from tests.tfjs_pages import open_browser

pytestmark = pytest.mark.starts_children

AXE = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "node_modules" / "axe-core" / "axe.min.js"
WIDTHS = (390, 960, 1600)
COLOURS = ("light", "dark")

CONTRASTS = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((one) => one / 255);
  const light = (colour) => channels(colour)
    .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const ratio = (one) => (Math.max(one, paper) + 0.05) / (Math.min(one, paper) + 0.05);
  return [...document.querySelectorAll(".chart text")]
    .filter((text) => text.checkVisibility() && getComputedStyle(text).stroke === "none")
    .map((text) => [text.textContent, ratio(light(getComputedStyle(text).fill))])
    .filter(([, contrast]) => contrast < 4.5);
}"""
"""Texts of charts with too little contrast, which axe-core does not look at."""


@pytest.fixture(scope="module")
def browser():
    refuse_absent(RUNTIMES["chromium-wasm"])
    with open_browser() as running:
        yield running


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    report_study(folder / "clothes.study")
    subject = Subject.of(Store(folder / "clothes.study"), Budget(max_accuracy_loss="3pt"), formats_with())
    (folder / "report.html").write_text(report_page(subject), encoding="utf-8")
    return folder / "report.html"


SHOWN = ("−∞", "−1,234.5 [−2, 3]", "−0.5", "0", "9.5", "10.2 KB", "1,234", "1e+6", "∞")
"""Cells of a column, as they are written, in their order."""


def test_numbers_are_sorted_as_numbers_however_they_are_written(browser, file, tmp_path):
    cells = "".join(f'<tr><td class="number">{text}</td></tr>' for text in sorted(SHOWN))
    table = f'<table class="sortable"><thead><tr><th>n</th></tr></thead><tbody>{cells}</tbody></table>'
    page_text = file.read_text(encoding="utf-8").replace('<section class="first"', f'{table}<section class="first"', 1)
    (tmp_path / "report.html").write_text(page_text, encoding="utf-8")
    with browser.new_context() as context, context.new_page() as page:
        page.goto((tmp_path / "report.html").as_uri())
        page.click("table >> nth=0 >> th button")
        assert page.locator("table >> nth=0 >> td").all_inner_texts() == list(SHOWN)


@dataclass
class Opened:
    page: Page
    asked: list[str] = field(default_factory=list)
    """Addresses that were asked for."""
    said: list[str] = field(default_factory=list)
    """What stands in the console."""


@pytest.fixture
def shown(browser, file):
    """Opens the report in a window."""
    with contextlib.ExitStack() as stack:

        def show(width=1280, colours="light", **options):
            size = {"width": width, "height": 800}
            context = stack.enter_context(browser.new_context(viewport=size, color_scheme=colours, **options))
            opened = Opened(stack.enter_context(context.new_page()))
            opened.page.on("request", lambda request: opened.asked.append(request.url))
            opened.page.on("console", lambda message: opened.said.append(message.text))
            opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
            opened.page.goto(file.as_uri())
            return opened

        yield show


def axe_violations(page):
    """Id of each rule that a page breaks, and the elements that break it."""
    if not AXE.is_file():
        if os.environ.get("QUANTLAB_NOTHING_ABSENT"):
            pytest.fail(f"'{AXE}' is missing; run 'python hatch_build.py', which installs the JavaScript packages")
        pytest.skip("needs axe-core; run 'python hatch_build.py', which installs the JavaScript packages")
    # The protocol of the browser evaluates it, so that the page's policy, which allows no such script, stays as it is.
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    # Of what passes, which is most, axe-core describes one element each.
    violations = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in violations]


def low_contrasts(page):
    """Texts of charts with too little contrast."""
    return page.evaluate(CONTRASTS)


def wrong_in_looks(page, looks, *checks):
    """What checks find, by width and colours of the page, and its width if it is not the window's."""
    found = {}
    for width, colours in looks:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=colours)
        wrong = [one for check in checks for one in check(page)]
        shown = page.evaluate("document.documentElement.scrollWidth")
        found |= {(width, colours): [*wrong, shown]} if wrong or shown != width else {}
    return found


@pytest.mark.parametrize("colours", COLOURS)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_and_asks_for_nothing(width, colours, shown, file):
    opened = shown(width, colours)
    opened.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    assert [address for address in opened.asked if not address.startswith("data:")] == [file.as_uri()]
    assert opened.said == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width


def test_a_regression_fits_and_opens_a_sample(browser, tmp_path):
    random = np.random.default_rng(0)
    targets = random.normal(20, 5, (80, 2))
    outputs = (targets + random.normal(0, 1, targets.shape)).astype(np.float32)
    candidate = (outputs + random.normal(0.2, 0.5, targets.shape)).astype(np.float32)
    as_numbers = {"task": "regression", "classes": False, "probabilities": False}
    write_study(tmp_path / "prices.study", targets, outputs, {("tfjs-uint8", "python"): candidate}, **as_numbers)
    with_inputs(tmp_path / "prices.study", random.normal(size=(80, 30)).astype(np.float32))
    page_text = report_page(Subject.of(Store(tmp_path / "prices.study")))
    (tmp_path / "report.html").write_text(page_text, encoding="utf-8")
    with browser.new_context() as context, context.new_page() as page:
        page.goto((tmp_path / "report.html").as_uri())
        assert wrong_in_looks(page, [(390, "light"), (1600, "dark")], axe_violations) == {}
        page.locator(".card").first.click()
        assert page.locator(".card.open dt").all_inner_texts() == [
            "element", "target", "before", "after", "mae", "change",
        ]  # fmt: skip


LONG = " ".join(["tfjs-uint8: loses at least 1.35 pt, and 0.5 pt is allowed;"] * 12)


@pytest.mark.parametrize(("width", "colours"), [(390, "dark"), (1600, "light")])
def test_the_overview_of_many_models_fits_and_is_accessible(width, colours, browser, tmp_path):
    known = {"setting": "tfjs-uint8", "size_bytes": 20_000, "float32_bytes": 90_000, "loss_unit": "pt"}
    rows = [
        BatchRow(name, f"{name}.keras", "x.npz", f"{name}.study", "measured", LONG, loss=0.1, loss_upper=0.4, **known)
        for name in ("keywords", "a-model-with-a-name-that-is-far-longer-than-others")
    ]
    table = batch_table([BatchEntry(row, None) for row in rows])
    (tmp_path / "index.html").write_text(overview_page(table, rows, ["a.html", "b.html"]), encoding="utf-8")
    size = {"width": width, "height": 800}
    with browser.new_context(viewport=size, color_scheme=colours) as context, context.new_page() as page:
        page.goto((tmp_path / "index.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("document.querySelector('.notes dd').clientWidth") > 300
        assert (
            page.evaluate("Math.max(...[...document.querySelectorAll('tbody tr')].map((row) => row.clientHeight))") < 80
        )
        assert axe_violations(page) == []
        assert page.evaluate(CONTRASTS) == []
        page.hover(".chart:visible [aria-label^='keywords']")
        assert page.inner_text("#hover") == "keywords: tfjs-uint8 20.0 KB, 22.2 % of float32, loses at most 0.40 pt"


def test_the_page_is_accessible(shown):
    looks = itertools.product(WIDTHS, COLOURS)
    assert wrong_in_looks(shown().page, looks, axe_violations, low_contrasts) == {}


def test_the_switch_of_colours_keeps_contrasts(shown):
    page = shown(1280, "light").page
    page.click("#colours")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 26)"
    assert axe_violations(page) == []


def column(page, place):
    return page.locator(f"#table tbody tr:visible > :nth-child({place})").all_inner_texts()


def test_a_column_is_sorted(shown):
    page = shown().page
    before = column(page, 1)
    page.click("#table th:nth-child(4) button")
    losses = [float(text.split()[0].replace("−", "-")) for text in column(page, 4)]
    assert losses == sorted(losses)
    assert page.get_attribute("#table th:nth-child(4)", "aria-sort") == "ascending"
    page.keyboard.press("Enter")  # the heading still has the focus
    losses = [float(text.split()[0].replace("−", "-")) for text in column(page, 4)]
    assert losses == sorted(losses, reverse=True)
    assert sorted(column(page, 1)) == sorted(before)


@pytest.mark.parametrize(
    ("name", "place", "left"),
    [
        pytest.param("tfjs", 1, ["tflite-int8", "tflite-int8"], id="format"),
        pytest.param("python", 2, ["node-wasm", "node-wasm", "node-wasm", "node-wasm"], id="runtime"),
    ],
)
def test_rows_are_filtered(name, place, left, shown):
    page = shown().page
    page.get_by_role("checkbox", name=name, exact=True).uncheck()
    assert column(page, place) == left
    page.get_by_role("checkbox", name=name, exact=True).check()
    assert len(column(page, place)) == 8


def test_hovering_a_mark_tells_its_figures(shown):
    page = shown().page
    mark = page.locator(".first .chart.roomy:visible [aria-label^='tfjs-uint8:']")
    mark.hover()
    assert page.inner_text("#hover") == mark.get_attribute("aria-label")
    page.mouse.move(5, 5)
    assert page.is_hidden("#hover")


def test_a_runtime_is_chosen_for_the_chart_of_sizes(shown):
    page = shown().page
    mark = page.locator(".first .chart.roomy:visible [aria-label^='tflite-int8:']")
    told = []
    for name in ("where it loses most", "node-wasm", "python"):
        page.locator(".choice").get_by_role("radio", name=name).check()
        told.append(mark.get_attribute("aria-label").partition(" [")[0])
    assert told == [f"tflite-int8: 40.0 KB, loss of top-1 {loss}" for loss in ("2.25", "2.25", "1.50")]
    assert page.locator(".first .view").count() == 2  # one drawing for both that are the same


def panel(page):
    """Heading and facts of the panel of a layer."""
    facts = zip(page.locator("#layer dt").all_inner_texts(), page.locator("#layer dd").all_inner_texts(), strict=True)
    return page.inner_text("#layer h3"), dict(facts)


FIXED = {
    "setting": "tfjs-uint8 in python",
    "op": "Conv2D, in float32",
    "SQNR": "22.0 dB",
    "isolated SQNR": "27.0 dB",
    "worst channel": "3: 20.0 dB",
    "error growth": "+0.3 pt",
}


@pytest.mark.parametrize("width", [390, 1280])
def test_a_click_on_a_point_fixes_its_layer(width, shown):
    page = shown(width).page
    assert panel(page)[0] == "dense"  # it adds most
    chart = page.locator("#layers .chart:visible")
    chart.scroll_into_view_if_needed()
    place = chart.evaluate(PIXELS, ["tfjs-uint8", "conv_2"])
    page.mouse.move(*place)
    assert page.inner_text("#hover") == (
        "tfjs-uint8, conv_2 (Conv2D): SQNR 22.0 dB, of the op alone 27.0 dB, worst channel 3: 20.0 dB"
    )
    page.mouse.click(*place)
    assert panel(page) == ("conv_2", FIXED)
    assert page.inner_text("#layer figcaption") == (
        "conv_2/kernel 3×3×2×4, uint8, SQNR 9.7 dB. Grey: float32 weights. Blue: those of the worst channel "
        "(0: 9.6 dB), each as a share of its highest bar. Ticks: the 4 stored values."
    )
    assert page.locator("#layer .histogram .code").count() == 4


PIXELS = """(chart, [setting, layer]) => {
  const data = JSON.parse(document.getElementById("layer-data").textContent);
  const row = data.lines.find((one) => one.setting === setting).rows.find((one) => one[2] === layer);
  const width = data.widths[chart.classList.contains("narrow") ? "narrow" : "roomy"];
  const frame = chart.querySelector("path.background");
  const x = width * (0.01 + 0.98 * row[0] / (data.steps - 1));
  const point = new DOMPoint(x, data.height * row[1] / 1000).matrixTransform(frame.getScreenCTM());
  return [point.x, point.y];
}"""
"""Where a layer is in the window."""


def test_keys_fix_a_layer_of_the_chart(shown):
    page = shown().page
    page.focus("#layers .chart.roomy")
    for key in ("ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.inner_text("#hover").startswith("tfjs-uint8, conv_2 (Conv2D): SQNR 22.0 dB")
    page.keyboard.press("Enter")
    assert panel(page) == ("conv_2", FIXED)


@pytest.mark.parametrize(
    ("press", "weights"),
    [
        pytest.param("Enter", ["Stored as float32, whose values are too many to be drawn."], id="with Enter"),
        pytest.param(None, ["Stored as float32, whose values are too many to be drawn."], id="with a click"),
    ],
)
def test_a_row_of_the_worst_layers_fixes_its_layer(press, weights, shown):
    page = shown().page
    button = page.get_by_role("button", name="conv_2")
    button.press(press) if press else button.click()
    heading, facts = panel(page)
    assert (heading, facts["setting"], facts["SQNR"]) == ("conv_2", "tfjs-float16 in python", "62.0 dB")
    assert all(sentence in page.inner_text("#layer") for sentence in weights)


def test_arrows_move_between_cards(shown):
    page = shown().page
    page.focus(".card >> nth=0")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("[...document.querySelectorAll('.card')].indexOf(document.activeElement)") == 1
    assert "label: " in page.inner_text(".card:focus")


@pytest.mark.parametrize("width", [390, 1280])
def test_a_sample_is_opened_and_closed(width, shown):
    page = shown(width).page
    card = page.locator(".card").nth(1)
    before = card.locator("img").bounding_box()["width"]
    card.click()
    assert card.get_by_role("button").get_attribute("aria-expanded") == "true"
    assert card.locator("img").bounding_box()["width"] > 2 * before
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.focus(".card >> nth=1")
    page.keyboard.press("Escape")
    assert card.locator("img").bounding_box()["width"] == before
    page.keyboard.press("Enter")
    assert card.get_by_role("button").get_attribute("aria-expanded") == "true"


@pytest.mark.parametrize("width", WIDTHS)
def test_everything_is_read_without_scripts(width, shown):
    scripted, plain = shown(width).page, shown(width, java_script_enabled=False).page
    assert plain.locator("#colours, .filters").evaluate_all("all => all.map((one) => one.checkVisibility())") == [
        False,
        False,
    ]
    for name in ("table", "layers", "changes", "runtimes", "cost", "split", "again", "measured"):
        words = plain.inner_text(f"#{name}").split()
        assert len(words) > 8
        assert set(words) <= set(scripted.inner_text(f"#{name}").split())
    assert plain.locator(".chart:visible").count() == 3  # sizes, layers and classes

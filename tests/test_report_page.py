"""The report: what it says first, that it needs nothing else, and that every figure in it is that of the JSON."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations, product

import numpy as np
import pytest
from command_line import quantlab_in_process
from hypothesis import given
from hypothesis import strategies as st
from report_fixtures import with_inputs
from study_fixtures import scores
from verdict_fixtures import answers, flipped, write_study

from quantlab.store import Store
from quantlab.types import Budget, Cost, Costs, Inside, Interval, LayerRow, Machine
from quantlab_reports.changed import changes_of
from quantlab_reports.charts import CHARTS, FILES, several_for_page
from quantlab_reports.charts.contract import Drawing
from quantlab_reports.charts.placing import placed
from quantlab_reports.page import report_page
from quantlab_reports.page.sections.again import in_lines
from quantlab_reports.page.tables import notes_of_rows, same_sentences
from quantlab_reports.page.terms import Terms
from quantlab_reports.pictures import picture_of
from quantlab_reports.subject import Subject

N = 2000
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def study(tmp_path):
    """Writes a study in which settings lose so many of 2,000 answers."""

    def write(lost, *, labels=True, name="digits", wrong=0, **changed):
        classes = np.arange(N) % 10
        candidates = {
            (setting, runtime): count if isinstance(count, str) else answers(classes, flipped(N, list(range(count))))
            for setting, count in lost.items()
            for runtime in ("python", "node-wasm")
        }
        folder = tmp_path / f"{name}.study"
        reference = answers(classes, flipped(N, list(range(wrong))))
        write_study(folder, classes if labels else None, reference, candidates, **changed)
        return folder

    return write


class Page(HTMLParser):
    """The elements of a page: tag, attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self._ignored = [], "", False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._ignored = tag in {"style", "script"}

    def handle_endtag(self, tag):
        self._ignored = self._ignored and tag not in {"style", "script"}

    def handle_data(self, data):
        self.text += "" if self._ignored else data


def page_of(folder, budget=None):
    return Page(report_page(Subject.of(Store(folder), budget)))


def headline(page):
    _, _, after_contents = page.text.partition("How measured\nTerms")
    return " ".join(after_contents.split())


@pytest.mark.parametrize(
    ("lost", "budget", "begins"),
    [
        pytest.param(
            {"tfjs-uint8": 4, "tfjs-float16": 0},
            Budget(max_accuracy_loss="1pt"),
            "Ship tfjs-uint8: 10.0 KB gzipped. ● fits · allowed: 1pt It loses at most 0.46 pt of 100",
            id="the smallest fits",
        ),
        pytest.param(
            {"tfjs-uint8": 400, "tfjs-float16": 300},
            Budget(max_accuracy_loss="1pt"),
            "Nothing fits the budget. ✕ breaks · allowed: 1pt tfjs-float16 comes closest:",
            id="nothing fits",
        ),
        pytest.param(
            {"tfjs-uint8": 400, "tfjs-float16": 300, "tfjs-float32": 0},
            Budget(max_accuracy_loss="1pt"),
            "No quantized setting fits the budget. ✕ breaks · allowed: 1pt tfjs-float16 comes closest: loses at least "
            "13.69 pt, allowed 1.00. tfjs-float32, 30.0 KB gzipped, fits and can be shipped: loses at most 0.",
            id="only float32 fits",
        ),
        pytest.param(
            {"tfjs-uint8": 12, "tfjs-float32": 0},
            Budget(max_accuracy_loss="0.7pt"),
            "No quantized setting fits yet: too few samples, ",
            id="only float32 fits, and too few samples",
        ),
        pytest.param(
            {"tfjs-uint8": 12, "tfjs-float16": 12},
            Budget(max_accuracy_loss="0.7pt"),
            "Not decided yet: too few samples,",
            id="too few samples",
        ),
        pytest.param(
            {"tfjs-uint8": 4, "tfjs-float16": 0},
            None,
            "2 settings of Keras 3: nothing was judged, because no budget is given. The smallest measured setting is "
            "tfjs-uint8, 10.0 KB gzipped; loss of top-1: 0.10 [−0.30, 0.60] points,",
            id="no budget",
        ),
    ],
)
def test_the_first_sentences(lost, budget, begins, study):
    assert headline(page_of(study(lost), budget)).startswith(begins)


def test_a_bound_below_zero_is_what_is_gained_at_least(study, tmp_path):
    folder = study({"tfjs-uint8": 0, "tfjs-float16": 4}, wrong=100)
    gain = "gains at least 4.22 pt of 95 % (95 % confidence, n = 2,000)"
    page = headline(page_of(folder, Budget(max_accuracy_loss="1pt")))
    assert page.startswith(f"Ship tfjs-uint8: 10.0 KB gzipped. ● fits · allowed: 1pt It {gain}")
    done = quantlab_in_process("recommend", folder, "--max-accuracy-loss", "1pt", cwd=tmp_path)
    assert f"Ship tfjs-uint8: 10.0 KB gzipped, {gain}" in done.stdout


def test_sections_are_about_the_setting_that_comes_closest_if_only_float32_fits(study):
    folder = study({"tfjs-uint8": 400, "tfjs-float16": 300, "tfjs-float32": 0})
    Store(folder).write(folder / "costs.json", some_costs(folder))
    rows = [replace(row, setting=name) for name in ("tfjs-uint8", "tfjs-float16") for row in an_inside().layers]
    Store(folder).write_inside(Inside(tuple(rows), (), (), (), samples=10, drawn="all"))
    text = " ".join(page_of(folder, Budget(max_accuracy_loss="1pt")).text.split())
    assert "Of 2,000 samples, tfjs-float16 answers 300 samples differently: 300 became wrong" in text
    assert "In tfjs-float16, head (and 1 more) adds most" in text
    assert "A call of tfjs-float16 takes 1.2" in text


@pytest.mark.parametrize(
    ("options", "status", "begins"),
    [
        pytest.param(
            [],
            0,
            "Ship tfjs-float16: 20.0 KB gzipped. ● fits",
            id="one that fits is enough",
        ),
        pytest.param(
            ["--setting", "tfjs-uint8"],
            1,
            "Nothing fits the budget. ✕ breaks · allowed: 1pt tfjs-uint8 breaks it: loses at least",
            id="the named one does not fit",
        ),
        pytest.param(
            ["--setting", "tfjs-*"],
            1,
            "Not every named setting fits the budget. ✕ breaks · allowed: 1pt tfjs-uint8 breaks it: loses at least",
            id="one of those named does not fit",
        ),
    ],
)
def test_the_page_of_a_gate_has_its_outcome(options, status, begins, study, tmp_path):
    folder = study({"tfjs-uint8": 400, "tfjs-float16": 0})
    budget = ("--max-accuracy-loss", "1pt", "--html", "page.html")
    assert quantlab_in_process("gate", folder, *options, *budget, cwd=tmp_path).status == status
    assert headline(Page((tmp_path / "page.html").read_text("utf-8"))).startswith(begins)


def test_a_comment_about_a_broken_budget_names_float32_as_no_quantized_setting(study, tmp_path):
    folder = study({"tfjs-uint8": 400, "tfjs-float32": 0})
    quantlab_in_process("gate", folder, "--max-accuracy-loss", "1pt", "--markdown", "note.md", cwd=tmp_path)
    text = (tmp_path / "note.md").read_text("utf-8")
    told = "No quantized setting fits; **tfjs-float32**, 20.0 KB gzipped, fits in every runtime that counts"
    assert told in text
    assert "Smallest setting" not in text


def test_the_page_refers_to_nothing_else(study):
    page = page_of(study({"tfjs-uint8": 4}), Budget(max_accuracy_loss="1pt"))
    addresses = [
        value
        for tag, attributes in page.tags
        for name, value in attributes.items()
        if name in {"href", "src", "srcset", "action", "data", "xlink:href"} and tag != "a"
    ]
    assert addresses == []
    assert all(attributes["href"].startswith("#") for tag, attributes in page.tags if tag == "a")
    (policy,) = [one["content"] for tag, one in page.tags if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")


def test_every_link_leads_to_a_place_in_the_page(study):
    page = page_of(study({"tfjs-uint8": 4}), Budget(max_accuracy_loss="1pt"))
    places = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [attributes["href"][1:] for tag, attributes in page.tags if tag == "a"]
    assert set(links) <= places
    assert {"term-top-1", "term-accuracy-loss", "term-sqnr"} <= set(links)
    assert "Signal to quantization noise ratio in decibels" in page.text


@pytest.mark.parametrize(
    ("text", "linked"),
    [
        pytest.param(
            "The SQNR <b> of SQNR",
            'The <a class="term" href="#term-sqnr">SQNR</a> &lt;b&gt; of SQNR',
            id="the first of two",
        ),
        pytest.param(
            "the isolated SQNR",
            'the <a class="term" href="#term-isolated-sqnr">isolated SQNR</a>',
            id="the longer term",
        ),
        pytest.param("top-10 of top-1-like", "top-10 of top-1-like", id="parts of other words"),
    ],
)
def test_terms_are_links(text, linked):
    assert Terms().linked(text) == linked


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        pytest.param([], [], id="no rows"),
        pytest.param(
            [("a", "python", ["slow"]), ("a", "node-wasm", ["slow"]), ("b", "python", ["slow"])],
            ["All settings: slow"],
            id="all",
        ),
        pytest.param(
            [("a", "python", ["slow"]), ("a", "node-wasm", ["slow"]), ("b", "python", [])],
            ["a: slow"],
            id="all runtimes of one",
        ),
        pytest.param(
            [("a", "python", []), ("a", "node-wasm", ["slow", "odd", "slow"]), ("b", "python", ["slow"])],
            ["b and a in node-wasm: slow", "a in node-wasm: odd"],
            id="one runtime",
        ),
    ],
)
def test_notes_stand_once_below_the_table(rows, lines):
    assert notes_of_rows(rows) == lines


def test_settings_with_the_same_sentence_share_it():
    lines = ["a: equal", "b: first: x", "c: equal", "On 5 samples", "others: are no setting"]
    assert same_sentences(lines, ["a", "b", "c"]) == [
        "a and c: equal",
        "b: first: x",
        "On 5 samples",
        "others: are no setting",
    ]


@pytest.mark.parametrize(
    ("recipe", "lines"),
    [
        pytest.param("quantlab convert m.keras --out x", ["quantlab convert m.keras --out x"], id="a short command"),
        pytest.param(
            f"quantlab convert {'m' * 80}.keras --settings a --out x",
            [f"quantlab convert {'m' * 80}.keras \\", "  --settings a \\", "  --out x"],
            id="a long command",
        ),
        pytest.param(
            f"quantlab convert '{'m' * 80} --odd.keras' --out x",
            [f"quantlab convert '{'m' * 80} --odd.keras' --out x"],
            id="quotes",
        ),
        pytest.param("import a\nb = ' --c'" + 90 * " ", ["import a", "b = ' --c'" + 90 * " "], id="a program"),
    ],
)
def test_long_commands_have_a_line_for_each_option(recipe, lines):
    assert in_lines(recipe).split("\n") == lines


def test_names_from_outside_are_text(study):
    page = page_of(study({HOSTILE: 4, "tfjs-uint8": HOSTILE}, warnings=(HOSTILE,)))
    assert [tag for tag, _ in page.tags if tag == "img"] == []
    assert page.text.count(HOSTILE) >= 4
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_figures_are_those_of_the_json(study):
    folder = study({"tfjs-uint8": 40, "tfjs-float16": 3})
    text = " ".join(page_of(folder).text.split())
    for trial in Store(folder).read_study().trials:
        scores = trial.scores
        assert scores is not None
        loss = f"{scores.top1_loss_points:.2f} [{scores.top1_loss_interval.lower:.2f}, "
        assert re.search(rf"{trial.setting} {trial.runtime} [\d.]+ KB {re.escape(loss.replace('-', '−'))}", text)


@pytest.mark.parametrize(
    ("before", "message"),
    [
        pytest.param("notes of mine", "exists and is no report of quantlab; name another file with --out", id="other"),
        pytest.param(None, "is a folder, and --out takes a file; name the file to write", id="a folder"),
    ],
)
def test_what_is_no_report_is_not_written_over(before, message, study, tmp_path):
    folder, out = study({"tfjs-uint8": 4}), tmp_path / "page.html"
    if before is None:
        out.mkdir()
    else:
        out.write_text(before)
    done = quantlab_in_process("report", folder, "--out", out, cwd=tmp_path)
    assert (done.status, message in done.stderr) == (2, True)
    assert out.is_dir() if before is None else out.read_text() == before


def test_a_report_is_written_over(study, tmp_path):
    folder = study({"tfjs-uint8": 4})
    for _ in range(2):
        done = quantlab_in_process("report", folder, "--out", "page.html", cwd=tmp_path)
        assert (done.status, done.stderr) == (0, "Report written to 'page.html'\n")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("inputs", "begins"),
    [
        pytest.param(np.zeros((N, 8, 8, 3), np.uint8), "data:image/png;base64,", id="small images"),
        pytest.param(np.zeros((N, 60, 50, 1), np.float32), "data:image/jpeg;base64,", id="images"),
        pytest.param(np.zeros((N, 24), np.float32), "data:image/svg+xml;base64,", id="rows of values"),
        pytest.param(np.full((N, 3), np.nan, np.float32), "data:image/svg+xml;base64,", id="nothing finite"),
        pytest.param(np.full(N, "text"), None, id="no numbers"),
        pytest.param(None, None, id="inputs that are gone"),
    ],
)
def test_cards_show_what_was_fed(inputs, begins, study):
    folder = study({"tfjs-uint8": 3, "tfjs-float16": 0})
    if inputs is not None:
        with_inputs(folder, inputs)
    page = page_of(folder)
    pictures = [one["src"] for tag, one in page.tags if tag == "img"]
    assert len(pictures) == (0 if begins is None else 3)
    assert all(picture.startswith(begins or "") for picture in pictures)
    assert (
        "Of 2,000 samples, tfjs-uint8 answers 3 samples differently: 3 became wrong (0.1 %, 95 % interval 0.0 to 0.4), "
        "0 became right."
    ) in page.text


def test_changed_samples_have_their_names(study):
    classes = tuple(f"<b>kind {place}</b>" for place in range(10))
    folder = study({"tfjs-uint8": 2, "tfjs-float16": 0})
    store = Store(folder)
    written = store.read_study()
    store.write_study(replace(written, samples=replace(written.samples, classes=classes)))
    np.save(written.samples.folder / "indices.npy", np.arange(N) + 5000)
    (written.samples.folder / "files.json").write_text(json.dumps([f"{place}/{HOSTILE}.png" for place in range(N)]))
    text = " ".join(page_of(folder).text.split())
    assert f"became wrong 0/{HOSTILE}.png label: <b>kind 0</b> before: <b>kind 0</b>, 91 % after: <b>kind 1</b>" in text
    assert "<b>kind 0</b><b>kind 1</b>+1" in text


def test_what_is_missing_is_said_with_the_command_that_brings_it(study):
    text = page_of(study({"tfjs-uint8": 3})).text
    for sentence in (
        "Layers were not compared, or none differs; run 'quantlab analyze' again without --no-layers.",
        "Time and memory were not measured; run 'quantlab analyze' again without --no-costs.",
        "The loss was not divided among its steps; run 'quantlab analyze' again without --no-layers, with python",
        "Nothing is recommended, so there is nothing to make; 'quantlab recommend' judges by a budget.",
    ):
        assert sentence in text


def test_all_changed_samples_are_counted_and_not_all_are_listed(study):
    """A record names 1,000 samples; a ruined setting changes more."""
    folder = study({"tfjs-uint8": 1800, "tfjs-float16": 0})
    found = changes_of(next(iter(Store(folder).read_study().trials)), Store(folder).read_study())
    assert (len(found.samples), found.count("became wrong")) == (1800, 1800)
    assert sorted(sample.index for sample in found.samples) == list(range(1800))
    assert sum(count for *_, count in found.pairs) == 1800
    page = page_of(folder)
    assert "Of 2,000 samples, tfjs-uint8 answers 1,800 samples differently: 1,800 became wrong" in page.text
    assert "1,740 more" in page.text
    assert "1,240 further samples changed and are not listed." in page.text


def test_a_row_that_is_no_distribution_has_no_probability(study):
    folder = study({"tfjs-uint8": 0, "tfjs-float16": 0})
    trial = next(iter(Store(folder).read_study().trials))
    outputs = np.load(trial.outputs["output_0"])
    outputs[3] = np.nan
    np.save(trial.outputs["output_0"], outputs)
    text = " ".join(page_of(folder).text.split())
    assert "became wrong sample 3 label: class 3 before: class 3, 91 % after: none, no probability" in text


def test_outputs_that_are_gone_cost_a_section_and_a_chart_one_sentence(study, tmp_path):
    folder = study({"tfjs-uint8": 4})
    for trial in Store(folder).read_study().trials:
        trial.outputs["output_0"].unlink()
    assert "run 'quantlab analyze' again." in page_of(folder).text
    done = quantlab_in_process("plot", "classes", folder, "--out", "a.svg", cwd=tmp_path)
    assert (done.status, "run 'quantlab analyze' again" in done.stderr, "Traceback" in done.stderr) == (2, True, False)


def test_values_that_are_not_finite_do_not_change_a_picture():
    fine = np.linspace(0, 200, 64).reshape(8, 8)
    fine[0, 1] = 0  # another smallest value
    spoiled = fine.copy()
    spoiled[0, 0] = np.inf
    assert picture_of(spoiled) == picture_of(fine)


def test_without_labels_answers_are_compared_with_those_of_the_model(study):
    folder = study({"tfjs-uint8": 3, "tfjs-float16": 0}, labels=False, task="similarity")
    text = page_of(folder).text
    assert (
        "answers 3 samples differently (0.1 %, 95 % interval 0.0 to 0.4); without labels it is not known which answer "
        "is right."
    ) in text


def test_a_damaged_record_beside_the_study_is_no_empty_section(study, tmp_path):
    folder = study({"tfjs-uint8": 3})
    (folder / "costs.json").write_text("{")
    done = quantlab_in_process("report", folder, cwd=tmp_path)
    assert (done.status, "costs.json' is damaged" in done.stderr) == (2, True)
    assert not (tmp_path / "report.html").exists()


def an_inside():
    """Two layers of one setting, of which the second adds most of the error."""
    rows = [
        LayerRow(
            "tfjs-uint8", "python", layer, layer, "reference", True, None, place, "Conv2D", "float32",
            count=10, sqnr_db=sqnr, relative_rms_growth=growth,
        )
        for place, (layer, sqnr, growth) in enumerate([("stem", 60.0, 0.001), ("head;relu", 31.0, 0.02)])
    ]  # fmt: skip
    return Inside(tuple(rows), (), (), (), samples=10, drawn="all")


def some_costs(folder):
    """The times of every trial, from three rounds."""
    machine = Machine("a processor", 2, "Linux x86_64")
    rows = []
    for trial in Store(folder).read_study().trials:
        cost = Cost(trial.setting, trial.runtime, trial.variant.sha256, machine, ran_on=trial.runtime)
        rows.append(replace(cost, steady_median_ms=1.2, steady_median_lower_ms=1.1, steady_median_upper_ms=1.5))
    return Costs(tuple(rows), machine)


def test_the_classes_that_lose_are_drawn(study):
    folder = study({"tfjs-uint8": 60, "tfjs-float16": 0})
    drawing = CHARTS["classes"].draw(Subject.of(Store(folder)), 680.0)
    assert drawing.text.startswith("tfjs-uint8 in python: classes whose answers changed. class 0: loss 3.0 [")
    assert "points, 6 became wrong and 0 right of 200" in drawing.text
    assert CHARTS["classes"].draw(Subject.of(Store(study({"tfjs-uint8": 0}, name="same"))), 680.0) is None


def test_times_are_drawn_with_their_intervals(study):
    folder = study({"tfjs-uint8": 4})
    Store(folder).write(folder / "costs.json", some_costs(folder))
    drawing = CHARTS["times"].draw(Subject.of(Store(folder)), 680.0)
    assert "tfjs-uint8 in node-wasm: 1.2 [1.1, 1.5] ms" in drawing.text


def test_the_layer_that_adds_most_is_named(study):
    folder = study({"tfjs-uint8": 3})
    Store(folder).write_inside(an_inside())
    assert (
        "In tfjs-uint8, head (and 1 more) adds most: there the SQNR goes from 60.0 to 31.0 dB. The lowest of all "
        "layers is 31.0 dB."
    ) in page_of(folder).text


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
@pytest.mark.parametrize("chart", CHARTS)
def test_every_chart_is_a_file_of_every_kind(chart, suffix, study):
    folder = study({"tfjs-uint8": 40, "tfjs-float16": 3})
    Store(folder).write_inside(an_inside())
    Store(folder).write(folder / "costs.json", some_costs(folder))
    drawing = CHARTS[chart].draw(Subject.of(Store(folder)), 680.0)
    made = FILES[suffix](drawing.specification)
    assert made.startswith({".svg": b"<svg", ".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix])
    assert b"var(" not in made
    assert b"@" not in made or suffix != ".svg"


@given(
    st.lists(st.tuples(st.floats(0, 680), st.floats(0, 320), st.integers(3, 24)), min_size=1, max_size=7),
)
def test_a_label_covers_a_point_only_if_there_is_no_other_place(points):
    found = placed([(x, y) for x, y, _ in points], ["m" * n for *_, n in points], (680.0, 320.0))
    assert len(found) == len(points)
    assert all(label.x >= -1 and label.x + label.width <= 681 for label in found)
    widest = max(label.width for label in found)
    rows_apart = all(abs(one[1] - other[1]) > 40 for one, other in combinations(points, 2))
    if rows_apart and widest < 300:  # then there is room beside each point
        for label, (x, y, _) in product(found, points):
            assert not (label.x < x < label.x + label.width and abs(label.y - y) < 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["pie", "--out", "a.svg"], "there is no chart 'pie'; choose from pareto, layers", id="no chart"),
        pytest.param(
            ["pareto", "--out", "a.gif"],
            "--out is 'a.gif', and charts are written as .svg, .png, .pdf; give it such a suffix",
            id="no such kind of file",
        ),
        pytest.param(
            ["pareto", "--out", "nowhere/a.svg"],
            "'nowhere/a.svg' cannot be written (No such file or directory); name another file with --out",
            id="no such folder",
        ),
        pytest.param(
            ["layers", "--out", "a.svg"],
            "Layers were not compared, or none differs; run 'quantlab analyze' again without --no-layers",
            id="not measured",
        ),
    ],
)
def test_charts_that_cannot_be_made(arguments, message, study, tmp_path):
    folder = study({"tfjs-uint8": 4})
    done = quantlab_in_process("plot", arguments[0], folder, *arguments[1:], cwd=tmp_path)
    assert (done.status, done.stdout, message in done.stderr) == (2, "", True), done.stderr


def test_a_chart_is_written_over_and_nothing_else_is(study, tmp_path):
    folder = study({"tfjs-uint8": 4})
    (tmp_path / "a.svg").write_text("notes of mine")
    arguments = ("plot", "pareto", folder, "--out", "a.svg")
    refused = quantlab_in_process(*arguments, cwd=tmp_path)
    message = "quantlab: 'a.svg' exists and is no SVG file; name another file with --out"
    assert (refused.status, refused.last) == (2, message)
    assert (tmp_path / "a.svg").read_text() == "notes of mine"
    (tmp_path / "a.svg").unlink()
    assert [quantlab_in_process(*arguments, cwd=tmp_path).status for _ in range(2)] == [0, 0]


@pytest.mark.parametrize("name", [r"a\dog", r"line\nbreak", r"group\1", "plain"])
def test_a_name_with_a_backslash_is_drawn_as_it_is(name):
    specification = {"width": 9, "height": 9, "data": {"values": [{"x": 1}]}, "mark": "point"}
    (markup,) = several_for_page(replace(CHARTS["pareto"], draw=lambda *_: Drawing(specification, name)), [None])
    assert markup.count(f'aria-label="{name}"') == 2


def test_a_chart_with_the_allowed_loss(study, tmp_path):
    folder = study({"tfjs-uint8": 4, "tfjs-float16": 0})
    budget = ("--max-accuracy-loss", "1pt", "--target", "web")
    done = quantlab_in_process("plot", "pareto", folder, "--out", "a.svg", *budget, cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "Size against loss written to 'a.svg'\n")
    assert "allowed: 1 points" in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize("command", ["report", "plot"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--metric", "nonsense"], "--metric has no effect, because", id="metric"),
        pytest.param(["--metric", "wer"], "--metric has no effect, because", id="another metric"),
        pytest.param(["--confidence", "7"], "--confidence has no effect, because", id="confidence"),
        pytest.param(
            ["--runtimes", "bogus", "--planned-n", "5"],
            "--runtimes and --planned-n have no effect, because nothing is judged without a limit; add a limit, for "
            "example --max-accuracy-loss 0.5pt, or leave them out",
            id="two",
        ),
        pytest.param(["--target", "moon"], "there is no target 'moon'; choose from ", id="no such target"),
    ],
)
def test_options_of_a_budget_without_a_limit(command, options, message, study, tmp_path):
    folder = study({"tfjs-uint8": 4})
    chart = ["pareto"] if command == "plot" else []
    done = quantlab_in_process(command, *chart, folder, *options, "--out", "out.svg", cwd=tmp_path)
    assert (done.status, message in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "out.svg").exists()


def test_without_a_limit_the_target_decides_the_size(study, tmp_path):
    folder = study({"tfjs-uint8": 4})
    assert quantlab_in_process("report", folder, "--target", "node", cwd=tmp_path).status == 0
    text = " ".join(Page((tmp_path / "report.html").read_text("utf-8")).text.split())
    assert "The smallest measured setting is tfjs-uint8, 10.0 KB on disk; loss of top-1" in text


@pytest.mark.parametrize("losses", [[1.0], [1.0, 0.2], [0.2, 1.0]], ids=["one", "two", "one is best in both"])
def test_the_front_is_told_where_it_is_drawn(losses, study):
    store = Store(study(dict.fromkeys(("tfjs-uint8", "tfjs-float16")[: len(losses)], 4)))
    written = store.read_study()
    of = dict(zip(dict.fromkeys(trial.setting for trial in written.trials), losses, strict=True))
    trials = [
        replace(trial, scores=scores(top1_loss_points=of[trial.setting], top1_loss_interval=None))
        for trial in written.trials
    ]
    store.write_study(replace(written, trials=tuple(trials)))
    drawing = CHARTS["pareto"].draw(Subject.of(store), 680.0)
    drawn = '"line": "front"' in json.dumps(drawing.specification)
    assert (drawn, "The thin line is the front" in page_of(store.root).text) == 2 * (losses == [1.0, 0.2],)


def test_a_loss_has_the_same_digits_everywhere_on_a_page(study):
    folder = study({"tfjs-uint8": 4})
    store = Store(folder)
    written = store.read_study()
    trials = [
        replace(trial, scores=scores(top1_loss_points=-0.667, top1_loss_interval=Interval(-2.4, 0.606)))
        for trial in written.trials
    ]
    store.write_study(replace(written, trials=tuple(trials)))
    text = " ".join(page_of(folder).text.split())
    assert text.count("−0.67 [−2.40, 0.61]") >= 3
    assert "−0.667" not in text

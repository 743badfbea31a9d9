"""The report: what it says first, that it needs nothing else, and that every figure in it is that of the JSON."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from command_line import quantlab_in_process
from verdict_fixtures import answers, flipped, write_study

from quantlab.store import Store
from quantlab.types import Budget
from quantlab_reports.page import report_page
from quantlab_reports.subject import Subject

N = 2000
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def study(tmp_path):
    """Writes a study in which settings lose so many of 2,000 answers."""

    def write(lost, *, labels=True, name="digits", **changed):
        classes = np.arange(N) % 10
        candidates = {
            (setting, runtime): count if isinstance(count, str) else answers(classes, flipped(N, list(range(count))))
            for setting, count in lost.items()
            for runtime in ("python", "node-wasm")
        }
        folder = tmp_path / f"{name}.study"
        write_study(folder, classes if labels else None, answers(classes), candidates, **changed)
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
    return " ".join(page.text.split("Table")[1].split())


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
            {"tfjs-uint8": 12, "tfjs-float16": 12},
            Budget(max_accuracy_loss="0.7pt"),
            "Not decided yet: too few samples,",
            id="too few samples",
        ),
        pytest.param(
            {"tfjs-uint8": 4, "tfjs-float16": 0},
            None,
            "2 settings of Keras 3: nothing was judged, because no budget is given. The smallest is tfjs-uint8, "
            "10.0 KB gzipped; loss of top-1: 0.1 [−0.3, 0.6] points,",
            id="no budget",
        ),
    ],
)
def test_the_first_sentences(lost, budget, begins, study):
    assert headline(page_of(study(lost), budget)).startswith(begins)


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

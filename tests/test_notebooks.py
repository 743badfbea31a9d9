"""Studies in notebooks and programs: data frames, HTML, the report as a call."""

import json
import re
import sys
from dataclasses import dataclass, replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from command_line import quantlab_in_process
from study_fixtures import a_study
from test_report_page import an_inside
from verdict_fixtures import answers, flipped, write_study

import quantlab
from quantlab.errors import StudyError, UsageError
from quantlab.store import Store
from quantlab.types import (
    Budget,
    CalibrationCheck,
    Candidate,
    Costs,
    Duplicates,
    Machine,
    OutputComparison,
    TensorRange,
    TunedFormat,
    Tuning,
)
from quantlab.types.notebooks import InNotebooks
from quantlab_reports import VIEWS
from quantlab_reports.model import Column, table_of
from quantlab_reports.notebooks import html_of

N = 2000
HOSTILE = "<img src=x onerror=alert(1)>"
FLOATS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


@pytest.fixture
def folder(tmp_path):
    classes = np.arange(N) % 10
    lost = {"tfjs-uint8": 4, "tfjs-float16": 0}
    candidates = {
        (setting, runtime): answers(classes, flipped(N, list(range(count))))
        for setting, count in lost.items()
        for runtime in ("python", "node-wasm")
    }
    path = tmp_path / "digits.study"
    write_study(path, classes, answers(classes), candidates, created="2026-11-30T00:00:00+00:00")
    store = Store(path)
    store.write_inside(an_inside())
    store.write_outputs(OutputComparison(()))
    store.write(path / "costs.json", Costs((), Machine("a processor", 2, "Linux")))
    store.write_duplicates(Duplicates(N, 0, 0))
    store.write_calibration(CalibrationCheck((TensorRange("x", "scored", None, 0.0, 1.0, 0.5, N),)))
    candidate = Candidate("tfjs-uint8", 120, 20, 1e-5, 0, 0.0, 0.1, keeps=True, fits=True, official=True)
    store.write_tuning(Tuning("x.npz", 0, {"tfjs": TunedFormat((candidate,), "tfjs-uint8", setting="tfjs-uint8")}))
    return path


def same(value, of_json):
    """Whether a cell of a data frame is a value of a JSON record, where null is missing and NaN a string."""
    if isinstance(of_json, str) and of_json in FLOATS and not isinstance(value, str):
        of_json = FLOATS[of_json]
    if of_json is None or of_json != of_json:  # noqa: PLR0124 (NaN)
        return pd.isna(value)
    return value == of_json


@pytest.mark.parametrize("view", VIEWS)
def test_a_data_frame_has_the_records_of_the_view(view, folder, tmp_path):
    done = quantlab_in_process("show", view, folder, "--json", "--runtime", "*", cwd=tmp_path)
    if done.status == 2:  # its rows have no runtime
        done = quantlab_in_process("show", view, folder, "--json", cwd=tmp_path)
    records = json.loads(done.stdout)
    frame = quantlab.to_dataframe(folder, view)
    assert len(frame) == len(records)
    for row, record in zip(frame.to_dict("records"), records, strict=True):
        assert list(row) == list(record)
        assert [key for key in record if not same(row[key], record[key])] == []


def test_figures_are_numbers_in_a_data_frame(folder):
    inside = an_inside()
    endless = replace(inside, layers=(replace(inside.layers[0], sqnr_db=float("inf")), inside.layers[1]))
    Store(folder).write_inside(endless)
    frame = quantlab.to_dataframe(folder, "layers")
    assert list(frame["sqnr_db"]) == [float("inf"), 31.0]
    assert frame["sqnr_db"].dtype == np.float64
    assert list(frame["layer"]) == ["stem", "head;relu"]


def test_a_study_is_a_data_frame_like_its_folder(folder):
    study = quantlab.load_study(folder)
    for view in ("table", "layers"):
        pd.testing.assert_frame_equal(quantlab.to_dataframe(study, view), quantlab.to_dataframe(str(folder), view))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"created": "2020-01-01T00:00:00+00:00"},
            "'{folder}' holds another study by now; give the folder instead of the study",
            id="another study in its folder",
        ),
        pytest.param(
            {"samples": "gone"},
            "the folder of this study, which held '{folder}/nowhere', is gone; give the folder where it is now",
            id="no folder",
        ),
    ],
)
def test_a_study_whose_folder_is_not_its_own(change, message, folder):
    study = quantlab.load_study(folder)
    if "samples" in change:
        change = {"samples": replace(study.samples, folder=folder / "nowhere")}
        (folder / "study.json").unlink()
    with pytest.raises(StudyError) as refused:
        quantlab.to_dataframe(replace(study, **change), "layers")
    assert str(refused.value) == message.format(folder=folder)


def test_a_view_that_there_is_not(folder):
    with pytest.raises(UsageError) as refused:
        quantlab.to_dataframe(folder, "layer")
    assert str(refused.value) == "there is no view 'layer'; did you mean 'layers'?"


def test_without_pandas_there_is_a_sentence(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError) as refused:
        quantlab.to_dataframe(folder)
    assert str(refused.value) == (
        "to_dataframe returns a table of pandas, which is not installed; install it with 'pip install pandas'"
    )


class Grid(HTMLParser):
    """The tags of some HTML, and the texts of its cells."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 (the name is that of the parser)
        self.tags.append(tag)
        if tag in {"td", "th"}:
            self.cells.append("")

    def handle_data(self, data):
        if self.cells:
            self.cells[-1] += data


def test_a_notebook_shows_the_figures_of_the_table(folder):
    study = quantlab.load_study(folder)
    told = Grid(study._repr_html_()).cells
    for trial in study.trials:
        assert trial.setting in told
        scores = trial.scores
        assert any(f"{scores.top1_loss_points:.2f} [".replace("-", "−") in cell for cell in told)


def test_a_notebook_shows_a_verdict_and_a_recommendation(folder):
    budget = Budget(max_accuracy_loss="1pt")
    verdict, chosen = quantlab.judge(folder, budget), quantlab.recommend(folder, budget)
    assert Grid(verdict._repr_html_()).cells[:4] == ["digits", "tfjs-uint8", "FITS", verdict.settings[0].reason]
    assert "ship tfjs-uint8" in chosen._repr_html_().lower()


def test_names_from_outside_are_text_in_a_notebook(tmp_path):
    study = replace(a_study(tmp_path), warnings=(HOSTILE,))
    study = replace(study, trials=tuple(replace(trial, setting=HOSTILE) for trial in study.trials))
    table = table_of([Column(HOSTILE, str)], [HOSTILE], above=[HOSTILE], below=[HOSTILE])
    for html in (study._repr_html_(), replace(table, code=(HOSTILE,))._repr_html_()):
        assert "img" not in Grid(html).tags
        assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_what_a_notebook_cannot_show_is_refused():
    @dataclass(frozen=True)
    class Other(InNotebooks):
        pass

    with pytest.raises(TypeError, match=re.escape("Other has no form as HTML; give a Study, Verdict,")):
        Other()._repr_html_()
    assert html_of(table_of([Column("a", str)], [1])).startswith("<div><table><thead>")


def test_the_report_as_a_call(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    budget = Budget(max_accuracy_loss="1pt")
    written = quantlab.report(folder, budget=budget)
    assert written.read_text().startswith("<!doctype html>")
    done = quantlab_in_process("report", folder, "--out", "other.html", "--max-accuracy-loss", "1pt", cwd=tmp_path)
    assert (done.status, written.read_text()) == (0, (tmp_path / "other.html").read_text())
    of_study = quantlab.report(quantlab.load_study(folder), out=tmp_path / "third.html")
    assert "nothing was judged" in of_study.read_text()

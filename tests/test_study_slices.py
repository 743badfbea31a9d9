"""A study with slices, from the table to the verdict, in this process: the gate reads stored files alone."""

from pathlib import Path

import numpy as np
import pytest
from toy_format.study import SAMPLES, Host, kernel_and_bias, with_hosts, write_model, write_samples

from quantlab.cli import run
from quantlab.errors import StudyError
from quantlab.gate import judge
from quantlab.samples import intact_attributes
from quantlab.store import Store
from quantlab.study import AnalyzeOptions, analyze, verify
from quantlab.types import Budget

pytestmark = pytest.mark.starts_children

HALVES = Budget(max_slice_loss="20pt", runtimes=("attic",))


UNSURE = 0.7
"""Below this probability, the variant answers wrong."""


def wrong_where_unsure(values):
    return np.where(values.max(axis=1, keepdims=True) < UNSURE, np.roll(values, 1, axis=1), values)


def analyzed(registries, *slices):
    options = AnalyzeOptions(
        settings=("toy-int8",),
        runtimes=("attic",),
        slices=slices,
        layers=False,
        costs=False,
        out=Path("toy.study"),
    )
    return analyze("one_dense.onnx", data="samples.npz", options=options, registries=registries)


@pytest.fixture
def sliced(tmp_path, monkeypatch):
    """A study whose variant is wrong on one slice, and whose table is gone."""
    monkeypatch.chdir(tmp_path)
    write_model(Path("one_dense.onnx"))
    write_samples(Path("samples.npz"))
    kernel, bias = kernel_and_bias()
    scores = np.exp(np.load("samples.npz")["x"] @ kernel + bias)
    sure = (scores / scores.sum(axis=1, keepdims=True)).max(axis=1) >= UNSURE
    rows = [f"{'sure' if one else 'unsure'},{place % 3}" for place, one in enumerate(sure)]
    Path("meta.csv").write_text("\n".join(["answer,other", *rows]))
    registries = with_hosts(Host("attic", after=wrong_where_unsure).runtime())
    study = analyzed(registries, "meta.csv:answer", "meta.csv:other")
    Path("meta.csv").unlink()
    return study, registries


def test_a_study_is_judged_by_slices_from_its_own_files(sliced):
    study, registries = sliced
    assert Store(Path("toy.study")).read_study().samples.attributes == study.samples.attributes
    (setting,) = judge("toy.study", HALVES, registries=registries).settings
    assert setting.outcome == "breaks"
    assert setting.reason.startswith("slice answer=unsure loses at least ")


def test_the_same_samples_with_other_slices_run_nothing_again(sliced):
    study, registries = sliced
    kept = sorted(Path("toy.study/outputs").rglob("outputs.json"))
    Path("more.csv").write_text("\n".join(["site", *(str(place % 2) for place in range(SAMPLES))]))
    again = analyzed(registries, "more.csv:site")
    assert again.samples.sha256 == study.samples.sha256
    assert sorted(Path("toy.study/outputs").rglob("outputs.json")) == kept
    assert [attribute.name for attribute in again.samples.attributes] == ["site"]
    assert intact_attributes(study.samples) == "intact"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        pytest.param(lambda file: file.unlink(), "are missing", id="missing"),
        pytest.param(
            lambda file: np.save(file, np.load(file)[::-1]), "are not those that were written", id="other values"
        ),
    ],
)
def test_damaged_slices_are_refused(damage, said, sliced):
    study, registries = sliced
    damage(study.samples.attribute_file(study.samples.attributes[0]))
    with pytest.raises(StudyError) as raised:
        judge("toy.study", HALVES, registries=registries)
    assert str(raised.value) == (
        f"the record of the study 'toy' cannot be true: the slices of its samples {said}; run 'quantlab analyze' again"
    )
    assert [checked.state for checked in verify(Path("toy.study")) if checked.state != "intact"] != []


def test_an_option_that_names_no_table_ends_without_a_traceback(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_model(Path("one_dense.onnx"))
    write_samples(Path("samples.npz"))
    status = run(["analyze", "one_dense.onnx", "--data", "samples.npz", "--slice", "mete.csv:half"])
    assert status == 2
    assert "there is no file 'mete.csv'" in capsys.readouterr().err

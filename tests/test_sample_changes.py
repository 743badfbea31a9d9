"""What becomes of single samples: their errors before and after, in the report, as tables and as JSON."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from command_line import quantlab_in_process
from hypothesis import given
from hypothesis import strategies as st
from report_fixtures import with_inputs
from scipy.stats import binom
from test_report_page import page_of
from verdict_fixtures import answers, flipped, write_study

from quantlab.ragged import objects
from quantlab.statistics import (
    CandidateSamples,
    ReferenceSamples,
    SampleMoves,
    paired_metric,
    percentile_with_bounds,
    sample_moves,
)
from quantlab.store import Store
from quantlab_reports.sample_changes import LISTED, changes_of_trials

N = 200
TARGETS = np.arange(N, dtype=np.float64)[:, None]
REFERENCE = (TARGETS + 1).astype(np.float32)
"""Every error is 1."""
HOSTILE = "<img src=x onerror=alert(1)>"


def moved(*changes):
    """The reference, and what is added to some samples."""
    outputs = REFERENCE.copy()
    for row, change in changes:
        outputs[row] += change
    return outputs


WORSE = moved((3, 0.5), (7, 2.0), (8, -1.0), (9, -0.25))
"""The errors of 3 and 7 grow by 0.5 and 2, those of 8 and 9 shrink by 1 and 0.25."""


@pytest.fixture
def study(tmp_path):
    """Writes a study whose outputs are no classes."""

    def write(outputs, *, targets=TARGETS, reference=REFERENCE, **changed):
        folder = tmp_path / "prices.study"
        known = {"task": "similarity" if targets is None else "regression", "classes": False, "probabilities": False}
        write_study(folder, targets, reference, {("tfjs-uint8", "python"): outputs}, **{**known, **changed})
        return folder

    return write


def changes(folder):
    written = Store(folder).read_study()
    (found,) = changes_of_trials(written, written.trials)
    return found


def shown(view, folder):
    done = quantlab_in_process("show", view, folder, "--json", cwd=folder.parent)
    assert done.status == 0, done.stderr
    return json.loads(done.stdout)


# Figures


def test_errors_of_samples_before_and_after(study):
    found = changes(study(WORSE))
    assert [(one.row, one.kind, one.change) for one in found.samples] == [
        (7, "became worse", 2.0),
        (3, "became worse", 0.5),
        (8, "became better", -1.0),
        (9, "became better", -0.25),
    ]
    first = found.samples[0]
    assert (first.target, first.before, first.after) == (7.0, 8.0, 10.0)
    assert (first.error_before, first.error_after, first.element) == (1.0, 3.0, ())
    figures = found.figures
    assert (figures.metric, figures.n, figures.worse, figures.better) == ("mae", N, 2, 2)
    assert (figures.worse_percent, figures.median, figures.p90, figures.undefined) == (1.0, 0.0, 0.0, 0)


def test_of_several_outputs_the_element_that_grew_most_is_named(study):
    targets = np.zeros((N, 2, 2))
    outputs = np.zeros((N, 2, 2), np.float32)
    outputs[5] = [[0.5, -4.0], [1.0, 0.0]]
    found = changes(study(outputs, targets=targets, reference=np.ones((N, 2, 2), np.float32)))
    (sample,) = [one for one in found.samples if one.row == 5]
    assert (sample.kind, sample.element, sample.before, sample.after) == ("became worse", (0, 1), 1.0, -4.0)
    assert (sample.error_before, sample.error_after) == (1.0, pytest.approx(5.5 / 4))
    assert found.by_kind == {"became worse": 1, "became better": N - 1}
    assert len(found.samples) == 1 + LISTED


def test_an_output_that_is_not_finite_is_the_worst_sample(study):
    found = changes(study(moved((3, np.nan), (7, 2.0))))
    assert [(one.row, one.change) for one in found.samples] == [(3, math.inf), (7, 2.0)]
    assert (found.figures.worse, found.figures.median, found.figures.p90) == (2, 0.0, 0.0)


def test_samples_on_which_the_model_is_not_finite_are_left_out(study):
    reference = REFERENCE.copy()
    reference[2] = np.inf
    found = changes(study(moved((7, 2.0)), reference=reference))
    assert [(one.row, one.index, one.target) for one in found.samples] == [(7, 7, 7.0)]
    assert (found.figures.n, found.figures.undefined) == (N - 1, 1)


def test_samples_that_are_left_out_are_told_beside_the_others(study):
    reference = REFERENCE.copy()
    reference[2] = np.inf
    text = " ".join(page_of(study(moved((7, 2.0)), reference=reference)).text.split())
    assert "nine in ten lose at most 0 [" in text
    assert "1 sample is left out: the model is NaN or infinite there, or its metric is not defined." in text


def test_without_labels_it_is_how_far_the_outputs_moved(study):
    found = changes(study(WORSE, targets=None))
    assert [(one.row, one.kind, one.change) for one in found.samples[:2]] == [(7, "moved", 2.0), (8, "moved", 1.0)]
    assert (found.figures.metric, found.figures.worse, found.figures.better) == ("output", None, None)
    assert found.samples[0].error_before is None


def test_samples_in_groups_have_no_intervals_of_independent_ones(study):
    folder = study(WORSE)
    written = Store(folder).read_study()
    samples = replace(written.samples, group_key="file", groups=N // 2, groups_sha256="7" * 64)
    Store(folder).write_study(replace(written, samples=samples))
    figures = changes(folder).figures
    assert (figures.worse_percent, figures.median) == (1.0, 0.0)
    assert (figures.worse_percent_lower, figures.median_lower, figures.p90_upper) == (None, None, None)
    assert "Samples are in groups, so there are no intervals of independent samples." in page_of(folder).text


@pytest.mark.parametrize(
    ("metric", "reference", "candidate", "labels", "losses"),
    [
        pytest.param("rmse", [[0.0, 0], [2, 2]], [[3.0, 3], [2, 0]], [[0.0, 0], [2, 2]], [3, math.sqrt(2)], id="rmse"),
        pytest.param(
            "cer:plain",
            np.eye(4)[[[1, 2], [1, 3]]],
            np.eye(4)[[[1, 3], [1, 3]]],
            objects([[1, 2], [2, 3]]),
            [0.5, 0.0],
            id="an edit rate",
        ),
    ],
)
def test_a_metric_of_single_samples(metric, reference, candidate, labels, losses):
    task = "regression" if metric == "rmse" else "metric"
    truth = labels if task == "metric" else np.asarray(labels)
    known = ReferenceSamples.of(np.asarray(reference), truth, task=task, probabilities=False, classes=False)
    chosen = paired_metric(metric)
    moves = sample_moves([chosen], known, CandidateSamples.of(known, np.asarray(candidate)))
    assert list(moves.losses / chosen.scale) == pytest.approx(losses)


def test_metrics_that_rank_samples_have_no_value_for_one():
    labels = np.arange(40) % 2
    scores = np.random.default_rng(0).normal(size=(40, 2))
    known = ReferenceSamples.of(scores, labels, task="classification", probabilities=False, classes=True)
    ranking = [paired_metric("auc"), paired_metric("macro-f1")]
    assert sample_moves(ranking, known, CandidateSamples.of(known, scores)) is None


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 1.0, 2.5, math.nan, math.inf])] * 2), min_size=1))
def test_a_sample_without_a_value_in_the_setting_alone_is_an_infinite_loss(sides):
    reference, candidate = np.array(sides).T
    losses = SampleMoves(paired_metric("mae"), reference, candidate).losses
    assert (losses[np.isnan(candidate) & ~np.isnan(reference)] == math.inf).all()
    assert np.isfinite(losses[np.isfinite(reference) & np.isfinite(candidate)]).all()
    assert np.isnan(losses[np.isnan(reference)]).all()
    assert np.isnan(losses).sum() == sum(math.isnan(one) or one == other == math.inf for one, other in sides)


@pytest.mark.parametrize("metric", ["mae", "rmse"])
@given(seed=st.integers(0, 2**20))
def test_errors_of_samples_make_the_metric(metric, seed):
    random = np.random.default_rng(seed)
    targets, reference, candidate = random.normal(size=(3, 30, 2))
    known = ReferenceSamples.of(reference, targets, task="regression", probabilities=False, classes=False)
    moves = sample_moves([paired_metric(metric)], known, CandidateSamples.of(known, candidate))
    power = 2 if metric == "rmse" else 1
    whole = np.mean(np.abs(candidate - targets) ** power) ** (1 / power)
    assert np.mean(moves.candidate**power) ** (1 / power) == pytest.approx(whole)


@given(n=st.integers(1, 400), share=st.sampled_from([0.1, 0.5, 0.9]), confidence=st.sampled_from([0.8, 0.95]))
def test_the_ends_of_a_percentile_leave_out_as_much_as_they_may(n, share, confidence):
    value, lower, upper = percentile_with_bounds(np.arange(1.0, n + 1), share, confidence=confidence)
    tail = (1 - confidence) / 2
    assert value == math.ceil(round(n * share, 9))
    missed_below = binom.cdf((lower or 0) - 1, n, share)
    missed_above = 0.0 if upper is None else 1 - binom.cdf(upper - 1, n, share)
    assert missed_below <= tail + 1e-12
    assert missed_above <= tail + 1e-12
    assert lower is None or lower <= value
    assert upper is None or value <= upper


# Views and the report


def test_the_report_says_what_the_views_have(study):
    folder = study(moved(*((row, 0.5 + row / 100) for row in range(0, N, 2)), (9, -0.25)))
    with_inputs(folder, np.zeros((N, 12), np.float32))
    text = " ".join(page_of(folder).text.split())
    (figures,) = shown("changes", folder)
    assert (figures["worse"], figures["better"]) == (100, 1)
    assert (
        f"Of 200 samples, tfjs-uint8 has a larger absolute error in 100 (50.0 %, 95 % interval "
        f"{figures['worse_percent_lower']:.1f} to {figures['worse_percent_upper']:.1f}), and a smaller one in 1. The "
        f"median change is 0 [0, {figures['median_upper']:.3g}] in the unit of the target, and nine in ten lose "
        f"at most +{figures['p90']:.3g} ["
    ) in text
    first, *_, last = shown("samples", folder)
    assert (first["row"], last["row"]) == (198, 9)
    assert f"target 198.00 before 199.00 after {first['after']:.2f} change +2.48" in text
    assert "error shrank sample 9 target 9.000 before 10.000 after 9.750 change −0.250" in text
    pictures = [one["src"] for tag, one in page_of(folder).tags if tag == "img"]
    assert len(pictures) == 60
    assert "41 more" in text


def test_the_report_without_labels(study):
    text = " ".join(page_of(study(moved(*((row, 0.5) for row in range(N))), targets=None)).text.split())
    assert (
        "Without labels no error is known: the outputs of tfjs-uint8 differ from those of the model by at most 0.5 "
        "[0.5, 0.5] in half of 200 samples, and by at most 0.5 [0.5, 0.5] in nine of ten."
    ) in text


def test_the_report_where_nothing_changed(study):
    assert "tfjs-uint8 has the model's absolute error in all 200 samples." in page_of(study(REFERENCE)).text


def test_names_from_outside_are_text(study):
    folder = study(WORSE)
    np.save(Store(folder).read_study().samples.folder / "indices.npy", np.arange(N))
    names = json.dumps([f"{place}/{HOSTILE}.npy" for place in range(N)])
    (Store(folder).read_study().samples.folder / "files.json").write_text(names)
    page = page_of(folder)
    assert [tag for tag, _ in page.tags if tag == "img"] == []
    assert f"7/{HOSTILE}.npy" in page.text


def test_classes_have_the_same_views(tmp_path):
    classes = np.arange(N) % 10
    candidate = answers(classes, flipped(N, [4, 6]))
    write_study(tmp_path / "digits.study", classes, answers(classes), {("tfjs-uint8", "python"): candidate})
    (figures,) = shown("changes", tmp_path / "digits.study")
    assert (figures["metric"], figures["worse"], figures["better"], figures["median"]) == ("top1", 2, 0, None)
    rows = shown("samples", tmp_path / "digits.study")
    told = [(one["row"], one["kind"], one["label"], one["answer_before"], one["answer_after"]) for one in rows]
    assert told == [
        (4, "became wrong", "class 4", "class 4", "class 5"),
        (6, "became wrong", "class 6", "class 6", "class 7"),
    ]


def test_only_the_trials_that_are_asked_for_are_read(study, tmp_path):
    folder = study(WORSE)
    done = quantlab_in_process("show", "samples", folder, "--setting", "tflite-*", cwd=tmp_path)
    assert (done.status, done.stderr) == (
        2,
        "quantlab: there is no setting 'tflite-*'; choose from tfjs-uint8\n",
    )


@pytest.mark.parametrize("view", ["changes", "samples"])
def test_outputs_that_are_gone_are_named(view, study, tmp_path):
    folder = study(WORSE)
    (trial,) = Store(folder).read_study().trials
    trial.outputs["output_0"].unlink()
    done = quantlab_in_process("show", view, folder, cwd=tmp_path)
    assert (done.status, "run 'quantlab analyze' again" in done.stderr, "Traceback" in done.stderr) == (2, True, False)
    assert "run 'quantlab analyze' again" in page_of(folder).text


@pytest.mark.starts_children
def test_a_users_metric_whose_module_is_gone_costs_its_figures(study):
    found = changes(study(WORSE, metric="nowhere_to_be_found:score:lower"))
    assert (found.figures.metric, found.samples[0].kind) == ("output", "moved")
    assert found.note == (
        "the metric 'nowhere_to_be_found:score:lower' cannot be computed here, and 'quantlab gate' says why"
    )

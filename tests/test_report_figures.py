"""No figure of the report looks better than it is: the worst runtime counts, and what is not finite is named."""

import math
from dataclasses import replace

import numpy as np
import pytest
from report_fixtures import report_study
from verdict_fixtures import answers, flipped, write_study

from quantlab.store import Store
from quantlab.types import Budget, Candidate, Cost, Costs, Interval, Machine, TunedFormat, Tuning
from quantlab_reports.changed import shown_trial
from quantlab_reports.charts import CHARTS
from quantlab_reports.page import report_page
from quantlab_reports.page.headline import headline_of
from quantlab_reports.page.sections.changes import changes_section
from quantlab_reports.page.sections.costs import costs_section
from quantlab_reports.page.sections.trials import trials_section
from quantlab_reports.subject import Subject

INFINITE = {"top1_loss_points": math.inf, "top1_loss_interval": None}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A study of four settings in two runtimes, which no test changes."""
    folder = tmp_path_factory.mktemp("figures") / "clothes.study"
    report_study(folder)
    return folder


@pytest.fixture
def subject(written):
    """The study with other scores of some trials, and with other losses of all."""

    def read(changed=None, losses=None, budget=None):
        found = Subject.of(Store(written), budget)
        trials = []
        for trial in found.study.trials:
            known = dict((changed or {}).get((trial.setting, trial.runtime), {}))
            if losses is not None:
                loss = losses.get((trial.setting, trial.runtime))
                if loss is None:
                    continue
                known = {"top1_loss_points": loss[0], "top1_loss_interval": loss[1] and Interval(*loss[1])}
            trials.append(replace(trial, scores=replace(trial.scores, **known)))
        return replace(found, study=replace(found.study, trials=tuple(trials)))

    return read


def grouped(found):
    samples = replace(found.study.samples, group_key="file", groups=10, groups_sha256="7" * 64)
    return replace(found, study=replace(found.study, samples=samples))


# Size against loss


@pytest.mark.parametrize(
    ("runtimes", "value", "named"),
    [
        pytest.param(["python"], math.inf, ("∞", "python"), id="infinite in one runtime"),
        pytest.param(["node-wasm"], math.nan, ("NaN", "node-wasm"), id="NaN in one runtime"),
        pytest.param(["python", "node-wasm"], math.inf, ("∞", "python"), id="everywhere"),
    ],
)
def test_a_loss_that_is_not_finite_has_no_place_on_the_scale(runtimes, value, named, subject):
    found = subject({("tfjs-uint8", runtime): {**INFINITE, "top1_loss_points": value} for runtime in runtimes})
    drawing = CHARTS["pareto"].draw(found, 680.0)
    assert "against loss of 3 settings. The smallest is tfjs-float16: 20.0 KB, loss" in drawing.text
    loss, runtime = named
    assert f"Not on the scale: tfjs-uint8 (loss of top-1 {loss} in {runtime})." in drawing.text
    rows = [row for layer in drawing.specification["layer"] for row in layer["data"]["values"]]
    assert "tfjs-uint8" not in {row.get("setting") for row in rows}
    assert f"× tfjs-uint8: loss {loss} in {runtime}, off the scale" in {row.get("text") for row in rows}


def test_a_study_without_a_finite_loss_names_its_settings(subject):
    found = subject(losses={("tfjs-uint8", "python"): (math.inf, None)})
    assert CHARTS["pareto"].draw(found, 680.0) is None
    assert '<p class="absent">Not on the scale: tfjs-uint8 (loss of top-1 ∞ in python).</p>' in report_page(found)


def test_an_interval_without_an_end_reaches_the_end_of_the_chart(subject):
    found = subject(losses={("tfjs-uint8", "python"): (1.0, (-math.inf, math.inf))})
    drawing = CHARTS["pareto"].draw(found, 680.0)
    (whisker,) = [
        row
        for layer in drawing.specification["layer"]
        for row in layer["data"]["values"]
        if "lower" in row and layer["mark"]["type"] == "rule"
    ]
    assert (whisker["lower"], whisker["upper"], 0 < whisker["y"] < 320) == (0.0, 320.0, True)


@pytest.mark.parametrize(
    ("metric", "line"), [pytest.param(None, True, id="the metric shown"), pytest.param("macro-f1", False, id="another")]
)
def test_the_allowed_loss_is_drawn_only_over_losses_of_its_metric(metric, line, subject):
    drawing = CHARTS["pareto"].draw(subject(budget=Budget(max_accuracy_loss="0.5pt", metric=metric)), 680.0)
    texts = {row.get("text") for layer in drawing.specification["layer"] for row in layer["data"]["values"]}
    assert ("allowed: 0.5 points" in texts) == line
    assert ("The budget limits macro-f1, which this chart does not show." in drawing.text) != line


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        pytest.param([1.0, 2.0], "Small points are 2 candidates of the search, with their loss on 120", id="all"),
        pytest.param([1.0, 80.0, math.inf], "The small point is 1 candidate of the search, with its", id="two outside"),
        pytest.param([80.0], "No candidate of the search is drawn: 1 lies outside the scale.", id="none inside"),
    ],
)
def test_only_drawn_candidates_are_counted_as_drawn(losses, told, subject):
    tried = [
        Candidate(f"#{place}", 12_000, 120, 0.01, 3, loss, 0.5, keeps=True, fits=True)
        for place, loss in enumerate(losses)
    ]
    found = replace(subject(), tuning=Tuning("x.npz", 0, {"tfjs": TunedFormat(tuple(tried), "#0")}))
    drawing = CHARTS["pareto"].draw(found, 680.0)
    small = [layer for layer in drawing.specification["layer"] if layer["mark"].get("size") == 18]
    inside = [loss for loss in losses if loss < 20]
    assert sum(len(layer["data"]["values"]) for layer in small) == len(inside)
    assert told in drawing.text
    outside = len(losses) - len(inside)
    assert (f"; {outside:,} more lie outside the scale." in drawing.text) == (bool(inside) and outside > 1)


def test_a_runtime_in_which_all_failed_is_not_the_same(written):
    found = Subject.of(Store(written))
    trials = [replace(trial, scores=None) if trial.runtime == "node-wasm" else trial for trial in found.study.trials]
    page = report_page(replace(found, study=replace(found.study, trials=tuple(trials))))
    assert "It is the same in" not in page
    assert "In node-wasm, no setting has a finite loss." in page


# The table


@pytest.mark.parametrize(
    ("losses", "sentence"),
    [
        pytest.param(
            {("tfjs-uint8", "node-wasm"): (20.0, (17.0, 23.0)), ("tfjs-uint8", "python"): (1.0, (0.2, 1.8))},
            "Of 1 setting, the samples show a loss of top-1 for 1: tfjs-uint8 (20.00 [17.00, 23.00] pt in node-wasm). "
            "Each interval has 95 % by itself, not for all rows together.",
            id="the worst runtime counts",
        ),
        pytest.param(
            {("tfjs-uint8", "node-wasm"): (3.0, (-1.0, 7.0)), ("tfjs-uint8", "python"): (1.0, (0.2, 1.8))},
            "Of 1 setting, the samples show a loss of top-1 for 1: tfjs-uint8 (1.00 [0.20, 1.80] pt in python). "
            "Each interval has 95 % by itself, not for all rows together.",
            id="a loss that is shown comes before a larger one that is not",
        ),
        pytest.param(
            {("tfjs-uint8", "python"): (-1.0, (-2.0, -0.5))},
            "For none of 1 setting do the samples show a loss of top-1: no interval is above 0.",
            id="an interval below 0 does not contain it",
        ),
        pytest.param(
            {
                ("tfjs-uint8", "node-wasm"): (math.inf, None),
                ("tfjs-uint8", "python"): (1.0, (0.2, 1.8)),
                ("tfjs-float16", "python"): (0.0, (-1.0, 1.0)),
            },
            "The loss of top-1 is not finite for tfjs-uint8 (∞ in node-wasm). For none of 1 other setting do the "
            "samples show a loss of top-1: no interval is above 0. Each interval has 95 % by itself, not for all rows "
            "together.",
            id="an infinite loss is named",
        ),
        pytest.param(
            {("tfjs-uint8", "python"): (math.nan, None)},
            "The loss of top-1 is not finite for tfjs-uint8 (NaN in python).",
            id="only a loss that is NaN",
        ),
        pytest.param(
            {("tfjs-uint8", "python"): (1.0, None)},
            "1 trial; no figure of the loss has an interval here.",
            id="no interval",
        ),
    ],
)
def test_the_sentence_of_the_table(losses, sentence, subject):
    assert trials_section(subject(losses=losses)).conclusion == sentence


def test_figures_of_the_table_have_intervals(subject):
    found = subject()
    values = trials_section(found).values
    assert values["rows"][0].cells[2].text == "90.00 [99.30, 99.90]"
    assert values["reference"] == "The model itself: top-1 97.40 % [96.20, 98.20], 95 % interval, n = 1,000."
    values = trials_section(grouped(found)).values
    assert values["rows"][0].cells[2].text == "90.00"
    assert values["reference"] == "The model itself: top-1 97.40 %, n = 1,000."


def test_a_regression_has_the_error_of_the_model_itself(subject):
    found = subject()
    scores = replace(found.study.reference.scores, top1=None, mae=2.5, mae_interval=Interval(2.25, 2.75))
    found = replace(found, study=replace(found.study, reference=replace(found.study.reference, scores=scores)))
    reference = trials_section(found).values["reference"]
    assert reference == "The model itself: MAE 2.5 [2.25, 2.75], 95 % interval, n = 1,000."


def test_the_first_screen_says_smallest_measured(subject):
    found = subject({("tfjs-uint8", "python"): INFINITE})
    assert headline_of(found).evidence.startswith("The smallest measured setting is tfjs-uint8, 10.0 KB gzipped; loss")
    assert "loss of top-1: ∞ points" in headline_of(found).evidence


# What changed


@pytest.mark.parametrize("order", [1, -1])
def test_the_runtime_with_most_changes_is_shown(order, subject):
    found = subject(
        {("tfjs-uint8", "python"): {"agreement": 80.0}, ("tfjs-uint8", "node-wasm"): {"agreement": 95.0}},
        budget=Budget(max_accuracy_loss="50pt"),
    )
    found = replace(found, study=replace(found.study, trials=found.study.trials[::order]))
    assert found.recommended == "tfjs-uint8"
    assert shown_trial(found).runtime == "python"


def test_the_share_that_became_wrong_has_an_interval(subject):
    found = subject()
    conclusion = changes_section(found).conclusion
    assert "40 became wrong (10.0 %, 95 % interval 7.2 to 13.4), 0 became right." in conclusion
    assert "40 became wrong (10.0 %), 0 became right." in changes_section(grouped(found)).conclusion


def test_samples_that_are_left_out_are_told(tmp_path):
    labels = np.arange(400) % 10
    reference = answers(labels)
    reference[3] = np.nan
    write_study(tmp_path / "a.study", labels, reference, {("tfjs-uint8", "python"): answers(labels, flipped(400, [5]))})
    conclusion = changes_section(Subject.of(Store(tmp_path / "a.study"))).conclusion
    assert conclusion == (
        "Of 399 samples, tfjs-uint8 answers 1 sample differently: 1 became wrong (0.3 %, 95 % interval 0.0 to 1.4), 0 "
        "became right. 1 sample is left out: the model is NaN or infinite there, or its metric is not defined."
    )


@pytest.mark.parametrize(
    ("wrong", "in_groups", "coloured", "told"),
    [
        pytest.param(6, False, 0, "loses with 95 %, for all classes together (Holm).", id="by chance among many"),
        pytest.param(25, False, 1, "loses with 95 %, for all classes together (Holm).", id="many of one class"),
        pytest.param(25, True, 0, "these intervals take as independent: they are too narrow.", id="groups"),
    ],
)
def test_the_warning_colour_is_of_all_classes_together(wrong, in_groups, coloured, told, tmp_path):
    labels = np.arange(400) % 10
    changed = flipped(400, np.flatnonzero(labels == 2)[:wrong])
    write_study(tmp_path / "a.study", labels, answers(labels), {("tfjs-uint8", "python"): answers(labels, changed)})
    found = Subject.of(Store(tmp_path / "a.study"))
    found = grouped(found) if in_groups else found
    drawing = CHARTS["classes"].draw(found, 680.0)
    points = [layer for layer in drawing.specification["layer"] if layer["mark"]["type"] == "point"]
    rows = [row for layer in points for row in layer["data"]["values"]]
    assert [row["told"].partition(":")[0] for row in rows] == ["class 2"]
    assert sum(row["colour"] == "@warning" for row in rows) == coloured
    assert told in drawing.text
    assert ("take them as independent" in report_page(found)) == in_groups


# Costs


def costs(found, medians):
    """Times of trials: median, and its interval if there were several rounds."""
    machine = Machine("a processor", 2, "Linux x86_64")
    rows = []
    for trial in found.study.trials:
        median, *ends = medians.get((trial.setting, trial.runtime), (None,))
        cost = Cost(trial.setting, trial.runtime, trial.variant.sha256, machine, ran_on=trial.runtime)
        if ends:
            cost = replace(cost, steady_median_lower_ms=ends[0], steady_median_upper_ms=ends[1])
            cost = replace(cost, steady_median_coverage=0.75)
        rows.append(replace(cost, steady_median_ms=median))
    return replace(found, costs=Costs(tuple(rows), machine))


SLOW = {("tfjs-uint8", "python"): (1.0, 0.9, 1.1), ("tfjs-uint8", "node-wasm"): (7.0, 6.0, 9.0)}


@pytest.mark.parametrize(
    ("medians", "budget", "begins"),
    [
        pytest.param(
            SLOW,
            Budget(max_accuracy_loss="50pt"),
            "A call of tfjs-uint8 takes 7 ms (6 to 9 with 75 %) in node-wasm, the slowest of 2 runtimes, on a",
            id="the slowest judged runtime",
        ),
        pytest.param(
            SLOW,
            None,
            "A call of tfjs-uint8 takes 7 ms (6 to 9 with 75 %) in node-wasm, the slowest of 2 trials, on a",
            id="the slowest trial without a budget",
        ),
        pytest.param(
            {("tfjs-uint8", "python"): (1.0,)},
            Budget(max_accuracy_loss="50pt"),
            "A call of tfjs-uint8 takes 1 ms in python, on a",
            id="one round has no interval",
        ),
    ],
)
def test_the_sentence_of_costs(medians, budget, begins, subject):
    assert costs_section(costs(subject(budget=budget), medians)).conclusion.startswith(begins)


def test_the_chart_of_times_tells_its_coverage_and_invents_no_interval(subject):
    found = subject()
    text = CHARTS["times"].draw(costs(found, {**SLOW, ("tfjs-float16", "python"): (2.0,)}), 680.0).text
    assert "tfjs-uint8 in node-wasm: 7 [6, 9] ms" in text
    assert "tfjs-float16 in python: 2 ms" in text
    assert text.endswith("Brackets hold the interval that contains it with 75 %.")
    alone = CHARTS["times"].draw(costs(found, {("tfjs-float16", "python"): (2.0,)}), 680.0)
    assert alone.text.endswith("tfjs-float16 in python: 2 ms.")

"""`quantlab compare`: studies beside each other, and the differences of their answers."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from command_line import quantlab_in_process
from hypothesis import given, settings
from hypothesis import strategies as st
from study_fixtures import scores
from verdict_fixtures import answers, flipped, record_outputs, write_study

from quantlab.gate.comparison import compare_studies
from quantlab.npy import mapped
from quantlab.samples.groups import with_groups
from quantlab.statistics import divergences_per_sample, loss_bounds
from quantlab.store import Store
from quantlab.types import Interval
from quantlab_reports.compared import CompareRow, comparison_table

N = 400
LABELS = np.arange(N) % 10


def made(folder, candidates, *, labels=LABELS, reference=None, **changed):
    """A study whose candidates are (setting, runtime) → the samples that it answers wrong, or why it failed."""
    n = len(labels)
    given_answers = {
        place: wrong if isinstance(wrong, str) else answers(labels, flipped(n, wrong))
        for place, wrong in candidates.items()
    }
    write_study(folder, labels, answers(labels) if reference is None else reference, given_answers, **changed)
    return folder


def rewritten(folder, change):
    store = Store(folder)
    store.write_study(change(store.read_study()))
    return folder


UINT8 = ("tfjs-uint8", "python")

TOGETHER = (
    "Each of these bounds holds with 95 % for {} differences together; the intervals of the table are of one row each"
)
NOT_PAIRED = (
    "! after and before are not compared sample by sample ({}): their figures stand side by side, and no difference is "
    "shown"
)


def lines_above(*folders):
    return comparison_table(compare_studies(folders)).above


# What may be concluded


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        pytest.param(
            range(4),
            range(4),
            "No difference between after and before is shown in any of 2 rows: after loses at most 1.09 and gains at "
            "most 1.09 pt",
            id="the same answers",
        ),
        pytest.param(
            range(4),
            range(6),
            "No difference between after and before is shown in any of 2 rows: after loses at most 2.02 and gains at "
            "most 1.09 pt",
            id="a difference that may be chance",
        ),
        pytest.param(
            range(4),
            range(40),
            "after is worse than before in tfjs-uint8 (python): loses at least 6.06 pt; no difference is shown in the "
            "model itself: after loses at most 1.09 and gains at most 1.09 pt",
            id="worse",
        ),
        pytest.param(
            range(40),
            range(4),
            "after is better than before in tfjs-uint8 (python): gains at least 6.06 pt; no difference is shown in the "
            "model itself: after loses at most 1.09 and gains at most 1.09 pt",
            id="better",
        ),
    ],
)
def test_the_leading_line_is_computed(tmp_path, before, after, said):
    folders = [
        made(tmp_path / "before.study", {UINT8: before}),
        made(tmp_path / "after.study", {UINT8: after}),
    ]
    leading, bounds = lines_above(*folders)
    assert leading == said
    assert bounds == TOGETHER.format(2)


def test_bounds_are_wider_if_more_is_compared(tmp_path):
    rows = [(setting, "python") for setting in ("tfjs-uint8", "tfjs-uint16", "tfjs-float16", "tflite-dynamic")]
    few = compare_studies([made(tmp_path / name / "few.study", {UINT8: range(4)}) for name in "ab"])
    many = compare_studies([made(tmp_path / name / "many.study", dict.fromkeys(rows, range(4))) for name in "ab"])
    assert few.differences[0][2].loss == many.differences[0][2].loss
    assert few.differences[0][2].together.upper < many.differences[0][2].together.upper


# What is refused to be paired


@pytest.mark.parametrize(
    ("other", "why"),
    [
        pytest.param({"labels": LABELS[:300]}, "400 samples and 300", id="another number"),
        pytest.param({"labels": np.roll(LABELS, 1)}, "their labels differ", id="other labels"),
    ],
)
def test_other_samples_are_not_paired(tmp_path, other, why):
    folders = [
        made(tmp_path / "before.study", {UINT8: range(4)}),
        made(tmp_path / "after.study", {UINT8: range(40)}, **other),
    ]
    table = comparison_table(compare_studies(folders))
    assert table.above == (NOT_PAIRED.format(f"other samples: {why}"),)
    assert [(record["value"], record["loss"]) for record in table.records if record["setting"] == "tfjs-uint8"] == [
        (99.0, None),
        (pytest.approx(100 - 100 * 40 / len(other["labels"])), None),
    ]
    assert not any(heading.startswith("loss") for heading in table.headings)


def in_logits(folder, wrong):
    """The same answers as logarithms, of which the model is known to give no probabilities."""
    outputs = np.log(answers(LABELS, flipped(N, wrong))) + 5
    write_study(folder, LABELS, np.log(answers(LABELS)), {UINT8: outputs}, probabilities=False)
    return folder


def test_answers_of_probabilities_and_logits_are_paired(tmp_path):
    before = made(tmp_path / "before.study", {UINT8: range(4)})
    after = in_logits(tmp_path / "after.study", range(2, 8))
    for metric in (None, "macro-f1"):
        paired = compare_studies([before, after], metric=metric).rows[1].sides[1].difference.loss
        known = compare_studies([before, made(tmp_path / "p" / "after.study", {UINT8: range(2, 8)})], metric=metric)
        assert paired == known.rows[1].sides[1].difference.loss
        shutil.rmtree(tmp_path / "p")


def test_one_score_of_two_classes_is_read_as_its_own_study_reads_it(tmp_path):
    labels = np.arange(N) % 2
    scores = np.where(labels == 1, 0.8, 0.2).astype(np.float32)[:, None]
    logits = np.log(scores / (1 - scores))
    for name, outputs, probabilities in (("before", scores, True), ("after", logits, False)):
        threshold = 0.5 if probabilities else 0.0
        read = {"probabilities": probabilities, "threshold": threshold}
        write_study(tmp_path / f"{name}.study", labels, outputs, {UINT8: outputs}, **read)
    loss = compare_studies([tmp_path / "before.study", tmp_path / "after.study"]).rows[1].sides[1].difference.loss
    assert (loss.reference, loss.candidate, loss.changed) == (100, 100, (0, 0))


def test_probabilities_and_logits_are_not_paired_by_more_than_answers(tmp_path):
    folders = [made(tmp_path / "before.study", {UINT8: range(4)}), in_logits(tmp_path / "after.study", range(4))]
    why = "one output holds probabilities and the other does not, so they are read in different ways"
    assert comparison_table(compare_studies(folders, metric="auc")).above == (NOT_PAIRED.format(why),)


# Rows that not all studies have


def test_what_not_all_have_is_a_dash_and_said(tmp_path):
    failed = ("tfjs-uint8", "node-wasm")
    folders = [
        made(tmp_path / "before.study", {UINT8: range(4), failed: range(4), ("tflite-dynamic", "python"): []}),
        made(tmp_path / "after.study", {UINT8: range(4), failed: "out of memory", ("tfjs-uint16", "python"): []}),
    ]
    table = comparison_table(compare_studies(folders))
    notes = {(row[0], row[1]): (row[2], row[3], row[-1]) for row in table.cells}
    assert notes == {
        ("reference", "python"): ("100.00", "100.00", ""),
        UINT8: ("99.00", "99.00", ""),
        failed: ("99.00", "–", "failed in after: out of memory"),
        ("tflite-dynamic", "python"): ("100.00", "–", "not in after"),
        ("tfjs-uint16", "python"): ("–", "100.00", "not in before"),
    }
    statuses = {(record["setting"], record["runtime"], record["study"]): record["status"] for record in table.records}
    assert statuses["tflite-dynamic", "python", "after"] == "absent"
    assert statuses["tfjs-uint8", "node-wasm", "after"] == "failed"


def test_three_models_beside_each_other(tmp_path):
    folders = [
        made(tmp_path / f"{name}.study", {UINT8: range(wrong)}) for name, wrong in zip("abc", (4, 5, 60), strict=True)
    ]
    table = comparison_table(compare_studies(folders))
    assert [line.partition(":")[0] for line in table.above] == [
        "No difference between b and a is shown in any of 2 rows",
        "c is worse than a in tfjs-uint8 (python)",
        TOGETHER.format(4),
    ]
    assert [heading for heading in table.headings if heading.startswith("loss")] == [
        "loss of b, points [95 %]",
        "loss of c, points [95 %]",
    ]
    assert {record["against"] for record in table.records} == {None, "a"}


def test_studies_of_one_name_are_told_apart_by_their_folders(tmp_path, monkeypatch):
    for name in ("old", "new"):
        made(tmp_path / name / "m.study", {UINT8: range(4)})
    monkeypatch.chdir(tmp_path)
    assert [study.name for study in compare_studies(["old/m.study", "new/m.study"]).studies] == [
        "old/m.study",
        "new/m.study",
    ]


# Laws


def wrong_samples():
    return st.sets(st.integers(0, 49), max_size=50).map(sorted)


@settings(max_examples=15, deadline=None)
@given(mine=wrong_samples(), theirs=wrong_samples())
def test_the_difference_changes_its_sign_if_the_studies_are_exchanged(tmp_path_factory, mine, theirs):
    folder, labels = tmp_path_factory.mktemp("pair"), LABELS[:50]
    one, other = (
        made(folder / f"{name}.study", {UINT8: wrong}, labels=labels) for name, wrong in (("a", mine), ("b", theirs))
    )
    there = compare_studies([one, other]).rows[1].sides[1].difference
    back = compare_studies([other, one]).rows[1].sides[1].difference
    for forth, reverse in ((there.loss, back.loss), (there.together, back.together)):
        assert forth.loss == -reverse.loss
        assert (forth.lower, forth.upper) == (-reverse.upper, -reverse.lower)
        assert (forth.reference, forth.candidate) == (reverse.candidate, reverse.reference)


@settings(max_examples=10, deadline=None)
@given(wrong=wrong_samples())
def test_equal_studies_differ_by_nothing_within_the_interval_of_no_change(tmp_path_factory, wrong):
    folder, labels = tmp_path_factory.mktemp("equal"), LABELS[:50]
    folders = [made(folder / f"{name}.study", {UINT8: wrong}, labels=labels) for name in "ab"]
    for _, _, difference in compare_studies(folders).differences:
        most = 100 * (1 - 0.025 ** (1 / 50))  # no sample of 50 changed
        assert difference.loss.loss == 0
        assert (difference.loss.lower, difference.loss.upper) == (pytest.approx(-most), pytest.approx(most))
        assert difference.loss.changed == (0, 0)


# Regressions and similarity


def regression(folder, errors):
    """A study of one number per sample, which a variant misses by errors of shape (n,)."""
    labels = np.linspace(0, 10, N)[:, None]
    study = {"task": "regression", "classes": False, "probabilities": False}
    write_study(
        folder,
        labels,
        (labels + 0.1).astype(np.float32),
        {UINT8: (labels + errors[:, None]).astype(np.float32)},
        **study,
    )
    return folder


def test_regressions_are_paired_by_their_errors(tmp_path):
    random = np.random.default_rng(0)
    errors = random.uniform(0.1, 0.3, N)
    folders = [
        regression(tmp_path / "before.study", errors),
        regression(tmp_path / "after.study", errors + random.uniform(0.05, 0.15, N)),
    ]
    compared = compare_studies(folders)
    loss = compared.rows[1].sides[1].difference.loss
    assert (compared.metric, compared.unit) == ("mae", "")
    assert loss.loss == pytest.approx(loss.candidate - loss.reference)
    assert 0.05 < loss.lower < loss.loss < loss.upper < 0.15
    (leading, _) = comparison_table(compared).above
    assert leading.startswith("after is worse than before in tfjs-uint8 (python): loses at least 0.09")
    below = comparison_table(compared).below
    assert below[0].startswith("loss = the other study − before, in the unit of mae; positive is worse; ")


def test_one_answer_that_is_not_finite_is_an_infinite_error(tmp_path):
    errors = np.full(N, 0.1)
    spoiled = errors.copy()
    spoiled[3] = np.nan
    folders = [regression(tmp_path / "before.study", errors), regression(tmp_path / "after.study", spoiled)]
    side = compare_studies(folders).rows[1].sides[1]
    assert side.value == np.inf
    assert np.isnan(side.difference.loss.loss)
    assert lines_above(*folders)[0] == (
        "! the metric is NaN or infinite in tfjs-uint8 (python), so no difference is known; no difference is shown in "
        "the model itself: after loses at most 0.0011 and gains at most 0.0011 mae"
    )


def unlabelled(folder, wrong, **changed):
    """A study without labels, whose model answers as all others do and whose variant differs in some samples."""
    return write_study_in(folder, answers(LABELS, flipped(N, wrong)), **{"task": "similarity", **changed})


def write_study_in(folder, outputs, reference=None, **changed):
    write_study(folder, None, answers(LABELS) if reference is None else reference, {UINT8: outputs}, **changed)
    return folder


NO_LABELS = (
    "! no labels: it is not known which study is better; each figure compares a variant with the model of its own study"
)


def test_without_labels_answers_are_compared_with_each_other(tmp_path):
    folders = [
        unlabelled(tmp_path / "before.study", range(4)),
        unlabelled(tmp_path / "after.study", range(2, 12)),
    ]
    table = comparison_table(compare_studies(folders))
    warning, conclusion = table.above
    assert warning == NO_LABELS
    records = {(record["setting"], record["study"]): record for record in table.records}
    assert {record["metric"] for record in table.records} == {"agreement"}
    assert {record["loss"] for record in table.records} == {None}
    own, other = records["reference", "after"], records["tfjs-uint8", "after"]
    assert records["tfjs-uint8", "before"]["agreement"] is None
    assert (own["agreement"], own["other_answers"], own["kl"], own["kl_upper"]) == (100.0, 0, 0.0, None)
    assert (other["agreement"], other["other_answers"], other["against"]) == (97.5, 10, "before")
    least, most = (100 - 100 * bound for bound in loss_bounds(10, 0, n=N, confidence=0.975)[::-1])
    assert (other["agreement_lower"], other["agreement_upper"]) == pytest.approx((least, most))
    together = 100 - 100 * loss_bounds(10, 0, n=N, confidence=1 - 0.025 / 2)[1]
    assert other["together_lower"] == pytest.approx(together)
    assert other["together_lower"] < other["agreement_lower"]
    sides = [answers(LABELS, flipped(N, wrong)) for wrong in (range(4), range(2, 12))]
    known = divergences_per_sample(*sides, probabilities=True)
    assert other["kl"] == pytest.approx(known.kl.mean())
    assert other["kl_lower"] < other["kl"] < other["kl_upper"]
    assert conclusion == (
        f"after gives the class of before on 97.50 [{math.floor(100 * least) / 100:.2f}, "
        f"{math.ceil(100 * most) / 100:.2f}] % of the samples (n = 400) in tfjs-uint8 (python), where they differ most "
        f"of 2 rows; in every row on at least {math.floor(100 * together) / 100:.2f} %, with 95 % for all rows together"
    )
    assert "agreement of after with before, % [95 %]" in table.headings


def test_without_labels_and_classes_it_is_the_difference_of_outputs(tmp_path):
    reference = np.linspace(0, 10, N, dtype=np.float32)[:, None]
    moves = np.random.default_rng(0).normal(0, 0.1, (N, 1)).astype(np.float32)
    changed = {"task": "similarity", "classes": False, "probabilities": False, "reference": reference}
    folders = [
        write_study_in(tmp_path / "before.study", reference, **changed),
        write_study_in(tmp_path / "after.study", reference + moves, **changed),
    ]
    table = comparison_table(compare_studies(folders))
    (record,) = [one for one in table.records if (one["setting"], one["study"]) == ("tfjs-uint8", "after")]
    assert record["difference"] == pytest.approx(float(np.abs((reference + moves) - reference).mean()), rel=1e-6)
    assert 0 <= record["difference_lower"] < record["difference"] < record["difference_upper"]
    assert record["together_upper"] > record["difference_upper"]
    assert (record["agreement"], record["kl"], record["metric"]) == (None, None, "sqnr")
    assert table.above[1].startswith("the outputs of after differ from those of before by 0.0")
    assert "after from before, max error [95 %]" in table.headings
    same = [folders[0], write_study_in(tmp_path / "same.study", reference, **changed)]
    equal = comparison_table(compare_studies(same))
    assert equal.above[1] == "the outputs of same are those of before on all 400 samples in every row"
    assert {record["difference_upper"] for record in equal.records} == {None}


def test_without_labels_the_order_of_studies_does_not_change_the_agreement(tmp_path):
    folders = [unlabelled(tmp_path / f"{name}.study", wrong) for name, wrong in (("a", range(4)), ("b", range(2, 30)))]
    forth, back = (compare_studies(order).rows[1].sides[1].likeness for order in (folders, folders[::-1]))
    assert (forth.loss, forth.together) == (back.loss, back.together)


def test_without_labels_other_samples_are_not_compared(tmp_path):
    folders = [unlabelled(tmp_path / "before.study", range(4)), tmp_path / "after.study"]
    fewer = answers(LABELS[:300])
    write_study_in(folders[1], fewer, reference=fewer, task="similarity")
    table = comparison_table(compare_studies(folders))
    assert table.above == (
        NO_LABELS,
        "! after and before are not compared sample by sample (other samples: 400 samples and 300)",
    )
    assert {record["agreement"] for record in table.records} == {None}


# What is refused


def test_another_metric(tmp_path):
    folders = [made(tmp_path / f"{name}.study", {UINT8: range(4)}) for name in "ab"]
    assert compare_studies(folders, metric="macro-f1").metric == "macro-f1"


def other_task(study):
    return replace(study, task="similarity")


def other_metric(study):
    return replace(study, metric="macro-f1")


def other_output(study):
    spec, files = study.model.outputs[0], study.reference.outputs
    record_outputs(study.samples.folder.parent, files["output_0"], name="second")
    return replace(
        study,
        model=replace(study.model, outputs=(spec, replace(spec, name="second"))),
        scored_output="second",
        reference=replace(study.reference, outputs={"second": files["output_0"]}),
        trials=(),
    )


def other_shape(study):
    spec = replace(study.model.outputs[0], shape=(None, 12))
    return replace(study, model=replace(study.model, outputs=(spec,)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            other_task,
            "'a' is a study of the task classification, and 'b' of similarity, so their figures cannot be compared; "
            "name studies of one task",
            id="another task",
        ),
        pytest.param(
            other_metric,
            "'a' is scored by top1, and 'b' by macro-f1; name one metric for all with --metric",
            id="another metric",
        ),
        pytest.param(
            other_output,
            "'a' scores the output 'output_0', and 'b' the output 'second'; analyze both with the same --score-output",
            id="another output of the same model",
        ),
        pytest.param(
            other_shape,
            "the scored output of 'a' has the shape (10) for each sample, and that of 'b' (12) for each sample; name "
            "studies whose scored outputs have the same shape",
            id="another number of classes",
        ),
    ],
)
def test_other_subjects_are_refused(tmp_path, change, message):
    one = made(tmp_path / "a.study", {UINT8: range(4)})
    other = rewritten(made(tmp_path / "b.study", {UINT8: range(4)}), change)
    ran = quantlab_in_process("compare", one, other, cwd=tmp_path)
    assert (ran.status, ran.stdout, ran.last) == (2, "", f"quantlab: {message}")


@pytest.mark.parametrize(
    ("named", "message"),
    [
        pytest.param(
            ["a.study"],
            "a comparison needs at least two studies; name for example before.study after.study",
            id="one study",
        ),
        pytest.param(["a.study", "./a.study"], "the study 'a.study' is named twice; name each study once", id="twice"),
        pytest.param(
            ["a.study", "b.study"],
            "'b.study' is not a finished study; create it with 'quantlab analyze … --out b.study'",
            id="no study",
        ),
    ],
)
def test_folders_that_are_refused(tmp_path, named, message):
    made(tmp_path / "a.study", {UINT8: range(4)})
    ran = quantlab_in_process("compare", *named, cwd=tmp_path)
    assert (ran.status, ran.stdout, ran.last) == (2, "", f"quantlab: {message}")


def test_outputs_that_were_changed_are_refused(tmp_path):
    folders = [made(tmp_path / f"{name}.study", {UINT8: range(4)}) for name in "ab"]
    file = folders[1] / "outputs" / "tfjs-uint8" / "python" / "key" / "output_0.npy"
    np.save(file, mapped(file)[::-1].copy())
    ran = quantlab_in_process("compare", *folders, cwd=tmp_path)
    assert ran.status == 2
    assert ran.last == (
        "quantlab: the record of the study 'b' cannot be true: the outputs of tfjs-uint8 in python are not those that "
        "were written; run 'quantlab analyze' again"
    )


# The command line


def test_all_formats_have_the_same_rows(tmp_path):
    folders = [made(tmp_path / f"{name}.study", {UINT8: range(wrong)}) for name, wrong in (("a", 4), ("b", 40))]
    rows = json.loads(quantlab_in_process("compare", *folders, "--json", cwd=tmp_path).stdout)
    assert [tuple(row) for row in rows] == [tuple(CompareRow.__dataclass_fields__)] * 4
    assert rows[3].pop("loss") == pytest.approx(9)
    assert rows[3] | {"loss_lower": 0, "loss_upper": 0, "together_lower": 0, "together_upper": 0} == {
        "setting": "tfjs-uint8",
        "runtime": "python",
        "study": "b",
        "status": "measured",
        "reason": None,
        "metric": "top1",
        "unit": "pt",
        "value": 90.0,
        **dict.fromkeys(("value_lower", "value_upper")),
        "size_bytes": 10_000,
        "gzip_bytes": 10_000,
        "n": N,
        "against": "a",
        "loss_lower": 0,
        "loss_upper": 0,
        "together_lower": 0,
        "together_upper": 0,
        "method": "exact",
        "became_wrong": 36,
        "became_right": 0,
        **dict.fromkeys(("agreement", "agreement_lower", "agreement_upper", "other_answers")),
        **dict.fromkeys(("kl", "kl_lower", "kl_upper", "difference", "difference_lower", "difference_upper")),
    }
    for name in ("terminal", "markdown", "csv", "latex"):
        ran = quantlab_in_process("compare", *folders, "--format", name, cwd=tmp_path)
        assert (ran.status, ran.stderr) == (0, "")
        assert "uint8" in ran.stdout


SCORES = scores(n=N, top1=99.0, top1_interval=Interval(97.5, 99.6), agreement=98.0, agreement_interval=Interval(96, 99))


@pytest.mark.parametrize(
    ("labels", "in_groups", "column", "cell", "ends"),
    [
        pytest.param(LABELS, False, "a: top1 % [95 %]", "99.00 [97.50, 99.60]", (97.5, 99.6), id="labels"),
        pytest.param(LABELS, True, "a: top1 %", "99.00", (None, None), id="samples in groups"),
        pytest.param(None, False, "a: agreement % [95 %]", "98.00 [96.00, 99.00]", (96, 99), id="no labels"),
    ],
)
def test_figures_of_a_study_alone_have_intervals(labels, in_groups, column, cell, ends, tmp_path):
    def change(study):
        codes = np.arange(N) // 2 if in_groups else None
        samples = with_groups(study.samples, "file" if in_groups else None, codes, np.arange(N))
        return replace(study, samples=samples, trials=tuple(replace(one, scores=SCORES) for one in study.trials))

    folders = []
    for name in "ab":
        folder = tmp_path / f"{name}.study"
        write_study(folder, labels, answers(LABELS), {UINT8: answers(LABELS, flipped(N, range(4)))})
        folders.append(rewritten(folder, change))
    table = comparison_table(compare_studies(folders))
    row = dict(zip(table.headings, next(row for row in table.cells if row[0] == UINT8[0]), strict=True))
    assert row[column] == cell
    record = next(record for record in table.records if record["setting"] == UINT8[0])
    assert (record["value_lower"], record["value_upper"]) == ends


def test_comparing_is_no_look(tmp_path):
    folders = [made(tmp_path / f"{name}.study", {UINT8: range(4)}) for name in "ab"]
    before = sorted(tmp_path.rglob("*"))
    assert quantlab_in_process("compare", *folders, cwd=tmp_path).status == 0
    assert sorted(tmp_path.rglob("*")) == before

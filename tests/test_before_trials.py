"""What no verdict can be given about: the same error before anything is converted as after all variants were measured.

A variant that answers as the model does changes nothing, so the errors of `judge` that depend on no variant are those
of its study.
"""

from dataclasses import replace

import numpy as np
import pytest
from command_line import quantlab_in_process
from verdict_fixtures import answers, write_study

from quantlab.errors import QuantlabError, StudyError, UsageError
from quantlab.gate import judge, refuse_unjudgeable
from quantlab.types import Budget

N = 300
LABELS = np.arange(N) % 10
MARGIN, AGREEMENT = Budget(max_accuracy_loss="1pt"), Budget(min_agreement="99%")


def not_finite(n):
    outputs = answers(LABELS)
    outputs[:n] = np.nan
    return outputs


def numbers():
    return np.random.default_rng(0).normal(size=(N, 1)).astype(np.float32)


SIMILAR = {"task": "similarity"}
NUMBERS = {"task": "similarity", "classes": False, "probabilities": False}

TRUTH = {"task": "metric", "classes": False, "probabilities": False}
TAGS = np.stack([LABELS % 2, LABELS % 5 == 0, LABELS < 5], axis=1).astype(int)
TAGGED = (4 * TAGS - 2).astype(np.float32)
WORDS = np.stack([LABELS % 3, LABELS % 2, LABELS % 3], axis=1)

CASES = {
    "a budget that can be judged": (LABELS, answers(LABELS), MARGIN, {}, None),
    "agreement without labels": (None, answers(LABELS), AGREEMENT, SIMILAR, None),
    "numbers without labels": (None, numbers(), Budget(min_sqnr="20dB"), NUMBERS, None),
    "a size that nothing can have": (LABELS, answers(LABELS), Budget(max_size=1), {}, None),
    "no labels": (
        None,
        answers(LABELS),
        MARGIN,
        SIMILAR,
        (
            "the budget limits the loss to 1pt, and the samples have no labels; give samples with labels, or use "
            "min_agreement instead"
        ),
    ),
    "no classes": (
        None,
        numbers(),
        AGREEMENT,
        NUMBERS,
        (
            "the budget sets min_agreement, and the scored output has no classes; limit the error of the outputs "
            "against the model instead, for example with min_sqnr (40dB)"
        ),
    ),
    "no labelled classes": (
        None,
        answers(LABELS),
        Budget(min_agreement="99%", max_class_loss="2pt"),
        SIMILAR,
        (
            "the budget limits the loss of each class to 2pt, and there are no labelled classes; give labels of "
            "classes, or leave max_class_loss out"
        ),
    ),
    "few samples": (
        LABELS[:9],
        answers(LABELS[:9]),
        MARGIN,
        {},
        "9 samples are too few for a verdict; score at least 10, and more for a smaller allowed loss",
    ),
    "one class": (
        np.full(N, 3),
        answers(np.full(N, 3)),
        MARGIN,
        {},
        "all 300 samples are of class 3, so nothing is known about the other classes; analyze samples of every class",
    ),
    "a model that guesses": (
        np.random.default_rng(1).permutation(LABELS),
        answers(LABELS),
        MARGIN,
        {},
        (
            "the model itself is right on 11.7 % of 300 samples (95 % interval 8.5 to 15.8), which is not shown to be "
            "better than chance: always answering class 0, the most frequent, is right on 10.0 %. Nothing can be "
            "judged against it; check the preprocessing and the order of the labels, or insist with "
            "--allow-poor-reference"
        ),
    ),
    "a model that guesses, allowed": (
        np.random.default_rng(1).permutation(LABELS),
        answers(LABELS),
        replace(MARGIN, allow_poor_reference=True),
        {},
        None,
    ),
    "a model that is worthless in the metric": (
        TAGS,
        -TAGGED,
        Budget(max_accuracy_loss="1pt", metric="micro-f1"),
        TRUTH,
        (
            "the model itself has 0 % in the metric 'micro-f1' on 300 samples, the worst value there is. Nothing can "
            "be judged against it; check the ground truth, the preprocessing and how the metric reads the outputs, or "
            "insist with --allow-poor-reference"
        ),
    ),
    "a model that is worthless in the metric, allowed": (
        TAGS,
        -TAGGED,
        Budget(max_accuracy_loss="1pt", metric="micro-f1", allow_poor_reference=True),
        TRUTH,
        None,
    ),
    "a model that is good in the metric": (
        TAGS,
        TAGGED,
        Budget(max_accuracy_loss="5pt", metric="micro-f1"),
        TRUTH,
        None,
    ),
    "sequences that are all wrong": (
        WORDS,
        np.eye(4, dtype=np.float32)[(WORDS + 1) % 3],
        Budget(max_accuracy_loss="1pt", metric="cer:plain"),
        TRUTH,
        (
            "the model itself has 100 % in the metric 'cer:plain' on 300 samples, no better than an empty answer's "
            "100 %. Nothing can be judged against it; check the ground truth, the preprocessing and how the metric "
            "reads the outputs, or insist with --allow-poor-reference"
        ),
    ),
    "a metric that is the same for any labels": (
        TAGS,
        np.ones_like(TAGGED),
        Budget(max_accuracy_loss="1pt", metric="micro-f1"),
        TRUTH,
        (
            "the metric 'micro-f1' is 57.14 % for the model on 300 samples, and the same if the ground truth is in "
            "another order, so it tells nothing of what is right. Nothing can be judged by it; correct the metric or "
            "the ground truth, or insist with --allow-poor-reference"
        ),
    ),
    "labels that are all alike": (
        np.tile([1, 0, 1], (N, 1)),
        np.ones_like(TAGGED),
        Budget(max_accuracy_loss="5pt", metric="micro-f1"),
        TRUTH,
        None,
    ),
    "an unknown output": (
        LABELS,
        answers(LABELS),
        Budget(min_sqnr="nonsense=30dB"),
        {},
        "the model has no output 'nonsense' to be limited by min_sqnr; choose from output_0",
    ),
    "a model that is never finite": (
        LABELS,
        not_finite(N),
        MARGIN,
        {},
        (
            "the model itself is NaN or infinite on all 300 samples, so nothing can be judged against it; correct the "
            "model, and run 'quantlab analyze' again"
        ),
    ),
}
"""Name → labels, the model's outputs, the budget, what else the study says, and the message; None: no error."""


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused_before_and_after(name, tmp_path):
    labels, outputs, budget, says, message = CASES[name]
    study = write_study(tmp_path, labels, outputs, {("tfjs-uint8", "python"): outputs}, **says)
    alone = replace(study, trials=())
    if message is None:
        refuse_unjudgeable(alone, budget)
        judge(study, budget)
        return
    for refuse in (lambda: refuse_unjudgeable(alone, budget), lambda: judge(study, budget)):
        with pytest.raises((StudyError, UsageError)) as refused:
            refuse()
        assert str(refused.value) == message


def test_the_command_that_made_the_study_is_named(tmp_path):
    """The model of a study with samples for a search was tuned."""
    study = write_study(tmp_path, LABELS, not_finite(N), {})
    with pytest.raises(QuantlabError, match="correct the model, and run 'quantlab tune' again"):
        refuse_unjudgeable(replace(study, search=study.samples), MARGIN)


# Budgets on the command line


UNGUIDED = (
    "the budget sets no limit of the loss that a search looks at, so the smallest artifact would be chosen whatever it "
    "loses; give max_accuracy_loss (0.5pt), min_agreement (99%) or min_sqnr (40dB), which counts for the scored output"
)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param((), UNGUIDED, id="no limit"),
        pytest.param(("--max-size", "5KB"), UNGUIDED, id="a size alone"),
        pytest.param(("--target", "web"), UNGUIDED, id="a target alone"),
        pytest.param(("--max-class-loss", "2pt"), UNGUIDED, id="a limit of the verdict alone"),
    ],
)
def test_a_search_needs_a_limit_that_it_looks_at(arguments, said, tmp_path):
    done = quantlab_in_process("tune", "no.keras", "--data", "no.npz", *arguments, cwd=tmp_path)
    assert (done.status, done.stderr) == (2, f"quantlab: {said}\n")


@pytest.mark.parametrize(
    ("size", "said"),
    [
        pytest.param("20", "--max-size 20 has no unit; write 20KB, 20MB or, for bytes, 20B", id="a number"),
        pytest.param(" 0.5 ", "--max-size 0.5 has no unit; write 0.5KB, 0.5MB or, for bytes, 0.5B", id="a fraction"),
        pytest.param(
            "5 mm", "max_size '5 mm' is not a valid size; write for example 500KB, 2MB or 512KiB", id="another unit"
        ),
    ],
)
@pytest.mark.parametrize(
    "command", [("tune", "no.keras", "--data", "no.npz"), ("gate", "no.study"), ("recommend", "no.study")]
)
def test_a_size_on_the_command_line_has_a_unit(command, size, said, tmp_path):
    done = quantlab_in_process(*command, "--max-accuracy-loss", "1pt", "--max-size", size, cwd=tmp_path)
    assert (done.status, done.stderr) == (2, f"quantlab: {said}\n")


@pytest.mark.parametrize(
    ("table", "arguments", "outcome"),
    [
        pytest.param("max_size = 10_000", (), 0, id="bytes in a file"),
        pytest.param("max_size = 9_999", (), 1, id="too few bytes in a file"),
        pytest.param("", ("--max-size", "10000B"), 0, id="bytes on the command line"),
        pytest.param("", ("--max-size", "9999B"), 1, id="too few bytes on the command line"),
    ],
)
def test_bytes(table, arguments, outcome, tmp_path):
    (tmp_path / "quantlab.toml").write_text(f"[budget]\n{table}\n")
    write_study(tmp_path / "one.study", LABELS, answers(LABELS), {("tfjs-uint8", "python"): answers(LABELS)})
    assert quantlab_in_process("gate", "one.study", *arguments, cwd=tmp_path).status == outcome

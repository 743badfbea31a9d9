"""Whether a verdict by one budget answers another: limit by limit."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.gate import looser_limits
from quantlab.types import Budget, Judgement, Loss, SettingVerdict, Verdict


def verdict(runtimes=("python",), metric="top1", **budget):
    """A verdict by a budget, judged in some runtimes."""
    loss = Loss(metric, "higher", "pt", 1_000, 97.0, 97.0, 0.0, 0.0, 0.3, 0.95, "Tango")
    judgements = tuple(Judgement("tfjs-uint8", runtime, "fits", "loses nothing", loss=loss) for runtime in runtimes)
    setting = SettingVerdict("tfjs-uint8", True, 1, judgements)
    return Verdict("digits", Budget(**({"max_accuracy_loss": "0.5pt"} | budget)), (setting,), named=True)


HALF = {"max_accuracy_loss": "0.5pt"}


@pytest.mark.parametrize(
    ("judged", "asked"),
    [
        pytest.param(verdict(), HALF, id="the same"),
        pytest.param(verdict(), {"max_accuracy_loss": "1pt"}, id="a larger loss"),
        pytest.param(verdict(max_class_loss="1pt", max_size="1MB"), HALF, id="limits that are not asked"),
        pytest.param(verdict(max_class_loss="1pt"), {**HALF, "max_class_loss": "2pt"}, id="a larger loss of a class"),
        pytest.param(verdict(max_slice_loss="1pt"), {**HALF, "max_slice_loss": "2pt"}, id="a larger loss of a slice"),
        pytest.param(verdict(max_size="1MB"), {**HALF, "max_size": "1000KB"}, id="the same size"),
        pytest.param(verdict(min_agreement="99%"), {"min_agreement": "98%"}, id="a smaller agreement"),
        pytest.param(verdict(confidence=0.99), HALF, id="a smaller confidence"),
        pytest.param(verdict(), {**HALF, "metric": "top1"}, id="the metric of the study, by name"),
        pytest.param(
            verdict(metric="mine:score"), {**HALF, "metric": "mine:score:higher"}, id="a metric of the user's own"
        ),
        pytest.param(verdict(), {**HALF, "runtimes": ("python",)}, id="a runtime of the target's"),
        pytest.param(
            verdict(runtimes=("node-wasm", "python")), {**HALF, "runtimes": ("node-*",)}, id="runtimes by a glob"
        ),
        pytest.param(verdict(), {**HALF, "leave_out_non_finite": True}, id="what was not needed is allowed"),
        pytest.param(verdict(allow_constant=("a",)), {**HALF, "allow_constant": ("b", "a")}, id="allowed outputs"),
        pytest.param(verdict(min_sqnr="40dB"), {"min_sqnr": "boxes=30dB"}, id="a limit of all outputs"),
        pytest.param(verdict(min_sqnr="boxes[*]=40dB"), {"min_sqnr": "boxes[3]=30dB"}, id="a limit of all channels"),
        pytest.param(verdict(min_sqnr="30dB,boxes[2]=10dB"), {"min_sqnr": "30dB"}, id="a channel, where none is asked"),
        pytest.param(verdict(max_rmse="0.1"), {"max_rmse": "0.2"}, id="a larger error"),
        pytest.param(verdict(order="none"), HALF, id="an order, where all settings must fit"),
        pytest.param(verdict(metric="auc"), HALF, id="the metric of the study, whatever it is"),
    ],
)
def test_answers(judged, asked):
    assert looser_limits(judged, Budget(**asked)) == ()


@pytest.mark.parametrize(
    ("judged", "asked", "clauses"),
    [
        pytest.param(
            verdict(),
            {"max_accuracy_loss": "0.4pt"},
            ("max_accuracy_loss is 0.5pt there, and 0.4pt is asked",),
            id="loss",
        ),
        pytest.param(
            verdict(), {"max_accuracy_loss": "5%"}, ("max_accuracy_loss is 0.5pt there, and 5% is asked",), id="unit"
        ),
        pytest.param(
            verdict(),
            {"max_class_loss": "2pt", "max_size": 10},
            ("max_class_loss is not limited there, and 2pt is asked", "max_size is not limited there, and 10 is asked"),
            id="two limits more",
        ),
        pytest.param(
            verdict(min_agreement="98%"),
            {"min_agreement": "99%"},
            ("min_agreement is 98.0 there, and 99.0 is asked",),
            id="agreement",
        ),
        pytest.param(
            verdict(confidence=0.9), HALF, ("confidence is 0.9 there, and 0.95 is asked",), id="a higher confidence"
        ),
        pytest.param(verdict(), {**HALF, "target": "web"}, ("target is any there, and web is asked",), id="target"),
        pytest.param(verdict(), {**HALF, "metric": "auc"}, ("metric is top1 there, and auc is asked",), id="metric"),
        pytest.param(
            verdict(runtimes=("python",)),
            {**HALF, "runtimes": ("python", "node-wasm")},
            ("it was not judged in node-wasm",),
            id="a runtime that was not run",
        ),
        pytest.param(
            Verdict("digits", Budget(**HALF, runtimes=("python",)), verdict().settings, named=True),
            HALF,
            ("runtimes is python there, and those of the target is asked",),
            id="fewer runtimes than the target's",
        ),
        pytest.param(
            verdict(leave_out_non_finite=True, allow_poor_reference=True),
            HALF,
            (
                "leave_out_non_finite was allowed there, and is not now",
                "allow_poor_reference was allowed there, and is not now",
            ),
            id="what was allowed",
        ),
        pytest.param(
            verdict(allow_constant=("a", "b")),
            {**HALF, "allow_constant": ("a",)},
            ("allow_constant allowed b there, and does not now",),
            id="an output that was allowed to be constant",
        ),
        pytest.param(
            verdict(min_sqnr="30dB"), {"min_sqnr": "40dB"}, ("min_sqnr is 30dB there, and 40dB is asked",), id="SQNR"
        ),
        pytest.param(
            verdict(max_rmse="0.2"), {"max_rmse": "0.1"}, ("max_rmse is 0.2 there, and 0.1 is asked",), id="error"
        ),
        pytest.param(
            verdict(min_sqnr="40dB,boxes=20dB"),
            {"min_sqnr": "40dB"},
            ("min_sqnr is boxes=20dB there, and 40dB is asked",),
            id="an output that had a looser limit of its own",
        ),
        pytest.param(
            verdict(min_sqnr="boxes=40dB"),
            {"min_sqnr": "40dB"},
            ("min_sqnr is not limited there, and 40dB is asked",),
            id="one output of all",
        ),
        pytest.param(
            verdict(min_sqnr="40dB"),
            {"min_sqnr": "boxes[3]=30dB"},
            ("min_sqnr is not limited there, and boxes[3]=30dB is asked",),
            id="a channel, which a limit of whole outputs does not limit",
        ),
    ],
)
def test_does_not_answer(judged, asked, clauses):
    assert looser_limits(judged, Budget(**asked)) == clauses


MARGINS = st.integers(1, 100).map(lambda percent: f"{percent / 10}pt")
SIZES = st.none() | st.integers(1, 5)
LIMITS = st.none() | st.dictionaries(
    st.sampled_from(["", "a=", "a[*]=", "a[1]=", "b="]), st.integers(1, 3), min_size=1
).map(lambda limits: tuple(f"{place}{value}" for place, value in limits.items()))
BUDGETS = st.builds(Budget, max_accuracy_loss=MARGINS, max_size=SIZES, max_rmse=LIMITS, min_sqnr=LIMITS)


@given(budget=BUDGETS)
def test_a_budget_answers_itself(budget):
    assert looser_limits(Verdict("digits", budget, verdict().settings, named=True), budget) == ()


@given(one=BUDGETS, other=BUDGETS, last=BUDGETS)
def test_answers_hold_along_a_chain(one, other, last):
    """A budget that answers another answers what that answers."""

    def answers(first, second):
        return not looser_limits(Verdict("digits", first, verdict().settings, named=True), second)

    if answers(one, other) and answers(other, last):
        assert answers(one, last)


def test_no_key_is_passed_over():
    """A key that only one budget has changed is noticed one way or the other."""
    changed = {
        "max_accuracy_loss": "1pt",
        "max_class_loss": "1pt",
        "max_size": 1,
        "min_agreement": "99%",
        "min_sqnr": "1dB",
        "min_cosine": "0.1",
        "max_abs_error": "1",
        "max_rmse": "1",
        "confidence": 0.9,
        "metric": "auc",
        "target": "web",
        "runtimes": ("node-wasm",),
        "leave_out_non_finite": True,
        "allow_poor_reference": True,
        "allow_constant": ("a",),
    }
    for field in fields(Budget):
        if field.name not in changed:  # a new key, which must be equal
            continue
        plain = Budget(max_accuracy_loss="5pt")
        other = Budget(**({"max_accuracy_loss": "5pt"} | {field.name: changed[field.name]}))
        both = [
            looser_limits(Verdict("digits", judged, verdict().settings, named=True), asked)
            for judged, asked in ((plain, other), (other, plain))
        ]
        assert any(both), field.name

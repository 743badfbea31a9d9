"""The answers of a runtime compared with those of Python, from stored outputs."""

import numpy as np
import pytest

from quantlab.study.compare import Comparison
from quantlab.study.task import Scoring
from quantlab.types import KeptOutputs, TensorSpec, Timing, Trial


@pytest.fixture
def compared(tmp_path):
    """Returns the equivalence of a runtime from its outputs, those of Python, labels and a task."""

    def compare(in_python, there, labels=None, task="similarity", groups=None):
        files = {}
        for name, outputs in (("python", in_python), ("there", there)):
            files[name] = tmp_path / f"{name}.npy"
            np.save(files[name], np.asarray(outputs, np.float32))
        scoring = Scoring(TensorSpec("y", (None, *np.shape(in_python)[1:]), "float32"), task, labels, groups=groups)
        comparison = Comparison.open(scoring, KeptOutputs({"y": files["python"]}, "python", {}, Timing(0, 0.0)))
        rows = [
            Trial("tfjs-uint8", runtime, ran_on=runtime, outputs={"y": files[name]})
            for runtime, name in (("python", "python"), ("node-wasm", "there"))
        ]
        in_python_row, row = comparison.with_python(rows)
        assert in_python_row.equivalence is None
        return row

    return compare


CLASSES = np.tile([[0.5, 0.3, 0.2]], (1000, 1))


def test_labelled_answers_are_compared_in_both_directions(compared):
    there = CLASSES.copy()
    there[:4] = [0.2, 0.5, 0.3]  # three become wrong and one becomes right
    there[4] = [0.2, 0.3, 0.5]  # and one is wrong both times
    labels = np.zeros(1000, int)
    labels[[3, 4]] = 1
    row = compared(CLASSES, there, labels, "classification")
    told = row.equivalence
    assert (told.n, told.changed, told.became_wrong, told.became_right) == (1000, 5, 3, 1)
    assert (row.flips_from_python, told.accuracy_difference) == (5, pytest.approx(0.2))
    assert told.lower < 0.2 < told.upper


def test_without_labels_the_share_of_changed_answers_bounds_the_difference(compared):
    there = CLASSES.copy()
    there[0] = [0.2, 0.5, 0.3]
    told = compared(CLASSES, there).equivalence
    assert (told.n, told.changed, told.became_wrong, told.accuracy_difference) == (1000, 1, None, None)
    assert (-told.lower, told.upper) == (told.changed_upper, told.changed_upper)
    assert told.outcome() == "equivalent"


def test_an_answer_that_is_nan_is_another_one(compared):
    there = CLASSES.copy()
    there[:30] = np.nan
    told = compared(CLASSES, there, np.zeros(1000, int), "classification").equivalence
    assert (told.changed, told.became_wrong, told.outcome()) == (30, 30, "different")


def test_what_has_no_classes_is_not_tested(compared):
    row = compared(np.ones((5, 4, 4, 3)), np.ones((5, 4, 4, 3)))
    assert (row.equivalence, row.flips_from_python, row.max_abs_from_python) == (None, None, 0.0)


@pytest.mark.parametrize("labelled", [True, False], ids=["with labels", "without labels"])
def test_groups_that_act_as_one_are_counted_once(compared, labelled):
    """50 groups of 20 copies say what 50 samples say, also if one of them changes."""
    labels, task = (np.zeros(1000, int), "classification") if labelled else (None, "similarity")
    groups = np.arange(1000) // 20
    alone = compared(CLASSES, CLASSES, labels, task).equivalence
    alike = compared(CLASSES, CLASSES, labels, task, groups).equivalence
    assert (alone.groups, alike.groups, alone.outcome(), alike.outcome()) == (None, 50, "equivalent", "not shown")
    assert alike.upper == alike.changed_upper == pytest.approx(100 * (1 - 0.05 ** (1 / 50)))
    there = CLASSES.copy()
    there[40:60] = [0.2, 0.5, 0.3]
    changed = compared(CLASSES, there, labels, task, groups).equivalence
    assert changed.changed == 20
    assert changed.upper > alike.upper
    assert changed.upper > compared(CLASSES, there, labels, task).equivalence.upper


def test_groups_of_one_sample_are_independent_samples(compared):
    there = CLASSES.copy()
    there[:4] = [0.2, 0.5, 0.3]
    alone = compared(CLASSES, there).equivalence
    assert compared(CLASSES, there, groups=np.arange(1000)[::-1].copy()).equivalence == alone

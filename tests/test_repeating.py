"""The first samples run once more after the last one: what is compared, noted and warned of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from toy_format.study import Host, with_hosts, write_model, write_samples

from quantlab.errors import TrialError
from quantlab.store import Store
from quantlab.study import AnalyzeOptions, analyze
from quantlab.study.repeats import repeat_notes, warn_of_state
from quantlab.types import REFERENCE, Repeated, Trial
from quantlab.worker.repeating import compare
from quantlab_reports import RENDERINGS, VIEWS, Selection

F = np.float32


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param([F([[1, 2]])], [F([[1, 2]])], (1, 0, 0.0, 2.0), id="equal"),
        pytest.param([F([[1], [-4]])], [F([[1], [-3.5]])], (2, 1, 0.5, 4.0), id="one of two samples"),
        pytest.param([F([[np.nan]])], [F([[np.nan]])], (1, 0, 0.0, 0.0), id="NaN both times"),
        pytest.param([F([[np.inf, 1]])], [F([[np.inf, 1]])], (1, 0, 0.0, 1.0), id="infinite both times"),
        pytest.param([F([[1, 3]])], [F([[np.nan, 3]])], (1, 1, None, 3.0), id="NaN the second time"),
        pytest.param([F([[np.inf]])], [F([[-np.inf]])], (1, 1, None, 0.0), id="infinite with another sign"),
        pytest.param([F([[0.0]])], [F([[-0.0]])], (1, 0, 0.0, 0.0), id="zero with another sign"),
        pytest.param([np.int64([[2**62]])], [np.int64([[2**62 + 1]])], (1, 1, 1.0, 2.0**62), id="large integers"),
        pytest.param([np.array([[True]])], [np.array([[False]])], (1, 1, 1.0, 1.0), id="booleans"),
        pytest.param(
            [F([[1], [2]]), np.int32([5, 6])], [F([[1], [3]]), np.int32([6, 6])], (2, 2, 1.0, 6.0), id="two outputs"
        ),
    ],
)
def test_comparing_two_runs(before, after, expected):
    assert compare("again", before, after) == Repeated("again", *expected)


@given(
    arrays.arrays(np.float32, (3, 2), elements=st.floats(width=32)),
    arrays.arrays(np.float32, (3, 2), elements=st.floats(width=32)),
)
def test_the_order_of_two_runs_does_not_matter(one, other):
    assert compare("again", [one], [one]).differing == 0
    there, back = compare("again", [one], [other]), compare("again", [other], [one])
    assert (there.differing, there.largest) == (back.differing, back.largest)


def test_another_shape_is_no_second_run():
    with pytest.raises(TrialError) as refused:
        compare("again", [F([[1]])], [F([[1, 2]])])
    assert str(refused.value) == (
        "when the first samples ran once more, an output had the shape (1, 2) in place of (1, 1)"
    )


@pytest.mark.parametrize(
    ("repeated", "notes"),
    [
        pytest.param([], (), id="an older study"),
        pytest.param([Repeated("again", 32, 0, 0.0, 1.0)], (), id="equal"),
        pytest.param(
            [Repeated("again", 1, 1, None, 1.0)],
            (
                (
                    "other outputs for 1 of 1 sample when the first samples ran again after the last one (NaN or "
                    "infinite in one of the two runs)"
                ),
            ),
            id="NaN later",
        ),
        pytest.param(
            [Repeated("again", 32, 0, 0.0, 1.0), Repeated("alone", 32, 4, 3e-7, 1.0)],
            ("other outputs for 4 of 32 samples when the first samples ran alone, not in a batch (by up to 3e-07)",),
            id="alone",
        ),
        pytest.param(
            [Repeated("columns", 32, 4, 3.0, 1.0)],
            (
                (
                    "other outputs for 4 of 32 samples when the first samples were sent as columns ('inputs'), not as "
                    "rows ('instances') (by up to 3)"
                ),
            ),
            id="columns",
        ),
    ],
)
def test_notes(repeated, notes):
    assert repeat_notes(repeated) == notes


def row(setting, *repeated):
    return Trial(setting=setting, runtime="node-wasm", repeated=repeated)


STEADY = Trial(setting=REFERENCE, runtime="python", repeated=(Repeated("again", 32, 0, 0.0, 1.0),))
CHANGED = Repeated("again", 32, 8, 0.5, 1.0)


@pytest.mark.parametrize(
    ("reference", "trials", "repeatable", "begins"),
    [
        pytest.param(STEADY, [row("a", CHANGED)], False, [], id="a model that is not repeatable"),
        pytest.param(STEADY, [row("a", replace(CHANGED, largest=1e-3))], True, [], id="the last bits"),
        pytest.param(STEADY, [row("a", replace(CHANGED, way="alone"))], True, [], id="another batch"),
        pytest.param(STEADY, [row("a"), row("b", Repeated("again", 32, 0, 0.0, 1.0))], True, [], id="equal"),
        pytest.param(
            replace(STEADY, repeated=(CHANGED,)),
            [row("a", CHANGED)],
            True,
            [
                (
                    "the model keeps a state between calls: 8 of its first 32 samples gave other outputs when they ran "
                    "again after the last one (by up to 0.5)"
                )
            ],
            id="the model itself",
        ),
        pytest.param(
            STEADY,
            [row("a", CHANGED), row("b")],
            True,
            [
                (
                    "outputs depend on the calls before, though the model's do not (a in node-wasm: 8 of its first 32 "
                    "samples gave other outputs when they ran again after the last one (by up to 0.5)): the figures of "
                    "this row hold only for this order of the samples"
                )
            ],
            id="one row",
        ),
        pytest.param(
            STEADY,
            [row(name, CHANGED) for name in "abcde"],
            True,
            ["outputs depend on the calls before, though the model's do not (a in node-wasm: "],
            id="five rows",
        ),
    ],
)
def test_warnings(reference, trials, repeatable, begins):
    warnings = warn_of_state(reference, trials, repeatable=repeatable)
    assert len(warnings) == len(begins)
    assert all(warning.startswith(text) for warning, text in zip(warnings, begins, strict=True))
    if len(trials) == 5:
        assert "c in node-wasm" in warnings[0]
        assert "d in node-wasm" not in warnings[0]
        assert "and 2 more): the figures of these rows hold only" in warnings[0]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toys")
    write_model(folder / "one_dense.onnx")
    write_samples(folder / "samples.npz")
    return folder


class RightOnce:
    """What a GPU delegate does that is right only in its first call: later ones answer with the first class."""

    calls = 0

    def __call__(self, values):
        self.calls += 1
        return values if self.calls == 1 else np.eye(values.shape[1], dtype=values.dtype)[np.zeros(len(values), int)]


@pytest.mark.starts_children
def test_a_runtime_that_is_right_only_in_its_first_call(prepared, tmp_path):
    host = Host("toy-once", after=RightOnce())
    study = analyze(
        prepared / "one_dense.onnx",
        data=str(prepared / "samples.npz"),
        options=AnalyzeOptions(
            settings=("toy-int8",),
            runtimes=("python", "toy-once"),
            batch_size=50,
            layers=False,
            costs=False,
            out=tmp_path / "toy.study",
        ),
        registries=with_hosts(host.runtime()),
    )
    once = next(trial for trial in study.trials if trial.runtime == "toy-once")
    (again,) = once.repeated
    assert (again.way, again.samples, again.differing) == ("again", 50, 50)
    assert again.share > 0.1
    assert any(note.startswith("other outputs for 50 of 50 samples when the first") for note in once.notes)
    others = [study.reference, *(trial for trial in study.trials if trial is not once)]
    assert [one.differing for trial in others for one in trial.repeated] == [0] * len(others)
    (warning,) = [text for text in study.warnings if "depend on the calls before" in text]
    assert "(toy-int8 in toy-once: 50 of its first 50 samples gave other outputs" in warning
    table = VIEWS["table"].table(Store(tmp_path / "toy.study"), Selection(wide=True), with_hosts().formats)
    record = next(one for one in table.records if one["runtime"] == "toy-once")
    assert record["repeated"] == [
        {"way": "again", "samples": 50, "differing": 50, "largest": again.largest, "scale": again.scale}
    ]
    assert "other outputs for 50 of 50 samples" in RENDERINGS["markdown"](table)

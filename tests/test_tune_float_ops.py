"""The search of `quantlab tune` over what stays in float: its steps, and what it finds."""

import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shard_engines import Carried, engine_of, registries_with
from study_fixtures import Heard
from test_sensitivity_of_onnx import write_model as write_matmuls
from toy_format.study import WITH_TUNED_TOY, write_model, write_samples

from quantlab.errors import QuantlabError, UsageError
from quantlab.registries import Registries
from quantlab.store import Store
from quantlab.study import AnalyzeOptions, ShardOptions, TuneOptions, tune
from quantlab.study.tuning.acceptance import Goal, Measured, figure_of
from quantlab.study.tuning.float_ops import ladder, next_number, ordered_ops
from quantlab.types import Budget, Setting
from quantlab_converters import Part
from quantlab_converters.float_layers import entry_of

# Its steps

STEM = Part("net/stem", ("kernel",), ("stem", "stem_relu"), 100)
HEAD = Part("net/head", ("other",), ("head",), 4000)
SOFTMAX = Part("net/softmax", (), ("head",))


@pytest.mark.parametrize(
    ("errors", "bits", "expected"),
    [
        pytest.param({STEM: 1.0, HEAD: 2.0}, 8, [STEM, HEAD], id="the larger error of many bytes is later"),
        pytest.param({STEM: 1.0, HEAD: 20.0}, 8, [HEAD, STEM], id="unless it is larger by more than the bytes"),
        pytest.param({HEAD: 1.0, SOFTMAX: 0.1}, 8, [SOFTMAX, HEAD], id="an op without weights costs little"),
        pytest.param({STEM: 1.0, SOFTMAX: 0.01}, 8, [STEM, SOFTMAX], id="and is not free"),
        pytest.param({STEM: 0.0, SOFTMAX: 0.1}, 8, [SOFTMAX], id="an op without an error stays quantized"),
        pytest.param({STEM: 1e-3, HEAD: math.inf}, 8, [HEAD, STEM], id="an output that is not finite"),
        pytest.param({}, 8, [], id="nothing was measured"),
    ],
)
def test_the_order_of_ops(errors, bits, expected):
    assert ordered_ops(errors, bits) == expected


@given(st.integers(0, 2000))
def test_the_numbers_of_ops(most):
    steps = ladder(most)
    assert steps == sorted(set(steps))
    assert steps[-1:] == ([most] if most else [])
    assert all(later <= max(2 * step, step + 1) for step, later in pairwise(steps))


def tries(most: int, least: int, size: Callable[[int], int]) -> dict[int, int | None]:
    """All that is tried if `least` ops are needed."""
    tried: dict[int, int | None] = {}
    while (number := next_number(tried, ladder(most))) is not None:
        assert number not in tried
        tried[number] = size(number) if number >= least else None
    return tried


@given(st.integers(1, 600), st.data())
def test_the_least_number_that_fits_is_found(most, data):
    least = data.draw(st.integers(1, most + 1))  # with most + 1 none does
    tried = tries(most, least, lambda number: 1000 + number)
    assert min((number for number, size in tried.items() if size is not None), default=most + 1) == least
    assert len(tried) <= len(ladder(most)) + math.log2(most) + 1


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param(lambda number: 1000 + number, [1, 2, 3, 4, 5, 6], id="more ops are larger"),
        pytest.param(lambda number: 1000 - number, [1, 2, 3, 4, 5, 6, 8, 12, 16, 20], id="more ops are smaller"),
        pytest.param(lambda number: abs(number - 9), [1, 2, 3, 4, 5, 6, 8, 12], id="smaller up to some number"),
    ],
)
def test_more_ops_are_tried_while_that_makes_it_smaller(size, expected):
    assert sorted(tries(20, 5, size)) == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        pytest.param(STEM, "stem:float16", id="a layer"),
        pytest.param(HEAD, "net/head:float16", id="a layer with two ops"),
        pytest.param(SOFTMAX, "net/softmax", id="without weights"),
        pytest.param(Part("net/a", ("w",), ("a,b",), 1), "a?b:float16", id="a comma in the name"),
        pytest.param(Part("net/b", ("w",), ("x[1]",), 1), "x[1]:float16", id="brackets in the name"),
        pytest.param(Part("net/c:0", (), ()), "net/c:0", id="no layer"),
        pytest.param(Part("head", (), ("head",), op="net/last"), "net/last", id="a tensor with the name of a layer"),
        pytest.param(Part("head", (), ("head",)), "head", id="nothing tells it apart"),
    ],
)
def test_the_entry_of_an_op(part, expected):
    parts = tuple(dict.fromkeys([STEM, HEAD, SOFTMAX, part]))
    assert entry_of(part, parts) == expected


# What is compared


def measured(name: str, error: float, **changed) -> Measured:
    values = {"size_bytes": 1000, "n": 1000, "changed": 10, "squared_error": 1e-4}
    return Measured(**{"name": name, "error": error, **values, **changed})


FINITE = measured("float32", 0.0, changed=0, squared_error=0.0)
QUANTIZED_SOFTMAX = measured("int8", math.inf)
BROKEN = measured("broken", math.inf, squared_error=math.inf, changed=900)


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        pytest.param([FINITE, measured("int8", 0.25)], [0.0, 0.25], id="divergences"),
        pytest.param([FINITE, QUANTIZED_SOFTMAX], [0.0, 1e-4], id="a class with the probability 0"),
        pytest.param([measured("a", 0.25), BROKEN], [0.25, math.inf], id="an output that is not finite"),
        pytest.param([QUANTIZED_SOFTMAX, BROKEN], [1e-4, math.inf], id="both"),
    ],
)
def test_the_error_of_candidates(candidates, expected):
    figure = figure_of(candidates)
    assert [figure(one) for one in candidates] == expected
    judged = {one.name: one for one in Goal(Budget(min_agreement="97%"), 2000).judged(candidates)}
    assert [judged[one.name].error for one in candidates] == expected
    assert [judged[one.name].fits for one in candidates] == [math.isfinite(error) for error in expected]


# A format of this test


@pytest.fixture(scope="module")
def one_dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one-dense")
    write_model(folder / "one_dense.onnx")
    write_samples(folder / "samples.npz")
    return folder


OPTIONS = AnalyzeOptions(runtimes=("python",), layers=False, costs=False, download_sizes=False)


def tuned_toy(
    one_dense, out, budget, *, registries=WITH_TUNED_TOY, minutes=10.0, settings=("toy-int8",), progress=None
):
    return tune(
        one_dense / "one_dense.onnx",
        data=f"{one_dense / 'samples.npz'}",
        search=TuneOptions(budget, minutes),
        options=replace(OPTIONS, settings=settings, out=out),
        progress=progress,
        registries=registries,
    )


@pytest.mark.starts_children
def test_what_stays_in_float_is_found_and_measured(one_dense, tmp_path):
    tuned = tuned_toy(one_dense, tmp_path / "toy.study", Budget(min_sqnr=("50dB",)))
    decided = tuned.tuning.formats["toy"]
    assert [(one.name, one.fits, one.official) for one in decided.candidates] == [
        ("toy-float32", True, True),
        ("toy-int8, 1 op in float", True, False),
        ("toy-int8", False, True),
    ]
    assert (decided.chosen, decided.setting, decided.float_layers, decided.finished) == (
        "toy-int8, 1 op in float",
        "toy-int8",
        ("dense:float16",),
        True,
    )
    row = next(trial for trial in tuned.study.trials if trial.setting == "toy-tuned")
    assert row.variant.gzip_bytes == next(one.size_bytes for one in decided.candidates if one.name == decided.chosen)
    assert row.variant.float_layers == ("dense:float16",)
    assert row.variant.weights == {"float16": 72, "float32": 12}


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("budget", "chosen", "fits"),
    [
        pytest.param(Budget(min_sqnr=("10dB",)), "toy-int8", True, id="a setting fits"),
        pytest.param(Budget(min_sqnr=("10dB",), max_size="1KB"), "toy-int8", True, id="and is small enough"),
        pytest.param(Budget(min_sqnr=("200dB",)), "toy-int8", False, id="nothing fits"),
        pytest.param(Budget(min_sqnr=("10dB",), max_size=10), "toy-int8", False, id="nothing is small enough"),
    ],
)
def test_nothing_smaller(one_dense, tmp_path, budget, chosen, fits):
    tuned = tuned_toy(one_dense, tmp_path / "toy.study", budget)
    decided = tuned.tuning.formats["toy"]
    assert (decided.chosen, decided.setting, decided.float_layers) == (chosen, chosen, ())
    assert next(one.fits for one in decided.candidates if one.name == chosen) is fits
    assert [trial.setting for trial in tuned.study.trials] == ["toy-float32", "toy-int8"]


@pytest.mark.starts_children
def test_no_time(one_dense, tmp_path):
    tuned = tuned_toy(one_dense, tmp_path / "toy.study", Budget(min_sqnr=("50dB",)), minutes=1e-6)
    decided = tuned.tuning.formats["toy"]
    assert (decided.chosen, decided.finished, len(decided.candidates)) == ("toy-float32", False, 2)
    assert decided.note.startswith("toy: time was over before the search ended, so this is the best so far; nothing ")


def other_format(registries: Registries) -> Registries:
    """A second format, which does not say what stays in float."""
    toy = registries.formats["toy"]
    settings = (Setting("plain-float32", "plain", "float32", "a toy"), Setting("plain-int8", "plain", "int8", "a toy"))
    return replace(
        registries,
        formats={**registries.formats, "plain": replace(toy, name="plain", settings=settings)},
        converters={**registries.converters, "plain": replace(registries.converters["toy"], parts=None)},
    )


@pytest.mark.starts_children
def test_a_format_in_which_nothing_can_be_chosen_is_compared(one_dense, tmp_path):
    both = other_format(WITH_TUNED_TOY)
    budget = Budget(min_sqnr=("50dB",))
    tuned = tuned_toy(one_dense, tmp_path / "a.study", budget, registries=both, settings=("toy-int8", "plain-int8"))
    assert list(tuned.tuning.formats) == ["toy", "plain"]
    decided = tuned.tuning.formats["plain"]
    assert (decided.chosen, decided.own, len(decided.candidates)) == ("plain-float32", False, 2)
    assert "only its settings are compared, because nothing else can be chosen in it" in decided.note
    with pytest.raises(UsageError) as refused:
        tuned_toy(one_dense, tmp_path / "b.study", budget, registries=both, settings=("plain-int8",))
    assert str(refused.value) == (
        "nothing can be chosen in artifacts of plain but their setting; choose settings of toy, or compare settings "
        "with 'quantlab recommend'"
    )


@pytest.mark.starts_children
def test_a_format_that_cannot_be_converted_is_left_out(one_dense, tmp_path):
    """Its reason is said; if there is no other format, it is the error."""
    both = other_format(WITH_TUNED_TOY)
    fails = replace(both.converters["plain"], convert="toy_format.conversion:refuse", parts=lambda _: ())
    registries = replace(both, converters={**both.converters, "plain": fails})
    heard, budget = Heard(), Budget(min_sqnr=("50dB",))
    names = ("toy-int8", "plain-int8")
    tuned = tuned_toy(one_dense, tmp_path / "a.study", budget, registries=registries, settings=names, progress=heard)
    assert list(tuned.tuning.formats) == ["toy"]
    reason = "plain cannot be tuned, because of its float32 artifact: nothing is converted today; come again"
    assert heard.warnings == [reason]
    with pytest.raises(QuantlabError) as failed:
        tuned_toy(one_dense, tmp_path / "b.study", budget, registries=registries, settings=("plain-int8",))
    assert str(failed.value) == reason


@pytest.mark.starts_children
def test_a_model_without_known_ops(one_dense, tmp_path):
    none = replace(WITH_TUNED_TOY.converters["toy"], parts=lambda _: ())
    registries = replace(WITH_TUNED_TOY, converters={"toy": none})
    tuned = tuned_toy(one_dense, tmp_path / "toy.study", Budget(min_sqnr=("50dB",)), registries=registries)
    assert tuned.tuning.formats["toy"].chosen == "toy-float32"
    assert "none of the model's ops can be kept in float" in tuned.notes[0]


# ONNX


@pytest.fixture(scope="module")
def matmuls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight nodes, of which six have weights."""
    return write_matmuls(tmp_path_factory.mktemp("matmuls") / "model.onnx", more=3)


BUDGET = Budget(min_sqnr=("45dB",), allow_poor_reference=True)


def tuned_matmuls(matmuls, out, progress=None, minutes=10.0):
    return tune(
        matmuls,
        data=f"{matmuls.with_suffix('.npz')}",
        search=TuneOptions(BUDGET, minutes),
        options=replace(OPTIONS, settings=("onnx-dynamic",), out=out),
        progress=progress,
    )


@pytest.fixture(scope="module")
def whole(matmuls, tmp_path_factory):
    """A search that nothing stopped."""
    out = tmp_path_factory.mktemp("whole") / "model.study"
    heard = Heard()
    tuned = tuned_matmuls(matmuls, out, heard)
    return tuned, out, heard


@pytest.mark.starts_children
def test_the_smallest_that_fits_is_chosen(whole):
    tuned, _, _ = whole
    decided = tuned.tuning.formats["onnx"]
    kept = [one for one in decided.candidates if not one.official]
    fitting = [one for one in kept if one.fits]
    assert decided.chosen == min(fitting, key=lambda one: one.size_bytes).name
    number = len(decided.float_layers)
    assert decided.chosen == f"onnx-dynamic, {number} ops in float"
    assert sum(one.name.startswith(f"onnx-dynamic, {number - 1} ops in float") for one in kept) == number, (
        "each of them is quantized again"
    )
    row = next(trial for trial in tuned.study.trials if trial.setting == "onnx-tuned")
    chosen = next(one for one in decided.candidates if one.name == decided.chosen)
    # tf2onnx names equal constants differently in each conversion.
    assert row.variant.gzip_bytes == pytest.approx(chosen.size_bytes, rel=0.01)


@pytest.mark.starts_children
def test_the_table_is_run_in_shards_and_the_search_is_not(whole, matmuls, tmp_path):
    tuned, out, _ = whole
    shutil.copytree(out, tmp_path / "model.study")
    shutil.rmtree(tmp_path / "model.study" / "outputs")
    carried = Carried()
    cut = ShardOptions(shards=2, engine="threads")
    again = tune(
        matmuls,
        data=f"{matmuls.with_suffix('.npz')}",
        search=TuneOptions(BUDGET, 10.0),
        options=replace(OPTIONS, settings=("onnx-dynamic",), out=tmp_path / "model.study", sharding=cut),
        registries=registries_with(engine_of(carried)),
    )
    assert again.tuning == tuned.tuning
    asked = [document["job"] for document in carried.documents]  # the reference's outputs are kept
    assert {Path(job["artifact"]).parents[2].name for job in asked} == {trial.setting for trial in tuned.study.trials}
    assert {job["stop"] for job in asked} == {tuned.study.samples.n}  # less than a batch, so one shard
    for before, after in zip(tuned.study.trials, again.study.trials, strict=True):
        assert [path.read_bytes() for path in before.outputs.values()] == [
            path.read_bytes() for path in after.outputs.values()
        ]


class _Killed(BaseException):
    """Stands for a process that ends at once."""


class _KilledAt(Heard):
    """A progress in which something ends the process after some ops or candidates."""

    def __init__(self, step: str, times: int) -> None:
        super().__init__()
        self.step, self.times = step, times

    def advance(self, step: str, samples: int) -> None:
        super().advance(step, samples)
        if step.startswith(self.step) and self.samples[step] == self.times:
            raise _Killed


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("step", "times"),
    [
        pytest.param("quantize one op at a time", 2, id="while ops are measured"),
        pytest.param("keep ops of", 1, id="after the first candidate"),
        pytest.param("keep ops of", 3, id="after the third candidate"),
        pytest.param("quantize ops of", 2, id="while ops are quantized again"),
    ],
)
def test_a_killed_search_goes_on_to_the_same_decisions(matmuls, whole, tmp_path, step, times):
    tuned, _, _ = whole
    out = tmp_path / "model.study"
    with pytest.raises(_Killed):
        tuned_matmuls(matmuls, out, _KilledAt(step, times))
    assert not (out / "tune.json").is_file()
    kept = {path: path.stat().st_mtime_ns for part in ("sensitivity", "tune") for path in (out / part).rglob("*.json")}
    assert kept
    again = tuned_matmuls(matmuls, out)
    assert again.tuning.formats == tuned.tuning.formats
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    artifacts = [
        next(one.variant for one in each.study.trials if one.setting == "onnx-tuned") for each in (again, tuned)
    ]
    assert artifacts[0].sha256 == artifacts[1].sha256
    assert list((out / "work" / "tune").glob("*")) == []


@pytest.mark.starts_children
def test_what_is_kept_is_not_measured_again(matmuls, whole):
    tuned, out, first = whole
    heard = Heard()
    again = tuned_matmuls(matmuls, out, heard)
    assert again.tuning.formats == tuned.tuning.formats
    assert "quantize one op at a time as onnx-dynamic" in first.ended
    assert "quantize one op at a time as onnx-dynamic" not in heard.ended


class _Slow(Heard):
    """A progress in which the first candidate takes longer than the search may."""

    def advance(self, step: str, samples: int) -> None:
        super().advance(step, samples)
        if step.startswith("keep ops of"):
            time.sleep(60 * MINUTES)


MINUTES = 0.05


@pytest.mark.starts_children
def test_the_best_so_far_if_time_is_over(matmuls, whole, tmp_path):
    tuned, folder, _ = whole
    out = shutil.copytree(folder, tmp_path / "model.study")
    ended = tuned_matmuls(matmuls, out, _Slow(), MINUTES).tuning.formats["onnx"]
    everything = tuned.tuning.formats["onnx"]
    assert (ended.finished, everything.finished) == (False, True)
    assert len(ended.candidates) < len(everything.candidates)
    assert ended.chosen in {one.name for one in ended.candidates}
    assert "time was over before the search ended" in ended.note


# Keras models


@pytest.mark.starts_children
@pytest.mark.parametrize("setting", ["tflite-int8", "onnx-int8"])
def test_an_uneven_model_is_saved_by_few_ops(cause_models, tmp_path, setting):
    """int8 activations spoil a depthwise convolution whose channels differ; its softmax gives classes 0."""
    tuned = tune(
        cause_models / "uneven.keras",
        data=f"{cause_models / 'uneven.npz'}",
        search=TuneOptions(Budget(min_agreement="95%")),
        options=replace(OPTIONS, settings=(setting,), out=tmp_path / "uneven.study"),
    )
    (decided,) = tuned.tuning.formats.values()
    by_name = {one.name: one for one in decided.candidates}
    base, chosen = by_name[setting], by_name[decided.chosen]
    assert decided.setting == setting
    assert (base.fits, chosen.fits) == (False, True)
    assert math.isfinite(base.error)
    assert chosen.changed < base.changed / 2
    assert chosen.size_bytes < by_name[f"{setting.partition('-')[0]}-float32"].size_bytes
    rows = {trial.setting: trial for trial in tuned.study.trials}
    # Made again by name, it is the file that was measured.
    assert rows[f"{setting.partition('-')[0]}-tuned"].variant.gzip_bytes == pytest.approx(chosen.size_bytes, rel=0.01)
    assert rows[f"{setting.partition('-')[0]}-tuned"].scores.agreement > rows[setting].scores.agreement
    written = json.loads((Store(tmp_path / "uneven.study").root / "tune.json").read_text())
    assert next(iter(written["formats"].values()))["float_layers"] == list(decided.float_layers)
    assert np.load(rows[setting].outputs[tuned.study.scored_output]).min() == 0

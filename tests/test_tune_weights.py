"""The search of a small graph, computed here: which weights become half floats, what is counted, and when it ends."""

import gzip
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfjs_graphs import node, write

from quantlab.formats.tfjs.artifact import list_weights
from quantlab.progress import Silent
from quantlab.study.tuning import workbench
from quantlab.study.tuning.acceptance import Goal, Measured
from quantlab.study.tuning.allocation import Way
from quantlab.study.tuning.halves import allowed_error, harmless
from quantlab.study.tuning.weights import WeightSearch
from quantlab.study.tuning.workbench import Workbench
from quantlab.types import Budget, KernelChoice
from quantlab_converters.tfjs_tuning import TunableGraph

FLOAT = {"T": {"type": "DT_FLOAT"}}
PRODUCT = {"transpose_a": {"b": False}, "transpose_b": {"b": False}, **FLOAT}
NODES = [
    node("product", "MatMul", "input", "matrix", **PRODUCT),
    node("biased", "BiasAdd", "product", "bias", **FLOAT),
    node("less", "Sub", "biased", "mean", **FLOAT),
    node("scaled", "Mul", "less", "scale", **FLOAT),
    node("again", "Mul", "scaled", "large", **FLOAT),
    node("relu", "Relu", "again", **FLOAT),
    node("classes", "MatMul", "relu", "last", **PRODUCT),
    node("result", "BiasAdd", "classes", "last_bias", **FLOAT),
]
N = 400


def weights_of(*, scale=1.0, mean=0.0):
    """A layer with two outputs that are normalized, as by a normalization that is not folded, and one of classes."""
    random = np.random.default_rng(3)
    made = {
        "matrix": random.normal(size=(24, 16)),
        "bias": random.normal(size=16) + mean,
        "mean": np.full(16, mean),
        "scale": scale * random.uniform(0.5, 1, 16),
        "large": np.full(16, 1 / scale),
        "last": random.normal(size=(16, 8)),
        "last_bias": random.normal(size=8),
    }
    return {name: values.astype(np.float32) for name, values in made.items()}


IMAGES = (np.random.default_rng(4).normal(size=(N, 24)) @ np.random.default_rng(5).normal(size=(24, 24)) / 5).astype(
    "f"
)


def outputs_of(weights):
    hidden = (IMAGES @ weights["matrix"] + weights["bias"] - weights["mean"]) * weights["scale"] * weights["large"]
    logits = np.maximum(hidden, 0) @ weights["last"] + weights["last_bias"]
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return hidden, powers / powers.sum(axis=1, keepdims=True)


class Bench:
    """Measures what is written, by the weights that a reader of the artifact lists."""

    def __init__(self, folder, expected):
        self.context = SimpleNamespace(progress=Heard(), store=SimpleNamespace(work=folder))
        self.float32 = SimpleNamespace(format="tfjs")
        self.target = SimpleNamespace(transfer="gzip_bytes")
        self.run_seconds = 0.0
        self.expected = expected
        self.measured = {}

    @property
    def names(self):
        return [one.name for one in self.measured.values()]

    def kept(self, key, name):
        return replace(self.measured[key], name=name) if key in self.measured else None

    def measure(self, name, key, folder, *, swapped):
        assert {weight.name for weight in list_weights(folder)} >= set(swapped)
        found = outputs_of({weight.name: weight.values for weight in list_weights(folder)})[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            divergence = (self.expected * np.log(self.expected / found)).sum(axis=1).mean()
        changed = int((found.argmax(axis=1) != self.expected.argmax(axis=1)).sum())
        squared = float(((found - self.expected) ** 2).mean())
        size = sum(len(gzip.compress(file.read_bytes(), 9)) for file in folder.iterdir())
        error = max(float(divergence), 0.0)
        self.measured[key] = Measured(name, size, N, error, changed, None, 20.0, squared_error=squared)
        return self.measured[key]


class Heard(Silent):
    def __init__(self):
        self.warned, self.ended = [], {}

    def warn(self, text):
        self.warned.append(text)

    def end(self, step, outcome):
        self.ended[step] = outcome


SETTING = Measured("setting", 10_000, N, 1e-12, 0, None, 100.0, official=True, squared_error=1e-12)


def search(folder, *, seconds=1e6, summed=True, official=SETTING, **weights):
    made = weights_of(**weights)
    graph = TunableGraph.open(write(folder / "float32", NODES, made, ("input",)))
    hidden, expected = outputs_of(made)
    values = {"input": IMAGES, "relu": np.maximum(hidden, 0)}
    sums = graph.sums_of(values, {name: float(one.max()) for name, one in values.items()}) if summed else {}
    began = workbench.time.monotonic()
    work = Workbench(Bench(folder / "work", expected), graph, sums, began + seconds, began)
    return WeightSearch(work, Goal(Budget(min_agreement="97%"), 5000), [official])


# Half floats


@pytest.mark.parametrize(
    ("weights", "spoiled"),
    [
        pytest.param({}, set(), id="none that half floats harm"),
        pytest.param({"scale": 1e-9}, {"scale"}, id="a scale that becomes 0"),
        pytest.param({"mean": 50_001.0}, {"mean", "bias"}, id="a mean that becomes another number"),
    ],
)
def test_weights_that_half_floats_spoil_stay_float32(weights, spoiled, tmp_path):
    tried = search(tmp_path, **weights)
    decided = tried.run()
    assert decided.own
    every = {"bias", "mean", "scale", "last_bias", *({"large"} if not weights.get("scale") else ())}
    assert set(decided.weights.halves) & every == every - spoiled
    chosen = next(one for one in decided.candidates if one.name == decided.chosen)
    assert chosen.fits
    assert chosen.error < 0.05
    alone = [name for name in tried.work.bench.names if name.endswith(" alone")]
    named = {one.name for one in decided.candidates}
    besides = {name for name in tried.work.bench.names if name not in named and name not in alone}
    assert decided.single_decisions >= len(besides) > 0  # the same artifact may answer two questions
    ratios = [one.error / one.summed_error for one in decided.candidates if one.summed_error and one.error < 0.01]
    assert len(ratios) > 2
    assert all(0.2 < ratio < 5 for ratio in ratios)  # single errors nearly add up
    halved = [name for name in tried.work.bench.names if "half floats" in name]
    assert len(halved) == 1 if not spoiled else 1 < len(halved) < 9


def test_sensitivities_are_in_the_figure_of_the_candidates(tmp_path):
    """A setting that gives a class the probability 0 has an infinite divergence, so squared errors are compared."""
    tried = search(tmp_path, official=replace(SETTING, error=math.inf))
    decided = tried.run()
    fine = [one for one in decided.candidates if one.summed_error and one.error < 1e-3]
    assert len(fine) > 2
    assert all(0.2 < one.error / one.summed_error < 5 for one in fine)
    assert {one.error for one in fine} <= {one.squared_error for one in tried.measured.values()}


def test_no_sum_is_told_of_kernels_of_which_something_was_taken_back(tmp_path):
    tried = search(tmp_path)
    decided = tried.run()
    later = [one for one in decided.candidates if "taken back" in one.name]
    told = {one.name: one.summed_error for one in decided.candidates}
    assert later
    assert all(told[one.name] is None for one in later)
    last = max((name for name, value in told.items() if value), key=list(tried.measured).index)
    assert list(tried.measured).index(last) < list(tried.measured).index(later[0].name)


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.sampled_from([0.0, 1e-5, 0.2, 5.0, math.inf])), min_size=1),
    st.floats(1e-3, 1),
)
def test_half_floats_make_no_larger_error_than_is_allowed(weights, allowed):
    sizes = {f"weight {place}": size for place, (size, _) in enumerate(weights)}
    errors = {f"weight {place}": error for place, (_, error) in enumerate(weights)}
    tried = []

    def errors_of(groups):
        tried.extend(groups)
        return [sum(errors[name] for name in group) for group in groups]

    chosen = harmless(sizes, errors_of, allowed)
    assert sum(errors[name] for name in chosen) <= allowed * (1 + 1e-9)
    assert len(set(tried)) == len(tried) < 2 * len(weights)
    assert all(name in chosen for name in sizes if not errors[name])
    assert sorted(chosen, key=list(sizes).index) == list(chosen)


def measured_with(name, error, changed):
    return Measured(name, 1000, N, error, changed, None, 30.0, squared_error=error)


@pytest.mark.parametrize(
    ("measured", "allowed"),
    [
        pytest.param([], 0.001 + 0.002, id="the most precise codes of all kernels"),
        pytest.param([measured_with("fine", 0.2, 4)], 0.05 * 0.2, id="a little of what keeps the budget"),
        pytest.param([measured_with("ruined", 9.0, 390), SETTING], 0.001 + 0.002, id="and not of what breaks it"),
    ],
)
def test_the_error_that_half_floats_may_make(measured, allowed):
    coded = KernelChoice(8, "channel", "nearest", False)
    ways = {
        "one": [(coded, Way(0.001, 9)), (replace(coded, bits=4), Way(0.1, 5)), (None, Way(0.0, 20))],
        "two": [(coded, Way(0.002, 9))],
        "never in codes": [(None, Way(0.0, 20))],
    }
    goal = Goal(Budget(min_agreement="97%"), 5000)
    assert allowed_error(ways, goal, measured) == pytest.approx(allowed)


def test_one_spoiled_weight_in_a_hundred_takes_few_measurements():
    tried = []

    def errors_of(groups):
        tried.extend(groups)
        return [float("weight 37" in group) for group in groups]

    sizes = {f"weight {place}": 10 for place in range(100)}
    assert set(harmless(sizes, errors_of, 0.5)) == set(sizes) - {"weight 37"}
    assert len(tried) <= 15
    assert harmless({}, errors_of, 0.5) == ()


def test_weights_that_no_time_is_left_for_stay_float32():
    sizes = {"one": 1, "other": 1}
    assert harmless(sizes, lambda groups: [None for _ in groups], 1.0) == ()
    errors = {("one", "other"): 1.2, ("one",): None, ("other",): 0.3}
    assert harmless(sizes, lambda groups: [errors[group] for group in groups], 1.0) == ("other",)


# Time


def test_a_search_without_time_tries_nothing(tmp_path):
    tried = search(tmp_path, seconds=-1.0)
    decided = tried.run()
    assert (decided.finished, decided.setting, tried.work.bench.measured) == (False, "setting", {})


class Clock:
    """A clock of which each kernel that is rounded and each artifact that is measured takes a second."""

    def __init__(self, monkeypatch):
        self.seconds = 0
        for kind, name in ((TunableGraph, "option"), (Bench, "measure")):
            monkeypatch.setattr(kind, name, self.timed(getattr(kind, name)))
        monkeypatch.setattr(workbench, "time", SimpleNamespace(monotonic=lambda: self.seconds))

    def timed(self, function):
        def measured(*given, **named):
            self.seconds += 1
            return function(*given, **named)

        return measured


@pytest.mark.parametrize("seconds", [2, 4, 8, 16, 24, 32, 40, 48])
def test_a_search_ends_wherever_its_time_ends(seconds, tmp_path, monkeypatch):
    """In whatever phase that is, no further kernel is rounded and no further artifact measured."""
    clock = Clock(monkeypatch)
    decided = search(tmp_path, seconds=seconds).run()
    assert not decided.finished
    assert clock.seconds <= seconds + 3  # two artifacts may be measured at once, and one more was about to be


def test_the_clock_of_a_whole_search(tmp_path, monkeypatch):
    clock = Clock(monkeypatch)
    assert search(tmp_path).run().finished
    assert clock.seconds > 48


def test_kernels_that_little_time_is_left_for_are_rounded_to_the_nearest_codes(tmp_path, monkeypatch):
    monkeypatch.setattr(workbench, "_GPTQ_TIME", -1.0)
    tried = search(tmp_path)
    decided = tried.run()
    assert decided.own
    assert not decided.finished
    assert {one.choice.rounding for one in decided.weights.kernels} == {"nearest"}
    (warned,) = tried.work.bench.context.progress.warned
    assert "of 2 kernels are rounded to the nearest codes and not by GPTQ; give more --budget-minutes" in warned


def test_kernels_without_sums_are_not_said_to_be_late(tmp_path):
    tried = search(tmp_path, summed=False)
    assert tried.run().finished
    assert tried.work.bench.context.progress.warned == []

"""Forms of a user's metric: of the set, of each sample, and of one sample; and what none of them may do."""

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

from quantlab.errors import UsageError
from quantlab.ragged import objects
from quantlab.statistics import CandidateSamples, ReferenceSamples, Resampling, paired_loss, paired_metric
from quantlab.statistics.paired.metrics import reference_value

pytestmark = pytest.mark.starts_children

MODULE = """
    import numpy as np

    calls = []

    def error(outputs, labels): return float(np.abs(outputs[:, 0] - labels).mean())
    def errors(outputs, labels): return np.abs(outputs[:, 0] - labels)
    def one_error(output, label): return abs(output[0] - label)
    def weighted(outputs, labels): return np.stack([np.abs(outputs[:, 0] - labels), np.ones(len(labels))], axis=1)
    def one_weighted(output, label): return abs(output[0] - label), 1
    def longest(outputs, truth): return [len(one) - output[0] for output, one in zip(outputs, truth)]
    def boxes(output, truth): return len(truth["boxes"]) + output[0]

    def random(outputs, labels): return float(np.random.default_rng().uniform())
    def counting(outputs, labels): calls.append(1); return np.full(len(outputs), float(len(calls)))
    def nothing(outputs, labels): return None
    def not_a_number(outputs, labels): return float("nan")
    def nan_of_one(outputs, labels): return np.where(np.arange(len(outputs)) == 3, np.nan, 1.0)
    def nan_of_variant(outputs, labels): return float("nan") if outputs.min() < 0 else 1.0
    def other_form(outputs, labels): return outputs[:, 0] if outputs.min() < 0 else 1.0
    def centred(outputs, labels): return outputs[:, 0] - outputs[:, 0].mean()
    def rounded(outputs, labels): return np.abs(outputs[:, 0] - labels) * (1 + 2e-7 * len(outputs))
    def below_zero(outputs, labels): return np.stack([labels, np.where(labels == 0.3, -1, 1)], axis=1)
    def infinite(outputs, labels): return np.stack([labels, np.where(labels == 0.3, np.inf, 1)], axis=1)
    def infinite_of_variant(outputs, labels):
        return np.stack([labels, np.where(np.isfinite(outputs[:, 0]) & (outputs[:, 0] > 0), 1, np.inf)], axis=1)
    def of_nothing(outputs, labels): return np.stack([labels, np.zeros(len(labels))], axis=1)
    def some_of_nothing(outputs, labels): return np.stack([labels, labels > 1], axis=1)
    def one_short(outputs, labels): return np.ones((len(labels) - 1, 2))
    def counted(outputs, labels):
        with open("calls", "a") as file: file.write(f"{len(labels)}\\n")
        return float(outputs.mean())
    def shape_by_sample(output, label): return 1.0 if label < 3 else (1.0, 2.0)
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("metric_forms.py").write_text(textwrap.dedent(MODULE))


def loss_of(name, labels=None, candidate=None):
    random = np.random.default_rng(0)
    outputs = np.abs(random.normal(size=(40, 1))) + 1
    labels = np.arange(40.0) / 10 if labels is None else labels
    known = ReferenceSamples.of(outputs, labels, task="metric", probabilities=False, classes=False)
    other = CandidateSamples.of(known, -outputs if candidate is None else candidate)
    return paired_loss(paired_metric(f"metric_forms:{name}"), known, other, Resampling(resamples=50))


def test_all_forms_of_a_mean_are_the_same_metric():
    losses = [
        loss_of(name)
        for name in (
            "error:lower",
            "errors:lower",
            "one_error:lower:sample",
            "weighted:lower",
            "one_weighted:lower:sample",
        )
    ]
    assert {round(loss.loss, 9) for loss in losses} == {round(losses[0].loss, 9)}
    # Numbers of samples are resampled here; a function of the set is called again, with its own jackknife.
    assert {(round(loss.lower, 9), round(loss.upper, 9)) for loss in losses[1:3]} == {
        (round(losses[1].lower, 9), round(losses[1].upper, 9))
    }
    assert losses[0].lower < losses[0].loss < losses[0].upper


def test_ground_truth_of_another_shape_comes_as_it_is():
    ragged = objects([np.arange(place % 4) for place in range(40)])
    values = objects([{"boxes": [[0, 0, 1, 1]] * (place % 4)} for place in range(40)])
    nothing = np.zeros((40, 1))
    assert loss_of("longest:higher", ragged, nothing).candidate == 1.5
    assert loss_of("boxes:higher:sample", values, nothing).candidate == 1.5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("random:lower", r"'metric_forms:random' gave 0\.\d+ and then 0\.\d+ for the same", id="random"),
        pytest.param(
            "counting:lower",
            "'metric_forms:counting' gave 1 for sample 0 and then 2 for sample 0 for the same outputs; remove",
            id="another number for each call",
        ),
        pytest.param(
            "nothing:lower",
            re.escape("'metric_forms:nothing' returned None; it must return one number for the set, or one or two"),
            id="None",
        ),
        pytest.param(
            "not_a_number:lower",
            "'metric_forms:not_a_number' returned NaN for the outputs of the model; return a number for every",
            id="NaN",
        ),
        pytest.param(
            "nan_of_one:lower",
            "'metric_forms:nan_of_one' returned NaN for sample 3 \\(counted from 0\\) for the outputs of the model",
            id="NaN for one sample",
        ),
        pytest.param(
            "nan_of_variant:lower",
            "'metric_forms:nan_of_variant' returned NaN for outputs of a variant that are finite",
            id="NaN for a variant",
        ),
        pytest.param(
            "other_form:lower",
            re.escape(
                "'metric_forms:other_form' returned one number for the outputs of the model, and an array of shape "
                "(40,) for those of a variant; return the same form for both"
            ),
            id="another form",
        ),
        pytest.param(
            "centred:lower",
            "'metric_forms:centred' returned a number for each sample that depends on the other samples",
            id="numbers that depend on others",
        ),
        pytest.param(
            "below_zero:lower",
            "'metric_forms:below_zero' returned the denominator -1 for sample 3 \\(counted from 0\\), in the "
            "outputs of the model; return finite numbers from 0$",
            id="a denominator below 0",
        ),
        pytest.param(
            "infinite:lower",
            "'metric_forms:infinite' returned the denominator inf for sample 3 \\(counted from 0\\), in the "
            "outputs of the model; return finite numbers from 0$",
            id="an infinite denominator",
        ),
        pytest.param(
            "infinite_of_variant:lower",
            "'metric_forms:infinite_of_variant' returned the denominator inf for sample 0 \\(counted from 0\\), in "
            "outputs of a variant; return finite numbers from 0$",
            id="an infinite denominator of a variant",
        ),
        pytest.param(
            "of_nothing:lower",
            "'metric_forms:of_nothing' returned the denominator 0 for every sample of the outputs of the model; return "
            "one above 0 for each sample that counts$",
            id="no denominator above 0",
        ),
        pytest.param(
            "one_short:lower",
            re.escape(
                "'metric_forms:one_short' returned an array of shape (39, 2); it must return one number for the set, "
                "or one or two for each of its 40 samples"
            )
            + "$",
            id="a sample too few",
        ),
        pytest.param(
            "shape_by_sample:lower:sample",
            re.escape("'metric_forms:shape_by_sample' returned an array of shape (2,) for sample 30; it must return"),
            id="two numbers for some samples",
        ),
    ],
)
def test_what_a_metric_must_not_do(name, message):
    with pytest.raises(UsageError, match=f"^the metric {message}"):
        loss_of(name)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("rounded:lower", id="sums that are rounded otherwise"),
        pytest.param("some_of_nothing:lower", id="samples without a denominator"),
    ],
)
def test_what_a_metric_may_do(name):
    assert np.isfinite(loss_of(name).loss)


def test_a_denominator_of_a_variant_that_is_nan_does_not_hide_an_error():
    outputs = np.ones((40, 1))
    outputs[7] = np.nan
    loss = loss_of("infinite_of_variant:lower", candidate=outputs)
    assert np.isnan(loss.candidate)
    assert (loss.lower, loss.upper) == (-np.inf, np.inf)


def test_the_reference_alone_is_called_for_twice():
    """Once more than its value needs, because a function that is random is refused."""
    outputs = np.ones((40, 1))
    known = ReferenceSamples.of(outputs, np.arange(40), task="metric", probabilities=False, classes=False)
    assert reference_value(paired_metric("metric_forms:counted:higher"), known) == 1
    assert Path("calls").read_text().split() == ["40", "40"]


def test_a_variant_of_nan_is_a_loss_and_no_error():
    loss = loss_of("error:lower", candidate=np.full((40, 1), np.nan))
    assert np.isnan(loss.loss)
    assert (loss.lower, loss.upper) == (-np.inf, np.inf)

"""A row whose scores cannot be computed: it fails alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
from study_fixtures import a_study

from quantlab.errors import StudyError, UsageError
from quantlab.samples.origins import FILES, INDICES
from quantlab.statistics import OddSample, PairedMetric, paired_metric
from quantlab.study.compare import Comparison
from quantlab.study.conversions import ConversionResult
from quantlab.study.task import Scoring
from quantlab.study.trial import RunResult
from quantlab.types import Failure, KeptOutputs, TensorSpec, Timing

LABELS = np.array([[1, 0], [0, 1]])
OUTPUTS = np.array([[1.0, -1], [-1, 1]])


def trial(place, metric, candidate=OUTPUTS, samples=None):
    """The row of a variant, scored by a metric."""
    kept = {}
    for name, outputs in (("reference", OUTPUTS), ("variant", candidate)):
        np.save(place / f"{name}.npy", outputs)
        kept[name] = KeptOutputs({"y": place / f"{name}.npy"}, "python", {}, Timing(2, 0.1))
    scoring = Scoring(TensorSpec("y", (None, 2), "float32"), "metric", LABELS, metric, samples=samples)
    comparison = Comparison.open(scoring, kept["reference"])
    assert comparison.of_reference().metric_value == 100
    conversion = ConversionResult("tfjs-uint8", None)
    return RunResult(conversion, "python", requested=True, kept=kept["variant"]).trial(comparison)


def refusing(error):
    """A metric of the set that refuses outputs other than those of the reference."""
    known = paired_metric("micro-f1")

    def compare(reference, candidate):
        if not np.array_equal(reference.outputs, candidate.outputs):
            raise error
        return known.compare(reference, candidate)

    return PairedMetric("own", "higher", "pt", "truth", compare)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(UsageError("the metric 'own' raised ZeroDivisionError"), id="a user's function that fails"),
        pytest.param(StudyError("the outputs are damaged"), id="outputs that cannot be read"),
        pytest.param(ValueError("the shapes differ"), id="outputs that cannot be compared"),
    ],
)
def test_a_metric_that_fails_for_one_variant_costs_its_row(tmp_path, error):
    row = trial(tmp_path, refusing(error), -OUTPUTS)
    assert row.failure == Failure(f"its outputs cannot be scored: {error}", "scoring")
    assert (row.scores, row.ran_on, list(row.outputs)) == (None, "python", ["y"])


def test_a_metric_that_fails_for_no_variant_scores_it(tmp_path):
    row = trial(tmp_path, refusing(UsageError("never raised")))
    assert row.failure is None
    assert (row.scores.metric, row.scores.metric_value, row.scores.metric_loss) == ("own", 100, 0)


@pytest.mark.parametrize(
    ("files", "named"),
    [
        pytest.param(None, "sample 80 (counted from 0) of 'x.npz'", id="a position in the source"),
        pytest.param(["3/a.png", "3/b.png"], "'3/b.png' in 'x.npz'", id="a file"),
    ],
)
def test_a_sample_that_a_metric_refuses_is_named_by_its_origin(tmp_path, files, named):
    samples = replace(a_study(tmp_path).samples, folder=tmp_path)
    np.save(tmp_path / INDICES, np.array([7, 80]))
    if files is not None:
        (tmp_path / FILES).write_text(json.dumps(files))
    row = trial(tmp_path, refusing(OddSample("NaN for", 1, "; correct it")), -OUTPUTS, samples)
    assert row.failure == Failure(f"its outputs cannot be scored: NaN for {named}; correct it", "scoring")

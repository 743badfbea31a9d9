"""Groups from the key to the verdict, on a model that runs in this process."""

import json
from pathlib import Path

import numpy as np
import pytest
from toy_format.study import CLASSES, INPUTS, kernel_and_bias, with_hosts, write_model

from quantlab.errors import QuantlabError, StudyError, UsageError
from quantlab.gate import judge
from quantlab.gate.judging import gather
from quantlab.samples import read_groups
from quantlab.store import Store
from quantlab.study import AnalyzeOptions, analyze
from quantlab.types import Budget
from quantlab_reports import RENDERINGS, Reports, Selection

pytestmark = pytest.mark.starts_children

DISTINCT = 100


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("groups") / "one_dense.onnx"
    write_model(path)
    return path


@pytest.fixture
def study(model, tmp_path):
    """Analyze samples with options of a test."""

    def run(arrays, **options):
        np.savez(tmp_path / "samples.npz", **arrays)
        asked = {"settings": ("toy-int8",), "layers": False, "costs": False, "download_sizes": False, **options}
        return analyze(
            model,
            data=str(tmp_path / "samples.npz"),
            options=AnalyzeOptions(out=tmp_path / "toy.study", **asked),
            registries=with_hosts(),
        )

    return run


def samples(distinct=DISTINCT, copies=1):
    kernel, bias = kernel_and_bias()
    x = np.random.default_rng(1).normal(size=(distinct, INPUTS)).astype(np.float32)
    x = np.repeat(x, copies, axis=0)
    return {"x": x, "y": (x @ kernel + bias).argmax(axis=1)}


def loss_of(study):
    judged = gather(study, Budget(max_accuracy_loss="5pt"), registries=with_hosts())
    return next(one.evidence.loss for one in judged.trials if one.evidence and one.trial.setting == "toy-int8")


def test_copies_are_told_and_count_as_one_with_a_group(study, tmp_path):
    alone = study(samples(copies=5))
    told = [warning for warning in alone.warnings if "copies of others" in warning]
    assert len(told) == 1
    assert "--group duplicates" in told[0]
    assert any("not scored" in warning for warning in alone.warnings)
    grouped = study(samples(copies=5), group="duplicates")
    assert not [warning for warning in grouped.warnings if "copies" in warning or "not scored" in warning]
    assert (grouped.samples.group_key, grouped.samples.groups) == ("duplicates", grouped.samples.n // 5)
    wide, narrow = loss_of(grouped), loss_of(alone)
    assert wide.groups == grouped.samples.groups
    assert narrow.groups is None
    assert wide.upper > narrow.upper
    duplicates = Store(tmp_path / "toy.study").read_duplicates()
    assert (duplicates.n, duplicates.equal) == (grouped.samples.n, grouped.samples.n * 4 // 5)
    shown = json.loads(Reports().show(Store(tmp_path / "toy.study"), "duplicates", "json", Selection(top=2)))
    rows = shown if isinstance(shown, list) else shown["rows"]
    assert len(rows) == 2
    assert rows[0]["equal"] is True
    pair = duplicates.pairs[0]
    for rendering in RENDERINGS:
        text = Reports().show(Store(tmp_path / "toy.study"), "duplicates", rendering, Selection(top=1))
        assert str(pair.sample) in text, rendering
        assert str(pair.of) in text, rendering


def test_samples_that_are_all_alike_are_scored_and_told(study):
    """A source of a single sample, again and again: nothing is left to score if none may equal a calibration sample."""
    alike = study({name: np.repeat(values, 200, axis=0) for name, values in samples(1).items()})
    assert alike.samples.n == 150
    assert [
        warning for warning in alike.warnings if "equal to calibration samples, byte by byte, and scored" in warning
    ]
    mixed = study(samples(40, copies=5))
    assert not [warning for warning in mixed.warnings if "and scored all the same" in warning]


def test_a_group_is_wholly_in_one_part(study):
    patients = np.repeat(np.arange(25), 8)
    found = study({**samples(200), "patient": patients}, group="patient", limit=100)
    parts = [np.load(part.folder / "indices.npy") for part in (found.samples, found.calibration)]
    scored, calibration = (set(patients[indices].tolist()) for indices in parts)
    assert not scored & calibration
    assert len(parts[0]) == 96
    assert all(np.isin(np.flatnonzero(patients == patient), parts[0]).all() for patient in scored)
    assert (found.samples.groups, found.samples.drawn) == (12, "random by group, seed 0")
    np.testing.assert_array_equal(patients[parts[0]], np.array(sorted(scored))[read_groups(found.samples)])
    longer = study({**samples(200), "patient": patients}, group="patient", limit=120)
    assert set(parts[0].tolist()) < set(np.load(longer.samples.folder / "indices.npy").tolist())


@pytest.mark.parametrize(
    ("key", "message"),
    [
        pytest.param("same", "gives all 200 samples", id="constant"),
        pytest.param("patiens", "has no array 'patiens' for --group; did you mean 'patient'", id="unknown"),
        pytest.param("x", "needs one number or text for each of 200 samples", id="the samples themselves"),
        pytest.param("meta.csv:site", "meta.csv", id="a table that is missing"),
    ],
)
def test_a_key_that_cannot_be_used(key, message, study):
    arrays = {**samples(200), "same": np.zeros(200, int), "patient": np.repeat(np.arange(25), 8)}
    with pytest.raises(QuantlabError, match=message.replace("'", ".")):
        study(arrays, group=key)


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        pytest.param(200, "into a group of its own, so it changes no bound", id="unique"),
        pytest.param(4, "groups (patient); the bounds are those of so few groups", id="few"),
    ],
)
def test_a_key_that_says_little(groups, words, study):
    found = study({**samples(200), "patient": np.repeat(np.arange(groups), 200 // groups)}, group="patient")
    assert any(words in warning for warning in found.warnings)


def test_unique_groups_change_nothing(study):
    arrays = {**samples(200), "patient": np.arange(200)}
    grouped = study(arrays, group="patient", limit=60)
    scored = np.load(grouped.samples.folder / "indices.npy")
    loss = loss_of(grouped)
    alone = study(arrays, limit=60)
    np.testing.assert_array_equal(scored, np.load(alone.samples.folder / "indices.npy"))
    assert grouped.samples.drawn == alone.samples.drawn == "stratified, seed 0"
    assert loss == loss_of(alone)


def test_few_groups_are_named_where_a_verdict_is_missing(study):
    found = study({**samples(200), "patient": np.repeat(np.arange(20), 10)}, group="patient")
    verdict = judge(found, Budget(max_accuracy_loss="1pt"), registries=with_hosts())
    reasons = [judgement.reason for one in verdict.settings for judgement in one.judgements]
    assert any("too few groups: 15 of at least 299" in reason for reason in reasons), reasons


def test_agreement_is_that_of_groups(study):
    found = study({**samples(200), "patient": np.repeat(np.arange(20), 10)}, group="patient")
    verdict = judge(found, Budget(min_agreement=99.0), registries=with_hosts())
    reasons = [judgement.reason for one in verdict.settings for judgement in one.judgements]
    assert any("too few groups" in reason and "same top-1 on at least" in reason for reason in reasons), reasons


def test_damaged_groups_are_refused(study):
    found = study({**samples(200), "patient": np.repeat(np.arange(20), 10)}, group="patient")
    np.save(found.samples.groups_file, np.arange(found.samples.n))
    with pytest.raises(StudyError, match="the groups of its samples are not those that were written"):
        judge(found, Budget(max_accuracy_loss="1pt"), registries=with_hosts())


def test_a_limit_below_the_smallest_group(study):
    with pytest.raises(UsageError, match="the smallest group"):
        study({**samples(200), "patient": np.repeat(np.arange(10), 20)}, group="patient", limit=10)


def test_what_calibrates_is_not_scored(study, tmp_path):
    arrays = samples(200)
    np.savez(tmp_path / "calibration.npz", x=arrays["x"][:30])
    found = study(arrays, calibration=str(tmp_path / "calibration.npz"))
    assert found.samples.n == 170
    assert np.load(found.samples.folder / "indices.npy").min() == 30
    assert any(
        "30 samples of" in warning and "byte by byte, and are not scored" in warning for warning in found.warnings
    )
    assert CLASSES == 3

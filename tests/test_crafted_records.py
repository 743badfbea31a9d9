"""Records that somebody wrote to make a gate pass: each is refused with its sentence, or judged as what it is."""

import json
from dataclasses import replace

import numpy as np
import pytest
from verdict_fixtures import answers, write_study

from quantlab.errors import StudyError, UsageError
from quantlab.gate import judge, read_lock
from quantlab.store import Store
from quantlab.types import Budget, Margin

N = 2_000
LABELS = np.arange(N) % 10
BUDGET = Budget(max_accuracy_loss="1pt", max_size="1MB")


def study_in(folder, **changed):
    outputs = {("tfjs-uint8", "python"): answers(LABELS), ("tfjs-uint8", "node-wasm"): answers(LABELS)}
    return write_study(folder, LABELS, answers(LABELS), outputs, **changed)


def first(study, **changes):
    """The study with its first trial changed."""
    return replace(study, trials=(replace(study.trials[0], **changes), *study.trials[1:]))


def of_variant(study, **changes):
    return first(study, variant=replace(study.trials[0].variant, **changes))


def complex_outputs(study):
    file = study.trials[0].outputs["output_0"]
    np.save(file, np.load(file).astype(np.complex64))
    return study


def objects(study):
    file = study.trials[0].outputs["output_0"]
    np.save(file, np.zeros(N, [("a", np.float32, (10,))]))
    return study


def changed_outputs(study):
    file = study.trials[0].outputs["output_0"]
    (file.parent / "outputs.json").write_text(json.dumps({"sha256": {"output_0": "0" * 64}}))
    return study


def spoiled_reference(study):
    file = study.reference.outputs["output_0"]
    values = np.load(file)
    values[:3] = np.nan
    np.save(file, values)
    return study


CANNOT = "the record of the study cannot be true: "


@pytest.mark.parametrize(
    ("craft", "reason"),
    [
        pytest.param(lambda study: study, None, id="a true record"),
        pytest.param(
            lambda study: replace(study, trials=(*study.trials, study.trials[0])),
            f"{CANNOT}it has 2 rows of tfjs-uint8 in python",
            id="a row twice",
        ),
        pytest.param(
            lambda study: of_variant(study, size_bytes=-5),
            f"{CANNOT}the artifact of tfjs-uint8 has size_bytes = -5",
            id="a negative size",
        ),
        pytest.param(
            lambda study: of_variant(study, gzip_bytes=0),
            f"{CANNOT}the artifact of tfjs-uint8 has gzip_bytes = 0",
            id="no size",
        ),
        pytest.param(
            lambda study: first(study, variant=None),
            f"{CANNOT}tfjs-uint8 in python was measured without an artifact",
            id="a row without an artifact",
        ),
        pytest.param(
            lambda study: first(study, outputs={}),
            f"{CANNOT}tfjs-uint8 in python has no file for the scored output 'output_0'",
            id="a row without outputs",
        ),
        pytest.param(
            complex_outputs,
            f"{CANNOT}the outputs of tfjs-uint8 in python have the data type complex64, which no runtime gives",
            id="complex outputs",
        ),
        pytest.param(
            lambda study: first(study, outputs=study.reference.outputs),
            f"{CANNOT}the outputs of tfjs-uint8 in python are the file of the model's own outputs",
            id="the reference's own outputs",
        ),
        pytest.param(
            lambda study: of_variant(study, sha256="f" * 64),
            f"{CANNOT}the rows of tfjs-uint8 have different artifacts",
            id="an artifact for each row",
        ),
        pytest.param(
            changed_outputs,
            f"{CANNOT}the outputs of tfjs-uint8 in python are not those that were written",
            id="outputs that were changed",
        ),
        pytest.param(objects, f"{CANNOT}the outputs of tfjs-uint8 in python have the data type ", id="structures"),
        pytest.param(
            spoiled_reference,
            "the model itself is NaN or infinite on 3 of 2,000 samples",
            id="a reference that is not finite",
        ),
        pytest.param(
            lambda study: replace(study, reference=replace(study.reference, outputs={})),
            "the study has no outputs of the model for 'output_0'",
            id="no reference",
        ),
        pytest.param(
            lambda study: replace(study, scored_output="another"),
            f"{CANNOT}tfjs-uint8 in python has no file for the scored output 'another'",
            id="another output than was scored",
        ),
        pytest.param(
            lambda study: replace(study, samples=replace(study.samples, n=0)),
            f"{CANNOT}it has 0 samples",
            id="no samples",
        ),
    ],
)
def test_a_record(craft, reason, tmp_path):
    Store(tmp_path).write_study(craft(study_in(tmp_path)))
    if reason is None:
        assert judge(tmp_path, BUDGET).fits
        return
    with pytest.raises(StudyError) as refused:
        judge(tmp_path, BUDGET)
    assert str(refused.value).startswith(reason)


@pytest.mark.parametrize("text", ["101pt", "1000%", "100.5 %"])
def test_a_margin_that_nothing_breaks(text):
    with pytest.raises(UsageError, match="is more than 100, so nothing could break it"):
        Margin.parse(text)


def lock(**changes):
    loss = {
        "metric": "top1",
        "unit": "pt",
        "n": 10,
        "reference": 90.0,
        "candidate": 90.0,
        "loss": 0.0,
        "lower": -1.0,
        "upper": 1.0,
        "confidence": 0.95,
    }
    setting = {"sha256": "a" * 64, "size_bytes": 10, "losses": {"python": {**loss, **changes}}}
    study = {"model_sha256": "b" * 64, "samples_sha256": "c" * 64, "settings": {"tfjs-uint8": setting}}
    return {"schema": 1, "budget": {}, "studies": {"digits": study}}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        pytest.param(lock(), None, id="accepted figures"),
        pytest.param(lock(upper="Infinity"), "are incomplete or damaged", id="an infinite figure"),
        pytest.param(lock(loss="NaN"), "are incomplete or damaged", id="no number"),
        pytest.param(lock() | {"studies": {}}, "name no setting", id="no study"),
        pytest.param(
            lock() | {"studies": {"digits": {"model_sha256": "", "samples_sha256": "", "settings": {}}}},
            "name no setting",
            id="no figures",
        ),
    ],
)
def test_accepted_figures(document, reason, tmp_path):
    path = tmp_path / "quantlab.lock"
    path.write_text(json.dumps(document))
    if reason is None:
        assert read_lock(path).studies
        return
    with pytest.raises(StudyError, match=reason):
        read_lock(path)

"""Records that were edited to make a gate pass: each is refused with a sentence, or judged correctly."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from verdict_fixtures import answers, record_outputs, write_study

from quantlab.errors import StudyError, UsageError
from quantlab.gate import judge, read_lock
from quantlab.store import Store
from quantlab.types import Budget, Failure, Margin

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


def of_both(study, **changes):
    """The study with the artifact of every row changed."""
    trials = [replace(trial, variant=replace(trial.variant, **changes)) for trial in study.trials]
    return replace(study, trials=tuple(trials))


def changed_outputs(study):
    np.save(study.trials[0].outputs["output_0"], answers(LABELS, np.arange(N) == 0))
    return study


def outputs_of_another_row(study):
    """Outputs and their record, of a row that gave others."""
    changed_outputs(study)
    place = study.trials[0].outputs["output_0"].parent
    shutil.copy(study.trials[1].outputs["output_0"].parent / "outputs.json", place / "outputs.json")
    return study


def unrecorded_outputs(study):
    (study.trials[0].outputs["output_0"].parent / "outputs.json").unlink()
    return study


def broken_record_of_outputs(study):
    (study.trials[0].outputs["output_0"].parent / "outputs.json").write_text('{"files": 5}')
    return study


def changed_reference(study):
    """The model's own outputs, as wrong as the row that is to fit."""
    np.save(study.reference.outputs["output_0"], answers(LABELS, np.arange(N) % 3 == 0))
    return study


def changed_labels(study):
    np.save(study.samples.labels_file, (LABELS + 1) % 10)
    return study


def fewer_labels(study):
    np.save(study.samples.labels_file, LABELS[:50])
    return replace(study, samples=replace(study.samples, labels_sha256=""))


def fewer_outputs(study):
    file = study.trials[0].outputs["output_0"]
    np.save(file, np.load(file)[: N // 2])
    return study


def cut_outputs(study):
    file = study.trials[0].outputs["output_0"]
    file.write_bytes(file.read_bytes()[:-100])
    return study


def other_shape(study):
    file = study.trials[0].outputs["output_0"]
    np.save(file, np.load(file)[:, :5])
    record_outputs(study.samples.folder.parent, file)
    return study


def spoiled_reference(study):
    file = study.reference.outputs["output_0"]
    values = np.load(file)
    values[:3] = np.nan
    np.save(file, values)
    record_outputs(study.samples.folder.parent, file)
    return study


CANNOT = "the record of the study 'crafted' cannot be true: "


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
        pytest.param(
            outputs_of_another_row,
            f"{CANNOT}the outputs of tfjs-uint8 in python are not those that were written",
            id="outputs with the record of another row",
        ),
        pytest.param(
            unrecorded_outputs,
            f"{CANNOT}the record of the outputs of tfjs-uint8 in python is missing or damaged",
            id="outputs without a record",
        ),
        pytest.param(
            broken_record_of_outputs,
            f"{CANNOT}the record of the outputs of tfjs-uint8 in python is missing or damaged",
            id="outputs with a broken record",
        ),
        pytest.param(
            changed_reference,
            f"{CANNOT}the outputs of the model itself are not those that were written",
            id="a reference that was changed",
        ),
        pytest.param(
            changed_labels,
            f"{CANNOT}the labels of its samples are not those that were written",
            id="labels that were changed",
        ),
        pytest.param(fewer_labels, "the outputs of the reference cannot be judged: ", id="fewer labels than outputs"),
        pytest.param(
            fewer_outputs,
            f"{CANNOT}the outputs of tfjs-uint8 in python are of 1,000 samples, and the study has 2,000",
            id="outputs of fewer samples",
        ),
        pytest.param(
            other_shape,
            "the outputs of tfjs-uint8 in python have the shape (2000, 5), and those of the reference (2000, 10)",
            id="outputs of another shape",
        ),
        pytest.param(cut_outputs, "the file '", id="outputs that were cut short"),
        pytest.param(
            lambda study: replace(study, samples=replace(study.samples, n=1_000)),
            f"{CANNOT}the outputs of the model itself are of 2,000 samples, and the study has 1,000",
            id="fewer samples than outputs",
        ),
        pytest.param(
            lambda study: of_variant(study, gzip_bytes=2**63),
            f"{CANNOT}the rows of tfjs-uint8 have artifacts of different sizes",
            id="a size for each row",
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
    folder = tmp_path / "crafted.study"
    Store(folder).write_study(craft(study_in(folder)))
    if reason is None:
        assert judge(folder, BUDGET).fits
        return
    with pytest.raises(StudyError) as refused:
        judge(folder, BUDGET)
    assert str(refused.value).startswith(reason)


def failed(study, **changes):
    """The study with its first row failed, as where nothing was converted."""
    failure = Failure("the converter lacks the op Foo", "conversion")
    return first(study, **{"variant": None, "outputs": {}, "scores": None, "failure": failure, **changes})


def wrong(study):
    """Outputs that are wrong for a third of the samples; figures that say that nothing is lost stay in the record."""
    file = study.trials[0].outputs["output_0"]
    np.save(file, answers(LABELS, np.arange(N) % 3 == 0))
    record_outputs(study.samples.folder.parent, file)
    return study


def not_finite(study):
    file = study.trials[0].outputs["output_0"]
    values = np.load(file)
    values[7] = np.nan
    np.save(file, values)
    record_outputs(study.samples.folder.parent, file)
    return study


SIZE = Budget(max_size="1MB")


@pytest.mark.parametrize(
    ("craft", "budget", "outcome"),
    [
        pytest.param(lambda study: study, BUDGET, "fits", id="a true record"),
        pytest.param(lambda study: study, SIZE, "fits", id="a true record under a size limit"),
        pytest.param(failed, SIZE, "breaks", id="a missing variant under a size limit"),
        pytest.param(lambda study: of_both(study, gzip_bytes=2**63), SIZE, "breaks", id="a huge size"),
        pytest.param(wrong, BUDGET, "breaks", id="scores that the outputs do not have"),
        pytest.param(not_finite, BUDGET, "breaks", id="an output that is not a number"),
        pytest.param(not_finite, SIZE, "breaks", id="an output that is not a number under a size limit"),
        pytest.param(
            lambda study: first(study, scores=replace(study.trials[0].scores, non_finite=10**9, top1=0.0)),
            BUDGET,
            "fits",
            id="bad scores of good outputs",
        ),
        pytest.param(
            lambda study: replace(study, seed=10**30, batch_size=-4), BUDGET, "fits", id="a seed that nothing needs"
        ),
    ],
)
def test_a_record_that_can_be_judged(craft, budget, outcome, tmp_path):
    Store(tmp_path).write_study(craft(study_in(tmp_path)))
    assert judge(tmp_path, budget).outcome == outcome


def test_rows_that_nobody_asked_for_count_for_nothing(tmp_path):
    study = study_in(tmp_path)
    unasked = tuple(replace(trial, requested=False) for trial in study.trials)
    Store(tmp_path).write_study(replace(study, trials=unasked))
    with pytest.raises(StudyError, match="has no row that was asked for, so there is nothing to judge"):
        judge(tmp_path, BUDGET)


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

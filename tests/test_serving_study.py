"""Studies in which a server runs the model: the signature of a SavedModel, and a stand-in for TensorFlow Serving."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process
from serving_stand_in import StandIn, serving

from quantlab.errors import UsageError
from quantlab.registries import REAL
from quantlab.store import Store
from quantlab.study import AnalyzeOptions, analyze
from quantlab.study.plan import make_plan
from quantlab.types import PYTHON

BATCH = 32


def planned(kind="Keras 3", **options):
    plan = make_plan(AnalyzeOptions(**options), kind)
    return sorted(plan.asked), [runtime.name for runtime in plan.runtimes]


def test_a_server_is_no_part_of_a_study_that_does_not_ask_for_it():
    settings, runtimes = planned()
    for asked in ({}, {"settings": ("all",)}, {"settings": ("*-float32",)}, {"runtimes": ("all",)}):
        names, _ = planned(**asked)
        assert "savedmodel-float32" not in names
    assert "tfjs-uint8" in settings
    assert runtimes == ["python", "node-wasm"]


@pytest.mark.parametrize(
    ("options", "settings", "runtimes"),
    [
        pytest.param(
            {"runtimes": ("serving-signature",)}, ["savedmodel-float32"], ["serving-signature"], id="a server's runtime"
        ),
        pytest.param(
            {"runtimes": ("serving-signature",), "settings": ("tfjs-uint8",)},
            ["tfjs-uint8"],
            ["serving-signature"],
            id="settings that are named",
        ),
        pytest.param(
            {"settings": ("savedmodel-float32", "tfjs-uint8"), "runtimes": ("python",)},
            ["savedmodel-float32", "tfjs-uint8"],
            ["python"],
            id="its name",
        ),
    ],
)
def test_what_is_planned(options, settings, runtimes):
    assert planned(**options) == (settings, runtimes)


def test_a_server_that_is_named_comes_to_the_default_settings():
    registries = REAL.at("http://localhost:8501/v1/models/half")
    plan = make_plan(AnalyzeOptions(), "Keras 3", registries)
    assert plan.asked > {"savedmodel-float32", "tfjs-uint8"}
    assert [runtime.name for runtime in plan.runtimes] == ["python", "node-wasm", "serving-rest"]
    alone = make_plan(AnalyzeOptions(runtimes=("serving-rest",)), "Keras 3", registries)
    assert (alone.asked, [runtime.name for runtime in alone.runtimes]) == ({"savedmodel-float32"}, ["serving-rest"])
    assert "savedmodel-float32" not in make_plan(AnalyzeOptions(), "ONNX", registries).asked


def test_settings_that_a_server_does_not_run(small_models, tmp_path):
    options = AnalyzeOptions(settings=("tfjs-uint8",), runtimes=("python", "serving-signature"), out=tmp_path / "s")
    with pytest.raises(UsageError) as refused:
        analyze(small_models["activations"].path, data="module:function", options=options)
    assert str(refused.value) == (
        "the runtime 'serving-signature' runs 'savedmodel-float32' only, and the settings are 'tfjs-uint8'; add "
        "savedmodel-float32 to --settings, or leave serving-signature out of --runtimes"
    )


def looked_up(files) -> StandIn:
    """A stand-in that answers with stored outputs, by the bytes of a sample."""
    ((name, samples),), ((output, values),) = files
    known = {row.tobytes(): value for row, value in zip(samples, values, strict=True)}

    def answer(inputs):
        return {output: np.stack([known[row.tobytes()] for row in inputs[name]])}

    return StandIn(answer, {name: samples.dtype.name})


def run(model: Path, data: Path, out: Path, *, runtimes=("serving-signature", "serving-rest"), **options):
    asked = AnalyzeOptions(
        runtimes=runtimes,
        batch_size=BATCH,
        layers=False,
        costs=False,
        out=out,
        **options,
    )
    return analyze(model, data=str(data), options=asked)


def row_of(study, runtime):
    return next(trial for trial in study.trials if trial.runtime == runtime)


def arrays_of(trial):
    return {name: np.load(file) for name, file in trial.outputs.items()}


pytestmark = pytest.mark.starts_children


@pytest.fixture(scope="module")
def kws(data_folder, tmp_path_factory) -> tuple[Path, Path, Path]:
    """The model, its samples and a study in which no server is named."""
    out = tmp_path_factory.mktemp("kws") / "kws.study"
    model, data = data_folder / "mlperf-tiny" / "kws_ref_model", data_folder / "kws01" / "kws01.npz"
    run(model, data, out, limit=100, runtimes=("serving-signature",))
    return model, data, out


def test_kws_gives_the_same_bits_by_its_signature_and_by_a_server(kws):
    model, data, out = kws
    before = Store(out).read_study()
    signature = row_of(before, "serving-signature")
    (samples,) = [np.load(before.samples.input_file(spec.name)) for spec in before.samples.inputs]
    stored = looked_up([[(before.samples.inputs[0].name, samples)], list(arrays_of(signature).items())])
    with serving(stored) as served:
        study = run(model, data, out, limit=100, serving=served.url)
    reference = arrays_of(study.reference)
    for runtime in (PYTHON, "serving-signature", "serving-rest"):
        trial = row_of(study, runtime)
        assert trial.ran_on == runtime
        for name, values in arrays_of(trial).items():
            assert values.tobytes() == reference[name].tobytes()
    rest = row_of(study, "serving-rest")
    assert (rest.max_abs_from_python, rest.different_from_python, rest.flips_from_python) == (0, 0, 0)
    assert rest.timing is None
    assert rest.environment["model_version"] == "1"
    assert [(one.way, one.samples, one.differing) for one in rest.repeated] == [
        ("again", BATCH, 0),
        ("alone", BATCH, 0),
        ("columns", BATCH, 0),
    ]
    assert study.parity == {"savedmodel": "ok: 0"}
    assert not [text for text in study.warnings if "the server" in text]
    assert [one.way for one in row_of(study, "serving-signature").repeated] == ["again", "alone"]


def test_a_server_with_another_model_differs_and_a_kept_answer_is_not_used(kws):
    model, data, out = kws
    samples = Store(out).read_study().samples
    (spec,) = samples.inputs
    values = np.load(samples.input_file(spec.name))
    constant = np.tile(np.float32([1, *[0] * 11]), (len(values), 1))
    ours = arrays_of(Store(out).read_study().reference)
    stored = looked_up([[(spec.name, values)], list(ours.items())])
    other = replace(stored, answer=lambda inputs: dict.fromkeys(ours, constant[: len(inputs[spec.name])]))
    flips, folders = [], []
    for stand_in in (stored, other):
        with serving(stand_in) as served:
            study = run(model, data, out, limit=100, serving=served.url)
        rest = row_of(study, "serving-rest")
        flips.append(rest.flips_from_python)
        folders.append([file.parent for file in rest.outputs.values()])
    assert flips[0] == 0
    assert flips[1] > 50
    (first,), (second,) = folders
    assert list(second.parent.iterdir()) == [second] != [first]


@pytest.mark.parametrize(
    ("expects", "words"),
    [
        pytest.param(lambda x: x * 255, "the same outputs for samples that are multiplied by 255", id="pixels"),
        pytest.param(lambda x: x * 3 + 7, "it serves another model or version, or its model prepares", id="neither"),
    ],
)
def test_a_server_that_expects_another_range_is_named(expects, words, kws):
    model, data, out = kws
    samples = Store(out).read_study().samples
    (spec,) = samples.inputs
    values = np.load(samples.input_file(spec.name))
    (name, outputs), *_ = arrays_of(Store(out).read_study().reference).items()
    known = expects(values).reshape(len(values), -1)

    def nearest(inputs):
        rows = inputs[spec.name].reshape(len(inputs[spec.name]), 1, -1)
        return {name: outputs[np.abs(rows - known).sum(axis=2).argmin(axis=1)]}

    with serving(StandIn(nearest, {spec.name: "float32"})) as served:
        study = run(model, data, out, limit=100, serving=served.url)
    (warning,) = [text for text in study.warnings if text.startswith("the server at ")]
    assert f"the server at {served.url} gives other outputs than savedmodel-float32 in Python, by up to " in warning
    assert words in warning


def test_a_server_that_answers_nan_where_the_model_does_not_has_failed(kws):
    model, data, out = kws
    samples = Store(out).read_study().samples
    (spec,) = samples.inputs
    values = np.load(samples.input_file(spec.name))
    ((name, outputs),) = arrays_of(Store(out).read_study().reference).items()
    spoiled = outputs.copy()
    spoiled[:, 3] = np.nan
    with serving(looked_up([[(spec.name, values)], [(name, spoiled)]])) as served:
        study = run(model, data, out, limit=100, serving=served.url)
    (row,) = [trial for trial in study.trials if trial.runtime == "serving-rest"]
    assert row.scores is None
    assert row.failure.reason == (
        f"the server at {served.url} answers NaN or infinity, where the model does not (100 values of 100 samples); "
        "see the log of the server, and whether it serves this model"
    )


def test_a_server_that_differs_behind_the_first_samples_is_named(kws):
    """Sources are often sorted by class, so the first samples say nothing about the others."""
    model, data, out = kws
    samples = Store(out).read_study().samples
    (spec,) = samples.inputs
    values = np.load(samples.input_file(spec.name))
    ((name, outputs),) = arrays_of(Store(out).read_study().reference).items()
    turned = np.concatenate([outputs[:64], outputs[64:, ::-1]])
    with serving(looked_up([[(spec.name, values)], [(name, turned)]])) as served:
        study = run(model, data, out, limit=100, serving=served.url)
    (warning,) = [text for text in study.warnings if text.startswith("the server at ")]
    assert "gives other outputs than savedmodel-float32 in Python, by up to " in warning


def test_the_command_line_asks_a_server(workbench, tmp_path):
    model = workbench.models["activations"]
    np.savez(tmp_path / "samples.npz", **model.inputs)
    (name, values), (output,) = next(iter(model.inputs.items())), model.outputs
    stand_in = looked_up([[(name, values)], [(workbench.opened("activations").description.outputs[0].name, output)]])
    analyze = ("analyze", model.path, "--data", tmp_path / "samples.npz", "--runtimes", "serving-rest")
    with serving(stand_in) as served:
        done = quantlab_in_process(
            *analyze,
            "--serving",
            served.url,
            "--no-layers",
            "--no-costs",
            "--out",
            tmp_path / "s",
            "--json",
            cwd=tmp_path,
        )
    assert done.status == 0, done.stderr
    rest = next(row for row in json.loads(done.stdout) if row["runtime"] == "serving-rest")
    assert (rest["status"], rest["environment"]["server"]) == ("measured", served.url)
    assert [one["way"] for one in rest["repeated"]] == ["again", "alone", "columns"]
    (tmp_path / "quantlab.toml").write_text('[analyze]\nserving = "localhost:8501"\n')
    for command in (analyze, ("check", *analyze[1:], "--max-accuracy-loss", "1pt")):
        assert quantlab_in_process(*command, cwd=tmp_path).last.startswith("quantlab: --serving localhost:8501 is not ")
    done = quantlab_in_process(*analyze, "--serving", "localhost:8501", cwd=tmp_path)
    assert done.status == 2
    assert done.last == (
        "quantlab: --serving localhost:8501 is not the address of a model of a server; write "
        "http://HOST:PORT/v1/models/NAME"
    )

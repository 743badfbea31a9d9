"""Studies in the form of other programs."""

import importlib.util
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from command_line import quantlab_in_process
from verdict_fixtures import answers, flipped, write_study

from quantlab.errors import StudyError, UsageError
from quantlab.store import Store
from quantlab.types import Budget, Inside, LayerRow
from quantlab_reports.exports import Asked, Written
from quantlab_reports.exports.mlflow import export_mlflow, open_mlflow
from quantlab_reports.exports.new_folder import new_folder
from quantlab_reports.subject import Subject

N = 2000
WORST = {"bgColor": "#b34700"}


def row(tensor, setting="tfjs-uint8", runtime="python", **changed):
    """An aligned tensor; its layer has another name."""
    values = {"sqnr_db": 31.0, "isolated_sqnr_db": 45.0, "max_abs": 0.25, "count": 10, **changed}
    return LayerRow(setting, runtime, "layer", tensor, "reference", True, None, 0, "Conv2D", "float32", **values)


ROWS = (
    row("net/stem", sqnr_db=float("inf"), isolated_sqnr_db=float("inf"), max_abs=0.0),
    row("net/head", sqnr_db=12.3456, isolated_sqnr_db=None, max_abs=0.123456),
    row("net/head", sqnr_db=1.0, channel=3),
    replace(row("net/head", sqnr_db=2.0), baseline="float32"),
    row("net/spoiled", sqnr_db=float("-inf"), max_abs=float("inf")),
    replace(row("net/other", sqnr_db=None, isolated_sqnr_db=None, max_abs=None), aligned=False, reason="folded"),
    row("net/stem", runtime="node-wasm", sqnr_db=50.0),
    row("a;b", setting="tflite-int8", runtime="node-wasm", isolated_sqnr_db=None),
    row("layer", setting="tfjs_layers-uint8"),
)


@pytest.fixture
def folder(tmp_path):
    """A study of three settings of three formats, with layers written by hand."""
    classes = np.arange(N) % 10
    settings = ("tfjs-uint8", "tflite-int8", "tfjs_layers-uint8")
    candidates = {(setting, "python"): answers(classes, flipped(N, [1, 2])) for setting in settings}
    candidates["tfjs-float16", "python"] = "it crashed"
    path = tmp_path / "digits.study"
    study = write_study(path, classes, answers(classes), candidates)
    store = Store(path)
    store.write_inside(Inside(ROWS, (), (), (), samples=10, drawn="all"))
    graph_model, tflite, *_ = (trial.variant.path for trial in study.trials)
    graph_model.mkdir(parents=True)
    (graph_model / "model.json").touch()
    tflite.parent.mkdir(parents=True)
    tflite.touch()
    return path


def exported(folder, tmp_path, *options):
    done = quantlab_in_process("export", "model-explorer", folder, "--out", "a.json", *options, cwd=tmp_path)
    assert done.status == 0, done.stderr
    return json.loads((tmp_path / "a.json").read_text()), done.stderr


@pytest.mark.parametrize(
    ("options", "name", "results"),
    [
        pytest.param(
            [],
            "tfjs-uint8 in python: SQNR dB",
            {
                "net/stem": {"value": "∞", "bgColor": "transparent"},
                "net/head": {"value": 12.35},
                "net/spoiled": {"value": "−∞", **WORST},
            },
            id="SQNR, of tensors that match",
        ),
        pytest.param(
            ["--figure", "isolated"],
            "tfjs-uint8 in python: isolated SQNR dB",
            {"net/stem": {"value": "∞", "bgColor": "transparent"}, "net/spoiled": {"value": 45.0}},
            id="isolated, where it was measured",
        ),
        pytest.param(
            ["--figure", "max"],
            "tfjs-uint8 in python: max abs error",
            {"net/stem": {"value": 0.0}, "net/head": {"value": 0.1235}, "net/spoiled": {"value": "∞", **WORST}},
            id="largest error, whose infinity is the worst",
        ),
        pytest.param(
            ["--runtime", "node-wasm"],
            "tfjs-uint8 in node-wasm: SQNR dB",
            {"net/stem": {"value": 50.0}},
            id="another runtime",
        ),
    ],
)
def test_node_data(options, name, results, folder, tmp_path):
    data, _ = exported(folder, tmp_path, "--setting", "tfjs-uint8", *options)
    assert (data["name"], data["results"]) == (name, results)


def test_noise_has_fixed_colours_and_errors_those_of_their_range(folder, tmp_path):
    noise, _ = exported(folder, tmp_path, "--setting", "tfjs-uint8")
    errors, _ = exported(folder, tmp_path, "--setting", "tfjs-uint8", "--figure", "max")
    assert [one["value"] for one in noise["thresholds"]] == [20, 40, 60]
    assert [one["stop"] for one in errors["gradient"]] == [0, 1]
    assert ("gradient" in noise, "thresholds" in errors) == (False, False)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        pytest.param(
            "tfjs-uint8",
            "3 of 4 tensors have a value; the others have no matching tensor in the model\n"
            "To open: model-explorer {artifact}/model.json --node_data_paths a.json\n",
            id="the JSON file of a graph-model",
        ),
        pytest.param(
            "tflite-int8",
            "1 of 1 tensor has a value\nTo open: model-explorer {artifact} --node_data_paths a.json\n",
            id="a TFLite file",
        ),
    ],
)
def test_how_to_open_it(setting, told, folder, tmp_path):
    _, said = exported(folder, tmp_path, "--setting", setting)
    artifact = next(trial.variant.path for trial in Store(folder).read_study().trials if trial.setting == setting)
    assert said == f"Node data written to 'a.json': {told.format(artifact=artifact)}"


def test_what_was_written_as_json(folder, tmp_path):
    words = ("--setting", "tfjs-uint8", "-o", "a.json", "--json")
    done = quantlab_in_process("export", "model-explorer", folder, *words, cwd=tmp_path)
    assert json.loads(done.stdout) == {"program": "model-explorer", "written": ["a.json"]}
    for command, file in (("report", "a.html"), ("plot", "a.svg")):
        named = ("pareto", folder) if command == "plot" else (folder,)
        done = quantlab_in_process(command, *named, "-o", file, "--json", cwd=tmp_path)
        assert json.loads(done.stdout) == {"written": file}


def test_an_overlay_is_written_over_and_nothing_else_is(folder, tmp_path):
    (tmp_path / "a.json").write_text('{"main": "notes"}')
    arguments = ("export", "model-explorer", folder, "--setting", "tfjs-uint8", "--out", "a.json")
    refused = quantlab_in_process(*arguments, cwd=tmp_path)
    message = "quantlab: 'a.json' exists and holds no node data for Model Explorer; name another file with --out"
    assert (refused.status, refused.last) == (2, message)
    assert (tmp_path / "a.json").read_text() == '{"main": "notes"}'
    (tmp_path / "a.json").unlink()
    assert [quantlab_in_process(*arguments, cwd=tmp_path).status for _ in range(2)] == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["model-explorr"],
            "there is no export for 'model-explorr'; did you mean 'model-explorer'?",
            id="no such program",
        ),
        pytest.param(
            ["model-explorer", "STUDY"],
            "no setting is named with --setting; choose from tfjs-uint8, tflite-int8, tfjs_layers-uint8",
            id="no setting",
        ),
        pytest.param(
            ["model-explorer", "STUDY", "--setting", "tfjs-uint9"],
            "no layers of 'tfjs-uint9' were compared; did you mean 'tfjs-uint8' or 'tfjs_layers-uint8'?",
            id="a setting without layers",
        ),
        pytest.param(
            ["model-explorer", "STUDY", "--setting", "tfjs-uint8", "--runtime", "node"],
            "no layers of 'tfjs-uint8' were compared in 'node'; did you mean 'node-wasm'?",
            id="a runtime without layers",
        ),
        pytest.param(
            ["model-explorer", "STUDY", "--setting", "tfjs-uint8", "--figure", "snr"],
            "there is no figure 'snr' to export; did you mean 'sqnr'?",
            id="no such figure",
        ),
        pytest.param(
            ["model-explorer", "STUDY", "--setting", "tflite-int8", "--figure", "isolated"],
            "'tflite-int8' in node-wasm has no isolated errors, which only variants that quantlab converted have; use "
            "--figure sqnr",
            id="no isolated errors",
        ),
        pytest.param(
            ["model-explorer", "STUDY", "--setting", "tfjs_layers-uint8"],
            "Model Explorer cannot show values in files of tfjs_layers, which 'tfjs_layers-uint8' is; choose from "
            "tfjs-uint8, tflite-int8, tfjs-float16",
            id="a format that it does not show",
        ),
        pytest.param(
            ["model-explorer", "STUDY", "--setting", "tfjs-uint8", "--max-size", "5KB", "--min-sqnr", "40dB"],
            "--max-size and --min-sqnr do not apply to 'model-explorer'; leave them out",
            id="a budget",
        ),
        pytest.param(
            ["model-explorer", "STUDY", "--setting", "tfjs-uint8", "--out", "nowhere/a.json"],
            "'nowhere/a.json' cannot be written (No such file or directory); name another file with --out",
            id="no such folder",
        ),
    ],
)
def test_what_cannot_be_exported(arguments, message, folder, tmp_path):
    words = [folder if word == "STUDY" else word for word in arguments]
    done = quantlab_in_process("export", *words, cwd=tmp_path)
    assert (done.status, done.stdout, done.stderr) == (2, "", f"quantlab: {message}\n")


def test_an_artifact_that_is_gone(folder, tmp_path):
    artifact = Store(folder).read_study().trials[1].variant.path
    artifact.unlink()
    done = quantlab_in_process("export", "model-explorer", folder, "--setting", "tflite-int8", cwd=tmp_path)
    message = f"'{artifact}', the artifact of 'tflite-int8', is gone; run 'quantlab analyze' again"
    assert (done.status, done.stderr) == (2, f"quantlab: {message}\n")


def test_a_study_without_layers(folder, tmp_path):
    (folder / "inside.json").unlink()
    done = quantlab_in_process("export", "model-explorer", folder, "--setting", "tfjs-uint8", cwd=tmp_path)
    assert (done.status, done.stderr) == (
        2,
        f"quantlab: the study '{folder}' has no layer comparison; run 'quantlab analyze' again without --no-layers\n",
    )


# MLflow


class Heard:
    """What a tracker was told."""

    def __init__(self, place, experiment):
        self.address, self.experiment = str(place), experiment
        self.runs, self.logged, self.files, self.ended = {}, {}, {}, {}

    def start(self, name, parent):
        self.runs[name] = parent
        return name

    def log(self, run, params, metrics, tags):
        self.logged[run] = (params, metrics, tags)

    def add(self, run, path, folder):
        self.files.setdefault(run, []).append((folder, path.name, path.read_text() if path.is_file() else ""))

    def end(self, run, *, failed):
        self.ended[run] = failed


@pytest.fixture
def artifacts(folder):
    """The folder of a study all of whose artifacts are there."""
    for trial in Store(folder).read_study().trials:
        if not trial.variant.path.exists():
            trial.variant.path.mkdir(parents=True)
    return folder


def logged(folder, budget=None):
    heard = []

    def opened(tracking, experiment):
        heard.append(Heard(tracking, experiment))
        return heard[0]

    told = export_mlflow(Subject.of(Store(folder), budget), Asked(tracking="runs"), opened)
    return heard[0], told


def test_a_run_for_each_trial_below_that_of_the_study(artifacts):
    heard, told = logged(artifacts)
    assert heard.experiment == "digits"
    assert heard.runs == {
        "digits": None,
        "reference in python": "digits",
        "tfjs-uint8 in python": "digits",
        "tflite-int8 in python": "digits",
        "tfjs_layers-uint8 in python": "digits",
        "tfjs-float16 in python": "digits",
    }
    assert {run for run, failed in heard.ended.items() if failed} == {"tfjs-float16 in python"}
    assert told == Written(
        ("runs",), ("Study logged to 'runs': experiment 'digits', 5 runs below one with the report",)
    )


def test_metrics_are_the_figures_of_the_json(artifacts, tmp_path):
    heard, _ = logged(artifacts)
    done = quantlab_in_process("show", artifacts, "--json", cwd=tmp_path)
    for record in json.loads(done.stdout):
        params, metrics, tags = heard.logged[f"{record['setting']} in {record['runtime']}"]
        figures = {key: value for key, value in record.items() if type(value) in {int, float}}
        assert {key: value for key, value in metrics.items() if key in figures} == figures
        not_finite = {"NaN", "Infinity", "-Infinity"}
        assert {key for key in metrics if key not in figures} == {
            key for key, value in record.items() if isinstance(value, str) and value in not_finite
        }
        assert (params["setting"], params["status"]) == (record["setting"], record["status"])
        assert tags == ({"quantlab.reason": "it crashed"} if record["status"] == "failed" else {})


def test_the_report_the_records_and_the_artifacts_are_files_of_runs(artifacts):
    heard, _ = logged(artifacts, Budget(max_accuracy_loss="1pt"))
    ((_, page, html), (_, table, csv), (_, record, _)) = heard.files["digits"]
    assert (page, table, record) == ("report.html", "table.csv", "study.json")
    assert "Ship tfjs-uint8" in html
    assert "<img" not in html
    assert csv.startswith("setting,runtime,")
    assert heard.files["tfjs-uint8 in python"] == [("artifact", "artifact", "")]
    assert "reference in python" not in heard.files
    assert heard.logged["digits"][2] == {"quantlab.outcome": "fits", "quantlab.recommended": "tfjs-uint8"}


def test_a_study_without_its_artifacts_is_not_logged(folder):
    with pytest.raises(StudyError, match="the artifact of 'tfjs_layers-uint8', is gone; run 'quantlab analyze' again"):
        logged(folder)


def test_a_run_that_could_not_be_written_ends_as_failed(artifacts):
    class Full(Heard):
        def add(self, *_):
            raise OSError("no space left")

    full = Full("runs", "digits")
    with pytest.raises(OSError, match="no space left"):
        export_mlflow(Subject.of(Store(artifacts)), Asked(), lambda *_: full)
    assert full.ended == {"digits": True}


def test_without_mlflow_there_is_a_sentence(artifacts, tmp_path, monkeypatch):
    for name in ("mlflow", "mlflow.tracking"):
        monkeypatch.setitem(sys.modules, name, None)
    done = quantlab_in_process("export", "mlflow", artifacts, "--tracking", "runs", cwd=tmp_path)
    sentence = "'quantlab export mlflow' needs MLflow, which is not installed; install it with 'pip install mlflow'"
    assert (done.status, done.stderr) == (2, f"quantlab: {sentence}\n")


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="MLflow is not installed: pip install mlflow")
@pytest.mark.filterwarnings("ignore")
def test_mlflow_itself(artifacts, tmp_path):
    place = str(tmp_path / "runs")
    for _ in range(2):
        export_mlflow(Subject.of(Store(artifacts)), Asked(tracking=place))
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    assert len(runs) == 12
    (uint8, _) = [run for run in runs if run.info.run_name == "tfjs-uint8 in python"]
    assert uint8.data.metrics["size_bytes"] == 10_000
    with pytest.raises(UsageError, match=r"^MLflow cannot log to 'nothing://at\.all' \("):
        open_mlflow("nothing://at.all", "digits")


def test_a_file_that_cannot_be_read_is_not_told_as_the_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.npy"), new_folder(tmp_path / "out"):
        (tmp_path / "gone.npy").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_told_as_the_folder(tmp_path):
    with pytest.raises(UsageError) as refused, new_folder(tmp_path / "out") as place:
        (place / "missing" / "a.bin").write_bytes(b"")
    assert str(refused.value) == (
        f"'{tmp_path / 'out'}' cannot be written (No such file or directory); name another folder with --out"
    )
    assert list(tmp_path.iterdir()) == []

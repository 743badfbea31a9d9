"""`quantlab lint` on files that the libraries wrote, with planted hazards and without."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process
from hazard_models import CLEAN, NORMED, PLANTED
from kept import kept, make_in_fork
from saved_model_bytes import write_saved_model
from study_fixtures import a_failure, a_study, a_trial, a_variant

from quantlab.formats.savedmodel.artifact import SERVED, SIGNATURE
from quantlab.lint import lint, read_subject
from quantlab.lint.hazards.ranges import with_norms_folded
from quantlab.store import Store
from quantlab.study import lint_study
from quantlab.types import Cost, Costs, Inside, Machine, ModelDescription, WeightRow

pytestmark = pytest.mark.starts_children


@pytest.fixture(scope="session")
def hazard_models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of `hazard_models.py`."""
    log = tmp_path_factory.mktemp("hazards") / "made.log"

    def make(folder: Path) -> None:
        make_in_fork("hazard_models", {"folder": str(folder)}, log, onednn=False)

    return kept(request, "hazards", ("hazard_models.py",), make)


def found_in(path: Path) -> tuple[str, ...]:
    result = lint([path])
    assert result.unread == ()
    return tuple(f"{finding.severity} {finding.hazard} {finding.where}" for finding in result.findings)


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in PLANTED])
def test_planted(name: str, hazard_models: Path) -> None:
    assert found_in(hazard_models / name) == PLANTED[name]


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in CLEAN])
def test_clean(name: str, hazard_models: Path) -> None:
    assert found_in(hazard_models / name) == ()


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in NORMED])
def test_norms_are_folded_as_the_converter_folds_them(name: str, hazard_models: Path) -> None:
    """The channels of every kernel are those of the graph-model, whether its batch norm is folded or not."""
    path = hazard_models / name
    expected, found = kernels(path.with_suffix("")), kernels(path)
    assert len(expected) == len(found) == 8
    for (shape, channels), (own, folded) in zip(expected, found, strict=True):
        assert own == shape
        np.testing.assert_allclose(folded, channels, rtol=1e-5)


def kernels(path: Path) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Shape, and root mean square of each channel, of every kernel of a model; no two have the same shape."""
    weights = with_norms_folded(read_subject(path))
    return sorted((weight.shape, weight.rms) for weight in weights if weight.role in {"kernel", "depthwise"})


def test_a_folder_of_convert(hazard_models: Path, tmp_path: Path) -> None:
    shutil.copy(hazard_models / "flex.tflite", tmp_path / "model.tflite")
    assert found_in(tmp_path) == PLANTED["flex.tflite"]


def test_the_signature_of_a_saved_model_is_that_of_an_analysis(tmp_path: Path) -> None:
    ports = {"inputs": {"x": ("x:0", (4,))}, "outputs": {"y": ("y:0", (3,))}}
    path = write_saved_model(tmp_path / SERVED, **ports, signatures=("one", "two"))
    (unread,) = lint([path]).unread
    assert unread.reason == (
        f"the SavedModel '{path}' has no signature 'serving_default' (it has 'one', 'two'); export it again with one"
    )
    (unread,) = lint([path], signature="three").unread
    assert unread.reason == (
        f"the SavedModel '{path}' has no signature 'three' (it has 'one', 'two'); name one of them with --signature"
    )
    (tmp_path / SIGNATURE).write_text("two\n")
    shutil.rmtree(path / "variables")  # they have no checksums, which TensorFlow reads
    assert found_in(path) == ()
    assert found_in(tmp_path) == ()  # the folder of the converter
    (tmp_path / SIGNATURE).unlink()
    assert lint([path], signature="one").unread == ()


def test_a_study_of_a_saved_model_is_examined_by_its_signature(tmp_path: Path) -> None:
    ports = {"inputs": {"x": ("x:0", (4,))}, "outputs": {"y": ("y:0", (3,))}}
    path = write_saved_model(tmp_path / "model", **ports, signatures=("one", "two"))
    shutil.rmtree(path / "variables")
    served = write_saved_model(tmp_path / "artifact" / SERVED, **ports, signatures=("one", "two"))
    shutil.rmtree(served / "variables")
    (served.parent / SIGNATURE).write_text("two\n")
    made = a_study(tmp_path)
    variant = a_variant(tmp_path, "savedmodel-float32", format="savedmodel", path=served)
    model = replace(made.model, path=str(path), kind="SavedModel", signature="two")
    Store(tmp_path).write_study(replace(made, model=model, trials=(a_trial(tmp_path, variant=variant),)))
    result = lint_study(tmp_path)
    assert (result.files, result.unread) == ((str(path), str(served)), ())


DEPTHWISE = "StatefulPartitionedCall/model/wide/depthwise/ReadVariableOp"


def compared(setting: str, tensor: str, counterpart: str, worst: float) -> WeightRow:
    """A kernel in 8 bits that a study compared with the float32 artifact's."""
    row = WeightRow(setting, tensor, counterpart, None, (3, 3, 8, 1), "uint8", 72)
    return replace(row, scales=1, sqnr_db=42.0, worst_channel_sqnr_db=worst)


@pytest.fixture
def study(hazard_models: Path, tmp_path: Path) -> Path:
    """A study of a model with a wide batch norm; one artifact has a coarse kernel, and another does not load."""
    coarse = a_variant(tmp_path, path=hazard_models / "depthwise_uint8")
    flex = a_variant(tmp_path, "mine", format="tflite", path=hazard_models / "flex.tflite", given=True)
    made = a_study(tmp_path)
    made = replace(
        made,
        model=replace(made.model, path=str(hazard_models / "wide_norm.keras")),
        trials=(
            a_trial(tmp_path, "tfjs-float32", variant=a_variant(tmp_path, "tfjs-float32")),
            a_trial(tmp_path, variant=coarse),
            a_failure(tmp_path, "it needs FlexTan", setting="mine", variant=flex),
        ),
    )
    assert isinstance(made.model, ModelDescription)
    weights = (
        compared("tfjs-uint8", DEPTHWISE, DEPTHWISE, 3.5),
        compared("tfjs-uint8", "model/first/Conv2D_weights", "model/first/Conv2D_weights", 1.5),
        compared("tfjs-uint8", "model/other/Conv2D_weights", "model/other/Conv2D_weights", 0.5),
    )
    store = Store(tmp_path)
    store.write_study(made)
    store.write_inside(Inside(layers=(), weights=weights, ops=(), split=(), samples=1, drawn=""))
    return tmp_path


def test_a_study_adds_what_it_measured(study: Path) -> None:
    found = lint_study(study, ignore=["NOT-FASTER"]).findings
    assert [(finding.hazard, finding.measured) for finding in found] == [
        ("CHANNEL-SPREAD", "tfjs-uint8: SQNR 42.0 dB, worst channel 1.5 dB"),
        ("PER-TENSOR-DEPTHWISE", "tfjs-uint8: SQNR 42.0 dB, worst channel 3.5 dB"),
        ("FLEX-OPS", "python failed: it needs FlexTan"),
    ]


def test_a_study_adds_its_times_and_its_float32_check(study: Path, hazard_models: Path) -> None:
    store = Store(study)
    made = store.read_study()
    machine = Machine("cpu", 2, "Linux")
    rows = [Cost(setting, "node-wasm", "", machine, steady_median_ms=ms) for setting, ms in TIMES.items()]
    store.write(study / "costs.json", Costs(tuple(rows), machine))
    normed = replace(made.model, path=str(hazard_models / "layer_norm.h5"))
    store.write_study(replace(made, model=normed, parity={"tfjs": "broken: NaN"}))
    found = lint_study(study, select=["NOT-FASTER", "LAYERNORM-EPSILON"]).findings
    assert [(finding.hazard, finding.measured) for finding in found] == [
        ("LAYERNORM-EPSILON", "float32 check of tfjs: broken: NaN"),
        ("NOT-FASTER", "node-wasm: 12.5 ms, float32 12 ms"),
    ]


TIMES = {"tfjs-float32": 12.0, "tfjs-uint8": 12.5}


def test_the_command_takes_studies_and_files(study: Path, hazard_models: Path) -> None:
    done = quantlab_in_process("lint", study, hazard_models / "clean.tflite", "--ignore", "FLEX-OPS", cwd=study)
    told = "what is wrong with a float32 baseline is told of the model and of the settings that were made from it"
    assert (done.status, done.stderr) == (0, f"Not examined in '{study}': tfjs-float32; {told}\n")
    assert "worst channel 3.5 dB" in done.stdout
    assert "2 warnings, 1 note in 4 files." in done.stdout

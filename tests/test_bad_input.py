"""The table of what goes wrong: each ends in one sentence with the way out, status 2, and earlier work as it was."""

import fcntl
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from command_line import Done, processes_marked, quantlab_in_process, run_quantlab
from contracts import no_process_left
from PIL import Image
from study_fixtures import DIGITS, rezipped, snapshot

from quantlab.models import ModelOptions, identify


def nothing(place: Path) -> None:
    """Needs no preparation."""


@dataclass(frozen=True, slots=True)
class Case:
    """A command that cannot be carried out, and what is said."""

    name: str
    command: str
    """Split at spaces; `digits.keras`, `digits.npz` and `digits.study` are there."""
    message: str
    prepare: Callable[[Path], object] = nothing
    starts: bool = False
    """Whether the study is begun: then its folder may hold more than before, and nothing less."""


def refused(done: Done, message: str) -> None:
    """One sentence, status 2, nothing on standard output."""
    assert (done.last, done.status, done.stdout) == (f"quantlab: {message}", 2, ""), done.stderr
    assert "Traceback" not in done.stderr


def check(case: Case, place: Path) -> None:
    """Run it, and hold it to all that is promised."""
    case.prepare(place)
    before, study = {entry.name for entry in place.iterdir()}, snapshot(place / "digits.study")
    done = quantlab_in_process(*case.command.split(" "), cwd=place)
    refused(done, case.message)
    after = snapshot(place / "digits.study")
    assert {path: after.get(path) for path in study} == study
    if not case.starts:
        assert after == study
        assert {entry.name for entry in place.iterdir()} - {"__pycache__"} == before


def ids(cases: list[Case]) -> list[object]:
    return [pytest.param(case, id=case.name) for case in cases]


# Models


def cut(source: str, target: str, share: float) -> Callable[[Path], object]:
    def prepare(place: Path) -> None:
        data = (place / source).read_bytes()
        (place / target).write_bytes(data[: int(len(data) * share)])

    return prepare


def weights_only(place: Path) -> None:
    with h5py.File(place / "alone.h5", "w") as file:
        file["layers/dense/vars/0"] = np.zeros((4, 3), np.float32)


def truncated_h5(place: Path) -> None:
    with h5py.File(place / "whole.h5", "w") as file:
        file["values"] = np.zeros(10_000, np.float32)
    cut("whole.h5", "digits.h5", 0.5)(place)


def lambda_layer(place: Path) -> None:
    layer = {"class_name": "Lambda", "config": {"name": "squash", "function": "…"}}
    config = json.dumps({"class_name": "Functional", "config": {"name": "model", "layers": [layer]}})
    rezipped(place / "digits.keras", place / "lambda.keras", config_json=lambda _: config)


def tfjs_folder(place: Path) -> None:
    (place / "web").mkdir()
    (place / "web" / "model.json").write_text("{}")


ACCEPTED_MODELS = "a .keras file, an .h5 or .hdf5 file of a whole Keras model, a SavedModel folder, or an .onnx file"

MODELS = [
    Case(
        "no such model, but one of nearly its name",
        "analyze digit.keras --data digits.npz",
        f"there is no model at 'digit.keras' (did you mean 'digits.keras'?); give {ACCEPTED_MODELS}",
    ),
    Case(
        "no such model, in a folder that is not there",
        "analyze nowhere/model.keras --data digits.npz",
        f"there is no model at 'nowhere/model.keras'; give {ACCEPTED_MODELS}",
    ),
    Case(
        "a .keras file cut short",
        "analyze cut.keras --data digits.npz",
        "'cut.keras' is not a whole .keras file (File is not a zip file); it may have been cut short, so copy or save "
        "it again",
        cut("digits.keras", "cut.keras", 0.6),
    ),
    Case(
        "an .h5 file cut short",
        "analyze digits.h5 --data digits.npz",
        f"'digits.h5' could not be read as HDF5; it may be cut short or something else, so save it again or give "
        f"{ACCEPTED_MODELS}",
        truncated_h5,
    ),
    Case(
        "an .h5 file of weights only",
        "analyze alone.h5 --data digits.npz",
        "'alone.h5' holds weights only, and a model needs its layers too; save it whole with model.save('model.keras') "
        "and give that",
        weights_only,
    ),
    Case(
        "a Lambda layer without --unsafe",
        "analyze lambda.keras --data digits.npz",
        "the Lambda layer 'squash' of 'lambda.keras' is Python code that runs when the model is opened; if you trust "
        "the file, say so with --unsafe",
        lambda_layer,
    ),
    Case(
        "an empty folder",
        "analyze empty --data digits.npz",
        f"the folder 'empty' holds no saved_model.pb, so it is no SavedModel; give {ACCEPTED_MODELS}",
        lambda place: (place / "empty").mkdir(),
    ),
    Case(
        "a model for TensorFlow.js",
        "analyze web --data digits.npz",
        "'web' is a model for TensorFlow.js, which is what quantlab makes; give the model it was made from, and this "
        "folder with --variant NAME=web",
        tfjs_folder,
    ),
]


# Samples


def arrays(**changed: object) -> Callable[[Path], object]:
    """Writes `other.npz`: the digits with arrays replaced, or left out where None."""

    def prepare(place: Path) -> None:
        with np.load(place / "digits.npz") as held:
            given = {name: held[name] for name in held.files}
        for name, change in changed.items():
            given[name] = change(given.get(name)) if callable(change) else change
        np.savez(place / "other.npz", **{name: values for name, values in given.items() if values is not None})

    return prepare


def with_nan(x: np.ndarray) -> np.ndarray:
    x[2, 3, 4, 0] = np.nan
    return x


def images(place: Path) -> None:
    for digit in range(10):
        folder = place / "images" / str(digit)
        folder.mkdir(parents=True)
        for number in range(2):
            Image.fromarray(np.full((8, 8), digit, np.uint8)).save(folder / f"{number}.png")
    broken = place / "images" / "3" / "1.png"
    broken.write_bytes(broken.read_bytes()[:50])


LOADER = """
import numpy as np

random = np.random.default_rng(0)
x, y = np.arange(640, dtype=np.float32).reshape(10, 8, 8, 1), np.arange(10)

def shuffled():
    order = random.permutation(10)
    return x[order], y[order]
"""

ANALYZE = "analyze digits.keras --settings tfjs-uint8 --runtimes python"
OTHER = f"{ANALYZE} --data other.npz"
ACCEPTED_SAMPLES = "a .npz file, a .npy file, a folder of images, or module:function"

SAMPLES = [
    Case(
        "no such file, but one of nearly its name",
        f"{ANALYZE} --data digit.npz",
        f"there is no 'digit.npz', and a calibration set is {ACCEPTED_SAMPLES}; did you mean 'digits.npz'?",
    ),
    Case(
        "an .npz file cut short",
        f"{ANALYZE} --data cut.npz",
        "'cut.npz' cannot be read (File is not a zip file); it is truncated or not of plain arrays, so write it again "
        "with numpy.savez",
        cut("digits.npz", "cut.npz", 0.7),
    ),
    Case(
        "another shape",
        OTHER,
        "the input 'image' takes samples of shape (8, 8, 1), but those of 'other.npz' have the shape (8, 8); add the "
        "channel dimension with x[..., None]",
        arrays(x=lambda x: x[..., 0]),
    ),
    Case(
        "another dtype",
        OTHER,
        "the input 'image' takes float32, but 'other.npz' holds complex64; give numbers or booleans",
        arrays(x=lambda x: x.astype(np.complex64)),
    ),
    Case(
        "integers that float32 cannot hold",
        OTHER,
        "sample 0 (counted from 0) of 'other.npz' holds 16777217 in the input 'image', which takes float32, exact only "
        "from -16777216 to 16777216; bring the values into that range",
        arrays(x=lambda x: np.full(x.shape, 2**24 + 1, np.int32)),
    ),
    Case(
        "more samples than labels",
        OTHER,
        "'other.npz' holds 1,197 samples but 1,196 labels; give one label for each sample",
        arrays(y=lambda y: y[1:]),
    ),
    Case(
        "labels that no class has",
        OTHER,
        "labels run from 1 to 10 but the output 'output_0' has 10 classes; number the classes from 0 to 9",
        arrays(y=lambda y: y + 1),
        starts=True,
    ),
    Case(
        "no labels where the metric needs them",
        f"{OTHER} --metric top1",
        "the metric 'top1' needs labels and 'other.npz' has none; add them (y in a .npz, or --labels FILE), or compare "
        "with the reference alone by --metric similarity",
        arrays(y=None),
        starts=True,
    ),
    Case(
        "no array for the input",
        OTHER,
        "'other.npz' holds 'y', 'pixels', but the model takes 'image'; name the arrays for the model's inputs, or 'x', "
        "and the labels 'y'",
        arrays(x=None, pixels=np.zeros((1197, 8, 8, 1))),
    ),
    Case(
        "no samples",
        OTHER,
        "'other.npz' holds no samples; give at least one, and some hundreds for figures that mean something",
        arrays(x=lambda x: x[:0], y=lambda y: y[:0]),
    ),
    Case(
        "NaN in a sample",
        OTHER,
        "sample 2 (counted from 0) of 'other.npz' holds NaN in the input 'image'; mend or remove it, since it would "
        "spoil every score",
        arrays(x=with_nan),
    ),
    Case(
        "an empty folder",
        f"{ANALYZE} --data empty",
        "'empty' holds no images (.png, .jpg, .jpeg, .bmp, .webp); give a folder with one folder of images for each "
        "class",
        lambda place: (place / "empty").mkdir(),
    ),
    Case(
        "a broken image",
        f"{ANALYZE} --data images",
        "the image 'images/3/1.png' cannot be decoded (image file is truncated); mend or remove it",
        images,
    ),
    Case(
        "a loader that gives other samples on its second pass",
        f"{ANALYZE} --data loader:shuffled",
        "the loader 'loader:shuffled' gave other samples on its second pass, and every runtime must be fed the same; "
        "turn off its shuffling and augmentation, or seed them",
        lambda place: (place / "loader.py").write_text(LOADER),
    ),
    Case(
        "the same samples to calibrate and to score",
        f"{ANALYZE} --data digits.npz --calibration ./digits.npz",
        "'digits.npz' is given both to be scored and for calibration, and what was calibrated on must not be scored; "
        "leave --calibration out, and a part is set aside for it",
    ),
]


# Names and options

LAYERS = "tfjs-layers-float32, tfjs-layers-float16, tfjs-layers-uint8, tfjs-layers-uint16"
UNKNOWN = "analyze digits.keras --data digits.npz"

NAMES = [
    Case(
        "an unknown setting",
        f"{UNKNOWN} --settings tfjs-int8",
        "there is no setting 'tfjs-int8'; did you mean 'tfjs-uint8' or 'tfjs-uint16'?",
    ),
    Case(
        "a glob that matches no setting",
        f"{UNKNOWN} --settings tfjs-*,coreml-*",
        "there is no setting 'coreml-*'; there are tfjs-float32, tfjs-float16, tfjs-uint8, tfjs-uint16, "
        f"{LAYERS}, tflite-float32, "
        "tflite-float16, tflite-dynamic, tflite-int8, tflite-int16x8, onnx-float32, onnx-float16, onnx-dynamic, "
        "onnx-int8",
    ),
    Case(
        "no setting at all",
        f"{UNKNOWN} --settings ,",
        "no setting was named; there are tfjs-float32, tfjs-float16, tfjs-uint8, tfjs-uint16, "
        f"{LAYERS}, tflite-float32, "
        "tflite-float16, tflite-dynamic, tflite-int8, tflite-int16x8, onnx-float32, onnx-float16, onnx-dynamic, "
        "onnx-int8",
    ),
    Case(
        "an unknown runtime",
        f"{UNKNOWN} --runtimes python,node-wsam",
        "there is no runtime 'node-wsam'; did you mean 'node-wasm' or 'node-native'?",
    ),
    Case(
        "an unknown metric",
        f"{UNKNOWN} --metric top-1",
        "there is no metric 'top-1'; did you mean 'top1' or 'top5'?",
    ),
    Case(
        "an unknown output",
        f"{UNKNOWN} --score-output output_1",
        "there is no output 'output_1'; did you mean 'output_0'?",
    ),
    Case(
        "an unknown format",
        "show digits.study --format markdwon",
        "there is no format 'markdwon'; did you mean 'markdown'?",
    ),
    Case(
        "an unknown option",
        f"{UNKNOWN} --jjjjjj",
        "no such option: --jjjjjj; see 'quantlab --help'",
    ),
    Case(
        "an unknown command",
        "zeal digits.keras",
        "no such command 'zeal'; see 'quantlab --help'",
    ),
    Case(
        "no data",
        "analyze digits.keras",
        "missing option '--data'; see 'quantlab --help'",
    ),
    Case(
        "a variant without a file",
        f"{UNKNOWN} --variant mine",
        "--variant mine is not NAME=FILE; write for example --variant mine=model.tflite",
    ),
    Case(
        "two variants of one name",
        f"{UNKNOWN} --variant mine=a.tflite --variant mine=b.tflite",
        "--variant mine=… is given twice; give each row a name of its own",
    ),
    Case(
        "a variant with a setting's name",
        f"{UNKNOWN} --variant tfjs-uint8=a.tflite",
        "--variant tfjs-uint8=… has the name of a setting; give the row another name, as 'my-tfjs-uint8'",
    ),
    Case(
        "a variant with a name that leaves its folder",
        f"{UNKNOWN} --variant ../mine=a.tflite",
        "--variant ../mine=… cannot name a folder of the study; use letters, digits and dashes",
    ),
    Case(
        "a preprocessing for arrays",
        f"{UNKNOWN} --scale 0.5",
        "a preprocessing is declared, but 'digits.npz' is no folder of images, and arrays are fed as they are; leave "
        "it out, or apply it to the arrays",
    ),
    Case(
        "an unknown key in quantlab.toml",
        UNKNOWN,
        "'colour_order' is no key of [preprocessing]; did you mean 'colour'?",
        lambda place: (place / "quantlab.toml").write_text('[preprocessing]\ncolour_order = "bgr"\n'),
    ),
    Case(
        "a quantlab.toml that is not there",
        f"{UNKNOWN} --config nowhere.toml",
        "there is no file 'nowhere.toml' to read [preprocessing] from; name one that is there",
    ),
    Case(
        "calibration samples that are not there",
        "convert digits.keras --settings tflite-int8 --out web --calibration digit.npz",
        f"there is no 'digit.npz', and a calibration set is {ACCEPTED_SAMPLES}; did you mean 'digits.npz'?",
    ),
]


# Folders


def others_study(place: Path) -> None:
    data = (place / "digits.keras").read_bytes()
    (place / "other.keras").write_bytes(data[:-2] + b"\x01\x00" + b"!")  # the same zip with a comment


def own_folder(place: Path) -> None:
    (place / "thesis").mkdir()
    (place / "thesis" / "chapter.tex").write_text("…")


def spoiled_record(change: Callable[[dict[str, object]], object]) -> Callable[[Path], object]:
    def prepare(place: Path) -> None:
        file = place / "digits.study" / "study.json"
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))

    return prepare


FOLDERS = [
    Case(
        "a study of another model",
        "analyze other.keras --data digits.npz --out digits.study",
        "'digits.study' is a study of another model (SHA-256 {digits}…, and 'other.keras' has {other}…); choose "
        "another --out",
        others_study,
    ),
    Case(
        "a folder that is not a study",
        f"{UNKNOWN} --out thesis",
        "'thesis' is not empty and not a study (it holds 'chapter.tex'); choose another --out",
        own_folder,
    ),
    Case(
        "a folder that cannot be written",
        f"{UNKNOWN} --out digits.npz/study",
        "the study 'digits.npz/study' cannot be written (Not a directory); choose another --out",
    ),
    Case(
        "nothing to show",
        "show nowhere.study",
        "'nowhere.study' is no finished study; make it with 'quantlab analyze … --out nowhere.study'",
    ),
    Case(
        "half a record to show",
        "show digits.study",
        "'digits.study/study.json' cannot be read (Expecting value: line 1 column 1 (char 0)); run 'quantlab analyze' "
        "again, which keeps what is done",
        lambda place: (place / "digits.study" / "study.json").write_text(""),
    ),
    Case(
        "a record of another schema to show",
        "show digits.study",
        "'digits.study/study.json' has the schema 99 and this quantlab reads 1; run 'quantlab analyze' again",
        spoiled_record(lambda document: document.update(schema=99)),
    ),
    Case(
        "a record with a part missing to show",
        "show digits.study",
        "'digits.study/study.json' is not a whole study; run 'quantlab analyze' again, which keeps what is done",
        spoiled_record(lambda document: document.pop("task")),
    ),
    Case(
        "artifacts where others are",
        "convert digits.keras --settings tfjs-uint8 --out web",
        "'web/tfjs-uint8' is there already; choose another --out, or remove it",
        lambda place: (place / "web" / "tfjs-uint8").mkdir(parents=True),
    ),
]


@pytest.mark.parametrize("case", ids(MODELS))
def test_a_model_that_cannot_be_opened(case, place):
    check(case, place)


@pytest.mark.parametrize("case", ids(SAMPLES))
def test_samples_that_do_not_fit(case, place):
    check(case, place)


@pytest.mark.parametrize("case", ids(NAMES))
def test_an_option_that_names_nothing(case, place):
    check(case, place)


@pytest.mark.parametrize("case", ids(FOLDERS))
def test_a_folder_that_will_not_do(case, place):
    case.prepare(place)
    check(replace(case, message=_with_hashes(case.message, place), prepare=nothing), place)


def _with_hashes(message: str, place: Path) -> str:
    for name in ("digits", "other"):
        if f"{{{name}}}" in message:
            message = message.replace(f"{{{name}}}", identify(place / f"{name}.keras", ModelOptions()).sha256[:12])
    return message


def own_layer(place: Path) -> None:
    def rename(config: str) -> str:
        document = json.loads(config)
        layer = next(entry for entry in document["config"]["layers"] if entry["class_name"] == "ReLU")
        layer.update(class_name="Bend", module=None, registered_name="shop>Bend")
        return json.dumps(document)

    rezipped(place / "digits.keras", place / "own.keras", config_json=rename)


def test_layers_of_the_users_own_that_are_not_found(place):
    own_layer(place)
    done = quantlab_in_process("analyze", "own.keras", "--data", "digits.npz", cwd=place)
    refused(
        done,
        "'own.keras' uses 'Bend', which is not part of Keras; name the module that registers it "
        "(@keras.saving.register_keras_serializable()) with --custom MODULE",
    )
    done = quantlab_in_process("analyze", "own.keras", "--data", "digits.npz", "--custom", "shop", cwd=place)
    refused(
        done,
        "the module 'shop', named with --custom, could not be imported (ModuleNotFoundError: No module named 'shop'); "
        "give the name of a module that Python finds from the current folder",
    )


# The folder is held, or the disk is full


def test_a_study_that_another_process_works_on(place):
    with (place / "digits.study" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        check(
            Case(
                "locked",
                UNKNOWN,
                "another quantlab is working on the study 'digits.study'; wait for it, or choose another --out",
            ),
            place,
        )
    assert quantlab_in_process(*DIGITS, cwd=place).status == 0


def test_a_study_that_another_process_works_on_can_be_shown(place):
    with (place / "digits.study" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert quantlab_in_process("show", "digits.study", cwd=place).status == 0


def test_no_room_for_samples(place):
    """The limit on a file's size stands for a disk that fills up; samples are the largest file here."""
    before = snapshot(place / "digits.study")
    limited = ["prlimit", f"--fsize={100_000}"]
    done = run_quantlab(*ANALYZE.split(" "), "--data", "digits.npz", cwd=place, before=limited)
    refused(done, "File too large; mend that and run the same command again, which goes on where it was")
    assert snapshot(place / "digits.study") == before


SMALL_DISK = """
mount -t tmpfs -o size={megabytes}m tmpfs disk && cp -r digits.study disk/ && rm -rf disk/digits.study/outputs
head -c $(($(stat -f -c '%a * %S' disk) - {left})) /dev/zero > disk/ballast
"$@"; status=$?
rm -rf kept && cp -r disk/digits.study kept
exit $status
"""


def on_a_small_disk(place: Path, left: int, *arguments: str) -> Done:
    """Run the command line where `disk`, a copy of the study without its outputs, has so many bytes left."""
    unshare = shutil.which("unshare") or "unshare"
    if subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs user namespaces, to mount a small disk: 'sysctl kernel.unprivileged_userns_clone=1'")
    (place / "disk").mkdir(exist_ok=True)
    script = SMALL_DISK.format(megabytes=16, left=left)
    return run_quantlab(*arguments, cwd=place, before=[unshare, "-rm", "sh", "-c", script, "sh"])


def test_no_room_for_the_outputs(place):
    done = on_a_small_disk(place, 450_000, *UNKNOWN.split(" "), "--out", "disk/digits.study")
    refused(
        done,
        "the outputs of 16 trials need 0.6 MB and the disk of 'disk/digits.study' has 0.4 MB free; make room, choose "
        "another --out, or run fewer samples with --limit",
    )


def test_no_room_for_the_samples_at_all(place):
    done = on_a_small_disk(place, 200_000, *UNKNOWN.split(" "), "--out", "disk/digits.study")
    refused(
        done,
        "the samples need 0.00 GB in 'disk/digits.study/samples', where 0.00 GB are free; make room, choose another "
        "folder with --out, or score fewer with --limit",
    )


# Trials that fail cost their own rows


def rows_of(study: str, place: Path) -> dict[tuple[str, str], dict[str, object]]:
    done = quantlab_in_process("show", study, "--format", "json", cwd=place)
    assert done.status == 0, done.stderr
    return {(row["setting"], row["runtime"]): row for row in json.loads(done.stdout)}


def program(file: Path, body: str) -> Path:
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


RUNTIMES = [
    pytest.param(
        "exit 3",
        "the process exited with status 3",
        id="ends in silence",
    ),
    pytest.param(
        "echo 'out of luck' >&2; exit 1",
        "the process exited with status 1; its log ends with: out of luck",
        id="ends with last words",
    ),
    pytest.param(
        "kill -SEGV $$",
        "the process was ended by SIGSEGV",
        id="crashes",
    ),
    pytest.param(
        "kill -KILL $$",
        "the process was ended by SIGKILL, which may be the system that ran out of memory",
        id="is killed",
    ),
    pytest.param(
        "sleep 1000",
        "the process said nothing for 2 seconds and was ended; if it only needs longer, raise --time-limit",
        id="hangs",
    ),
    pytest.param(
        "sleep 1000 & sleep 1000 & wait",
        "the process said nothing for 2 seconds and was ended; if it only needs longer, raise --time-limit",
        id="hangs with children of its own",
    ),
    pytest.param(
        "echo 'Segmentation fault'; sleep 1000",
        "the process was ended, since it said 'Segmentation fault' where a message was expected",
        id="talks rubbish",
    ),
    pytest.param(
        "echo '[1]'",
        "the process was ended, since it said '[1]' where a message was expected",
        id="talks JSON that is no message",
    ),
]


@pytest.mark.parametrize(("body", "reason"), RUNTIMES)
def test_a_runtime_that(body, reason, place):
    node = program(place / "node", f'[ "$1" = --version ] && {{ echo v22.0.0; exit; }}\n{body}')
    before = rows_of("digits.study", place)
    (place / "digits.study" / "work" / "node.log").write_text("last words of an earlier one\n")
    mark = f"QUANTLAB_TEST={place}"
    variables = {"QUANTLAB_NODE": str(node), "QUANTLAB_TEST": str(place)}
    with no_process_left():
        done = quantlab_in_process(*DIGITS, "--time-limit", "2", cwd=place, env=variables)
    assert done.status == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "failed: " in done.stdout
    after = rows_of("digits.study", place)
    assert {key: row["reason"] for key, row in after.items()} == {
        key: reason if key[1] == "node-wasm" else None for key in before
    }
    assert {key: row for key, row in after.items() if key[1] == "python"} == {
        key: row for key, row in before.items() if key[1] == "python"
    }
    assert processes_marked(mark) == []


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        pytest.param(
            "echo v18.20.1",
            "'{node}' is Node.js v18.20.1, and 20.11 is the oldest; set QUANTLAB_NODE to a Node.js of 20.11 or newer",
            id="too old",
        ),
        pytest.param(
            "echo hello",
            "'{node}' is Node.js hello, and 20.11 is the oldest; set QUANTLAB_NODE to a Node.js of 20.11 or newer",
            id="something else",
        ),
        pytest.param(
            "exit 1",
            "Node.js at '{node}' does not start (Command '['{node}', '--version']' returned non-zero exit status 1.); "
            "set QUANTLAB_NODE to a Node.js of 20.11 or newer",
            id="broken",
        ),
    ],
)
def test_a_node_that_will_not_do(version, reason, place):
    node = program(place / "node", version)
    done = quantlab_in_process(*DIGITS, cwd=place, env={"QUANTLAB_NODE": str(node)})
    assert done.status == 2, done.stderr
    reasons = {row["reason"] for key, row in rows_of("digits.study", place).items() if key[1] == "node-wasm"}
    assert reasons == {reason.format(node=node)}


CHROME_REMEDY = (
    "install one ('apt-get install chromium' on Debian), name one with QUANTLAB_CHROME, or leave these runtimes out "
    "with --runtimes"
)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(
            "echo Chromium 60.0.3112.78",
            f"the browser at '{{chrome}}' is of version 60.0.3112.78, and 113 is the oldest that runs these pages; "
            f"{CHROME_REMEDY}",
            id="too old",
        ),
        pytest.param(
            "exit 1",
            "the browser at '{chrome}' does not start (Command '['{chrome}', '--version']' returned non-zero exit "
            f"status 1.); {CHROME_REMEDY}",
            id="broken",
        ),
        pytest.param(
            '[ "$1" = --version ] && echo Chromium 131.0.0.0 && exit\n'
            "echo '[7:7:FATAL:zygote_host_impl_linux.cc(128)] No usable sandbox! …' >&2\n"
            "kill -ABRT $$",
            "the browser found no sandbox that it may use; allow user namespaces (on Debian and Ubuntu 'sysctl "
            "kernel.unprivileged_userns_clone=1' or 'kernel.apparmor_restrict_unprivileged_userns=0'), or install its "
            "own with 'apt-get install chromium-sandbox'",
            id="without a sandbox",
        ),
    ],
)
def test_a_browser_that_will_not_do(body, reason, place):
    """Costs its own row: those of Python stand."""
    chrome = program(place / "chrome", body)
    before = rows_of("digits.study", place)
    added = ("--settings", "tfjs-uint8", "--runtimes", "python,chromium-wasm", "--no-costs", "--no-layers")
    environment = {"QUANTLAB_CHROME": str(chrome), "QUANTLAB_TEST": str(place)}
    with no_process_left():
        done = quantlab_in_process(*DIGITS, *added, cwd=place, env=environment)
    assert done.status == 2, done.stderr
    assert "Traceback" not in done.stderr
    after = rows_of("digits.study", place)
    assert {key: row["reason"] for key, row in after.items()} == {
        ("reference", "python"): None,
        ("tfjs-float32", "python"): None,
        ("tfjs-uint8", "python"): None,
        ("tfjs-uint8", "chromium-wasm"): reason.format(chrome=chrome),
    }
    assert after["tfjs-uint8", "python"]["top1"] == before["tfjs-uint8", "python"]["top1"]
    assert processes_marked(f"QUANTLAB_TEST={place}") == []


def others_artifact(place: Path) -> None:
    shutil.copy(Path(__file__).parents[1] / "quantlab/runtimes/js/fixtures/two_ports.tflite", place / "given.tflite")


def digits_artifact(place: Path) -> Path:
    return next((place / "digits.study" / "variants" / "tflite-dynamic").glob("*/artifact/model.tflite"))


VARIANTS = [
    pytest.param(
        nothing,
        "there is no artifact at 'given.tflite', named with --variant mine=given.tflite",
        id="missing",
    ),
    pytest.param(
        lambda place: (place / "given.tflite").write_bytes(b"what is this"),
        "'{place}/given.tflite' does not begin as a TFLite file does; give a .tflite file",
        id="something else",
    ),
    pytest.param(
        lambda place: (place / "given.tflite").write_bytes(digits_artifact(place).read_bytes()[:2000]),
        "'{place}/given.tflite' is not a whole TFLite file; it may be cut short, so copy it again",
        id="cut short",
    ),
    pytest.param(
        others_artifact,
        "'{place}/given.tflite' has the inputs 'apple' (1, 3), 'zebra' (1, 3) and the model has 'image' (None, 8, 8, "
        "1); give an artifact that was made from this model",
        id="of another model",
    ),
]


@pytest.mark.parametrize(("prepare", "reason"), VARIANTS)
def test_a_given_variant_that_is(prepare, reason, place):
    prepare(place)
    before = rows_of("digits.study", place)
    done = quantlab_in_process(*DIGITS, "--variant", "mine=given.tflite", cwd=place)
    assert done.status == 2, done.stderr
    assert "Traceback" not in done.stderr
    after = rows_of("digits.study", place)
    failed = {key: row["reason"] for key, row in after.items() if key not in before}
    assert failed == {("mine", runtime): reason.format(place=place) for runtime in ("python", "node-wasm")}
    assert {key: row for key, row in after.items() if key in before} == before

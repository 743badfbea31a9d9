"""Golden tests: green for what was measured, red for everything else."""

import json
import os
import re
import shutil
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from study_fixtures import outputs_of, read_study

from quantlab.formats import artifact_files
from quantlab.models import files_sha256
from quantlab.runtimes.node import find_node
from quantlab.samples import present_file
from quantlab.store import Store
from quantlab.study.importing import ImportOptions, import_outputs
from quantlab.types import Codes, KeptOutputs, Port
from quantlab_reports.exports.golden.choice import Chosen, choose_samples
from quantlab_reports.exports.golden.write import FRAMEWORKS, input_tolerance

MODULES = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "node_modules"
SETTINGS = {"node": "tfjs-uint8", "pytest": "tflite-dynamic"}


@pytest.fixture
def study(place):
    return place / "digits.study"


def artifact(study, setting):
    return next(trial.variant.path for trial in read_study(study).trials if trial.setting == setting)


def export(study, program):
    done = quantlab_in_process(
        "export",
        "test",
        study,
        "--setting",
        SETTINGS[program],
        "--runtime",
        program,
        "--out",
        "golden",
        cwd=study.parent,
    )
    assert done.status == 0, done.stderr
    folder = study.parent / "golden"
    if program == "node":
        if not MODULES.is_dir():
            pytest.skip("needs node_modules, which a development install has")
        (folder / "node_modules").symlink_to(MODULES)
    return folder


def outcome(folder, program, model):
    """Numbers of checks that passed and failed, and what was printed."""
    variables = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTEST_ADDOPTS"}}
    command = (
        [find_node()[0], "--test", "--test-reporter=tap"]
        if program == "node"
        else [sys.executable, "-m", "pytest", "-q"]
    )
    done = subprocess.run(
        [*command, *([] if program == "node" else ["-p", "no:cacheprovider", "--rootdir", "."])],
        cwd=folder,
        env={**variables, "MODEL": str(model)},
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout + done.stderr
    counted = {word: re.search(pattern, text) for word, pattern in _COUNTS[program].items()}
    passed, failed = (int(found[1]) if found else 0 for found in (counted["passed"], counted["failed"]))
    assert (done.returncode == 0) == (failed == 0 and passed > 0), text
    return passed, failed, text


_COUNTS = {
    "node": {"passed": r"# pass (\d+)", "failed": r"# fail (\d+)"},
    "pytest": {"passed": r"(\d+) passed", "failed": r"(\d+) failed"},
}


_SKIPPED = {"node": r"# skipped (\d+)", "pytest": r"(\d+) skipped"}


_PREPROCESS = {
    "node": """
export async function preprocess(file) {{
  const bytes = fs.readFileSync(file);
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  return {{ image: values.map((value) => value{change}) }};
}}
""",
    "pytest": """
import numpy

def preprocess(file):
    return {{"image": numpy.fromfile(file, "float32"){change}}}
""",
}


def hashes_of(artifact):
    return dict(artifact_files(artifact).files)


def changed(folder, name, change):
    document = json.loads((folder / name).read_text())
    change(document)
    (folder / name).write_text(json.dumps(document))


@pytest.mark.parametrize("program", SETTINGS)
def test_green_as_measured_and_red_for_each_planted_change(program, study):
    folder = export(study, program)
    model = artifact(study, SETTINGS[program])
    samples = len(json.loads((folder / "golden.json").read_text())["samples"])
    assert outcome(folder, program, model)[:2] == (samples + 2, 0)

    other = next(
        trial.variant.path
        for trial in read_study(study).trials
        if trial.is_float32 and trial.setting.split("-")[0] == SETTINGS[program].split("-")[0]
    )
    passed, failed, text = outcome(folder, program, other)
    assert "converted again, so measure this artifact with quantlab" in " ".join(text.split())
    assert (passed, failed) == (0, 1), "one test fails, and the others are skipped"
    assert re.search(_SKIPPED[program], text)[1] == str(samples + 1)
    _passed, failed, text = outcome(folder, program, folder / "nothing")
    assert failed == 1
    assert "nothing" in text

    # As a study would have measured it, so that only outputs tell it.
    changed(folder, "golden.json", lambda golden: golden.update(artifact=hashes_of(other)))
    passed, failed, text = outcome(folder, program, other)
    assert failed > samples / 2, f"only {failed} checks notice the float32 artifact"
    changed(folder, "golden.json", lambda golden: golden.update(artifact=hashes_of(model)))

    changed(
        folder, "golden.json", lambda golden: golden.update(versions={name: ["0.0.1"] for name in golden["versions"]})
    )
    passed, failed, text = outcome(folder, program, model)
    assert (passed, failed) == (samples + 1, 1)
    assert "and 0.0.1 was measured" in text

    shutil.rmtree(folder)
    folder = export(study, program)
    fed = np.fromfile(folder / "input-0.bin", np.float32)
    (fed / 16).tofile(folder / "input-0.bin")  # as an app that scales once more
    passed, failed, text = outcome(folder, program, model)
    assert failed > samples / 2
    assert "gives other outputs" in text


@pytest.mark.parametrize("program", SETTINGS)
def test_preprocessing_of_files_is_compared(program, study):
    folder = export(study, program)
    golden = json.loads((folder / "golden.json").read_text())
    (folder / "files").mkdir()
    for place, sample in enumerate(golden["samples"]):
        sample["file"] = f"files/{place}.bin"
        values = np.fromfile(folder / "input-0.bin", np.float32).reshape(len(golden["samples"]), -1)[place]
        values.tofile(folder / sample["file"])
    (folder / "golden.json").write_text(json.dumps(golden))
    app = folder / ("app.mjs" if program == "node" else "app.py")
    own = _PREPROCESS[program]
    before = app.read_text()
    model, samples = artifact(study, SETTINGS[program]), len(golden["samples"])
    app.write_text(before + own.format(change=""))
    assert outcome(folder, program, model)[:2] == (2 * samples + 2, 0)
    app.write_text(before + own.format(change=" / 2"))
    _passed, failed, text = outcome(folder, program, model)
    assert failed == samples
    assert "compare your preprocessing with the one that was measured" in " ".join(text.split())


def test_tolerances_say_what_was_measured(study):
    golden = json.loads((export(study, "pytest") / "golden.json").read_text())
    record = read_study(study)
    python, node = (outputs_of(record, SETTINGS["pytest"], runtime) for runtime in ("python", "node-wasm"))
    output = golden["outputs"][0]
    assert output["measured"] == float(np.abs(python.astype(np.float64) - node).max())
    assert output["tolerance"] >= 2 * output["measured"]
    assert output["tolerance"] <= 2 * output["measured"] + 1e-6


def test_every_program_has_its_files(study):
    for program, framework in FRAMEWORKS.items():
        done = quantlab_in_process(
            "export", "test", study, "--setting", "tfjs-uint8", "--runtime", program, "--out", program, cwd=study.parent
        )
        assert done.status == 0, done.stderr
        assert framework.command in done.stderr
        assert (study.parent / program / framework.code / framework.written).is_file()
        assert "MIT-0" in (study.parent / program / "README.md").read_text()


APPS = {
    "android": ("assets/golden", {"kotlin/App.kt", "kotlin/Golden.kt", "kotlin/GoldenTest.kt"}),
    "xctest": ("golden", {"swift/App.swift", "swift/Golden.swift", "swift/GoldenTests.swift"}),
}


@pytest.mark.parametrize("program", APPS)
def test_apps_get_the_same_data_in_a_folder_of_its_own(program, study):
    data, code = APPS[program]
    plain = export(study, "pytest")
    options = ("--setting", SETTINGS["pytest"], "--runtime", program, "--out", "app")
    done = quantlab_in_process("export", "test", study, *options, cwd=study.parent)
    assert done.status == 0, done.stderr
    written = {str(file.relative_to(study.parent / "app")) for file in (study.parent / "app").rglob("*.*")}
    names = {"golden.json", "input-0.bin", "expected-0.bin"}
    assert written == {"README.md", *code, *(f"{data}/{name}" for name in names)}
    assert all((study.parent / "app" / data / name).read_bytes() == (plain / name).read_bytes() for name in names)
    assert "Interpreter" in (study.parent / "app" / min(code)).read_text(), "not the template of the format"


def test_facts_that_an_app_told_are_versions_that_were_measured(study):
    outputs = outputs_of(read_study(study), SETTINGS["pytest"], "python")
    facts = json.dumps({"my-runtime": "1.2.3", "python": "9.9"})
    np.savez(study.parent / "app.npz", outputs=outputs, __environment__=facts)
    before = json.loads((export(study, "pytest") / "golden.json").read_text())["versions"]
    shutil.rmtree(study.parent / "golden")
    import_outputs(study, study.parent / "app.npz", ImportOptions(SETTINGS["pytest"], "my-app", trust_order=True))
    after = json.loads((export(study, "pytest") / "golden.json").read_text())["versions"]
    assert after == {**before, "my-runtime": ["1.2.3"], "python": [*before.get("python", []), "9.9"]}


REFUSED = {
    "no program": (("--setting", "tfjs-uint8"), "name a test program with --runtime; choose from "),
    "another program": (("--runtime", "vitests"), "there is no test program 'vitests'; did you mean 'vitest'"),
    "no setting": (("--runtime", "node"), "name a setting with --setting; choose from "),
    "another setting": (
        ("--runtime", "node", "--setting", "tfjs-uint9"),
        "the study has no measured setting 'tfjs-uint9'; did you mean 'tfjs-uint8'",
    ),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(options, message, study):
    done = quantlab_in_process("export", "test", study, *options, cwd=study.parent)
    assert done.status == 2
    assert message in done.last


@pytest.mark.parametrize("runtime", ["reference", "python", "node-wasm"])
def test_kept_outputs_that_changed_are_refused(runtime, study):
    record = read_study(study)
    row = next(
        one
        for one in (record.reference, *record.trials)
        if one.setting == "reference" or (one.setting, one.runtime) == ("tfjs-uint8", runtime)
        if (one.setting == "reference") == (runtime == "reference")
    )
    file = row.outputs["output_0"]
    np.save(file, np.load(file)[::-1])
    options = ("--setting", "tfjs-uint8", "--runtime", "node")
    done = quantlab_in_process("export", "test", study, *options, cwd=study.parent)
    assert (done.status, done.last) == (
        2,
        (
            f"quantlab: the kept outputs of {row.setting} in {row.runtime} are damaged; run 'quantlab analyze' again, "
            f"which makes them anew"
        ),
    )
    assert not (study.parent / "golden-node").exists()
    file.unlink()
    assert "are missing; run" in quantlab_in_process("export", "test", study, *options, cwd=study.parent).last


def test_a_setting_that_is_nan_on_every_sample_has_no_test(study):
    row = next(one for one in read_study(study).trials if (one.setting, one.runtime) == ("tfjs-uint8", "python"))
    file = row.outputs["output_0"]
    np.save(file, np.load(file) * np.float32(np.nan))
    store, record = Store(study), file.parent / "outputs.json"  # as of a run that gave NaN
    kept = store.read(record, KeptOutputs)
    store.write(record, replace(kept, sha256={**kept.sha256, "output_0": files_sha256(file)}))
    done = quantlab_in_process(
        "export", "test", study, "--setting", "tfjs-uint8", "--runtime", "node", cwd=study.parent
    )
    assert (done.status, done.last) == (
        2,
        (
            "quantlab: 'output_0' holds NaN or infinity on every sample, in the model or in 'tfjs-uint8', so nothing "
            "can be expected of it; export the test of another setting"
        ),
    )


def test_no_file_from_outside_the_source_is_copied(study):
    photos = study.parent / "photos"
    photos.mkdir()
    for file in (photos / "one.png", study.parent / "secret.png"):
        file.touch()
    samples = replace(read_study(study).samples, source=str(photos))
    names = ["one.png", "gone.png", "../secret.png", str(study.parent / "secret.png")]
    assert [present_file(samples, name) for name in names] == [photos / "one.png", None, None, None]


@pytest.mark.parametrize(
    ("fed", "codes", "tolerance"),
    [
        pytest.param(np.array([0, 255], np.uint8), None, 1.0, id="one value of a pixel"),
        pytest.param(np.array([-1, 1], np.float32), None, 2 / 255, id="floats of pixels"),
        pytest.param(np.array([0, 30_000], np.int64), None, 0.0, id="tokens"),
        pytest.param(np.array([0, 510], np.int16), Codes(0.1, 0, -32768, 32767), 2.0, id="codes of 16 bits"),
        pytest.param(np.zeros((0, 3), np.float32), None, 0.0, id="nothing"),
    ],
)
def test_by_how_much_preprocessing_may_differ(fed, codes, tolerance):
    port = Port("image", "image", 0, (None,), fed.dtype.name, codes)
    assert input_tolerance(fed, port) == pytest.approx(tolerance)


# Which samples are chosen

_outputs = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 60), st.integers(1, 4)),
    elements=st.floats(-10, 10, width=32) | st.just(np.nan),
)


@given(_outputs, st.integers(1, 20), st.booleans())
def test_samples_are_finite_different_and_not_too_many(outputs, count, classes):
    chosen = choose_samples(outputs, np.zeros_like(outputs), classes=classes, count=count)
    rows = [one.row for one in chosen]
    finite = np.isfinite(outputs).all(axis=1)
    assert rows == sorted(set(rows))
    assert len(rows) == min(count, int(finite.sum()))
    assert all(finite[row] for row in rows)


def test_outputs_are_read_in_blocks(tmp_path):
    shape = (2_000, 16_384)
    variant, reference = (
        np.lib.format.open_memmap(tmp_path / name, "w+", np.float32, shape) for name in ("variant.npy", "reference.npy")
    )
    variant[1_999, 7] = 3
    tracemalloc.start()
    chosen = choose_samples(variant, reference, classes=True, count=4)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert Chosen(1_999, "class") in chosen
    assert peak < variant.nbytes


def test_the_narrowest_of_each_class_and_the_largest_difference_are_chosen():
    rng = np.random.default_rng(0)
    outputs = rng.uniform(0, 1, (300, 5))
    reference = outputs.copy()
    reference[123] += 9
    chosen = {one.row: one.why for one in choose_samples(outputs, reference, classes=True, count=12)}
    margins = np.diff(np.sort(outputs, axis=1)[:, -2:], axis=1)[:, 0]
    for label in range(5):
        mine = np.flatnonzero(outputs.argmax(axis=1) == label)
        assert chosen[int(mine[margins[mine].argmin()])] == "class"
    assert chosen[123] == "drift"
    assert list(chosen.values()).count("margin") >= 3

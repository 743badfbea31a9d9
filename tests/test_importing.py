"""Rows from outputs that another program wrote, and the programs that write them."""

import json
import os
import resource
import shutil
import subprocess
import sys
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import quantlab_in_process
from hypothesis import given
from hypothesis import strategies as st
from study_fixtures import DIGITS, outputs_of, read_study
from tfjs_pages import INSTALLED, open_browser, opened

from quantlab.errors import QuantlabError, UsageError
from quantlab.models import files_sha256
from quantlab.runtimes.browser import find_browser
from quantlab.runtimes.elsewhere import DUMPERS, FORMAT
from quantlab.runtimes.node import find_node
from quantlab.samples import as_fed, checksums
from quantlab.store import Store
from quantlab.study import ReduceOptions, reduce_study
from quantlab.study.importing import ImportOptions, import_outputs
from quantlab.study.importing.dumps import read_dump
from quantlab.types import Codes, Port, TensorSpec
from quantlab_reports.exports.contract import Asked
from quantlab_reports.exports.inputs import export_inputs
from quantlab_reports.subject import Subject

MODULES = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "node_modules"
SETTING = "tflite-dynamic"
OUTPUT = "output_0"


@pytest.fixture
def study(place):
    return place / "digits.study"


def truth(study):
    """The outputs of the setting in Python, the hash of the samples, and the checksum of each."""
    record = read_study(study)
    return outputs_of(record, SETTING, "python"), record.samples.sha256, checksums(record.samples)


def write_npz(path, outputs, sha256=None, crc32=None, **more):
    about = {"__samples_sha256__": sha256, "__crc32__": crc32}
    np.savez(path, **{OUTPUT: outputs}, **{name: value for name, value in about.items() if value is not None}, **more)
    return path


def write_lines(path, outputs, sha256, crc32):
    lines = [{"samples_sha256": sha256, "environment": {"device": "Phone 7"}}]
    lines += [
        {"sample": place, "crc32": int(value), "outputs": {OUTPUT: row.tolist()}}
        for place, (row, value) in enumerate(zip(outputs, crc32, strict=True))
    ]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def imported(study, file, **options):
    done = import_outputs(study, file, ImportOptions(SETTING, "my-app", **options))
    return next(trial for trial in done.trials if trial.runtime == "my-app")


@pytest.mark.parametrize("form", ["npz", "jsonl"])
def test_the_outputs_of_a_runtime_give_its_row(form, study):
    outputs, sha256, crc32 = truth(study)
    write = write_npz if form == "npz" else write_lines
    row = imported(study, write(study.parent / f"app.{form}", outputs, sha256, crc32))
    in_python = next(
        trial for trial in read_study(study).trials if (trial.setting, trial.runtime) == (SETTING, "python")
    )
    assert row.scores == in_python.scores
    assert (row.max_abs_from_python, row.flips_from_python, row.imported, row.timing) == (0, 0, True, None)
    np.testing.assert_array_equal(outputs_of(read_study(study), SETTING, "my-app"), outputs)
    figures = Store(study).read_outputs().rows
    assert [one for one in figures if one.runtime == "my-app"] == [
        replace(one, runtime="my-app") for one in figures if (one.setting, one.runtime) == (SETTING, "python")
    ]


def test_a_wrong_answer_of_the_app_is_a_changed_sample(study):
    outputs, sha256, crc32 = truth(study)
    outputs[3] = np.roll(outputs[3], 1)
    row = imported(study, write_npz(study.parent / "app.npz", outputs, sha256, crc32))
    assert row.flips_from_python == 1


def test_the_row_stays_as_long_as_samples_and_artifact_do(study):
    outputs, sha256, crc32 = truth(study)
    imported(study, write_npz(study.parent / "app.npz", outputs, sha256, crc32))
    again = quantlab_in_process(*DIGITS, cwd=study.parent)
    assert "my-app" in again.stdout
    fewer = quantlab_in_process(*DIGITS, "--limit", "100", cwd=study.parent)
    assert all(trial.runtime != "my-app" for trial in read_study(study).trials)
    expected = f"the imported outputs of {SETTING} in my-app are left out, because they were made from other samples"
    assert expected in fewer.stdout
    assert fewer.status == 0


@pytest.mark.parametrize(
    ("spoil", "state"),
    [
        pytest.param(lambda file: file.unlink(), "missing", id="deleted"),
        pytest.param(lambda file: np.save(file, np.load(file)[::-1]), "damaged", id="in another order"),
    ],
)
def test_files_of_an_import_that_changed_cost_its_row_alone(spoil, state, study, monkeypatch):
    outputs, sha256, crc32 = truth(study)
    monkeypatch.chdir(study.parent)
    row = imported(study, write_npz(Path("app.npz"), outputs, sha256, crc32))
    spoil(row.outputs[OUTPUT])
    again = quantlab_in_process(*DIGITS, cwd=study.parent)
    assert again.status == 2, "as with every row that failed"
    failed = {trial.runtime: trial.failure.reason for trial in read_study(study).trials if trial.failure is not None}
    assert failed == {"my-app": f"its imported outputs are {state}; import 'app.npz' again"}


def test_outputs_that_are_imported_again_replace_the_row(study):
    outputs, sha256, crc32 = truth(study)
    worse = outputs[:, ::-1].copy()
    assert imported(study, write_npz(study.parent / "worse.npz", worse, sha256, crc32)).flips_from_python
    assert imported(study, write_npz(study.parent / "app.npz", outputs, sha256, crc32)).flips_from_python == 0
    assert [trial.runtime for trial in read_study(study).trials].count("my-app") == 1
    assert {row.runtime for row in Store(study).read_outputs().rows if row.setting == SETTING} >= {"python", "my-app"}
    assert quantlab_in_process("verify", study, cwd=study.parent).status == 0


def test_the_outputs_of_another_artifact_are_refused(study):
    folder = export(study, "--setting", SETTING)
    other = next(trial.variant.path for trial in read_study(study).trials if trial.setting == "tflite-float32")
    subprocess.run([sys.executable, "dump.py", other, ".", "../app.npz"], cwd=folder, check=True, capture_output=True)
    with pytest.raises(QuantlabError) as refused:
        imported(study, study.parent / "app.npz")
    assert str(refused.value).endswith(
        f"which is none of the artifact of {SETTING} ({files_sha256(artifact(study, SETTING))[:12]}); name the setting "
        "that the program ran"
    )


@pytest.mark.parametrize("form", ["npz", "jsonl"])
def test_integers_for_floats_are_told(form, study):
    outputs, sha256, crc32 = truth(study)
    write = write_npz if form == "npz" else write_lines
    row = imported(study, write(study.parent / f"app.{form}", (200 * outputs).astype(int), sha256, crc32))
    assert f"integers of {OUTPUT} taken as values, because the artifact gives no codes" in row.notes


def test_a_row_can_be_removed_again(study):
    before, figures = read_study(study), Store(study).read_outputs()
    outputs, sha256, crc32 = truth(study)
    imported(study, write_npz(study.parent / "app.npz", outputs[:, ::-1].copy(), sha256, crc32))
    row = ("--setting", SETTING, "--runtime", "my-app")
    done = quantlab_in_process("import", "--remove", study, *row, cwd=study.parent)
    assert (done.status, done.last) == (0, f"Row '{SETTING}' in 'my-app' removed from '{study}'")
    assert (read_study(study), Store(study).read_outputs()) == (before, figures)
    assert not (study / "outputs" / SETTING / "my-app").exists()
    again = quantlab_in_process("import", "--remove", study, *row, cwd=study.parent)
    assert (again.status, again.last) == (
        2,
        f"quantlab: no outputs of '{SETTING}' in 'my-app' were imported; nothing was imported into this study",
    )
    none = quantlab_in_process("import", *row, cwd=study.parent)
    assert (none.status, none.last) == (2, "quantlab: name the file of outputs, or --remove to remove a row")


def test_what_an_app_is_accepted_for_is_not_limited_by_other_runtimes(study):
    """NaN of a row that does not count refuses nothing; of one that does, it does."""
    outputs, sha256, crc32 = truth(study)
    imported(study, write_npz(study.parent / "app.npz", outputs, sha256, crc32))
    spoiled = outputs.copy()
    spoiled[0] = np.nan
    write_npz(study.parent / "spoiled.npz", spoiled, sha256, crc32)
    import_outputs(study, study.parent / "spoiled.npz", ImportOptions(SETTING, "old-app"))
    accept = ("accept", study, "--max-accuracy-loss", "5pt", "--setting", SETTING)
    done = quantlab_in_process(*accept, "--runtimes", "my-app", cwd=study.parent)
    assert (done.status, done.last) == (0, f"Accepted figures written to 'quantlab.lock': {SETTING}")
    lock = json.loads((study.parent / "quantlab.lock").read_text())
    assert "old-app" not in lock["studies"]["digits"]["settings"][SETTING]["losses"]
    gate = ("gate", study, "--setting", SETTING, "--runtimes", "my-app", "--lock", "quantlab.lock")
    assert quantlab_in_process(*gate, "--max-accuracy-loss", "5pt", cwd=study.parent).status == 0
    refused = quantlab_in_process(*accept, "--runtimes", "*-app", cwd=study.parent)
    assert (refused.status, refused.last) == (
        2,
        (
            f"quantlab: '{SETTING}' cannot be accepted: 10 output values are NaN or infinite in old-app; accept only "
            "settings with finite outputs"
        ),
    )


def test_a_damaged_import_is_found(study):
    outputs, sha256, crc32 = truth(study)
    row = imported(study, write_npz(study.parent / "app.npz", outputs, sha256, crc32))
    with row.outputs[OUTPUT].open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"\0\0\0\x7f")
    done = quantlab_in_process("verify", study, cwd=study.parent)
    assert done.status == 2
    assert f"{SETTING} in my-app" in done.stdout


# What is refused


def _swap(values):
    swapped = values.copy()
    swapped[[0, 5]] = swapped[[5, 0]]
    return swapped


REFUSED = {
    "outputs in another order": (
        lambda outputs, sha256, crc32: {"outputs": _swap(outputs), "sha256": sha256, "crc32": _swap(crc32)},
        (
            "the outputs in 'app.npz' are not those of the samples: row 0 was made from sample 5, and 2 of {n} rows "
            "differ so; write the outputs in the order of the samples"
        ),
    ),
    "a sample that was changed before it was fed": (
        lambda outputs, sha256, crc32: {"outputs": outputs, "sha256": sha256, "crc32": [crc32[0] ^ 1, *crc32[1:]]},
        (
            "the outputs in 'app.npz' are not those of the samples: row 0 was made from other values than those of "
            "sample 0, and 1 of {n} rows differ so; feed the bytes that 'quantlab export inputs' wrote"
        ),
    ),
    "one sample too few": (
        lambda outputs, sha256, crc32: {"outputs": outputs[:-1], "sha256": sha256, "crc32": crc32[:-1]},
        (
            "'app.npz' has 940 rows for the output 'output_0', and the study scored 941 samples; give one row for each "
            "sample that 'quantlab export inputs' wrote, in their order"
        ),
    ),
    "other samples": (
        lambda outputs, sha256, crc32: {"outputs": outputs, "sha256": "ab" * 32},  # noqa: ARG005 (as the others)
        (
            "'app.npz' names samples with the SHA-256 abababababab, and the study scored {short}; write the samples "
            "with 'quantlab export inputs', and run the program on these"
        ),
    ),
    "no word about samples": (
        lambda outputs, sha256, crc32: {"outputs": outputs},  # noqa: ARG005
        (
            "'app.npz' does not say from which samples its outputs are; write it with a dumper of 'quantlab export "
            "inputs', or give --samples {short} if they are from these, or --trust-order"
        ),
    ),
    "outputs of another shape": (
        lambda outputs, sha256, crc32: {"outputs": outputs[:, :9], "sha256": sha256, "crc32": crc32},
        (
            "'app.npz' has outputs of shape (9,) for 'output_0', and the model gives (10,); write the same output "
            "of the same model"
        ),
    ),
    "texts": (
        lambda outputs, sha256, crc32: {"outputs": outputs.astype(str), "sha256": sha256, "crc32": crc32},
        "'app.npz' holds text for the output 'output_0'; write the numbers that the model gives",
    ),
}


@pytest.mark.parametrize(("made", "message"), REFUSED.values(), ids=REFUSED)
def test_what_was_not_made_from_the_samples_is_refused(made, message, study, monkeypatch):
    monkeypatch.chdir(study.parent)
    outputs, sha256, crc32 = truth(study)
    before = Store(study).read_study()
    write_npz("app.npz", **made(outputs, sha256, crc32))
    with pytest.raises(QuantlabError) as refused:
        imported(study, Path("app.npz"))
    assert str(refused.value) == message.format(n=f"{len(outputs):,}", short=sha256[:12])
    assert Store(study).read_study() == before
    assert not list((study / "outputs" / SETTING).glob("my-app*"))


NAMES = {
    "node-wasm": "'node-wasm' is a runtime of quantlab; give the program another name, for example 'my-node-wasm'",
    "a/b": "--runtime 'a/b' cannot name a row; use at most 40 letters, digits, dots, dashes and underscores",
    "": "--runtime '' cannot name a row; use at most 40 letters, digits, dots, dashes and underscores",
    "..": "--runtime '..' cannot name a row; use at most 40 letters, digits, dots, dashes and underscores",
}


@pytest.mark.parametrize(("name", "message"), NAMES.items())
def test_names_of_programs(name, message, study):
    with pytest.raises(QuantlabError) as refused:
        import_outputs(study, "app.npz", ImportOptions(SETTING, name))
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("tflite-dynamik", "the study has no artifact of the setting 'tflite-dynamik'; did you mean 'tflite-dynamic'?"),
        ("reference", "the study has no artifact of the setting 'reference'; the reference is the model itself"),
    ],
)
def test_settings_that_the_study_lacks(setting, message, study):
    with pytest.raises(QuantlabError) as refused:
        import_outputs(study, "app.npz", ImportOptions(setting, "my-app"))
    assert str(refused.value) == message


def test_the_user_may_vouch_for_the_samples(study):
    outputs, sha256, _ = truth(study)
    file = write_npz(study.parent / "app.npz", outputs)
    assert any("matched by the hash" in note for note in imported(study, file, samples=sha256[:12]).notes)
    assert any("matched by --trust-order" in note for note in imported(study, file, trust_order=True).notes)
    with pytest.raises(QuantlabError, match="is no hash; give at least 12 digits"):
        imported(study, file, samples=sha256[:11])
    with pytest.raises(UsageError) as refused:
        imported(study, file, samples=sha256[:12], trust_order=True)
    assert str(refused.value) == (
        "--samples compares the samples, and --trust-order says that nobody can; leave one of them out"
    )


def test_a_program_of_the_user_cannot_run_subgraphs(study):
    outputs, sha256, crc32 = truth(study)
    imported(study, write_npz(study.parent / "app.npz", outputs[::, ::-1], sha256, crc32))
    with pytest.raises(QuantlabError, match="in 'my-app' were imported, and quantlab cannot run sub-graphs there"):
        reduce_study(study, ReduceOptions(SETTING, "my-app"))


# Forms of files

SPECS = [TensorSpec("a", (None, 2), "float32"), TensorSpec("b", (None, 1), "float32")]
LINE = '{"sample": 0, "outputs": {"a": [1, 2]}}'
FILES = {
    "no such file": ("app.npz", None, "there are no outputs 'app.npz'; give a .npz, .npy or .jsonl file"),
    "another kind of file": ("app.csv", b"1,2", "'app.csv' is no file of outputs; give a .npz, .npy or .jsonl file"),
    "one array for two outputs": (
        "app.npy",
        b"",
        (
            "'app.npy' holds one array, and the model has the outputs 'a', 'b'; give a .npz file with an array for "
            "each output, by its name"
        ),
    ),
    "a truncated zip": (
        "app.npz",
        b"PK\x03\x04",
        (
            "'app.npz' cannot be read (File is not a zip file); it is truncated or does not hold plain arrays, so "
            "write it again with numpy.savez"
        ),
    ),
    "a line that is no JSON": (
        "app.jsonl",
        b"{",
        (
            "line 1 of 'app.jsonl' is not JSON (Expecting property name enclosed in double quotes); write one JSON "
            "object per line"
        ),
    ),
    "a line that is no object": (
        "app.jsonl",
        b"[1]",
        "line 1 of 'app.jsonl' is no JSON object; write one object for each sample",
    ),
    "a sample that is missing": (
        "app.jsonl",
        LINE.encode(),
        "'app.jsonl' has no outputs for 1 sample of 2, the first of which is sample 1; write one line for each sample",
    ),
    "a sample twice": (
        "app.jsonl",
        f"{LINE}\n{LINE}".encode(),
        "line 2 of 'app.jsonl' is about sample 0, as a line before it; write one line for each sample, from 0 to 1",
    ),
    "a sample that is not there": (
        "app.jsonl",
        b'{"sample": 2, "outputs": {"a": [1, 2]}}',
        "line 1 of 'app.jsonl' is about sample 2; write one line for each sample, from 0 to 1",
    ),
    "a line that names no sample": (
        "app.jsonl",
        f'{LINE}\n{{"outputs": {{"a": [1, 2]}}}}'.encode(),
        "line 2 of 'app.jsonl' does not say its \"sample\"; write one line for each sample, from 0 to 1",
    ),
    "a line with too few numbers": (
        "app.jsonl",
        b'{"sample": 0, "outputs": {"a": [1]}}',
        (
            "line 1 of 'app.jsonl' has 1 number for the output 'a', and the model gives 2; write the same output of "
            "the same model"
        ),
    ),
    "text for a number": (
        "app.jsonl",
        b'{"sample": 0, "outputs": {"a": [1, "abc"]}}',
        "'app.jsonl' cannot be read (it holds \"abc\" where a number is expected); let the program write it again",
    ),
    "null for NaN": (
        "app.jsonl",
        b'{"sample": 0, "outputs": {"a": [1, null]}}',
        (
            "'app.jsonl' cannot be read (it holds null, which JavaScript writes for NaN and infinity; write them as "
            '"NaN" and "Infinity"); let the program write it again'
        ),
    ),
    "a line without outputs": (
        "app.jsonl",
        b'{"sample": 0}',
        'line 1 of \'app.jsonl\' has no outputs; write them as {"sample": 0, "outputs": {"a": […]}}',
    ),
    "outputs of other names": (
        "app.jsonl",
        b'{"sample": 0, "outputs": {"c": [1, 2]}}',
        (
            "'app.jsonl' has the arrays 'c', and none for the outputs 'a', 'b'; name the arrays after the outputs "
            "of the model"
        ),
    ),
    "an output that one line lacks": (
        "app.jsonl",
        b'{"sample": 0, "outputs": {"a": [1, 2], "b": 3}}\n{"sample": 1, "outputs": {"a": [1, 2]}}',
        (
            "line 2 of 'app.jsonl' has the outputs 'a', and a line before it 'a', 'b'; write the same outputs for each "
            "sample"
        ),
    ),
    "an output that one line has beside": (
        "app.jsonl",
        f'{LINE}\n{{"sample": 1, "outputs": {{"a": [1, 2], "b": 3}}}}'.encode(),
        (
            "line 2 of 'app.jsonl' has the outputs 'a', 'b', and a line before it 'a'; write the same outputs for each "
            "sample"
        ),
    ),
    "a checksum that one line lacks": (
        "app.jsonl",
        f'{LINE}\n{{"sample": 1, "crc32": 7, "outputs": {{"a": [1, 2]}}}}'.encode(),
        (
            "'app.jsonl' has no checksum for 1 sample of 2, the first of which is sample 0; write \"crc32\" in each "
            "line or in none"
        ),
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), FILES.values(), ids=FILES)
def test_files_that_cannot_be_read(name, content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(QuantlabError) as refused:
        read_dump(Path(name), SPECS, 2)
    assert str(refused.value) == message


def test_an_environment_that_is_no_json_is_named(tmp_path):
    np.savez(tmp_path / "app.npz", a=np.zeros((2, 2)), __environment__="{bad")
    with pytest.raises(QuantlabError, match="its __environment__ is not JSON: Expecting property name"):
        read_dump(tmp_path / "app.npz", SPECS, 2)


def test_lines_in_any_order_and_values_that_json_lacks(tmp_path):
    file = tmp_path / "app.jsonl"
    file.write_text(
        '{"sample": 1, "outputs": {"a": ["NaN", 2], "b": 3}}\n\n{"sample": 0, "outputs": {"a": [[1], ["-Infinity"]], '
        '"b": [4]}}'
    )
    dump = read_dump(file, SPECS, 2)
    np.testing.assert_array_equal(dump.outputs["a"].whole(), [[1, -np.inf], [np.nan, 2]])
    np.testing.assert_array_equal(dump.outputs["b"].whole(), [[4], [3]])
    assert dump.crc32 is None


def test_arrays_that_are_no_plain_numbers_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "app.npz", a=np.array([{}, {}], object))
    with pytest.raises(QuantlabError, match="holds Python objects, which are never unpickled"):
        read_dump(tmp_path / "app.npz", SPECS, 2)


# Checksums


@given(st.lists(st.binary(min_size=6, max_size=6), min_size=1, max_size=5))
def test_a_checksum_is_that_of_zlib_over_all_inputs(tmp_path_factory, rows):
    samples = replace(read_study_samples(tmp_path_factory), n=len(rows))
    halves = [
        np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), 6)[:, part] for part in (slice(2), slice(2, 6))
    ]
    for spec, values in zip(samples.inputs, halves, strict=True):
        np.save(samples.input_file(spec.name), values)
    assert checksums(samples).tolist() == [zlib.crc32(row) for row in rows]


def read_study_samples(tmp_path_factory):
    """A set of two inputs of bytes in a new folder."""
    from quantlab.types import SampleSet

    inputs = (TensorSpec("one", (None, 2), "uint8"), TensorSpec("two", (None, 4), "uint8"))
    return SampleSet(tmp_path_factory.mktemp("set"), inputs, 0, False, "", "x", 0, "all")


def test_what_an_integer_input_is_fed():
    port = Port("x", "x", 0, (1, 3), "int8", Codes(0.5, -1, -128, 127))
    values = np.array([[0, 0.5, -1000]], np.float32)
    np.testing.assert_array_equal(as_fed(values, port), np.array([[-1, 0, -128]], np.int8))
    assert as_fed(values, None) is values


# Dumpers


def export(study, *options):
    done = quantlab_in_process("export", "inputs", study, *options, cwd=study.parent)
    assert done.status == 0, done.stderr
    return study.parent / "inputs"


def artifact(study, setting):
    return next(trial.variant.path for trial in read_study(study).trials if trial.setting == setting)


def test_the_manifest_names_samples_and_ports(study):
    folder = export(study, "--setting", SETTING)
    manifest = json.loads((folder / "inputs.json").read_text())
    record = read_study(study)
    assert manifest["samples_sha256"] == record.samples.sha256
    assert [one["crc32"] for one in manifest["samples"]] == checksums(record.samples).tolist()
    assert (folder / "input-0.bin").stat().st_size == record.samples.n * manifest["inputs"][0]["sample_bytes"]
    assert manifest["outputs"][0]["shape"] == [10]
    again = quantlab_in_process("export", "inputs", study, cwd=study.parent)
    assert again.last == (
        "quantlab: 'inputs' is not empty, and nothing is written over; name another folder with --out"
    )


@pytest.mark.parametrize("folder", ["inputs", "there/before", "new/inputs"])
def test_a_folder_that_could_not_be_written_is_not_there_by_half(folder, study):
    place = study.parent / folder
    before = folder == "there/before"
    if before:
        place.mkdir(parents=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # as on a full disk: within the first file
    try:
        subject = Subject.of(Store(study))
        with pytest.raises(UsageError) as refused:
            export_inputs(subject, Asked(setting=SETTING, out=place))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(refused.value) == f"'{place}' cannot be written (File too large); name another folder with --out"
    assert place.exists() == before
    assert not before or not list(place.iterdir())
    assert not (study.parent / "new").exists()
    assert (export(study, "--setting", SETTING, "--out", folder).parent / folder / "inputs.json").is_file()
    assert not list(place.glob(".*"))


def test_the_python_dumper_gives_the_row_of_python(study):
    folder = export(study, "--setting", SETTING)
    command = [sys.executable, "dump.py", artifact(study, SETTING), ".", "../app.npz"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    row = imported(study, study.parent / "app.npz")
    assert (row.max_abs_from_python, row.flips_from_python) == (0, 0)
    assert row.environment["python"]
    np.testing.assert_array_equal(
        outputs_of(read_study(study), SETTING, "my-app"), outputs_of(read_study(study), SETTING, "python")
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nofile.tflite", ".", "app.npz"), "there is no 'nofile.tflite'"),
        (("junk.tflite", "..", "app.npz"), "there is no '../inputs.json'"),
        (("junk.tflite", ".", "nowhere/app.npz"), "there is no 'nowhere'"),
        (("junk.tflite", ".", "app.npz"), "ValueError: The model is not a valid Flatbuffer buffer"),
    ],
)
def test_the_python_dumper_says_in_one_line_what_is_wrong(arguments, message, study):
    folder = export(study, "--setting", SETTING)
    (folder / "junk.tflite").write_bytes(b"hello")
    command = [sys.executable, "dump.py", *arguments]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (2, [message])
    assert "Traceback" not in done.stderr


_NODE = """
import fs from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import { setWasmPaths, setThreadsCount } from '@tensorflow/tfjs-backend-wasm';
import { readInputs, runTfjs } from './dump.mjs';
setThreadsCount(1);
setWasmPaths('MODULES/@tensorflow/tfjs-backend-wasm/dist/');
await tf.setBackend('wasm');
const document = JSON.parse(fs.readFileSync('FOLDER/model.json'));
const bytes = Buffer.concat(document.weightsManifest.flatMap((group) => group.paths)
  .map((path) => fs.readFileSync(`FOLDER/${path}`)));
const weights = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const specs = document.weightsManifest.flatMap((group) => group.weights);
const model = await loadGraphModel(tf.io.fromMemory({ modelTopology: document.modelTopology, weightSpecs: specs,
  weightData: weights, signature: document.signature }));
const outputs = await runTfjs(tf, model, await readInputs('.'), { test: 'node' });
fs.writeFileSync('../app.npz', outputs.npz());
"""


def test_the_javascript_dumper_gives_the_row_of_node(study):
    if not MODULES.is_dir():
        pytest.skip("needs node_modules, which a development install has")
    folder = export(study, "--setting", "tfjs-uint8")
    (folder / "node_modules").symlink_to(MODULES)
    script = _NODE.replace("MODULES", str(MODULES)).replace("FOLDER", str(artifact(study, "tfjs-uint8")))
    (folder / "try.mjs").write_text(script)
    done = subprocess.run([find_node()[0], "try.mjs"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    import_outputs(study, study.parent / "app.npz", ImportOptions("tfjs-uint8", "my-app"))
    np.testing.assert_array_equal(
        outputs_of(read_study(study), "tfjs-uint8", "my-app"), outputs_of(read_study(study), "tfjs-uint8", "node-wasm")
    )


_PAGE = """async () => {
  const { readInputs, runTfjs } = await import('/inputs/dump.mjs');
  tf.wasm.setThreadsCount(1);
  tf.wasm.setWasmPaths('/wasm/');
  await tf.setBackend('wasm');
  const model = await tf.loadGraphModel('/model/model.json');
  const outputs = await runTfjs(tf, model, await readInputs('/inputs'), { agent: navigator.userAgent });
  return Array.from(outputs.npz());
}"""


@pytest.mark.skipif(find_browser() is None, reason="no Chromium")
def test_the_javascript_dumper_runs_in_a_page(study):
    folder = export(study, "--setting", "tfjs-uint8")
    with (
        open_browser() as browser,
        opened(browser, INSTALLED, {"inputs": folder, "model": artifact(study, "tfjs-uint8")}) as page,
    ):
        (study.parent / "app.npz").write_bytes(bytes(page.evaluate(_PAGE)))
    import_outputs(study, study.parent / "app.npz", ImportOptions("tfjs-uint8", "my-app"))
    assert "Chrome" in next(
        trial.environment["agent"] for trial in read_study(study).trials if trial.runtime == "my-app"
    )
    np.testing.assert_array_equal(
        outputs_of(read_study(study), "tfjs-uint8", "my-app"), outputs_of(read_study(study), "tfjs-uint8", "node-wasm")
    )


@pytest.mark.starts_children
@pytest.mark.parametrize("name", ["plain", "a#b %20?ä", "a link"])
def test_the_javascript_dumper_is_a_program_in_any_folder(name, tmp_path):
    folder = tmp_path / name
    if name == "a link":
        (tmp_path / "real").mkdir()
        folder.symlink_to(tmp_path / "real")
    folder.mkdir(exist_ok=True)
    shutil.copy(DUMPERS / "dump.mjs", folder)
    (folder / "other.mjs").write_text("import './dump.mjs'; console.log('imported');")
    run, imported = (
        subprocess.run([find_node()[0], folder / file], capture_output=True, text=True, check=False)
        for file in ("dump.mjs", "other.mjs")
    )
    assert (run.returncode, run.stderr) == (2, "usage: node dump.mjs MODEL.json|MODEL.onnx INPUTS OUTPUTS.npz\n")
    assert (imported.returncode, imported.stdout) == (0, "imported\n")


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("model", "package", "command"),
    [
        ("model.json", "@tensorflow/tfjs", "npm install @tensorflow/tfjs @tensorflow/tfjs-backend-wasm"),
        ("model.onnx", "onnxruntime-web", "npm install onnxruntime-web"),
    ],
)
def test_the_javascript_dumper_says_how_a_missing_package_is_installed(model, package, command, tmp_path):
    folder = tmp_path / "app"
    folder.mkdir()
    shutil.copy(DUMPERS / "dump.mjs", folder)
    about = {"format": FORMAT, "n": 0, "inputs": [], "outputs": []}
    (folder / "inputs.json").write_text(json.dumps(about))
    (folder / model).write_text("{}")
    variables = {name: value for name, value in os.environ.items() if name != "NODE_PATH"}
    run = [find_node()[0], "dump.mjs", model, ".", "app.npz"]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=False, env=variables)
    assert (done.returncode, done.stderr) == (
        2,
        (
            f"the package {package} was not found; run '{command}' in '{folder}/', or put dump.mjs into a project that "
            "has it\n"
        ),
    )
    assert command in (folder / "dump.mjs").read_text().split("const ARRAYS")[0], "at its top, too"


_LITERT = """async () => {
  const litert = await import('/litert/dist/index.js');
  const { readInputs, runLiteRt } = await import('/inputs/dump.mjs');
  await litert.loadLiteRt('/litert/wasm/');
  const model = await litert.loadAndCompile('/model/model.tflite', { accelerator: 'wasm' });
  return Array.from((await runLiteRt(litert, model, await readInputs('/inputs'))).npz());
}"""
_IMPORTS = '<script type="importmap">{"imports": {"@litertjs/wasm-utils": "/utils/dist/index.js"}}</script>'


@pytest.mark.skipif(find_browser() is None, reason="no Chromium")
def test_the_javascript_dumper_runs_litert_in_a_page(study):
    folder, file = export(study, "--setting", SETTING), artifact(study, SETTING)
    served = {"inputs": folder, "model": file.parent}
    served |= {"litert": MODULES / "@litertjs" / "core", "utils": MODULES / "@litertjs" / "wasm-utils"}
    with open_browser() as browser, opened(browser, INSTALLED, served, f"<!doctype html>{_IMPORTS}") as page:
        (study.parent / "app.npz").write_bytes(bytes(page.evaluate(_LITERT)))
    imported(study, study.parent / "app.npz")
    np.testing.assert_array_equal(
        outputs_of(read_study(study), SETTING, "my-app"), outputs_of(read_study(study), SETTING, "node-wasm")
    )


@pytest.mark.starts_children
def test_the_dumpers_run_onnx_alike(tmp_path):
    """A file of two inputs and an output, in Python and in Node.js, on inputs that were written by hand."""
    if not MODULES.is_dir():
        pytest.skip("needs node_modules, which a development install has")
    ports = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, 3]) for name in ("a", "b", "c")]
    node = onnx.helper.make_node("Mul", ["a", "b"], ["c"])
    graph = onnx.helper.make_graph([node], "product", ports[:2], ports[2:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    values = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    feeds = []
    for name, rows in zip("ab", values, strict=True):
        rows.tofile(tmp_path / f"{name}.bin")
        about = {"name": name, "tensor": name, "position": 0, "dtype": "float32", "shape": [3]}
        feeds.append({**about, "file": f"{name}.bin", "sample_bytes": 12})
    outputs = [{"name": "product", "tensor": "c", "position": 0, "dtype": "float32", "shape": [3]}]
    manifest = {"format": FORMAT, "samples_sha256": "ab" * 32, "n": 5, "batch_size": 2, "inputs": feeds}
    (tmp_path / "inputs.json").write_text(json.dumps({**manifest, "outputs": outputs}))
    for dumper in ("dump.py", "dump.mjs"):
        shutil.copy(DUMPERS / dumper, tmp_path)
    (tmp_path / "node_modules").symlink_to(MODULES)
    for program, file in ((sys.executable, "dump.py"), (find_node()[0], "dump.mjs")):
        command = [program, file, str(tmp_path / "model.onnx"), ".", f"{file}.npz"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        arrays = np.load(tmp_path / f"{file}.npz")
        np.testing.assert_array_equal(arrays["product"], values[0] * values[1])
        crc32 = [zlib.crc32(b.tobytes(), zlib.crc32(a.tobytes())) for a, b in zip(*values, strict=True)]
        assert arrays["__crc32__"].tolist() == crc32


def test_what_the_javascript_dumper_writes_is_a_sound_zip(study):
    """Python's zipfile checks the checksum of each file, and NumPy its header."""
    folder = export(study)
    (folder / "try.mjs").write_text(
        "import fs from 'node:fs';"
        "import { readInputs, Outputs, crc32 } from './dump.mjs';"
        "const inputs = await readInputs('.');"
        "const outputs = new Outputs(inputs, { ä: '✓' });"
        "for (const batch of inputs.batches(100)) {"
        "  const wide = new Float64Array(batch.count * 10).fill(batch.start);"
        "  outputs.add(batch, { output_0: wide, n: new Int8Array(batch.count) });"
        "}"
        "fs.writeFileSync('app.npz', outputs.npz());"
        "console.log(crc32(new TextEncoder().encode('123456789')));"
    )
    done = subprocess.run([find_node()[0], "try.mjs"], cwd=folder, capture_output=True, text=True, check=True)
    assert int(done.stdout) == 0xCBF43926  # the check value of the algorithm's catalogue entry
    with zipfile.ZipFile(folder / "app.npz") as archive:
        assert archive.testzip() is None
    arrays = np.load(folder / "app.npz")
    n = read_study(study).samples.n
    assert {name: (arrays[name].dtype.str, arrays[name].shape) for name in ("output_0", "n", "__crc32__")} == {
        "output_0": ("<f8", (n, 10)),
        "n": ("|i1", (n, 1)),
        "__crc32__": ("<u4", (n,)),
    }
    assert json.loads(arrays["__environment__"].tobytes()) == {"ä": "✓"}
    assert arrays["output_0"][150, 0] == 100

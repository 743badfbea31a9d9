"""The dumpers for languages without a reader of JSON, as far as a compiler is there."""

import json
import shutil
import subprocess
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from command_line import quantlab_in_process
from study_fixtures import outputs_of, read_study

from quantlab.npy import mapped
from quantlab.runtimes.elsewhere import DUMPERS, write_inputs
from quantlab.samples import checksums
from quantlab.study.importing import ImportOptions, import_outputs
from quantlab.types import SampleSet, TensorSpec

SETTING = "tflite-dynamic"

# Runs a function that gives the same bits everywhere, with batches that do not divide the samples.
_PROGRAM = r"""
#include "dump.hpp"

#include <iostream>

template <class T, class Function>
quantlab::Values first(const quantlab::Batch& batch, const quantlab::Port& input, std::size_t wanted, Function change) {
  const std::vector<T> values = batch.values<T>(input.name);
  std::vector<T> made;
  for (std::size_t place = 0; place < values.size(); ++place) {
    if (place % (values.size() / batch.count) < wanted) made.push_back(change(values[place]));
  }
  return made;
}

int main(int, char** words) try {
  const quantlab::Inputs inputs(words[1]);
  const std::size_t most = std::stoull(words[3]);
  quantlab::Outputs outputs(inputs, {{"device \"ü\"\n", "\\ C++ \x01"}});
  for (std::size_t start = 0; start < most; start += 7) {
    const quantlab::Batch batch = inputs.read(start, std::min<std::size_t>(7, inputs.n - start));
    std::map<std::string, quantlab::Values> given;
    for (std::size_t place = 0; place < inputs.outputs.size(); ++place) {
      const quantlab::Port &input = inputs.inputs[place], &output = inputs.outputs[place];
      if (words[4] && start && place == 2) continue;  // an output that is forgotten after the first batch
      std::size_t wanted = 1;
      for (const std::int64_t size : output.shape) wanted *= static_cast<std::size_t>(size);
      if (input.dtype == "float32") {
        given.emplace(output.name, first<float>(batch, input, wanted, [](float value) { return value * 3.1f - 1; }));
      } else if (input.dtype == "int64") {
        given.emplace(output.name, first<std::int64_t>(batch, input, wanted, [](std::int64_t value) {
          return -value; }));
      } else {
        given.emplace(output.name, first<std::uint8_t>(batch, input, wanted, [](std::uint8_t value) {
          return static_cast<std::uint8_t>(255 - value); }));
      }
    }
    outputs.add(batch, given);
  }
  outputs.write(words[2]);
} catch (const quantlab::Error& error) {
  std::cerr << error.what();
  return 2;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The compiled program: (folder of inputs, file of outputs, number of samples) → what it said."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("needs a C++ compiler, for example g++")
    folder = tmp_path_factory.mktemp("program")
    (folder / "main.cpp").write_text(_PROGRAM, encoding="utf-8")
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-ffp-contract=off", f"-I{DUMPERS}"]
    subprocess.run([compiler, *flags, "main.cpp", "-o", "main"], cwd=folder, check=True)

    def run(*words):
        done = subprocess.run([folder / "main", *map(str, words)], capture_output=True, text=True, check=False)
        assert (done.returncode, bool(done.stderr)) in {(0, False), (2, True)}
        return done.stderr

    return run


@pytest.fixture
def study(place):
    return place / "digits.study"


def export(study):
    done = quantlab_in_process("export", "inputs", study, "--setting", SETTING, cwd=study.parent)
    assert done.status == 0, done.stderr
    return study.parent / "inputs"


def test_the_outputs_of_a_program_are_imported_bit_for_bit(program, study):
    record = read_study(study)
    file = study.parent / "app.npz"
    assert program(export(study), file, record.samples.n) == ""
    imported = import_outputs(study, file, ImportOptions(SETTING, "my-app"))
    fed = mapped(record.samples.input_file(record.samples.inputs[0].name))
    expected = fed.reshape(len(fed), -1)[:, :10] * np.float32(3.1) - np.float32(1)
    assert expected.dtype == np.float32
    np.testing.assert_array_equal(outputs_of(read_study(study), SETTING, "my-app"), expected)
    row = next(trial for trial in imported.trials if trial.runtime == "my-app")
    assert row.environment == {'device "ü"\n': "\\ C++ \x01"}


@pytest.fixture
def odd(study, tmp_path):
    """Inputs of several data types, with names that only escaping brings through a text file."""
    rng = np.random.default_rng(0)
    values = {
        "a\tb\n%41 ü": rng.integers(0, 256, (23, 2, 3), np.uint8),
        "": rng.integers(-(2**60), 2**60, (23,), np.int64),
        "c/d": rng.standard_normal((23, 5), np.float32),
    }
    specs = tuple(TensorSpec(name, (None, *one.shape[1:]), one.dtype.name) for name, one in values.items())
    samples = SampleSet(tmp_path / "samples", specs, 23, False, "ab" * 32, "x", 23, "all")
    samples.folder.mkdir()
    np.save(samples.folder / "indices.npy", np.arange(23))
    for name, one in values.items():
        np.save(samples.input_file(name), one)
    record = read_study(study)
    shapes = {"✓": (None, 2, 3), "none of the samples'": (None,), "part": (None, 2)}
    outputs = tuple(TensorSpec(*one, "float32") for one in shapes.items())
    (tmp_path / "odd").mkdir()
    made = replace(record, samples=samples, model=replace(record.model, outputs=outputs))
    write_inputs(tmp_path / "odd", made, None, {})
    return tmp_path / "odd", values, samples


def test_several_inputs_of_any_name_and_type(program, odd, tmp_path):
    folder, values, samples = odd
    assert program(folder, tmp_path / "app.npz", 23) == ""
    with zipfile.ZipFile(tmp_path / "app.npz") as archive:
        assert archive.testzip() is None
        assert {one.compress_type for one in archive.infolist()} == {zipfile.ZIP_STORED}
    made = np.load(tmp_path / "app.npz", allow_pickle=False)
    first, second, third = values.values()
    np.testing.assert_array_equal(made["✓"], 255 - first)
    np.testing.assert_array_equal(made["none of the samples'"], -second)
    np.testing.assert_array_equal(made["part"], third[:, :2] * np.float32(3.1) - np.float32(1))
    assert [made[name].dtype for name in ("✓", "none of the samples'", "part")] == [np.uint8, np.int64, np.float32]
    np.testing.assert_array_equal(made["__crc32__"], checksums(samples))
    assert made["__samples_sha256__"].tobytes() == b"ab" * 32
    assert json.loads(made["__environment__"].tobytes()) == {'device "ü"\n': "\\ C++ \x01"}


def test_the_plain_manifest(odd):
    folder, _, _ = odd
    assert (folder / "inputs.txt").read_bytes().decode().splitlines() == [
        "quantlab inputs 1",
        "samples\t" + "ab" * 32,
        "n\t23",
        "input\ta%09b%0A%2541%20%C3%BC\ta%09b%0A%2541%20%C3%BC\t0\tuint8\t2,3\tinput-0.bin\t6",
        "input\t\t\t1\tint64\t\tinput-1.bin\t8",
        "input\tc%2Fd\tc%2Fd\t2\tfloat32\t5\tinput-2.bin\t20",
        "output\t%E2%9C%93\t%E2%9C%93\t0\tfloat32\t2,3",
        "output\tnone%20of%20the%20samples%27\tnone%20of%20the%20samples%27\t1\tfloat32\t",
        "output\tpart\tpart\t2\tfloat32\t2",
    ]


def test_what_the_program_refuses(program, odd, tmp_path):
    folder, _, _ = odd
    file = tmp_path / "app.npz"
    assert program(folder, file, 14) == "outputs of 14 of 23 samples were added"
    assert program(tmp_path, file, 23) == f"{tmp_path}/inputs.txt was not written by quantlab export inputs"
    assert program(folder, file, 23, "forget") == (
        "the output 'part' was not added for each sample, or has other sizes in some"
    )
    assert not file.exists()
    with (folder / "input-2.bin").open("r+b") as damaged:
        damaged.truncate(459)
    assert program(folder, file, 23) == f"{folder}/input-2.bin is missing or too short"
    assert not file.exists()
    shutil.copy(DUMPERS / "dump.py", tmp_path / "inputs.txt")
    assert program(tmp_path, file, 23) == f"{tmp_path}/inputs.txt was not written by quantlab export inputs"
    assert program(folder, tmp_path, 0) == "outputs of 0 of 23 samples were added"

"""Large artifacts are compressed when everything else is done, and their sizes are completed."""

from dataclasses import replace
from pathlib import Path

import brotli
import numpy as np
import pytest
from command_line import quantlab_in_process as run
from onnx_models import node, port, write
from study_fixtures import Heard

from quantlab import AnalyzeOptions, analyze, measure_sizes
from quantlab.store import Store
from quantlab.types import DownloadSize

pytestmark = pytest.mark.starts_children

WIDTH = 50_000
"""Of the samples; the kernel then has 600 KB, which repeat themselves, so that they are quickly compressed."""


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """A folder with a large ONNX model and samples for it."""
    folder = tmp_path_factory.mktemp("large")
    kernel = np.tile(np.eye(3, dtype=np.float32), (WIDTH // 3 + 1, 1))[:WIDTH]
    ports = [port("x", ["n", WIDTH])], [port("y", ["n", 3])]
    write(folder / "large.onnx", [node("MatMul", ["x", "kernel"], "y")], ports, {"kernel": kernel})
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(20, WIDTH)).astype(np.float32))
    return folder


def analyzed(folder: Path, out: Path, progress=None, **options):
    asked = {"settings": ("onnx-float32",), "runtimes": ("python",), "layers": False, "costs": False, **options}
    return analyze(
        folder / "large.onnx",
        data=str(folder / "x.npy"),
        options=AnalyzeOptions(out=out, **asked),
        progress=progress,
    )


def brotli_of(study):
    return [trial.variant.brotli_bytes for trial in study.trials]


def test_a_study_that_is_stopped_before_its_sizes_goes_on(large, tmp_path):
    before = analyzed(large, tmp_path / "s", download_sizes=False)
    (file,) = [trial.variant.path for trial in before.trials]
    expected = len(brotli.compress(file.read_bytes(), quality=11))
    assert brotli_of(before) == [None]
    (variant,) = measure_sizes(tmp_path / "s", progress=(heard := Heard()))
    assert variant.brotli_bytes == expected
    assert heard.ended == {"compress onnx-float32": "done"}
    completed = Store(tmp_path / "s").read_study()
    assert completed == replace(before, trials=tuple(replace(trial, variant=variant) for trial in before.trials))
    assert measure_sizes(tmp_path / "s") == ()


def test_the_same_command_completes_them(large, tmp_path):
    analyzed(large, tmp_path / "s", download_sizes=False)
    heard = Heard()
    assert brotli_of(analyzed(large, tmp_path / "s", heard))[0] > 0
    assert heard.ended["run onnx-float32 in python"] == "kept"
    assert heard.ended["compress onnx-float32"] == "done"


def test_a_size_that_is_kept_is_not_measured_again(large, tmp_path):
    study = analyzed(large, tmp_path / "s", download_sizes=False)
    store = Store(tmp_path / "s")
    assert measure_sizes(tmp_path / "s")
    (record,) = (tmp_path / "s" / "transfer").glob("*.json")
    store.write(record, DownloadSize(brotli_bytes=7, minimum_runtime=None))
    store.write_study(study)
    assert [variant.brotli_bytes for variant in measure_sizes(tmp_path / "s")] == [7]


def test_the_table_is_printed_first(large, tmp_path):
    words = ["--settings", "onnx-float32", "--runtimes", "python", "--no-layers", "--no-costs", "--out", "s"]
    command = ["analyze", str(large / "large.onnx"), "--data", str(large / "x.npy"), *words]
    printed = run(*command, cwd=tmp_path)
    table, sizes = printed.stdout.split("Terms: quantlab glossary\n", 1)
    assert "reference" in table
    assert "brotli KB" not in table
    (size,) = {trial.variant.brotli_bytes for trial in Store(tmp_path / "s").read_study().trials}
    (line,) = [line for line in sizes.splitlines() if line.startswith("onnx-float32")]
    assert line.split()[-1] == f"{size / 1e3:.1f}"
    assert printed.stderr.index("Study saved in") < printed.stderr.index("compress onnx-float32: done")
    assert "brotli KB" not in run(*command, cwd=tmp_path).stdout

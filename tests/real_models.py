"""The published models, opened and converted once for all test files that study them.

A study that begins in a copy of such a folder converts nothing again that is there, as any later `analyze` of the same
model. What is tested is what was converted in this run, or in an earlier one on the same sources (see `kept`).

conftest.py makes the fixtures known to all test files.

PYTEST_DONT_REWRITE: test files import this module before pytest learns that it is a plugin too.
"""

import shutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pytest
from kept import QUANTLAB, kept

from quantlab import AnalyzeOptions, analyze

__all__ = ["FILES", "begun", "converted"]

FILES = {
    "fashion": ("fashion-mnist/fashion_dscnn.keras", "fashion-mnist/test.npz"),
    "kws": ("mlperf-tiny/kws_ref_model", "kws01/kws01.npz"),
}
"""Model and samples, below the folder of the data."""

_SETTINGS = {
    "fashion": ("tfjs-[!l]*", "tflite-*", "onnx-*"),  # those with an l are made of models of tf_keras alone
    # TensorFlow takes four seconds for each TFLite file of it.
    "kws": ("tfjs-[!l]*", "tflite-float32", "tflite-int8", "tflite-*-wi*", "onnx-*"),
}
"""The settings that tests study."""


@pytest.fixture(scope="session")
def converted(request: pytest.FixtureRequest, data_folder: Path) -> Callable[[str], Path]:
    """The folder of a study of `fashion` or `kws` in Python, on few samples; made when first asked for."""

    @cache
    def folder(name: str) -> Path:
        model, data = (data_folder / file for file in FILES[name])
        files = [file for file in (model, model / "saved_model.pb", data) if file.is_file()]
        make = partial(_convert, model, str(data), _SETTINGS[name])
        return kept(request, f"{name}-converted", (__file__, *files, *QUANTLAB), make) / "study"

    return folder


def _convert(model: Path, data: str, settings: tuple[str, ...], folder: Path) -> None:
    options = AnalyzeOptions(
        settings=settings, runtimes=("python",), limit=20, layers=False, costs=False, out=folder / "study"
    )
    assert analyze(model, data=data, options=options).failed == ()


@pytest.fixture(scope="session")
def begun(converted: Callable[[str], Path]) -> Callable[[str, Path], Path]:
    """Makes a folder for a study of `fashion` or `kws` in which the model is opened and the variants are there."""

    def copy(name: str, out: Path) -> Path:
        for part in ("model", "variants", "transfer"):
            shutil.copytree(converted(name) / part, out / part)
        return out

    return copy

"""The pipelines of Python code: Pillow, TensorFlow, OpenCV."""

import platform
from importlib.metadata import PackageNotFoundError, version

from quantlab.pipelines.contract import AppPipeline, AppStep, StepPlace
from quantlab.runtimes import python

__all__ = ["PIPELINES"]

_CHILD = "quantlab.worker.preparing"


_OPENCV_PACKAGES = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)
"""Packages that have the module `cv2`."""


def _environment() -> dict[str, str]:
    versions = {"python": platform.python_version(), "pillow": version("pillow"), "tensorflow": version("tensorflow")}
    for name in _OPENCV_PACKAGES:
        try:
            return {**versions, "opencv": version(name)}
        except PackageNotFoundError:
            continue
    return versions


_PYTHON = StepPlace("python", python.HOST, "", _environment)


def _step(name: str, function: str, library: str) -> AppStep:
    return AppStep(name, f"{_CHILD}:{function}", library, _PYTHON)


def _opencv(name: str, function: str, library: str) -> AppStep:
    return AppStep(name, f"{_CHILD}:{function}", library, _PYTHON, module="cv2", package="opencv-python-headless")


_PILLOW = _step("Pillow", "decode_pillow", "Image.open(file).convert('RGB')")
_TENSORFLOW = _step("TensorFlow", "decode_tensorflow", "tf.io.decode_image(content, channels=3)")
_OPENCV = _opencv("OpenCV", "decode_opencv", "cv2.cvtColor(cv2.imread(file), cv2.COLOR_BGR2RGB)")

PIPELINES = (
    AppPipeline(
        "python-pillow",
        _PILLOW,
        _step("Pillow bilinear", "resize_pillow_bilinear", "image.resize((width, height), Image.BILINEAR)"),
    ),
    AppPipeline(
        "python-pillow-default",
        _PILLOW,
        _step("Pillow bicubic", "resize_pillow_bicubic", "image.resize((width, height))"),
    ),
    AppPipeline(
        "keras-load-img",
        _PILLOW,
        _step("Pillow nearest", "resize_pillow_nearest", "keras.utils.load_img(file, target_size=(height, width))"),
    ),
    AppPipeline(
        "tf",
        _TENSORFLOW,
        _step("tf.image.resize", "resize_tensorflow", "tf.image.resize(image, (height, width))"),
    ),
    AppPipeline(
        "tf-antialias",
        _TENSORFLOW,
        _step(
            "tf.image.resize with antialias",
            "resize_tensorflow_antialias",
            "tf.image.resize(image, (height, width), antialias=True)",
        ),
    ),
    AppPipeline(
        "opencv",
        _OPENCV,
        _opencv("OpenCV INTER_LINEAR", "resize_opencv_linear", "cv2.resize(image, (width, height))"),
    ),
    AppPipeline(
        "opencv-area",
        _OPENCV,
        _opencv(
            "OpenCV INTER_AREA",
            "resize_opencv_area",
            "cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)",
        ),
    ),
)
"""In the order of the tables."""

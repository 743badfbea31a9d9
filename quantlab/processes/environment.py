"""The surroundings of children that are Python programs: variables, and where modules are looked for."""

import os
import sys
from pathlib import Path

__all__ = ["import_path", "python_environment"]

_PROGRAM = {"", str(Path.cwd()), str(Path(sys.argv[0]).resolve().parent)}
"""What Python may have put first on its path for a program that starts now."""


def python_environment(*, onednn: bool) -> dict[str, str]:
    """Variables for a child that imports TensorFlow: quiet, on the CPU, our packages importable.

    Grappler with oneDNN on emits ops that the tfjs converter refuses, and inference is faster with it: hence a choice
    that only a process of its own can make.
    """
    return {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "1" if onednn else "0",
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
        "TFDF_DISABLE_WELCOME_MESSAGE": "1",
        "TF_USE_LEGACY_KERAS": "",
        "PYTHONPATH": os.pathsep.join(import_path()),
        "PYTHONUNBUFFERED": "1",
    }


def import_path() -> list[str]:
    """Where a child looks for modules: where we do, without the folder that Python put first for our program.

    That is the current folder, or the program's. A `keras.py` that lies there would be taken for the library.
    """
    first = sys.path[0] if sys.path else ""
    return [path for path in (sys.path[1:] if first in _PROGRAM else sys.path) if path]

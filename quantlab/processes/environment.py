"""The surroundings of children that are Python programs: variables, and where modules are looked for."""

import os
import sys
from pathlib import Path

from quantlab.user_modules import folders_of_users

__all__ = ["import_path", "onednn", "python_environment"]

_PROGRAM = {"", str(Path.cwd()), str(Path(sys.argv[0]).resolve().parent)}
"""What Python may have put first on its path for a program that starts now."""

_FIRST = frozenset(sys.path[:1]) & _PROGRAM
"""What it has put there, if anything; a loader may put more before it later."""


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

    That is the current folder, or the program's. A `keras.py` that lies there would be taken for the library. Folders
    that were added for a user's module are left out for the same reason, and since children that look elsewhere need
    another fork server; modules of `--custom` are looked for in the current folder alone.
    """
    path = [folder for folder in sys.path if folder]
    for folder in _FIRST | folders_of_users():
        if folder in path:  # once: the same folder may stand there for another reason, as that of an editable install
            path.remove(folder)
    return path


def onednn() -> bool:
    """Whether processes that run TensorFlow's kernels have oneDNN on: yes, unless TF_ENABLE_ONEDNN_OPTS=0 says no.

    It holds for a whole process, and another order of sums in its kernels gives other last digits.
    """
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0"

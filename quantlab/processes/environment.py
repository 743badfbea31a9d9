"""The environment variables and the import path of Python children."""

import os
import sys
from pathlib import Path

from quantlab.user_modules import folders_of_users

__all__ = ["import_path", "onednn", "python_environment", "usable_cores"]

_PROGRAM = {"", str(Path.cwd()), str(Path(sys.argv[0]).resolve().parent)}
"""Folders that Python may put first on `sys.path` at the start of a program."""

_FIRST = frozenset() if sys.flags.safe_path else frozenset(sys.path[:1]) & _PROGRAM
"""The folder that Python has put there, if any; recorded now, because a loader may insert others later."""


def python_environment(*, onednn: bool) -> dict[str, str]:
    """Variables for a child that imports TensorFlow: no log output, CPU only, quantlab's packages importable.

    With oneDNN, Grappler emits ops that the tfjs converter refuses, but inference is faster. The choice holds for a
    whole process.
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
    """The import path of a child: that of this program without the folder that Python put first for the program.

    This folder is the current one, or that of the program's file; a `keras.py` there would hide the library. Folders
    that were added for a user's module are left out for the same reason, and because each import path needs its own
    fork server. Modules of `--custom` are searched for in the current folder.
    """
    path = [folder for folder in sys.path if folder]
    for folder in _FIRST | folders_of_users():
        if folder in path:  # once: it may also be there for another reason, such as an editable install
            path.remove(folder)
    return path


def onednn() -> bool:
    """Whether processes that run TensorFlow's kernels use oneDNN: yes, unless TF_ENABLE_ONEDNN_OPTS=0 is set.

    It holds for a whole process. Its kernels add in another order, so the last digits of outputs differ.
    """
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0"


def usable_cores() -> int:
    """Number of cores that this process may use, if the system reports it, else of all cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

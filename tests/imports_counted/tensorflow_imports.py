"""Records each process that imports TensorFlow, which costs seconds of CPU time that tests should save.

It writes a line of JSON to the file named by `QUANTLAB_TESTS_IMPORTS`. A fork of a process that has imported TensorFlow
is not recorded.
"""

import json
import os
import sys

__all__ = ["VARIABLE", "note_from_now_on"]

VARIABLE = "QUANTLAB_TESTS_IMPORTS"
"""Names the file."""

_LOADED_BY_TENSORFLOW = "tensorflow.python"
"""What nothing but the import itself asks for; whether there is a `tensorflow` is asked without importing it."""


class _Noting:
    """A finder that finds nothing, and notes what is looked for."""

    def __init__(self, file: str) -> None:
        self._file = file  # now, since the variables may be others when it is imported

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        del path, target
        if name == _LOADED_BY_TENSORFLOW:
            line = {"command": sys.orig_argv, "test": os.environ.get("PYTEST_CURRENT_TEST", "")}
            with open(self._file, "a") as file:  # noqa: PTH123 (pathlib costs every program its import)
                file.write(json.dumps(line) + "\n")  # one write, which is appended whole


def note_from_now_on() -> None:
    """Note if this process imports TensorFlow; does nothing where that is noted already, or nobody asks for it."""
    file = os.environ.get(VARIABLE)
    if file and not any(isinstance(finder, _Noting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Noting(file))

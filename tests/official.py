"""Calls the official tools like their own programs do, in a fork of the converters' fork server.

Each of their programs would need seconds to import TensorFlow. No conversion code of quantlab is used here.
"""

import json
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from kept import make_in_fork

from quantlab.processes import Document, Emit, serve

__all__ = ["converted_officially", "run_as_program", "weights_read_officially"]


def converted_officially(commands: Sequence[Sequence[str]], log: Path) -> None:
    """Call `tensorflowjs_converter` with each command's arguments, one after the other."""
    make_in_fork("official", {"commands": [list(command) for command in commands]}, log, onednn=False)


def run_as_program(text: str, log: Path, *words: str) -> list[str]:
    """Run the text of a Python program in the current folder, as `python -c` does, with words for `sys.argv`.

    A module that it starts as a program of its own is run here, too. The lines of the log are returned: those that the
    program prints, and those of its libraries.
    """
    make_in_fork("official", {"program": text, "words": list(words)}, log)
    return log.read_text().splitlines()


def weights_read_officially(folders: Sequence[Path], target: Path) -> list[Mapping[str, npt.NDArray[Any]]]:
    """Each graph-model's weights by name, as tensorflowjs' own reader decodes them; they lie in a folder meanwhile."""
    request = {"folders": [str(folder) for folder in folders], "target": str(target)}
    make_in_fork("official", request, target / "official.log", onednn=False)
    return [_named(target / f"{place}.npz") for place in range(len(folders))]


def _named(file: Path) -> dict[str, npt.NDArray[Any]]:
    with np.load(file) as arrays:
        return {str(name): arrays[str(number)] for number, name in enumerate(arrays["names"])}


def _answer(request: Document, _: Emit) -> None:
    if "program" in request:
        sys.argv = ["-c", *request["words"]]
        subprocess.run = _run_module
        exec(request["program"], {"__name__": "__main__"})  # noqa: S102 (what quantlab recommends)
        sys.stdout.flush()  # into the log, which is read next
        return
    from tensorflowjs.converters.converter import convert

    for command in request.get("commands", ()):
        convert(command)
    for place, folder in enumerate(request.get("folders", ())):
        _read(Path(folder), Path(request["target"], f"{place}.npz"))


def _run_module(command: Sequence[str], *, check: bool) -> None:
    """Stands in for `subprocess.run` of `python -m MODULE …`."""
    executable, option, module, *words = command
    assert (executable, option, check) == (sys.executable, "-m", True)
    before, sys.argv = sys.argv, [module, *words]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        sys.argv = before


def _read(folder: Path, target: Path) -> None:
    from tensorflowjs.read_weights import read_weights

    manifest = json.loads((folder / "model.json").read_text())["weightsManifest"]
    read = read_weights(manifest, str(folder), flatten=True)
    data = {str(number): weight["data"] for number, weight in enumerate(read)}
    np.savez(target, names=[weight["name"] for weight in read], **data)


if __name__ == "__main__":
    serve(_answer)

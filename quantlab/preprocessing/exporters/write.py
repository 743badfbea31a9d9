"""Writes an export into a folder: code, README, vectors."""

from dataclasses import dataclass
from pathlib import Path

from quantlab.errors import UsageError
from quantlab.preprocessing.exporters.contract import Exporter
from quantlab.preprocessing.exporters.vectors import write_vectors
from quantlab.preprocessing.words import steps_of
from quantlab.types import Pipeline

__all__ = ["Exported", "write_export"]


DTYPES = ("float32", "float64", "uint8", "int8", "int32")
"""Data types that samples can have in JavaScript."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    folder: Path
    files: tuple[str, ...]
    """Paths below the folder, sorted."""


def write_export(exporter: Exporter, pipeline: Pipeline, folder: Path) -> Exported:
    """Write the code of a pipeline, a README, and vectors with a test.

    Args:
        exporter: The language.
        pipeline: The pipeline.
        folder: A new or empty folder.

    Raises:
        UsageError: If the folder is not empty, or cannot be written, or the data type does not exist everywhere.
    """
    if pipeline.dtype not in DTYPES:
        raise UsageError(
            f"a pipeline of {pipeline.dtype} cannot be exported, because not every language has this data type; the "
            f"ones that all have are {', '.join(DTYPES)}"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"'{folder}' is not empty, and nothing is written over; name another folder with --out")
        for name, text in exporter.files(pipeline).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        (folder / "README.md").write_text(_readme(exporter, pipeline), encoding="utf-8")
        write_vectors(pipeline, folder, exporter.tolerance(pipeline))
    except OSError as error:
        raise UsageError(f"'{folder}' cannot be written ({error.strerror}); name another folder with --out") from error
    written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return Exported(folder, tuple(written))


def _readme(exporter: Exporter, pipeline: Pipeline) -> str:
    about = (
        f"{exporter.title}, written by `quantlab preprocessing export`. It turns pictures into samples of shape "
        f"{pipeline.shape} and data type {pipeline.dtype}."
    )
    more = ", or add it to the tests of your application" if exporter.runs_alone else ""
    testing = (
        f"Run `{exporter.test}` {exporter.where}{more}. `vectors.json` names images, their decoded "
        "pixels, and the tensors that Python makes of them. The largest difference that the test "
        f"allows is {exporter.tolerance(pipeline):.6g}. Vectors of another pipeline are refused by their hash."
    )
    steps = "\n".join(f"{number}. {text}" for number, text in enumerate(steps_of(pipeline), start=1))
    lines = ["# Preprocessing", about, f"```\n{exporter.use}\n```", "## Steps", steps, "## Test", testing]
    differences = exporter.differences(pipeline)
    if differences:
        lines += ["## Differences from Python", "\n".join(f"- {text}" for text in differences)]
    return "\n\n".join(lines) + "\n"

"""Names of the classes of a model, from an option or from a file beside it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.errors import SamplesError, UsageError
from quantlab.names import excerpt

__all__ = ["NAMES_FILES", "ClassNames", "class_names_beside", "read_class_names"]

NAMES_FILES = ("class_names.txt", "labels.txt", "class_names.json")
"""Files beside a model that name its classes; the first that is there is read."""
_OF_SAMPLES = "labels.txt"
"""Of these, the name that a file with the label of each sample may have, too; then it names no classes."""
_MOST_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class ClassNames:
    """Names in the order of a model's outputs."""

    names: tuple[str, ...]
    source: str
    """Where they come from, in words."""
    asked: bool
    """Whether the user named them, so that names that do not fit are an error and no warning."""

    def problem(self, classes: int | None) -> str | None:
        """Why they cannot be those of an output with so many classes, as a sentence; None if they can be."""
        if classes is None or classes == len(self.names):
            return None
        return (
            f"{self.source} names {len(self.names):,} classes, and the output has {classes:,}; write one name for each "
            f"class, in the order of the outputs"
        )


def read_class_names(text: str) -> ClassNames:
    """Read `--class-names`: a file with a name per line or a JSON list, or names separated by commas.

    Raises:
        UsageError: If the file cannot be read or is no list of names.
    """
    path = Path(text)
    if path.suffix in {".txt", ".json"} or path.is_file():
        try:
            return ClassNames(_names_in(path), f"'{text}'", asked=True)
        except SamplesError as error:
            raise UsageError(str(error)) from error
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise UsageError(f"--class-names is '{text}', and a name in it is empty; separate the names by single commas")
    return ClassNames(names, "--class-names", asked=True)


def class_names_beside(model: Path) -> ClassNames | None:
    """Read the names in one of `NAMES_FILES` beside a model, or inside a SavedModel's folder; None without such a file.

    Raises:
        SamplesError: If the file cannot be read or is no list of names.
    """
    folders = (model, model.parent) if model.is_dir() else (model.parent,)
    for file in (folder / name for folder in folders for name in NAMES_FILES):
        if file.is_file() and not (file.name == _OF_SAMPLES and _labels_samples(file)):
            return ClassNames(_names_in(file), f"'{file}'", asked=False)
    return None


def _labels_samples(file: Path) -> bool:
    """Whether a file holds labels of samples: numbers, or names of which one comes twice."""
    try:
        names = _lines_of(file)
    except SamplesError:
        return False  # which is said when it is read as names
    return len(set(names)) < len(names) or all(name.strip().isdecimal() for name in names)


def _names_in(file: Path) -> tuple[str, ...]:
    names = _lines_of(file)
    if not _are_names(names):
        raise SamplesError(f"'{file}' is no list of names of classes; write one name per line, and none empty")
    stripped = tuple(name.strip() for name in names)
    twice = next((name for place, name in enumerate(stripped) if name in stripped[:place]), None)
    if twice is not None:
        raise SamplesError(f"'{file}' names the class '{excerpt(twice)}' twice; write one name for each class")
    return stripped


def _lines_of(file: Path) -> Any:
    """The lines of a text file, or the document of a JSON file."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise SamplesError(f"'{file}' has more than {_MOST_BYTES:,} bytes, which are no names of classes")
        text = file.read_text(encoding="utf-8-sig")
        return json.loads(text) if file.suffix == ".json" else text.rstrip("\n").split("\n")
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text or JSON"
        raise SamplesError(
            f"the names of classes in '{file}' cannot be read ({why}); write one name per line"
        ) from error


def _are_names(names: object) -> bool:
    if not isinstance(names, Sequence) or isinstance(names, str) or not names:
        return False
    return all(isinstance(name, str) and name.strip() for name in names)

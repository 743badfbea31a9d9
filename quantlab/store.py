"""The study on disk: found by hash, written whole or not at all.

```text
STUDY/
  study.json                                 the record that `show` reads; its schema is `Study`
  model/<key>/                               what opening said, and the SavedModel of a Keras file
  samples/                                   what every runtime is fed (see quantlab.samples)
  variants/<setting>/<key>/artifact/…        what is shipped, and nothing else; variant.json beside it
  outputs/<setting>/<runtime>/<key>/         <output>.npy and outputs.json
  outputs/<setting>/<runtime>/<key>.partial/ the same while it runs, with progress.json
  costs.json                                 what every trial costs; its schema is `Costs`
  costs/<setting>/<runtime>/<key>.json       one trial's, as measured
  transfer/<key>.json                        an artifact's download size in brotli, which is slow to compute
  work/                                      logs, job documents; may be deleted
```

A key is the hash of all that the thing depends on, so work is kept exactly as long as it is true. Paths in records are
relative to the study's folder, which may be moved. JSON has no NaN and no infinity: such a float is written as one of
the strings `"NaN"`, `"Infinity"` and `"-Infinity"`, as protobuf's JSON mapping does.
"""

import contextlib
import fcntl
import functools
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import cattrs

from quantlab.errors import StudyError
from quantlab.types import Costs, Inside, Study

__all__ = ["SCHEMA", "Store", "find_latest", "json_number", "key_of", "write_json"]

SCHEMA = 1
"""Of `study.json`; a study of another is refused."""

_BEFORE_THE_MODEL = {".lock", "model", "work"}
"""What a study that was stopped at once may hold without knowing its model."""

_UNFINISHED = "unfinished"
"""In the work folder while variants are made and run."""

_Value = TypeVar("_Value")
_STRINGS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def json_number(value: float) -> float | str:
    """A float as JSON can hold it.

    >>> json_number(0.5), json_number(-math.inf)
    (0.5, '-Infinity')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(value)


def key_of(parts: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits that stand for all that something depends on.

    >>> key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    True
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_json(path: Path, document: Any) -> None:
    """Write JSON beside its place and rename it there, so that nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1, allow_nan=False, ensure_ascii=False)
            file.write("\n")
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def find_latest(folder: Path) -> Path:
    """The study at or below a folder, at most two levels down, that was written last.

    Raises:
        StudyError: If there is none.
    """
    studies = [path for pattern in ("study.json", "*/study.json", "*/*/study.json") for path in folder.glob(pattern)]
    if not studies:
        raise StudyError(f"there is no study in '{folder}'; make one with 'quantlab analyze', or name its folder")
    return max(studies, key=lambda path: path.stat().st_mtime).parent


class Store:
    """A study's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one writer.

        Raises:
            StudyError: If another process holds it, it cannot be written, or it holds things that are not a study.
        """
        self._refuse_strangers()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / ".lock").open("a")
        except OSError as error:
            raise StudyError(
                f"the study '{self.root}' cannot be written ({error.strerror}); choose another --out"
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise StudyError(
                    f"another quantlab is working on the study '{self.root}'; wait for it, or choose another --out"
                ) from error
            yield

    @contextlib.contextmanager
    def unfinished(self) -> Iterator[None]:
        """Mark the record as one of before, until the block has ended: what was killed in it left the mark."""
        mark = self.work / _UNFINISHED
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        yield
        mark.unlink(missing_ok=True)

    def refuse_running(self) -> None:
        """Check that the study's record is that of its last analysis.

        Raises:
            StudyError: If another process is writing it, or one was stopped before it was done.
        """
        try:
            with (self.root / ".lock").open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StudyError(f"the study '{self.root}' is being analyzed right now; wait until that is done") from error
        except OSError:
            pass  # a study that was copied without its lock
        if (self.work / _UNFINISHED).exists():
            raise StudyError(
                f"the last analysis of '{self.root}' was stopped before it was done, and the record is of one before; "
                f"run the same 'quantlab analyze' again, which goes on where it was"
            )

    def _refuse_strangers(self) -> None:
        """Before anything is written: a folder of the user's own stays as it is."""
        if not self.root.is_dir() or (self.root / "model" / "sha256").is_file():
            return
        strangers = sorted(entry.name for entry in self.root.iterdir() if entry.name not in _BEFORE_THE_MODEL)
        if strangers:
            raise StudyError(
                f"'{self.root}' is not empty and not a study (it holds '{strangers[0]}'); choose another --out"
            )

    @property
    def work(self) -> Path:
        """For logs and other things that may be deleted."""
        return self.root / "work"

    def model_folder(self, key: str) -> Path:
        """Where a model's description is kept."""
        return self.root / "model" / key

    def variant_folder(self, setting: str, key: str) -> Path:
        """Where one making of a setting is kept."""
        return self.root / "variants" / setting / key

    def output_folder(self, setting: str, runtime: str, key: str) -> Path:
        """Where the outputs of one run are kept."""
        return self.root / "outputs" / setting / runtime / key

    @functools.cached_property
    def _converter(self) -> cattrs.Converter:
        converter = cattrs.Converter(forbid_extra_keys=True)
        converter.register_unstructure_hook(float, json_number)
        converter.register_structure_hook(
            float, lambda value, _: _STRINGS[value] if isinstance(value, str) else float(value)
        )
        converter.register_unstructure_hook(Path, self.relative)
        converter.register_structure_hook(Path, lambda value, _: self.absolute(value))
        return converter

    def relative(self, path: Path) -> str:
        """A path as records hold it: relative where it lies in the study."""
        path, root = path.absolute(), self.root.absolute()
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

    def absolute(self, text: str) -> Path:
        """The path that `relative` wrote; an absolute one stays."""
        return self.root.absolute() / text

    def write(self, path: Path, value: Any) -> None:
        """Write a dataclass of `quantlab.types` as JSON."""
        write_json(path, self._converter.unstructure(value))

    def read(self, path: Path, kind: type[_Value]) -> _Value | None:
        """The dataclass that was written, or None where there is none or it is of another version of quantlab."""
        try:
            return self._converter.structure(json.loads(path.read_text(encoding="utf-8")), kind)
        except (OSError, ValueError, KeyError, TypeError, RecursionError, cattrs.BaseValidationError):
            return None

    def read_study(self) -> Study:
        """The study's record.

        Raises:
            StudyError: If there is none, it is broken, or of another schema.
        """
        path = self.root / "study.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise StudyError(
                f"'{self.root}' is no finished study; make it with 'quantlab analyze … --out {self.root}'"
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise StudyError(
                f"'{path}' cannot be read ({error}); run 'quantlab analyze' again, which keeps what is done"
            ) from error
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            schema = document.get("schema") if isinstance(document, dict) else None
            raise StudyError(
                f"'{path}' has the schema {schema} and this quantlab reads {SCHEMA}; run 'quantlab analyze' again"
            )
        try:
            return self._converter.structure(document, Study)
        except (ValueError, KeyError, TypeError, RecursionError, cattrs.BaseValidationError) as error:
            raise StudyError(
                f"'{path}' is not a whole study; run 'quantlab analyze' again, which keeps what is done"
            ) from error

    def inside_or_none(self) -> Inside | None:
        """What was found inside the variants; None where nothing was looked at."""
        return self.read(self.root / "inside.json", Inside)

    def read_inside(self) -> Inside:
        """What was found inside the variants.

        Raises:
            StudyError: If the study has none, or it is of another version.
        """
        inside = self.inside_or_none()
        if inside is None:
            raise StudyError(
                f"nothing was read inside the variants of '{self.root}'; "
                f"run 'quantlab analyze' again without --no-layers"
            )
        return inside

    def write_inside(self, inside: Inside) -> None:
        """Write what was found inside the variants."""
        self.write(self.root / "inside.json", inside)

    def forget_inside(self) -> None:
        """Take away what was found of other trials; the rows of each trial are kept by their hashes."""
        (self.root / "inside.json").unlink(missing_ok=True)

    def read_costs(self) -> Costs:
        """What every trial costs.

        Raises:
            StudyError: If the study has none, or it is of another version.
        """
        costs = self.read(self.root / "costs.json", Costs)
        if costs is None:
            raise StudyError(
                f"no costs were measured in '{self.root}'; run 'quantlab analyze' again without --no-costs"
            )
        return costs

    def write_study(self, study: Study) -> None:
        """Write the study's record."""
        self.write(self.root / "study.json", study)

    def refuse_other_model(self, sha256: str, path: Path) -> None:
        """Note whose study this is.

        Raises:
            StudyError: If the folder holds a study of another model.
        """
        marker = self.root / "model" / "sha256"
        if marker.is_file():
            known = marker.read_text().strip()
            if known != sha256:
                raise StudyError(
                    f"'{self.root}' is a study of another model (SHA-256 {known[:12]}…, and '{path}' has "
                    f"{sha256[:12]}…); choose another --out"
                )
            return
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(sha256 + "\n")

    def refuse_too_large(self, needed_bytes: int, what: str) -> None:
        """Look for room before anything slow begins.

        Raises:
            StudyError: If the disk has less than what is needed.
        """
        free = shutil.disk_usage(self.root).free
        if needed_bytes > free:
            raise StudyError(
                f"{what} need {needed_bytes / 1e6:,.1f} MB and the disk of '{self.root}' has {free / 1e6:,.1f} MB "
                f"free; make room, choose another --out, or run fewer samples with --limit"
            )

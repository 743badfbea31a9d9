"""The folder of a study: where each file stands, and how its records are read and written."""

import functools
import shlex
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import cattrs

from quantlab.errors import StudyError
from quantlab.names import excerpt, refuse_address
from quantlab.seals import sealed, unsealed
from quantlab.store.documents import json_number, number_of_json, read_json, write_json
from quantlab.store.locking import locked, refuse_running, unfinished
from quantlab.types import (
    CalibrationCheck,
    Costs,
    Duplicates,
    FileState,
    Inside,
    Looks,
    OutputComparison,
    Shards,
    Study,
    Tuning,
)

__all__ = ["SCHEMA", "TUNING", "Store", "find_latest"]

SCHEMA = 1
"""Schema version of `study.json`; a study with another version is refused."""

_OUTPUTS = "output_figures.json"
_LAYERS = "layer comparison"
_WITH_LAYERS = ", which 'quantlab analyze' makes where it compares layers, and layers were turned off"
_CALIBRATION = "calibration.json"
_SHARDS = "shards.json"
TUNING = "tune.json"
"""The file of a study with what `quantlab tune` decided."""

_Value = TypeVar("_Value")


def find_latest(folder: Path) -> Path:
    """The most recently written study in a folder or up to two levels below.

    Raises:
        StudyError: If there is none.
    """
    studies = [path for pattern in ("study.json", "*/study.json", "*/*/study.json") for path in folder.glob(pattern)]
    if not studies:
        raise StudyError(f"there is no study in '{folder}'; create one with 'quantlab analyze', or name its folder")
    return max(studies, key=lambda path: path.stat().st_mtime).parent


_CONVERTED: ContextVar["Store"] = ContextVar("_CONVERTED")
"""The study whose record is converted, to which paths in the record are relative."""


@functools.cache
def _converter() -> cattrs.Converter:
    """The converter of all studies: it generates code for each dataclass, which takes longer than to read a record."""
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_unstructure_hook(float, json_number)
    converter.register_structure_hook(float, lambda value, _: number_of_json(value))
    converter.register_unstructure_hook(Path, lambda path: _CONVERTED.get().relative(path))
    converter.register_structure_hook(Path, lambda value, _: _CONVERTED.get().absolute(value))
    return converter


class Store:
    """Reads and writes the files of one study folder.

    Raises:
        UsageError: If the folder is an address; `quantlab.study.remote` has its folder on this machine.
    """

    def __init__(self, root: Path) -> None:
        refuse_address(root)
        self.root = root

    def locked(self) -> AbstractContextManager[None]:
        """Lock the folder for a single writer.

        Raises:
            StudyError: If another process holds the lock, or the folder cannot be written or contains other files.
        """
        return locked(self.root)

    def unfinished(self) -> AbstractContextManager[None]:
        """Mark the record as outdated until the block ends; the mark remains if the process is killed inside it."""
        return unfinished(self.work)

    def refuse_running(self) -> None:
        """Check that the record belongs to the study's last analysis.

        Raises:
            StudyError: If an analysis is in progress, or was stopped before its end.
        """
        refuse_running(self.root, self.work)

    @property
    def work(self) -> Path:
        """Folder for logs and other files that may be deleted."""
        return self.root / "work"

    def model_folder(self, key: str) -> Path:
        """Folder for a model's description."""
        return self.root / "model" / key

    def variant_folder(self, setting: str, key: str) -> Path:
        """Folder for one conversion of a setting."""
        return self.root / "variants" / setting / key

    def output_folder(self, setting: str, runtime: str, key: str) -> Path:
        """Folder for the outputs of one run."""
        return self.root / "outputs" / setting / runtime / key

    @contextmanager
    def _converting(self) -> Iterator[cattrs.Converter]:
        """The converter of records, whose paths are those of this study in the block."""
        before = _CONVERTED.set(self)
        try:
            yield _converter()
        finally:
            _CONVERTED.reset(before)

    def relative(self, path: Path) -> str:
        """A path as stored in records: relative if it is inside the study."""
        path, root = path.absolute(), self.root.absolute()
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

    def absolute(self, text: str) -> Path:
        """The inverse of `relative`; an absolute path is returned unchanged."""
        return self.root.absolute() / text

    def write(self, path: Path, value: Any) -> None:
        """Write a dataclass of `quantlab.types` as JSON, with the hash of what is written."""
        with self._converting() as converter:
            document = converter.unstructure(value)
        write_json(path, sealed(document))

    def read(self, path: Path, kind: type[_Value]) -> _Value | None:
        """Read a dataclass; None if the file is missing, damaged, or written by another version of quantlab."""
        value, state = self._read(path, kind)
        return None if state == "damaged" else value

    def state(self, path: Path, kind: type[Any]) -> FileState:
        """Compare a record with its own hash; `damaged` also if it is no record of this kind."""
        return self._read(path, kind)[1]

    def _read(self, path: Path, kind: type[_Value]) -> tuple[_Value | None, FileState]:
        """A record, None if it cannot be read, and its state."""
        try:
            record, state = unsealed(read_json(path))
            if not isinstance(record, dict):
                return None, "damaged"
            with self._converting() as converter:
                return converter.structure(record, kind), state
        except FileNotFoundError:
            return None, "missing"
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, cattrs.BaseValidationError):
            return None, "damaged"

    def read_study(self) -> Study:
        """Read the study's record.

        Raises:
            StudyError: If it is missing, damaged, or of another schema version.
        """
        path = self.root / "study.json"
        try:
            document = read_json(path)
        except FileNotFoundError:
            command = f"'quantlab analyze … --out {shlex.quote(str(self.root))}'"
            if (self.root / ".lock").exists():
                raise StudyError(
                    f"'{self.root}' is a study that is not finished; wait for the command that works on it, or run "
                    f"{command} again if it was stopped, which goes on"
                ) from None
            raise StudyError(f"'{self.root}' is not a finished study; create it with {command}") from None
        except (OSError, ValueError, RecursionError) as error:
            raise StudyError(
                f"'{path}' cannot be read ({error}); run 'quantlab analyze' again, which reuses finished work"
            ) from error
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            schema = document.get("schema") if isinstance(document, dict) else None
            raise StudyError(
                f"'{path}' has schema {excerpt(str(schema))}, and this quantlab reads schema {SCHEMA}; run "
                f"'quantlab analyze' again"
            )
        try:
            # Its hash is left to `verify`: what a gate relies on is computed again from the outputs.
            with self._converting() as converter:
                return converter.structure(unsealed(document)[0], Study)
        except (ValueError, KeyError, TypeError, RecursionError, cattrs.BaseValidationError) as error:
            raise StudyError(
                f"'{path}' is not a complete study; run 'quantlab analyze' again, which reuses finished work"
            ) from error

    def inside_or_none(self) -> Inside | None:
        """Read the layer comparison; None if the study has none."""
        return self.read(self.root / "inside.json", Inside)

    def read_inside(self, what: str = _LAYERS) -> Inside:
        """Read the layer comparison.

        Args:
            what: The part that is wanted, for the message; others than layers are made with them.

        Raises:
            StudyError: If the study has none, it is damaged, or it was written by another version.
        """
        return self._read_result(
            "inside.json",
            Inside,
            f"the study '{self.root}' has no {what}{_WITH_LAYERS if what != _LAYERS else ''}; run 'quantlab analyze' "
            f"again without --no-layers",
        )

    def write_inside(self, inside: Inside) -> None:
        """Write the layer comparison."""
        self.write(self.root / "inside.json", inside)

    def forget_inside(self) -> None:
        """Delete the layer comparison of earlier trials; the cached rows of each trial are kept."""
        (self.root / "inside.json").unlink(missing_ok=True)

    def read_outputs(self) -> OutputComparison:
        """Read the figures of every output.

        Raises:
            StudyError: If the study has none, or they were written by another version.
        """
        return self._read_result(
            _OUTPUTS,
            OutputComparison,
            f"the study '{self.root}' has no figures of each output, because an older quantlab made it; run the "
            f"same 'quantlab analyze' command again, which reuses finished work",
        )

    def write_outputs(self, outputs: OutputComparison) -> None:
        """Write the figures of every output."""
        self.write(self.root / _OUTPUTS, outputs)

    def read_duplicates(self) -> Duplicates:
        """Read the scored samples that are equal or nearly equal to others.

        Raises:
            StudyError: If they were not looked for, or the record cannot be read.
        """
        return self._read_result(
            "duplicates.json",
            Duplicates,
            f"the study '{self.root}' has no list of duplicate samples; run 'quantlab analyze' again",
        )

    def write_duplicates(self, duplicates: Duplicates) -> None:
        """Write the scored samples that are equal or nearly equal to others."""
        self.write(self.root / "duplicates.json", duplicates)

    def read_calibration(self) -> CalibrationCheck:
        """Read the ranges of the calibration samples.

        Raises:
            StudyError: If no setting of the study was calibrated, or the record cannot be read.
        """
        return self._read_result(
            _CALIBRATION,
            CalibrationCheck,
            f"the study '{self.root}' has no ranges of calibration samples, because no setting was calibrated or an "
            f"older quantlab made it; run 'quantlab analyze' with a setting of static quantization",
        )

    def write_calibration(self, check: CalibrationCheck | None) -> None:
        """Write the ranges of the calibration samples; None removes those of an earlier analysis."""
        if check is None:
            (self.root / _CALIBRATION).unlink(missing_ok=True)
        else:
            self.write(self.root / _CALIBRATION, check)

    def write_shards(self, shards: Shards | None) -> None:
        """Write how the study was run in shards; None removes the record of an earlier analysis."""
        if shards is None:
            (self.root / _SHARDS).unlink(missing_ok=True)
        else:
            self.write(self.root / _SHARDS, shards)

    def read_shards(self) -> Shards | None:
        """How the study was run in shards; None if it was not, or the record cannot be read."""
        return self.read(self.root / _SHARDS, Shards)

    @property
    def looks_file(self) -> Path:
        """The record of all judgements."""
        return self.root / "looks.json"

    def looks_state(self) -> FileState:
        """Like `state` of the record of all judgements, which is damaged without a hash: it always had one."""
        state = self.state(self.looks_file, Looks)
        return "damaged" if state == "no hash" else state

    def read_tuning(self) -> Tuning:
        """Read what `quantlab tune` decided, with all candidates.

        Raises:
            StudyError: If the study was not tuned, or the file is damaged or was written by another version.
        """
        absent = f"the study '{self.root}' was not tuned; 'quantlab tune' searches the smallest artifact"
        return self._read_result(TUNING, Tuning, absent, command="quantlab tune")

    def write_tuning(self, tuning: Tuning) -> None:
        """Write what `quantlab tune` decided."""
        self.write(self.root / TUNING, tuning)

    def read_costs(self) -> Costs:
        """Read the cost of every trial.

        Raises:
            StudyError: If the study has none, it is damaged, or it was written by another version.
        """
        return self._read_result(
            "costs.json",
            Costs,
            f"the study '{self.root}' has no measured costs; run 'quantlab analyze' again without --no-costs",
        )

    def _read_result(self, name: str, kind: type[_Value], absent: str, *, command: str = "quantlab analyze") -> _Value:
        """Read a file beside the study's record; raises StudyError with `absent` if there is none."""
        path = self.root / name
        value = self.read(path, kind)
        if value is not None:
            return value
        if path.is_file():
            raise StudyError(
                f"'{path}' is damaged, or another version of quantlab wrote it; run the same '{command}' command "
                f"again, which reuses finished work"
            )
        raise StudyError(absent)

    def write_study(self, study: Study) -> None:
        """Write the study's record."""
        self.write(self.root / "study.json", study)

    def refuse_other_model(self, sha256: str, path: Path) -> None:
        """Record the model of this study, or check that it is the same.

        Raises:
            StudyError: If the folder contains a study of another model.
        """
        marker = self.root / "model" / "sha256"
        if marker.is_file():
            known = marker.read_text().strip()
            if known != sha256:
                raise StudyError(
                    f"'{self.root}' is a study of another model (SHA-256 {known[:12]}…, and '{path}' has "
                    f"{sha256[:12]}…); choose another folder with --out"
                )
            return
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(sha256 + "\n")

    def refuse_too_large(self, needed_bytes: int, what: str) -> None:
        """Check the free disk space before slow work begins.

        Raises:
            StudyError: If less than `needed_bytes` is free.
        """
        free = shutil.disk_usage(self.root).free
        if needed_bytes > free:
            raise StudyError(
                f"{what} need {needed_bytes / 1e6:,.1f} MB, and the disk of '{self.root}' has {free / 1e6:,.1f} MB "
                f"free; free some space, choose another --out, or run fewer samples with --limit"
            )

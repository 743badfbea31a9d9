"""Runs candidates on the search samples, and keeps what was measured."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.formats import describe_variant
from quantlab.gate import JudgedReference, Target
from quantlab.statistics import TensorError, blocks
from quantlab.store import key_of
from quantlab.study.context import Context, artifact_options
from quantlab.study.reference import batch_size_of
from quantlab.study.run import Run, run_first
from quantlab.study.tuning.acceptance import Measured
from quantlab.types import Evidence, ModelDescription, SampleSet, TensorSpec, Trial, Variant

__all__ = ["Bench", "candidate_key", "emptied"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """Where candidates of one format are measured: in Python, on the search samples, against the model."""

    context: Context
    model: ModelDescription
    samples: SampleSet
    reference: JudgedReference
    target: Target
    float32: Variant
    outputs: tuple[TensorSpec, ...]
    folder: Path
    """Of what is kept."""
    run_seconds: float = 0.0
    """About how long a candidate takes, alone on a core."""

    def kept(self, key: str, name: str) -> Measured | None:
        """What was measured of a candidate in an earlier call, under the name that it has now."""
        measured = self.context.store.read(self.folder / f"{key}.json", Measured)
        return None if measured is None else replace(measured, name=name)

    def measure(self, name: str, key: str, artifact: Path, *, swapped: Sequence[str] | None = None) -> Measured:
        """Run a candidate, and keep what was measured.

        Args:
            name: What it is called.
            key: Hash of what it depends on.
            artifact: Its folder or file, which no other candidate has had.
            swapped: Weights in which it may differ from the float32 artifact, if it differs in nothing else; then it
                needs no graph of its own. None runs the artifact itself.

        Raises:
            QuantlabError: If it cannot be run.
        """
        format_ = self.context.registries.formats[self.float32.format]
        described = describe_variant(name, format_, artifact, self.model)
        options = artifact_options(self.context, format_, artifact)
        if swapped is not None and format_.python.swapped is not None:
            format_ = replace(format_, python=format_.python.swapped)
            float32 = str(self.float32.path.absolute())
            options = replace(options, float32_artifact=float32, swapped=tuple(swapped))
        run = Run(
            name=name,
            runtime=self.context.registries.python,
            variant=described,
            format=format_,
            artifact=str(artifact.absolute()),
            sha256=described.sha256,
            environment={},
            outputs=self.outputs,
            batch_size=batch_size_of(format_, described, self.context.options.batch_size),
            options=options,
        )
        outputs = run_first(self.context, run, self.samples, self.samples.n)[self.reference.study.scored_output]
        found = self.reference.of_outputs(outputs, setting=name, runtime=self.context.registries.python.name)
        measured = self._measured(name, self.target.size_of(described), found, outputs)
        self.context.store.write(self.folder / f"{key}.json", measured)
        return measured

    def official(self, trial: Trial) -> Measured | None:
        """What the study of the search samples measured of a setting; None if it failed."""
        found = self.reference.of_trial(trial)
        if found is None or trial.variant is None:
            return None
        outputs = np.load(trial.outputs[self.reference.study.scored_output], mmap_mode="r")
        measured = self._measured(trial.setting, self.target.size_of(trial.variant), found, outputs)
        return replace(measured, official=True)

    def _measured(self, name: str, size_bytes: int, found: Evidence, outputs: Array) -> Measured:
        """The figures of the evidence that the search looks at."""
        squares = _compared(self.reference.reference.outputs, self.reference.samples.rows(outputs))
        squared_error = squares.rms**2
        error = squared_error if found.divergence is None else found.divergence.mean
        return Measured(
            name=name,
            size_bytes=size_bytes,
            n=found.n,
            error=math.inf if error is None or not math.isfinite(squared_error) else max(error, 0.0),
            changed=None if found.same is None else found.n - found.same,
            loss=found.loss,
            sqnr_db=squares.sqnr_db,
            squared_error=squared_error,
        )


def _compared(expected: Array, outputs: Array) -> TensorError:
    """The error of outputs, summed block by block: those of a thousand images with a class per pixel fill memory."""
    return sum((TensorError.of(expected[rows], outputs[rows]) for rows in blocks(expected)), TensorError())


def candidate_key(decisions: object) -> str:
    """The hash of decisions, by which a candidate is kept."""
    return key_of({"decisions": repr(decisions)})


def emptied(folder: Path) -> Path:
    """A folder without files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder

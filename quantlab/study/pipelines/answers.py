"""The float model's outputs for the tensors of pipelines, photo by photo."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from quantlab.npy import writable
from quantlab.preprocessing import arranged
from quantlab.runtimes import create_output
from quantlab.samples import check_labels
from quantlab.statistics import answers_of, looks_like_probabilities
from quantlab.study.context import Context, naming
from quantlab.study.pipelines.app import AppPhotos, Reproducing
from quantlab.study.pipelines.sums import Array, OutputSums
from quantlab.study.reference import probe, reference_run
from quantlab.study.run import Run, run_first
from quantlab.study.task import scored_output
from quantlab.types import OpenedModel, Pipeline, Reproduction, SampleSet, TensorSpec

__all__ = ["Answering"]


@dataclass(slots=True)
class Answering:
    """Runs the float model; keeps what it says of the photos of the current block with the declared pipeline."""

    context: Context
    model: OpenedModel
    declared: Pipeline
    asked_output: str | None
    labels: npt.NDArray[np.int64] | None = None
    """Of all photos; None if they have none."""
    app: AppPhotos | None = None
    """The outputs of an app for all photos."""
    right: int = 0
    """Photos that are right with the declared pipeline."""
    labelled: int = 0
    """Photos that have a label and a tensor."""
    _run: Run | None = None
    _reproducing: Reproducing | None = None
    _classes: bool = False
    _probabilities: bool = False
    _outputs: dict[int, Array] = field(default_factory=dict)
    """Place in the block → output with the declared pipeline, of shape (1, …)."""
    _block: range = range(0)
    """The current block of the photos."""

    @property
    def output(self) -> str:
        """Name of the output that is read."""
        return scored_output(self.model.description, self.asked_output).name

    @property
    def score(self) -> float | None:
        """Accuracy with the declared pipeline, in percent; None without labels."""
        return 100 * self.right / self.labelled if self.labelled else None

    @property
    def reproductions(self) -> tuple[Reproduction, ...]:
        """How near the outputs come to those of the app, the nearest first; nothing without an app or a photo."""
        return () if self._reproducing is None else self._reproducing.reproductions()

    def declare(self, block: range, tensors: Sequence[Array | None]) -> None:
        """Take the tensors of a block of the photos by the declared pipeline; None for photos without a tensor.

        Raises:
            SamplesError: If labels of any photo are no classes of the output.
        """
        self._block, self._outputs = block, {}
        places = [place for place, tensor in enumerate(tensors) if tensor is not None]
        if not places:
            return
        outputs = self._answer([tensor for tensor in tensors if tensor is not None])
        self._outputs = {place: outputs[row : row + 1] for row, place in enumerate(places)}
        if self.app is not None and self._reproducing is None:
            kind = {"classes": self._classes, "probabilities": self._probabilities}
            self._reproducing = self.app.opened(outputs.shape[1:], **kind)
        if self._reproducing is not None:
            self._reproducing.declare(self._rows(places), outputs)
        if self._classes and self.labels is not None:
            answers = answers_of(outputs, probabilities=self._probabilities)
            self.right += int(np.count_nonzero(answers == self.labels[self._rows(places)]))
            self.labelled += len(places)

    def add(self, pipeline: str, sums: OutputSums, tensors: Sequence[Array | None]) -> None:
        """Add the outputs for the tensors of the same block by another pipeline; None for photos without a tensor."""
        places = [place for place, tensor in enumerate(tensors) if tensor is not None]
        if not places:
            return
        outputs = self._answer([tensor for tensor in tensors if tensor is not None])
        expected = np.concatenate([self._outputs[place] for place in places])
        sums.add(outputs, expected)
        if self._reproducing is not None:
            self._reproducing.add(pipeline, self._rows(places), outputs)
        if self._classes:
            answers, before = (answers_of(one, probabilities=self._probabilities) for one in (outputs, expected))
            sums.add_answers(answers, before, None if self.labels is None else self.labels[self._rows(places)])

    def _rows(self, places: Sequence[int]) -> npt.NDArray[np.int64]:
        """Places of the block as rows of all photos."""
        return self._block.start + np.asarray(places, np.int64)

    def _answer(self, tensors: Sequence[Array]) -> Array:
        """The outputs, (k, …)."""
        with tempfile.TemporaryDirectory(dir=self.context.store.work) as folder, naming("run the model"):
            samples = self._written(tensors, Path(folder))
            if self._run is not None:
                return np.array(run_first(self.context, self._run, samples, samples.n)[self.output])
            self._run = reference_run(self.context, self.model, probe(self.context, self.model, samples).outputs)
            outputs = np.array(run_first(self.context, self._run, samples, samples.n)[self.output])
        self._decide(outputs)
        return outputs

    def _decide(self, outputs: Array) -> None:
        """Whether the output is a class for each photo: from the first block with the declared pipeline."""
        flat = outputs.ndim == 2 and outputs.dtype.kind == "f"
        self._probabilities = flat and looks_like_probabilities(outputs)
        self._classes = flat and (self.labels is not None or (self._probabilities and outputs.shape[1] > 1))
        if flat and self.labels is not None:
            spec = scored_output(self.model.description, self.asked_output)
            check_labels(self.labels, replace(spec, shape=(None, *outputs.shape[1:])))

    def _written(self, tensors: Sequence[Array], folder: Path) -> SampleSet:
        (spec,) = self.model.description.inputs
        values = np.stack([arranged(self.declared, tensor) for tensor in tensors])
        dtype = np.dtype(spec.dtype)
        if dtype.kind in "iu":
            # Resizers with sharp kernels leave the range of pixels.
            values = np.clip(values, np.iinfo(dtype).min, np.iinfo(dtype).max)
        spec = TensorSpec(spec.name, (None, *values.shape[1:]), spec.dtype)
        samples = SampleSet(folder, (spec,), len(values), labelled=False, sha256="", source="", available=0, drawn="")
        path = samples.input_file(spec.name)
        create_output(path, n=len(values), shape=values.shape[1:], dtype=spec.dtype)
        target = writable(path)
        target[:] = values
        target.flush()
        return samples

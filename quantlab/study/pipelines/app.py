"""Which pipeline reproduces the outputs of an app: how the app reads photos, when its code is not known."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from quantlab.statistics import holm, mcnemar_of_loss
from quantlab.study.app_outputs import LEAST_SHARE, AppOutputs, read_app, shaped_as
from quantlab.study.diagnosis.probe import LARGEST_P
from quantlab.study.pipelines.photos import Photos
from quantlab.study.pipelines.sums import Array
from quantlab.types import STRAY_LIMIT, Reproduction

__all__ = ["AppPhotos", "Reproducing", "app_photos"]

_DECLARED = "the declared preprocessing"

_LEAST_PHOTOS = 0.5
"""Least share of the photos for which the nearest pipeline must give a tensor."""


@dataclass(slots=True)
class _Apart:
    """How far the model's outputs are from those of the app, by the rows of the photos."""

    differences: dict[int, float] = field(default_factory=dict)
    """Row → the largest difference of the photo."""
    same: int = 0
    """Photos with the same top-1."""

    def of(self, rows: Sequence[int]) -> npt.NDArray[np.float64]:
        return np.array([self.differences[row] for row in rows], np.float64)


@dataclass(frozen=True, slots=True)
class AppPhotos:
    """The outputs of an app for photos, as they are in its file."""

    path: Path
    output: str
    values: Array
    """(n, …): of all photos, in their order."""

    def opened(self, shape: tuple[int, ...], *, classes: bool, probabilities: bool) -> "Reproducing":
        """Compare pipelines with them, now that the shape of the model's output and its kind are known.

        Raises:
            SamplesError: If they have another number of elements.
        """
        values = shaped_as(self.values, shape, path=self.path, output=self.output)
        return Reproducing(AppOutputs(values.astype(np.float64), classes, probabilities))


@dataclass(slots=True)
class Reproducing:
    """How near the model comes to the outputs of an app with the declared preprocessing and with each pipeline."""

    app: AppOutputs
    _declared: _Apart = field(default_factory=_Apart)
    _pipelines: dict[str, _Apart] = field(default_factory=dict)

    def declare(self, rows: npt.NDArray[np.int64], outputs: Array) -> None:
        """Add what the model gives with the declared preprocessing, (k, …), for photos of these rows."""
        self._add(self._declared, rows, outputs)

    def add(self, pipeline: str, rows: npt.NDArray[np.int64], outputs: Array) -> None:
        """Add what the model gives with a pipeline for photos whose outputs were declared."""
        self._add(self._pipelines.setdefault(pipeline, _Apart()), rows, outputs)

    def _add(self, apart: _Apart, rows: npt.NDArray[np.int64], outputs: Array) -> None:
        differences = self.app.apart(outputs, rows)
        apart.differences |= dict(zip(rows.tolist(), differences.tolist(), strict=True))
        if self.app.classes:
            apart.same += int(np.count_nonzero(self.app.same(outputs, rows)))

    def reproductions(self) -> tuple[Reproduction, ...]:
        """The declared preprocessing and all pipelines, the nearest first.

        Pipelines may give tensors for other photos. Each is compared with the declared preprocessing on its own, and
        their order is that of the share of the mean difference that is left.
        """
        first = self._reproduction("", _DECLARED, "the app reads photos as declared", self._declared)
        rows = [self._against(name, apart) for name, apart in self._pipelines.items()]
        corrected = holm(
            np.array([float(mcnemar_of_loss(np.asarray(one.nearer), np.asarray(one.farther))) for one in rows])
        )
        rows = [replace(one, p=float(p)) for one, p in zip(rows, corrected, strict=True)]
        named = set() if first.equal else set(self._nearest(rows))
        rows = [replace(one, named=one.name in named) for one in rows]
        return tuple(sorted([first, *rows], key=lambda one: (not one.named, self._left(one.name))))

    def _against(self, name: str, apart: _Apart) -> Reproduction:
        result = self._reproduction("pipeline", name, f"the app reads photos as the pipeline '{name}' does", apart)
        nearer, farther = self._changes(self._declared, apart)
        return replace(result, nearer=nearer, farther=farther)

    def _changes(self, before: _Apart, after: _Apart) -> tuple[int, int]:
        """How many photos that both have come nearer, and how many go farther away."""
        rows = sorted(before.differences.keys() & after.differences.keys())
        return self.app.changes(before.of(rows), after.of(rows))

    def _left(self, name: str) -> float:
        """Share of the mean difference with the declared preprocessing that a pipeline leaves on its photos."""
        apart = self._pipelines.get(name)
        if apart is None:
            return 1.0
        own, before = (float(one.of([*apart.differences]).sum()) for one in (apart, self._declared))
        return own / before if math.isfinite(own) and 0 < before < math.inf else math.inf

    def _nearest(self, rows: Sequence[Reproduction]) -> Iterator[str]:
        """The nearest pipeline if it is so beyond chance, and those that the photos do not tell from it."""
        least, spread = _LEAST_PHOTOS * len(self._declared.differences), self.app.spread
        near = [
            one
            for one in rows
            if one.n >= least
            and one.p <= LARGEST_P
            and self._left(one.name) <= 1 - LEAST_SHARE
            and one.mean_abs <= (1 - LEAST_SHARE) * spread
        ]
        near.sort(key=lambda one: self._left(one.name))
        for one in near:
            nearer, farther = self._changes(self._pipelines[near[0].name], self._pipelines[one.name])
            if one is near[0] or _p(farther, nearer) > LARGEST_P:
                yield one.name

    def _reproduction(self, family: str, name: str, cause: str, apart: _Apart) -> Reproduction:
        differences = np.array([*apart.differences.values()], np.float64)
        n, largest = len(differences), float(differences.max(initial=0.0))
        return Reproduction(
            family=family,
            name=name,
            input=None,
            cause=cause,
            n=n,
            max_abs=largest,
            mean_abs=float(differences.mean()) if n else 0.0,
            same_top1=100 * apart.same / n if self.app.classes and n else None,
            nearer=0,
            farther=0,
            p=1.0,
            equal=largest <= STRAY_LIMIT * self.app.largest,
        )


def _p(more: int, fewer: int) -> float:
    """One-sided p-value of the sign test."""
    return float(mcnemar_of_loss(np.asarray(more), np.asarray(fewer)))


def app_photos(path: Path, output: str, *, others: Collection[str], photos: Photos, data: str) -> AppPhotos:
    """Read the outputs of an app for the photos of a folder, of which those that are compared are kept.

    Raises:
        SamplesError: If the file is missing or damaged, has no such array, or another number of outputs than photos.
    """
    values = read_app(path, output, others=others, available=photos.available, source=data)
    return AppPhotos(path, output, values if photos.taken is None else values[photos.taken])

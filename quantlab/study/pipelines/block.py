"""Runs the steps of several pipelines on a block of photos: every decoder once, and every pair of steps that is needed.

A step is known by its key; `DECLARED` stands for the declared one, which runs in this process.
"""

from collections.abc import Callable, Iterable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.errors import QuantlabError
from quantlab.pipelines import AppPipeline, AppStep, Pixels, StepKey, StepRun, Unprepared, refuse_absent
from quantlab.preprocessing import Placement, cropped, fitted, opened_decoder, placed, placement
from quantlab.runtimes import Picture
from quantlab.types import Pipeline

__all__ = ["DECLARED", "BlockSteps", "Result", "pairs_of"]

Result = Pixels | Unprepared
"""The pixels of one photo, or why there are none."""

DECLARED: StepKey = ("", "")
"""Stands for the key of a declared step."""

_THREADS = 2


def pairs_of(app: AppPipeline) -> tuple[tuple[StepKey, StepKey], ...]:
    """Keys of decoders and resizers whose pairs the comparison of a pipeline needs; the pipeline's own pair first."""
    decoder, resizer = app.decoder.key, app.resizer.key
    return (decoder, resizer), (DECLARED, resizer), (decoder, DECLARED)


def _pictures(paths: Sequence[Path]) -> list[Picture]:
    return [Picture(str(path.absolute()), 0, path.stat().st_size) for path in paths]


@dataclass(slots=True)
class BlockSteps:
    """The steps of pipelines, and those that turned out not to run here."""

    run: StepRun
    declared: Pipeline
    apps: Sequence[AppPipeline]
    absent: dict[StepKey, str] = field(default_factory=dict)
    """Key of a step → why it cannot run on this machine."""

    def check(self) -> None:
        """Note which steps are not installed; nothing is run."""
        for step in self._steps(lambda app: (app.decoder, app.resizer)):
            try:
                refuse_absent(step)
            except QuantlabError as error:
                self.absent[step.key] = str(error)

    def reason(self, app: AppPipeline) -> str | None:
        """Why a pipeline cannot run on this machine; None if it can."""
        return self.absent.get(app.decoder.key) or self.absent.get(app.resizer.key)

    def decode(self, paths: Sequence[Path]) -> dict[StepKey, list[Result]]:
        """Key of a decoder → a result for each photo: uint8 (height, width, channels)."""
        pictures = _pictures(paths)
        with opened_decoder(self.declared) as decode:
            results = {DECLARED: _side_by_side(decode, paths)}
        for steps in _by_place(self._running(lambda app: (app.decoder,))):
            results |= self._run(steps, pictures)
        return results

    def own(self, app: AppPipeline, paths: Sequence[Path]) -> list[Result]:
        """What one pipeline makes of photos: pixels of the size of the model's input."""
        images = self._run([app.decoder], _pictures(paths))[app.decoder.key]
        if self._at_once(app):
            return self._read(app, images, paths)
        return self._resized([app.resizer], images)[app.resizer.key]

    def resize(
        self, decoded_by: dict[StepKey, list[Result]], paths: Sequence[Path]
    ) -> dict[tuple[StepKey, StepKey], list[Result]]:
        """Keys of a decoder and a resizer → a result for each photo: pixels of the size of the model's input."""
        running = [app for app in self.apps if self.reason(app) is None]
        read = {
            pairs_of(app)[0]: self._read(app, decoded_by[app.decoder.key], paths)
            for app in running
            if self._at_once(app)
        }
        pairs = {pair for app in running for pair in pairs_of(app)} - set(read)
        return self._pairs(decoded_by, pairs) | read

    def _at_once(self, app: AppPipeline) -> bool:
        """Whether a pipeline decodes and resizes in one call; libraries that can do so do not where they cut first."""
        return app.at_once and self.declared.central_crop == 1

    def _read(self, app: AppPipeline, images: Sequence[Result], paths: Sequence[Path]) -> list[Result]:
        """The photos by a resizer that decodes them, too; a photo that its decoder refuses stays without pixels.

        Args:
            app: A pipeline that does so.
            images: The photos by its decoder alone, which have their sizes.
            paths: Their files.
        """
        where = {
            place: placement(self.declared, *image.shape[:2])
            for place, image in enumerate(images)
            if not isinstance(image, Unprepared)
        }
        files = _pictures([paths[place] for place in where])
        pictures = [replace(file, size=of.resized) for file, of in zip(files, where.values(), strict=True)]
        results = list(images)
        for (place, of), image in zip(where.items(), self._run([app.resizer], pictures)[app.resizer.key], strict=True):
            results[place] = self._placed(image, of)
        return results

    def _pairs(
        self, decoded_by: dict[StepKey, list[Result]], pairs: Set[tuple[StepKey, StepKey]]
    ) -> dict[tuple[StepKey, StepKey], list[Result]]:
        """The pairs of steps that run one after the other."""
        results: dict[tuple[StepKey, StepKey], list[Result]] = {}
        for decoder, images in decoded_by.items():
            if (decoder, DECLARED) in pairs or decoder == DECLARED:
                results[decoder, DECLARED] = _side_by_side(self._fitted, images)
            own = [step for step in self._running(lambda app: (app.resizer,)) if (decoder, step.key) in pairs]
            for steps in _by_place(own):
                again = _equal(images, decoded_by[DECLARED]) if decoder != DECLARED else []
                others = [_SAME if place in again else image for place, image in enumerate(images)]
                for resizer, resized in self._resized(steps, others).items():
                    for place in again:
                        resized[place] = results[DECLARED, resizer][place]
                    results[decoder, resizer] = resized
        return results

    def _fitted(self, pixels: Result) -> Result:
        return pixels if isinstance(pixels, Unprepared) else fitted(self.declared, pixels)

    def _resized(self, steps: Sequence[AppStep], images: Sequence[Result]) -> dict[StepKey, list[Result]]:
        """The photos by several resizers of one place; a photo without pixels stays without."""
        there = [
            (place, cropped(self.declared, image))
            for place, image in enumerate(images)
            if not isinstance(image, Unprepared)
        ]
        places = [placement(self.declared, *image.shape[:2]) for _, image in there]
        path = self.run.folder / "decoded.pixels"
        with path.open("wb") as file:
            pictures = []
            for (_, image), where in zip(there, places, strict=True):
                pictures.append(Picture(str(path.absolute()), file.tell(), image.nbytes, image.shape, where.resized))
                file.write(np.ascontiguousarray(image).tobytes())
        results = {step.key: list(images) for step in steps}
        for resizer, resized in self._run(steps, pictures).items():
            for (place, _), where, result in zip(there, places, resized, strict=True):
                results[resizer][place] = self._placed(result, where)
        path.unlink()
        return results

    def _placed(self, image: Result, where: Placement) -> Result:
        return image if isinstance(image, Unprepared) else placed(self.declared, image, where)

    def _run(self, steps: Sequence[AppStep], pictures: Sequence[Picture]) -> dict[StepKey, list[Result]]:
        try:
            return self.run.run(steps, pictures, grey=self.declared.colour == "grey")
        except QuantlabError as error:
            self.absent |= {step.key: str(error) for step in steps}
            return {step.key: [Unprepared(str(error))] * len(pictures) for step in steps}

    def _running(self, of: Callable[[AppPipeline], Iterable[AppStep]]) -> list[AppStep]:
        return [step for step in self._steps(of) if step.key not in self.absent]

    def _steps(self, of: Callable[[AppPipeline], Iterable[AppStep]]) -> list[AppStep]:
        """The steps of the pipelines, each once."""
        return list({step.key: step for app in self.apps for step in of(app)}.values())


_SAME = Unprepared("its pixels are those of the declared decoder")
"""Stands for a photo that need not be resized again."""


def _equal(images: Sequence[Result], declared: Sequence[Result]) -> list[int]:
    """Places of the photos for which a decoder gives exactly the declared pixels."""
    return [
        place
        for place, (image, other) in enumerate(zip(images, declared, strict=True))
        if not isinstance(image, Unprepared) and not isinstance(other, Unprepared) and np.array_equal(image, other)
    ]


def _by_place(steps: Sequence[AppStep]) -> list[list[AppStep]]:
    groups: dict[str, list[AppStep]] = {}
    for step in steps:
        groups.setdefault(step.place.name, []).append(step)
    return list(groups.values())


def _side_by_side(step: Callable[[Any], Result], items: Sequence[Any]) -> list[Result]:
    def one(item: Any) -> Result:
        try:
            return step(item)
        except (QuantlabError, ValueError) as error:
            return Unprepared(str(error))

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(one, items))

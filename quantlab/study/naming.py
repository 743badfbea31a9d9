"""Gives the classes of a study their names."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from quantlab.errors import SamplesError, UsageError
from quantlab.samples import ClassNames, SampleParts, class_names_beside, read_class_names
from quantlab.study.options import AnalyzeOptions
from quantlab.types import Preprocessing, SampleSet, TensorSpec

__all__ = ["as_beside", "checked_names", "class_names", "folders_in_order", "with_class_names"]


def class_names(options: AnalyzeOptions, model: Path, warn: Callable[[str], None]) -> ClassNames | None:
    """The names that the user gives, or those in a file beside the model; None without any.

    Raises:
        UsageError: If a file that the user names cannot be read. One that lies beside the model only costs a warning.
    """
    if options.class_names is not None:
        return read_class_names(options.class_names)
    try:
        return class_names_beside(model)
    except SamplesError as error:
        warn(str(error))
        return None


def folders_in_order(names: ClassNames | None, data: str, asked: Preprocessing) -> Preprocessing:
    """The preprocessing of a folder of images with its class folders in the order of the names, if they are the same.

    Alphabetical order would give every image the label of another class wherever the model's outputs have their own
    order.
    """
    folder = Path(data)
    if names is None or asked.classes is not None or not folder.is_dir():
        return asked
    folders = {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
    return replace(asked, classes=names.names) if folders == set(names.names) else asked


def as_beside(model: Path, data: str, asked: Preprocessing, warn: Callable[[str], None]) -> Preprocessing:
    """The preprocessing of a folder of images with its class folders in the order of a file of names beside the model.

    A file that cannot be read only costs a warning.
    """
    return folders_in_order(class_names(AnalyzeOptions(), model, warn), data, asked)


def with_class_names(parts: SampleParts, names: ClassNames | None) -> SampleParts:
    """The parts with these names: those that the user gives, and those of a file where the source has none of its own.

    Raises:
        UsageError: If the user's names have the classes of the source at other places.
    """
    if names is None:
        return parts

    def named(samples: SampleSet) -> SampleSet:
        if samples.classes and not names.asked:
            return samples
        _refuse_other_places(samples.classes, names)
        return replace(samples, classes=names.names)

    search = None if parts.search is None else named(parts.search)
    return replace(parts, scored=named(parts.scored), search=search)


def _refuse_other_places(classes: tuple[str, ...], names: ClassNames) -> None:
    """Refuse names of which one stands for another label than in the source."""
    known = {name: place for place, name in enumerate(classes)}
    for place, name in enumerate(names.names):
        if known.get(name, place) != place:
            raise UsageError(
                f"{names.source} has '{name}' as class {place}, and it is class {known[name]} of the samples; name the "
                f"class folders in the order of the outputs with --classes, or correct the names"
            )


def checked_names(
    samples: SampleSet, names: ClassNames | None, output: TensorSpec, warn: Callable[[str], None]
) -> SampleSet:
    """The samples without names that cannot be those of the scored output.

    Raises:
        UsageError: If the user named the classes so.
    """
    if names is None or samples.classes != names.names:
        return samples
    width = output.shape[-1] if len(output.shape) > 1 else 1
    problem = names.problem(2 if width == 1 else width)
    if problem is None:
        return samples
    if names.asked:
        raise UsageError(problem)
    warn(f"{problem}. Its names are not used")
    return replace(samples, classes=())

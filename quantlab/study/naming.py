"""Gives the classes of a study their names."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from quantlab.errors import SamplesError, UsageError
from quantlab.names import counted
from quantlab.samples import ClassNames, SampleParts, class_names_beside, read_class_names
from quantlab.study.options import AnalyzeOptions
from quantlab.types import Preprocessing, SampleSet, TensorSpec

__all__ = ["as_named", "checked_names", "class_names", "folders_in_order", "with_class_names"]


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
    if names is None or asked.classes is not None or set(_class_folders(Path(data))) != set(names.names):
        return asked
    return replace(asked, classes=names.names)


def as_named(
    model: Path, data: str, asked: Preprocessing, *, given: str | None, warn: Callable[[str], None]
) -> Preprocessing:
    """The preprocessing of a folder of images with its class folders in the order of the names of the classes.

    Args:
        model: A file of names beside it counts if none are given; one that cannot be read only costs a warning.
        data: The samples.
        asked: The preprocessing, perhaps with an order of its own.
        given: The names that the user gives, or their file.
        warn: Gets what is wrong with a file beside the model.

    Raises:
        UsageError: If names are given, and there are no class folders, or they cannot be those of the folders.
    """
    names = class_names(AnalyzeOptions(class_names=given), model, warn)
    ordered = folders_in_order(names, data, asked)
    if names is not None and names.asked:
        folders = _class_folders(Path(data)) if asked.classes is None else asked.classes
        _refuse_other_folders(folders, names, data)
        if ordered is asked:
            _refuse_other_places(folders, names)
    return ordered


def _class_folders(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        return ()
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))


def _refuse_other_folders(folders: tuple[str, ...], names: ClassNames, data: str) -> None:
    if not folders:
        raise UsageError(f"--class-names gives class folders their order, and '{data}' has none; leave it out")
    if len(folders) != len(names.names):
        raise UsageError(
            f"{names.source} names {counted(len(names.names), 'class', 'classes')}, and '{data}' has "
            f"{counted(len(folders), 'class folder')}; write one name for each, in the order of the outputs"
        )


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

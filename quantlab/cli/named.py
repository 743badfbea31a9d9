"""Repeatable options of the form NAME=VALUE."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quantlab.errors import UsageError

__all__ = ["GivenVariants", "inputs_of", "shapes_of", "variants_of"]


@dataclass(frozen=True, slots=True)
class _Form:
    """The form of an option, for messages."""

    option: str
    form: str
    example: str
    remedy: str
    """What to do if a name is given twice."""


@dataclass(frozen=True, slots=True)
class GivenVariants:
    """The artifacts of the user by the names of their rows."""

    files: Mapping[str, Path]
    runtimes: Mapping[str, tuple[str, ...]]
    """Names and globs of runtimes; only for variants with runtimes of their own."""


def inputs_of(texts: Sequence[str]) -> dict[str, str]:
    """Read `--variant-input NAME=raw`; the value is not checked.

    Raises:
        UsageError: If an option does not have this form, or a name is given twice.
    """
    form = _Form("--variant-input", "NAME=raw", "mine=raw", "give each variant one kind of input")
    return dict(_pairs(form, [text.partition("=") for text in texts]))


def variants_of(texts: Sequence[str]) -> GivenVariants:
    """Read `--variant NAME=FILE` or `--variant NAME=FILE@RUNTIMES`.

    Raises:
        UsageError: If an option does not have this form, or a name is given twice.
    """
    form = _Form("--variant", "NAME=FILE[@RUNTIMES]", "mine=model.tflite", "give each variant a different name")
    files, runtimes = dict[str, Path](), dict[str, tuple[str, ...]]()
    for name, value in _pairs(form, [text.partition("=") for text in texts]):
        file, at, asked = value.rpartition("@")
        # A folder of an npm package may be called '@scope'.
        if not file or "/" in asked or Path(value).exists():
            file, at = value, ""
        files[name] = Path(file)
        if at:
            runtimes[name] = (asked,)
    return GivenVariants(files, runtimes)


def shapes_of(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Read `--shape INPUT=1,3,224,224` as inputs and sizes.

    Raises:
        UsageError: If an option does not have this form, or an input is given twice.
    """
    shapes = {}
    form = _Form("--shape", "INPUT=SIZES", "image=1,3,224,224", "give one shape for each input")
    for name, text in _pairs(form, [text.rpartition("=") for text in texts]):  # names of inputs may contain '='
        sizes = [part.strip() for part in text.split(",")]
        if not all(size.isdecimal() and int(size) > 0 for size in sizes):
            raise UsageError(
                f"--shape {name}={text} has a size that is not a positive integer; "
                f"write for example --shape {name}=1,3,224,224"
            )
        shapes[name] = tuple(map(int, sizes))
    return shapes


def _pairs(form: _Form, parts: Sequence[tuple[str, str, str]]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for name, equals, value in parts:
        if not (equals and name and value):
            text = f"{name}{equals}{value}"
            raise UsageError(
                f"{form.option} {text} does not have the form {form.form}; "
                f"write for example {form.option} {form.example}"
            )
        if name in seen:
            raise UsageError(f"{form.option} names '{name}' twice; {form.remedy}")
        seen.add(name)
        yield name, value

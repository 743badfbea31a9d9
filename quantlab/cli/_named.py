"""Options of the form NAME=VALUE, each of which may be repeated."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from quantlab.errors import UsageError

__all__ = ["shapes_of", "variants_of"]


def variants_of(texts: Sequence[str]) -> dict[str, Path]:
    """The files of `--variant NAME=FILE`.

    Raises:
        UsageError: If one is not of this form, or a name is given twice.
    """
    return {name: Path(file) for name, file in _pairs("--variant", texts, "NAME=FILE", "mine=model.tflite")}


def shapes_of(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The sizes of `--shape INPUT=1,3,224,224`.

    Raises:
        UsageError: If one is not of this form, or an input is given twice.
    """
    found = {}
    for name, text in _pairs("--shape", texts, "INPUT=SIZES", "image=1,3,224,224"):
        sizes = [part.strip() for part in text.split(",")]
        if not all(size.isdecimal() and int(size) > 0 for size in sizes):
            raise UsageError(
                f"--shape {name}={text} has a size that is no number from 1; write --shape {name}=1,3,224,224"
            )
        found[name] = tuple(map(int, sizes))
    return found


def _pairs(option: str, texts: Sequence[str], form: str, example: str) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for text in texts:
        name, equals, value = text.rpartition("=") if option == "--shape" else text.partition("=")
        if not (equals and name and value):
            raise UsageError(f"{option} {text} is not {form}; write for example {option} {example}")
        if name in seen:
            again = "give each row a name of its own" if option == "--variant" else "give each input one shape"
            raise UsageError(f"{option} {name}=… is given twice; {again}")
        seen.add(name)
        yield name, value

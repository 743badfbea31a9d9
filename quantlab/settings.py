"""The settings there are, as data, and how names and globs choose among them."""

import difflib
import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from quantlab.errors import UsageError
from quantlab.types import Setting

__all__ = ["FORMATS", "SETTINGS", "Format", "choose", "formats_of", "nearest", "select_settings"]

_ALL = (
    Setting("tfjs-float32", "tfjs", "float32", "graph-model, weights as they are"),
    Setting("tfjs-float16", "tfjs", "float16", "graph-model, float32 weights stored as half floats"),
    Setting("tfjs-uint8", "tfjs", "uint8", "graph-model, float32 weights stored in 8 bits, affine per tensor"),
    Setting("tfjs-uint16", "tfjs", "uint16", "graph-model, float32 weights stored in 16 bits, affine per tensor"),
    Setting("tfjs-layers-float32", "tfjs-layers", "float32", "layers-model, weights as they are", default=False),
    Setting(
        "tfjs-layers-float16", "tfjs-layers", "float16", "layers-model, weights stored as half floats", default=False
    ),
    Setting(
        "tfjs-layers-uint8", "tfjs-layers", "uint8", "layers-model, weights in 8 bits, affine per tensor", default=False
    ),
    Setting(
        "tfjs-layers-uint16",
        "tfjs-layers",
        "uint16",
        "layers-model, weights in 16 bits, affine per tensor",
        default=False,
    ),
    Setting("tflite-float32", "tflite", "float32", "TFLite file, weights as they are"),
    Setting("tflite-float16", "tflite", "float16", "TFLite file, weights stored as half floats"),
    Setting(
        "tflite-dynamic",
        "tflite",
        "dynamic",
        "TFLite file, weights in int8, activations quantized while it runs (dynamic range)",
    ),
    Setting(
        "tflite-int8",
        "tflite",
        "int8",
        "TFLite file, weights and activations in int8, calibrated; inputs and outputs stay float",
        calibrated=True,
    ),
    Setting(
        "tflite-int16x8",
        "tflite",
        "int16x8",
        "TFLite file, activations in int16 and weights in int8, calibrated; reference kernels, 50 times slower",
        default=False,
        calibrated=True,
    ),
    Setting(
        "onnx-float32",
        "onnx",
        "float32",
        "ONNX file, of TensorFlow models in opset 18, weights as they are",
        default=False,
    ),
    Setting(
        "onnx-float16", "onnx", "float16", "ONNX file, computes in half floats; inputs and outputs float", default=False
    ),
    Setting(
        "onnx-dynamic",
        "onnx",
        "dynamic",
        "ONNX file, weights in int8, activations quantized while it runs (onnxruntime's dynamic quantization)",
        default=False,
    ),
    Setting(
        "onnx-int8",
        "onnx",
        "int8",
        "ONNX file, weights (by channel) and activations in int8, calibrated (QDQ)",
        default=False,
        calibrated=True,
    ),
)

SETTINGS: dict[str, Setting] = {setting.name: setting for setting in _ALL}
"""Every setting by its name, in the order of the table."""


@dataclass(frozen=True, slots=True)
class Format:
    """What can be said of a format, whatever the scheme."""

    targets: tuple[str, ...]
    """Where it is shipped to."""
    alone: str | None = None
    """What its files are called where they are run one sample at a time; None where they take batches."""


FORMATS: Mapping[str, Format] = {
    "tfjs": Format(("web", "web-mobile", "node")),
    "tfjs-layers": Format(("web", "web-mobile")),
    "tflite": Format(("node", "android"), alone="TFLite"),
    "onnx": Format(("web", "web-mobile", "node", "android"), alone="ONNX"),
}
"""Every format by its name."""


def formats_of(target: str) -> tuple[str, ...]:
    """The formats that are shipped to a target.

    >>> formats_of("android")
    ('tflite', 'onnx')
    """
    return tuple(name for name, each in FORMATS.items() if target in each.targets)


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: what may have been meant, else all there is.

    >>> nearest("tfjs-int8", ["tfjs-uint8", "tflite-int8", "tfjs-float16"])
    "did you mean 'tfjs-uint8' or 'tflite-int8'?"
    """
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)[:2]
    if close:
        return "did you mean " + " or ".join(f"'{each}'" for each in close) + "?"
    return "there are " + ", ".join(known)


def choose(
    kind: str, asked: Sequence[str], known: Sequence[str], *, matches: Callable[[str, str], bool] = fnmatch.fnmatchcase
) -> tuple[str, ...]:
    """The names of `known`, in its order, that any of `asked` names or matches as a glob; `all` is every one.

    Args:
        kind: What they are names of, for a message.
        asked: Names and globs, several of which may stand in one with commas between.
        known: The names there are.
        matches: Whether a name is meant by a glob.

    >>> choose("setting", ["b*", "a"], ["a", "b1", "b2", "c"])
    ('a', 'b1', 'b2')

    Raises:
        UsageError: If one of `asked` matches nothing, or `asked` is empty.
    """
    patterns = [part.strip() for text in asked for part in text.split(",") if part.strip()]
    if not patterns:
        raise UsageError(f"no {kind} was named; {nearest('', known)}")
    chosen: set[str] = set()
    for pattern in patterns:
        found = [name for name in known if pattern == "all" or matches(name, pattern)]
        if not found:
            raise UsageError(f"there is no {kind} '{pattern}'; {nearest(pattern, known)}")
        chosen.update(found)
    return tuple(name for name in known if name in chosen)


def select_settings(asked: Sequence[str] | None) -> tuple[Setting, ...]:
    """The settings that names and globs choose; without any, those that run by default."""
    if asked is None:
        return tuple(setting for setting in _ALL if setting.default)
    return tuple(SETTINGS[name] for name in choose("setting", asked, list(SETTINGS), matches=_means))


def _means(name: str, pattern: str) -> bool:
    """Whether a glob chooses a setting: its format and its scheme by themselves, where it has a dash between them.

    So `tfjs-*` is every graph-model and no layers-model, whose format is `tfjs-layers`.
    """
    setting = SETTINGS[name]
    parts = pattern.split("-")
    halves = [("-".join(parts[:place]), "-".join(parts[place:])) for place in range(1, len(parts))]
    return (
        fnmatch.fnmatchcase(name, pattern)
        if not halves
        else any(
            fnmatch.fnmatchcase(setting.format, format_glob) and fnmatch.fnmatchcase(setting.scheme, scheme_glob)
            for format_glob, scheme_glob in halves
        )
    )

"""The page of preprocessing, from the registries: every step with its formula and the function that it equals."""

from collections.abc import Iterable, Sequence

from docstrings import cell

from quantlab.preprocessing import ASPECTS, DECODERS, FAMILY_MODES, LAYOUTS, MODES, RESIZERS, SIGNAL_STEPS
from quantlab.preprocessing.decoders.browser import CANVAS, CANVAS_CALL
from quantlab.preprocessing.exporters import EXPORTERS

__all__ = ["preprocessing_page"]

_INTRO = """\
A pipeline turns a file into the input of a model: decode, crop the centre, resize, multiply and add, order the \
dimensions. Each step has one definition, a Python implementation, and a JavaScript one that equals it. The tests \
compare the Python one with the library that it names. [Declare the preprocessing](guides/preprocessing.md) shows how \
to use them."""

_KINDS = "The decoders differ in files of unusual kinds. `canvas` is the browser of exported JavaScript:"

_CENTRAL = """\
`central_crop` keeps a share s of the image, as `tf.image.central_crop`: ⌊(h − h · s) / 2⌋ rows go at the top and at \
the bottom, and columns likewise."""

_RESIZERS = """\
`in` and `out` are the numbers of pixels of the image and of the result along one dimension, `x` is the position of an \
output pixel from 0, `p(i)` is the input pixel at `i`, and `w(i)` are weights that add up to 1. Results are equal to \
the last bit of the named call, except for `lanczos` of TensorFlow, which is within 0.0002 of a pixel value. The \
resizers of TensorFlow.js repeat its cpu backend; other backends compute in float32. The `opencv` resizer was compared \
with OpenCV 5.0, `pillow` with Pillow 13.0."""

_SIGNALS = """\
These functions of `quantlab.preprocessing` take a signal to a spectrogram in NumPy. They are for loaders of your own; \
`[preprocessing]` has no keys for signals, and nothing is exported."""

_VALUES = "A mode gives scale, offset and colour order. `p` is a pixel value from 0 to 255, red first unless stated."

_ROUNDED = """\
Values are computed as pixel × scale + offset in float64 and rounded once to the data type. Libraries that compute in \
float32 differ from this in the last bits."""


def preprocessing_page() -> str:
    """Every step of a pipeline, and every language that it is exported to."""
    return "\n\n".join(
        [
            "# Preprocessing",
            _INTRO,
            "## Decoders",
            _table(("decoder", "call", "grey"), [(_code(n), _code(d.library), d.grey) for n, d in DECODERS.items()]),
            f"{_KINDS} `{CANVAS_CALL}`.",
            _behaviour(),
            "## Central crop",
            _CENTRAL,
            "## Aspect",
            "An image of (h, w) pixels becomes a sample of (H, W).",
            _table(("aspect", "resized to", "equals"), [(_code(n), *texts) for n, texts in ASPECTS.items()]),
            "## Resizers",
            _RESIZERS,
            _table(("resizer", "method", "formula", "equals", "result"), _resizer_rows()),
            "## Modes",
            _VALUES,
            _table(("mode", "formula", "equals"), [(_code(n), mode.formula, mode.equals) for n, mode in MODES.items()]),
            "A family of `keras.applications` has the mode of its `preprocess_input`:",
            _table(("mode", "families"), _family_rows()),
            _ROUNDED,
            "## Layout",
            f"{' or '.join(map(_code, LAYOUTS))}: (height, width, channels) or (channels, height, width).",
            "## Signals",
            _SIGNALS,
            _table(("step", "formula", "equals"), [(_code(n), *texts) for n, texts in SIGNAL_STEPS.items()]),
            "## Exports",
            "`quantlab preprocessing export --to NAME` writes the code of a pipeline, with test vectors.",
            _table(("name", "what", "its test"), [(_code(n), e.title, _code(e.test)) for n, e in EXPORTERS.items()]),
        ]
    )


def _behaviour() -> str:
    behaviours = {**{name: decoder.behaviour for name, decoder in DECODERS.items()}, "canvas": CANVAS}
    rows = [(kind, *(behaviour[kind] for behaviour in behaviours.values())) for kind in CANVAS]
    return _table(("file", *map(_code, behaviours)), rows)


def _resizer_rows() -> Iterable[tuple[str, ...]]:
    for name, resizer in RESIZERS.items():
        for method, definition in resizer.methods.items():
            result = "whole pixels" if definition.keeps_pixels else "float32"
            yield _code(name), _code(method), definition.formula, _code(definition.equals), result


def _family_rows() -> Iterable[tuple[str, ...]]:
    for mode in MODES:
        families = [_code(family) for family, its in FAMILY_MODES.items() if its == mode]
        if families:
            yield _code(mode), ", ".join(families)


def _code(text: str) -> str:
    return f"`{text}`"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cell(one) for one in line)} |" for line in lines)

"""Inputs and outputs that some runtimes cannot have."""

from collections.abc import Iterator

from quantlab.lint.contract import ANY, MODELS, Evidence, Hazard
from quantlab.lint.subject import Subject
from quantlab.types import Port

__all__ = ["HAZARDS"]


def _strings(subject: Subject) -> Iterator[Evidence]:
    ports = [port for port in (*subject.inputs, *subject.outputs) if port.dtype in {"string", "str", "object"}]
    placed = {port.name for port in ports}
    for port in ports:
        yield Evidence(port.name, "it holds strings")
    for op in subject.ops_of("Placeholder"):
        if op.attributes.get("dtype") == "DT_STRING" and op.name not in placed:
            yield Evidence(op.name, "it holds strings")


def _open_sizes(subject: Subject) -> Iterator[Evidence]:
    for port in subject.inputs:
        open_axes = [place for place, size in enumerate(port.shape) if size is None]
        if any(open_axes):  # axis 0 is the batch
            yield Evidence(port.name, f"its shape {_shown(port)} has an open size that is not its first")
        elif subject.kind == "TFLite" and open_axes:
            yield Evidence(port.name, f"its shape {_shown(port)} has an open batch, which LiteRT.js refuses")


def _shown(port: Port) -> str:
    return "(" + ", ".join("?" if size is None else str(size) for size in port.shape) + ")"


HAZARDS = (
    Hazard(
        id="STRING-INPUT",
        severity="error",
        title="an input or output holds strings",
        happens="Neither tfjs in WebAssembly nor LiteRT nor quantized ops have strings.",
        see="`quantlab analyze MODEL` refuses the model and names the input.",
        remedy="Export the part of the model behind the text processing, which takes numbers of tokens.",
        kinds=ANY,
        check=_strings,
    ),
    Hazard(
        id="DYNAMIC-SHAPE",
        severity="note",
        title="an input has open sizes",
        happens="LiteRT.js refuses a TFLite file with an open batch (quantlab gives it a copy with batch 1), and "
        "delegates and accelerators fall back to the CPU. Of other models, the samples decide the sizes when they are "
        "converted to TFLite, and other sizes fail later.",
        see="`quantlab analyze` prints the shapes; `quantlab show runtimes` what could not run.",
        remedy="Convert with the sizes that the app uses: batch 1, and the shape of one sample (`--shape` for ONNX).",
        kinds=(*MODELS, "TFLite"),
        check=_open_sizes,
    ),
)

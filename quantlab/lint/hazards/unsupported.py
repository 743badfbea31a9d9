"""Ops, layers and versions of them that a runtime does not have, with the first version that has them."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from quantlab.lint.contract import Evidence, Hazard
from quantlab.lint.known_ops import (
    LAYERS_ACTIVATIONS,
    NEEDED_BY_GRAPHS,
    NOT_IN_ONNX_RUNTIME,
    RECENT_IN_ONNX_RUNTIME,
    RECENT_IR_VERSIONS,
    RECENT_OPSETS,
    RECENT_TFLITE,
    TfjsKernels,
    onnx_web_ops,
    tfjs_kernels,
    tfjs_ops,
)
from quantlab.lint.subject import Kind, Layer, Subject, is_foreign
from quantlab.names import joined, shortened
from quantlab.types.lint import Severity

__all__ = ["HAZARDS"]


def _unsupported(subject: Subject) -> Iterator[Evidence]:
    for check in _CHECKS[subject.kind]:
        yield from check(subject)


def _places(subject: Subject) -> dict[str, str]:
    """Kind of op → the first op of that kind."""
    places: dict[str, str] = {}
    for op in subject.ops:
        places.setdefault(op.kind, op.name)
    return places


def _unknown_to_tfjs(subject: Subject) -> Iterator[Evidence]:
    known = tfjs_ops()
    called = {value for op in subject.ops for value in op.attributes.values() if isinstance(value, str)}
    for kind, name in _places(subject).items():
        if known and kind not in known and kind not in NEEDED_BY_GRAPHS | called:
            severity: Severity = "error" if subject.kind == "graph-model" else "warning"
            yield Evidence(name, f"tfjs does not have the op {kind}, in no version up to 4.22", severity)


def _without_kernel(subject: Subject) -> Iterator[Evidence]:
    table = tfjs_kernels()
    for kind, name in _places(subject).items():
        missing = table.missing.get(kind, ())
        if missing:
            others = [backend for backend in table.backends if backend not in missing]
            yield Evidence(
                name,
                f"tfjs {_minor(table.version)} has no kernel for {kind} on {joined(missing)}; it runs on "
                f"{joined(others)}",
                "note",
            )


def _of_recent_tfjs(subject: Subject) -> Iterator[Evidence]:
    """The smallest version of each backend that runs the graph, where that is not the oldest that is known."""
    table, places = tfjs_kernels(), _places(subject)
    newest: dict[str, tuple[str, str]] = {}
    for backend in table.backends:
        needs = [(table.since[kind][backend], kind) for kind in places if backend in table.since.get(kind, {})]
        if needs and not any(backend in table.missing.get(kind, ()) for kind in places):
            newest[backend] = max(needs, key=lambda need: _number(need[0]))
    if not newest:
        return
    groups: dict[tuple[str, str], list[str]] = {}
    for backend, need in newest.items():
        groups.setdefault(need, []).append(backend)
    ordered = sorted(groups, key=lambda need: _number(need[0]), reverse=True)
    parts = [f"{version} or newer{_on(groups[version, kind])} ({kind})" for version, kind in ordered]
    yield Evidence(places[ordered[0][1]], f"it needs tfjs {joined(parts)}", "note")


def _on(backends: Sequence[str]) -> str:
    return "" if len(backends) == len(TfjsKernels.backends) else f" on {joined(backends)}"


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _minor(version: str) -> str:
    """A version without its patch."""
    return ".".join(version.split(".")[:2])


def _unknown_to_layers(subject: Subject) -> Iterator[Evidence]:
    severity: Severity = "error" if subject.kind == "layers-model" else "note"
    for layer in subject.layers:
        for unknown in _unknown_of(layer):
            yield Evidence(str(layer), f"a layers-model cannot have {unknown}: tfjs 4.22 does not know it", severity)


def _unknown_of(layer: Layer) -> list[str]:
    """The layer, or else its activations, if tfjs-layers does not know them."""
    from quantlab.formats.tfjs_layers.keras_layers import TFJS_LAYERS

    if layer.kind == "Lambda" or is_foreign(layer):
        return []  # LAMBDA-LAYER and CUSTOM-LAYER
    if layer.kind not in TFJS_LAYERS:
        return [f"a {layer.kind}"]
    return [f"the activation {name}" for name in _activations(layer) if name not in LAYERS_ACTIVATIONS]


def _activations(layer: Layer) -> list[str]:
    held = (layer.config.get("activation"), layer.config.get("recurrent_activation"))
    return [name for name in held if isinstance(name, str)]


def _unknown_to_tflite(subject: Subject) -> Iterator[Evidence]:
    versions = {(op.kind, op.version): op.name for op in reversed(subject.ops) if op.domain != "custom"}
    for (kind, version), name in sorted(versions.items()):
        if kind.startswith("op "):
            yield Evidence(name, f"{kind} is unknown to LiteRT", "error")
        elif (kind, version) in RECENT_TFLITE:
            first = RECENT_TFLITE[kind, version]
            yield Evidence(name, f"{kind} in version {version} needs TensorFlow Lite {first} or newer", "note")


_CONTRIB = "com.microsoft"
_OF_ONNX = frozenset({"", "ai.onnx"})


def _unknown_to_onnx(subject: Subject) -> Iterator[Evidence]:
    import onnx

    newest, opset = int(onnx.defs.onnx_opset_version()), _opset(subject)
    if opset > newest:
        yield Evidence("", f"its opset {opset} is newer than {newest}, the newest that is installed here", "warning")
    places = {(op.domain, op.kind): op.name for op in reversed(subject.ops)}
    for (domain, kind), name in sorted(places.items()):
        if domain in _OF_ONNX:
            if opset <= newest and not onnx.defs.has(kind):
                yield Evidence(name, f"ONNX has no op {kind}", "error")
            elif kind in NOT_IN_ONNX_RUNTIME:
                yield Evidence(name, f"ONNX Runtime has no kernel for {kind} on the CPU", "error")
        elif domain != "ai.onnx.ml":
            told = "only ONNX Runtime has it" if domain.startswith(_CONTRIB) else "it needs a library of custom ops"
            yield Evidence(name, f"{kind} is of the domain '{domain}': {told}", "note")


def _opset(subject: Subject) -> int:
    return int(subject.metadata.get("opset ai.onnx", "0"))


def _of_recent_onnx_runtime(subject: Subject) -> Iterator[Evidence]:
    """The smallest version of ONNX Runtime, by the versions that the file declares and by its ops."""
    opset, ir = _opset(subject), int(subject.metadata.get("ir", "0"))
    needs = [
        ("", f"its opset {opset}", RECENT_OPSETS.get(opset)),
        ("", f"its IR version {ir}", RECENT_IR_VERSIONS.get(ir)),
    ]
    needs += [(name, kind, RECENT_IN_ONNX_RUNTIME.get(kind)) for kind, name in _places(subject).items()]
    recent = [(where, what, version) for where, what, version in needs if version is not None]
    if recent:
        where, what, version = max(recent, key=lambda need: _number(need[2]))
        yield Evidence(where, f"{what} needs ONNX Runtime {version} or newer", "note")


_NAMED = 3
_FOLDED = "Constant"
"""An op that is replaced by its value before kernels are chosen."""


def _in_browsers(subject: Subject) -> Iterator[Evidence]:
    """What onnxruntime-web does where a backend of it has no kernel on the GPU."""
    import onnx

    table, opset = onnx_web_ops(), _opset(subject)
    kinds = {op.kind: op.name for op in reversed(subject.ops) if op.domain in _OF_ONNX and op.kind != _FOLDED}
    places = {kind: name for kind, name in kinds.items() if onnx.defs.has(kind)}
    refused = [kind for kind in places if not _covers(table.webgl.get(kind, ""), opset)]
    slow = [kind for kind in places if not _covers(table.webgpu.get(kind, ""), opset)]
    parts = [f"WebGL refuses the file (no {shortened(refused, most=_NAMED)})"] if refused else []
    parts += [f"WebGPU computes {shortened(slow, most=_NAMED)} on the CPU"] if slow else []
    if parts:
        place = places[(slow or refused)[0]]
        yield Evidence(place, f"in onnxruntime-web {_minor(table.version)}, {joined(parts)}", "note")


def _covers(opsets: str, opset: int) -> bool:
    """Whether `7+` or `1-12` has an opset; an empty text has none."""
    first, _, last = opsets.partition("-")
    return bool(first) and int(first.rstrip("+")) <= opset and (not last or opset <= int(last))


_CHECKS: Mapping[Kind, tuple[Callable[[Subject], Iterator[Evidence]], ...]] = {
    "SavedModel": (_unknown_to_tfjs, _without_kernel),
    "graph-model": (_unknown_to_tfjs, _without_kernel, _of_recent_tfjs),
    "layers-model": (_unknown_to_layers,),
    "Keras 2": (_unknown_to_layers,),
    "TFLite": (_unknown_to_tflite,),
    "ONNX": (_unknown_to_onnx, _of_recent_onnx_runtime, _in_browsers),
}

HAZARDS = (
    Hazard(
        id="UNSUPPORTED-OP",
        severity="warning",
        title="a runtime does not have an op, a layer or a version of it",
        happens="The converter refuses the model, or the runtime refuses the file when it is loaded. The finding names "
        "the runtime, and the smallest version that has the op: of TensorFlow.js for each backend, of TensorFlow Lite, "
        "and of ONNX Runtime by the opset and IR version of the file.",
        see="`quantlab show runtimes`: the failures; `quantlab analyze --fallback` runs such rows on another backend.",
        remedy="Replace the op, choose another backend or format, or update the runtime of the app to that version.",
        kinds=tuple(_CHECKS),
        check=_unsupported,
    ),
)

"""Writes which ops onnxruntime-web has for WebGL and WebGPU: `python -m tests.onnx_web_ops`.

The table is `quantlab/lint/onnx_web_ops.json`; a test compares it with the installed package. WebGL's ops are those of
the rules by which the package chooses its functions, WebGPU's those of its documentation, `docs/webgpu-operators.md`.
Its build for WebAssembly has the kernels of the CPU, as ONNX Runtime in Python.
"""

import json
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

__all__ = ["PACKAGE", "TABLE", "read_ops"]

_ROOT = Path(__file__).parents[1]
TABLE = _ROOT / "quantlab" / "lint" / "onnx_web_ops.json"
PACKAGE = _ROOT / "quantlab" / "runtimes" / "js" / "node_modules" / "onnxruntime-web"


def read_ops(package: Path = PACKAGE) -> Mapping[str, object]:
    """The version of the package, and for each backend: op of ONNX → opsets, `7+` or `1-12`."""
    rules = (package / "lib" / "onnxjs" / "backends" / "webgl" / "op-resolve-rules.js").read_text("utf-8")
    page = (package / "docs" / "webgpu-operators.md").read_text("utf-8")
    return {
        "version": json.loads((package / "package.json").read_text("utf-8"))["version"],
        "webgl": _opsets(re.findall(r"\[\s*'(\w+)',\s*'',\s*'([\d+-]+)'", rules)),
        "webgpu": _opsets(re.findall(r"^\| (\w+) \| ai\.onnx\(([\d,+-]+)\)", page, re.MULTILINE)),
    }


def _opsets(ops: list[tuple[str, str]]) -> dict[str, str]:
    """Op → its opsets as one range: those of its kernels follow each other.

    Raises:
        ValueError: If there are opsets between those of two kernels.
    """
    found: dict[str, list[tuple[int, str]]] = {}
    for op, texts in sorted(ops):
        for text in texts.split(","):
            first, _, last = text.partition("-")
            found.setdefault(op, []).append((int(first.rstrip("+")), last or text))
    return {op: _joined(op, sorted(ranges)) for op, ranges in found.items()}


def _joined(op: str, ranges: list[tuple[int, str]]) -> str:
    for (_, last), (first, _) in pairwise(ranges):
        if int(last) + 1 != first:
            raise ValueError(f"{op} has no kernel between the opsets {last} and {first}; write its ranges apart")
    first, last = ranges[0][0], ranges[-1][1]
    return f"{first}+" if last.endswith("+") else f"{first}-{last}"


if __name__ == "__main__":
    TABLE.write_text(json.dumps(read_ops(), indent=1) + "\n", encoding="utf-8")

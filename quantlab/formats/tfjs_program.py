"""Programs for sub-graphs of both tfjs formats: JavaScript that needs TensorFlow.js and nothing else."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from quantlab.formats.programs import EXPECTED, OUTPUT, Comparison, Program

__all__ = ["Loading", "javascript_program"]


@dataclass(frozen=True, slots=True)
class Loading:
    """How a model of a format is loaded and called."""

    package: str
    """npm package with the function, besides tfjs-core."""
    function: str
    """Its name."""


@dataclass(frozen=True, slots=True)
class _Backend:
    """Where a backend comes from, in Node.js."""

    package: str
    name: str


_IN_NODE = {
    "": _Backend("@tensorflow/tfjs-backend-cpu", "cpu"),
    "cpu": _Backend("@tensorflow/tfjs-backend-cpu", "cpu"),
    "wasm": _Backend("@tensorflow/tfjs-backend-wasm", "wasm"),
    "native": _Backend("@tensorflow/tfjs-node", "tensorflow"),
}
"""Backend of a runtime → that of the program. Python, which has none, is compared with the one that is plainest."""

_FLAGS = {"webgl16": "tf.env().set('WEBGL_FORCE_F16_TEXTURES', true);"}
"""Backend of a runtime → a statement before its start."""


def javascript_program(comparison: Comparison, loading: Loading) -> Program:
    """A program for Node.js, or for the backends that only browsers have, a page."""
    if comparison.backend in _IN_NODE:
        return _node_program(comparison, loading, _IN_NODE[comparison.backend])
    return _page(comparison, loading)


def _node_program(comparison: Comparison, loading: Loading, backend: _Backend) -> Program:
    where = [] if comparison.backend else ["// output.npy and expected.npy are of Python, with TensorFlow's kernels"]
    text = "\n".join(
        [
            f"// Runs the sub-graph in TensorFlow.js, and prints how far its output is from {EXPECTED} and {OUTPUT}.",
            *where,
            "const fs = require('node:fs');",
            "const path = require('node:path');",
            "",
            "const tf = require('@tensorflow/tfjs-core');",
            f"const {{ {loading.function} }} = require('{loading.package}');",
            f"require('{backend.package}');",
            "",
            _COMPARE,
            "",
            "async function main() {",
            "  const read = (name) => Uint8Array.from(fs.readFileSync(path.join(__dirname, name))).buffer;",
            f"  await tf.setBackend('{backend.name}');",
            f"  const document = JSON.parse(new TextDecoder().decode(read('{comparison.subgraph}/model.json')));",
            "  const artifacts = await tf.io.getModelArtifactsForJSON(document, async (groups) => [",
            "    tf.io.getWeightSpecs(groups),",
            f"    groups.flatMap((group) => group.paths.map((name) => read(`{comparison.subgraph}/${{name}}`))),",
            "  ]);",
            f"  const model = await {loading.function}(tf.io.fromMemory(artifacts));",
            f"  for (const line of await compare(tf, model, read, {_listed(comparison)})) console.log(line);",
            "}",
            "",
            "main();",
            "",
        ]
    )
    packages = sorted({"@tensorflow/tfjs-core", loading.package, backend.package})
    return Program({"compare.cjs": text}, f"`{_installing(packages, comparison)}` and `node compare.cjs`:\nthis")


def _page(comparison: Comparison, loading: Loading) -> Program:
    backend = "webgl" if comparison.backend in _FLAGS else comparison.backend
    scripts = [("tfjs", "tf.min.js")] + ([("tfjs-backend-webgpu", "tf-backend-webgpu.min.js")] * (backend == "webgpu"))
    text = "\n".join(
        [
            "<!doctype html>",
            '<meta charset="utf-8">',
            "<title>Sub-graph</title>",
            '<pre id="result"></pre>',
            *(f'<script src="node_modules/@tensorflow/{package}/dist/{file}"></script>' for package, file in scripts),
            "<script>",
            f"// Runs the sub-graph in TensorFlow.js, and shows how far its output is from {EXPECTED} and {OUTPUT}.",
            _COMPARE,
            "",
            "async function main() {",
            "  const files = new Map();",
            f"  for (const name of {_listed(comparison)[:-1]}, '{EXPECTED}', '{OUTPUT}']) {{",
            "    files.set(name, await (await fetch(name)).arrayBuffer());",
            "  }",
            *([f"  {_FLAGS[comparison.backend]}"] if comparison.backend in _FLAGS else []),
            f"  await tf.setBackend('{backend}');",
            f"  const model = await tf.{loading.function}('{comparison.subgraph}/model.json');",
            f"  const lines = await compare(tf, model, (name) => files.get(name), {_listed(comparison)});",
            "  document.getElementById('result').textContent = lines.join('\\n');",
            "}",
            "",
            "main().catch((error) => { document.getElementById('result').textContent = String(error); });",
            "</script>",
            "",
        ]
    )
    packages = [f"@tensorflow/{package}" for package, _ in scripts]
    return Program(
        {"compare.html": text},
        f"`{_installing(packages, comparison)}` and a server of this folder, such as\n`python -m http.server`: the "
        f"page `compare.html`",
    )


def _installing(packages: Sequence[str], comparison: Comparison) -> str:
    """The command that installs packages, in the version that ran; Python has run none."""
    version = comparison.environment.get("tfjs")
    return " ".join(["npm install", *(f"{package}@{version}" if version else package for package in packages)])


def _listed(comparison: Comparison) -> str:
    return json.dumps(list(comparison.inputs)).replace('"', "'")


_COMPARE = f"""\
/** An array of NumPy: a header of text, then the values. */
function parseNpy(buffer) {{
  const start = 10 + new DataView(buffer).getUint16(8, true);
  const header = new TextDecoder('latin1').decode(new Uint8Array(buffer, 10, start - 10));
  const shape = /'shape': \\(([^)]*)\\)/.exec(header)[1].split(',').filter((size) => size.trim()).map(Number);
  const descr = /'descr': '([^']*)'/.exec(header)[1];
  const kinds = {{ '<f4': [Float32Array, 'float32'], '<i4': [Int32Array, 'int32'], '|b1': [Uint8Array, 'bool'] }};
  const [Values, dtype] = kinds[descr];
  return {{ values: new Values(buffer.slice(start)), shape, dtype }};
}}

async function compare(tf, model, read, names) {{
  const inputs = names.map((name) => {{
    const {{ values, shape, dtype }} = parseNpy(read(name));
    return tf.tensor(values, shape, dtype);
  }});
  const fed = inputs.length === 1 ? inputs[0] : inputs;
  const result = model.executeAsync ? await model.executeAsync(fed) : model.predict(fed);
  const output = await [result].flat()[0].data();
  return ['{EXPECTED}', '{OUTPUT}'].map((name) => {{
    const {{ values }} = parseNpy(read(name));
    let largest = 0;
    for (let i = 0; i < values.length; i += 1) largest = Math.max(largest, Math.abs(output[i] - values[i]));
    return `largest difference from ${{name}}: ${{Number(largest.toPrecision(6))}}`;
  }});
}}"""

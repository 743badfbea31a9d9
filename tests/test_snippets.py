"""Code to copy: it runs as it is printed, in Python and in JavaScript, and has the names of the artifact."""

import contextlib
import functools
import http.server
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from command_line import PATIENCE
from official import run_as_program

from quantlab.formats import FORMATS
from quantlab.formats.snippets import Wanted, identifier
from quantlab.models.snippets import serving_curl
from quantlab.runtimes.node import find_node
from quantlab.study.inspection.snippets import artifact_snippets, model_snippets
from quantlab.study.inspection.subjects import Artifact
from quantlab.types import Codes, Port

pytestmark = pytest.mark.starts_children

JS = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js"
FILES = JS / "fixtures"

LIBRARIES = {
    "@tensorflow/tfjs": "tfjs.mjs",
    "@litertjs/core": "litert.mjs",
    "onnxruntime-web": "onnxruntime.mjs",
}
"""Package that a page imports → its stand-in in Node.js."""


def snippets(format_name: str, path: Path) -> dict[str, str]:
    artifact = Artifact.of("mine", FORMATS[format_name], path)
    return {one.language: one.text for one in artifact_snippets(artifact)}


@pytest.fixture(scope="module")
def artifacts(workbench):
    """A graph-model, a TFLite file and an ONNX file with two inputs and outputs."""
    return {name: workbench.float32("two_ports", name).path for name in ("tfjs", "tflite", "onnx")}


def test_python_code_runs_as_it_is(artifacts, tmp_path):
    """One process for all, since each import of a library takes a second."""
    texts = [snippets(name, path).get("Python", "") for name, path in artifacts.items()]
    printed = run_as_program("\n".join(texts), tmp_path / "program.log")
    assert sorted(line for line in printed if line.startswith("output_")) == sorted(
        2 * ["output_0 (1, 5)", "output_1 (1, 3)"]
    )


@pytest.mark.parametrize("name", ["two_ports", "keras2_h5"])
def test_the_code_of_a_model_and_of_its_export_runs_as_it_is(name, workbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = workbench.opened(name)
    texts = [one.text for one in model_snippets(model) if one.language == "Python"]
    once = [line.removeprefix("# once: ") for text in texts for line in text.splitlines() if line.startswith("# once")]
    library = once[0].partition(".")[0]
    printed = run_as_program("\n".join([f"import {library}", *once, *texts]), tmp_path / "program.log")
    names = [spec.name for spec in model.description.outputs]
    told = [line.split()[0] for line in printed if line.split() and line.split()[0] in names]
    assert told == names, "the signature's outputs have these names"


@contextlib.contextmanager
def served(folder: Path):
    """A server of a folder, as a page has one."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.mark.parametrize("format_name", ["tfjs", "tflite", "onnx"])
def test_javascript_code_runs_as_it_is(format_name, artifacts):
    if not (JS / "node_modules").is_dir():
        pytest.skip("the packages of the bundle are not installed here; 'python hatch_build.py' installs them")
    text, path = snippets(format_name, artifacts[format_name])["JavaScript"], artifacts[format_name]
    assert {"output_0", "output_1"} <= printed_by(text, path)


def test_javascript_code_of_a_layers_model_runs_as_it_is(workbench):
    if not (JS / "node_modules").is_dir():
        pytest.skip("the packages of the bundle are not installed here; 'python hatch_build.py' installs them")
    path = workbench.float32("keras2_h5", "tfjs-layers").path
    text = snippets("tfjs-layers", path)["JavaScript"]
    assert identifier(FORMATS["tfjs-layers"].inspect(path).outputs[0].name) in printed_by(text, path)


def printed_by(text: str, path: Path) -> set[str]:
    """The first words of what the code prints in Node.js, where a server has the files of an artifact."""
    for package, file in LIBRARIES.items():
        text = text.replace(f"from '{package}'", f"from '{(FILES / 'libraries' / file).as_uri()}'")
    with served(path if path.is_dir() else path.parent) as address:
        file = "model.json" if path.is_dir() else path.name
        text = re.sub(rf'"[^"]*{re.escape(file)}"', f'"{address}/{file}"', text)
        done = subprocess.run(
            [find_node()[0], "--input-type=module", "-e", text],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, done.stderr[-300:] if done.returncode else "") == (0, "")
    return {line.split()[0] for line in done.stdout.splitlines() if line.strip()}


def test_kotlin_code_has_the_sizes_and_order_of_the_file(artifacts):
    """No Kotlin can be had here: its buffers are compared with the file."""
    text = snippets("tflite", artifacts["tflite"])["Kotlin"]
    assert "val image = ByteBuffer.allocateDirect(48).order(ByteOrder.nativeOrder()) // float32 [1, 4, 3]" in text
    assert "arrayOf<Any>(counts, image), mapOf<Int, Any>(0 to output_1, 1 to output_0)" in text


def test_codes_are_made_and_read_by_the_formula_of_the_file():
    texts = snippets("tflite", FILES / "int8_ports.tflite")
    made = [line for text in texts.values() for line in text.splitlines() if "np.clip" in line or "astype" in line]
    assert len(made) >= 2


def test_a_server_is_asked_by_the_names_of_the_signature():
    ports = (Port("image", "image", 0, (None, 2), "float32"), Port("n", "n", 1, (None, 1), "int32"))
    text = serving_curl(Wanted("models/kws.keras", ports, ()), "serving_default")
    command, _, curl = text.partition(" \\\n  | ")
    said = subprocess.run(
        ["/bin/sh", "-c", command.replace("python3", sys.executable)], capture_output=True, check=True
    )
    assert said.stdout == (b'{"signature_name": "serving_default", "inputs": {"image": [[0.0, 0.0]], "n": [[0]]}}\n')
    assert curl == "curl -d @- http://localhost:8501/v1/models/kws:predict"


def test_codes_in_javascript_are_decoded():
    codes = Codes(0.5, 3, 0, 255)
    from quantlab.formats.tflite.snippets import javascript

    text = javascript(
        Wanted(
            "m.tflite",
            (Port("x", "x", 0, (1, 2), "uint8", codes),),
            (Port("y", "y", 0, (1, 2), "uint8", codes),),
        )
    )
    assert text.endswith("console.log('y', Float32Array.from(y.toTypedArray(), (code) => (code - 3) * 0.5));")


def test_codes_that_are_fed_have_their_formula():
    """As a name, `inputs` would replace what the code itself calls so."""
    texts = snippets("tflite", FILES / "int8_ports.tflite")
    assert "np.round(zebra / 0.007843137718737125) - 1, -128, 127)" in texts["Python"]
    assert '(yak.astype("float32") + 1) * 0.01568627543747425' in texts["Python"]
    assert "// codes of zebra: code = clip(round(value / 0.007843137718737125) - 1, -128, 127)" in texts["Kotlin"]
    from quantlab.formats.tflite.snippets import javascript, python

    port = Port("inputs", "inputs", 0, (1, 2), "uint8", Codes(0.5, -3, 0, 255))
    wanted = Wanted("m.tflite", (port,), ())
    assert "// your codes: code = clip(round(value / 0.5) - 3, 0, 255)" in javascript(wanted)
    assert 'interpreter.set_tensor(inputs[0]["index"], inputs_)  # inputs' in python(wanted)


def test_code_that_no_browser_runs_is_not_written():
    codes = Codes(0.5, 3, -128, 127)
    from quantlab.formats.tflite.snippets import javascript

    ports = (Port("x", "x", 0, (1, 2), "int8", codes),)
    assert javascript(Wanted("m.tflite", ports, ports)).startswith("// LiteRT.js takes no int8 inputs or outputs, ")

"""Code that makes the right call of a model and of its artifacts, to copy."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from quantlab.formats.snippets import Wanted
from quantlab.models.snippets import export_python, keras_python, serving_curl, signature_python
from quantlab.study.inspection.subjects import Artifact, model_ports
from quantlab.types import OpenedModel
from quantlab.types.inspection import CallSnippet

__all__ = ["artifact_snippets", "model_snippets"]


def model_snippets(model: OpenedModel) -> Iterator[CallSnippet]:
    """Yield code for a model that TensorFlow opens: Keras, its signature, and a server of the SavedModel."""
    inputs, outputs = model_ports(model)
    path = Path(model.description.path)
    exported = path if path.is_dir() else Path(path.stem)
    if model.description.kind != "SavedModel":
        text = keras_python(Wanted(str(path), inputs, outputs), model.description.kind, len(outputs))
        yield CallSnippet("model", "Python", text)
    wanted = Wanted(str(exported), inputs, outputs)
    text = signature_python(wanted, model.signature)
    if model.description.kind != "SavedModel":
        text = f"{export_python(str(path), wanted.path, model.description.kind)}\n{text}"
    yield CallSnippet("signature", "Python", text)
    yield CallSnippet("signature", "curl", serving_curl(wanted, model.signature))


def artifact_snippets(artifact: Artifact) -> Iterator[CallSnippet]:
    """Yield code for an artifact in each language in which its format has some."""
    inputs = tuple(replace(port, name=artifact.own_names[port.name]) for port in artifact.inputs)
    wanted = Wanted(artifact.shown, inputs, artifact.outputs)
    for language, write in artifact.format.snippets.items():
        yield CallSnippet(artifact.name, language, write(wanted))

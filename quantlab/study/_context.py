"""What every step of one study shares, and how the model is opened."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from quantlab.errors import ModelError, QuantlabError
from quantlab.models import ModelFile
from quantlab.processes import Message
from quantlab.progress import Progress
from quantlab.runtimes import Workshop, python
from quantlab.store import Store, key_of
from quantlab.study.options import AnalyzeOptions
from quantlab.types import ModelDescription, OpenedModel, TensorSpec

__all__ = ["Context", "answer", "model_message", "open_model"]


@dataclass(frozen=True, slots=True)
class Context:
    """One call of `analyze` or `convert`."""

    store: Store
    workshop: Workshop
    options: AnalyzeOptions
    progress: Progress
    file: ModelFile


def answer(messages: Iterable[Message], kind: str, error: type[QuantlabError]) -> Message:
    """The message of a kind among those of a request.

    Raises:
        error: If the request failed.
    """
    found: Message | None = None
    for message in messages:
        if message["type"] == "failed":
            raise error(str(message["reason"]))
        if message["type"] == kind:
            found = message
    if found is None:
        raise error(f"the process answered without saying '{kind}'")
    return found


def _model_key(context: Context) -> str:
    """What the description and the exported SavedModel depend on."""
    options = context.options.model
    libraries = {name: version(name) for name in ("tensorflow", "keras", "tf_keras")}
    asked = {"signature": options.signature, "custom": list(options.custom), "path": str(context.file.path)}
    return key_of({"sha256": context.file.sha256, **asked, **libraries})


def model_message(context: Context) -> Message:
    """The model as a request to the Python worker names it."""
    options = context.options.model
    return {
        "path": str(context.file.path),
        "signature": options.signature,
        "custom": list(options.custom),
        "unsafe": options.unsafe,
        "export": str((context.store.model_folder(_model_key(context)) / "saved_model").absolute()),
    }


def open_model(context: Context) -> OpenedModel:
    """The model's description and SavedModel, from the store or from a worker that opens it.

    Raises:
        ModelError: If it cannot be opened.
    """
    record = context.store.model_folder(_model_key(context)) / "opened.json"
    kept = context.store.read(record, OpenedModel)
    if kept is not None and kept.saved_model.is_dir():
        return kept
    step = f"open {context.file.path.name}"
    context.progress.begin(step)
    request = {"request": "open", "model": model_message(context)}
    said = answer(python.ask(request, context.workshop), "opened", ModelError)
    opened = OpenedModel(_description(said), context.store.absolute(said["saved_model"]))
    context.store.write(record, opened)
    context.progress.end(step, "done")
    return opened


def _description(said: Mapping[str, Any]) -> ModelDescription:
    return ModelDescription(
        path=said["path"],
        kind=said["kind"],
        sha256=said["sha256"],
        inputs=_specs(said["inputs"]),
        outputs=_specs(said["outputs"]),
        parameters=said["parameters"],
        signature=said["signature"],
    )


def _specs(said: Iterable[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(each["name"], tuple(each["shape"]), each["dtype"]) for each in said)

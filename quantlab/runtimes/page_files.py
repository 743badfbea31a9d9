"""The files of one job, under the names by which a page asks its server for them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from quantlab.processes import Document
from quantlab.runtimes.exchange import TensorFile
from quantlab.runtimes.requests import Prepare, Request, Try, request_document

__all__ = ["TYPES", "Served", "bundled_files"]

TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
}
"""File suffix → media type."""


@dataclass(frozen=True, slots=True)
class Served:
    """A request with its job, and the job's files by the names that the page uses."""

    asked: Document
    """The request, with these names instead of paths."""
    whole: Mapping[str, Path]
    """Files that are sent whole: external data, and arrays of calls."""
    artifact: Path
    readable: Mapping[str, Path]
    writable: Mapping[str, Path]
    answers: Mapping[str, str]
    """Name of a call's outputs without their places → the path to which they are written, as `Call.outputs`."""

    @classmethod
    def of(cls, request: Request) -> "Served":
        """Make it from a request."""
        job = request.job
        external = {f"external/{place}": Path(data.file) for place, data in enumerate(job.options.external_data)}
        options = replace(
            job.options,
            external_data=tuple(
                replace(data, file=name) for name, data in zip(external, job.options.external_data, strict=True)
            ),
        )
        inputs, readable = _named("input", job.inputs)
        outputs, writable = _named("output", job.outputs)
        readable |= writable  # what was written for the first samples is compared with a second run of them
        taps = job.taps and replace(job.taps, file="scratch")
        if job.taps:
            writable["scratch"] = Path(job.taps.file)
        named = replace(job, artifact="artifact", inputs=inputs, outputs=outputs, options=options, taps=taps)
        request = replace(request, job=named)
        if isinstance(request, Prepare):
            pictures = {f"picture/{place}": picture for place, picture in enumerate(request.pictures)}
            readable |= {name: Path(picture.file) for name, picture in pictures.items()}
            writable["scratch"] = Path(request.target)
            renamed = tuple(replace(picture, file=name) for name, picture in pictures.items())
            request = replace(request, pictures=renamed, target="scratch")
        fed, answers = dict[str, Path](), dict[str, str]()
        if isinstance(request, Try):
            request, fed, answers = _named_calls(request)
        asked = request_document(request)
        return cls(asked, {**external, **fed}, Path(job.artifact), readable, writable, answers)

    def target(self, name: str) -> Path | None:
        """The file with this name, if a page may write it, else None."""
        if name in self.writable:
            return self.writable[name]
        answer = _ANSWER.fullmatch(name)
        return Path(f"{self.answers[answer[1]]}-{answer[2]}.bin") if answer and answer[1] in self.answers else None

    def grows(self, name: str) -> bool:
        """Whether a page may write beyond the end of the file with this name."""
        return name not in self.writable or name == "scratch"

    def told(self, message: Document) -> Document:
        """A message of the page with the paths of the files that it wrote for a call."""
        if message.get("type") != "tried" or not isinstance(message.get("outputs"), list):
            return message
        return {**message, "outputs": [{**one, "file": str(self.target(one["file"]))} for one in message["outputs"]]}

    def find(self, name: str) -> Path | None:
        """The file with this name, if a page may read it whole, else None."""
        if name in self.whole:
            return self.whole[name] if self.whole[name].is_file() else None
        if name == "artifact" and self.artifact.is_file():
            return self.artifact
        return self._in_artifact(name.removeprefix("artifact/")) if name.startswith("artifact/") else None

    def _in_artifact(self, name: str) -> Path | None:
        """A file in the variant's folder, else None; links out of the folder are refused."""
        if "\0" in name or "\\" in name or any(part in {"", ".", ".."} for part in name.split("/")):
            return None
        try:
            folder, file = self.artifact.resolve(strict=True), (self.artifact / name).resolve(strict=True)
        except (OSError, RuntimeError):
            return None
        return file if folder in file.parents and file.is_file() else None


def _named(kind: str, tensors: Sequence[TensorFile]) -> tuple[tuple[TensorFile, ...], dict[str, Path]]:
    """The tensors with the page's names as files, and a map from these names to the files."""
    named = tuple(replace(tensor, file=f"{kind}/{place}") for place, tensor in enumerate(tensors))
    return named, {name.file: Path(tensor.file) for name, tensor in zip(named, tensors, strict=True) if tensor.file}


_ANSWER = re.compile(r"(answer/\d+)-(\d{1,4})\.bin")
"""Name of the file of an output."""


def _named_calls(request: Try) -> tuple[Try, dict[str, Path], dict[str, str]]:
    """The request with the page's names as files, and maps from the names of inputs and outputs to the files."""
    fed = {f"fed/{i}/{k}": Path(one.file) for i, call in enumerate(request.calls) for k, one in enumerate(call.inputs)}
    calls = tuple(
        replace(
            call,
            inputs=tuple(replace(one, file=f"fed/{i}/{k}") for k, one in enumerate(call.inputs)),
            outputs=f"answer/{i}",
        )
        for i, call in enumerate(request.calls)
    )
    return replace(request, calls=calls), fed, {f"answer/{i}": call.outputs for i, call in enumerate(request.calls)}


def bundled_files(dist: Path) -> dict[str, Path]:
    """The files of the bundle that pages load, by the names by which they ask for them.

    Args:
        dist: The folder of the bundle.
    """
    pages = {path.name: path for path in (dist / "browser").glob("*") if path.suffix in TYPES}
    wasm = {path.relative_to(dist).as_posix(): path for path in (*dist.glob("*.wasm"), *dist.glob("litert/*"))}
    return {**pages, **wasm}

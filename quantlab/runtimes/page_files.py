"""The files of one job, under the names by which a page asks its server for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from quantlab.processes import Document
from quantlab.runtimes.exchange import TensorFile
from quantlab.runtimes.requests import Prepare, Request, request_document

__all__ = ["TYPES", "Served"]

TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
}
"""File suffix → media type."""


@dataclass(frozen=True, slots=True)
class Served:
    """A request with its job, and the job's files by the names that the page uses."""

    asked: Document
    """The request, with these names instead of paths."""
    whole: Mapping[str, Path]
    """Files that are sent whole: bundled files and external data."""
    artifact: Path
    readable: Mapping[str, Path]
    writable: Mapping[str, Path]

    @classmethod
    def of(cls, request: Request, dist: Path) -> "Served":
        """Make it from a request and the folder of bundled files."""
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
        asked = request_document(request)
        return cls(asked, {**_bundled(dist), **external}, Path(job.artifact), readable, writable)

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


def _bundled(dist: Path) -> dict[str, Path]:
    pages = {path.name: path for path in (dist / "browser").glob("*") if path.suffix in TYPES}
    wasm = {path.relative_to(dist).as_posix(): path for path in (*dist.glob("*.wasm"), *dist.glob("litert/*"))}
    return {**pages, **wasm, "": dist / "browser" / "browser.html"}

"""Opens variants for reading inside: which tensors each has, and the session that reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.artifacts import ARTIFACTS
from quantlab.runtimes import RUNTIMES, Job, input_files
from quantlab.runtimes.exchange import TensorFile
from quantlab.runtimes.taps import Session, graph_taps, open_child, open_python
from quantlab.study._context import Context
from quantlab.types import OpenedModel, SampleSet, TapSpec, TensorSpec, Variant

__all__ = ["Feed", "Opened", "list_variant_taps", "open_isolated", "open_reference", "open_variant"]


@dataclass(frozen=True, slots=True)
class Feed:
    """What every session of a study is fed, and the outputs it gives."""

    context: Context
    samples: SampleSet
    outputs: tuple[TensorSpec, ...]
    batch_size: int
    """What is asked for, or the 1 that the model was exported with."""

    def job(self, kind: str, artifact: str, variant: Variant | None, options: Mapping[str, Any]) -> Job:
        """All samples, for a child that waits to be told which."""
        return Job(
            format=kind,
            artifact=artifact,
            backend="",
            batch_size=self.batch_size,
            start=0,
            stop=self.samples.n,
            inputs=input_files(self.samples, variant),
            outputs=tuple(self._output(variant, spec, place) for place, spec in enumerate(self.outputs)),
            options=dict(options),
        )

    def _output(self, variant: Variant | None, spec: TensorSpec, place: int) -> TensorFile:
        port = next((each for each in variant.outputs if each.name == spec.name), None) if variant else None
        return TensorFile(
            name=spec.name,
            file="",
            offset=0,
            shape=tuple(int(size or 0) for size in spec.shape[1:]),
            dtype=spec.dtype,
            tensor=port.tensor if port else spec.name,
            position=port.position if port else place,
        )

    def file(self, name: str) -> Path:
        """Where a session's child writes a batch."""
        folder = self.context.store.work / "taps"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.bin"


@dataclass(frozen=True, slots=True)
class Opened:
    """A graph in a runtime, its tensors in order of execution, and how to read those that can be read."""

    taps: tuple[TapSpec, ...]
    session: Session


def _readable(taps: Sequence[TapSpec]) -> list[str]:
    return [tap.name for tap in taps if tap.reason is None]


def open_reference(feed: Feed, model: OpenedModel, names: Sequence[str] | None) -> Opened:
    """The reference's own graph; all that can be read, or only some names."""
    name = "reference" if names is None else "reference-aligned"
    if model.format is not None:
        job, taps = _tapped_artifact(feed, model.format, model.source, name, names)
    else:
        where = {"saved_model": str(model.source.absolute()), "signature": model.signature}
        job = feed.job("reference-graph", "", None, where)
        taps = _among(graph_taps(job, feed.context.workshop), names)
    return Opened(taps, open_python(job, _readable(taps), feed.file(name), feed.context.workshop))


def _among(taps: Sequence[TapSpec], names: Sequence[str] | None) -> tuple[TapSpec, ...]:
    wanted = None if names is None else set(names)
    return tuple(tap for tap in taps if wanted is None or tap.name in wanted)


def _tapped_artifact(
    feed: Feed, format_name: str, path: Path, name: str, names: Sequence[str] | None
) -> tuple[Job, tuple[TapSpec, ...]]:
    """A reference that is an artifact, read inside as one."""
    listed = ARTIFACTS[format_name].taps
    taps = _among(listed(path) if listed else (), names)
    artifact, options = _tapped(feed, format_name, path, name, _readable(taps))
    return feed.job(format_name, str(artifact), None, options), taps


def list_variant_taps(feed: Feed, variant: Variant) -> tuple[TapSpec, ...]:
    """Every tensor of a variant, in order of execution."""
    listed = ARTIFACTS[variant.format].taps
    if listed is not None:
        return listed(variant.path)
    return graph_taps(feed.job(variant.format, str(variant.path.absolute()), variant, {}), feed.context.workshop)


def open_variant(feed: Feed, variant: Variant, runtime: str, taps: Sequence[TapSpec]) -> Session:
    """A variant as shipped, for reading what can be read of it; where its format needs one, a tapped copy."""
    names = _readable(taps)
    artifact, options = _tapped(feed, variant.format, variant.path, f"{variant.name}-{runtime}", names)
    job = feed.job(variant.format, str(artifact), variant, ARTIFACTS[variant.format].options(artifact) | options)
    file = feed.file(f"{variant.name}-{runtime}")
    if RUNTIMES[runtime].start is None:
        return open_python(job, names, file, feed.context.workshop)
    return open_child(job, names, file, feed.context.workshop, runtime=RUNTIMES[runtime])


def _tapped(
    feed: Feed, format_name: str, path: Path, name: str, taps: Sequence[str]
) -> tuple[Path, dict[str, list[int]]]:
    """The artifact to open for reading those taps, and where they are among its outputs if it is a copy."""
    write = ARTIFACTS[format_name].write_tapped
    if write is None:
        return path.absolute(), {}
    copy = feed.file(name).with_suffix(path.suffix).absolute()
    return copy, {"positions": list(write(path, copy, taps))}


def open_isolated(feed: Feed, variant: Variant, float32: Variant, taps: Sequence[TapSpec]) -> Session:
    """Each node of a tfjs variant by itself, fed with what the float32 graph feeds it."""
    where = {"float32": str(float32.path.absolute())}
    job = feed.job(f"{variant.format}-isolated", str(variant.path.absolute()), variant, where)
    weighted = {tap.name for tap in graph_taps(job, feed.context.workshop)}
    names = [name for name in _readable(taps) if name in weighted]
    return open_python(job, names, feed.file(f"{variant.name}-isolated"), feed.context.workshop)

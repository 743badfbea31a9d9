"""A model for the toy format, samples for it, and runtimes in this process that a test controls."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import toy_format
from quantlab.formats import FORMATS
from quantlab.processes import ChildPool, Document, tagged
from quantlab.registries import Registries
from quantlab.runtimes import RUNTIMES, Job, Runtime
from quantlab.runtimes import Host as RuntimeHost
from quantlab.runtimes.requests import Request, Run, Time, request_from
from quantlab.types import TUNED, Setting
from quantlab.types.messages import Done, Message, Progress, Ready, Timed
from quantlab.worker.repeating import run_again
from quantlab_converters import CONVERTERS
from toy_format.conversion import PARTS
from toy_format.execution import answer

SAMPLES, INPUTS, CLASSES = 200, 12, 3

_TUNED = Setting("toy-tuned", "toy", TUNED, "int8, but what was tuned is in float", default=False, official=False)

WITH_TOY = Registries(
    formats={**FORMATS, "toy": toy_format.FORMAT}, converters={**CONVERTERS, "toy": toy_format.CONVERTER}
)

WITH_TUNED_TOY = Registries(
    formats={"toy": replace(toy_format.FORMAT, settings=(*toy_format.FORMAT.settings, _TUNED))},
    converters={"toy": replace(toy_format.CONVERTER, parts=lambda _: PARTS)},
)
"""The toy format alone, with ops that may stay in float."""


def kernel_and_bias() -> tuple[np.ndarray, np.ndarray]:
    """Of the one layer, in float64; the right answer to every sample of `write_samples` is its greatest logit."""
    numbers = np.random.default_rng(0)
    return numbers.normal(size=(INPUTS, CLASSES)), numbers.normal(size=CLASSES)


def write_model(path: Path) -> None:
    """One dense layer with a softmax, in ONNX."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = dict(zip(("kernel", "bias"), kernel_and_bias(), strict=True))
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "kernel", "bias"], ["dense"], "dense"),
            helper.make_node("Softmax", ["dense"], ["y"], "y", axis=1),
        ],
        "one_dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", INPUTS))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", CLASSES))],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def write_samples(path: Path) -> None:
    """Samples of every class, labelled by what the model of `write_model` says."""
    kernel, bias = kernel_and_bias()
    x = np.random.default_rng(1).normal(size=(SAMPLES, INPUTS)).astype(np.float32)
    np.savez(path, x=x, y=(x @ kernel + bias).argmax(axis=1))


@dataclass(slots=True)
class Host:
    """A runtime in this process; it counts what it is asked."""

    name: str
    before: Callable[["Host", int], None] = lambda *_: None
    """Called before each batch, with its first sample; what it raises ends the run."""
    after: Callable[[np.ndarray], np.ndarray] = lambda values: values
    """What becomes of a batch's answers."""
    starts: Counter[tuple[str, int]] = field(default_factory=Counter)
    """How often each artifact was run from each sample on."""
    batches: int = 0

    def runtime(self, *, start: Callable[[Job, ChildPool], Any] | None = None, **more: Any) -> Runtime:
        """As a registry has it."""
        return Runtime(
            **{
                "name": self.name,
                "description": "a toy",
                "runs": lambda format_: format_.name == "toy",
                "environment": lambda _: {"toys": "1"},
                "host": RuntimeHost(lambda *_: self.name, start or (lambda *_: Child(self)), lasting=False),
                **more,
            }
        )

    def answer(self, request: Request) -> Iterator[Message]:
        """As a child does."""
        if isinstance(request, Run):
            yield Ready(self.name, {})
            yield from self._run(request.job)
        if isinstance(request, Time):
            yield Ready(self.name, {})
            yield Timed(1.0, 2.0, (0.5,) * 5, None, None, "a toy has none")
        yield Done()

    def _run(self, job: Job) -> Iterator[Message]:
        self.starts[Path(job.artifact).parts[-4], job.start] += 1
        (given,), (wanted,) = job.inputs, job.outputs
        x = np.memmap(given.file, given.dtype, "r", given.offset, (job.stop, *given.shape))
        y = np.memmap(wanted.file, wanted.dtype, "r+", wanted.offset, (job.stop, *wanted.shape))
        for start in range(job.start, job.stop, job.batch_size):
            self.before(self, start)
            stop = min(start + job.batch_size, job.stop)
            y[start:stop] = self.after(answer(job, x[start:stop])["y"])
            self.batches += 1
            yield Progress(stop, stop - start, 0.001)
        yield run_again(job, lambda batch: [self.after(answer(job, batch[0])["y"])], [x], [y])


@dataclass(slots=True)
class Child:
    """What stands for a process of a host: it speaks as one does, and nothing has started."""

    host: Host
    requests: list[Request] = field(default_factory=list)
    alive: bool = True
    pid: None = None
    opened: str = ""

    def send(self, document: Document) -> None:
        """Take a request as a process reads it."""
        self.requests.append(request_from(document))

    def messages(self, _: float) -> Iterator[Document]:
        """What it says, as a process writes it."""
        return (tagged(message) for message in self.host.answer(self.requests.pop(0)))

    def close(self) -> None:
        """Be gone."""
        self.alive = False

    @property
    def usable(self) -> bool:
        """Whether it was not closed."""
        return self.alive

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return not self.alive

    def end_of_request(self) -> None:
        """Log nothing."""

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def with_hosts(*runtimes: Runtime) -> Registries:
    """The toy format in Python and in some hosts."""
    python = RUNTIMES["python"]
    return Registries(
        WITH_TOY.formats, {"python": python, **{runtime.name: runtime for runtime in runtimes}}, WITH_TOY.converters
    )

"""The contracts that every converter and every runtime must fulfil: `check_converter` and `check_runtime`.

The tests run them for all entries of the registries, so a new member is tested without further code.
"""

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from kept import made_once
from small_models import SAMPLES, SmallModel

from quantlab.errors import RuntimeUnavailable
from quantlab.formats import FORMATS, describe_given, describe_variant
from quantlab.models import ModelOptions
from quantlab.pipelines import AppPipeline
from quantlab.pipelines import refuse_absent as refuse_absent_step
from quantlab.processes import (
    ChildDied,
    ChildPool,
    ChildStalled,
    end_lasting_children,
    fork_servers,
    idle_children,
    living_children,
)
from quantlab.runtimes import Job, Runtime, create_output, input_files, protocol, python, tensor_file
from quantlab.runtimes.protocol import answer
from quantlab.runtimes.requests import Open
from quantlab.settings import SETTINGS
from quantlab.types import ModelDescription, OpenedModel, SampleSet, Setting, TensorSpec, Variant
from quantlab.types.executor_options import ExecutorOptions, ModelRequest
from quantlab.types.messages import Done, Failed, Message, Opened, Progress, Ready, Repeated
from quantlab_converters import CONVERTERS, Conversion, ConversionRequest, convert_settings

__all__ = [
    "KILLED",
    "Workbench",
    "check_converter",
    "check_runtime",
    "check_runtime_resumes",
    "check_runtime_stays_open",
    "check_runtime_survives",
    "child_processes",
    "contents",
    "convert",
    "evaluate_graph",
    "executors",
    "job_of",
    "kill_newest",
    "model_for",
    "names_in_library_order",
    "no_process_left",
    "onnx_contents",
    "refuse_absent",
    "settings_of",
]

BATCH = 3
"""Of seven samples: two whole batches, and one left."""


def settings_of(format_name: str) -> list[Setting]:
    """A format's settings, in the table's order."""
    return [setting for setting in SETTINGS.values() if setting.format == format_name and not setting.tuned]


def model_for(format_name: str, name: str) -> str:
    """The small model that a format is tried with: layers-models are made of those of Keras 2."""
    return f"keras2_{name}" if format_name == "tfjs-layers" else name


@dataclass(slots=True)
class Workbench:
    """Small models, opened and converted when first asked for, and once for all workers of a run."""

    folder: Path
    shared: Path
    """A folder of all workers, for what is made once."""
    models: Mapping[str, SmallModel]
    pool: ChildPool
    _opened: dict[str, OpenedModel] = field(default_factory=dict)
    _variants: dict[tuple[str, str], dict[str, Variant]] = field(default_factory=dict)

    def opened(self, name: str) -> OpenedModel:
        """A small model as a worker opens it."""
        if name not in self._opened:
            with made_once(self.shared / f"{name}.opened") as made:
                made.value = made.value or self._open(self.models[name].path, ModelOptions(), self.shared)
            self._opened[name] = made.value
        return self._opened[name]

    def open(self, path: Path, options: ModelOptions) -> OpenedModel:
        """Any model as a worker opens it."""
        return self._open(path, options, self.folder)

    def _open(self, path: Path, options: ModelOptions, folder: Path) -> OpenedModel:
        export = folder / "exported" / path.name / "saved_model"
        said = answer(python.HOST, Open(opening_job(path, options, export)), Opened, self.pool)
        return OpenedModel(said.description, Path(said.source), said.format)

    def samples(self, name: str) -> SampleSet:
        """The samples of a small model as every runtime is fed them."""
        folder, arrays = self.folder / "samples" / name, self.models[name].inputs
        description = self.opened(name).description
        samples = SampleSet(folder, description.inputs, SAMPLES, False, "", name, SAMPLES, "all")
        if not folder.exists():
            folder.mkdir(parents=True)
            for spec in description.inputs:
                np.save(samples.input_file(spec.name), arrays[spec.name])
        return samples

    def request(self, name: str, schemes: list[str], folder: Path) -> ConversionRequest:
        """A small model on its way to some schemes."""
        opened, samples = self.opened(name), self.samples(name)
        return ConversionRequest(
            source=opened.source,
            format=opened.format,
            signature=opened.signature,
            schemes={scheme: folder / scheme for scheme in schemes},
            sample_shapes={},
            calibration={spec.name: samples.input_file(spec.name) for spec in samples.inputs},
            work=folder / "work",
            model=self.models[name].path,
        )

    def variants(self, name: str, format_name: str) -> dict[str, Variant]:
        """A small model in every scheme of a format."""
        return self._made(name, format_name, [setting.scheme for setting in settings_of(format_name)])

    def float32(self, name: str, format_name: str) -> Variant:
        """A small model in a format's float32, which is faster made than all."""
        return self._made(name, format_name, ["float32"])["float32"]

    def _made(self, name: str, format_name: str, schemes: list[str]) -> dict[str, Variant]:
        here = self._variants.setdefault((name, format_name), {})
        if not set(schemes) <= set(here):
            with made_once(self.shared / f"{name}.{format_name}") as made:
                made.value = made.value or {}
                missing = [scheme for scheme in schemes if scheme not in made.value]
                made.value.update(self._convert(name, format_name, missing))
            here.update(made.value)
        return here

    def _convert(self, name: str, format_name: str, schemes: list[str]) -> dict[str, Variant]:
        folder, made = self.shared / "variants" / format_name / name, {}
        for conversion in convert(format_name, self.request(name, schemes, folder)):
            assert conversion.reason is None
            path, description = FORMATS[format_name].served(conversion.folder), self.opened(name).description
            made[conversion.scheme] = describe_variant(
                f"{format_name}-{conversion.scheme}", FORMATS[format_name], path, description
            )
        return made


_PORTS = ("inputs", "outputs")


def convert(format_name: str, request: ConversionRequest, stall_seconds: float = 300) -> list[Conversion]:
    """Every conversion of a request, the log beside its work."""
    log = request.work.with_suffix(".log")
    with ChildPool(request.work.parent / "shop", stall_seconds=stall_seconds) as pool:
        return list(convert_settings(CONVERTERS[format_name], request, log=log, pool=pool))


def check_converter(format_name: str, workbench: Workbench, folder: Path) -> None:
    """A converter makes what its settings promise, the same alone as with others, and a failure costs itself alone."""
    made = workbench.variants(model_for(format_name, "conv"), format_name)
    _check_made(format_name, workbench.opened(model_for(format_name, "conv")).description, made)
    _check_alone(format_name, workbench, made, folder / "alone")
    _check_failures(format_name, workbench, folder / "failures")
    _check_stalls(format_name, workbench, folder / "stalls")


def _check_made(format_name: str, description: ModelDescription, made: Mapping[str, Variant]) -> None:
    assert list(made) == [setting.scheme for setting in settings_of(format_name)]
    for setting in settings_of(format_name):
        variant = made[setting.scheme]
        assert FORMATS[format_name].recognizes(variant.path)
        assert [port.name for port in variant.inputs] == [spec.name for spec in description.inputs]
        assert [port.name for port in variant.outputs] == [spec.name for spec in description.outputs]
        assert [port.dtype for port in (*variant.inputs, *variant.outputs)] == ["float32", "float32"]
        # No note: the weights are finite, and are what the name claims.
        assert describe_given(setting.name, variant.path, description).notes == ()
    smaller = [variant for scheme, variant in made.items() if scheme != "float32"]
    weights = sum(made["float32"].weights.values())
    assert all(sum(variant.weights.values()) < weights for variant in smaller)
    assert len({variant.sha256 for variant in made.values()}) == len(made)


def _check_alone(format_name: str, workbench: Workbench, made: Mapping[str, Variant], folder: Path) -> None:
    """The last scheme by itself is, byte for byte, what it was among all: an added setting changes no other."""
    scheme = settings_of(format_name)[-1].scheme
    request = workbench.request(model_for(format_name, "conv"), [scheme], folder)
    (stale := request.schemes[scheme]).mkdir(parents=True)
    (stale / "left-by-an-earlier-try").touch()
    (conversion,) = convert(format_name, request)
    assert (conversion.scheme, conversion.folder, conversion.reason) == (scheme, stale, None)
    same = contents if format_name != "onnx" else onnx_contents
    assert same(FORMATS[format_name].served(stale)) == same(made[scheme].path)
    assert not (stale / "left-by-an-earlier-try").exists()
    assert not request.work.exists()


def contents(path: Path) -> dict[str, Any]:
    """What an artifact's files hold, JSON as its values: the converters leave the order of its keys to chance."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return {
        file.relative_to(path).as_posix(): json.loads(file.read_bytes())
        if file.suffix == ".json"
        else file.read_bytes()
        for file in files
    }


def onnx_contents(path: Path) -> dict[str, tuple[bytes, tuple[float, ...]]]:
    """What a file's tensors hold, by where they are computed with: tf2onnx names, numbers and orders by chance.

    Constants of one value are left out, since it is by chance too whether those that are equal are one.
    """
    weights = [weight for weight in FORMATS["onnx"].weights(path) if weight.stored.size > 1]
    return {
        key: (weight.stored.tobytes(), weight.scales) for weight in weights for key in weight.keys or (weight.name,)
    }


def _check_failures(format_name: str, workbench: Workbench, folder: Path) -> None:
    """What needs samples fails without them; the one after it is made, by another process."""
    calibrated = [setting.scheme for setting in settings_of(format_name) if setting.calibrated][:1]
    schemes = [*calibrated, "float32"]
    conversions = convert(
        format_name, replace(workbench.request(model_for(format_name, "conv"), schemes, folder), calibration={})
    )
    reason = "static quantization needs calibration samples, and none were given; give some with --calibration"
    assert {conversion.scheme: conversion.reason for conversion in conversions} == {
        scheme: reason if scheme in calibrated else None for scheme in schemes
    }
    assert [conversion.scheme for conversion in conversions if conversion.seconds is None] == calibrated


def _check_stalls(format_name: str, workbench: Workbench, folder: Path) -> None:
    before = child_processes()
    schemes = [setting.scheme for setting in settings_of(format_name)][:2]
    conversions = convert(
        format_name, workbench.request(model_for(format_name, "conv"), schemes, folder), stall_seconds=0.0005
    )
    assert [(conversion.scheme, conversion.reason) for conversion in conversions] == [
        (scheme, f"while it converted, {_STALLED.format(0.0005)}") for scheme in schemes
    ]
    assert child_processes() == before


def refuse_absent(runtime: Runtime, format_name: str | None = None) -> None:
    """Skip a test whose runtime this machine lacks, with the sentence that says how to get it; CI lacks nothing."""
    try:
        runtime.environment(FORMATS[format_name] if format_name else next(filter(runtime.runs, FORMATS.values())))
    except RuntimeUnavailable as error:
        if os.environ.get("QUANTLAB_NOTHING_ABSENT"):
            raise
        pytest.skip(str(error))


def refuse_absent_pipeline(app: AppPipeline) -> None:
    """The same for a pipeline of an app."""
    try:
        for step in (app.decoder, app.resizer):
            refuse_absent_step(step)
    except RuntimeUnavailable as error:
        if os.environ.get("QUANTLAB_NOTHING_ABSENT"):
            raise
        pytest.skip(str(error))


def job_of(
    runtime: Runtime,
    variant: Variant,
    samples: SampleSet,
    outputs: Mapping[str, Path],
    *,
    start: int = 0,
    batch_size: int = BATCH,
) -> Job:
    """A job over samples from `start` on, into output files that are there."""
    ports = {port.name: port for port in variant.outputs}
    return Job(
        format=variant.format,
        artifact=str(variant.path),
        backend=runtime.backend,
        batch_size=batch_size,
        start=start,
        stop=samples.n,
        inputs=input_files(samples, variant),
        outputs=tuple(
            tensor_file(path, TensorSpec(name, (), ""), ports[name], place)
            for place, (name, path) in enumerate(outputs.items())
        ),
        options=NO_OPTIONS,
        **executors(variant.format),
    )


NO_OPTIONS = ExecutorOptions()


def opening_job(path: Path, options: ModelOptions, export: Path) -> Job:
    """A job whose options name a model to be opened."""
    model = ModelRequest(str(path), options.signature, options.custom, options.unsafe, str(export), options.shapes)
    return Job("", "", "", 1, 0, 0, (), (), ExecutorOptions(model=model), python.REFERENCE)


def executors(format_name: str) -> dict[str, Any]:
    """What runs a format, as a job names it."""
    return {"python": FORMATS[format_name].python, "javascript": FORMATS[format_name].javascript}


def check_runtime(runtime: Runtime, workbench: Workbench, format_name: str, name: str, folder: Path) -> None:
    """A float32 variant gives what the model gave: every port in its place, and a remainder batch."""
    name = model_for(format_name, name)
    variant, samples = workbench.float32(name, format_name), workbench.samples(name)
    expected = dict(zip(names_in_library_order(workbench, name), workbench.models[name].outputs, strict=True))
    whole = _empty_outputs(folder, expected)
    messages = list(protocol.run(runtime, job_of(runtime, variant, samples, whole), workbench.pool))
    _check_messages(runtime, messages)
    _check_outputs(runtime, whole, expected, first=0)


def check_runtime_resumes(runtime: Runtime, workbench: Workbench, format_name: str, folder: Path) -> None:
    """A variant that goes on after a stop gives the rest, in its place, and leaves the beginning alone."""
    name = model_for(format_name, "crowded")
    variant, samples = workbench.float32(name, format_name), workbench.samples(name)
    expected = dict(zip(names_in_library_order(workbench, name), workbench.models[name].outputs, strict=True))
    resumed = _empty_outputs(folder, expected)
    rest = job_of(runtime, variant, samples, resumed, start=4)
    *_, last = protocol.run(runtime, rest, workbench.pool)
    assert last == Done()
    _check_outputs(runtime, resumed, expected, first=4)
    assert all(not np.load(path)[:4].any() for path in resumed.values())


def check_runtime_stays_open(runtime: Runtime, workbench: Workbench, format_name: str, folder: Path) -> None:
    """A variant with a name is opened by its first part only, gives the same bytes, and makes room for another."""
    name = model_for(format_name, "crowded")
    variant, samples = workbench.float32(name, format_name), workbench.samples(name)
    expected = dict(zip(names_in_library_order(workbench, name), workbench.models[name].outputs, strict=True))
    artifact = folder / variant.path.name
    copy = shutil.copytree if variant.path.is_dir() else shutil.copy
    copy(variant.path, artifact)
    outputs = _empty_outputs(folder / "parts", expected)
    job = replace(job_of(runtime, variant, samples, outputs), artifact=str(artifact))
    with ChildPool(folder / "shop", stall_seconds=300) as pool:
        first, *_, last = protocol.run(runtime, replace(job, stop=3), pool, opened="a")
        assert (type(first), last) == (Ready, Done())
        artifact.rename(folder / "moved away")
        again, *_, last = protocol.run(runtime, replace(job, start=3), pool, opened="a")
        assert (again, last) == (first, Done())
        _check_outputs(runtime, outputs, expected, first=0)
        for opened in ("b", ""):
            *_, last = protocol.run(runtime, job, pool, opened=opened)
            assert isinstance(last, Failed)


def names_in_library_order(workbench: Workbench, name: str) -> list[str]:
    """The outputs' names by their numbers, `output_10` last: the order in which Keras returns them."""
    names = [spec.name for spec in workbench.opened(name).description.outputs]
    return sorted(names, key=lambda output: int(output.removeprefix("output_")))


def _empty_outputs(folder: Path, expected: Mapping[str, npt.NDArray[Any]]) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.npy" for name in expected}
    for name, array in expected.items():
        create_output(paths[name], n=len(array), shape=array.shape[1:], dtype=array.dtype.name)
    return paths


def _check_messages(runtime: Runtime, messages: list[Message]) -> None:
    ready, *answers, last = messages
    progress = [one for one in answers if isinstance(one, Progress)]
    repeated = answers[len(progress) :]
    assert [(type(one), one.samples, one.differing, one.largest) for one in repeated[:1]] == [(Repeated, 3, 0, 0.0)]
    assert [one.way for one in repeated] in (["again"], ["again", "alone"])
    assert (type(ready), ready.ran_on, last) == (Ready, runtime.name, Done())
    assert all(isinstance(text, str) for item in ready.environment.items() for text in item)
    # The first batch is told of alone, the others one by one or together.
    counted = [(message.done, message.batch) for message in progress]
    assert counted in ([(3, 3), (6, 3), (7, 1)], [(3, 3), (7, 4)])
    assert all(message.seconds > 0 for message in progress)


_HALVES = {"chromium-webgl16"}
"""Runtimes that store tensors in half floats."""


def _check_outputs(
    runtime: Runtime, paths: Mapping[str, Path], expected: Mapping[str, npt.NDArray[Any]], first: int
) -> None:
    for name, array in expected.items():
        got = np.load(paths[name])
        assert got.dtype == array.dtype
        tolerance = 0.0 if array.dtype.kind != "f" else 5e-3 if runtime.name in _HALVES else 1e-5
        np.testing.assert_allclose(got[first:], array[first:], rtol=tolerance, atol=tolerance, err_msg=name)


def check_runtime_survives(runtime: Runtime, workbench: Workbench, format_name: str, folder: Path) -> None:
    """A child that is killed, hangs, or is left in the middle costs its job, leaves no process, and is replaced."""
    name = model_for(format_name, "crowded")
    variant, samples = workbench.float32(name, format_name), _many(workbench.samples(name), folder / "many")
    expected = dict(zip(names_in_library_order(workbench, name), workbench.models[name].outputs, strict=True))
    outputs = _empty_outputs(folder, {name: np.resize(array, (samples.n, 3)) for name, array in expected.items()})
    end_lasting_children()  # so that the child that is killed is the newest, and one that is to stall must start
    with no_process_left(), ChildPool(folder / "shop", stall_seconds=300) as pool:
        slow = job_of(runtime, variant, samples, outputs, batch_size=1)
        messages = protocol.run(runtime, slow, pool)
        assert type(next(messages)) is Ready
        kill_newest()
        with pytest.raises(ChildDied, match=KILLED):
            list(messages)
        again = protocol.run(runtime, slow, pool)
        assert [type(next(again)), type(next(again))] == [Ready, Progress]
        again.close()  # as a listener that has enough
        pool.stall_seconds = 0.0005  # a fork is ready in some milliseconds
        with pytest.raises(ChildStalled) as stalled:
            list(protocol.run(runtime, job_of(runtime, variant, samples, outputs), pool))
    assert str(stalled.value) == _STALLED.format(0.0005)


_STALLED = "the process sent nothing for {} seconds and was ended; if it only needs more time, raise --time-limit"
KILLED = r"^the process was ended by SIGKILL, perhaps because the system ran out of memory(; its log ends with: .+)?$"


def _many(samples: SampleSet, folder: Path, n: int = 50_000) -> SampleSet:
    """The same samples over and over: work for longer than it takes to send a signal."""
    folder.mkdir(parents=True)
    many = replace(samples, folder=folder, n=n)
    for spec in samples.inputs:
        np.save(many.input_file(spec.name), np.resize(np.load(samples.input_file(spec.name)), (n, *spec.shape[1:])))
    return many


@contextlib.contextmanager
def no_process_left() -> Iterator[None]:
    """Refuse that a process of ours outlives what is done meanwhile."""
    before = child_processes()
    yield
    assert child_processes() == before


def kill_newest() -> None:
    """As the system does when memory runs out."""
    os.kill(max(living_children(), key=_started), signal.SIGKILL)


def _started(process: int) -> int:
    """When a process began, in clock ticks since the system did; numbers of processes begin anew."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])


def child_processes() -> set[int]:
    """The process ids of our own children, forked ones and dead ones that nobody waited for included.

    Not the fork servers and idle lasting children, which outlive what they are asked for.
    """
    children = living_children()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # a process that ended while we looked
            parent = status.read_text().rpartition(")")[2].split()[1]
            children |= {int(status.parent.name)} if int(parent) == os.getpid() else set()
    return children - fork_servers() - idle_children()


def evaluate_graph(folder: Path, samples: npt.NDArray[Any], fetched: Sequence[str]) -> list[npt.NDArray[Any]]:
    """A graph-model of one input evaluated node by node in eager TensorFlow: nothing of ours has a part in it.

    The weights are those that the official reader decodes.
    """
    from google.protobuf import json_format
    from tensorflow.core.framework import graph_pb2
    from tensorflowjs import read_weights

    document = json.loads((folder / "model.json").read_text())
    graph = json_format.ParseDict(document["modelTopology"], graph_pb2.GraphDef(), ignore_unknown_fields=True)
    weights = read_weights.read_weights(document["weightsManifest"], str(folder), flatten=True)
    values = {weight["name"]: weight["data"] for weight in weights}
    rules = _graph_rules()
    waiting = [node for node in graph.node if node.op != "Const"]
    while waiting:
        node = next(node for node in waiting if all(name in values for name in node.input))
        waiting.remove(node)
        arguments = [values[name] for name in node.input]
        values[node.name] = samples if node.op == "Placeholder" else rules[node.op](node.attr, *arguments)
    return [np.asarray(values[name.removesuffix(":0")]) for name in fetched]


def _graph_rules() -> dict[str, Callable[..., Any]]:
    """What each op that the models of the tests have does with its attributes and inputs."""
    import tensorflow as tf

    def sliding(attr: Any) -> dict[str, Any]:
        return {"strides": list(attr["strides"].list.i), "padding": attr["padding"].s.decode()}

    def fused(attr: Any, result: Any, bias: Any) -> Any:
        steps = {"Relu": tf.nn.relu, "Relu6": tf.nn.relu6}
        result = tf.nn.bias_add(result, bias)
        for step in attr["fused_ops"].list.s[1:]:
            result = steps[step.decode()](result)
        return result

    plain = {
        "AddV2": tf.add,
        "Mul": tf.multiply,
        "Pad": tf.pad,
        "Reshape": tf.reshape,
        "Relu": tf.nn.relu,
        "Relu6": tf.nn.relu6,
        "Sigmoid": tf.sigmoid,
        "Softmax": tf.nn.softmax,
        "Identity": tf.identity,
    }
    return {
        "_FusedConv2D": lambda attr, x, w, bias: fused(
            attr, tf.nn.conv2d(x, w, **sliding(attr), dilations=list(attr["dilations"].list.i)), bias
        ),
        "_FusedMatMul": lambda attr, x, w, bias: fused(attr, tf.matmul(x, w), bias),
        "FusedDepthwiseConv2dNative": lambda attr, x, w, bias: fused(
            attr, tf.nn.depthwise_conv2d(x, w, **sliding(attr)), bias
        ),
        "DepthwiseConv2dNative": lambda attr, x, w: tf.nn.depthwise_conv2d(x, w, **sliding(attr)),
        "MaxPool": lambda attr, x: tf.nn.max_pool2d(x, list(attr["ksize"].list.i), **sliding(attr)),
        "AvgPool": lambda attr, x: tf.nn.avg_pool2d(x, list(attr["ksize"].list.i), **sliding(attr)),
        "Mean": lambda attr, x, axes: tf.reduce_mean(x, axes, keepdims=attr["keep_dims"].b),
        **{op: _without_attributes(function) for op, function in plain.items()},
    }


def _without_attributes(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _attributes, *inputs: function(*inputs)

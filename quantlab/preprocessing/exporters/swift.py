"""Swift source for iOS or macOS, without dependencies but Foundation. No Swift compiler has read it yet."""

from quantlab.preprocessing.exporters.contract import Exporter, fixed_files, listed_numbers, rounding
from quantlab.preprocessing.exporters.vectors import vector_sizes
from quantlab.types import Pipeline

__all__ = ["SWIFT"]


def _files(pipeline: Pipeline) -> dict[str, str]:
    return {**fixed_files("swift"), "Pipeline.swift": _constant(pipeline), "Vectors.swift": _vectors(pipeline)}


def _constant(pipeline: Pipeline) -> str:
    lines = [
        "/// The declared preprocessing; export it again with 'quantlab preprocessing export' to change it.",
        "enum Pipeline {",
        f'    static let sha256 = "{pipeline.sha256}"',
        f'    static let decoder = "{pipeline.decoder}"',
        f'    static let colour = "{pipeline.colour}"',
        f"    static let centralCrop: Double = {pipeline.central_crop!r}",
        f"    static let height = {pipeline.size[0]}",
        f"    static let width = {pipeline.size[1]}",
        f'    static let resize = "{pipeline.resize}"',
        f'    static let resizer = "{pipeline.resizer}"',
        f'    static let aspect = "{pipeline.aspect}"',
        "    /// 0 if the smallest size that covers the input is used.",
        f"    static let shorterSide = {pipeline.shorter_side or 0}",
        f"    static let padValue: Float = {pipeline.pad_value!r}",
        f"    static let scale: [Double] = [{listed_numbers(pipeline.scale)}]",
        f"    static let offset: [Double] = [{listed_numbers(pipeline.offset)}]",
        f'    static let layout = "{pipeline.layout}"',
        "}",
    ]
    return "\n".join(lines) + "\n"


def _vectors(pipeline: Pipeline) -> str:
    entries = [f'        ("{name}", {height}, {width}),' for name, (height, width) in vector_sizes(pipeline).items()]
    lines = [
        "enum Vectors {",
        f'    static let pipelineSHA256 = "{pipeline.sha256}"',
        f"    static let tolerance: Double = {rounding(pipeline)!r}",
        "    static let all: [(name: String, height: Int, width: Int)] = [",
        *entries,
        "    ]",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _differences(_: Pipeline) -> tuple[str, ...]:
    unread = "No Swift compiler was at hand when this was written. The arithmetic is that of the Kotlin export."
    decoding = "It begins with decoded pixels. Draw a picture without colour management, so that its values stay."
    return unread, decoding, "The sample is of Float, whatever data type the pipeline has."


SWIFT = Exporter(
    title="Swift source",
    files=_files,
    use=(
        "// red, green, blue of each pixel\nlet sample = Preprocessing.preprocess(pixels, height: height, width: width)"
    ),
    test="swift test",
    tolerance=rounding,
    differences=_differences,
    runs_alone=False,
)

"""Kotlin source for Android or any Java virtual machine, without dependencies."""

from quantlab.preprocessing.exporters.contract import Exporter, fixed_files, listed_numbers, rounding
from quantlab.preprocessing.exporters.vectors import vector_sizes
from quantlab.types import Pipeline

__all__ = ["KOTLIN"]


def _files(pipeline: Pipeline) -> dict[str, str]:
    return {**fixed_files("kotlin"), "Pipeline.kt": _constant(pipeline), "Vectors.kt": _vectors(pipeline)}


def _constant(pipeline: Pipeline) -> str:
    lines = [
        "package quantlab.preprocessing",
        "",
        "/** The declared preprocessing; export it again with 'quantlab preprocessing export' to change it. */",
        "object Pipeline {",
        f'    const val SHA256 = "{pipeline.sha256}"',
        f'    const val DECODER = "{pipeline.decoder}"',
        f'    const val COLOUR = "{pipeline.colour}"',
        f"    const val CENTRAL_CROP = {pipeline.central_crop!r}",
        f"    const val HEIGHT = {pipeline.size[0]}",
        f"    const val WIDTH = {pipeline.size[1]}",
        f'    const val RESIZE = "{pipeline.resize}"',
        f'    const val RESIZER = "{pipeline.resizer}"',
        f'    const val ASPECT = "{pipeline.aspect}"',
        "    /** 0 if the smallest size that covers the input is used. */",
        f"    const val SHORTER_SIDE = {pipeline.shorter_side or 0}",
        f"    const val PAD_VALUE = {pipeline.pad_value!r}f",
        f"    val SCALE = doubleArrayOf({listed_numbers(pipeline.scale)})",
        f"    val OFFSET = doubleArrayOf({listed_numbers(pipeline.offset)})",
        f'    const val LAYOUT = "{pipeline.layout}"',
        "}",
    ]
    return "\n".join(lines) + "\n"


def _vectors(pipeline: Pipeline) -> str:
    entries = [
        f'        Vector("{name}", {height}, {width})' for name, (height, width) in vector_sizes(pipeline).items()
    ]
    lines = [
        "package quantlab.preprocessing",
        "",
        "class Vector(val name: String, val height: Int, val width: Int)",
        "",
        "object Vectors {",
        f'    const val PIPELINE_SHA256 = "{pipeline.sha256}"',
        f"    const val TOLERANCE = {rounding(pipeline)!r}",
        "    val ALL = listOf(",
        ",\n".join(entries),
        "    )",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _differences(_: Pipeline) -> tuple[str, ...]:
    decoding = (
        "It begins with decoded pixels. Android's decoder of JPEG files is that of most browsers; it applies no EXIF "
        "orientation."
    )
    return (decoding, "The sample is of float32, whatever data type the pipeline has.")


KOTLIN = Exporter(
    title="Kotlin source",
    files=_files,
    use=(
        "val sample = Preprocessing.preprocess(pixels, height, width)  // red, green, blue of each pixel\n"
        "interpreter.run(FloatBuffer.wrap(sample), output)"
    ),
    test="./gradlew test",
    tolerance=rounding,
    differences=_differences,
    runs_alone=False,
)

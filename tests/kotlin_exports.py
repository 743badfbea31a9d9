"""Compiles the exported Kotlin and compares it with Python: `python -m tests.kotlin_exports KOTLINC KOTLIN_STDLIB_JAR`.

The Kotlin compiler is no dependency; `npm install kotlin-compiler` brings one. One program runs every resizer and every
aspect, because compiling takes most of the time: its pipeline is made of variables in place of constants.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from quantlab.preprocessing import DECODERS, RESIZERS
from quantlab.preprocessing.exporters import EXPORTERS, write_export
from quantlab.types import Pipeline

PLAIN = {
    "decoder": "pillow", "colour": "rgb", "central_crop": 1.0, "size": (24, 31), "resize": "bilinear",
    "resizer": "pillow", "aspect": "stretch", "shorter_side": None, "pad_value": 0.0, "scale": (1 / 127.5,),
    "offset": (-1.0,), "layout": "channels-last", "dtype": "float32",
}  # fmt: skip

_MAIN = """
import quantlab.preprocessing.*
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

fun main(folders: Array<String>) {
    for (folder in folders) {
        read(File(folder, "Pipeline.kt").readText())
        for (vector in File(folder, "names").readLines().map { it.split(" ") }) {
            val pixels = File(folder, "pixels/${vector[0]}.bin").readBytes()
            val values = Preprocessing.preprocess(pixels, vector[1].toInt(), vector[2].toInt())
            val expected = ByteBuffer.wrap(File(folder, "expected/${vector[0]}.bin").readBytes())
                .order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
            check(expected.remaining() == values.size)
            println(values.indices.map { Math.abs(values[it] - expected.get(it)) }.maxOrNull()!!)
        }
    }
}

private fun read(source: String) {
    fun value(name: String) = Regex(" $name = (.*)").find(source)!!.groupValues[1].trim('"')
    fun numbers(name: String) =
        value(name).removePrefix("doubleArrayOf(").removeSuffix(")").split(", ").map { it.toDouble() }.toDoubleArray()
READS
}
"""


def pipelines() -> Mapping[str, Pipeline]:
    """Every resizer with every method, every aspect and every grey."""
    changes: dict[str, dict[str, object]] = {
        f"{name}-{method}": {"resizer": name, "resize": method}
        for name, resizer in RESIZERS.items()
        for method in resizer.methods
    }
    changes |= {
        "crop": {"aspect": "crop", "shorter_side": 41, "size": (24, 32)},
        "cover": {"aspect": "crop"},
        "cover-tall": {"aspect": "crop", "size": (31, 24)},
        "pad": {"aspect": "pad", "pad_value": 114.0},
        "pad-tf": {"aspect": "pad", "pad_value": 7.0, "size": (31, 25), "resizer": "tf"},
        "bgr": {"colour": "bgr", "scale": (0.1, 0.2, 0.3), "offset": (1.0, 2.0, 3.0), "layout": "channels-first"},
        "central": {"central_crop": 0.875},
    }
    grey = {"colour": "grey", "resize": "none", "layout": "no-channels"}
    changes |= {f"grey-{name}": {**grey, "decoder": name} for name in DECODERS}
    return {name: Pipeline(**{**PLAIN, **change}) for name, change in changes.items()}  # type: ignore[arg-type]


def _variables(constants: str) -> tuple[str, str]:
    """The source of `Pipeline` with variables, and the statements that read them."""
    source, statements = [], []
    for line in constants.splitlines():
        found = re.match(r" +(const val|val) (\w+) = (.*)", line)
        source.append(line.replace(f"{found[1]} ", "var ", 1) if found else line)
        if found and found[1] == "val":
            statements.append(f'    Pipeline.{found[2]} = numbers("{found[2]}")')
        elif found:
            statements.append(f'    Pipeline.{found[2]} = value("{found[2]}"){_conversion(found[3])}')
    return "\n".join(source), "\n".join(statements)


def _conversion(value: str) -> str:
    """The call that turns the text of a constant into its type."""
    if value.startswith('"'):
        return ""
    if value.endswith("f"):
        return '.removeSuffix("f").toFloat()'
    return ".toDouble()" if "." in value else ".toInt()"


def main(kotlinc: str, stdlib: str) -> int:
    """Print the largest difference of each pipeline; the exit status is 1 if any is above the tolerance."""
    with tempfile.TemporaryDirectory() as place:
        folders = []
        for name, pipeline in pipelines().items():
            folder = Path(place, name)
            write_export(EXPORTERS["kotlin"], pipeline, folder)
            vectors = json.loads((folder / "vectors.json").read_text())
            names = [f"{Path(one['pixels']).stem} {one['height']} {one['width']}" for one in vectors["vectors"]]
            (folder / "names").write_text("\n".join(names))
            folders.append((folder, vectors, len(names)))
        source, reads = _variables((folders[0][0] / "Pipeline.kt").read_text())
        Path(place, "Pipeline.kt").write_text(source)
        Path(place, "Main.kt").write_text(_MAIN.replace("READS", reads))
        files = [str(folders[0][0] / "Preprocessing.kt"), str(Path(place, "Pipeline.kt")), str(Path(place, "Main.kt"))]
        subprocess.run([kotlinc, *files, "-d", f"{place}/all.jar"], check=True)
        words = [
            shutil.which("java") or "java",
            "-cp",
            f"{place}/all.jar:{stdlib}",
            "MainKt",
            *(str(folder) for folder, _, _ in folders),
        ]
        printed = iter(subprocess.run(words, check=True, capture_output=True, text=True).stdout.split())
        worst = {folder.name: (max(float(next(printed)) for _ in range(n)), v["tolerance"]) for folder, v, n in folders}
    for name, (difference, tolerance) in worst.items():
        print(f"{name} {difference:g} of {tolerance:g}")
    return int(any(difference > tolerance for difference, tolerance in worst.values()))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Writes which backends of TensorFlow.js run which ops, and since when: `python -m tests.tfjs_kernels REPOSITORY`.

REPOSITORY is a clone of https://github.com/tensorflow/tfjs with its tags, and the table
`quantlab/lint/tfjs_kernels.json`. Tests compare what it says of the installed version with the installed packages.

A backend runs an op if it registers every kernel that the op needs (`register_all_kernels` of its package). What an op
needs is read from the code: the executor of tfjs-converter names functions of tfjs-core, and the file of such a
function names its kernels, or other functions. Two things are known of that code and not read from it. Fused functions
take their unfused form in training only, as all functions take their gradients. And no function makes complex numbers
of real ones but those of the folder `spectral`.
"""

import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

__all__ = ["BACKENDS", "TABLE", "Source", "missing_in"]

TABLE = Path(__file__).parents[1] / "quantlab" / "lint" / "tfjs_kernels.json"

BACKENDS: Mapping[str, str] = {
    "cpu": "tfjs-backend-cpu",
    "wasm": "tfjs-backend-wasm",
    "webgl": "tfjs-backend-webgl",
    "webgpu": "tfjs-backend-webgpu",
    "node": "tfjs-node",
}
"""Backend → its package."""

_MINORS = {3: 21, 4: 22}
"""Major version → its last minor version. In version 3 all backends began to register kernels."""

_FIRST = {"webgpu": "4.0"}
"""The first version of a package that is no alpha, where it is later than 3.0."""

_ALSO_CALLED = {
    "batchnorm": "fusedbatchnorm",
    "clip": "clipbyvalue",
    "conv3dbackpropinput": "conv3dbackpropinputv2",
}
"""File or configuration of a kernel → the kernel, where their names differ."""

_COMPLEX = frozenset({"complex", "complexabs", "real", "imag"})


@dataclass(frozen=True)
class Source:
    """The packages of one version."""

    root: Path
    """Folder of the packages."""
    suffix: str = "js"
    """Of published packages; `ts` in the repository."""

    def folder(self, package: str) -> Path:
        """Folder of a package's code."""
        return (self.root / package / {"js": "dist", "ts": "src"}[self.suffix]).resolve()

    @cached_property
    def kernels(self) -> Mapping[str, frozenset[str]]:
        """Backend → the kernels that it registers, in lower case."""
        found = {}
        for backend, package in BACKENDS.items():
            text = (self.folder(package) / f"register_all_kernels.{self.suffix}").read_text("utf-8")
            names = re.findall(r"""['"]\./kernels/(\w+)['"]""", text) + re.findall(r"import ?\{ ?(\w+)Config\b", text)
            found[backend] = frozenset(map(_kernel, names))
        return found

    def needs(self) -> Mapping[str, frozenset[str]]:
        """Op of TensorFlow that the converter runs → the kernels that it needs."""
        operations = self.folder("tfjs-converter") / "operations"
        lists = (operations / "op_list", self.root / "tfjs-converter" / "python" / "tensorflowjs" / "op_list")
        listed = "".join(file.read_text("utf-8") for folder in lists for file in folder.glob("*.*") if _is_code(file))
        executed = {
            op: code
            for file in (operations / "executors").glob(f"*_executor.{self.suffix}")
            for op, code in _cases(file.read_text("utf-8"))
        }
        found = {}
        for op in re.findall(r"""tfOpName['"]?: ?['"](\w+)['"]""", listed):
            called = re.findall(r"\b(?:ops|tfOps|tfc)\s*\.\s*([\w.\s]+?)\s*\(", executed.get(op, ""))
            found[op] = frozenset().union(*(self._of_function(re.sub(r"\s", "", name)) for name in called))
        return found | {"ComplexAbs": frozenset({"complexabs"})}

    @cached_property
    def _functions(self) -> Mapping[tuple[str, str], Path]:
        """Folder below `ops`, and name of a function → its file."""
        root, found = self.folder("tfjs-core") / "ops", dict[tuple[str, str], Path]()
        for file in sorted(root.rglob(f"*.{self.suffix}")):
            if not _is_code(file) or file.stem in {"ops", "ops_for_converter", "fused_ops"}:
                continue
            text = file.read_text("utf-8")
            names = re.findall(r"export (?:const|async function|function) (\w+)", text)
            names += [name for held in re.findall(r"export ?\{([^}]*)\};", text) for name in re.findall(r"\w+", held)]
            for name in names:
                found.setdefault((file.relative_to(root).parent.name, name), file)
        return found

    def _of_function(self, name: str) -> frozenset[str]:
        """Kernels of a function of tfjs-core, by the name with which it is called: `conv2d`, `fused.conv2d`."""
        space, _, last = name.rpartition(".")
        for place in ((space, last), ("", last), ("spectral", last)):
            if place in self._functions:
                return frozenset(self._of_file(self._functions[place], set()))
        return frozenset()

    def _of_file(self, file: Path, seen: set[Path]) -> set[str]:
        """Kernels that the function of a file runs, or that the functions run that it calls."""
        seen.add(file)
        imports = re.findall(r"import ?\{([^}]*)\} ?from ['\"](\.[^'\"]*)['\"]", file.read_text("utf-8"))
        named = [name for names, place in imports if place.endswith("kernel_names") for name in names.split(",")]
        kernels = {_kernel(name.strip()) for name in named if not name.strip().endswith(("Attrs", "Inputs"))}
        if len(kernels) > 1:
            kernels -= _COMPLEX
        for names, place in imports if file.parent.name != "fused" else ():
            target = (file.parent / f"{place}.{self.suffix}").resolve()
            skipped = target in seen or target not in self._functions.values() or target.stem.endswith("_util")
            makes_complex = target.stem in _COMPLEX and file.parent.name != "spectral"
            if not skipped and not makes_complex and not re.search("backprop|grad", names, re.IGNORECASE):
                kernels |= self._of_file(target, seen)
        return kernels


def _is_code(file: Path) -> bool:
    return not file.name.startswith("BUILD") and not re.search(r"_test\.|\.d\.ts$|\.map$|test_helper", file.name)


def _kernel(name: str) -> str:
    plain = name.lower().lstrip("_")
    return _ALSO_CALLED.get(plain, plain)


def _cases(text: str) -> Iterator[tuple[str, str]]:
    """Each op of a `switch`, and the code behind its label, or behind the labels that follow it."""
    parts = re.split(r"case ['\"](\w+)['\"]:|default:", text)
    waiting: list[str] = []
    for op, code in zip(parts[1::2], parts[2::2], strict=True):
        waiting.append(op)
        if re.sub(r"//[^\n]*|/\*.*?\*/", "", code, flags=re.DOTALL).strip(" {\n"):
            yield from ((one, code) for one in waiting if one is not None)
            waiting = []


def missing_in(source: Source) -> Mapping[str, tuple[str, ...]]:
    """Op that the converter runs → the backends that do not run it."""
    return {
        op: tuple(backend for backend in BACKENDS if not needed <= source.kernels[backend])
        for op, needed in source.needs().items()
    }


def _table(repository: Path) -> Mapping[str, object]:
    versions = [f"{major}.{minor}" for major, last in _MINORS.items() for minor in range(last + 1)]
    missing: dict[str, Mapping[str, tuple[str, ...]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for version in versions:
            _unpack(repository, version, Path(folder) / version)
            missing[version] = missing_in(Source(Path(folder) / version, "ts"))
    last = missing[versions[-1]]
    since = {op: _since(op, missing) for op in sorted(last)}
    return {
        "version": f"{versions[-1]}.0",
        "oldest": versions[0],
        "missing": {op: last[op] for op in sorted(last) if last[op]},
        "since": {op: found for op, found in since.items() if found},
    }


def _since(op: str, missing: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, list[str]]:
    """Version → the backends that run the op since then, without those that have always run it or do not."""
    versions, found = list(missing), dict[str, list[str]]()
    for backend in BACKENDS:
        first = versions.index(_FIRST.get(backend, versions[0]))
        lacking = [place for place, held in enumerate(missing.values()) if backend in held.get(op, BACKENDS)]
        if lacking and first <= lacking[-1] < len(versions) - 1:
            found.setdefault(versions[lacking[-1] + 1], []).append(backend)
    return {version: found[version] for version in versions if version in found}


def _unpack(repository: Path, version: str, folder: Path) -> None:
    """Write the code of a tag that matters into a folder."""
    wanted = ["tfjs-converter/src/operations", "tfjs-converter/python/tensorflowjs/op_list", "tfjs-core/src/ops"]
    wanted += [f"{package}/src/register_all_kernels.ts" for package in BACKENDS.values()]
    command = ["git", "-C", str(repository), "archive", f"tfjs-v{version}.0", *wanted]
    packed = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder.resolve(), filter="data")


if __name__ == "__main__":
    table = json.dumps(_table(Path(sys.argv[1])), indent=1, sort_keys=False)
    TABLE.write_text(re.sub(r"\[\s+([^][]*?)\s+\]", lambda held: f"[{' '.join(held[1].split())}]", table) + "\n")

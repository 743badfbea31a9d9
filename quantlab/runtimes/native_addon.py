"""The addon with which `node-native` calls TensorFlow's kernels: tfjs-node's sources, compiled on the user's machine.

The installation of tfjs-node downloads a library of TensorFlow and fails behind a firewall. The wheel of TensorFlow,
which quantlab needs anyway, has that library and its headers, so only a compiler is needed. The compiled addon is
stored in the user's cache, in a folder named by the versions and the path of the linked library, and never in an
installed package.
"""

import functools
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from quantlab.errors import RuntimeUnavailable
from quantlab.processes import onednn

__all__ = ["addon_environment", "build_addon", "find_addon", "tfjs_node_version"]

_JS = Path(__file__).parent / "js"
_SOURCES = _JS / "dist" / "native"
_LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")
_TIME_LIMIT_SECONDS = 600


def find_addon() -> Path:
    """Return the path of the compiled addon.

    Raises:
        RuntimeUnavailable: If it was not built for the installed versions.
    """
    addon = _place()
    if not addon.is_file():
        raise RuntimeUnavailable(
            f"the runtime 'node-native' needs an addon that is compiled against TensorFlow {_tensorflow()[1]}, and "
            f"there is none in '{addon.parent}'; build it with 'quantlab doctor --build node-native'"
        )
    return addon


def addon_environment() -> dict[str, str]:
    """Variables for a Node process that loads the addon: one thread and the same kernels as in the Python worker."""
    return {
        "QUANTLAB_NATIVE_ADDON": str(find_addon()),
        "TF_ENABLE_ONEDNN_OPTS": "1" if onednn() else "0",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }


def build_addon() -> Path:
    """Compile the addon into the user's cache and return its path; an existing one is replaced.

    Raises:
        RuntimeUnavailable: If TensorFlow's libraries, our sources or a compiler are missing, or the compiler fails.
    """
    addon, (folder, _) = _place(), _tensorflow()
    missing = [name for name in _LIBRARIES if not (folder / name).is_file()]
    if missing or not (folder / "include").is_dir():
        raise RuntimeUnavailable(
            f"'{folder}' has no {missing[0] if missing else 'headers'}, which node-native is linked with; "
            f"install TensorFlow from its wheel for Linux with 'pip install tensorflow'"
        )
    if not _SOURCES.is_dir():
        raise RuntimeUnavailable(
            "the sources of node-native's addon are not in this checkout; install quantlab with 'pip install -e .'"
        )
    addon.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=addon.parent) as folder_of_ours:
        made = Path(folder_of_ours) / addon.name
        _compile(folder, made)
        made.rename(addon)  # atomically, because another process may be loading the old one
    return addon


def _compile(tensorflow: Path, target: Path) -> None:
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise RuntimeUnavailable(
            "node-native's addon needs a C++ compiler and none was found; install one, as with 'apt install g++', or "
            "name it with CXX"
        )
    sources = sorted(str(file) for file in _SOURCES.glob("*.cc"))
    includes = [f"-I{_SOURCES}", f"-I{tensorflow / 'include'}"]
    libraries = [f"-L{tensorflow}", *(f"-l:{name}" for name in _LIBRARIES), f"-Wl,-rpath,{tensorflow}"]
    command = [compiler, "-std=c++17", "-O2", "-shared", "-fPIC", "-DNAPI_VERSION=8", "-o", str(target)]
    try:
        done = subprocess.run(
            [*command, *sources, *includes, *libraries],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIME_LIMIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeUnavailable(
            f"the compiler '{compiler}' did not finish ({error}); name another with CXX"
        ) from error
    if done.returncode:
        last = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[-300:])
        raise RuntimeUnavailable(
            f"'{compiler}' could not compile node-native's addon ({last}); name another compiler with CXX"
        )


def _place() -> Path:
    """Path of the addon for the installed versions, whether or not it exists."""
    folder, tensorflow = _tensorflow()
    # It is linked with the library in this folder and made from these sources; other installations need their own.
    digest = hashlib.sha256(str(folder).encode())
    for source in sorted(_SOURCES.glob("*")):
        digest.update(source.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = f"tensorflow-{tensorflow}-tfjs-node-{tfjs_node_version()}-{platform.machine()}-{digest.hexdigest()[:12]}"
    return cache / "quantlab" / "node-native" / name / "tfjs_binding.node"


@functools.cache
def _tensorflow() -> tuple[Path, str]:
    """Folder and version of TensorFlow, without importing it."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeUnavailable("node-native needs TensorFlow; install it with 'pip install tensorflow'")
    try:
        installed = version("tensorflow")
    except PackageNotFoundError:
        installed = "unknown"
    return Path(spec.submodule_search_locations[0]).resolve(), installed


def tfjs_node_version() -> str:
    """The bundled version of tfjs-node."""
    package = json.loads((_JS / "package.json").read_text())
    return str(package["dependencies"]["@tensorflow/tfjs-node"])

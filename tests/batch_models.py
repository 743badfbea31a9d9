"""Two small Keras models of the same task, as files, with samples that they answer.

Their inputs have names that Keras chose, which are not the same. Run as a program, it writes them to a folder.
"""

from pathlib import Path

import numpy as np

from quantlab.processes import Document, Emit, serve

__all__ = ["make_batch_models"]

N = 200


def make_batch_models(folder: Path) -> None:
    """Write `a.keras`, `b.keras` and `data.npz`: the largest of three values is the class, and b is less sure."""
    import keras

    random = np.random.default_rng(0)
    x = random.normal(size=(N, 8)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=x[:, :3].argmax(axis=1))
    for name, noise in (("a", 0.0), ("b", 2.0)):
        values = keras.Input((8,))
        dense = keras.layers.Dense(3, activation="softmax")
        model = keras.Model(values, dense(values))
        dense.set_weights([4 * np.eye(8, 3) + noise * random.normal(size=(8, 3)), np.zeros(3)])
        model.save(folder / f"{name}.keras")


def _serve(request: Document, _emit: Emit) -> None:
    make_batch_models(Path(request["folder"]))


if __name__ == "__main__":
    serve(_serve)

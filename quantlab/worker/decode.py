"""The process that decodes images with TensorFlow: `python -m quantlab.worker.decode`.

A request names a file, `path`, and a `.npy` file to write, `target`: uint8 (height, width, 3).
"""

from pathlib import Path

import numpy as np

from quantlab.errors import SamplesError
from quantlab.processes import Document, Emit, serve

__all__: list[str] = []


def decode(request: Document, _: Emit) -> None:
    """Decode one file; raises SamplesError with what TensorFlow says about it."""
    import tensorflow as tf

    content = Path(request["path"]).read_bytes()
    try:
        pixels = tf.io.decode_image(content, channels=3, expand_animations=False).numpy()
    except tf.errors.OpError as error:
        raise SamplesError(_reason(error.message)) from error
    np.save(request["target"], pixels)


def _reason(message: str) -> str:
    """What is wrong, without the name of the op and the functions around it."""
    return message.partition("}} ")[2].partition(" [Op:")[0].strip().rstrip(".") or message


if __name__ == "__main__":
    serve(decode)

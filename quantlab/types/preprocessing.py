"""How files become the input of a model: what a user declares, and the complete pipeline that follows from it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

__all__ = ["ImageBytes", "MelSpectrogram", "Pipeline", "Preprocessing"]


@dataclass(frozen=True, slots=True)
class ImageBytes:
    """The bytes of an image file, which may lie inside of another file, such as an archive."""

    name: str | Path
    """Where it is from, for messages: its path, or in words if it lies inside of another file."""
    content: bytes
    """The bytes of the image file."""

    def read_bytes(self) -> bytes:
        """The bytes, as `Path.read_bytes`."""
        return self.content

    def __str__(self) -> str:
        return str(self.name)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image file is turned into a sample; every field is shown in the table's footer."""

    size: tuple[int, int] | None = None
    """Height and width in pixels; None uses the model's input size and leaves files of that size unresized."""
    resize: str = "bilinear"
    """Resize method: `nearest`, `bilinear`, `bicubic`, `lanczos` or `area`, as `resizer` defines it; `none` refuses
    files of another size."""
    colour: str = "auto"
    """Channel order: `rgb`, `bgr`, `grey`, or `auto`: that of the mode, otherwise rgb for three channels, grey for
    one."""
    scale: float | tuple[float, ...] = 1.0
    """Factor for pixel values 0–255, applied in float64 before conversion to the model's data type; one number, or one
    for each channel."""
    offset: float | tuple[float, ...] = 0.0
    """Constant added after scaling; one number, or one for each channel."""
    classes: tuple[str, ...] | None = None
    """Names of the class folders in the order of the model's outputs; None sorts them."""
    mode: str | None = None
    """Named scale, offset and colour order, such as `tf`, `torch`, `caffe` or `mobilenet_v2`; None takes those of
    `scale` and `offset`."""
    decoder: str = "pillow"
    """Library that decodes the files and makes them grey."""
    resizer: str = "pillow"
    """Library whose resize functions are used."""
    aspect: str = "stretch"
    """What happens to files of another aspect ratio: `stretch`, `crop` (the centre) or `pad` (the borders)."""
    shorter_side: int | None = None
    """Pixels of the shorter side before the centre is cropped, if `aspect` is `crop`; None uses the smallest size that
    covers the input."""
    pad_value: float = 0.0
    """Pixel value 0–255 of the borders, if `aspect` is `pad`."""
    central_crop: float = 1.0
    """Share of the height and the width that is kept before resizing, above 0 and up to 1, as
    `tf.image.central_crop`."""
    layout: str = "channels-last"
    """Order of the dimensions: `channels-last` (height, width, channels) or `channels-first`."""
    dtype: str | None = None
    """Data type of the tensor; None uses the model's."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Preprocessing with nothing left open: two equal pipelines turn a file into equal tensors.

    The steps, in order: decode and convert to `colour`; crop the centre; resize, and crop or pad; multiply and add;
    order the dimensions and convert to `dtype`.
    """

    decoder: str
    """Name of a decoder, see `quantlab.preprocessing.DECODERS`."""
    colour: Literal["rgb", "bgr", "grey"]
    central_crop: float
    """Share of the height and width that is kept; 1 keeps all."""
    size: tuple[int, int]
    """Height and width in pixels."""
    resize: str
    """Resize method; `none` if files must have `size`."""
    resizer: str
    """Name of a resizer, see `quantlab.preprocessing.RESIZERS`."""
    aspect: Literal["stretch", "crop", "pad"]
    shorter_side: int | None
    """Pixels of the shorter side before cropping; None covers `size`. Only if `aspect` is `crop`."""
    pad_value: float
    """Pixel value 0–255 of borders; only if `aspect` is `pad`."""
    scale: tuple[float, ...]
    """One factor, or one for each channel in the order of `colour`."""
    offset: tuple[float, ...]
    """One constant, or one for each channel in the order of `colour`."""
    layout: Literal["channels-last", "channels-first", "no-channels"]
    """`no-channels` is (height, width)."""
    dtype: str
    """Name of a NumPy data type."""

    @property
    def channels(self) -> int:
        """1 or 3."""
        return 1 if self.colour == "grey" else 3

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the batch dimension."""
        height, width = self.size
        if self.layout == "no-channels":
            return (height, width)
        return (height, width, self.channels) if self.layout == "channels-last" else (self.channels, height, width)

    @property
    def sha256(self) -> str:
        """SHA-256 of all fields; two pipelines with equal hashes are equal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class MelSpectrogram:
    """How a signal becomes an image of frames and mel bands, with the parameters of `tf.signal`."""

    sample_rate: int
    """Samples per second of the signal."""
    frame_length: int
    """Samples of a frame, which a periodic Hann window weighs."""
    frame_step: int
    """Samples from one frame to the next; the rest behind the last whole frame is dropped."""
    fft_length: int
    """Samples of the Fourier transform, at least `frame_length`; zeros are added behind a frame."""
    mel_bands: int
    """Number of mel bands."""
    lower_hz: float
    """Lower end of the first band, at least 0."""
    upper_hz: float
    """Upper end of the last band, at most half of the sample rate."""
    log_offset: float = 1e-6
    """Added before the natural logarithm."""

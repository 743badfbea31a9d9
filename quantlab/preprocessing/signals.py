"""Signals: resampling, frames and mel bands in NumPy, for loaders of samples.

Sources: `scipy.signal.resample_poly`, `tf.signal.stft` and `tf.signal.linear_to_mel_weight_matrix`.
"""

from collections.abc import Mapping
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.types import MelSpectrogram

__all__ = ["SIGNAL_STEPS", "log_mel", "mel_weights", "resampled", "spectrogram"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

SIGNAL_STEPS: Mapping[str, tuple[str, str]] = {
    "resampled": (
        "up and down by the rates divided by their greatest common divisor, with a Kaiser window of β = 5",
        "scipy.signal.resample_poly(signal, up, down)",
    ),
    "spectrogram": (
        "|Σ s(t · step + i) · h(i) · exp(−2πj · i · k / N)|, h(i) = ½ − ½ cos(2πi / length), for whole frames",
        "tf.abs(tf.signal.stft(signal, length, step, N)), within the last bits of float32",
    ),
    "mel_weights": (
        "max(0, min((m − l) / (c − l), (u − m) / (u − c))), m = 1127 ln(1 + f / 700), equal bands of m; f = 0 has 0",
        "tf.signal.linear_to_mel_weight_matrix, within the last bits of float32",
    ),
    "log_mel": (
        "ln(spectrogram · mel_weights + offset)",
        "tf.math.log(magnitudes @ weights + offset), except for bands so quiet that float32 transforms add noise",
    ),
}
"""Function → formula, and the call that it equals."""


def resampled(signal: Array, source_rate: int, target_rate: int) -> Floats:
    """Change the number of samples per second; (n,) to (⌈n · target / source⌉,) float32."""
    from scipy.signal import resample_poly

    divisor = gcd(source_rate, target_rate)
    result: Floats = resample_poly(signal, target_rate // divisor, source_rate // divisor).astype(np.float32)
    return result


def spectrogram(signal: Array, parameters: MelSpectrogram) -> Floats:
    """Magnitudes of (n,) as (frames, fft_length // 2 + 1) float32; no frames for a signal shorter than one.

    Raises:
        ValueError: If a frame is longer than the transform.
    """
    length, size = parameters.frame_length, parameters.fft_length
    if length > size:
        raise ValueError(f"a frame of {length} samples does not fit into a transform of {size}")
    frames = max(0, 1 + (len(signal) - length) // parameters.frame_step)
    places = parameters.frame_step * np.arange(frames)[:, None] + np.arange(length)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    magnitudes: Floats = np.abs(np.fft.rfft(signal[places] * window, size)).astype(np.float32)
    return magnitudes


def mel_weights(parameters: MelSpectrogram) -> Floats:
    """Weights of each frequency in each band: (fft_length // 2 + 1, mel_bands) float32.

    Raises:
        ValueError: If the bands do not lie between 0 and half of the sample rate.
    """
    lower, upper, half = parameters.lower_hz, parameters.upper_hz, parameters.sample_rate / 2
    if not 0 <= lower < upper <= half:
        raise ValueError(f"bands from {lower:g} to {upper:g} Hz do not lie between 0 and {half:g} Hz")
    edges = np.linspace(_mel(lower), _mel(upper), parameters.mel_bands + 2)
    mels = _mel(np.linspace(0.0, half, parameters.fft_length // 2 + 1))[:, None]
    rising = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
    weights: Floats = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    weights[0] = 0  # a constant signal is no sound
    return weights


def _mel(hertz: Any) -> Any:
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)


def log_mel(signal: Array, parameters: MelSpectrogram) -> Floats:
    """Logarithm of the mel bands of (n,): (frames, mel_bands) float32; raises ValueError as the steps do."""
    bands = spectrogram(signal, parameters) @ mel_weights(parameters)
    logarithm: Floats = np.log(bands + np.float32(parameters.log_offset)).astype(np.float32)
    return logarithm

"""Which layers of a Keras model scale its input; the classes here have the attributes of Keras' own."""

import numpy as np
import pytest

from quantlab.models.rescaling import rescaling_layers
from quantlab.types import RescalingLayer


class Rescaling:
    """As `keras.layers.Rescaling`."""

    name = "scale"

    def __init__(self, scale, offset=0.0):
        self.scale, self.offset = scale, offset


class Normalization:
    """As `keras.layers.Normalization`, which has a mean only after it was adapted."""

    name = "norm"

    def __init__(self, mean=None, variance=None, *, invert=False):
        self.mean, self.variance, self.invert = mean, variance, invert


class Model:
    """A model of layers."""

    def __init__(self, *layers):
        self.layers = layers

    def _flatten_layers(self):
        return [self, *self.layers]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        pytest.param(Rescaling(1 / 255), ((1 / 255,), (0.0,)), id="one factor"),
        pytest.param(Rescaling(1 / 127.5, -1), ((1 / 127.5,), (-1.0,)), id="a factor and an offset"),
        pytest.param(Rescaling([0.5, 2.0], [0.0, 1.0]), ((0.5, 2.0), (0.0, 1.0)), id="a factor for each channel"),
        pytest.param(Rescaling("a layer of the user"), None, id="no number"),
        pytest.param(Rescaling(0.0), None, id="nothing is left"),
        pytest.param(
            Normalization(np.array([[[2.0, 0.0]]]), np.array([[[4.0, 1.0]]])), ((0.5, 1.0), (-1.0, 0.0)), id="adapted"
        ),
        pytest.param(Normalization(), None, id="not adapted"),
        pytest.param(Normalization(np.ones(1), np.ones(1), invert=True), None, id="inverted"),
        pytest.param(Normalization(np.ones(2), np.zeros(2)), None, id="no variance"),
        pytest.param(Normalization(np.ones((2, 3)), np.ones((2, 3))), None, id="several axes"),
    ],
)
def test_what_a_layer_computes(layer, expected):
    found = rescaling_layers(Model(layer))
    kind = type(layer).__name__
    assert found == (() if expected is None else (RescalingLayer(layer.name, kind, *expected),))


def test_without_a_keras_model_there_are_none():
    assert rescaling_layers(None) == ()
    assert rescaling_layers(Model()) == ()

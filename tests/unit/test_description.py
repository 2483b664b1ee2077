"""Description lengths: separable labels are cheap to send, noise costs one bit per label of two classes."""

from __future__ import annotations

import numpy as np
import pytest

import planting
from layeratlas.probes import CodeLengths, layer_bits, make_design
from layeratlas.probes._description import code_lengths
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.hierarchy.description_length import Coded, compression_curve


@pytest.mark.parametrize(("strength", "least", "most"), [(0.0, 0.95, 1.3), (4.0, 0.1, 0.4)])
def test_bits_per_label(strength, least, most):
    data = planting.planted_data(200)
    (x,) = planting.activations(data, [strength])
    assert least < code_lengths(x, data.y, data.groups, 2, 0).mean() < most


def test_the_first_block_is_sent_with_equal_probabilities():
    data = planting.planted_data(160, classes=4)
    (x,) = planting.activations(data, [5.0])
    bits = code_lengths(x, data.y, data.groups, 4, 0)
    assert np.isclose(bits, 2.0).sum() == 10  # a sixteenth of the groups, two bits each


def test_a_planted_layer_compresses_and_shuffled_labels_do_not():
    data = planting.planted_data(160)
    design = make_design(data, planting.LIGHT, 0)
    layers = [layer_bits(x, design, 0) for x in planting.activations(data, [0.0, 3.0, 0.0])]
    codes = CodeLengths(
        bits=np.stack([layer.bits for layer in layers]), shuffled=np.stack([layer.shuffled for layer in layers])
    )
    sampler = Resampler([item.group for item in data.items], 100, 0)
    curve = compression_curve(Coded(design=design, component="resid", codes=codes), sampler)
    assert curve.estimate.argmax() == 1
    assert curve.estimate[1] > 2
    assert (curve.estimate[[0, 2]] < 1.05).all()
    assert (curve.shuffles < 1.05).all()
    lo, hi = curve.interval
    assert lo[1] > 1.5
    assert (lo <= curve.estimate).all()
    assert (curve.estimate <= hi).all()

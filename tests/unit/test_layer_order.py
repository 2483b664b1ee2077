"""Layers in a common random order: depth matters where curves are smooth, and not where layers are exchangeable."""

from __future__ import annotations

import numpy as np

import planting
from layeratlas.runs.layer_order import layer_order_table

LAYERS = np.arange(31)


def rising(at: float, level: str):
    return planting.drawn_curve(0.5 + 0.4 / (1 + np.exp(-(LAYERS - at) / 1.5)), level=level)


def test_smooth_curves_and_their_order_are_unlike_random_orders():
    table = layer_order_table([rising(3, "item"), rising(8, "relation"), rising(18, "analogy")], 0)
    assert table["quantity"].to_list()[-1] == "emergence of analogy minus relation"
    assert (table["p"] <= 0.01).all()


def test_layers_without_an_order_look_like_random_orders():
    rng = np.random.default_rng(0)
    small = 0
    for seed in range(60):
        curves = [planting.drawn_curve(0.7 + 0.1 * rng.standard_normal(31), level=name) for name in "ab"]
        small += (layer_order_table(curves, seed)["p"] <= 0.05).sum()
    assert small <= 0.11 * 60 * 3


def test_a_run_without_decoded_levels_has_an_empty_table():
    assert layer_order_table([], 0).is_empty()

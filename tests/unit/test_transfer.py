"""A shared direction carries over, an unrelated one does not, and an opposite one is read the wrong way round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from layeratlas.core.spec import ProbeSpec
from layeratlas.probes import make_design, probe_layer
from layeratlas.studies.hierarchy.transfer.findings import transfer_findings, transfer_table
from layeratlas.studies.hierarchy.transfer.reading import Fitted, fit, is_readable, transfer
from planting import planted_data

WIDTH, N = 16, 80
SPEC = ProbeSpec(methods=("ridge",), folds=5, repeats=1, shuffles=20, bootstrap=200)


def fitted(name: str, direction: np.ndarray, seed: int, signal: float = 2.0) -> Fitted:
    """Return a data set whose first layer is noise and whose second holds the label along a direction."""
    data = replace(planted_data(N, level=name), name=name)
    design = make_design(data, SPEC, 0)
    rng = np.random.default_rng(seed)
    side = np.where(design.y == 1, 1.0, -1.0)[:, None] * direction
    # Another data set has another mean: what is read must not depend on it.
    layers = [rng.standard_normal((N, WIDTH)) + seed + strength * side for strength in (0.0, signal)]
    scores = np.stack([probe_layer(x, design, ["ridge"])[0].scores for x in layers])
    return fit(design, layers, scores, "ridge")


@pytest.fixture(scope="module")
def sets() -> dict[str, Fitted]:
    first, second = np.eye(WIDTH)[:2]
    return {
        "one": fitted("one", first, 1),
        "same": fitted("same", first, 2),
        "other": fitted("other", second, 3),
        "opposite": fitted("opposite", -first, 4),
    }


def test_what_carries_over_is_found_and_what_does_not_is_not(sets):
    pairs = [transfer(sets["one"], sets[name], 200, 0) for name in ("same", "other", "opposite")]
    assert [pair.layer for pair in pairs] == [1, 1, 1]
    verdicts = {finding.level: finding.verdict for finding in transfer_findings(pairs, "ridge")}
    assert verdicts["one to same"] == "supported"
    assert verdicts["one to other"] != "supported"
    assert verdicts["one to opposite"] == "not supported"
    same, other, opposite = pairs
    assert same.value[1] > 0.9
    assert abs(other.value[1] - 0.5) < 0.2
    assert opposite.value[1] < 0.1
    assert same.cosine[1] > 0.8 > abs(other.cosine[1])
    assert opposite.cosine[1] < -0.8
    assert abs(same.value[0] - 0.5) < 0.2  # the layer of noise
    assert same.draws.shape == (200, 2)


def test_the_table_has_every_layer_and_texts_of_both_sets_are_not_read(sets):
    table = transfer_table([transfer(sets["one"], sets["same"], 200, 0)])
    assert table["layer"].to_list() == [0, 1]
    assert table["chosen"].to_list() == [False, True]
    assert (table["lo"] <= table["estimate"]).all()
    assert (table["estimate"] <= table["hi"]).all()
    shared = replace(
        sets["same"].design.data, items=sets["same"].design.data.items[:20] + sets["one"].design.data.items[20:]
    )
    design = replace(sets["same"].design, data=shared)
    assert transfer(sets["one"], replace(sets["same"], design=design), 200, 0).n == 20


@pytest.mark.parametrize(
    ("left", "readable"),
    [(range(0), False), ((0, 2, 4), False), ((0,), False), ((0, 1), True), (range(80), True)],
    ids=["the same texts", "one class", "one text", "two groups of both classes", "other texts"],
)
def test_a_pair_needs_two_groups_and_every_class_outside_the_source(left, readable):
    """Items of both classes alternate, each in its own group; a second label column has the texts of the first."""
    data = planted_data(N)
    items = (
        replace(item, text=f"new {item.text}" if row in left else item.text) for row, item in enumerate(data.items)
    )
    other = replace(data, name="other", items=tuple(items))
    assert is_readable(data, other) == readable


def test_two_texts_of_one_group_are_too_few():
    data = planted_data(N, per_group=2, mixed=True)
    items = tuple(replace(item, text=f"new {item.text}") if row < 2 else item for row, item in enumerate(data.items))
    assert not is_readable(data, replace(data, items=items))

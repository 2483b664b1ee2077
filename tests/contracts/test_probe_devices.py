"""Probes give the same scores in every namespace and on every device, and layers together what each gives alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

import planting
import pretend
from layeratlas.core import registry
from layeratlas.core.spec import ProbeSpec
from layeratlas.models.devices import probe_device
from layeratlas.probes import Design, LayerScores, Probe, make_design, probe_layers

SPEC = ProbeSpec(methods=("ridge", "svm"), folds=2, repeats=2, shuffles=20)
STRENGTHS = [0.0, 0.5, 3.0]
# As many texts as features and more: the eigenvectors of the smaller matrix of products are taken.
WIDTHS = [100, 20]


def problem(width: int, classes: int = 2) -> tuple[np.ndarray, Design]:
    data = planting.planted_data(48, 2, classes=classes)
    return np.stack(planting.activations(data, STRENGTHS, width)), make_design(data, SPEC, 0)


def numbers(found: list[list[LayerScores]], probe: int) -> list[np.ndarray]:
    return [
        value for layer in found for one in [layer[probe]] for value in (one.scores, one.shuffled, one.control_tasks)
    ]


def assert_same(found: list[list[LayerScores]], wanted: list[list[LayerScores]]) -> None:
    """Ridge is exact; the SVM iterates in float32 until a step moves no score by a thousandth of the margin."""
    for probe, limit in enumerate((1e-8, 2e-3)):
        for one, other in zip(numbers(found, probe), numbers(wanted, probe), strict=True):
            assert one == pytest.approx(other, abs=limit)


@pytest.fixture(params=["torch", "pretend"])
def there(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    if request.param == "torch":
        yield torch.device("cpu")
    else:
        with pretend.here() as device:
            yield device


@pytest.mark.parametrize(("width", "classes"), [(100, 2), (20, 3)])
def test_probes_are_the_same_in_torch_and_on_a_device(there, width, classes):
    x, design = problem(width, classes)
    found = probe_layers(torch.from_numpy(x).to(there), design, SPEC.methods)
    assert_same(found, probe_layers(x, design, SPEC.methods))
    # Control: other vectors give other scores.
    with pytest.raises(AssertionError):
        assert_same(found, probe_layers(x[::-1], design, SPEC.methods))


@pytest.mark.parametrize("width", WIDTHS)
def test_layers_together_are_as_each_alone(width):
    x, design = problem(width)
    together = probe_layers(x, design, SPEC.methods)
    assert_same(together, [probe_layers(x[[i]], design, SPEC.methods)[0] for i in range(len(x))])


def test_principal_components_are_the_same_in_torch():
    x, design = problem(WIDTHS[0])
    design = make_design(design.data, SPEC.model_copy(update={"pca": 5}), 0)
    assert_same(probe_layers(torch.from_numpy(x), design, SPEC.methods), probe_layers(x, design, SPEC.methods))


class _Plain(Probe):
    """A probe that knows numpy and one matrix at a time: the inner product with the labels' own mean difference."""

    name = "plain"

    def solve(self, gram, y):
        assert isinstance(gram.matrix, np.ndarray)
        assert gram.matrix.ndim == 2
        return y / len(y), y.mean(0)


def test_a_probe_that_takes_no_batches_works_on_a_device(there, monkeypatch):
    plain, own = _Plain(), registry.get
    monkeypatch.setattr(registry, "get", lambda kind, name: plain if name == "plain" else own(kind, name))
    x, design = problem(WIDTHS[0])
    found, wanted = (probe_layers(v, design, ["plain"]) for v in (torch.from_numpy(x).to(there), x))
    assert np.allclose(found[2][0].scores, wanted[2][0].scores)
    assert ((found[2][0].scores[0, :, 0] > 0) == (design.y == 1)).mean() > 0.9


def test_probes_stay_on_the_cpu_where_a_device_has_no_float64():
    assert probe_device("cpu") is None
    with pretend.here() as device:
        assert probe_device("auto") == device
    with pretend.here(float64=False):
        assert probe_device("auto") is None

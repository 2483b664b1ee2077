"""The published curves: the values of the paper's tables, drawn under a LLaMA 2's own and under no other model's."""

from __future__ import annotations

import polars as pl
import pytest

from layeratlas.studies._exit_reference import published, reference

CURVES = pl.DataFrame(
    {
        "level": "facts", "task": "all", "stratum": "all", "component": "resid", "method": "sum", "metric": "accuracy",
        "depth": [0.0, 0.5, 1.0], "estimate": [0.1, 0.3, 0.6],
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("task", "size", "first", "best", "last"),
    [
        ("MPS-Cal", "7B", 0.0843, 0.3034, 0.2865),
        ("MPS-Rea", "70B", 0.447, 0.519, 0.519),
        ("Reclor", "13B", 0.148, 0.246, 0.242),
        ("TFQA-MC1", "13B", 0.2228, 0.2913, 0.2913),
        ("LAMA", "7B", 0.0382, 0.5787, 0.5787),
    ],
)
def test_the_values_are_those_of_the_paper(task, size, first, best, last):
    curve = published().filter(task=task, size=size).sort("layer")
    assert curve["layer"].to_list() == list(range(1, {"7B": 32, "13B": 40, "70B": 80}[size] + 1))
    assert (curve["accuracy"][0], curve["accuracy"].max(), curve["accuracy"][-1]) == pytest.approx((first, best, last))


def test_a_llama_2_is_drawn_over_them_and_no_other_model_is():
    (exhibit,) = reference(CURVES, "meta-llama/Llama-2-7b-hf", "sum")
    drawn = exhibit.chart(lambda name: "#000000").to_dict()
    assert len(drawn["concat"]) == 5
    own = [rows for rows in drawn["datasets"].values() if any("estimate" in row for row in rows)]
    assert [[row["estimate"] for row in rows] for rows in own if rows] == [[0.1, 0.3, 0.6]]
    assert reference(CURVES, "meta-llama/Llama-3.2-3B", "sum") == []
    assert reference(CURVES, "smollm2-135m", "sum") == []

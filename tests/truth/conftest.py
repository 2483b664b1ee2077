"""The thin pass of the truth suite: a few of its tests, seeded like all, that every CI run has the time for."""

from __future__ import annotations

import pytest

PREFIX = "test_a_few_simulations_of_each_check"
THIN = {
    "test_clear_steps_are_found[12]",
    "test_every_layer_can_be_the_peak_at_full_size[4]",
    "test_every_layer_can_be_the_peak_at_full_size[11]",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.name in THIN or item.name.startswith(PREFIX):
            item.add_marker(pytest.mark.thin)

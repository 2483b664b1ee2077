"""What every test shares: helpers on the path, one thread, one tiny random model on disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from layeratlas.models import LoadedModel

sys.path.insert(0, str(Path(__file__).resolve().parent))

# The same examples in every process, so that a failure is found again; no example is timed.
settings.register_profile("layeratlas", deadline=None, max_examples=60, derandomize=True, database=None)
settings.load_profile("layeratlas")


def pytest_configure(config: pytest.Config) -> None:
    # Where no network is, each name that a hub is asked for is tried again for seconds.
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from threadpoolctl import threadpool_limits

    # Tiny matrices gain nothing from threads, and on a busy machine they wait on each other.
    torch.set_num_threads(1)
    threadpool_limits(1)
    # A run waits for the disk dozens of times; what that is for, a machine that loses power, no test can try.
    os.fsync = lambda file: None


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 3 blocks and width 32 with a byte tokenizer, as a directory ready for `load`."""
    import families

    return families.save(tmp_path_factory.mktemp("tiny") / "tiny-llama", families.FAMILIES["llama"]())


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that gives the directory of a family's tiny random model, saved once and not to be changed."""
    import families

    @cache
    def get(family: str) -> Path:
        return families.save(tmp_path_factory.mktemp("families") / family, families.FAMILIES[family]())

    return get


@pytest.fixture(scope="session")
def loaded_of(folder_of: Callable[[str], Path]) -> Callable[..., LoadedModel]:
    """A function that gives a family's tiny random model under these settings, loaded once and to be left as it was."""
    from layeratlas.core.spec import ModelSpec
    from layeratlas.models import load

    @cache
    def get(family: str, **settings: Any) -> LoadedModel:
        return load(ModelSpec(id=str(folder_of(family)), **settings))

    return get


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A LAYERATLAS_CACHE of the test's own; only for tests that look into the cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("LAYERATLAS_CACHE", str(folder))
    return folder

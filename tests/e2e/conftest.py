"""What the end-to-end tests share: a way to run commands, and a tiny model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from commands import Zygote


@pytest.fixture(scope="session")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """Run `layeratlas ARGS`: `atlas("list", "tasks").out`."""
    zygote = Zygote(tmp_path_factory.mktemp("commands"))
    yield zygote
    zygote.close()

"""Print the lowest version that the package asks for of each dependency, as constraints for pip; see `make lowest`."""

from __future__ import annotations

import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def lowest(project: Path = PROJECT) -> list[str]:
    """Return a line per dependency of a project: `name==version`."""
    asked = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    return [requirement.split(",")[0].replace(">=", "==") for requirement in asked]


if __name__ == "__main__":
    print("\n".join(lowest()))

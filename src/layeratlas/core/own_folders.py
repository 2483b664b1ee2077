"""Folders that belong to one process: named by it, so that a later one removes them if it was killed."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
from pathlib import Path

from layeratlas.core.processes import has_ended


def make_own_folder(root: Path, prefix: str = "") -> Path:
    """Create and return a new folder of this process below `root`, which only its user can read."""
    folder = root / f"{prefix}{os.getpid()}@{platform.node()}@{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700, parents=True)
    return folder


def remove_abandoned(root: Path, prefix: str = "") -> None:
    """Remove the folders below `root` with such names that belong to ended processes of this machine."""
    for folder in root.glob(f"{prefix}*@{platform.node()}@*"):
        pid = folder.name.removeprefix(prefix).partition("@")[0]
        if pid.isdigit() and has_ended(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)

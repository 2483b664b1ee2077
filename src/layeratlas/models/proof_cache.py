"""A cache of passed self-tests, valid for the same files, versions, code and machine.

A cached result saves only the seven forward passes of the self-tests. The anatomy is found again at each load, which
checks the residual sum and the logits on one text. Small models, and models without file hashes, are always tested.
"""

from __future__ import annotations

import platform
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import torch

from layeratlas.core.cache import cache_root
from layeratlas.core.checksums import code_digest, read_sealed, write_sealed
from layeratlas.core.errors import AtlasError
from layeratlas.core.spec import hash_of
from layeratlas.core.versions import version_of
from layeratlas.models.identities import Identity
from layeratlas.models.info import Hashes
from layeratlas.models.loaded import LoadedModel

# Testing a model with fewer parameters takes too little time to matter.
SMALLEST = 50_000_000
_PACKAGES = ("torch", "transformers", "tokenizers", "numpy")


def proof_key(bare: LoadedModel, made_from: Hashes) -> str | None:
    """Return a hash of everything that a model's self-tests depend on; None if their results are not cached."""
    sized = sum(weight.numel() for weight in bare.model.parameters()) >= SMALLEST
    if not made_from.files or not sized or bare.spec.parallel > 1 or bare.spec.trust_remote_code:
        return None
    machine = [platform.machine(), torch.backends.cpu.get_cpu_capability(), str(bare.device)]
    if bare.device.type == "cuda":
        machine.append(torch.cuda.get_device_name(bare.device))
    settings = bare.spec.model_dump(mode="json", exclude={"id", "memory"})
    attention = bare.model.config._attn_implementation
    versions = [version_of(name) for name in _PACKAGES]
    return hash_of([asdict(made_from), settings, attention, machine, versions, code_digest("core", "models")])


def read_proof(key: str | None) -> list[Identity] | None:
    """Return the self-tests that passed under this key; None if there is no record or it is damaged."""
    if key is not None:
        with suppress(AtlasError, OSError, TypeError, KeyError):
            identities = [Identity(**record) for record in read_sealed(_path(key))["identities"]]
            return identities if all(each.passed or not each.required for each in identities) else None
    return None


def keep_proof(key: str | None, identities: list[Identity]) -> None:
    """Save passed self-tests; do nothing if the cache cannot be written."""
    if key is not None:
        with suppress(AtlasError, OSError):
            _path(key).parent.mkdir(parents=True, exist_ok=True)
            write_sealed(_path(key), {"identities": [identity.record() for identity in identities]})


def _path(key: str) -> Path:
    return cache_root() / "proofs" / f"{key}.json"

"""A cache of passed self-tests, valid for the same files, versions, code and machine.

A cached result saves only the seven forward passes of the self-tests. The anatomy is found again at each load, which
checks the residual sum and the logits on one text, shorter than that of the first load. Small models, and models
without file hashes, are always tested.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from layeratlas.core.cache import cache_root
from layeratlas.core.checksums import code_digest, read_sealed, write_sealed
from layeratlas.core.errors import AtlasError
from layeratlas.core.spec import hash_of
from layeratlas.core.versions import version_of
from layeratlas.models.anatomy import Anatomy
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


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Self-tests that passed, and a hash of how the anatomy was read then (`reading_of`)."""

    identities: list[Identity]
    reading: str


def reading_of(anatomy: Anatomy, words: Mapping[str, str]) -> str:
    """Return a hash of how sublayers and readout are read: in words, and every scale to the last bit."""
    parts = [part for component in anatomy.sublayers.values() for part in component]
    scales = [[part.scale, *(tap.scale for tap in part.taps)] for part in parts]
    return hash_of([dict(words), scales, anatomy.scale, anatomy.softcap])


def read_proof(key: str | None) -> Proof | None:
    """Return the proof under this key; None if there is no record or it is damaged."""
    if key is not None:
        with suppress(AtlasError, OSError, TypeError, KeyError):
            kept = read_sealed(_path(key))
            proof = Proof(
                identities=[Identity(**record) for record in kept["identities"]], reading=str(kept["reading"])
            )
            return proof if all(each.passed or not each.required for each in proof.identities) else None
    return None


def keep_proof(key: str | None, proof: Proof) -> None:
    """Save a proof; do nothing if the cache cannot be written."""
    if key is not None:
        with suppress(AtlasError, OSError):
            _path(key).parent.mkdir(parents=True, exist_ok=True)
            record = {"identities": [identity.record() for identity in proof.identities], "reading": proof.reading}
            write_sealed(_path(key), record)


def _path(key: str) -> Path:
    return cache_root() / "proofs" / f"{key}.json"

"""Check the hub before anything is downloaded: does the model exist, and is it in safetensors?"""

from __future__ import annotations

from pathlib import Path

from layeratlas.core.errors import ModelError
from layeratlas.models.files import hashes
from layeratlas.models.sources import PICKLE_ADVICE

_SECONDS = 10


def check_hub(place: str, revision: str | None) -> bool:
    """Return True if the hub cannot be reached, so that only the hub client's local cache can be read.

    Raises ModelError if the repository has no safetensors. Raises the hub client's error if the repository does not
    exist, or if the hub cannot be reached and nothing is cached.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        listing = HfApi().model_info(place, revision=revision, timeout=_SECONDS)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise
    except Exception:
        # The hub client would otherwise retry each file for half a minute.
        if isinstance(try_to_load_from_cache(place, "config.json", revision=revision), str):
            return True
        raise
    names = [file.rfilename for file in listing.siblings or []]
    if not any(name.endswith(".safetensors") for name in names):
        pickled = next((name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))), None)
        content = f"pickled weights only ({pickled})" if pickled else "no weights"
        raise ModelError(
            f"'{place}' has {content} on the hub", "safetensors", PICKLE_ADVICE if pickled else "check the id"
        )
    return False


def snapshot_hashes(place: str, revision: str | None, anew: bool = False) -> dict[str, str]:
    """Return the SHA-256 of each cached file of a hub model, by name; empty if the model is not cached.

    Two revisions may hold the same weights under two names, as some published series of checkpoints do.
    """
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(place, "config.json", revision=revision)
    return hashes(Path(config).parent, anew) if isinstance(config, str) else {}

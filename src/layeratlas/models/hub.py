"""A look at the hub before anything is downloaded: is the model there, and in safetensors?"""

from __future__ import annotations

from pathlib import Path

from layeratlas.core.errors import ModelError
from layeratlas.models.files import hashes
from layeratlas.models.sources import PICKLE_ADVICE

_SECONDS = 10


def check_hub(place: str, revision: str | None) -> bool:
    """Return whether to read the hub client's local cache only, because the hub cannot be reached.

    Raises ModelError where the repository has no safetensors, and the hub client's own error where it does not
    exist, or cannot be reached while nothing is cached.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        listing = HfApi().model_info(place, revision=revision, timeout=_SECONDS)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise
    except Exception:
        # Asked file by file, the hub client would retry each for half a minute.
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


def snapshot_hashes(place: str, revision: str | None) -> dict[str, str]:
    """Return the SHA-256 of the files of a hub model in the client's cache, by name; none where it is not there.

    Two revisions may hold the same weights under two names, as some published series of checkpoints do.
    """
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(place, "config.json", revision=revision)
    return hashes(Path(config).parent) if isinstance(config, str) else {}

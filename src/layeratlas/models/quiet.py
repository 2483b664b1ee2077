"""Silence the libraries below while a model loads, to keep the progress display readable."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from transformers import modeling_gguf_pytorch_utils as gguf_reader
from transformers.utils import logging


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings, logs and progress bars of transformers and the hub client; restored afterwards."""
    level, bars, hub_bars = logging.get_verbosity(), logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    reader: Any = gguf_reader
    own_bar = getattr(reader, "tqdm", None)
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    disable_progress_bars()
    # The GGUF reader uses tqdm's bar directly, which has no switch; transformers' bar has one.
    reader.tqdm = logging.tqdm
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        reader.tqdm = own_bar
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
        if hub_bars:
            enable_progress_bars()

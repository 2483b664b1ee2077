"""Texts to vectors: what is read, in which batches, and the forward passes that read it."""

from layeratlas.capture.plan import Batch, Reading, make_plan
from layeratlas.capture.run import capture, store_key, store_shape

__all__ = ["Batch", "Reading", "capture", "make_plan", "store_key", "store_shape"]

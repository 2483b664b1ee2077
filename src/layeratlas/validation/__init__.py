"""Simulated runs of known truth: how often each verdict is given where its effect is planted, and where it is not."""

from layeratlas.validation.rate import Rate
from layeratlas.validation.table import simulate_case, validate

__all__ = ["Rate", "simulate_case", "validate"]

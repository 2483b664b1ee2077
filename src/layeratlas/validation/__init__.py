"""Simulated runs of known truth: how often each verdict is given where its effect is planted, and where it is not."""

from layeratlas.validation.gathering import validate
from layeratlas.validation.rate import Rate
from layeratlas.validation.simulated import simulate_case

__all__ = ["Rate", "simulate_case", "validate"]

"""Simulated runs with known truth: the rate of each verdict with its effect planted, and without."""

from layeratlas.validation.gathering import validate
from layeratlas.validation.rate import Rate
from layeratlas.validation.simulated import simulate_case

__all__ = ["Rate", "simulate_case", "validate"]

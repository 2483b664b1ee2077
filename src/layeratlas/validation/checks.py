"""All checks of verdicts that need no run: the functions that give verdicts are called on simulated inputs.

`validation.table` simulates whole runs of the hierarchy study.
"""

from __future__ import annotations

from collections.abc import Sequence

from layeratlas.validation.buried import BURIED_CHECKS
from layeratlas.validation.rate import Check
from layeratlas.validation.reports import REPORT_CHECKS
from layeratlas.validation.rises import RISE_CHECKS
from layeratlas.validation.scores import EXIT_CHECKS
from layeratlas.validation.signals import SEGMENT_CHECKS
from layeratlas.validation.surface import SURFACE_CHECKS
from layeratlas.validation.turns import TURN_CHECKS
from layeratlas.validation.unequal import UNEQUAL_CHECKS
from layeratlas.validation.widths import WIDTH_CHECKS

CHECKS: Sequence[Check] = (
    *REPORT_CHECKS,
    *SURFACE_CHECKS,
    *BURIED_CHECKS,
    *RISE_CHECKS,
    *UNEQUAL_CHECKS,
    *TURN_CHECKS,
    *SEGMENT_CHECKS,
    *EXIT_CHECKS,
    *WIDTH_CHECKS,
)

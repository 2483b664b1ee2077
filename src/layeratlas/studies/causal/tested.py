"""What a supported finding of each kind says; shown where one is not supported."""

from __future__ import annotations

from collections.abc import Mapping

from layeratlas.studies.causal.names import CausalFinding

TESTED: Mapping[str, str] = {
    CausalFinding.ANSWERED: "the model prefers the right answer",
    CausalFinding.USED: "the answers need, at some point, what the probe reads",
    CausalFinding.SPECIFIC: "erasing this label costs more than erasing another",
    CausalFinding.STEERED: "steering moves the answers more than random directions do",
    CausalFinding.UNUSED: "at some point the label is encoded and not used",
}

"""The questions that this study's report asks, in plain words."""

from __future__ import annotations

from layeratlas.runs.question import Question
from layeratlas.studies.causal.names import CausalFinding

ACROSS = (
    Question(
        title="Do the answers need what the probe reads?",
        asked="What a probe reads at the last token is erased there, by the least change that leaves no linear trace. "
        "The log-odds of the right answer are compared with those under directions of equal norm: random ones, "
        "erasers of shuffled labels, and the eraser of another task.",
        unsaid="that the answers use nothing else: only what a linear probe reads, at one token, is erased.",
        kinds=(CausalFinding.USED, CausalFinding.SPECIFIC),
    ),
    Question(
        title="Where is a label encoded and not used?",
        asked="The same erasure, at points where the probe reads the label, tested for a loss of the margin or more.",
        unsaid="that later blocks do not use the label: they may read it from earlier tokens.",
        kinds=(CausalFinding.UNUSED,),
    ),
    Question(
        title="Does steering along the direction move the answers?",
        asked="The stream at the last token is moved from the mean of the prompt's class to that of the next one, "
        "against random directions of equal norm.",
        unsaid="what steering at all tokens would do, or that the direction is the only one that moves them.",
        kinds=(CausalFinding.STEERED,),
    ),
    Question(
        title="Does the model answer at all?",
        asked="The log-odds of the right answer against the wrong ones, with nothing edited.",
        unsaid="how the model would answer in other words.",
        kinds=(CausalFinding.ANSWERED,),
    ),
)

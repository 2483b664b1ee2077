"""The questions that this study's report asks, in plain words."""

from __future__ import annotations

from layeratlas.runs.question import Question
from layeratlas.studies.hierarchy.names import HierarchyFinding

_ASKED = (
    "Probes read the labels from the activations of every layer. Each is scored on groups of texts that it was not "
    "fitted on, and the same probes on shuffled labels are the control."
)
_UNSAID = (
    "that the model uses what a layer encodes; that a layer where linear probes fail encodes nothing; what other texts "
    "or other models would show."
)


def of_level(level: str, words: str) -> Question:
    """Return the question about a level; `words` are its plural noun, empty for a user's own level."""
    subject = f"are {words}" if words else f"is ‘{level}’"
    return Question(title=f"At which depth {subject} decoded?", asked=_ASKED, unsaid=_UNSAID)


ACROSS = (
    Question(
        title="Do simple levels emerge before complex ones?",
        asked="Depths of emergence and of peaks of neighbouring levels, compared over resampled groups of texts.",
        unsaid="that one level is computed from the other: an order of depths is not an order of causes.",
        kinds=(HierarchyFinding.EMERGENCE_ORDER, HierarchyFinding.ORDER),
    ),
    Question(
        title="What is left of a text after 100 more words?",
        asked="Probes read {levels} from the last token, 100 words of filler later.",
        unsaid="that what the last token does not hold is lost: later tokens can still attend to earlier ones.",
        kinds=(HierarchyFinding.DEEP_CONTENT, HierarchyFinding.DEEP_COMPRESSION),
    ),
    Question(
        title="Is what a probe reads on one data set read on another?",
        asked="A probe fitted on one data set is read on each other one, at the layer where it decodes its own best.",
        unsaid="that two sets without a common direction share nothing: a probe reads one direction.",
        kinds=(HierarchyFinding.TRANSFER,),
    ),
    Question(
        title="Do neighbouring layers vary together?",
        asked="Steps between neighbouring layers of one component, compared between levels.",
        unsaid="what makes them vary: two levels that share texts share sampling noise too.",
        kinds=(HierarchyFinding.COORDINATION, HierarchyFinding.ANTI_PERSISTENCE),
    ),
)

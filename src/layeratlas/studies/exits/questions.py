"""The questions that this study's report asks, in plain words."""

from __future__ import annotations

from layeratlas.runs.question import Question
from layeratlas.studies.exits.names import ExitFinding

_ASKED = (
    "Every layer answers as if the model ended there: its residual stream goes through the final norm and the "
    "unembedding, and the choice with the highest score is its answer. The control sees the choices without the "
    "question."
)
_UNSAID = (
    "that a layer below the first exit does not hold the answer: it may hold it in a form that the unembedding does "
    "not read; what other questions or other prompts would show."
)


def of_level(level: str, words: str) -> Question:
    """Return the question about a level of questions."""
    return Question(title=f"From which layer on are {words or level} questions answered?", asked=_ASKED, unsaid=_UNSAID)


ACROSS = (
    Question(
        title="Is an answer more than its length?",
        asked="Accuracy above the best baseline that sees only lengths and frequencies of answers.",
        unsaid="which other surface cues there are.",
        kinds=(ExitFinding.TOKEN_COUNT,),
    ),
    Question(
        title="Are the published observations seen here?",
        asked="The claims of arXiv 2312.04333, each as a test on these questions.",
        unsaid="whether the claim holds for the models that it was made about.",
        kinds=tuple(kind for kind in ExitFinding if kind.name.startswith("X")),
    ),
    Question(
        title="Cannot a layer answer, or does it use another basis?",
        asked="An affine map from each layer to the last layer's basis is fitted on other texts, and the questions are "
        "asked again through it.",
        unsaid="that no other map would find an answer.",
        kinds=(ExitFinding.TUNED,),
    ),
    Question(
        title="What happens without some of the layers?",
        asked="Single layers, or halves of them, are left out, and the questions asked again.",
        unsaid="what the layer left out does: the layers after it read an input that they never met in training.",
        kinds=(ExitFinding.ABLATION, ExitFinding.ABLATION_OF_HALVES),
    ),
)

"""The questions that this study's report asks, in plain words."""

from __future__ import annotations

from layeratlas.runs.question import Question
from layeratlas.studies.segments.names import SegmentFinding

ACROSS = (
    Question(
        title="Do the layers form segments at all?",
        asked="Measures of every layer on running text are cut at two boundaries, and the fit is compared with that of "
        "smooth curves without boundaries.",
        unsaid="that the measures chosen here are the ones in which segments would show.",
        kinds=(SegmentFinding.EXISTENCE,),
    ),
    Question(
        title="Where are the boundaries, and do they stay there?",
        asked="The same search on resampled passages, on other kinds of text, without one measure at a time, and on "
        "layers in another order.",
        unsaid="what a segment does: boundaries say where measures change, not why.",
        kinds=(
            SegmentFinding.BOUNDARY,
            SegmentFinding.LAYER_ORDER,
            SegmentFinding.SIGNAL_LEFT_OUT,
            SegmentFinding.TEXT_KINDS,
            SegmentFinding.GENERATED_TEXT,
            SegmentFinding.SETTLE_DEPTH,
        ),
    ),
    Question(
        title="Does training put them there?",
        asked="The same architecture with random weights, measured the same way.",
        unsaid="when in training they arise.",
        kinds=(SegmentFinding.TRAINING,),
    ),
    Question(
        title="How brittle is each segment?",
        asked="Noise of increasing strength is added in one segment at a time, and the change of the output measured.",
        unsaid="how the segment reacts to edits other than noise.",
        kinds=(
            SegmentFinding.BRITTLENESS,
            SegmentFinding.ENDS,
            SegmentFinding.QUADRATIC_REGIME,
            SegmentFinding.ADDITIVITY,
        ),
    ),
    Question(
        title="Which blocks can be dropped?",
        asked="More and more blocks are left out, in the order of three rules, and the rise of the loss is measured.",
        unsaid="what the model would lose after further training without these blocks.",
        kinds=(SegmentFinding.DROPPING,),
    ),
    Question(
        title="Does attention differ between kinds of text, such as languages?",
        asked="How far and how widely each block attends is compared between the kinds of the passages, and with "
        "shuffled kinds.",
        unsaid="whether the text or its tokens make a difference: languages differ in characters per token.",
        kinds=(SegmentFinding.ATTENTION_KINDS,),
    ),
    Question(
        title="What does each layer keep of the input, and know of the next token?",
        asked="Tokens before a position, the next one and the prediction are decoded from the stream of passages that "
        "were held out, with trained and with random weights.",
        unsaid="what a decoder that is not linear would read.",
        kinds=(SegmentFinding.BOTTLENECK, SegmentFinding.REACH),
    ),
)

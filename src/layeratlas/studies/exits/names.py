"""Names used by the study: its findings, measures and files, and the words for the codes in its tables."""

from __future__ import annotations

from enum import StrEnum

from layeratlas.runs.published import Published

ACCURACY, MC2, MC3 = "accuracy", "mc2", "mc3"
MARGIN_METRIC, TIES = "margin", "ties"
EXACT_MATCH, AGREEMENT = "exact_match", "agreement"
# The methods of free answers and of answers at the end of a chain, both decoded greedily.
GREEDY, CHAIN = "greedy", "chain"
# The score that needs the choices without their questions too.
MINUS_ANSWER = "minus_answer"
# The task and stratum of curves over a whole level or set.
ALL = "all"
# Shares of the questions; and measures between 0 and 1 of which each question has its own share, so that their variance
# is not p (1 - p).
SHARES, BOUNDED = frozenset((ACCURACY, TIES, EXACT_MATCH)), frozenset((MC2, MC3))

METHOD_NAMES = {
    "sum": "Sum",
    "per_character": "Per character",
    "per_byte": "Per byte",
    "per_token": "Per token",
    MINUS_ANSWER: "Minus answer alone",
    GREEDY: "Free answer",
    CHAIN: "Answer after a chain",
}
METRIC_NAMES = {
    ACCURACY: "Accuracy",
    MC2: "MC2",
    MC3: "MC3",
    EXACT_MATCH: "Exact match",
    MARGIN_METRIC: "Margin",
    TIES: "Share tied",
    AGREEMENT: "Agreement of languages (κ)",
}


class ExitFinding(StrEnum):
    """The kinds of findings of the study; X1 to X9 are named after the published claims."""

    TOKEN_COUNT = "token count"
    EXIT = "exit"
    ONSET = "onset"
    LAST_EXIT = "last exit"
    LAST_AGAINST_BEST = "last against best"
    X1 = "X1"
    X2 = "X2"
    X3 = "X3"
    X4 = "X4"
    X4_START = "X4-start"
    X5 = "X5"
    X6 = "X6"
    X6_PRECISION = "X6-precision"
    X6_CONTROLLED = "X6-controlled"
    X8 = "X8"
    X9 = "X9"
    RANDOM_WEIGHTS = "random weights"
    TUNED = "tuned exits"
    ABLATION = "ablation"
    ABLATION_OF_HALVES = "ablation of halves"


BASELINES_FILE = "baselines.parquet"
# The record of a run: the share of chains of the last exit with an answer, by set.
CHAINS = "chains"
ABLATION_FILE = "ablation.parquet"
TUNED_FILE = "tuned.parquet"
TRANSLATORS_FILE = "translators.safetensors"

PUBLISHED = Published(
    files=frozenset((BASELINES_FILE, ABLATION_FILE, TUNED_FILE)),
    with_texts=("scores/*.free.parquet", TRANSLATORS_FILE),
    records=frozenset(
        ["fewer_shots", "normaliser", "boundaries", "random_weights", "exits_read", "tuned", "ablation", CHAINS]
    ),
    words=(
        *["spec.settings.format", "spec.settings.exit_norm", "spec.settings.exits", "spec.settings.normaliser"],
        *["spec.settings.score", "spec.settings.ablate_to", "normaliser.*", "ablation.key"],
        *["datasets.*.language", "datasets.*.confounded", "datasets.*.prompts"],
    ),
    quotes=("ablation.missing",),
    paths=("spec.settings.tuned_on", "spec.settings.translators", "tuned.from"),
)


def items_file(name: str) -> str:
    """Return the path, in the run's folder, of a set's questions."""
    return f"items/{name}.parquet"


def scores_file(name: str) -> str:
    """Return the path of the log-likelihoods of a set's choices."""
    return f"scores/{name}.safetensors"


def free_file(name: str) -> str:
    """Return the path of a set's free answers."""
    return f"scores/{name}.free.parquet"

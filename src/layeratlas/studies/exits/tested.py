"""What a supported finding of each kind says; shown where one is not supported."""

from __future__ import annotations

from collections.abc import Mapping

from layeratlas.studies.exits.names import ExitFinding

TESTED: Mapping[str, str] = {
    ExitFinding.TOKEN_COUNT: "exit 1 chooses the fewest tokens more often than blind choice",
    ExitFinding.EXIT: "an exit answers above the floor",
    ExitFinding.ONSET: "the gain over the floor has an onset",
    ExitFinding.LAST_EXIT: "the last exit answers better than the one before it",
    ExitFinding.LAST_AGAINST_BEST: "the last exit answers better than the best other one",
    ExitFinding.X1: "calculation is answered only in the upper half",
    ExitFinding.X2: "facts are answered best at the last exit",
    ExitFinding.X3: "the exit before the last is the best",
    ExitFinding.X4: "half of the gain is reached in the middle half of depth, in every level",
    ExitFinding.X4_START: "gains start in the middle half of depth, in every level",
    ExitFinding.X5: "low exits perform alike across sizes",
    ExitFinding.X6: "floats are harder than integers",
    ExitFinding.X6_PRECISION: "floats are harder the more decimals they have",
    ExitFinding.X6_CONTROLLED: "floats are harder than integers at equal tokens, carries and size",
    ExitFinding.X8: "low exits gain, and agree between languages",
    ExitFinding.X9: "low exits gain over the baselines",
    ExitFinding.RANDOM_WEIGHTS: "the last exit answers better than with random weights",
    ExitFinding.TUNED: "an exit answers better through its translator",
    ExitFinding.ABLATION: "accuracy falls without these blocks",
    ExitFinding.ABLATION_OF_HALVES: "losing the lower half costs more than losing the upper one",
}

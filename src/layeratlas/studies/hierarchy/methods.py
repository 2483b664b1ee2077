"""The methods section of the report, made from a run's manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layeratlas.core.formatting import count
from layeratlas.probes import MOST_SUMMED
from layeratlas.studies.hierarchy.items import TESTED
from layeratlas.studies.hierarchy.plan import NOT_ON_LARGE

_CONTROL_TASKS = (
    "20 random labellings in which all texts of one word (the last of the text) have the same label, through the same "
    "folds (Hewitt and Liang 2019). Selectivity: the estimate minus the mean over them; its interval resamples groups "
    "and labellings."
)
_FINDINGS = (
    "The p-value of a peak compares it with the maximum over all layers and curves under shuffled labels (Westfall and "
    "Young 1993). Order compares the depths of two peaks over the bootstrap (Holm-corrected). Emergence is measured on "
    "the squared ratio of signal to noise of the scores, without the noise that training adds, so that levels of "
    "unequal difficulty and size compare. A peak's value is selected on one half of the groups and evaluated on the "
    "other."
)


def methods_text(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (heading, text) pairs."""
    spec, names = run["spec"], run.get("words", {}).get("methods", {})
    probe = spec["probe"]
    probes = ", ".join(names.get(method, method) for method in probe["methods"])
    shuffles = ", ".join(f"{names.get(method, method)}: {n}" for method, n in run.get("shuffles", {}).items())
    left_out = "".join(f" {component} is not measured: {why}." for component, why in run.get("left_out", {}).items())
    margin = f", the SVM has C = {probe.get('svm_c', 1):g} at every layer" if "svm" in probe["methods"] else ""
    pca = f", reduced to {probe['pca']} principal components," if probe.get("pca") else ""
    return [
        (
            "Vectors",
            f"Each text is run through the model once. Its vector is read at position “{spec['capture']['position']}” "
            "from the residual stream before each block and after the last one (before the final norm), and from what "
            f"attention (or another mixer, such as a state-space layer) and MLP add to it.{left_out} "
            f"{run.get('model', {}).get('bos', '')}.",
        ),
        (
            "Probes",
            f"{probes}. Features are standardised{pca} on training folds; the ridge penalty is chosen by leave-one-out "
            f"on training folds{margin}.",
        ),
        (
            "Cross-validation",
            f"{probe['folds']} folds, {probe['repeats']} repeats; groups are never split across train and test.",
        ),
        (
            "Intervals",
            f"95 %, bootstrap over groups ({count(probe['bootstrap'])} draws) of out-of-fold scores, widened for few "
            "groups and for training the probe anew; of shares by Wilson's rule, averaged over what the groups say of "
            "their design effect, of other measures by percentiles. "
            "They generalise to other groups of such texts, not to other models.",
        ),
        (
            "Control and baseline",
            f"Control: label shuffles ({shuffles}) through the same folds, within groups where a group has several "
            "classes. Baseline: the best of three probes without the model, on the bag of words, on character "
            "n-grams and on numbers of characters, words and tokens.",
        ),
        ("Control tasks", _CONTROL_TASKS),
        ("Random weights", _random_weights(run)),
        *_large(run),
        (
            "Findings",
            _FINDINGS,
        ),
    ]


def _random_weights(run: Mapping[str, Any]) -> str:
    measured = run.get("random_weights")
    if not measured:
        return "No random-weight model was measured (size quick, --set random_weights=false, or too little memory)."
    left_out = [data["name"] for data in run.get("datasets", []) if data["name"] not in measured]
    rest = f" Left out, since they have many texts or tokens: {', '.join(left_out)}." if left_out else ""
    return (
        "The residual stream of the same architecture with its initial random weights, probed on the same texts and "
        f"folds (one repeat) with the first probe.{rest}"
    )


def _large(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the paragraph on data sets that were probed from disk, if there are any."""
    sets = [data for data in run.get("datasets", []) if TESTED in data]
    named = ", ".join(f"{d['name']} ({count(d[TESTED]['n'])} of {count(d['n'])} texts)" for d in sets)
    cut = ", ".join(
        f"{count(d['n'] - used)} texts of {d['name']}" for d in sets if (used := d[TESTED].get("of", d["n"])) < d["n"]
    )
    named += f". Of larger groups a part is tested, and the rest is not used: {cut}" if cut else ""
    text = (
        f"Tested on a sample of groups, in which each text has the same chance: {named}. Ridge, its shuffles and "
        "control tasks, and the surface baseline "
        f"(the {count(MOST_SUMMED)} most frequent words or n-grams of the sample) are trained on all texts but those "
        "of the test fold; other probes use the sample alone. The penalty is chosen by leave-one-out over the sample. "
        f"Not measured on these: {NOT_ON_LARGE}."
    )
    return [("Large data sets", text)] if sets else []

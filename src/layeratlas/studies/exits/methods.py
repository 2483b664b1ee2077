"""The methods text of a run, written from its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layeratlas.runs.comparable import FEWER_SHOTS
from layeratlas.studies.exits.names import CHAINS, METHOD_NAMES
from layeratlas.studies.exits.reading_out import EXITS_READ
from layeratlas.studies.exits.settings import ExitSettings, settings_of

_FORMATS = {
    "text": "“Q: …”, then “A:”; a choice is one space and its text",
    "letter": "“Q: …” and the choices by letter, then “A:”; a choice is one space and its letter",
    "cloze": "the question begins a statement; a choice is one space and its text",
    "free": "“Q: …”, then “A:”; choices are scored as one space and their text, and answers are also decoded greedily",
    "chain": "“Q: …”, then “A:”; choices are scored as one space and their text. Chains of reasoning are also decoded "
    "greedily, after worked examples with a chain, and the answer is read after “The answer is”",
}


def methods(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was done as (heading, text)."""
    settings = settings_of(run)
    return [
        ("Questions", _asked(run, settings)),
        ("Exits", _exits(run, settings)),
        ("Boundary", _boundary(run)),
        ("Scores", _scores(settings)),
        (
            "Measures",
            "Accuracy: the first true choice against the false ones (MC1). MC2: probability mass on the true choices. "
            "MC3: share of the true choices above every false one.",
        ),
        (
            "Baselines",
            "Control: each choice scored after “A:” alone, at the same exit. Baseline: the best of three surface "
            "rules, which choose the option with the fewest tokens, with the fewest bytes, or with the words that are "
            "most often the truth of other questions; ties share their credit.",
        ),
        ("Random weights", _random_weights(run)),
        (
            "Intervals and findings",
            "95 %, by a bootstrap over groups (a question in several languages is one group, and so are an integer "
            "problem and its float twin), of shares by Wilson's formula, averaged over what the groups say of their "
            "design effect. A best exit is chosen on one half of the groups and read on the other; p-values of several "
            "levels are corrected together (Holm).",
        ),
        *_warning(run),
    ]


def _asked(run: Mapping[str, Any], settings: ExitSettings) -> str:
    """Return how questions were written, by this study or by another tool."""
    sets = run.get("datasets", [])
    ours = [data for data in sets if "prompts" not in data]
    parts = [
        f"{data['name']}: prompts and choices as {data['prompts']} writes them, with {data['shots']} worked examples"
        f"{'; the text after each choice is scored' if data.get('endings') else ''}."
        for data in sets
        if "prompts" in data
    ]
    if ours or not parts:
        parts.append(("Others: " if parts else "") + _questions({**run, "datasets": ours}, settings))
    return " ".join(parts)


def _questions(run: Mapping[str, Any], settings: ExitSettings) -> str:
    if run.get("spec", {}).get("model", {}).get("chat"):
        listed = ", with the choices by letter" if settings.format == "letter" else ""
        return (
            f"A chat: worked examples ({_examples(run, settings)}; never scored) as turns of user and assistant, the "
            f"instruction before the first, then the question{listed}. A choice begins the assistant's next turn; “A:” "
            "alone, below, is then the user's turn."
        )
    return (
        f"One instruction line, worked examples ({_examples(run, settings)}; never scored), the question. "
        f"Format: {_FORMATS[settings.format]}.{_chains(run, settings)}"
    )


def _chains(run: Mapping[str, Any], settings: ExitSettings) -> str:
    """Return how many chains of the last exit gave an answer; empty if none were decoded."""
    ended = run.get(CHAINS)
    if not ended:
        return ""
    listed = ", ".join(f"{name} {round(share * 100)} %" for name, share in ended.items())
    return f" Chains of the last exit with an answer within {settings.chain_tokens} tokens: {listed}."


def _examples(run: Mapping[str, Any], settings: ExitSettings) -> str:
    """Return the number of worked examples per set; a single number if all sets had the same."""
    shots = {data["name"]: data["shots"] for data in run.get("datasets", []) if "shots" in data}
    if len(set(shots.values())) < 2 and not run.get(FEWER_SHOTS):
        return str(next(iter(shots.values()), f"at most {settings.shots}"))
    each = ", ".join(f"{name} {number}" for name, number in shots.items())
    room = ", and the model's context has room for them" if run.get(FEWER_SHOTS) else ""
    return f"{each}; {settings.shots} where a set has them{room}"


def _exits(run: Mapping[str, Any], settings: ExitSettings) -> str:
    capture = run.get("capture", {})
    readout = (
        "its own final norm, unembedding, scale and softcap at every point"
        if settings.normed
        else "the unembedding alone, with the final norm at the last point only, as in the published numbers"
    )
    return (
        f"The residual stream is read out by {readout}; log-softmax in float32.{_normalisers(run)}{_read(run)} Each "
        f"distinct prefix is computed once: {capture.get('rows', 0):,} positions were read out, "
        f"{capture.get('wanted', 0):,} next tokens scored at each exit."
    )


def _normalisers(run: Mapping[str, Any]) -> str:
    """Return how the sums over the vocabulary were approximated; empty if they were exact."""
    way = run.get("normaliser", {})
    if "rows" not in way:
        return ""
    return (
        " Sums over the vocabulary: an 8-bit product chooses the words that are multiplied in float32. Of "
        f"{way['rows']:,} sums {way['exactly']:,} were made over the whole vocabulary, since this was not enough; so "
        f"were {way['checked']:,} others, which differed by {way['largest_difference']:.1e} nats at most."
    )


def _read(run: Mapping[str, Any]) -> str:
    exits = run.get(EXITS_READ)
    return f" Only exits {', '.join(map(str, exits))} were read out; nothing is said of others." if exits else ""


def _boundary(run: Mapping[str, Any]) -> str:
    if run.get("spec", {}).get("model", {}).get("chat"):
        return "The tokens of the chat stay as the template's own encoding has them; those of the choice follow."
    crossing = {name: count for name, count in run.get("boundaries", {}).items() if count}
    listed = ", ".join(f"{name} {count}" for name, count in crossing.items()) or "none"
    return (
        "Prompt and choice are encoded together and split at the prompt's length, or at the longest common prefix "
        f"where a token spans the boundary. Choices where one does: {listed}."
    )


def _scores(settings: ExitSettings) -> str:
    ties = "Ties are wrong." if settings.strict else "k tied choices share the credit."
    return (
        f"The findings use: {METHOD_NAMES[settings.score]}. Sum of the choice's log-probabilities; the same per "
        f"character, byte or token; or minus the choice's log-likelihood after “A:” alone. {ties}"
    )


def _warning(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    sets = run.get("datasets", [])
    confounded = " ".join(f"{d['name']}: {d['confounded']}." for d in sets if d.get("confounded"))
    made = " ".join(f"{d['name']}: {d['made']}." for d in sets if d.get("made"))
    warnings = []
    if confounded:
        warnings.append(f"{confounded} These sets are plotted, excluded from the tests.")
    if made:
        warnings.append(f"The wrong choices are not from the file but made for the run. {made}")
    return [("Warning", warning) for warning in warnings]


def _random_weights(run: Mapping[str, Any]) -> str:
    asked = run.get("random_weights")
    if not asked:
        return "No random-weight model was asked (size quick, --set random_weights=false, or too little memory)."
    return (
        f"The same architecture with its initial random weights was asked {sum(asked.values())} questions, the first "
        "of each set, and read out at eight exits."
    )

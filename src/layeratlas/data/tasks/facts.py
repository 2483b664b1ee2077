"""Facts: "The capital of Peru is" with four capitals; thirteen relations."""

from __future__ import annotations

from collections import defaultdict

from layeratlas.core.spec import Size
from layeratlas.data.choices import placed, places
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.data.shipped import rows
from layeratlas.data.task import Task

# One block of each relation at least: so many groups can tell which of 90 single ablations costs something.
_BLOCKS = {"quick": 13, "standard": 40, "full": 1000}
_SHOTS = (
    ("The capital of Tunisia is", ("Minsk", "Tunis", "Quito", "Amman"), 1),
    ("The composer of Peer Gynt is", ("Mahler", "Elgar", "Chopin", "Grieg"), 3),
    ("The currency of Indonesia is the", ("rupiah", "dirham", "riyal", "tenge"), 0),
    ("The author of Robinson Crusoe is", ("Henry James", "Thomas Mann", "Daniel Defoe", "Albert Camus"), 2),
    ("The chemical symbol of argon is", ("Br", "Ar", "Cr", "Co"), 1),
    ("The city in which the Alhambra stands is", ("Dresden", "Cologne", "Granada", "Bologna"), 2),
)


class Facts(Task):
    """Well-known facts as statements to complete; the candidates are objects of the same relation.

    Four facts of a relation make a block and a group: they share their four candidates, and each candidate is the
    truth of one of them. No rule that reads the candidates alone, their length, frequency or likelihood without the
    question, can therefore score anything but 25 %. No candidate is true of two subjects of its block.
    """

    summary = "complete a fact: 'The capital of Peru is'; thirteen relations, four candidates that four facts share"

    def build(self, size: Size) -> list[QuestionSet]:
        """Return one set, `facts`, whose strata are the relations; smaller sizes take the first blocks of each."""
        pattern = {row["relation"]: row["pattern"] for row in rows("fact_relations")}
        blocks: dict[tuple[int, str], list[tuple[str, str]]] = defaultdict(list)
        for row in rows("facts"):
            blocks[int(row["block"]), row["relation"]].append((row["subject"], row["object"]))
        order = {relation: place for place, relation in enumerate(pattern)}
        items = []
        for number, relation in sorted(blocks, key=lambda key: (key[0], order[key[1]]))[: _BLOCKS[size]]:
            facts = blocks[number, relation]
            standing = places(len(facts), f"facts-{relation}-{number}")
            for subject, truth in facts:
                wrong = [other for _, other in facts if other != truth]
                choices, answers = placed(truth, wrong, next(standing))
                text = pattern[relation].format(subject=subject)
                items.append(Question(text, choices, answers, f"{relation}-{number:02d}", relation))
        shots = tuple(Question(text, choices, (place,), text) for text, choices, place in _SHOTS)
        return [QuestionSet("facts", "facts", tuple(items), shots, "Complete the statement.")]


PLUGIN = Facts()

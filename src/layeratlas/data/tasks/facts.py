"""Facts: "The capital of Peru is" with four capitals; thirteen relations."""

from __future__ import annotations

from collections import defaultdict

from layeratlas.core.spec import Size
from layeratlas.data.choices import arrange, positions
from layeratlas.data.lists import read_list
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.data.task import Task

# At least one block per relation: with fewer groups, the cost of one of 90 single ablations could not be detected.
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

    Four facts of a relation form a block, which is a group: they share four candidates, and each candidate is the true
    answer of one fact. A rule that uses only the candidates (length, frequency, likelihood without the question)
    therefore scores exactly 25 %. No candidate is true of two subjects of its block.
    """

    summary = "complete a fact: 'The capital of Peru is'; thirteen relations, four candidates shared by four facts"

    def build(self, size: Size) -> list[QuestionSet]:
        """Return one set, `facts`, whose strata are the relations; smaller sizes take the first blocks of each."""
        pattern = {row["relation"]: row["pattern"] for row in read_list("fact_relations")}
        blocks: dict[tuple[int, str], list[tuple[str, str]]] = defaultdict(list)
        for row in read_list("facts"):
            blocks[int(row["block"]), row["relation"]].append((row["subject"], row["object"]))
        order = {relation: place for place, relation in enumerate(pattern)}
        items = []
        for number, relation in sorted(blocks, key=lambda key: (key[0], order[key[1]]))[: _BLOCKS[size]]:
            facts = blocks[number, relation]
            position = positions(len(facts), f"facts-{relation}-{number}")
            for subject, truth in facts:
                wrong = [other for _, other in facts if other != truth]
                choices, answers = arrange(truth, wrong, next(position))
                text = pattern[relation].format(subject=subject)
                group = f"{relation}-{number:02d}"
                items.append(Question(text=text, choices=choices, answers=answers, group=group, stratum=relation))
        shots = tuple(
            Question(text=text, choices=choices, answers=(truth,), group=text) for text, choices, truth in _SHOTS
        )
        instruction = "Complete the statement."
        return [QuestionSet(name="facts", level="facts", items=tuple(items), shots=shots, instruction=instruction)]


PLUGIN = Facts()

"""The questions that a report answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question of a study in plain words.

    - `title`: the question itself, one sentence;
    - `asked`: what was done to answer it; `{levels}` stands for the levels of its findings;
    - `unsaid`: what even a clear answer does not show;
    - `kinds`: the kinds of findings that answer it; empty for a question about one level, whose findings answer it.
    """

    title: str
    asked: str
    unsaid: str
    kinds: tuple[str, ...] = ()

    def about(self, levels: Sequence[str]) -> Question:
        """Return the question as a run asked it: `levels` are the words for the levels of its findings."""
        listed = " and ".join(part for part in (", ".join(levels[:-1]), *levels[-1:]) if part)
        return replace(self, asked=self.asked.replace("{levels}", listed))


def of_level(level: str) -> Question:
    """Return the default question about a level, for a study without its own wording."""
    return Question(
        title=f"Where is {level} measured?",
        asked="The measure of every layer, with its control.",
        unsaid="What other texts and other models would show.",
    )

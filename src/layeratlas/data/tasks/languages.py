"""The same word problems with their solutions as running text, in six languages."""

from __future__ import annotations

from layeratlas.core.spec import Size
from layeratlas.data.passages import Passages
from layeratlas.data.task import Task
from layeratlas.data.tasks._word_problems import LANGUAGES, Problem, draw, templates

# Passages per language, and problems per passage: enough for 256 tokens in English.
_EACH = {"quick": 8, "standard": 24, "full": 40}
_PROBLEMS = 6


class Languages(Task):
    """Passages of six word problems, each with its solution, in English, German, Spanish, French, Chinese and Thai.

    A passage has the same problems, numbers and names in all languages, which are one group: languages differ in
    nothing else. The text is of one narrow kind, so that it says nothing of a language's other texts.
    """

    summary = "the same passages in en, de, es, fr, zh and th: word problems with solutions, for attention by language"

    def build(self, size: Size) -> list[Passages]:
        """Return one set of passages, whose kinds are the languages and whose groups are the translations."""
        drawn, _ = draw(templates("th"), "languages", _EACH[size] * _PROBLEMS, ())
        problems = [problem for _, problem in drawn]
        chosen = [problems[first : first + _PROBLEMS] for first in range(0, len(problems), _PROBLEMS)]
        cells = [(language, number) for number in range(len(chosen)) for language in LANGUAGES]
        return [
            Passages(
                name="languages",
                texts=tuple("\n".join(_text(problem, language) for problem in chosen[i]) for language, i in cells),
                kinds=tuple(language for language, _ in cells),
                groups=tuple(f"passage {i + 1}" for _, i in cells),
                languages=True,
            )
        ]


def _text(problem: Problem, language: str) -> str:
    space = "" if language == "zh" else " "
    return problem.question(language) + space + problem.in_words(problem.right, language)


PLUGIN = Languages()

"""Forms of verbs and nouns that are certain: rules of spelling and WordNet's exception lists. For `word_lists.py`."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from word_list_nouns import PLURAL, plural
from wordfreq import zipf_frequency

# A form in use is at most so much rarer than its base (tenfold is 1).
RARER = 1.5
# The past of an irregular verb is at least so much more frequent than a regular form.
MORE = 1.0


class Forms:
    """Forms of verbs and nouns; a form that is not certain is "".

    A word is irregular if an exception list (`verb.exc`, `noun.exc`) has a form of it that no rule of spelling gives.
    The lists do not tell a past from a participle: of an irregular verb only the past is certain, if it has one form.
    """

    def __init__(self, folder: Path) -> None:
        self.verbs, self.nouns = (_exceptions(folder / f"{part}.exc") for part in ("verb", "noun"))

    def participle(self, verb: str) -> str:
        """Return the participle of a regular verb, which is also its past."""
        return "" if self._irregular(verb) else self._usual(verb, self._spelt(verb, "ed"))

    def past(self, verb: str) -> str:
        """Return the past, which of an irregular verb is much more frequent than a regular form would be.

        Forms in -n are participles ("beaten").
        """
        irregular = self._irregular(verb)
        if not irregular:
            return self.participle(verb)
        one = min(irregular)
        rivals = _frequency(self._spelt(verb, "ed")) > _frequency(one) - MORE
        third = any(form.endswith("s") for form in self.verbs[verb])  # "has"
        return "" if len(irregular) > 1 or one.endswith("n") or rivals or third else self._usual(verb, one)

    def _irregular(self, verb: str) -> set[str]:
        spelt = re.compile(f"{_stem(verb, 'ed')}.?ed|.*(ing|s)")
        return {form for form in self.verbs[verb] if not spelt.fullmatch(form)}

    def progressive(self, verb: str) -> str:
        """Return the form in -ing."""
        return self._usual(verb, self._spelt(verb, "ing"))

    @staticmethod
    def third(verb: str) -> str:
        """Return the third person."""
        if re.search("(s|x|z|ch|sh|[^aeiou]o|^go)$", verb):
            return f"{verb}es"
        return f"{verb[:-1]}ies" if re.search("[^aeiou]y$", verb) else f"{verb}s"

    def plural(self, noun: str) -> str:
        """Return the plural of a regular noun."""
        usual = _frequency(plural(noun)) >= _frequency(noun) - PLURAL
        return plural(noun) if usual and not self.nouns[noun] - {plural(noun)} else ""

    def _spelt(self, verb: str, ending: str) -> str:
        """Return the form by the exceptions ("stopped", "panicked", "dyeing"), otherwise by rule.

        Where the last letter is l or s, both spellings are in use: the more frequent one.
        """
        plain = f"{_stem(verb, ending)}{ending}"
        named = sorted(form for form in self.verbs[verb] if form.endswith(ending))
        if not named:
            return plain
        return max((named[0], plain), key=_frequency) if verb[-1] in "ls" else named[0]

    @staticmethod
    def _usual(verb: str, form: str) -> str:
        return form if _frequency(form) >= _frequency(verb) - RARER else ""


def _stem(verb: str, ending: str) -> str:
    if ending == "ed":
        return verb[:-1] if verb.endswith("e") else re.sub("([^aeiou])y$", r"\1i", verb)
    if verb.endswith("ie"):
        return f"{verb[:-2]}y"
    return verb[:-1] if re.search("[^eoy]e$", verb) else verb


def _frequency(word: str) -> float:
    return float(zipf_frequency(word, "en"))


def _exceptions(path: Path) -> dict[str, set[str]]:
    """Return the forms that an exception list names, by base form."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in path.read_text(encoding="utf-8").splitlines():
        form, *bases = line.split()
        for base in bases:
            found[base].add(form)
    return found

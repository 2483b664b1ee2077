"""X3-languages: the layer before the last is best across languages too."""

from __future__ import annotations

from layeratlas.studies.exits.citation import CHEN
from layeratlas.studies.exits.claims._last import LastButOneOfLevel


class LanguagesLastButOneClaim(LastButOneOfLevel):
    """The exit before the last must beat the last in word problems of several languages."""

    name = "X3-languages"
    summary = "the layer before the last is best across languages"
    citation = CHEN
    published = "xMPS in four languages, by layer; question and wrong choices stay English there"
    level = "cross-lingual"
    task = "xmps"


PLUGIN = LanguagesLastButOneClaim()

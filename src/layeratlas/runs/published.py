"""What of a study's own outputs may be published although its texts may not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Published:
    """What `layeratlas share` publishes of a study, beyond what every study writes; anything else stays private.

    - `files`: files of numbers and names, at the top of the run's folder; `with_texts`: patterns of files that hold
      texts, or what was fitted on them, which are published only together with the texts;
    - `records`: keys of `run.json` whose numbers are published; `words`: dotted places in `run.json`, with `*` for any
      key, whose strings are published too; `quotes`: those of strings that may quote a text (such as a reason);
      `paths`: those of local files, of which the file's name is published.
    """

    files: frozenset[str] = frozenset()
    with_texts: tuple[str, ...] = ()
    records: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

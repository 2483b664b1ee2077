"""Free answers: greedy decoding from the exit at layer l, judged by exact match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from layeratlas.core.arrays import FloatArray
from layeratlas.core.spec import CaptureSpec
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.runs.tables import write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.resampling import Resampler
from layeratlas.store import Shape, Store
from layeratlas.studies.exits.answers import answer_curve
from layeratlas.studies.exits.choices import ExitCurve
from layeratlas.studies.exits.prompts import BARE

if TYPE_CHECKING:
    from layeratlas.capture import Readout
    from layeratlas.models import LoadedModel
    from layeratlas.studies.exits.posing import Posed
    from layeratlas.studies.exits.prompts import ExitSettings

Ids = tuple[int, ...]


def free_answers(work: Workspace, posed: Sequence[Posed], settings: ExitSettings, readout: Readout) -> list[str]:
    """Decode every question at some exits, and once without a question; write what was said, a table a set."""
    exits = chosen_exits(readout.points, settings.free_exits)
    prompts = [one.prompt for part in posed for one in part.asked]
    said = decode(work, [*prompts, BARE], exits, readout, settings.free_tokens)
    blind, outputs, start = said[-1], [], 0
    for part in posed:
        rows = [
            {"question": i, "layer": point, "answer": answer, "right": matches(answer, question),
             "blind": matches(blind[e], question)}
            for i, question in enumerate(part.data.items)
            for e, (point, answer) in enumerate(zip(exits, said[start + i], strict=True))
        ]  # fmt: skip
        outputs.append(f"scores/{part.data.name}.free.parquet")
        write_table(work, outputs[-1], pl.DataFrame(rows))
        start += len(part.data.items)
    return outputs


def load_curve(work: Workspace, data: QuestionSet, points: int, resampler: Resampler) -> ExitCurve:
    """Return a set's curve of free answers."""
    table = pl.read_parquet(work.folder / f"scores/{data.name}.free.parquet").sort("layer", "question")
    exits = table["layer"].unique().sort().to_list()
    right, blind = (table[name].cast(pl.Float64).to_numpy().reshape(len(exits), -1) for name in ("right", "blind"))
    return answer_curve(data, right, blind, exits, points, resampler)


class BestStore(Store):
    """A store that takes the residual stream and keeps the likeliest next token at some exits, one an exit."""

    def __init__(self, readout: Readout, texts: int, exits: Sequence[int]) -> None:
        self.readout, self.exits = readout, list(exits)
        self.shape = Shape(texts, readout.anatomy.width, {"resid": readout.points})
        self._best = np.full((texts, len(self.exits)), -1, np.int64)
        self._done: set[str] = set()

    def finished(self) -> set[str]:
        """Return the keys of the shards taken so far."""
        return set(self._done)

    def complete(self) -> bool:
        """Return whether every text has a token at every exit."""
        return bool((self._best >= 0).all())

    def write(
        self, key: str, rows: Sequence[int], values: Mapping[str, FloatArray], first: Mapping[str, int] | None = None
    ) -> None:
        """Read a shard out at those of the exits that it holds."""
        start, stream = (first or {}).get("resid", 0), values["resid"]
        for place, point in enumerate(self.exits):
            at = point - start
            if 0 <= at < stream.shape[1]:
                self._best[list(rows), place] = self.readout.best(stream[:, at : at + 1], point)[:, 0]
        self._done.add(key)

    def read(self, component: str, layer: int) -> FloatArray:
        """Return the tokens at the exit of that place, as float32 (texts, 1)."""
        return self.tokens[:, [layer]].astype(np.float32)

    @property
    def tokens(self) -> NDArray[np.int64]:
        """The likeliest next tokens, (texts, exits)."""
        return self._best


def chosen_exits(points: int, count: int) -> list[int]:
    """Return at most `count` points from 1 to the last, evenly spaced, the last among them."""
    return sorted({round(x) for x in np.linspace(points - 1, 1, min(count, points - 1))})


def decode(
    work: Workspace, prompts: Sequence[str], exits: Sequence[int], readout: Readout, most: int
) -> list[list[str]]:
    """Return what each exit says after each prompt: greedy, one line, at most `most` tokens.

    The model runs once a token over all prompts and answers so far, whose shared prefixes are computed once.
    """
    from layeratlas.capture import Reading, capture, choose_plan

    model = work.model
    starts = [tuple(model.encode(prompt.rstrip())) for prompt in prompts]
    said: dict[tuple[int, int], Ids] = {(i, e): () for i in range(len(starts)) for e in range(len(exits))}
    open_ends = set(said)
    for _ in range(most):
        rows = {ids: row for row, ids in enumerate(dict.fromkeys(starts[i] + said[i, e] for i, e in sorted(open_ends)))}
        if not rows:
            break
        readings = [Reading(ids, (len(ids) - 1,)) for ids in rows]
        store = BestStore(readout, len(readings), exits)
        packing = choose_plan(model, readings, CaptureSpec(components=("resid",)))
        capture(model, packing.batches, store, work.progress, packing.form)
        for i, e in sorted(open_ends):
            token = int(store.tokens[rows[starts[i] + said[i, e]], e])
            said[i, e] += (token,)
            text = _text(model, said[i, e])
            if token == model.tokenizer.eos_token_id or "\n" in text.lstrip():
                open_ends.discard((i, e))
    return [[first_line(_text(model, said[i, e])) for e in range(len(exits))] for i in range(len(starts))]


def _text(model: LoadedModel, ids: Ids) -> str:
    text: str = model.tokenizer.decode(ids, skip_special_tokens=True)
    return text


def first_line(text: str) -> str:
    """Return the first line of an answer, without what surrounds it."""
    return text.strip().split("\n")[0].strip()


def matches(answer: str, question: Question) -> bool:
    """Return whether an answer is one of the true choices, but for case and a final full stop."""
    plain = answer.casefold().rstrip(".").strip()
    return any(plain == question.choices[a].casefold().rstrip(".").strip() for a in question.answers)

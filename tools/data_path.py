"""Count the files that a text passes on its way to a point of a curve, and a question on its way to a verdict.

    python tools/data_path.py [hierarchy|exits ...]

Runs a study on a dozen texts and a tiny random model, and watches every call between two files of the package.

- A file is passed where one of its functions is handed, or returns, the text that is followed, alone or with others:
  as words, as token ids, in an array with one place per text. What merely holds a run or a model is not followed into.
- A file is entered again where a call that is handed the text leads from it to another file and back while it waits.

`hierarchy` is followed until the first curve is made, `exits` until the first finding.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

MARK = "zebra"
# So many texts that no other axis of an array has this length.
TEXTS = 46
# Every class whose objects hold all of a run: a function that is handed one is not handed the text by it.
_WHOLE = {"Workspace", "RunSpec", "ModelSpec", "CaptureSpec", "ProbeSpec", "LoadedModel", "Progress", "Run"}
# The class of what a study is followed to.
ENDS = {"hierarchy": "Curve", "exits": "Finding"}
_DEPTH = 5
_LOOKED_AT = 200


@dataclass
class Watch:
    """What was seen: the files that were passed, in order, and how often a file was entered again."""

    package: str
    end: str
    passed: dict[str, str] = field(default_factory=dict)
    again: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def __call__(self, frame: FrameType, event: str, value: Any) -> None:
        """Take a profiler's event."""
        file = frame.f_code.co_filename
        if event not in ("call", "return") or not file.startswith(self.package) or frame.f_code.co_name[0] == "<":
            return
        name = file.removeprefix(self.package)
        again = self._chain_back(frame, name) if event == "call" else ()
        if (again or name not in self.passed) and any(_follows(item) for item in _handed(frame, event, value)):
            self.passed.setdefault(name, frame.f_code.co_name)
            if again:
                self.again[again] += 1
        made = type(value).__name__ if event == "return" else ""
        if made == self.end:
            self.passed.setdefault(name, frame.f_code.co_name)
            sys.setprofile(None)

    def _chain_back(self, frame: FrameType, name: str) -> tuple[str, ...]:
        """Return the files from a call back to the same file, where others lie between; empty where none do."""
        chain = []
        for caller in _callers(frame):
            file = caller.f_code.co_filename
            if file.startswith(self.package):
                chain.append(file.removeprefix(self.package))
        if name not in chain or chain[0] == name:
            return ()
        return (name, *dict.fromkeys(chain[: chain.index(name)]))


def _follows(item: Any, depth: int = _DEPTH) -> bool:
    """Tell whether a value is the text that is followed, or holds it."""
    if isinstance(item, str):
        return MARK in item
    if isinstance(item, np.ndarray) or type(item).__name__ == "Tensor":
        return TEXTS in tuple(item.shape)
    if depth == 0 or type(item).__name__ in _WHOLE:
        return False
    return any(_follows(part, depth - 1) for part in _parts(item))


def _handed(frame: FrameType, event: str, value: Any) -> Iterator[Any]:
    if event == "return":
        yield value
        return
    code = frame.f_code
    for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        yield frame.f_locals.get(name)


def _callers(frame: FrameType) -> Iterator[FrameType]:
    caller = frame.f_back
    while caller is not None:
        yield caller
        caller = caller.f_back


def _parts(item: Any) -> Iterable[Any]:
    if isinstance(item, Mapping):
        return [*list(item)[:_LOOKED_AT], *list(item.values())[:_LOOKED_AT]]
    if isinstance(item, list | tuple | set | frozenset):
        return list(item)[:_LOOKED_AT]
    slots = [name for kind in type(item).__mro__ for name in getattr(kind, "__slots__", ())]
    kept = [getattr(item, name, None) for name in slots if isinstance(name, str)]
    return [*kept, *list(getattr(item, "__dict__", {}).values())]


def material(study: str, folder: Path) -> Path:
    """Write texts or questions of the user's own, the first of which is followed."""
    words = [MARK, *(f"noun{place}" for place in range(1, TEXTS // (2 if study == "hierarchy" else 1)))]
    if study == "hierarchy":
        rows = [f"the {word} is {label},{label},{word}" for word in words for label in ("warm", "cold")]
        path = folder / "own.csv"
        path.write_text("\n".join(["text,label,group", *rows]))
        return path
    path = folder / "own.jsonl"
    rows = [
        {"question": f"Which is the {word}?", "choices": [word, "other"], "answer": n % 2}
        for n, word in enumerate(words)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def follow(study: str) -> Watch:
    """Run a study and return what was seen."""
    import families
    import layeratlas as la
    from layeratlas.core.spec import ProbeSpec
    from layeratlas.studies.hierarchy import curves, plan

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        options = {
            "model": str(families.save(folder / "model", families.FAMILIES["llama"]())),
            "size": "quick",
            "data": [str(material(study, folder))],
            "out": folder / "run",
            "settings": {"shots": 0} if study == "exits" else {},
        }
        if study == "hierarchy":
            options["probe"] = ProbeSpec(methods=("ridge",), repeats=1, shuffles=20, bootstrap=100)
        curves.parallel = _in_turn  # a profiler watches one thread
        plan._random_design = plan._costs = lambda *_: (0.0, 0.0)  # random texts take minutes to look at
        watch = Watch(package=f"{Path(la.__file__).parent}/", end=ENDS[study])
        sys.setprofile(watch)
        try:
            la.run(study, **options)
        finally:
            sys.setprofile(None)
    return watch


def _in_turn(function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]], *, processes: bool) -> Iterator[Any]:
    """Yield what `layeratlas.core.processes.parallel` does, computed in this thread."""
    return (function(*values) for values in arguments)


def main() -> None:
    """Print both counts for each study that is asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", default=["hierarchy", "exits"], help="default: hierarchy exits")
    for study in parser.parse_args().studies:
        watch = follow(study)
        print(f"{study}: {len(watch.passed)} files passed, {len(watch.again)} chains enter a file again")
        for name, function in watch.passed.items():
            print(f"  {name}  {function}")
        for chain, calls in watch.again.most_common():
            print(f"  again ({calls} calls): {' <- '.join([*chain, chain[0]])}")


if __name__ == "__main__":
    main()

"""A task of lm-evaluation-harness over local files, and a stand-in for the harness where it is not installed.

The stand-in has what is read of `TaskManager` and its tasks. A contract test runs the same checks on both.
"""

from __future__ import annotations

import ast
import json
import random
import sys
import types
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

QUIZ = """task: quiz
dataset_path: json
dataset_kwargs:
  data_files: {{test: {folder}/quiz.jsonl, train: {folder}/examples.jsonl}}
output_type: multiple_choice
training_split: train
test_split: test
description: "Answer.\\n\\n"
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_target: "{{{{choices.label.index(answerKey)}}}}"
doc_to_choice: "{{{{choices.text}}}}"
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1.0}}
"""
ASKED = [
    ("What flies?", ["a bird", "a stone", "a fish", "a hen house"], "A"),
    ("Which is hot?", ["ice", "fire"], "B"),
    ("Where do fish live?", ["in water", "in the sky", "on the moon"], "A"),
    ("What is red?", ["the sea", "blood", "grass"], "B"),
    ("Who barks?", ["a cat", "a cow", "a dog"], "C"),
]
EXAMPLES = [
    ("What swims?", ["a bird", "a fish"], "B"),
    ("Which is cold?", ["ice", "fire"], "A"),
    ("What is green?", ["grass", "blood"], "A"),
]


# Sentences whose choices are read, and whose ends are scored; the first two differ in their end alone.
ENDED = [
    ("The dog did not fit in the box because the ", ["dog", "box"], "was too big.", 0),
    ("The dog did not fit in the box because the ", ["dog", "box"], "was too small.", 1),
    ("Tom asked Ann for water, so ", ["Tom", "Ann"], "drank it.", 0),
    ("The bird left the cage after the ", ["small bird", "door"], "was opened.", 1),
    ("", ["Stones", "Boats"], "float on the lake.", 1),
]
ENDED_EXAMPLES = [
    ("The cat could not see the mouse since the ", ["cat", "mouse"], "was hidden.", 1),
    ("Rain fell on the hat and the ", ["hat", "rain"], "got wet.", 0),
    ("Sue lent Max a pen because ", ["Sue", "Max"], "had none.", 1),
]


def write_ended_task(folder: Path) -> Path:
    """Write a task that scores the end of each sentence after each choice; return the path of the YAML file."""
    for file, asked in (("ends", ENDED), ("end_examples", ENDED_EXAMPLES)):
        rows = [
            {"before": before, "choices": choices, "after": after, "answer": answer}
            for before, choices, after, answer in asked
        ]
        (folder / f"{file}.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return write_task(
        folder,
        "ended",
        dataset_kwargs={"data_files": {"test": f"{folder}/ends.jsonl", "train": f"{folder}/end_examples.jsonl"}},
        description="",
        doc_to_text="{{answer}}",
        doc_to_choice="{{[before + choices[0], before + choices[1]]}}",
        doc_to_target="{{after}}",
    )


def write_task(folder: Path, name: str = "quiz", **changes: Any) -> Path:
    """Write the task with its files, with some of its settings changed; return the path of the YAML file."""
    for file, asked in (("quiz", ASKED), ("examples", EXAMPLES)):
        rows = [
            {
                "question": question,
                "choices": {"text": choices, "label": list("ABCD"[: len(choices)])},
                "answerKey": key,
            }
            for question, choices, key in asked
        ]
        (folder / f"{file}.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    path = folder / f"{name}.yaml"
    settings = yaml.safe_load(QUIZ.format(folder=folder)) | {"task": name} | changes
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


class Task:
    """A task over local files."""

    MULTIMODAL = False

    def __init__(self, path: Path) -> None:
        known = yaml.safe_load(path.read_text(encoding="utf-8"))
        known = {"target_delimiter": " ", "num_fewshot": None, "process_results": None, "description": ""} | known
        self.config, self.OUTPUT_TYPE = types.SimpleNamespace(**known), known["output_type"]
        self._rows = {
            split: [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
            for split, file in known["dataset_kwargs"]["data_files"].items()
        }
        self.instances: list[Any] = []
        first = self._rows["test"][0]
        self.multiple_input = len(self.doc_to_choice(first)) if isinstance(self.doc_to_text(first), int) else 0

    def set_config(self, key: str, value: Any) -> None:
        setattr(self.config, key, value)

    def set_fewshot_seed(self, seed: int) -> None:
        self._random = random.Random(seed)

    def _apply(self, template: str, doc: Any) -> str:
        return jinja2.Template(template, keep_trailing_newline=True).render(**doc)

    def doc_to_text(self, doc: Any) -> Any:
        text = self._apply(self.config.doc_to_text, doc)
        return int(text) if text.isdigit() else text

    def doc_to_target(self, doc: Any) -> Any:
        target = self._apply(str(self.config.doc_to_target), doc)
        return ast.literal_eval(target) if target.isdigit() or target.startswith("[") else target

    def doc_to_choice(self, doc: Any) -> list[str]:
        choices: list[str] = ast.literal_eval(self._apply(self.config.doc_to_choice, doc))
        return choices

    def build_all_requests(self) -> None:
        self.instances = []
        for number, doc in enumerate(self._rows["test"]):
            drawn = self._random.sample(self._rows["train"], self.config.num_fewshot)
            context = self.config.description
            for example in drawn:
                truth = self.doc_to_target(example)
                truth = truth if isinstance(truth, str) else self.doc_to_choice(example)[truth]
                asked = self.doc_to_text(example)
                asked = self.doc_to_choice(example)[asked] if self.multiple_input else asked
                context += f"{asked}{self.config.target_delimiter}{truth}\n\n"
            for choice in self.doc_to_choice(doc):
                read, scored = self.doc_to_text(doc), choice
                if self.multiple_input:
                    read, scored = choice, self.doc_to_target(doc)
                args = (context + read, f"{self.config.target_delimiter}{scored}")
                self.instances.append(types.SimpleNamespace(doc=doc, doc_id=number, args=args))


class _TaskManager:
    def __init__(self, include_defaults: bool = True) -> None:
        self.all_subtasks = ["arc_easy", "arc_challenge"] if include_defaults else []
        self.all_tasks = [*self.all_subtasks, *(["ai2_arc"] if include_defaults else [])]

    def load(self, path: str) -> dict[str, Any]:
        task = Task(Path(path))
        return {"tasks": {task.config.task: task}}


def stand_in(patch: pytest.MonkeyPatch) -> None:
    """Let the stand-in be imported as the harness."""
    tasks = types.ModuleType("lm_eval.tasks")
    tasks.TaskManager = _TaskManager  # type: ignore[attr-defined]
    patch.setitem(sys.modules, "lm_eval", types.ModuleType("lm_eval"))
    patch.setitem(sys.modules, "lm_eval.tasks", tasks)

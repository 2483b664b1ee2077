"""The last exit gives each choice the log-likelihood that lm-evaluation-harness gives it.

Against the harness itself where it is installed; elsewhere against the numbers that version 0.4.13 gave for the same
seeded random model.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest

import families
from layeratlas.capture import Readout, capture, choose_plan, encode_choices, make_slots
from layeratlas.capture.exit_store import ExitStore, exit_shape
from layeratlas.core.spec import CaptureSpec, ModelSpec
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.models import LoadedModel, load
from layeratlas.store import MemoryStore
from layeratlas.studies.exits.measures import accuracy
from layeratlas.studies.exits.prompts import Prompt, make_prompt
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.settings import ExitSettings

INSTALLED = importlib.util.find_spec("lm_eval") is not None
# fmt: off
RECORDED = [
    -36.14476, -22.98107, -31.5289, -22.91967, -31.48547, -83.89637, -31.55107, -83.80476, -51.41296,
    -84.10034, -51.33683, -17.78386, -51.01767, -17.65581, -19.48585,
]
# fmt: on
THINGS = ("a cat", "two", "Rome", "no one at all", "on 7 May", "è", "42", "left")
ITEMS = tuple(
    Question(f"Which is number {i}?", (THINGS[i], *THINGS[i + 1 : i + 3]), (i % 3,), f"g{i}") for i in range(5)
)
SHOT = Question("Which is it?", ("this one", "that one"), (1,), "shot")
DATA = QuestionSet("set", "level", ITEMS, (SHOT,), "Answer.")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = families.FAMILIES["llama"]()
    config.max_position_embeddings = 256
    return families.save(tmp_path_factory.mktemp("harness") / "tiny", config, seed=3)


def ours(model: LoadedModel, prompts: list[Prompt]) -> np.ndarray:
    slots = make_slots([c for prompt in prompts for c in encode_choices(model, prompt.text, prompt.choices)])
    readout = Readout(model)
    store = ExitStore(MemoryStore(exit_shape(readout, slots)), readout, slots)
    packing = choose_plan(model, slots.readings, CaptureSpec())
    capture(model, packing.batches, store, form=packing.form)
    return store.log_likelihoods()


def harness(model: LoadedModel, prompts: list[Prompt]) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lm_eval.api.instance import Instance
        from lm_eval.models.huggingface import HFLM

        lm = HFLM(pretrained=model.model, tokenizer=model.tokenizer, backend="causal", batch_size=1, device="cpu")
        pairs = [(prompt.text, choice) for prompt in prompts for choice in prompt.choices]
        requests = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
        return np.array([score for score, _ in lm.loglikelihood(requests, disable_tqdm=True)])


def test_choices_and_accuracy_equal_the_harness(folder: Path) -> None:
    # The harness leaves BOS to the tokenizer, and this one adds none of its own accord.
    model = load(ModelSpec(id=str(folder), device="cpu", bos="never"))
    prompts = [make_prompt(DATA, question, ExitSettings(shots=1)) for question in DATA.items]
    found = ours(model, prompts)
    expected = harness(model, prompts) if INSTALLED else np.array(RECORDED)
    assert np.abs(found[:, -1] - expected).max() < 1e-3
    # Control: no other exit gives these numbers.
    assert np.abs(found[:, :-1] - expected[:, None]).max(0).min() > 0.1
    sizes = np.array([float(len(c.strip())) for prompt in prompts for c in prompt.choices])
    scored = ScoredSet(data=DATA, after=found, bare=found, tokens=sizes, characters=sizes, bytes=sizes)
    scores = expected.reshape(len(ITEMS), 3)
    truth = np.array([q.answers[0] for q in DATA.items])
    for method, values in (("sum", scores), ("per_character", scores / sizes.reshape(-1, 3))):
        acc = accuracy(scored.scores(method)[-1], scored.key, False)
        assert acc.tolist() == (values.argmax(1) == truth).astype(float).tolist()

"""All exits of the default model against lm-evaluation-harness's last layer, on the same questions and encoding.

    python benchmarks/exits.py [--rounds 3] [--questions 100] [--shots 4] [--model ...]

Four-shot questions with four choices, generated. One side scores every choice at all L + 1 exits: encoding, forward,
readout, sums. The other scores the last layer: `HFLM.loglikelihood` of lm-evaluation-harness (`pip install lm_eval`),
on the same model object, in this process, at batch size 8. Log-likelihoods and accuracy at the last exit are compared.
The last line is the median of the paired ratios.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import statistics
import time
from typing import Any

import numpy as np

from layeratlas.capture import Readout, capture, choose_plan, encode_choices, make_slots
from layeratlas.models import LoadedModel, load
from layeratlas.questions import Question, QuestionSet
from layeratlas.spec import DEFAULT_MODEL, CaptureSpec, ModelSpec
from layeratlas.store import MemoryStore
from layeratlas.store.exits import ExitStore, exit_shape
from layeratlas.tasks._prompts import Asked, ExitSettings, ask

SPEC = CaptureSpec(components=("resid",))
THINGS = ("apples", "stamps", "marbles", "coins", "books", "cards")
NAMES = ("Ada", "Bert", "Clara", "Dan", "Edith", "Frank")


def make_question(rng: random.Random, number: int) -> Question:
    """Return a word problem whose choices are four numbers."""
    a, b, c, place = rng.randint(12, 60), rng.randint(3, 11), rng.randint(5, 40), rng.randrange(4)
    (one, two), thing = rng.sample(NAMES, 2), rng.choice(THINGS)
    text = (
        f"{one} has {a} {thing} and gives {b} of them to {two}. Later {one} finds {c} more {thing} in a drawer. "
        f"How many {thing} does {one} have now? ({number})"
    )
    choices = [str(a - b + c + off) for off in rng.sample((-10, -3, -1, 1, 2, 10), 3)]
    choices.insert(place, str(a - b + c))
    return Question(text, tuple(choices), (place,), f"g{number}")


def ours(model: LoadedModel, asked: list[Asked]) -> np.ndarray:
    """Return the log-likelihood of every choice at every exit."""
    slots = make_slots([c for one in asked for c in encode_choices(model, one.prompt, one.choices)])
    readout = Readout(model)
    store = ExitStore(MemoryStore(exit_shape(readout, slots)), readout, slots)
    packing = choose_plan(model, slots.readings, SPEC)
    capture(model, packing.batches, store, form=packing.form)
    return store.log_likelihoods()


def theirs(harness: Any, asked: list[Asked]) -> np.ndarray:
    """Return the log-likelihood of every choice at the last layer."""
    from lm_eval.api.instance import Instance

    pairs = [(one.prompt, choice) for one in asked for choice in one.choices]
    requests = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
    return np.array([score for score, _ in harness.loglikelihood(requests, disable_tqdm=True)])


def main() -> None:
    """Print counts, seconds, agreement, and the ratio last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    args = parser.parse_args()
    rng = random.Random(0)
    made = tuple(make_question(rng, i) for i in range(args.questions + 6))
    data = QuestionSet("sums", "calculation", made[6:], made[:6], "Solve the problem.")
    asked = [ask(data, question, ExitSettings(shots=args.shots)) for question in data.items]
    # The harness leaves BOS to the tokenizer; without one on both sides the token ids are the same.
    model = load(ModelSpec(id=args.model, bos="never"))
    harness = None
    if importlib.util.find_spec("lm_eval"):
        from lm_eval.models.huggingface import HFLM

        harness = HFLM(pretrained=model.model, tokenizer=model.tokenizer, backend="causal", batch_size=8)
    else:
        print("lm_eval is not installed here: pip install lm_eval")
    found, seconds = ours(model, asked[:2]), []
    expected = np.empty(0)
    for _ in range(args.rounds):
        start = time.perf_counter()
        found = ours(model, asked)
        middle = time.perf_counter()
        if harness is not None:
            expected = theirs(harness, asked)
        seconds.append((middle - start, time.perf_counter() - middle))
    mine, other = (statistics.median(pair[side] for pair in seconds) for side in (0, 1))
    print(f"{len(asked)} questions, {len(found)} choices; all {found.shape[1]} exits {mine:.1f} s")
    if harness is None:
        return
    truth = np.array([q.answers[0] for q in data.items])
    right = [(scores.reshape(-1, 4).argmax(1) == truth).mean() for scores in (found[:, -1], expected)]
    print(f"harness, last layer {other:.1f} s")
    print(f"largest difference of a log-likelihood: {np.abs(found[:, -1] - expected).max():.1e} nats")
    print(f"acc {right[0]:.4f} and {right[1]:.4f}")
    print(f"harness (last layer) / layeratlas (all exits): {statistics.median(b / a for a, b in seconds):.2f}")


if __name__ == "__main__":
    main()

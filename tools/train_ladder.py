"""Train a ladder of small Llama models on English text: three widths of one shape, eight checkpoints of each.

    python tools/train_ladder.py --text reviews.tsv.gz documents.tsv.gz --out ladder [--short] [--experts 8]

The tokenizer (byte-level BPE) is trained on the same text and shared by all. Every width reads the same batches in the
same order. Checkpoints are log-spaced: steps S, S/2, S/4 ... S/128, in `ladder/width-W/stepN/`, each a directory that
`--model` takes; `layeratlas run hierarchy --model ladder/width-W ...` runs a study over all of them. `ladder.json`
holds what was trained, the files' hashes, seconds, and the loss on held-out passages at every checkpoint. Labelled
texts and questions of which such small models learn something are beside it (`ladder_texts.py`), such as
`--data ladder/sources.csv`.

`--experts N` trains mixtures of N experts (Mixtral) of these shapes. Each token uses two experts, each half as wide as
the feed-forward layer that they replace, so that as many weights act on a token as without experts. Beside the
checkpoints, `width-W-random-routers` is the last one with routers drawn at random: a control of what routers learned.

The full ladder (widths 64, 128, 256, 8 blocks) takes up to three hours on one CPU core; `--short` (32, 64, 128, 6
blocks) about 6 minutes. Weights repeat on one machine and one version of torch. These models are far too small to
speak; they are what can be trained here, to see size and training on learned weights.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import transformers
from ladder_texts import Corpus, write_all
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from layeratlas.core.checksums import digest_of
from layeratlas.data.readers.passages import read_passages

CHECKPOINTS = 8
BOS = "<s>"
HEAD = 16
# One passage in so many is kept back for the loss that is printed.
HELD_OUT = 20
HELD_OUT_BATCHES = 8
# Experts per token, and the weight of the loss that balances their use.
CHOSEN, BALANCE = 2, 0.02


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is trained; `batch` are windows of `context` tokens per step."""

    widths: tuple[int, ...] = (64, 128, 256)
    blocks: int = 8
    steps: int = 2560
    batch: int = 16
    context: int = 128
    vocabulary: int = 2000
    rate: float = 3e-3
    seed: int = 0
    experts: int = 0

    @property
    def saved(self) -> tuple[int, ...]:
        """The steps after which weights are saved."""
        return tuple(self.steps // 2**k for k in reversed(range(CHECKPOINTS)))


SHORT = Plan(widths=(32, 64, 128), blocks=6, steps=512)


def texts_of(file: Path) -> tuple[str, ...]:
    """Return the passages of a file."""
    return read_passages(file, bad_rows="drop").texts


def passages_of(files: list[Path]) -> tuple[list[str], list[str]]:
    """Return the texts of all files to train on, and every twentieth, held out."""
    texts = [text for file in files for text in texts_of(file)]
    return [text for i, text in enumerate(texts) if i % HELD_OUT], texts[::HELD_OUT]


def make_tokenizer(texts: list[str], vocabulary: int) -> transformers.PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer of these texts that puts one BOS before a text."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[BOS], initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, bpe.token_to_id(BOS))]
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=BOS, eos_token=BOS)


def is_token(tokenizer: transformers.PreTrainedTokenizerFast, word: str) -> bool:
    """Tell whether a word after a space is a single token."""
    return len(tokenizer(f" {word}", add_special_tokens=False)["input_ids"]) == 1


def windows(texts: list[str], tokenizer: transformers.PreTrainedTokenizerFast, context: int) -> torch.Tensor:
    """Return the texts end to end, each after a BOS, cut into windows (n, context)."""
    ids = np.concatenate(tokenizer(texts, verbose=False)["input_ids"])
    return torch.as_tensor(ids[: len(ids) // context * context]).reshape(-1, context)


def make_model(width: int, plan: Plan, vocabulary: int) -> transformers.PreTrainedModel:
    """Return an untrained Llama of one width, or a Mixtral if the plan has experts."""
    torch.manual_seed(plan.seed)
    inner = 8 * width // 3 // HEAD * HEAD
    shape = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "num_hidden_layers": plan.blocks,
        "num_attention_heads": width // HEAD,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    if not plan.experts:
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(intermediate_size=inner, **shape))
    config = transformers.MixtralConfig(
        intermediate_size=inner // CHOSEN,
        num_key_value_heads=width // HEAD,
        num_local_experts=plan.experts,
        num_experts_per_tok=CHOSEN,
        router_aux_loss_coef=0.0,  # `training_loss` has its own
        **shape,
    )
    return transformers.MixtralForCausalLM(config)


def balance_loss(logits: Sequence[torch.Tensor], experts: int) -> torch.Tensor:
    """Return the mean over blocks of the loss of Fedus et al. (2022), CHOSEN for experts that are used evenly.

    The function of transformers pools the blocks that it is given, and so allows one expert to take over a block.
    """
    return torch.stack([load_balancing_loss_func((block,), experts, CHOSEN) for block in logits]).mean()


def training_loss(model: transformers.PreTrainedModel, ids: torch.Tensor, plan: Plan) -> torch.Tensor:
    """Return the loss of a batch; with experts, plus the loss that balances their use."""
    if not plan.experts:
        return model(ids, labels=ids).loss
    result = model(ids, labels=ids, output_router_logits=True)
    return result.loss + BALANCE * balance_loss(result.router_logits, plan.experts)


@torch.no_grad()
def draw_routers(model: transformers.PreTrainedModel, seed: int) -> None:
    """Replace every router by a random one, each row with the norm that it had."""
    generator = torch.Generator().manual_seed(seed)
    for layer in model.model.layers:
        weight = layer.mlp.gate.weight
        drawn = torch.randn(weight.shape, generator=generator)
        weight.copy_(drawn * weight.norm(dim=1, keepdim=True) / drawn.norm(dim=1, keepdim=True))


@torch.no_grad()
def loss_on(model: transformers.PreTrainedModel, held: torch.Tensor, batch: int) -> float:
    """Return the mean loss on held-out windows, nats per token."""
    parts = held[: batch * HELD_OUT_BATCHES].split(batch)
    return float(np.mean([float(model(ids, labels=ids).loss) for ids in parts]))


def train(
    model: transformers.PreTrainedModel,
    tokenizer: transformers.PreTrainedTokenizerFast,
    data: tuple[torch.Tensor, torch.Tensor],
    plan: Plan,
    out: Path,
) -> dict:
    """Train one model, save its checkpoints below `out`, and return its losses by step.

    AdamW; the rate rises over the first twentieth of the steps and falls as a cosine to a tenth.
    """
    rows, held = data
    rng = np.random.default_rng(plan.seed)
    order = np.concatenate([rng.permutation(len(rows)) for _ in range(plan.steps * plan.batch // len(rows) + 1)])
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.95))
    warm = plan.steps // 20
    losses = {}
    for step in range(1, plan.steps + 1):
        falling = 0.1 + 0.45 * (1 + np.cos(np.pi * (step - warm) / (plan.steps - warm)))
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * (step / warm if step < warm else falling)
        ids = rows[order[(step - 1) * plan.batch : step * plan.batch]]
        training_loss(model, ids, plan).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step in plan.saved:
            losses[f"step{step}"] = round(loss_on(model, held, plan.batch), 4)
            model.save_pretrained(out / f"step{step}")
            tokenizer.save_pretrained(out / f"step{step}")
            print(f"{out.name} step{step}: held-out loss {losses[f'step{step}']:.3f}", flush=True)
    return losses


def main() -> None:
    """Train the ladder and write what was trained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", nargs="+", type=Path, required=True, help="files of passages: .txt, or column text")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--short", action="store_true", help="smaller models, fewer steps: about 6 minutes")
    parser.add_argument("--steps", type=int, help="another number of steps; a multiple of 128")
    parser.add_argument("--widths", type=int, nargs="+", help="other widths; multiples of 16")
    parser.add_argument("--experts", type=int, default=0, help="a mixture of so many experts in every block")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    plan = SHORT if given.short else Plan()
    own = {"steps": given.steps, "widths": given.widths and tuple(given.widths), "experts": given.experts}
    plan = replace(plan, **{name: value for name, value in own.items() if value})
    halvings = 2 ** (CHECKPOINTS - 1)
    if plan.steps % halvings:
        parser.error(f"--steps {plan.steps} is not a multiple of {halvings}: its halvings are not whole")
    torch.set_num_threads(given.threads)
    transformers.utils.logging.disable_progress_bar()
    training, held_out = passages_of(given.text)
    given.out.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(training, plan.vocabulary)
    home = {text: "/".join(file.parts[-2:]) for file in given.text for text in texts_of(file)}
    write_all(Corpus.of(training, held_out, home), partial(is_token, tokenizer), given.out)
    data = (windows(training, tokenizer, plan.context), windows(held_out, tokenizer, plan.context))
    about = {
        "plan": asdict(plan),
        "texts": {"/".join(file.parts[-2:]): digest_of(file) for file in given.text},
        "training_tokens": data[0].numel(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "models": {},
    }
    print(f"{len(training)} passages, {data[0].numel():,} tokens, {plan.steps * plan.batch * plan.context:,} read")
    for width in plan.widths:
        model, started = make_model(width, plan, len(tokenizer)), time.perf_counter()
        folder = given.out / f"width-{width}"
        losses = train(model, tokenizer, data, plan, folder)
        seconds = round(time.perf_counter() - started)
        if plan.experts:
            draw_routers(model, plan.seed)
            for part in (model, tokenizer):
                part.save_pretrained(given.out / f"{folder.name}-random-routers")
        about["models"][folder.name] = {"parameters": model.num_parameters(), "loss": losses, "seconds": seconds}
        (given.out / "ladder.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

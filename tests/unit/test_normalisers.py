"""Normalisers by the 8-bit screen: within a thousandth of a nat where vouched for, exact elsewhere, never unnoticed."""

from __future__ import annotations

import pytest
import torch

from layeratlas.capture import normalising, unembedding
from layeratlas.capture.normalising import Normalisers
from layeratlas.capture.screening import TOLERANCE, Screen
from layeratlas.capture.unembedding import Unembedding
from layeratlas.core.errors import CaptureError

# Not a multiple of a group's words, and the last tile is not full.
WORDS, WIDTH = 20_011, 64


@pytest.fixture(scope="module")
def weight() -> torch.Tensor:
    """Words that lie to one side, of unequal sizes, with a direction that is much larger than others."""
    draw = torch.Generator().manual_seed(1)
    words = torch.randn(WORDS, WIDTH, generator=draw) * (0.5 + torch.rand(WORDS, 1, generator=draw)) + 0.7
    words[:, 3] *= 8
    return words


def states(weight: torch.Tensor, sharpness: float, n: int = 200) -> torch.Tensor:
    """Return states that point to a word each, among noise; without sharpness no word is likelier than others."""
    draw = torch.Generator().manual_seed(2)
    to = weight[torch.randint(0, WORDS, (n,), generator=draw)]
    return sharpness * (0.3 * torch.nn.functional.normalize(to) + 0.2 * torch.randn(n, WIDTH, generator=draw))


def whole(weight: torch.Tensor, ready: torch.Tensor) -> torch.Tensor:
    return (ready.double() @ weight.double().T).logsumexp(-1)


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("sharpness", [0.01, 1.0, 8.0])
def test_what_the_screen_vouches_for_is_within_its_tolerance_of_the_sum_over_all_words(weight, sharpness, scale):
    ready = states(weight, sharpness / scale)
    values, sure = Screen(weight, scale)(ready)
    off = (values - whole(weight, ready * scale)).abs()
    assert (off[sure] < TOLERANCE).all()
    # Where one word is likely the others hardly count; where all are alike the rounding of all of them does.
    assert sharpness != 8.0 or sure.float().mean() > 0.9
    assert sharpness != 0.01 or not sure.any()


def test_words_are_multiplied_exactly_where_the_rounded_product_is_too_far_off(weight, monkeypatch):
    ready = states(weight, 8.0)
    screen = Screen(weight)
    monkeypatch.setattr(Screen, "_multiplied", _screened)
    values, _ = screen(ready)
    assert ((values - whole(weight, ready)).abs() > TOLERANCE).float().mean() > 0.5


def _screened(screen: Screen, rows, row, word):
    """Return the logits of pairs as the 8-bit product has them."""
    codes = torch.cat([c.view(16, -1, WIDTH).transpose(0, 1).reshape(-1, WIDTH) for c in screen._codes]).float()
    steps = torch.cat(screen._steps).repeat_interleave(16)
    place = torch.empty(len(codes), dtype=torch.long)
    place[screen._words.reshape(-1)] = torch.arange(len(codes))
    at = place[word]
    return (rows.codes[row].float() * codes[at]).sum(1) * steps[at] * rows.steps[row, 0]


@pytest.fixture
def normalisers(weight, monkeypatch) -> Normalisers:
    """Normalisers on a machine whose 8-bit product is much faster."""
    monkeypatch.setattr(normalising, "_GAIN", 0.0)
    made = Normalisers(Unembedding(weight=weight, bias=None, scale=1.0, softcap=None))
    made.prepare(10_000, lambda: states(weight, 8.0, n=64))
    return made


def test_rows_without_a_voucher_are_summed_over_the_whole_vocabulary(weight, normalisers):
    ready = torch.cat([states(weight, 8.0), states(weight, 0.01, n=5)])
    with torch.inference_mode():
        assert (normalisers(ready) - whole(weight, ready)).abs().max() < TOLERANCE
        exactly = torch.arange(len(ready)) % 2 == 0
        whole_sums = Unembedding(weight=weight, bias=None, scale=1.0, softcap=None).normaliser(ready)
        off = (normalisers(ready, exactly) - whole_sums).abs()
    assert off[exactly].max() < 2e-5 < off.max() < TOLERANCE
    record = normalisers.record()
    assert record["way"] == "8-bit screen"
    assert record["rows"] == 205 + 102
    assert 7 <= record["exactly"] < 90
    assert record["checked"] >= 2
    assert 0 < record["largest_difference"] < TOLERANCE


def test_a_screen_that_is_off_is_noticed(weight, normalisers):
    normalisers._screen._weight = weight * 1.01
    with torch.inference_mode(), pytest.raises(CaptureError, match="nats off; expected at most 1e-03; use --set norm"):
        normalisers(states(weight, 8.0))


@pytest.mark.parametrize("why", ["asked for", "no gain", "few rows", "bias", "softcap", "half precision"])
def test_everything_else_is_summed_over_the_whole_vocabulary(weight, monkeypatch, why):
    monkeypatch.setattr(normalising, "_GAIN", 1e9 if why == "no gain" else 0.0)
    kept = weight.bfloat16() if why == "half precision" else weight
    bias, softcap = torch.zeros(WORDS) if why == "bias" else None, 30.0 if why == "softcap" else None
    head = Unembedding(weight=kept, bias=bias, scale=1.0, softcap=softcap)
    made = Normalisers(head, exact=why == "asked for")
    made.prepare(100 if why == "few rows" else 10_000, lambda: states(weight, 8.0, n=64).to(kept.dtype))
    assert made.record() == {"way": "whole vocabulary"}
    # A few rows at a time are many in the end.
    made.prepare(10_000, lambda: states(weight, 8.0, n=64).to(kept.dtype))
    assert (made.record()["way"] == "8-bit screen") == (why == "few rows")


@pytest.mark.parametrize(
    ("whole_takes", "screen_takes", "way"),
    [
        ([9.0, 2.0, 2.0], [9.0, 1.0, 1.0], "8-bit screen"),  # the first call of each prepares it
        ([2.0, 2.0, 2.0], [1.0, 9.0, 9.0], "8-bit screen"),
        ([9.0, 9.0, 2.0], [2.0, 2.0, 2.0], "whole vocabulary"),
        ([2.0, 2.0, 2.0], [2.0, 2.0, 2.0], "whole vocabulary"),
    ],
)
def test_a_slow_call_does_not_decide_which_method_is_faster(weight, monkeypatch, whole_takes, screen_takes, way):
    seconds = iter([each for pair in zip(whole_takes, screen_takes, strict=True) for each in pair])
    monkeypatch.setattr(normalising, "_timed", lambda function: (next(seconds), function()))
    made = Normalisers(Unembedding(weight=weight, bias=None, scale=1.0, softcap=None))
    made.prepare(10_000, lambda: states(weight, 8.0, n=64))
    assert made.record()["way"] == way
    assert next(seconds, None) is None


@pytest.mark.parametrize("sharpness", [0.01, 1.0, 8.0])
@pytest.mark.parametrize("machine", ["x86_64", "arm64"])
def test_sums_by_onednn_and_by_torch_are_those_over_all_words(weight, monkeypatch, machine, sharpness):
    monkeypatch.setattr(unembedding.platform, "machine", lambda: machine)
    seen = []
    plain = Unembedding.logits
    monkeypatch.setattr(
        Unembedding, "logits", lambda self, ready, at: seen.append(ready.is_mkldnn) or plain(self, ready, at)
    )
    ready, bias = states(weight, sharpness), weight[:, 0].contiguous()
    for added, scale in ((None, 1.0), (bias, 0.5)):
        head = Unembedding(weight=weight, bias=added, scale=scale, softcap=None)
        with torch.inference_mode():
            logits = (ready.double() @ weight.double().T + (0 if added is None else added.double())) * scale
            sums, size = logits.logsumexp(-1), logits.abs().amax(-1).clamp(min=10)
            off = (head.normaliser(ready) - sums).abs() / size
            # Control: without one of its words a sum is further off.
            fewer = (logits[:, 1:].logsumexp(-1) - sums).abs() / size
        assert off.max() < 1e-6
        assert sharpness != 0.01 or fewer.mean() > 2e-6
    assert set(seen) == {machine == "x86_64" and torch.backends.mkldnn.is_available()}


def test_half_precision_is_multiplied_by_torch(weight):
    head = Unembedding(weight=weight.bfloat16(), bias=None, scale=1.0, softcap=None)
    with torch.inference_mode():
        values = head.normaliser(states(weight, 1.0).bfloat16())
    assert (values - whole(weight.bfloat16(), states(weight, 1.0).bfloat16())).abs().max() < 0.1

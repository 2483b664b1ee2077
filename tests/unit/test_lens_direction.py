"""The logit lens is measured from the final prediction: KL(final || lens), not the other way round."""

from __future__ import annotations

import numpy as np

import families
from layeratlas.capture.passages import read_passages
from layeratlas.core.spec import ModelSpec
from layeratlas.models import load


def test_the_divergence_of_the_lens_is_from_the_final_prediction(tmp_path):
    model = families.build(families.FAMILIES["llama"]())
    # Predictions that are sharp, so that the two directions differ.
    model.lm_head.weight.data.mul_(20)
    model.save_pretrained(tmp_path)
    families.byte_tokenizer().save_pretrained(tmp_path)
    at = [1, 4, 7]
    found = read_passages(load(ModelSpec(id=str(tmp_path))), [[0, 40, 77, 5, 120, 9, 200, 33, 61]], lens_at=at)[0]

    # By hand, from the weights: RMSNorm, unembedding, softmax.
    states = found.states[:, at].astype(np.float64)
    norm = model.model.norm
    states /= np.sqrt((states**2).mean(-1, keepdims=True) + norm.variance_epsilon)
    logits = (states * norm.weight.detach().double().numpy()) @ model.lm_head.weight.detach().double().numpy().T
    logits -= logits.max(-1, keepdims=True)
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    kl = (np.exp(log[-1]) * (log[-1] - log)).sum(-1)
    reverse = (np.exp(log) * (log - log[-1])).sum(-1)

    assert found.kl.shape == (4, 3)
    np.testing.assert_allclose(found.kl, kl, rtol=1e-3, atol=1e-5)
    assert (abs(reverse[:-1] / kl[:-1] - 1) > 0.02).any(0).all()
    assert (found.kl[-1] < 1e-5).all()
    np.testing.assert_allclose(found.entropy, -(np.exp(log) * log).sum(-1), rtol=1e-3)
    assert (found.top == log.argmax(-1)).all()

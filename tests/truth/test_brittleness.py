"""Brittleness does what its definition promises, on tiny models whose truth is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import families
from layeratlas.capture.effects import cut_passages, judge_edits, stream_sizes
from layeratlas.core.edits import Edit, thirds
from layeratlas.core.errors import CaptureError, DataError
from layeratlas.core.spec import ModelSpec
from layeratlas.models import intervene, load
from layeratlas.runs.tables import CURVE_KEYS, CURVE_VALUES
from layeratlas.studies.segments.outcomes import OUTCOMES, Reference, judge_of
from layeratlas.studies.segments.perturbation.brittleness import Brittleness, half_point
from layeratlas.studies.segments.perturbation.contrast import segment_contrast
from layeratlas.studies.segments.perturbation.estimate import Estimate
from layeratlas.studies.segments.perturbation.findings import brittleness_findings
from layeratlas.studies.segments.perturbation.tables import curve_rows, segment_rows
from layeratlas.studies.segments.perturbation.trials import NoiseSpec, Trial, TrialEffects, make_trials, noise_spec

SPEC = NoiseSpec(passages=6, tokens=20, read=8, seeds=2, bootstrap=200)


def judged(loaded, passages, trials, **settings):
    """Return (trials, texts, 4) outcomes."""
    values = np.full((len(trials), len(passages.ids), len(OUTCOMES)), np.nan)
    judge = judge_of([True] * len(trials))
    for i, text, outcome in judge_edits(loaded, passages, trials, judge, **settings):
        values[i, text] = outcome
    return values


def passages_of(count=SPEC.passages):
    rng = np.random.default_rng(0)
    return cut_passages([rng.integers(3, 250, 24) for _ in range(count)], SPEC.tokens, SPEC.read)


def measured(loaded, spec=SPEC, segments=None):
    trials = make_trials(loaded.anatomy.n_layers, segments or {"first": (0, 1), "rest": (1, 3)}, spec)
    values = judged(loaded, passages_of(), [[t.edit(spec.noise)] for t in trials])
    return TrialEffects(trials=trials, values=values, sizes=stream_sizes(loaded, passages_of()), spec=spec)


@pytest.fixture(scope="module")
def llama(loaded_of):
    return loaded_of("llama")


@pytest.fixture(scope="module")
def found(llama):
    return Brittleness(measured(llama))


def scaled(folder, factor):
    """Return the tiny llama with its whole stream multiplied: the same function, as RMSNorm takes the factor away."""
    model = families.build(families.FAMILIES["llama"]())
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(factor)
        for block in model.model.layers:
            block.self_attn.o_proj.weight.mul_(factor)
            block.mlp.down_proj.weight.mul_(factor)
    model.save_pretrained(folder)
    families.byte_tokenizer().save_pretrained(folder)
    return load(ModelSpec(id=str(folder)))


def test_scaling_the_stream_moves_absolute_noise_by_orders_of_magnitude_and_brittleness_not_at_all(
    llama, found, tmp_path
):
    large = scaled(tmp_path, 22.2)
    ids = torch.tensor([[5, 6, 7, 8]])
    assert torch.allclose(llama.run(ids, logits=True), large.run(ids, logits=True), atol=1e-3)
    again = Brittleness(measured(large))
    np.testing.assert_allclose(again.at_points().value, found.at_points().value, rtol=0.05)
    np.testing.assert_allclose(again.effects.sizes, 22.2 * found.effects.sizes, rtol=1e-3)
    absolute = [[Edit("absolute noise", (b,), strength=0.01)] for b in range(3)]
    before, after = (judged(m, passages_of(), absolute)[..., 0].mean(1) for m in (llama, large))
    assert (before / after > 100).all()


def test_brittleness_is_constant_as_noise_shrinks_and_divergence_grows_with_it(llama, found):
    value, lo, hi = found.constancy().numbers
    assert 0.95 < lo <= value <= hi < 1.05
    sigmas = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    kl = judged(llama, passages_of(), [[Edit("noise", (1,), strength=s)] for s in sigmas])[..., 0].mean(1)
    assert (np.diff(kl) > 0).all()
    b = kl / np.square(sigmas)
    np.testing.assert_allclose(b[:3], b[2], rtol=0.02)
    # It is a quadratic regime, not a law: at strength 1 it has ended.
    assert abs(b[-1] / b[0] - 1) > 0.2


def test_noise_of_strength_nothing_does_exactly_nothing(llama):
    passages = passages_of()
    trials = [[], [Edit("noise", (0, 1, 2), strength=0.0)], [Edit("absolute noise", (-1,), strength=0.0)]]
    values = judged(llama, passages, trials)
    assert (values == 0).all()
    assert (judged(llama, passages, [[Edit("noise", (2,), strength=1e-3)]])[..., 0] > 0).all()


def test_passes_that_begin_in_the_middle_equal_whole_passes_and_do_not_depend_on_batches(llama):
    passages = passages_of()
    trials = [[Edit("noise", (b,), strength=0.3)] for b in (2, -1, 1)] + [
        [Edit("skip", (1,)), Edit("zero", (2,), "mlp")]
    ]
    values = judged(llama, passages, trials)
    np.testing.assert_allclose(judged(llama, passages, trials, batch_tokens=40), values, rtol=1e-3, atol=1e-9)
    at = list(passages.read)
    for i, edits in enumerate(trials):
        for text in (0, 4):
            ids = torch.from_numpy(passages.ids[text : text + 1])
            clean = llama.run(ids, logits=True)[0, at].numpy()
            with intervene(llama, edits) as lines:
                lines.samples = [text]
                edited = llama.run(ids, logits=True)[0, at].numpy()
            whole = Reference(clean, passages.targets[text]).against(edited, jsd=True)
            np.testing.assert_allclose(values[i, text, 0], whole.kl.mean(), rtol=1e-3)
            np.testing.assert_allclose(values[i, text, 1], whole.nll.mean(), atol=1e-4)
            np.testing.assert_allclose(values[i, text, 3], whole.jsd.mean(), rtol=1e-3)


def test_noise_in_several_blocks_is_the_mean_of_their_own(found):
    value, lo, hi = found.additivity().numbers
    assert 0.8 < value < 1.25
    assert lo < value < hi
    # With full noise in each of two blocks, twice that.
    ratio = found.measured("unshared", (1, 3)).value / found.measured("segment", (1, 3)).value
    assert ratio == pytest.approx(2, rel=0.05)


def planted(layers=40, fragile=(), seed=0, spec=SPEC, slope=0.0):
    """Return effects of a model that was never run: B by block is log-normal over passages, with a planted rise."""
    rng = np.random.default_rng(seed)
    b = np.exp(slope * np.arange(layers + 1) / layers + rng.normal(0, 0.05, layers + 1))
    b[[block + 1 for block in fragile]] *= 5
    by_passage = b * np.exp(rng.normal(0, 0.2, (12, 1)))
    trials = make_trials(layers, {"planted": (4, 8), "other": (20, 24)}, spec)
    values = np.zeros((len(trials), 12, 4))
    for i, t in enumerate(trials):
        own = by_passage[:, t.start + 1 : t.stop + 1]
        total = own.sum(1) if t.role == "unshared" else own.mean(1)
        kl = own[:, 0] * 0.3 if t.role == "skip" else total * t.sigma**2
        values[i, :, 0], values[i, :, 2] = kl, 1 - np.exp(-kl)
    return Brittleness(TrialEffects(trials=trials, values=values, sizes=np.ones((12, layers + 1)), spec=spec))


def verdicts(found):
    return {(f.finding, f.level): f.verdict for f in brittleness_findings(found)}


def test_a_planted_fragile_segment_is_found_and_no_other():
    for layers in (24, 60):
        statements = verdicts(planted(layers=layers, fragile=range(4, 8)))
        assert statements["brittleness", "planted"] == "supported"
        assert statements["brittleness", "other"] != "supported"
        nothing = verdicts(planted(layers=layers))
        assert nothing["brittleness", "planted"] == nothing["brittleness", "other"] == "not supported"


def log_brittleness(layers, rho, rng):
    """Return log B by block: stationary, standard deviation 0.3, as steady from block to block as `rho` says."""
    noise = rng.normal(size=layers)
    for i in range(1, layers):
        noise[i] = rho * noise[i - 1] + np.sqrt(1 - rho**2) * noise[i]
    return 0.3 * noise


def special(layers, rho, times, trials):
    """How often a segment whose blocks are that many times as brittle is called special, corrected over three."""
    rng = np.random.default_rng([layers, int(100 * rho)])
    spans = ((0, layers // 3), (layers // 3, 3 * layers // 4), (layers // 6, layers // 3))
    hits = 0
    for trial in range(trials):
        start, stop = span = spans[trial % 3]
        log_b = log_brittleness(layers, rho, rng)
        log_b[start:stop] += np.log(times)
        draws = log_b + 0.05 * rng.normal(size=(100, layers))
        hits += 3 * segment_contrast(log_b, draws, span).p <= 0.05
    return hits / trials


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_a_threefold_difference_is_found_and_none_is_not(rho):
    assert special(24, rho, 3.0, 60) >= 0.8
    # At a true rate of 2.5 %, more than 6 of 60 are seen in 1 of 1,000 simulations.
    assert special(24, rho, 1.0, 60) <= 6 / 60


@pytest.mark.truth
@pytest.mark.parametrize("layers", [24, 30, 48, 80])
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.5, 0.8])
def test_a_threefold_difference_is_found_at_the_stated_rates(layers, rho):
    power, level = special(layers, rho, 3.0, 300), special(layers, rho, 1.0, 600)
    print(f"{layers} layers, autocorrelation {rho}: power {power:.2f}, level {level:.3f}")
    assert power >= 0.8
    assert level <= 0.05


def coverage(passages, spread, trials):
    """How often the interval of B holds its mean over passages of a log-normal distribution."""
    rng = np.random.default_rng([passages, int(100 * spread)])
    truth, hits = np.exp(spread**2 / 2), 0
    for _ in range(trials):
        by_passage = np.exp(spread * rng.normal(size=passages))
        weights = rng.multinomial(passages, np.full(passages, 1 / passages), 400) / passages
        estimate = Estimate(value=by_passage.mean(), draws=weights @ by_passage, passages=passages)
        _, lo, hi = estimate.numbers
        hits += lo <= truth <= hi
    return hits / trials


@pytest.mark.parametrize("passages", [8, 13, 40])
def test_intervals_of_few_passages_hold_the_truth(passages):
    # At 0.95, fewer than 0.91 of 300 are seen in 1 of 500 simulations.
    assert coverage(passages, 0.35, 300) >= 0.91


@pytest.mark.truth
@pytest.mark.parametrize("passages", [8, 13, 40])
@pytest.mark.parametrize("spread", [0.2, 0.35, 0.5])
def test_intervals_hold_the_truth_at_the_stated_rates(passages, spread):
    rate = coverage(passages, spread, 3000)
    print(f"{passages} passages, log-normal of {spread}: {rate:.3f}")
    assert 0.93 <= rate <= 0.97


def test_without_the_correction_few_passages_give_too_narrow_intervals():
    """The negative control: percentiles of the bootstrap itself."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(300):
        by_passage = np.exp(0.35 * rng.normal(size=8))
        draws = by_passage[rng.integers(0, 8, (400, 8))].mean(1)
        lo, hi = np.percentile(draws, [2.5, 97.5])
        hits += lo <= np.exp(0.35**2 / 2) <= hi
    assert hits / 300 < 0.91


def test_fragile_ends_are_found_and_flat_models_have_none():
    statements = verdicts(planted(fragile=[0, 1, 2, 3]))
    assert statements["ends against middle", "first 4 blocks"] == "supported"
    assert statements["ends against middle", "last 4 blocks"] == "not supported"
    assert statements["quadratic regime", "every layer"] == statements["additivity", "segments"] == "supported"
    rise = [f for f in brittleness_findings(planted(slope=2.0)) if f.finding == "ends against middle"]
    assert {f.level: f.verdict for f in rise} == {"first 4 blocks": "not supported", "last 4 blocks": "supported"}


def test_a_regime_that_is_not_quadratic_is_said_not_to_be():
    effects = planted().effects
    values = effects.values.copy()
    for i, t in enumerate(effects.trials):
        if t.sigma == SPEC.small[1]:
            values[i] *= 2
    broken = brittleness_findings(Brittleness(dataclasses.replace(effects, values=values)))[0]
    assert (broken.finding, broken.verdict) == ("quadratic regime", "not supported")
    assert broken.estimate == pytest.approx(2, rel=1e-6)


def test_points_that_deviate_in_opposite_ways_do_not_cancel():
    effects = planted().effects
    values = effects.values.copy()
    for i, t in enumerate(effects.trials):
        if t.role == "point" and t.sigma == SPEC.small[1]:
            values[i] *= 1.4 if t.start % 2 else 1 / 1.4
    mixed = Brittleness(dataclasses.replace(effects, values=values))
    assert mixed.constancy().value == pytest.approx(1, abs=0.02)
    statements = brittleness_findings(mixed)[0]
    assert statements.verdict == "not supported"
    points, segments = mixed.ratios()
    assert (points.value.min(), points.value.max()) == (pytest.approx(1 / 1.4), pytest.approx(1.4))
    assert segments.value == pytest.approx(1)
    assert brittleness_findings(planted())[0].verdict == "supported"


def test_leaving_a_block_out_is_no_noise_and_absolute_noise_says_so():
    found = planted()
    ends = [f for f in brittleness_findings(found) if f.finding == "ends against middle"]
    assert [f.method for f in ends] == ["noise", "noise", "skip", "skip"]
    assert all(("leaving out a block" in f.statement) == (f.method == "skip") for f in ends)
    absolute = planted(spec=SPEC.model_copy(update={"noise": "absolute noise"}))
    for name, one in (("relative", found), ("absolute", absolute)):
        keys = [(f.finding, f.level, f.component, f.method) for f in brittleness_findings(one)]
        assert len(set(keys)) == len(keys)
        statements = [f.statement for f in brittleness_findings(one) if f.finding == "brittleness"]
        assert all(("depends on the stream's scale" in text) == (name == "absolute") for text in statements)


def test_the_half_point_is_interpolated_over_the_logarithm():
    sigmas = (0.01, 0.1, 1.0)
    agreement = np.array([[1.0, 0.75, 0.25], [1.0, 0.5, 0.4], [0.4, 0.3, 0.2], [1.0, 0.9, 0.6], [1.0, 0.2, 0.6]])
    found = half_point(sigmas, agreement)
    np.testing.assert_allclose(found, [10**-0.5, 0.1, 0.01, np.inf, 0.1 ** (1 + 0.3 / 0.8)], rtol=1e-12)


def test_tables_have_the_columns_and_one_row_a_point(found):
    rows = curve_rows(found)
    assert all(set(row) == set(CURVE_KEYS + CURVE_VALUES) - {"model", "study"} for row in rows)
    brittle = [row for row in rows if row["metric"] == "brittleness"]
    assert [row["layer"] for row in brittle] == [0, 1, 2, 3]
    assert brittle[-1]["depth"] == 1
    assert all(row["lo"] <= row["estimate"] <= row["hi"] for row in brittle)
    assert [row["layer"] for row in rows if row["method"] == "skip" and row["metric"] == "kl"] == [1, 2, 3]
    assert not any(np.isinf(v) for row in rows for v in row.values() if isinstance(v, float))
    table = segment_rows(found)
    assert [row["segment"] for row in table] == ["first", "rest"]
    # A segment of one block is that block, measured by the same noise.
    assert table[0]["b"] == pytest.approx(table[0]["b_entry"], rel=1e-6)
    statements = [f.statement for f in brittleness_findings(found)]
    assert len(statements) == 2 + 2 + 4
    assert all("stream rms" in s for s in statements[2:4])


def test_what_cannot_be_measured_ends_in_a_line(llama):
    with pytest.raises(DataError, match="a model of 2 blocks; expected three blocks or more"):
        make_trials(2, {}, SPEC)
    with pytest.raises(DataError, match="the segment 'x' is of the blocks 5 to 12; expected blocks 0 to 11"):
        make_trials(12, {"x": (5, 13)}, SPEC)
    with pytest.raises(DataError, match="text 2 has 3 tokens; expected at least 20"):
        cut_passages([np.arange(30), np.arange(3)], 20, 4)
    with pytest.raises(DataError, match="texts of 2 tokens; expected one text or more, of 3 tokens"):
        cut_passages([np.arange(30)], 2, 4)
    with pytest.raises(DataError, match="an effect is not a finite number"):
        TrialEffects(
            trials=[Trial(role="point", start=0, stop=1, sigma=0.1)],
            values=np.full((1, 2, 4), np.nan),
            sizes=np.ones((2, 3)),
            spec=SPEC,
        )
    with pytest.raises(CaptureError, match="logits are not finite under scale 1e\\+38 of block 0"):
        judged(llama, passages_of(2), [[Edit("scale", (0,), strength=1e38), Edit("scale", (1,), strength=1e38)]])


def test_positions_read_are_spread_over_what_may_be_read():
    passages = cut_passages([np.arange(30)], 20, 5)
    assert passages.read == (1, 5, 10, 14, 18)
    assert passages.targets.tolist() == [[2, 6, 11, 15, 19]]
    assert cut_passages([np.arange(30)], 6, 50).read == (1, 2, 3, 4)


def test_sizes_and_thirds():
    assert thirds(30) == {"first third": (0, 10), "middle third": (10, 20), "last third": (20, 30)}
    counts = [len(make_trials(30, thirds(30), noise_spec(size))) for size in ("quick", "standard", "full")]
    assert counts == sorted(counts)
    widths = {t.stop - t.start for t in make_trials(30, {"a": (0, 9), "b": (9, 30)}, SPEC) if t.role == "span"}
    assert widths == {9, 21}

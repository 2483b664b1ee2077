"""The findings and the report of a segments run follow what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from layeratlas.metrics import GROUPS
from layeratlas.runs.finding import Finding
from layeratlas.stats.intervals import ALPHA
from layeratlas.studies.segments.dependence import segment_findings
from layeratlas.studies.segments.findings import existence_verdict
from layeratlas.studies.segments.intervention.charts import intervention_exhibits
from layeratlas.studies.segments.intervention.tables import effect_table
from layeratlas.studies.segments.methods import methods
from layeratlas.studies.segments.names import BRITTLENESS_FILE, INTERVENTIONS_FILE, LOCAL, SegmentFinding
from layeratlas.studies.segments.outcomes import OUTCOMES
from layeratlas.studies.segments.perturbation.charts import brittleness_exhibits
from layeratlas.studies.segments.record import (
    BoundaryRecord,
    ExistenceRecord,
    KindRecord,
    KindsRecord,
    SegmentsRecord,
    SharpnessRecord,
    UntrainedRecord,
    read_segments,
    segments_between,
    write_segments,
)
from layeratlas.studies.segments.settings import SegmentSettings
from layeratlas.studies.segments.signals import all_signals
from layeratlas.studies.segments.study import PLUGIN

SHARP = SharpnessRecord(
    boundary=2,
    share=0.9,
    share_interval=(0.8, 1.0),
    width=1.1,
    width_interval=(1.0, 1.3),
    p=0.01,
    smooth_p=0.99,
    seen=0.7,
)
SMOOTH = SHARP.model_copy(update={"share": 0.1, "p": 0.99, "smooth_p": 0.01})
EXISTENCE = ExistenceRecord(
    left=0.1,
    p=0.01,
    sharpness=(SHARP, SHARP.model_copy(update={"boundary": 4})),
    smooth_p=0.01,
    second_p=0.01,
    first=2,
    second_left=0.5,
    null_left=(0.1, 0.2, 0.3),
    null_second_left=(0.6, 0.7, 0.8),
    shuffled_left=(0.2, 0.3, 0.4),
    shuffled_p=0.01,
    curve=[1.0, 0.5, 0.1],
    null_lo=[1.0, 0.4, 0.1],
    null_hi=[1.0, 0.6, 0.3],
    surrogates=99,
)
RECORD = SegmentsRecord(
    method="exact",
    blocks=6,
    passages=8,
    signals={"norm": "geometry"},
    shortest=2,
    boundaries=(2, 4),
    intervals=((2, 2), (4, 4)),
    mode=(2, 4),
    share=(1.0, 1.0),
    segments=segments_between((2, 4), 6),
    together=[],
    existence=EXISTENCE,
    exact=BoundaryRecord(boundaries=(2, 4), intervals=((2, 2), (4, 4))),
)


def finding(record: SegmentsRecord, kind: SegmentFinding) -> Finding:
    return next(found for found in segment_findings(record) if found.finding == kind)


def changed(**values: Any) -> SegmentsRecord:
    return RECORD.model_copy(update=values)


def existence_with(**values: Any) -> ExistenceRecord:
    return EXISTENCE.model_copy(update=values)


def test_the_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_segments(tmp_path, RECORD)
    assert read_segments(tmp_path) == RECORD
    assert RECORD.spans == {"Local": (0, 2), "Intermediate": (2, 4), "Global": (4, 6)}
    assert RECORD.ends == [0, 2, 4, 6]


@pytest.mark.parametrize(
    ("p", "sharpness", "intervals", "passages", "verdict"),
    [
        (0.01, (SHARP, SHARP), ((2, 2), (4, 4)), 100, "supported"),
        (0.01, (SHARP, SHARP), ((2, 3), (4, 4)), 100, "inconclusive"),
        (0.01, (SHARP, SHARP), ((2, 2), (4, 4)), 4, "inconclusive"),
        (0.2, (SHARP, SHARP), ((2, 2), (4, 4)), 100, "inconclusive"),
        (0.99, (SHARP, SMOOTH), ((2, 2), (4, 4)), 100, "not supported"),
        # At p = 0.03 for each of two boundaries, neither is shown to be smooth.
        (0.97, (SHARP, SMOOTH.model_copy(update={"smooth_p": 0.03})), ((2, 2), (4, 4)), 100, "inconclusive"),
    ],
)
def test_existence_needs_sharp_boundaries_certain_places_and_passages_and_is_refuted_by_a_smooth_one(
    p: float, sharpness: Any, intervals: Any, passages: int, verdict: str
) -> None:
    exact = BoundaryRecord(boundaries=(2, 4), intervals=intervals)
    record = changed(existence=existence_with(p=p, sharpness=sharpness), exact=exact, passages=passages)
    assert existence_verdict(record) == verdict
    assert [finding(record, kind).verdict for kind in ("existence", "boundary")] == [verdict, verdict]
    assert finding(record, SegmentFinding.EXISTENCE).p == p


UNSURE = SHARP.model_copy(update={"p": 0.4, "smooth_p": 0.6})


@pytest.mark.parametrize(
    ("values", "seen"),
    [
        ({"sharpness": (SHARP, UNSURE)}, "with a share of at least 0.70"),
        (
            {"sharpness": (SHARP, UNSURE.model_copy(update={"seen": 1.5}))},
            "with noise between blocks 2.0 times smaller",
        ),
        ({"smooth_p": 0.4}, "could have seen boundaries that leave 0.10 or less"),
        ({"second_p": 0.4}, "could have seen one that leaves 0.60 or less"),
    ],
)
def test_an_undecided_existence_names_the_smallest_effect_that_would_have_been_seen(
    values: dict[str, Any], seen: str
) -> None:
    existence = finding(changed(existence=existence_with(p=0.4, **values)), SegmentFinding.EXISTENCE)
    assert existence.verdict == "inconclusive"
    assert seen in existence.statement


@pytest.mark.parametrize(
    ("left", "p", "verdict"), [(0.1, 0.01, "supported"), (0.3, 0.5, "inconclusive"), (0.5, 1.0, "not supported")]
)
def test_the_order_of_layers_is_refuted_by_its_opposite_alone(left: float, p: float, verdict: str) -> None:
    record = changed(existence=existence_with(left=left, shuffled_p=p))
    assert finding(record, SegmentFinding.LAYER_ORDER).verdict == verdict


CONTROLS = {
    "sharp": EXISTENCE,
    "smooth": existence_with(p=0.99, sharpness=(SHARP, SMOOTH)),
    "unsure": existence_with(p=0.4, smooth_p=0.4),
}


@pytest.mark.parametrize(
    ("trained", "random_weights", "verdict", "p"),
    [
        ("sharp", "sharp", "not supported", 0.01),
        # Two boundaries here at 0.01, and a smooth one there at 0.01 for either of two.
        ("sharp", "smooth", "supported", 0.02),
        ("sharp", "unsure", "inconclusive", 1.0),
        ("smooth", "sharp", "not supported", 0.01),
        ("smooth", "smooth", "inconclusive", 0.99),
        ("unsure", "smooth", "inconclusive", 0.4),
    ],
)
def test_boundaries_come_from_training_where_random_weights_are_shown_to_have_none(
    trained: str, random_weights: str, verdict: str, p: float
) -> None:
    control = UntrainedRecord(passages=4, signals=["norm"], boundaries=(2, 4), existence=CONTROLS[random_weights])
    training = finding(changed(existence=CONTROLS[trained], untrained=control), SegmentFinding.TRAINING)
    assert (training.verdict, training.p, training.n) == (verdict, p, 4)


@pytest.mark.parametrize(("moved", "verdict"), [((2, 5), "supported"), ((2, 6), "not supported")])
def test_a_signal_matters_if_the_boundaries_move_without_it(moved: tuple[int, int], verdict: str) -> None:
    record = changed(blocks=8, leave_one_out={"norm": moved, "settled": (2, 4)})
    left_out = finding(record, SegmentFinding.SIGNAL_LEFT_OUT)
    assert (left_out.verdict, left_out.estimate) == (verdict, (moved[1] - 4) / 8)


def test_a_boundary_that_moves_within_its_interval_decides_nothing() -> None:
    exact = BoundaryRecord(boundaries=(2, 4), intervals=((2, 2), (3, 7)))
    record = changed(blocks=8, leave_one_out={"norm": (2, 6)}, exact=exact)
    assert finding(record, SegmentFinding.SIGNAL_LEFT_OUT).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("p", "n", "shift", "verdict"),
    [
        (ALPHA / 2, 10, (0, 3), "supported"),
        (0.5, 10, (0, 3), "inconclusive"),
        (0.5, 10, (-1, 1), "not supported"),
        (0.5, 4, (-1, 1), "inconclusive"),
    ],
)
def test_kinds_of_text_differ_by_their_test_and_are_alike_by_an_equivalence(
    p: float, n: int, shift: tuple[int, int], verdict: str
) -> None:
    kinds = KindsRecord(
        by_kind={
            "narrative": KindRecord(n=n, boundaries=(2, 4), intervals=((2, 2), (4, 4))),
            "exposition": KindRecord(n=n, boundaries=(1, 4), intervals=((1, 1), (4, 4))),
        },
        compared=("narrative", "exposition"),
        p=p,
        loss=0.02,
        seen=0.05,
        shifts=(shift, (0, 0)),
    )
    text_kinds = finding(changed(kinds=kinds), SegmentFinding.TEXT_KINDS)
    assert (text_kinds.verdict, text_kinds.estimate, text_kinds.p) == (verdict, pytest.approx(1 / 6), p)


def test_the_study_has_words_for_every_signal_and_knows_its_findings() -> None:
    signals = all_signals()
    assert {signal.group for signal in signals.values()} == {*GROUPS}
    assert {name: PLUGIN.metric_names[name] for name in signals} == {name: s.title for name, s in signals.items()}
    assert {*PLUGIN.headlines} | {*PLUGIN.details} <= {*SegmentFinding}
    assert not {*PLUGIN.headlines} & {*PLUGIN.details}


@pytest.mark.parametrize(
    ("noise", "said", "unsaid"),
    [
        ("noise", "relative to the stream's size", "depends on the stream's scale"),
        ("absolute noise", "depends on the stream's scale", "relative to the stream's size"),
    ],
)
def test_the_methods_name_the_noise_that_was_made(noise: str, said: str, unsaid: str) -> None:
    run = {"brittleness": {"spec": {"noise": noise}, "passages": 12}}
    text = dict(methods(run, SegmentSettings()))["Brittleness"]
    assert said in text
    assert unsaid not in text


@pytest.mark.parametrize(
    ("noise", "said"), [("noise", "relative noise, after"), ("absolute noise", "absolute noise, after")]
)
def test_the_chart_of_brittleness_names_the_noise_that_was_made(tmp_path: Path, noise: str, said: str) -> None:
    columns = (
        "segment first last rms b lo hi b_added b_entry b_unshared sigma_half sigma_half_lo sigma_half_hi ratio "
        "ratio_lo ratio_hi p_ratio"
    )
    pl.DataFrame([dict.fromkeys(columns.split(), 1.0)]).write_parquet(tmp_path / BRITTLENESS_FILE)
    curves = pl.DataFrame({"level": ["brittleness"] * 3, "method": ["none", noise, "skip"]})
    (shown,) = brittleness_exhibits(tmp_path, RECORD, curves)
    assert said in shown.text
    assert ("on which the divergence above depends" in shown.text) == (noise == "absolute noise")


def test_interventions_are_shown_with_the_blocks_that_they_are_held_against(tmp_path: Path) -> None:
    rows = [
        {
            "edit": "skip", "kind": "skip", "component": "resid", "strength": float("nan"), "span": span,
            "blocks": blocks, "control": control, "passage": i, **dict.fromkeys(OUTCOMES, value + i),
        }
        for span, blocks, control, value in (
            (LOCAL, "blocks 0-1", False, 3.0), (LOCAL, "blocks 4-5", True, 1.0), (LOCAL, "blocks 2-3", True, 2.0),
            ("All", "blocks 0-5", False, 3.0),
        )
        for i in range(4)
    ]  # fmt: skip
    table = effect_table(pl.DataFrame(rows), seed=0)
    assert table["control_blocks"].unique(maintain_order=True).to_list() == ["blocks 4-5; blocks 2-3", ""]
    local = table.filter(span=LOCAL, outcome="kl").to_dicts()[0]
    # The mean over several other spans.
    assert (local["difference"], local["random_spans"]) == (pytest.approx(1.5), 2)
    assert table.filter(span="All")["difference"].is_nan().all()
    table.write_parquet(tmp_path / INTERVENTIONS_FILE)
    (shown,) = intervention_exhibits(tmp_path)
    assert shown.table["Against blocks"].to_list() == ["blocks 4-5; blocks 2-3", "–"]
    assert shown.table["Difference"].to_list() == [1.5, pytest.approx(float("nan"), nan_ok=True)]

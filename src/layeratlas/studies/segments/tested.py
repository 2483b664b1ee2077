"""What a supported finding of each kind says; shown where one is not supported."""

from __future__ import annotations

from collections.abc import Mapping

from layeratlas.studies.segments.names import SegmentFinding

TESTED: Mapping[str, str] = {
    SegmentFinding.EXISTENCE: "two boundaries exist",
    SegmentFinding.BOUNDARY: "the boundary exists",
    SegmentFinding.LAYER_ORDER: "neighbouring layers are more similar than layers in random order",
    SegmentFinding.TRAINING: "the boundaries come from training",
    SegmentFinding.SIGNAL_LEFT_OUT: "the boundaries stay without any one signal",
    SegmentFinding.TEXT_KINDS: "the boundaries differ between kinds of text",
    SegmentFinding.ATTENTION_KINDS: "attention differs between kinds of text",
    SegmentFinding.SETTLE_DEPTH: "the next token is settled before the last layer",
    SegmentFinding.QUADRATIC_REGIME: "brittleness is constant as the noise shrinks",
    SegmentFinding.ADDITIVITY: "the brittleness of a span is the mean of its blocks'",
    SegmentFinding.BRITTLENESS: "the segment's blocks are more, or less, brittle than the others",
    SegmentFinding.ENDS: "the ends are more brittle than the middle",
    SegmentFinding.GENERATED_TEXT: "the segment acts on this property more than another span",
    SegmentFinding.DROPPING: "this order of dropping costs less than random orders",
    SegmentFinding.BOTTLENECK: "the last third holds less of the input and more of the next token",
    SegmentFinding.REACH: "the last third holds more of distant tokens",
}

"""What a supported finding of each kind says; shown where one is not supported."""

from __future__ import annotations

from collections.abc import Mapping

from layeratlas.studies.hierarchy.names import HierarchyFinding

TESTED: Mapping[str, str] = {
    HierarchyFinding.PEAK: "the level is decoded above chance and control",
    HierarchyFinding.EMERGENCE: "the level emerges above chance",
    HierarchyFinding.EMERGENCE_ORDER: "the second level emerges deeper than the first",
    HierarchyFinding.ORDER: "the second level peaks deeper than the first",
    HierarchyFinding.DECLINE: "the last layer decodes the level worse than the peak",
    HierarchyFinding.SURFACE: "the peak is above the baselines without the model",
    HierarchyFinding.RANDOM_WEIGHTS: "the peak is above that of random weights",
    HierarchyFinding.SECOND_PEAK: "the curve rises, falls and rises again",
    HierarchyFinding.DEEP_CONTENT: "the level is decoded in the last quarter of depth",
    HierarchyFinding.DEEP_COMPRESSION: "the labels lie deeper where they are buried",
    HierarchyFinding.DEEP_DOCUMENTS: "the last quarter of depth decodes documents better than their words do",
    HierarchyFinding.COORDINATION: "neighbouring layers take turns in what they specialise in",
    HierarchyFinding.ANTI_PERSISTENCE: "neighbouring differences alternate more than independent noise",
    HierarchyFinding.TRANSFER: "a probe of one data set reads the other",
    HierarchyFinding.EARLIER_PLACE: "the label is decoded before the last token",
    HierarchyFinding.EXPERTS: "the classes use different experts",
}

"""Which options of probing, capture and chat a study uses; other options are refused, since they have no effect."""

from __future__ import annotations

from collections.abc import Iterable

from layeratlas.core.errors import SpecError
from layeratlas.core.spec import CaptureSpec, ModelSpec, ProbeSpec, RunSpec, Spec

# `probe.folds`, `capture.position` ...; every study uses the fields of RunSpec (but for the kind of labels) and of
# ModelSpec (but for the chat).
LABELS = "label_kind"
# A study that takes `--precision` must try both ways on a sample of its texts (`runs/precision.py`).
PRECISION = "capture.precision"
CHAT = frozenset({"model.chat", "model.system", "model.chat_options"})
OPTIONS = (
    frozenset(f"probe.{name}" for name in ProbeSpec.model_fields)
    | frozenset(f"capture.{name}" for name in CaptureSpec.model_fields)
    | CHAT
)


def check_uses(spec: RunSpec, uses: frozenset[str], default: ProbeSpec, given: Iterable[str] = ()) -> None:
    """Raise SpecError if an option that is `given`, or differs from its default, is not in the study's `uses`.

    `default` are the probe settings of the study at the spec's size.
    """
    changed = {f"probe.{name}" for name in _changed(spec.probe, default)}
    changed |= {f"capture.{name}" for name in _changed(spec.capture, CaptureSpec())}
    changed |= {f"model.{name}" for name in _changed(spec.model, ModelSpec())} & CHAT
    changed |= {LABELS} if spec.label_kind != "auto" else set()
    if spec.capture.position in ("turn", "answer") and not spec.model.chat:
        raise SpecError(
            f"the position '{spec.capture.position}' is one of a chat", "last, mean or span:NAME", "add --chat"
        )
    for option in sorted((changed | set(given)) - uses):
        used = ", ".join(map(name_of, sorted(uses))) or "none"
        raise SpecError(
            f"the study '{spec.study}' does not use the option '{name_of(option)}'",
            f"of the options of probes, capture, labels and chat: {used}",
            "leave it out",
        )


def name_of(option: str) -> str:
    """Return the user's name of an option: `probe` for `probe.methods`, else its last component."""
    return "probe" if option == "probe.methods" else option.rpartition(".")[2]


def _changed(spec: Spec, default: Spec) -> set[str]:
    return {name for name in type(default).model_fields if getattr(spec, name) != getattr(default, name)}

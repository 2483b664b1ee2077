"""What the report of a segments run shows: the stretches, the signals with the cuts, the map, the number of cuts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from layeratlas.core.files import read_json
from layeratlas.metrics import GROUPS, Signal
from layeratlas.runs.study import Exhibit
from layeratlas.studies.segments.intervention.charts import edit_exhibits
from layeratlas.studies.segments.measuring import metrics_of
from layeratlas.studies.segments.segmenting import FILE
from layeratlas.studies.segments.tables import BRITTLE, MAP

Colour = Callable[[str], str]
_SERIES = {group: f"series-{i + 1}" for i, group in enumerate(GROUPS)}
_FLATTENED = 3.0
_STRETCHES = ("series-1", "series-3", "series-2")


def exhibits(folder: Path) -> list[Exhibit]:
    """Return the exhibits of a run, from its files alone."""
    found = read_json(folder / FILE)
    curves = pl.read_parquet(folder / "curves.parquet")
    cka = pl.read_parquet(folder / MAP)
    made = [
        Exhibit(
            "segments", "Where the cuts fall",
            "Bars: the three stretches of blocks. Each row cuts the same signals, or other passages, anew; lines: 90 % "
            "intervals of a cut over passages. Two cuts are always found: whether they mean anything is said above.",
            chart=partial(_stretches, found), table=_cut_table(found),
        ),
        Exhibit("signals", "Signals over depth", _signal_text(found), chart=partial(_small_multiples, found, curves)),
        Exhibit(
            "similarity", "How alike the layers are",
            "Debiased linear CKA of every pair of points (0 = embeddings), mean over passages: 1 for the same "
            "arrangement of tokens, 0 for none in common. Lines: the cuts. A stretch would be a dark block.",
            chart=partial(_heat, found, cka),
        ),
        Exhibit(
            "cuts", "How many cuts?",
            "Share of the signals' variation that is left after K cuts. Band: the central 90 % of smooth signals "
            "without boundaries. Only a line below the band at K = 2 speaks for two boundaries.",
            chart=partial(_cost_curve, found),
        ),
    ]  # fmt: skip
    return [*made, *_brittleness(folder, found, curves), *edit_exhibits(folder)]


def _brittleness(folder: Path, found: Mapping[str, Any], curves: pl.DataFrame) -> list[Exhibit]:
    """Return how brittle each layer and stretch is, where that was measured."""
    if not (folder / BRITTLE).exists():
        return []
    parts = pl.read_parquet(folder / BRITTLE)
    table = parts.rename(
        {"rms": "stream rms", "b": "KL / strength²", "b_added": "from its blocks", "b_entry": "first block alone",
         "b_unshared": "full noise in every block", "sigma_half": "strength at half agreement", "p_span": "p of span"}
    )  # fmt: skip
    rows = curves.filter(level="brittleness")
    absolute = "absolute noise" in rows["method"].to_list()
    size = "on whose scale the above depends" if absolute else "which absolute noise would follow, and this does not"
    text = (
        "Above: divergence (KL, nats) of the predictions from the undisturbed ones, over the squared strength of "
        f"{'absolute' if absolute else 'relative'} noise, after each point (line) and in all blocks of a stretch at "
        "once (bars over the stretch), with 95 % intervals over passages. Points: the divergence with a block left "
        f"out. Below: the size of the stream (root mean square), {size}. Vertical lines: the cuts."
    )
    return [Exhibit("brittleness", "How brittle", text, chart=partial(_brittle, found, rows, parts), table=table)]


def _brittle(found: Mapping[str, Any], rows: pl.DataFrame, parts: pl.DataFrame, colour: Colour) -> Any:
    blocks, scale, depth = found["blocks"], alt.Scale(type="log"), alt.Scale(domain=[0, 1], nice=False)
    ticks = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1])
    x = alt.X("depth:Q", title=None, scale=depth, axis=ticks)
    y = alt.Y(
        "estimate:Q", title="nats", scale=scale, axis=alt.Axis(tickCount=5, format="~g", minExtent=44, grid=False)
    )
    tooltip = ["layer:Q", "estimate:Q", "lo:Q", "hi:Q"]

    def chart(metric: str, method: str | None = None) -> Any:
        kept = rows.filter(metric=metric, **({"method": method} if method else {}))
        return alt.Chart(_data(kept.select("depth", "layer", "estimate", "lo", "hi").to_dicts())).encode(x=x)

    stretches = [
        {"from": row["first"] / blocks, "to": (row["last"] + 1) / blocks}
        | {k: row[k] for k in ("segment", "b", "lo", "hi")}
        for row in parts.to_dicts()
    ]
    bar = alt.Chart(_data(stretches)).encode(x=alt.X("from:Q", scale=depth), x2="to:Q")
    cuts = alt.Chart(_data([{"at": cut / blocks} for cut in found["cuts"]]))
    line = cuts.mark_rule(color=colour("soft"), strokeDash=[4, 3]).encode(x=alt.X("at:Q", title=None))
    noise, skip, size = chart("brittleness"), chart("kl", "skip"), chart("stream rms")
    hue, low = colour("series-1"), alt.Y("lo:Q", title="nats", scale=scale)
    above = alt.layer(
        bar.mark_rect(color=colour("series-3"), opacity=0.35).encode(y=low, y2="hi:Q"),
        bar.mark_rule(color=colour("series-3"), strokeWidth=2).encode(
            y=alt.Y("b:Q", title="nats", scale=scale), tooltip=["segment:N", "b:Q", "lo:Q", "hi:Q"]
        ),
        noise.mark_area(opacity=0.18, color=hue).encode(y=low, y2="hi:Q"),
        noise.mark_line(color=hue).encode(y=y, tooltip=tooltip),
        skip.mark_point(color=colour("series-2"), filled=True).encode(y=y, tooltip=tooltip),
        line,
    )
    axis = alt.Axis(tickCount=3, format="~g", minExtent=44, grid=False)
    below = alt.layer(
        size.mark_line(color=colour("series-4")).encode(
            x=alt.X("depth:Q", title="relative depth", scale=depth, axis=ticks),
            y=alt.Y("estimate:Q", title="rms", scale=scale, axis=axis), tooltip=tooltip,
        ),
        line,
    )  # fmt: skip
    return alt.vconcat(above.properties(width=560, height=240), below.properties(width=560, height=90), spacing=10)


def _signal_text(found: Mapping[str, Any]) -> str:
    used = ", ".join(name.replace("_", " ") for name in found["signals"])
    text = (
        "Mean over passages (or one value for the set, from the copies of passages), with its 95 % interval. Dashed "
        "grey: a model of the same architecture with random weights. Dotted: the value that stands for nothing. "
        f"Shaded: the Local, Intermediate and Global stretch; vertical lines: the cuts, with their 90 % intervals as "
        f"bands. A first layer that would flatten the rest leaves the frame. Cut from: {used}."
    )
    if found["missing"]:
        text += f" Not measured: {', '.join(name.replace('_', ' ') for name in found['missing'])}."
    return text


def _cut_rows(found: Mapping[str, Any]) -> list[tuple[str, list[int], list[list[int]]]]:
    rows = [("all passages", found["cuts"], found["cut_ci"])]
    rows += [(kind, one["cuts"], one["cut_ci"]) for kind, one in found["kinds"].get("cuts", {}).items()]
    rows += [(f"without {n.replace('_', ' ')}", cuts, []) for n, cuts in found["leave_one_out"].items()]
    if found["method"] == "exact" and found["v1"]:
        rows.append(("rule of the first version", found["v1"]["cuts"], []))
    elif found["method"] == "v1":
        rows.append(("exact cuts of all signals", found["exact"]["cuts"], []))
    if found["untrained"]:
        rows.append(("random weights", found["untrained"]["cuts"], []))
    return rows


def _cut_table(found: Mapping[str, Any]) -> pl.DataFrame:
    rows = []
    for name, cuts, interval in _cut_rows(found):
        said = [f"{lo} to {hi}" for lo, hi in interval] or ["–", "–"]
        depths = [f"{cut / found['blocks']:.2f}" for cut in cuts]
        rows.append((name, str(cuts[0]), depths[0], said[0], str(cuts[1]), depths[1], said[1]))
    columns = ["Cut", "First cut at block", "Depth", "90 % interval", "Second cut at block", "Depth ", "90 % interval "]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def _data(rows: list[dict[str, Any]]) -> Any:
    return alt.Data(values=rows)


def _stretches(found: Mapping[str, Any], colour: Colour) -> Any:
    blocks, bars, bands = found["blocks"], [], []
    order = [name for name, _, _ in _cut_rows(found)]
    for name, cuts, interval in _cut_rows(found):
        ends = [0, *cuts, blocks]
        for i, part in enumerate(("Local", "Intermediate", "Global")):
            bars.append({"row": name, "from": ends[i], "to": ends[i + 1], "stretch": part})
        bands += [{"row": name, "from": lo, "to": hi} for lo, hi in interval]
    y = alt.Y("row:N", sort=order, title=None, axis=alt.Axis(labelLimit=190))
    x = alt.X("from:Q", title="block", scale=alt.Scale(domain=[0, blocks], nice=False))
    scale = alt.Scale(domain=["Local", "Intermediate", "Global"], range=[colour(c) for c in _STRETCHES])
    drawn = (
        alt.Chart(_data(bars))
        .mark_bar(height=13, opacity=0.75)
        .encode(
            x=x,
            x2="to:Q",
            y=y,
            color=alt.Color("stretch:N", scale=scale, title=None, sort=None, legend=alt.Legend(orient="top")),
        )
    )
    band = alt.Chart(_data(bands)).mark_rule(color=colour("ink"), strokeWidth=3)
    return (drawn + band.encode(x="from:Q", x2="to:Q", y=y)).properties(width=470, height=21 * len(order))


def _small_multiples(found: Mapping[str, Any], curves: pl.DataFrame, colour: Colour) -> Any:
    known = {signal.name: signal for part in metrics_of() for metric in part for signal in metric.signals}
    curves = curves.filter(pl.col("level") != "brittleness")
    names = curves["task"].unique(maintain_order=True).to_list()
    order = sorted(names, key=lambda name: GROUPS.index(known[name].group) if name in known else len(GROUPS))
    charts = [_one_signal(found, curves.filter(task=name), known.get(name), colour) for name in order]
    return alt.concat(*charts, columns=3, spacing=14)


def _one_signal(found: Mapping[str, Any], rows: pl.DataFrame, signal: Signal | None, colour: Colour) -> Any:
    columns = ["depth", "estimate", "lo", "hi", "control", "chance"]
    values = rows.select(columns).with_columns(pl.col(columns).round_sig_figs(5).fill_nan(None)).to_dicts()
    base, blocks = alt.Chart(_data(values)), found["blocks"]
    depth = alt.Scale(domain=[0, 1], nice=False)
    x = alt.X("depth:Q", title=None, scale=depth, axis=alt.Axis(values=[0, 0.5, 1]))
    y = alt.Y("estimate:Q", title=None, scale=_scale(rows), axis=alt.Axis(tickCount=4))
    hue = colour(_SERIES.get(signal.group if signal else "", "series-8"))
    cuts = alt.Chart(
        _data([{"at": c / blocks, "lo": lo / blocks, "hi": hi / blocks}
               for c, (lo, hi) in zip(found["cuts"], found["cut_ci"], strict=True)])
    )  # fmt: skip
    ends = [0.0, *(cut / blocks for cut in found["cuts"]), 1.0]
    stretches = [{"from": ends[i], "to": ends[i + 1], "colour": colour(name)} for i, name in enumerate(_STRETCHES)]
    layers = [
        alt.Chart(_data(stretches))
        .mark_rect(opacity=0.1)
        .encode(x=alt.X("from:Q", scale=depth), x2="to:Q", color=alt.Color("colour:N", scale=None)),
        cuts.mark_rect(color=colour("control"), opacity=0.3).encode(x="lo:Q", x2="hi:Q"),
        cuts.mark_rule(color=colour("control"), strokeWidth=1).encode(x="at:Q"),
        base.mark_area(color=hue, opacity=0.25, clip=True).encode(x=x, y=alt.Y("lo:Q", title=None), y2="hi:Q"),
        base.mark_line(color=hue, strokeWidth=1.8, clip=True).encode(x=x, y=y),
    ]
    if rows["control"].is_finite().any():
        dashed = base.mark_line(color=colour("control"), strokeDash=[4, 3], strokeWidth=1.2, clip=True)
        layers.append(dashed.encode(x=x, y="control:Q"))
    low, high, null = (float(f(rows[c].to_numpy())) for f, c in ((np.min, "lo"), (np.max, "hi"), (np.max, "chance")))
    if 2 * low - high <= null <= 2 * high - low:  # a value far from the curve would flatten it
        layers.append(base.mark_line(color=colour("soft"), strokeDash=[1, 2], clip=True).encode(x=x, y="chance:Q"))
    title = f"{signal.title} ({signal.unit})" if signal else str(rows["task"][0])
    return alt.layer(*layers).properties(width=215, height=110, title=alt.TitleParams(title, fontSize=11))


def _scale(rows: pl.DataFrame) -> Any:
    """Return the vertical scale: where the first layer alone would flatten the rest, it runs out of the frame."""
    values = rows.sort("layer").select("estimate", "lo", "hi", "control").to_numpy()
    if not np.isfinite(values[1:]).any():
        return alt.Scale(zero=False)
    low, high = np.nanmin(values[1:]), np.nanmax(values[1:])
    if np.nanmax(values) - np.nanmin(values) < _FLATTENED * (high - low):
        return alt.Scale(zero=False)
    return alt.Scale(zero=False, domain=[float(low), float(high)], nice=True)


def _heat(found: Mapping[str, Any], cka: pl.DataFrame, colour: Colour) -> Any:
    values = cka.with_columns(
        pl.col("cka").round(3), *((pl.col(name) + 1).alias(f"{name}_end") for name in ("layer", "other"))
    )  # fmt: skip
    points = found["blocks"] + 1
    scale = alt.Scale(domain=[0, points], nice=False)
    axis = alt.Axis(tickMinStep=1, grid=False)
    cells = (
        alt.Chart(_data(values.to_dicts()))
        .mark_rect(color=colour("heat"))
        .encode(
            x=alt.X("layer:Q", title="point", axis=axis, scale=scale),
            x2="layer_end:Q",
            y=alt.Y("other:Q", title="point", axis=axis, scale=scale),
            y2="other_end:Q",
            # A colour of the page is a CSS variable, which a scale cannot mix: it is made fainter instead.
            opacity=alt.Opacity(
                "cka:Q", title="CKA", scale=alt.Scale(domain=[0, 1], range=[0.02, 1], clamp=True),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=["layer:Q", "other:Q", "cka:Q"],
        )
    )  # fmt: skip
    # A cut at block b parts the outputs of blocks b-1 and b: the points b and b+1.
    rule = alt.Chart(_data([{"at": cut + 1} for cut in found["cuts"]])).mark_rule(color=colour("bad"), strokeWidth=1.2)
    return (cells + rule.encode(x="at:Q") + rule.encode(y="at:Q")).properties(width=420, height=420)


def _cost_curve(found: Mapping[str, Any], colour: Colour) -> Any:
    test = found["existence"]
    rows = [
        {"cuts": k, "left": left, "lo": test["null_lo"][k], "hi": test["null_hi"][k]}
        for k, left in enumerate(test["curve"])
    ]
    if found["untrained"]:
        rows = [row | {"plain": found["untrained"]["curve"][k]} for k, row in enumerate(rows)]
    base = alt.Chart(_data(rows))
    x = alt.X("cuts:O", title="cuts K", axis=alt.Axis(labelAngle=0))
    layers = [
        base.mark_area(color=colour("control"), opacity=0.25).encode(
            x=x, y=alt.Y("lo:Q", title="variation left", scale=alt.Scale(domain=[0, 1])), y2="hi:Q"
        ),
        base.mark_line(color=colour("series-1"), point=alt.OverlayMarkDef(color=colour("series-1"))).encode(
            x=x, y="left:Q"
        ),
    ]
    if found["untrained"]:
        layers.append(base.mark_line(color=colour("control"), strokeDash=[4, 3]).encode(x=x, y="plain:Q"))
    return alt.layer(*layers).properties(width=420, height=220)

# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Two models, read with polars and your own plots
#
# A run is a folder of tables; nothing needs the model any more.

# %%
import altair as alt
import polars as pl

import layeratlas as la

both = {name: la.load(f"runs/{name}") for name in ("first", "second")}
curves = pl.concat([run.curves.with_columns(run=pl.lit(name)) for name, run in both.items()])
shown = curves.filter(component="resid", metric="accuracy", method="ridge", task="all", stratum="all")
shown.group_by("run", "level", maintain_order=True).agg(pl.col("estimate").max().alias("highest"))

# %%
base = alt.Chart(alt.Data(values=shown.select("run", "level", "depth", "estimate", "lo", "hi").to_dicts()))
line = base.mark_line().encode(x="depth:Q", y=alt.Y("estimate:Q").scale(zero=False), color="run:N")
band = base.mark_area(opacity=0.2).encode(x="depth:Q", y="lo:Q", y2="hi:Q", color="run:N")
(band + line).facet("level:N")

# %% [markdown]
# Plots do not show whether the models differ: the comparison tests it, paired over groups of texts.

# %%
comparison = la.compare(list(both.values()), out="runs/first-and-second")
comparison.differences.filter(pl.col("quantity") == "peak depth")

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
# # From a model to a map
#
# Which layer of a model encodes what? `jupytext --to notebook notebooks/first_map.py` makes a notebook of this
# file. Replace `path/to/model` by your model, or leave `model=` out for the built-in one.

# %%
import layeratlas as la

run = la.run("hierarchy", model="path/to/model", size="quick", out="runs/first")
run

# %% [markdown]
# The findings, with effect, interval, p-value, null and verdict. *Inconclusive* never means that there is
# no effect: the statement says how large an effect could have been seen.

# %%
run.findings.select("verdict", "statement", "estimate", "lo", "hi", "p", "q")

# %% [markdown]
# One level with its control (dashed grey), chance and baseline.

# %%
run.plot("relation")

# %% [markdown]
# Which layer to use? `layer` is None where none is shown to do it, and `reason` says why.

# %%
best = run.best_layer("relation")
print(best)

# %% [markdown]
# The page of the run, which needs no network:

# %%
run.report_path

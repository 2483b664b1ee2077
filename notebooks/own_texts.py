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
# # Your own texts
#
# Labelled texts in, a map of the layers out. Texts that share material (here: a number) are one
# group, and groups are never split across train and test.

# %%
import layeratlas as la

texts = [f"{word} number {i}" for i in range(20) for word in ("warm", "cold")]
labels = [text.split()[0] for text in texts]
groups = [text.split()[-1] for text in texts]
run = la.probe(texts, labels, model="path/to/model", groups=groups, out="runs/own-texts")
run.plot("label")

# %% [markdown]
# The controls say whether a high score means anything: the same probe on shuffled labels, and a baseline on
# words alone. Here the word is the label, so the baseline is as good, and the model adds nothing.

# %%
curve = run.curves.filter(component="resid", metric="accuracy", method="ridge", task="label", stratum="all")
curve.select("layer", "estimate", "lo", "hi", "control", "baseline")

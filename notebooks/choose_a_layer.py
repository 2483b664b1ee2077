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
# # Choose a layer to probe, and try to steer
#
# At which layer does a model tell praise from blame, and what happens if that direction is added to its stream? All
# texts end with the same words, so the last token says nothing by itself. The two adjectives of a pair are one group:
# groups are never split across train and test, so the probe is tested on adjectives that it has not seen. Replace
# `path/to/model` by your model, or leave `model=` out for the built-in one.

# %%
import layeratlas as la
from layeratlas.directions.steering import steer

praise = "wonderful lovely excellent brilliant delightful superb great beautiful perfect exciting charming impressive"
blame = "terrible awful horrible dreadful disgusting poor bad ugly useless boring unpleasant disappointing"
rows = [
    (f"The {thing} was {word}, they said", label, pair)
    for pair, words in enumerate(zip(praise.split(), blame.split(), strict=True))
    for word, label in zip(words, ("praise", "blame"), strict=True)
    for thing in ("film", "meal", "garden", "party")
]
texts, labels, groups = (list(column) for column in zip(*rows, strict=True))
run = la.probe(
    texts, labels, model="path/to/model", groups=groups, size="quick", components=["resid"], out="runs/praise"
)
run.plot("label")

# %% [markdown]
# The layer to probe is the one that decodes best; `as_good` are the layers that are not shown to be worse. The baseline
# (a triangle at the right edge) is the best that words alone give.

# %%
print(run.best_layer("label"))

# %% [markdown]
# A direction is taken at the earliest point that decodes as well, because later blocks can still use what is added
# there; whether steering works is untested. `layer` is None where no layer is shown to decode the label; then this
# notebook takes the first block's output.

# %%
advice = run.best_layer("label", purpose="direction")
first = advice.layer if advice.layer is not None else 1
print(run.direction("label", first))

# %% [markdown]
# Added to the stream, does it change what the model says? A random direction of equal norm is the control: a direction
# is shown to be used only where it moves the next prediction (`shift`, KL in nats) further than that. Strength 1 goes
# from the mean of one class to that of the other. The advice above says where a direction can be taken; where it acts
# is measured here, and with more care by `la.run("causal")`.

# %%
prompt = "The waiter brought the soup. I tasted it and thought it was"
for layer in sorted({first, run.blocks // 2, run.blocks - 2}):
    direction = run.direction("label", layer)
    edit = direction.edit(to="praise", versus="blame")
    for row in steer(direction, prompt, edit=edit, strengths=(2.0, 4.0), new_tokens=10):
        print(f"point {layer:<3} {row.kind:<10} {row.strength:.0f} {row.shift:6.2f}  {row.text!r}")

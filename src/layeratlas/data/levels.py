"""The levels of the built-in tasks."""

from __future__ import annotations

# The levels that tasks of our own have, in reading order, and what findings call them.
LEVELS = {
    "item": "item properties",
    "relation": "two-item relations",
    "analogy": "four-item analogies",
    "grammar": "grammatical errors",
    "morphology": "number and tense",
    "document": "topic and sentiment of documents",
    "buried item": "buried item properties",
    "buried relation": "buried relations",
    "buried analogy": "buried analogies",
    "buried item by filler": "buried item properties under new fillers",
    "buried relation by filler": "buried relations under new fillers",
    "buried analogy by filler": "buried analogies under new fillers",
    "graded item": "sizes of things",
    "graded relation": "degrees of relatedness",
}

"""Checkpoints on disk with one tensor removed, renamed, added or reshaped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

Tensors = dict[str, torch.Tensor]
Mutation = Callable[[Tensors, str], None]


def removed(tensors: Tensors, name: str) -> None:
    del tensors[name]


def renamed(tensors: Tensors, name: str) -> None:
    head, tail = name.rsplit(".", 1)
    tensors[f"{head}x.{tail}"] = tensors.pop(name)


def added(tensors: Tensors, name: str) -> None:
    head = name.removesuffix(".weight")
    tensors[f"{head}.weight_scale" if name.endswith("weight") else f"{name}_2"] = torch.ones(3)


def reshaped(tensors: Tensors, name: str) -> None:
    tensors[name] = torch.cat([tensors[name], tensors[name]]).contiguous()


MUTATIONS: dict[str, Mutation] = {"removed": removed, "renamed": renamed, "added": added, "reshaped": reshaped}


def sampled(names: list[str], most: int) -> list[str]:
    """Return at most this many names: the first and last of the sorted ones and others evenly between."""
    ordered = sorted(names)
    step = max(1, -(-len(ordered) // most))
    return sorted({*ordered[::step], ordered[-1]})


def mutated(folder: Path, most: int = 4) -> Iterator[str]:
    """Yield once per mutation, in words, with the checkpoint in `folder` changed; it is restored at the end."""
    (path,) = folder.glob("*.safetensors")
    whole = path.read_bytes()
    try:
        for name in sampled(list(load_file(path)), most):
            for kind, mutate in MUTATIONS.items():
                tensors = {key: value.clone() for key, value in load_file(path).items()}
                mutate(tensors, name)
                save_file(tensors, path, metadata={"format": "pt"})
                yield f"{kind} {name}"
                path.write_bytes(whole)
    finally:
        path.write_bytes(whole)


def edit(folder: Path, change: Callable[[Tensors], Any]) -> None:
    """Change the tensors of a checkpoint in place."""
    (path,) = folder.glob("*.safetensors")
    tensors = {key: value.clone() for key, value in load_file(path).items()}
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def silent(folder: Path, weights: str, most: int) -> tuple[int, list[str]]:
    """Return how many mutations of a checkpoint were tried, which is printed, and those that loaded without a word."""
    from layeratlas.core.errors import ModelError
    from layeratlas.core.spec import ModelSpec
    from layeratlas.models import load

    loaded, tried = [], 0
    for mutation in mutated(folder, most=most):
        tried += 1
        try:
            load(ModelSpec(id=str(folder), weights=weights))  # type: ignore[arg-type]
        except ModelError:
            continue
        loaded.append(mutation)
    print(f"{folder.parent.name}, {weights}: {tried} mutations, {len(loaded)} load")
    return tried, loaded

"""`layeratlas direction` takes a direction from a run, `layeratlas steer` shows what it does to a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layeratlas.cli.errors import one_line

ClassOption = Annotated[
    str | None, typer.Option("--class", help="The class to steer to. Default: the second of two classes.")
]
VersusOption = Annotated[str | None, typer.Option(help="The class to steer from. Default: all others.")]


def direction(
    folder: Annotated[Path, typer.Argument(help="The folder of a finished hierarchy run.")],
    to: Annotated[
        Path, typer.Option(help="The file to write: NAME.safetensors, or NAME.gguf, a control vector of llama.cpp.")
    ],
    task: Annotated[
        str,
        typer.Option(
            help="The task, or the name of your file of texts, whose direction to take. Default: the only one."
        ),
    ] = "",
    layer: Annotated[
        int | None,
        typer.Option(
            help="Point of resid, block of attn or mlp. Default: the one recommended for directions; for .gguf the "
            "first one as good that llama.cpp can steer at (point 2 or later)."
        ),
    ] = None,
    component: Annotated[str, typer.Option(help="resid, attn or mlp.")] = "resid",
    probe: Annotated[str, typer.Option(help="A probe of the run. Default: its first one.")] = "",
    class_: ClassOption = None,
    versus: VersusOption = None,
) -> None:
    """Write the direction that a run's probe fitted at a layer, in the model's own coordinates.

    \b
    layeratlas direction runs/mine --task my_texts --to mine.safetensors
    layeratlas direction runs/mine --task my_texts --layer 12 --to mine.gguf
    """
    with one_line():
        from layeratlas.api.advice import only_task, recommended_layer
        from layeratlas.api.results import Run
        from layeratlas.core.spec import check_component
        from layeratlas.directions.direction import check_ends
        from layeratlas.directions.files import FIRST_BLOCK, GGUF, check_suffix
        from layeratlas.studies.hierarchy.directing import load_data

        check_suffix(to)
        run, first = Run(folder), FIRST_BLOCK + 1 if to.suffix == GGUF else 0
        if run.study == "hierarchy":  # any other is refused below
            task = task or only_task(run)
            check_ends(task, load_data(run, task).classes, class_, versus)
            if layer is None:
                layer, plain = (recommended_layer(run, task, component, least) for least in (first, 0))
                if layer != plain:
                    print(f"Point {layer}, as good as {plain}: llama.cpp steers from point {first} on.")
        direction = run.direction(task, layer, check_component(component), method=probe)
        print(direction)
        print(direction.save(to, class_, versus))


def steer(
    file: Annotated[Path, typer.Argument(help="A .safetensors file of 'layeratlas direction'.")],
    prompt: Annotated[str, typer.Option(help="What the model continues.")],
    strength: Annotated[
        list[float] | None,
        typer.Option(
            help="Steering strength; 1 moves from the mean of one class to the other's; repeatable. Default: 0.5, 1, 2."
        ),
    ] = None,
    class_: ClassOption = None,
    versus: VersusOption = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Default: the direction's own model.")] = None,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens to write.")] = 24,
) -> None:
    """Continue a prompt without steering, with the direction, and with a random direction of equal norm.

    `shift` is how far the next-token prediction moves, KL in nats. A direction that moves it no
    further than the random one is not shown to be used by the model there. The last line says which
    next words it raises and lowers. Every token but the first is steered; 'layeratlas run causal'
    tests steering at the last token alone.

    \b
    layeratlas steer mine.safetensors --prompt "The weather today is"
    """
    with one_line():
        from layeratlas.core.spec import ModelSpec
        from layeratlas.directions import load_direction
        from layeratlas.directions.steering import DEFAULT_STRENGTHS, LEAST, conclusion
        from layeratlas.directions.steering import steer as steered

        direction = load_direction(file)
        print(direction)
        rows = steered(
            direction,
            prompt,
            spec=ModelSpec(id=model) if model else None,
            edit=direction.edit(to=class_, versus=versus),
            strengths=strength or DEFAULT_STRENGTHS,
            new_tokens=tokens,
        )
        print(f"{'added':<10}{'strength':>9}{'shift':>8}  text")
        for row in rows:
            shift = f"<{LEAST:g}" if 0 < row.shift < LEAST else f"{row.shift:.2f}"
            print(f"{row.kind:<10}{row.strength:>9.2f}{shift:>8}  {row.text!r}")
        to, away = direction.ends(class_, versus)
        print(f"Steered to '{to}', away from '{away}' (negative strengths: the other way): {conclusion(rows)}.")

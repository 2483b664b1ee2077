"""The chat section of a report: the template, its options, and one text as the model reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def note_example(manifest: dict[str, Any], rendered: str, read: str) -> None:
    """Store one rendered chat for the report; `read` describes in words where the model is read."""
    manifest["chat_example"] = {"rendered": rendered, "read": read}


def chat_methods(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the chat of a run as (heading, text), from its manifest; empty for a run of plain text."""
    chat = run.get("model", {}).get("chat")
    if not chat:
        return []
    options = ", ".join(f"{name} = {value}" for name, value in chat["options"].items())
    details = [
        f"SHA-256 of the template {chat['template_sha256'][:16]}…",
        "the template's own system prompt, if any" if chat["system"] is None else f"system prompt “{chat['system']}”",
        *([f"template options: {options}"] if options else []),
        *([f"the template is told the date {chat['date']}"] if "date" in chat else []),
    ]
    return [("Chat", f"Texts are the user's turn in the model's own chat template ({'; '.join(details)}).")]

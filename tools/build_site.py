"""Build the documentation's site: the pages of the repository, a reference made from the code, no external asset.

    python tools/build_site.py [--out site]

Pages are gathered under `build/site` with their links between them rewritten; zensical makes the site of them, and
every link and anchor of it is checked.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import typer.main

import layeratlas
from layeratlas.cli.app import app
from layeratlas.core import registry

ROOT = Path(__file__).resolve().parents[1]
# Pages from outside `docs/`, with the names that they have in the site.
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
    "benchmarks/README.md": "speed.md",
    "src/layeratlas/data/lists/README.md": "word-lists.md",
    "examples/plugin/README.md": "plug-ins.md",
}
NAV = {
    "Layer Atlas": ["index.md", "start.md", "how-to.md", "concepts.md", "coming-from.md", "faq.md"],
    "Gallery and notebooks": ["gallery.md", "notebook-first-map.md", "notebook-choose-a-layer.md"],
    "The studies": ["hierarchy.md", "exits.md", "segments.md", "claims.md", "validation.md", "word-lists.md"],
    "Using it": ["data.md", "models.md", "use.md", "compare.md", "interventions.md", "large-models.md", "scale.md"],
    "Reference": ["commands.md", "python.md", "names.md", "run-folder.md", "glossary.md"],
    "The project": ["contributing.md", "plug-ins.md", "layout.md", "speed.md", "changes.md"],
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def gather(pages: Path) -> None:
    """Write every page and picture of the site into a folder, the reference included."""
    pages.mkdir(parents=True)
    sources = {path.relative_to(ROOT).as_posix(): path.name for path in sorted((ROOT / "docs").glob("*"))} | ELSEWHERE
    for source, name in sources.items():
        if name.endswith(".md"):
            text = (ROOT / source).read_text(encoding="utf-8")
            (pages / name).write_text(relinked(text, source, sources), encoding="utf-8")
        else:
            shutil.copy(ROOT / source, pages / name)
    (pages / "commands.md").write_text(commands(), encoding="utf-8")
    (pages / "python.md").write_text(python_names(), encoding="utf-8")
    (pages / "names.md").write_text(plug_in_names(), encoding="utf-8")


def relinked(text: str, source: str, sources: dict[str, str]) -> str:
    """Return a page with its links leading to the site's pages; a link to another file becomes its text."""

    def follow(match: re.Match[str]) -> str:
        mark, words, target = match.groups()
        path, _, anchor = target.partition("#")
        if target.startswith("https://") or not path:
            return match[0]
        file = os.path.normpath(f"{os.path.dirname(source)}/{path}").lstrip("/")
        if file not in sources:
            return words
        return f"{mark}[{words}]({sources[file]}{'#' if anchor else ''}{anchor})"

    return _LINK.sub(follow, text)


def commands() -> str:
    """Return the reference of the command line, made from its own help."""
    group = typer.main.get_command(app)
    parts = ["# Command line\n"]
    for name, command in sorted(group.commands.items()):  # type: ignore[attr-defined]
        summary = inspect.cleandoc(command.help or "").replace("\b\n", "")
        summary = re.sub(r"^(layeratlas .*)$", r"    \1", summary, flags=re.M)
        parts.append(f"## `layeratlas {name}`\n\n{summary}\n")
        rows = [(_signature(param), getattr(param, "help", "") or "") for param in command.params]
        rows = [(signature, words) for signature, words in rows if words]
        parts += ["| option | meaning |\n|---|---|", *(f"| `{s}` | {_cell(w)} |" for s, w in rows), ""]
    return "\n".join(parts)


def _signature(param: object) -> str:
    names = sorted(getattr(param, "opts", []), key=len, reverse=True)
    return ", ".join(names) if names and names[0].startswith("-") else str(getattr(param, "name", "")).upper()


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|").replace("<", "&lt;")


def python_names() -> str:
    """Return the reference of what `import layeratlas` gives, from signatures and docstrings."""
    parts = ["# Python\n", "```text\n" + inspect.cleandoc(layeratlas.__doc__ or "") + "\n```\n"]
    for name in layeratlas.__all__:
        value = getattr(layeratlas, name)
        if isinstance(value, str):
            continue
        parts.append(f"## `{name}`\n\n{_described(name, value)}")
        members = inspect.getmembers(value, inspect.isfunction) if inspect.isclass(value) else []
        own = [(n, f) for n, f in members if not n.startswith("_") and f.__module__.startswith("layeratlas")]
        parts += [f"### `{name}.{method}`\n\n{_described(method, function)}" for method, function in own]
    return "\n".join(parts)


def _described(name: str, value: object) -> str:
    try:
        signature = str(inspect.signature(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        signature = ""
    signature = re.sub(r"<[^>]* object at [^>]*>|<factory>", "...", signature)
    signature = re.sub(r"\b(?:layeratlas|pathlib|collections\.abc|typing)\.(?:[a-z_]+\.)*", "", signature)
    return f"```text\n{name}{signature}\n```\n\n{inspect.getdoc(value) or ''}\n"


def plug_in_names() -> str:
    """Return every built-in study, task, probe, metric and claim with its summary, and the settings of each study."""
    parts = ["# Names\n"]
    for kind in registry.KINDS:
        rows = [(name, registry.get(kind, name).summary) for name in registry.names(kind)]
        parts += [f"## {kind.capitalize()}\n", "| name | what it is |\n|---|---|"]
        parts += [*(f"| `{name}` | {_cell(words)} |" for name, words in rows), ""]
    for study in registry.names("studies"):
        fields = registry.get("studies", study).settings.model_fields
        parts += [f"## Settings of `{study}`\n", "| setting | default | meaning |\n|---|---|---|"]
        parts += [f"| `{n}` | `{f.default!r}` | {_cell(f.description or '')} |" for n, f in fields.items()]
        parts.append("")
    return "\n".join(parts)


def configuration() -> str:
    """Return the builder's configuration: one navigation, no fonts from elsewhere."""
    nav = "".join(f"  {{ {json.dumps(part)} = {json.dumps(names)} }},\n" for part, names in NAV.items())
    return (
        f'[project]\nsite_name = "Layer Atlas"\nuse_directory_urls = false\n'
        f'docs_dir = "pages"\nsite_dir = "made"\nnav = [\n{nav}]\n'
        '[project.theme]\nfont = false\nfeatures = ["navigation.sections", "navigation.top", "content.code.copy"]\n'
        + palettes()
        + "[project.markdown_extensions]\ntables = {}\nattr_list = {}\ntoc.permalink = true\n"
        "pymdownx.superfences = {}\n"
        "pymdownx.highlight = {}\n"
    )


def palettes() -> str:
    """Return the colours of the site: those of the reader's system, which a button overrides with light or dark.

    A reader's choice is kept by the browser. Without the first entry the system's colours of the first visit would be.
    """
    choices = (
        ("", "default", "sun-moon", "Switch to light mode"),
        (": light", "default", "sun", "Switch to dark mode"),
        (": dark", "slate", "moon", "Switch to system preference"),
    )
    return "".join(
        f'[[project.theme.palette]]\nmedia = "(prefers-color-scheme{media})"\nscheme = "{scheme}"\n'
        f'toggle.icon = "lucide/{icon}"\ntoggle.name = "{name}"\n'
        for media, scheme, icon, name in choices
    )


class _Page(HTMLParser):
    """The anchors of a page, and what it links to and loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.anchors |= {known[name] for name in ("id", "name") if name in known}
        if tag == "a" and "href" in known:
            self.links.append(known["href"])
        if "src" in known or (tag == "link" and known.get("rel") in ("stylesheet", "icon")):
            self.loads.append(known.get("src") or known.get("href", ""))


def faults(site: Path) -> Iterator[str]:
    """Yield every link of a built site that leads nowhere, and everything that it loads from elsewhere."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            if re.match(r"(https?:)?//", link):
                if link in page.loads:
                    yield f"{path.name} loads {link}"
                continue
            name, _, anchor = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            target = target / "index.html" if target.is_dir() else target
            if name.startswith(("data:", "mailto:", "javascript:")):
                continue
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors):
                yield f"{path.name}: {link} leads nowhere"


def build(out: Path) -> None:
    """Build the site into a folder; ends the process with what is wrong where a link leads nowhere."""
    work = ROOT / "build/site"
    for folder in (work, out):
        shutil.rmtree(folder, ignore_errors=True)
    gather(work / "pages")
    config = work / "zensical.toml"
    config.write_text(configuration(), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "zensical", "build", "--clean", "-f", str(config)], check=True)
    shutil.copytree(work / "made", out)
    found = [fault for fault in faults(out) if not fault.startswith("404.html")]
    if found:
        sys.exit("\n".join(found))
    print(out / "index.html")


if __name__ == "__main__":
    importlib.import_module("zensical")  # says at once that the builder is missing
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "site")
    build(parser.parse_args().out.resolve())

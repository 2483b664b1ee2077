"""What the end-to-end tests share: a way to run commands, and a tiny model."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from commands import Zygote

WORDS = ("river", "stone", "cloud", "field", "glass", "paper", "apple", "horse", "music", "table")


@pytest.fixture(scope="session")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """Run `layeratlas ARGS`: `atlas("list", "tasks").out`."""
    zygote = Zygote(tmp_path_factory.mktemp("commands"))
    yield zygote
    zygote.close()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An S3 server on this machine with a bucket `runs`: the environment that makes commands use it."""
    pytest.importorskip("moto")
    pytest.importorskip("obstore")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("s3") / "log").open("wb")
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stdout=log, stderr=log)
    url, end = f"http://127.0.0.1:{port}", time.monotonic() + 60
    while True:
        try:
            urlopen(Request(f"{url}/runs", method="PUT")).close()
            break
        except URLError:
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.1)
    yield {
        # An address names another bucket with every server, so that copies of the last one's must not be found.
        "LAYERATLAS_CACHE": str(tmp_path_factory.mktemp("cache")),
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "anyone",
        "AWS_SECRET_ACCESS_KEY": "nothing",
    }
    server.terminate()
    server.wait()
    log.close()


@pytest.fixture
def in_s3(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process use that server."""
    for name, value in s3.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def plan(folder_of, tmp_path_factory):
    """Two models x (labelled texts, questions): four runs of seconds."""
    folder = tmp_path_factory.mktemp("sweep")
    texts = [f"the {a} and the {b}" for a in WORDS for b in WORDS if a != b][:60]
    rows = [f'{{"text": "{text}", "label": "{text < "the m"}", "group": "{i % 12}"}}' for i, text in enumerate(texts)]
    (folder / "words.jsonl").write_text("\n".join(rows))
    pairs = list(pairwise(WORDS))
    asked = [f'{{"question": "{a} or {b}?", "choices": ["{a}", "{b}"], "answer": 0}}' for a, b in pairs]
    (folder / "asked.jsonl").write_text("\n".join(asked))
    path = folder / "sweep.toml"
    path.write_text(
        f"""
models = ["{folder_of("llama")}", "{folder_of("gpt2")}"]
studies = ["hierarchy", "exits"]
size = "quick"

[[variants]]
name = "words"
studies = ["hierarchy"]
[variants.options]
data = "{folder / "words.jsonl"}"
probe = "ridge"
repeats = 1
shuffles = 20
capture = {{ batch_tokens = 32 }}

[[variants]]
name = "asked"
studies = ["exits"]
options = {{ data = "{folder / "asked.jsonl"}" }}
settings = {{ shots = 0 }}
"""
    )
    return path

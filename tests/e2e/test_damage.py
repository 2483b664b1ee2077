"""A damaged folder never changes a number: what is damaged is computed again, or named with advice that works."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import families
from commands import Done, the_line

# The kinds of files that a resumed run or a report reads, by study.
KINDS = {
    "hierarchy": ["items", "activations", "scores", "tables"],
    "segments": ["segments.json", "signals", "perturbed", "intervened", "tables"],
    "exits": ["items", "exits", "scores", "ablated", "tables"],
}
SETTINGS = {
    "hierarchy": {},
    "segments": {
        "tokens": 64,
        "view_passages": 2,
        "views": 2,
        "draws": 100,
        "surrogates": 99,
        "untrained": 2,
        "edits": "zero of mlp; scale 1.5",
    },
    "exits": {"format": "free", "free_tokens": 2, "ablate": True, "ablate_questions": 6, "shots": 0},
}
Damage = Callable[[Path, Path], None]


def flip(path: Path, _: Path, bit: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[-len(data) // 3] ^= bit
    path.write_bytes(bytes(data))


def cut(path: Path, _: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def swap(path: Path, other: Path) -> None:
    """Let two whole files change places."""
    first, second = path.read_bytes(), other.read_bytes()
    path.write_bytes(second)
    other.write_bytes(first)


def replace_by_directory(path: Path, _: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: list[Damage] = [flip, cut, swap, replace_by_directory]
# Where another test damages the same files in every way, the rest is for the long suite.
MAIN_DAMAGES = [flip, swap, *(pytest.param(damage, marks=pytest.mark.truth) for damage in (cut, replace_by_directory))]


@pytest.fixture(scope="module")
def specs(tmp_path_factory) -> dict[str, dict[str, Any]]:
    config = families.FAMILIES["llama"]()
    config.num_hidden_layers, config.max_position_embeddings = 7, 256
    model = families.save(tmp_path_factory.mktemp("damage") / "deep", config)
    probe = {"methods": ["ridge"], "repeats": 1, "shuffles": 20, "bootstrap": 100}
    shared = {"size": "quick", "model": {"id": str(model)}}
    texts = tmp_path_factory.mktemp("texts") / "own.csv"
    rows = [f"text {i} {'yes' if i % 3 else 'no'},{i % 2},g{i // 4}" for i in range(48)]
    texts.write_text("\n".join(["text,label,group", *rows]))
    hierarchy = {"data": [str(texts)], "capture": {"batch_tokens": 64, "packing": "sorted"}, "probe": probe}
    questions = [tmp_path_factory.mktemp("questions") / name for name in ("first.jsonl", "second.jsonl")]
    for path in questions:
        rows = [{"question": f"{path.stem} {i}?", "choices": [f"a{i}", f"b {i}"], "answer": i % 2} for i in range(12)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    exits = {"data": [str(path) for path in questions], "probe": {"bootstrap": 100}, "settings": SETTINGS["exits"]}
    return {
        "exits": {"study": "exits", **shared, **exits, "capture": {"batch_tokens": 64}},
        "hierarchy": {"study": "hierarchy", **shared, **hierarchy},
        "segments": {"study": "segments", **shared, "settings": SETTINGS["segments"]},
    }


@pytest.fixture(scope="module")
def whole(atlas, specs, tmp_path_factory) -> Callable[[str], Path]:
    """A function that gives a study's undisturbed run, made once."""
    made: dict[str, Path] = {}

    def get(study: str) -> Path:
        if study not in made:
            made[study] = tmp_path_factory.mktemp("whole") / study
            assert atlas(made[study], spec=specs[study]).code == 0
        return made[study]

    return get


@pytest.fixture
def copy(whole, tmp_path) -> Callable[[str], Path]:
    return lambda study: Path(shutil.copytree(whole(study), tmp_path / study))


def files_of(folder: Path, kind: str) -> list[Path]:
    if kind == "tables":
        return sorted(folder.glob("*.parquet")) + sorted(folder.glob("*.safetensors"))
    files = [folder / kind] if (folder / kind).is_file() else sorted((folder / kind).iterdir())
    return [file for file in files if file.is_file()]


def stop_before(folder: Path, stage: str) -> None:
    """Make a finished run one that was killed before a stage was done; every part that it wrote is there."""
    from layeratlas.core.checksums import read_sealed, write_sealed

    manifest = read_sealed(folder / "run.json")
    names = list(manifest["stages"])
    for name in names[names.index(stage) :]:
        for output in manifest["stages"][name]["outputs"]:
            if "/" not in output and (folder / output).is_file():
                (folder / output).unlink()
        del manifest["stages"][name]
    write_sealed(folder / "run.json", manifest | {"status": "running"})


def same_tables(folder: Path, expected: Path) -> None:
    for table in expected.glob("*.parquet"):
        assert_frame_equal(
            pl.read_parquet(folder / table.name), pl.read_parquet(table), check_exact=True, check_row_order=True
        )
    assert json.loads((folder / "run.json").read_text())["status"] == "complete"


def harm(folder: Path, kind: str, damage: Damage) -> None:
    """Damage the middle file of a kind; what is to be swapped changes places with the file after it."""
    files = files_of(folder, kind)
    same_suffix = [file for file in files if file.suffix == files[len(files) // 2].suffix]
    path = same_suffix[len(same_suffix) // 2]
    damage(path, same_suffix[len(same_suffix) // 2 - 1])


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("study", KINDS)
def test_a_damaged_finished_run_is_repaired(atlas, specs, whole, copy, study, damage):
    # All kinds at once, since each is repaired by itself.
    folder = copy(study)
    for kind in KINDS[study]:
        harm(folder, kind, damage)
    assert atlas(folder, spec=specs[study]).code == 0
    same_tables(folder, whole(study))


@pytest.mark.parametrize("damage", MAIN_DAMAGES)
@pytest.mark.parametrize(("study", "stage"), [("hierarchy", "probe"), ("segments", "segment"), ("exits", "analyse")])
def test_a_damaged_half_finished_run_is_repaired(atlas, specs, whole, copy, study, stage, damage):
    folder = copy(study)
    stop_before(folder, stage)
    shutil.rmtree(folder / "scores", ignore_errors=True)
    for kind in KINDS[study]:
        if kind not in ("tables", "segments.json", "scores"):
            harm(folder, kind, damage)
    assert atlas(folder, spec=specs[study]).code == 0
    same_tables(folder, whole(study))


def rewrite_receipt(folder: Path, change: Callable[[list[int]], list[int]]) -> None:
    receipt = next(path for path in sorted((folder / "activations").glob("*.json")) if path.name != "manifest.json")
    record = json.loads(receipt.read_text())
    receipt.write_text(json.dumps(record | {"rows": change(record["rows"])}))


@pytest.mark.parametrize(
    "change",
    [lambda rows: [rows[1], rows[0], *rows[2:]], lambda rows: [rows[0], rows[0], *rows[2:]], lambda rows: rows[:1]],
)
def test_a_receipt_with_other_rows_is_not_believed(atlas, specs, whole, copy, change):
    folder = copy("hierarchy")
    stop_before(folder, "probe")
    shutil.rmtree(folder / "scores")
    rewrite_receipt(folder, change)
    assert atlas(folder, spec=specs["hierarchy"]).code == 0
    same_tables(folder, whole("hierarchy"))


@pytest.mark.parametrize("command", ["report", "claims", "compare"])
def test_a_table_that_the_run_did_not_write_is_refused_and_the_advice_works(
    atlas, specs, whole, copy, tmp_path, command
):
    folder = copy("hierarchy")
    table = pl.read_parquet(folder / "curves.parquet")
    table.with_columns(estimate=pl.lit(0.99)).write_parquet(folder / "curves.parquet")
    flags = (folder, whole("hierarchy"), "--out", tmp_path / "page") if command == "compare" else (folder,)
    line = the_line(atlas(command, *flags, page=True), 3)
    assert "curves.parquet' was changed or damaged after it was written" in line
    assert line.endswith("run the study again with the same --out, which recomputes it")
    assert atlas(folder, spec=specs["hierarchy"]).code == 0
    done: Done = atlas("claims", folder)
    assert (done.code, done.err) == (0, "")
    same_tables(folder, whole("hierarchy"))


def test_a_directory_with_files_in_a_tables_place_is_named_until_it_is_moved(atlas, specs, whole, copy):
    folder = copy("hierarchy")
    (folder / "findings.parquet").unlink()
    (folder / "findings.parquet").mkdir()
    (folder / "findings.parquet" / "mine").write_text("kept")
    done = atlas(folder, spec=specs["hierarchy"])
    assert "is a directory with files in it" in done.err
    assert (folder / "findings.parquet" / "mine").read_text() == "kept"
    shutil.move(folder / "findings.parquet", folder.with_name("mine"))
    assert atlas(folder, spec=specs["hierarchy"]).code == 0
    same_tables(folder, whole("hierarchy"))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("study", ["hierarchy", "exits"])
def test_a_damaged_manifest_is_made_anew(atlas, specs, whole, copy, study, damage):
    folder = copy(study)
    damage(folder / "run.json", folder / "findings.parquet")
    if damage is swap:
        shutil.copy(whole(study) / "findings.parquet", folder / "findings.parquet")
    done = atlas("claims", folder)
    assert (done.code, len(done.err.splitlines())) == (3, 1)
    assert atlas(folder, spec=specs[study]).code == 0
    same_tables(folder, whole(study))


@pytest.fixture(scope="module")
def shallow(specs, tmp_path_factory) -> dict[str, Any]:
    """The spec of a run of a smaller model, which a comparison reads first."""
    config = families.FAMILIES["llama"]()
    config.num_hidden_layers, config.max_position_embeddings = 4, 256
    model = families.save(tmp_path_factory.mktemp("other") / "shallow", config, seed=1)
    return specs["hierarchy"] | {"model": {"id": str(model)}}


@pytest.fixture(scope="module")
def pair(atlas, shallow, whole, tmp_path_factory) -> tuple[Path, Path]:
    """Runs of two models on the same texts, the smaller model's first."""
    folder = tmp_path_factory.mktemp("shallow") / "hierarchy"
    assert atlas(folder, spec=shallow).code == 0
    return folder, whole("hierarchy")


@pytest.fixture(scope="module")
def comparison(atlas, pair, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("comparison") / "out"
    assert atlas("compare", *pair, "--out", out, "--quiet").code == 0
    return out


@pytest.mark.parametrize("damage", MAIN_DAMAGES)
def test_a_damaged_comparison_is_refused_and_made_again(atlas, pair, comparison, tmp_path, damage):
    names = ["comparison.json", *sorted(path.name for path in comparison.glob("*.parquet"))]
    assert len(names) == 11
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        folder = Path(shutil.copytree(comparison, tmp_path / name))
        damage(folder / name, folder / other)
        line = the_line(atlas("report", folder, page=True), 3)
        assert f"{tmp_path / name}" in line
        assert line.endswith("compare the runs again with the same --out") or "run the same command again" in line
    folder = tmp_path / names[1]
    assert atlas("compare", *pair, "--out", folder, "--quiet").code == 0
    for name in names[1:]:
        assert_frame_equal(pl.read_parquet(folder / name), pl.read_parquet(comparison / name))


@pytest.mark.parametrize("damage", MAIN_DAMAGES)
def test_a_comparison_reads_no_damaged_items(atlas, shallow, pair, tmp_path, damage):
    first, second = (Path(shutil.copytree(folder, tmp_path / folder.parent.name)) for folder in pair)
    damage(first / "items" / "own.parquet", first / "curves.parquet")
    line = the_line(atlas("compare", first, second, "--out", tmp_path / "out", "--quiet"), 3)
    assert "was changed or damaged after it was written" in line
    assert atlas(first, spec=shallow).code == 0
    same_tables(first, pair[0])
    assert atlas("compare", first, second, "--out", tmp_path / "out", "--quiet").code == 0

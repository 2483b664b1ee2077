"""Position profiles: where each text can be read, and a label that is in the text from a known word on."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import chats
import families
import layeratlas as la
import planted_models
from layeratlas.core.spec import ModelSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.models import load
from layeratlas.studies.hierarchy.positions.places import LAST, MEAN, places_of
from layeratlas.studies.hierarchy.positions.stage import layers_of


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return planted_models.copying_model(tmp_path_factory.mktemp("planted") / "model")


def dataset(texts: list[str], **spans: list[tuple[int, int]]) -> Dataset:
    named = [{name: ends[i] for name, ends in spans.items()} for i in range(len(texts))]
    items = [Item(text, "ab"[i % 2], f"g{i}", spans=named[i]) for i, text in enumerate(texts)]
    return Dataset("own", "own", tuple(items))


def read(model, data: Dataset) -> dict[str, list[list[str]]]:
    """Return the tokens that are read at every place, text by text."""
    words = model.tokenizer.convert_ids_to_tokens
    return {
        place.name: [words([one.ids[i] for i in one.positions]) for one in place.readings]
        for place in places_of(model, data)
    }


def test_words_of_a_template_and_named_spans_are_read_where_they_are(planted):
    model = load(ModelSpec(id=str(planted)))
    texts = ["w1 warm is", "w2 cold is", "w3 warm is", "w4 cold is"]
    places = read(model, dataset(texts, name=[(3, 7)] * 4))
    assert list(places) == ["word 1 of 3", "span 'name'", "word 2 of 3", LAST, MEAN]
    assert places["span 'name'"] == places["word 2 of 3"] == [["warm"], ["cold"], ["warm"], ["cold"]]
    assert places[LAST] == [["is"]] * 4
    assert places[MEAN][1] == ["w2", "cold", "is"]


def test_places_are_in_the_order_of_the_text_and_a_span_up_to_its_end_is_not_before_it(planted):
    """Twelve words, since `word 10` is before `word 2` in the order of letters."""
    model = load(ModelSpec(id=str(planted)))
    texts = [f"w{i + 3} {'w1 ' * 8}{word} w2 is" for i, word in enumerate(("warm", "cold", "warm", "cold"))]
    data = dataset(texts, end=[(32, 37)] * 3 + [(35, 37)], early=[(0, 2)] * 4)
    places = {place.name: place for place in places_of(model, data)}
    words = [f"word {number} of 12" for number in range(1, 12)]
    assert list(places) == ["span 'early'", *words, "span 'end'", LAST, MEAN]
    assert [name for name, place in places.items() if not place.before] == ["span 'end'", LAST, MEAN]


def test_texts_of_other_lengths_are_read_from_the_end(planted):
    model = load(ModelSpec(id=str(planted)))
    places = read(model, dataset(["w1 warm is", "w2 w3 w4 cold is", "w3 warm is", "w4 w5 cold is"]))
    assert list(places) == ["token 2 before the last", "token 1 before the last", LAST, MEAN]
    assert places["token 2 before the last"] == [["w1"], ["w4"], ["w3"], ["w5"]]


def test_a_chat_is_read_in_the_text_and_at_the_ends_of_the_turn(tmp_path):
    folder = families.save(tmp_path / "model", families.FAMILIES["llama"]())
    chats.set_template(folder, chats.PLAIN)
    model = load(ModelSpec(id=str(folder), chat=True))
    data = dataset(["ab cd", "ef gh", "ij kl", "mn op"])
    places = {place.name: place for place in places_of(model, data)}
    assert list(places)[-4:] == [LAST, MEAN, "end of the turn", "before the answer"]
    last, turn, answer = (places[name].readings[0] for name in (LAST, "end of the turn", "before the answer"))
    assert last.positions[0] < turn.positions[0] == len(turn.ids) - 1
    assert answer.ids[: len(turn.ids)] == turn.ids
    assert len(answer.ids) > len(turn.ids)
    assert [place.before for place in list(places.values())[-4:]] == [False] * 4
    assert {place.before for place in list(places.values())[:-4]} == {True}


@pytest.mark.parametrize("labelled", [True, False])
def test_a_label_is_read_from_the_word_that_says_it_on_and_random_labels_nowhere(planted, tmp_path, labelled):
    rng = np.random.default_rng(2)
    rows = []
    for i in range(60):
        word = ("warm", "cold")[i % 2]
        label = word if labelled else "ab"[i // 2 % 2]
        before, after, last = rng.integers(24, size=3)
        rows.append(f"w{before} {word} w{after} w{last} is,{label},g{i}")
    (tmp_path / "own.csv").write_text("\n".join(["text,label,group", *rows]))
    run = la.run(
        "hierarchy", model=str(planted), size="quick", data=tmp_path / "own.csv", components="resid", probe="ridge",
        settings={"positions": True}, out=tmp_path / "run",
    )  # fmt: skip
    (found,) = run.findings.filter(finding="earlier place").to_dicts()
    table = pl.read_parquet(run.folder / "positions.parquet")
    if not labelled:
        assert found["verdict"] != "supported"
        return
    assert found["verdict"] == "supported"
    assert "first at word 2 of 5" in found["statement"]
    sure = {
        place: rows.filter(pl.col("lo") > pl.col("control_hi"))["layer"].to_list()
        for (place,), rows in table.group_by("place", maintain_order=True)
    }
    assert sure["word 1 of 5"] == []  # nothing said yet
    assert sure["word 2 of 5"] == [0, 1, 2, 3, 4, 5]  # its own word, from the embeddings on
    assert sure[LAST] == [2, 3, 4, 5]  # copied by block 1
    last = run.curves.filter(task="own", component="resid", metric="accuracy").sort("layer")
    assert table.filter(place=LAST)["estimate"].to_list() == pytest.approx(last["estimate"].to_list())
    assert "Where in the text?" in run.report_path.read_text(encoding="utf-8")


def test_at_most_sixteen_points_are_read_the_ends_among_them():
    assert layers_of(6).tolist() == [0, 1, 2, 3, 4, 5]
    assert len(layers_of(31)) == 16
    assert layers_of(81).tolist()[::15] == [0, 80]

"""With a chat, the model reads what its own template writes, token for token, at the place that was asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file

import chats
import families
import layeratlas as la
from layeratlas.capture import encode_answers
from layeratlas.capture.plan import chat_positions_of
from layeratlas.core.errors import ModelError, SpecError, StoreError
from layeratlas.core.spec import ModelSpec
from layeratlas.models import LoadedModel, load
from layeratlas.models.chat import DATE, Chat, Turn
from layeratlas.store import DiskStore

TEXT = "  A shop sells tea.\nTo whom? "
SYSTEM = "Be brief."


@pytest.fixture(scope="module")
def folder_with(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    @cache
    def get(template: str | None = chats.PLAIN, bos: bool = True) -> Path:
        return chats.save(tmp_path_factory.mktemp("chats") / "model", template, bos)

    return get


@pytest.fixture(scope="module")
def loaded_with(folder_with) -> Callable[..., LoadedModel]:
    @cache
    def get(template: str = chats.PLAIN, **settings: Any) -> LoadedModel:
        return load(ModelSpec(id=str(folder_with(template)), chat=True, **settings))

    return get


def chat_with(template: str, **settings: Any) -> Chat:
    """Return the chat of a tokenizer, without a model."""
    tokenizer = families.byte_tokenizer()
    tokenizer.chat_template = template
    return Chat(tokenizer, ModelSpec(id="model", chat=True, **settings))


def own_ids(model: LoadedModel, messages: list[dict[str, Any]], answer: bool = True) -> list[int]:
    """Return what transformers' own call gives."""
    ids = model.tokenizer.apply_chat_template(messages, tokenize=True, add_generation_prompt=answer, return_dict=True)
    return list(ids["input_ids"])


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


@pytest.mark.parametrize("answer", [False, True])
@pytest.mark.parametrize("system", [None, SYSTEM])
@pytest.mark.parametrize("template", [chats.PLAIN, chats.SPACED])
def test_a_text_is_what_the_template_makes_of_it(template: str, system: str | None, answer: bool, loaded_with) -> None:
    model = loaded_with(template, system=system)
    messages = ([{"role": "system", "content": system}] if system else []) + [user(TEXT)]
    framed = model.frame(TEXT, answer)
    assert list(framed.ids) == own_ids(model, messages, answer)
    # Control: the text alone is something else.
    assert list(framed.ids) != model.encode(TEXT)


@pytest.mark.parametrize("template", [chats.PLAIN, chats.SPACED])
def test_a_choice_follows_the_templates_own_tokens(template: str, loaded_with) -> None:
    model = loaded_with(template)
    turns = [Turn(role="user", text="2 + 2?"), Turn(role="assistant", text="4"), Turn(role="user", text="3 + 4?")]
    start = own_ids(model, [{"role": turn.role, "content": turn.text} for turn in turns])
    found = encode_answers(model, model.chat.render(turns, answer=True), [" 7", " seven"])
    space = {chats.PLAIN: "", chats.SPACED: " "}[template]
    for continuation, answer in zip(found, ("7", "seven"), strict=True):
        letters = model.tokenizer(space + answer, add_special_tokens=False)["input_ids"]
        assert list(continuation.ids) == start + letters
        assert continuation.start == len(start)
    # As the template itself writes an answer.
    reply = {"role": "assistant", "content": "seven"}
    messages = [{"role": turn.role, "content": turn.text} for turn in turns] + [reply]
    whole = own_ids(model, messages, answer=False)
    assert whole[: len(found[1].ids)] == list(found[1].ids)


def test_there_is_one_bos_where_the_template_writes_it_and_none_where_it_does_not(loaded_with) -> None:
    with_bos, without = loaded_with(chats.PLAIN), loaded_with(chats.SPACED)
    assert with_bos.frame(TEXT).ids.count(with_bos.tokenizer.bos_token_id) == 1
    assert without.frame(TEXT).ids.count(without.tokenizer.bos_token_id) == 0
    assert with_bos.info["bos"] == without.info["bos"] == "as the chat template writes it, none prepended"


@pytest.mark.parametrize(
    ("position", "read"),
    [("last", "?"), ("mean", "A shop sells tea.\nTo whom?"), ("span:goods", "tea"), ("turn", "\n"), ("answer", "\n")],
)
def test_each_position_is_where_it_says(position: str, read: str, loaded_with) -> None:
    model = loaded_with()
    framed = model.frame(TEXT, answer=position == "answer")
    start = TEXT.index("tea")
    places = chat_positions_of(position, framed.offsets, {"goods": (start, start + 3)})
    assert model.tokenizer.decode([framed.ids[place] for place in places]) == read
    if position in ("turn", "answer"):
        assert places == (len(framed.ids) - 1,)
        tail = model.tokenizer.decode(framed.ids)
        assert tail.endswith("</s>\n" if position == "turn" else "</s>\n<|assistant|>\n")


@pytest.mark.parametrize("position", ["last", "answer"])
def test_vectors_of_a_run_are_those_of_the_templates_own_tokens(position: str, folder_with, tmp_path: Path) -> None:
    texts = [f"{word} number {i}" for i in range(12) for word in ("warm", "cold")]
    labels = [text.split()[0] for text in texts]
    folder = folder_with()
    run = la.probe(
        texts, labels, model=str(folder), chat=True, system=SYSTEM, position=position, probe="ridge",
        components="resid", size="quick", shuffles=20, out=tmp_path / "run",
    )  # fmt: skip
    model = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "system", "content": SYSTEM}, user(texts[5])]
    ids = tokenizer.apply_chat_template(
        messages, tokenize=True, add_generation_prompt=position == "answer", return_dict=True
    )["input_ids"]
    place = len(ids) - 1 if position == "answer" else len(ids) - len("\n") - 2
    assert position == "answer" or tokenizer.decode([ids[place]]) == texts[5][-1]
    with torch.no_grad():
        states = model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
    store = DiskStore.open(run.folder / "activations")
    for layer in range(families.LAYERS):
        wanted = states[layer][0, place].numpy()
        assert np.allclose(store.read("resid", layer)[5], wanted, atol=1e-5)
        assert not np.allclose(store.read("resid", layer)[5], states[layer][0, place - 1].numpy(), atol=1e-2)
    manifest = json.loads((run.folder / "run.json").read_text())
    assert manifest["model"]["chat"] == {
        "template_sha256": hashlib.sha256(chats.PLAIN.encode()).hexdigest(), "system": SYSTEM, "options": {},
    }  # fmt: skip
    assert manifest["spec"]["model"]["chat_template"] == manifest["model"]["chat"]["template_sha256"]
    example = manifest["chat_example"]["rendered"]
    assert example.startswith(f"<s><|system|>\n{SYSTEM}</s>\n<|user|>\nwarm number 0</s>\n")
    page = run.report_path.read_text()
    assert "&lt;|user|&gt;\nwarm number 0&lt;/s&gt;" in page


def questions_file(folder: Path) -> tuple[Path, list[dict[str, Any]]]:
    rows = [
        {"question": f"{a} and {b}?", "choices": [str(a + b), str(a + b + 1)], "answer": 0}
        for a in range(2, 6)
        for b in range(2, 5)
    ]
    path = folder / "sums.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path, rows


@pytest.mark.parametrize("form", ["text", "letter", "free"])
def test_exits_score_the_choice_as_the_assistants_turn(form: str, folder_with, tmp_path: Path) -> None:
    data, rows = questions_file(tmp_path)
    folder = folder_with()
    run = la.run(
        "exits", model=str(folder), data=data, chat=True, size="quick", out=tmp_path / "run",
        settings={"shots": 0, "format": form},
    )  # fmt: skip
    scores = load_file(next(run.folder.rglob("*sums*.safetensors")))
    model = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    after, bare = [], []
    for row in rows:
        listed = "".join(f"\n{letter}. {choice}" for letter, choice in zip("AB", row["choices"], strict=True))
        asked = row["question"] + (listed if form == "letter" else "")
        for answer in "AB" if form == "letter" else row["choices"]:
            after.append(log_likelihood(model, tokenizer, asked, answer))
            bare.append(log_likelihood(model, tokenizer, "A:", answer))
    assert np.allclose(scores["after"][:, -1], after, atol=1e-3)
    assert np.allclose(scores["bare"][:, -1], bare, atol=1e-3)
    assert "one turn" not in run.report_path.read_text()


def log_likelihood(model: Any, tokenizer: Any, asked: str, answer: str) -> float:
    start = tokenizer.apply_chat_template([user(asked)], tokenize=True, add_generation_prompt=True, return_dict=True)
    rest = tokenizer(answer, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*start["input_ids"], *rest]])).logits[0].log_softmax(-1)
    first = len(start["input_ids"]) - 1
    return sum(float(logits[first + i, token]) for i, token in enumerate(rest))


def test_another_template_is_another_run(tmp_path: Path) -> None:
    data, _ = questions_file(tmp_path)
    folder = chats.save(tmp_path / "model")

    def run(out: str) -> str:
        finished = la.run("exits", model=str(folder), data=data, chat=True, size="quick", out=tmp_path / out)
        return str(json.loads((finished.folder / "run.json").read_text())["key"])

    first = run("one")
    assert run("two") == first  # the control: the same template
    chats.set_template(folder, chats.SPACED)
    with pytest.raises(StoreError, match="chat_template"):
        run("one")
    assert run("three") != first


def test_a_template_that_asks_for_the_date_is_told_the_same_one_on_any_day() -> None:
    chat = chat_with(chats.DATED)
    assert chat.render([Turn(role="user", text="tea")]).startswith(DATE.strftime("%d %b %Y"))
    assert chat.record()["date"] == "2024-07-26"
    assert "date" not in chat_with(chats.PLAIN).record()


def test_templates_that_take_typed_parts_get_them() -> None:
    assert chat_with(chats.BLOCKS).render([Turn(role="user", text="tea")], answer=True) == "user: teaassistant: "


def test_variables_reach_the_template() -> None:
    turns = [Turn(role="user", text="tea")]
    assert chat_with(chats.OPTIONAL, chat_options={"brief": True}).render(turns, answer=True).endswith("(brief) ")
    assert "(brief)" not in chat_with(chats.OPTIONAL).render(turns, answer=True)


def test_a_model_without_a_template_is_refused_in_one_line(folder_with) -> None:
    with pytest.raises(ModelError, match="has no chat template; expected a chat model; run without --chat") as caught:
        load(ModelSpec(id=str(folder_with(None)), chat=True))
    assert "\n" not in str(caught.value)


HOSTILE = {
    "attributes": "{{ messages.__class__.__mro__[1].__subclasses__() }}",
    "a function's globals": "{{ raise_exception.__globals__['os'].system('touch escaped') }}",
    "a changed message": "{% for m in messages %}{{ m.update({'content': 'x'}) }}{% endfor %}",
    "an import": "{% import 'os' as os %}{{ os }}",
    "a range without end": "{% for i in range(10 ** 12) %}x{% endfor %}",
    "recursion": "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "its own refusal": "{{ raise_exception('no such\nrole') }}",
    "no template at all": "{% for %}",
    "a text that is dropped": "{% for m in messages %}{{ m['role'] }}{% endfor %}",
    "a text that is changed": "{% for m in messages %}{{ m['content'] | upper }}{% endfor %}",
    "a text that is repeated": "{% for m in messages %}{{ m['content'] }} {{ m['content'] }}{% endfor %}",
}


@pytest.mark.parametrize("template", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_or_broken_template_ends_in_one_line(
    template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="the chat template of 'model'") as caught:
        chat_with(template)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert not list(tmp_path.iterdir())


def test_a_text_that_the_template_changes_is_refused_by_name() -> None:
    chat = chat_with(chats.PLAIN.replace("| trim", "| trim | replace('tea', 'coffee')"))
    assert chat.frame("a shop").ids  # the control
    with pytest.raises(ModelError, match="does not write the text 'a shop sells tea' once and as it is"):
        chat.frame("a shop sells tea")


@pytest.mark.parametrize(
    ("study", "options", "words"),
    [
        ("hierarchy", {"system": "x"}, "the option system is given without a chat; expected chat=True"),
        ("hierarchy", {"chat_options": {"a": 1}}, "the option chat_options is given without a chat"),
        ("hierarchy", {"chat": True, "bos": "never"}, "bos=never with a chat"),
        ("hierarchy", {"position": "answer"}, "the position 'answer' is one of a chat"),
        ("segments", {"chat": True}, "the study 'segments' does not use the option 'chat'"),
    ],
)
def test_what_does_not_fit_a_chat_is_refused(study: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        la.run(study, model="some/model", **options)


def test_statements_to_complete_are_no_chat(folder_with, tmp_path: Path) -> None:
    data, _ = questions_file(tmp_path)
    with pytest.raises(SpecError, match="the format cloze in a chat"):
        la.run(
            "exits", model=str(folder_with()), data=data, chat=True, out=tmp_path / "run", settings={"format": "cloze"}
        )

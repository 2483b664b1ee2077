"""Tokenizers with chat templates, and tiny models that go with them."""

from __future__ import annotations

from pathlib import Path

import transformers as hf

import families

# With BOS, a system turn, marks around turns; the content is trimmed, as many templates do.
PLAIN = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] | trim }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
# An answer is one space away from where it begins, and there is no BOS.
SPACED = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %} {{ m['content'] }}</s>"
    "{% else %}[INST] {{ m['content'] }} [/INST]{% endif %}{% endfor %}"
)
# Multimodal models take a list of typed parts.
BLOCKS = (
    "{% for m in messages %}{{ m['role'] }}: {% for c in m['content'] %}{{ c['text'] }}{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
DATED = "{{ strftime_now('%d %b %Y') }} " + PLAIN
OPTIONAL = PLAIN + "{% if brief is defined and brief %}(brief) {% endif %}"


def save(folder: Path, template: str | None = PLAIN, bos: bool = True) -> Path:
    """Write a tiny random Llama whose tokenizer has a chat template (or none) to `folder`, ready for `load`."""
    config = hf.LlamaConfig(**{**families.LLAMA, "max_position_embeddings": 512})
    families.save(folder, config, bos=bos)
    tokenizer = families.byte_tokenizer(bos)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


def set_template(folder: Path, template: str) -> None:
    """Give the tokenizer of a saved model another chat template."""
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)

"""The specification of a run: frozen specs whose content hash identifies the run."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from layeratlas.core.errors import SpecError, at_fault, unknown_name
from layeratlas.core.fields import accepted, takes_only_numbers

Component = Literal["resid", "attn", "mlp"]
Size = Literal["quick", "standard", "full"]
COMPONENTS: tuple[Component, ...] = ("resid", "attn", "mlp")
DEFAULT_MODEL = "smollm2-135m"


class Spec(BaseModel):
    """Frozen settings with a content hash; the base of a study's own settings.

    Raises SpecError, in one line, for an unknown name or a value that a field does not take. `noun` is the word for a
    field in error messages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    noun: ClassVar[str] = "setting"

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            with at_fault(*error.errors()[0]["loc"]):
                raise _misfit(type(self), error) from None

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number is meant, which pydantic would take for 1 and 0."""
        given = value if isinstance(value, list | tuple) else (value,)
        name = str(info.field_name)
        if any(isinstance(each, bool) for each in given) and takes_only_numbers(cls.model_fields[name].annotation):
            raise ValueError("a truth value is no number")
        return value

    def content_hash(self) -> str:
        """Return 16 hex digits that change with any field of the run's identity."""
        return hash_of(self.model_dump(mode="json"))


def _misfit(kind: type[Spec], error: ValidationError) -> SpecError:
    """Return the first problem of a spec in one line."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if name not in kind.model_fields:
        return unknown_name(kind.noun, name, kind.model_fields)
    field = kind.model_fields[name]
    meaning = f" ({field.description})" if field.description else ""
    value = repr(first["input"])
    shown = value if len(value) <= 60 else f"{value[:57]}..."
    return SpecError(f"the {kind.noun} {name}={shown} is invalid", f"{accepted(field)}{meaning}")


def check_size(name: str) -> Size:
    """Return the size of that name; a misspelt one raises SpecError."""
    for size in get_args(Size):
        if name == size:
            known: Size = size
            return known
    raise unknown_name("size", name, get_args(Size))


def check_component(name: str) -> Component:
    """Return the component of that name; a misspelt one raises SpecError."""
    for component in COMPONENTS:
        if name == component:
            return component
    raise unknown_name("component", name, COMPONENTS)


def hash_of(value: Any) -> str:
    """Return 16 hex digits of the SHA-256 of a JSON value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


class ModelSpec(Spec):
    """Which model, and how its forward pass is computed.

    `weights`, `parallel` and `memory` say where weights are kept. They change no number beyond rounding, so they are
    not part of a run's identity.
    """

    noun = "option"

    id: str = Field(
        default=DEFAULT_MODEL,
        description="a Hugging Face hub id, a local directory, a .gguf file or a built-in alias",
    )
    revision: str | None = Field(default=None, description="revision of a hub model")
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = Field(
        default="float32", description="dtype of the weights; auto is bfloat16 on a device that gains by it"
    )
    attention: Literal["sdpa", "eager"] = Field(default="sdpa", description="attention kernel")
    device: str = Field(default="auto", description="auto, cpu, cuda, mps, xpu or cuda:N")
    bos: Literal["auto", "never", "tokenizer"] = Field(
        default="auto",
        description="auto prepends one BOS token where the tokenizer has one, tokenizer where it does so itself",
    )
    trust_remote_code: bool = Field(default=False, description="run Python code from the model's repository")
    adapter: str | None = Field(
        default=None, description="directory of a PEFT adapter that is merged into the weights (needs the package peft)"
    )
    chat: bool = Field(
        default=False, description="texts and questions are the user's turn of a chat in the model's own template"
    )
    system: str | None = Field(default=None, description="system prompt of the chat")
    chat_options: dict[str, Any] = Field(default={}, description="variables of the chat template by name")
    chat_template: str | None = Field(
        default=None, description="SHA-256 that the chat template must have; a run fills it in when it begins"
    )
    weights: Literal["resident", "streamed", "auto", "remote"] = Field(
        default="auto",
        exclude=True,
        description="streamed holds a few blocks in memory at a time, auto streams a model that does not fit, remote "
        "reads the residual stream from NDIF",
    )
    parallel: int = Field(
        default=1, ge=1, exclude=True, description="processes that share the weights between them, one per device"
    )
    memory: float | None = Field(
        default=None, gt=0, exclude=True, description="GB of memory that the model may take, by default the free memory"
    )

    def model_post_init(self, context: Any) -> None:
        """Raise SpecError if chat options are given without a chat, or if the BOS policy is not the template's."""
        given = [name for name in ("system", "chat_options", "chat_template") if getattr(self, name) not in (None, {})]
        if given and not self.chat:
            raise SpecError(f"the option {given[0]} is given without a chat", "chat=True (--chat)", "leave it out")
        if self.chat and self.bos != "auto":
            raise SpecError(f"bos={self.bos} with a chat", "bos=auto: the template writes BOS itself", "leave it out")


class CaptureSpec(Spec):
    """Which activations are kept."""

    noun = "option"

    components: tuple[Component, ...] = Field(default=COMPONENTS, min_length=1, description="which activations")
    position: str = Field(
        default="last",
        pattern=r"^(last|mean|turn|answer|span:[A-Za-z0-9_]+)$",
        description="where each text is read: its last token, the mean of its tokens without position 0, or the mean "
        "of a span that the data set names; in a chat also turn, the last token of the user's turn, or answer, the "
        "last token before the model's answer",
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(default="float32", description="dtype on disk")
    batch_tokens: int = Field(default=2048, ge=1, description="tokens of one forward pass")
    packing: Literal["auto", "sorted"] = Field(
        default="auto",
        description="auto computes shared prefixes once where the model allows it, sorted is batches of equal length",
    )
    precision: Literal["exact", "fast"] = Field(
        default="exact",
        description="exact, or fast: matrix products are rounded where that is faster here and changes little "
        "in a sample of the run's texts",
    )


class ProbeSpec(Spec):
    """How activations are probed, and how often the bootstrap draws."""

    noun = "option"

    methods: tuple[str, ...] = Field(default=("ridge", "svm"), min_length=1, description="names of probes")
    folds: int = Field(default=5, ge=2, description="folds of the grouped cross-validation")
    repeats: int = Field(default=5, ge=1, description="repeats of the cross-validation")
    shuffles: int = Field(default=100, ge=20, description="label shuffles for the control")
    bootstrap: int = Field(default=1000, ge=100, description="bootstrap draws over groups")
    svm_c: float = Field(default=1.0, gt=0, description="the SVM's C, the same at every layer")
    penalties: tuple[float, ...] = Field(
        default=tuple(10.0**k for k in range(7)), min_length=1, description="the penalties that ridge chooses from"
    )
    pca: int | None = Field(
        default=None, ge=1, description="principal components that probes see, by default all features"
    )


class RunSpec(Spec):
    """Everything that decides a run's numbers; `settings` are checked by `Study.settings`."""

    noun = "option"

    study: str = Field(default="hierarchy", description="name of the study")
    size: Size = Field(default="standard", description="how many texts")
    tasks: tuple[str, ...] = Field(default=(), description="names of tasks, by default the study's own")
    data: tuple[str, ...] = Field(default=(), description="paths of your own texts")
    bad_rows: Literal["refuse", "drop"] = Field(
        default="refuse", description="what happens to malformed rows of your own texts"
    )
    label_kind: Literal["auto", "classes", "numbers"] = Field(
        default="auto",
        description="what the labels of your own texts are; auto takes many different numbers as numbers",
    )
    model: ModelSpec = ModelSpec()
    capture: CaptureSpec = CaptureSpec()
    probe: ProbeSpec = ProbeSpec()
    settings: dict[str, Any] = Field(default={}, description="the study's own settings by name")
    seed: int = Field(default=0, ge=0, lt=2**32, description="seed of folds, shuffles and bootstrap draws")

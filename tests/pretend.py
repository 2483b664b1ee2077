"""A pretend device for tests: tensors that compute on the CPU and obey the rules of a GPU.

All tensors of an operation lie on one device (tensors without dimensions, and indices, may lie on the CPU); no tensor
turns into a numpy array by itself; the values of a copy to the CPU that does not block are NaN until the device is
synchronised. So are those of a copy to the device on a stream beside its own, until that stream is synchronised. They
stay NaN if the stream did not wait for the device's own after the target was made: its memory may have been in use.
It is torch's private-use device with a backend in Python, which is experimental in torch 2.13: `register` says what of
it is used. `auto` finds the device only inside `here()`.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretend"
aten = torch.ops.aten
# Operations whose index tensors may lie on the CPU while the values do not.
_INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._unsafe_index.Tensor}
_CROSSES = {aten.copy_.default, aten._copy_from.default, aten._copy_from_and_resize.default}
# Copies that have not arrived: the target, the values, and the stream, None for the device's own.
_pending: list[tuple[torch.Tensor, torch.Tensor, Any]] = []
_lock, _made, _thread = threading.Lock(), itertools.count(), threading.local()
_state: dict[str, Any] = {"here": False, "float64": True, "registered": None}


class PretendTensor(torch.Tensor):
    """A tensor on the pretend device; its values are a CPU tensor, `values`."""

    values: torch.Tensor

    @staticmethod
    def __new__(cls, values: torch.Tensor) -> PretendTensor:
        return torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined, no-any-return]
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=torch.device(NAME, 0),
        )

    def __init__(self, values: torch.Tensor) -> None:
        self.values, self.made = values, next(_made)

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[attr-defined]

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"PretendTensor({self.values})"

    def untyped_storage(self) -> Any:
        """Return the storage of the values, so that two tensors can be seen to share one."""
        return self.values.untyped_storage()

    def tolist(self) -> Any:
        synchronize()
        return self.values.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # A view of a tensor from outside inference mode must not be an inference tensor, nor need any be one here.
        with torch.inference_mode(False), torch.no_grad():
            # Inference mode hands over operations that are made of others; the rules hold for those.
            parts = func.decompose(*args, **(kwargs or {}))
            return cls._computed(func, args, dict(kwargs or {})) if parts is NotImplemented else parts

    @classmethod
    def _computed(cls, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if func is aten._fused_sdp_choice.default:
            return 0  # the plain product: the fused kernels of a CPU have other names
        if func in _CROSSES:
            return _copy(func, *args, **kwargs)
        if func is aten._to_copy.default:
            return _moved(*args, **kwargs)
        if func is aten._local_scalar_dense.default:
            synchronize()
        if func is aten.histc.default and not args[0].is_floating_point():
            return aten.histc.default(args[0].float(), *args[1:], **kwargs).to(args[0].dtype)  # a CPU refuses integers
        _check(func, args, kwargs)
        target = kwargs.get("device")
        if target is not None:
            kwargs["device"] = torch.device("cpu")
        kwargs.pop("pin_memory", None)
        raw = func(*tree_map(_raw, args), **tree_map(_raw, kwargs))
        if target is not None and torch.device(target).type != NAME:
            return raw
        known = {id(t.values): t for t in _tensors((args, kwargs)) if isinstance(t, PretendTensor)}
        return tree_map(lambda t: _wrapped(t, known), raw)


def _raw(value: Any) -> Any:
    return value.values if isinstance(value, PretendTensor) else value


def _wrapped(value: Any, known: dict[int, PretendTensor]) -> Any:
    """Return a result on the device: the tensor given, where the operation worked in place."""
    if not isinstance(value, torch.Tensor):
        return value
    return known[id(value)] if id(value) in known else _placed(value)


def _tensors(tree: Any) -> Iterator[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, dict):
        yield from _tensors(list(tree.values()))
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from _tensors(value)


def _check(func: Any, args: Any, kwargs: Any) -> None:
    """Raise RuntimeError, as a GPU's operations do, where a tensor lies on the CPU that must not."""
    free = list(_tensors(args[1])) if func in _INDEXED and not isinstance(args[0], PretendTensor) else []
    if free:
        raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
    allowed = {id(index) for index in _tensors(args[1])} if func in _INDEXED else set()
    for tensor in _tensors((args, kwargs)):
        if not isinstance(tensor, PretendTensor) and tensor.dim() and id(tensor) not in allowed:
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two, {NAME}:0 and cpu! ({func})"
            )


def _nothing(like: torch.Tensor) -> torch.Tensor:
    """Return what memory holds before a copy has come: NaN, or a number that no index should be."""
    if like.dtype == torch.bool:
        return torch.zeros_like(like)
    value = float("nan") if like.is_floating_point() or like.is_complex() else torch.iinfo(like.dtype).max
    return torch.full_like(like, value)


def _moved(value: Any, **kwargs: Any) -> torch.Tensor:
    """Return a copy of another dtype or device; to the CPU, without its values yet where the copy does not block."""
    target = torch.device(kwargs.pop("device", None) or NAME)
    waits = not kwargs.pop("non_blocking", False)
    kwargs.pop("pin_memory", None)
    raw = aten._to_copy.default(_raw(value), **kwargs)
    if target.type == NAME:
        return _placed(raw)
    if waits:
        synchronize()
        return raw
    late = _nothing(raw)
    _wait_for(late, raw, None)
    return late


def _copy(func: Any, first: Any, second: Any, non_blocking: bool = False, **kwargs: Any) -> Any:
    """Copy between devices: into `first` for `copy_`, into `second` for the backend's own."""
    into, source = (first, second) if func is aten.copy_.default else (second, first)
    stream = getattr(_thread, "stream", None)
    if stream is not None and isinstance(into, PretendTensor) and non_blocking:
        late = _nothing(into.values)
        _wait_for(into.values, _raw(source) if into.made < stream.waited else late, stream)
        into.values.copy_(late)
    elif isinstance(into, PretendTensor) or not non_blocking:
        if not isinstance(into, PretendTensor):
            synchronize()
        into_raw = _raw(into)
        into_raw.copy_(_raw(source))
    else:
        _wait_for(into, _raw(source).to(into.dtype, copy=True), None)
        into.copy_(_nothing(into))
    return into


def _wait_for(into: torch.Tensor, values: torch.Tensor, stream: Any) -> None:
    with _lock:
        _pending.append((into, values, stream))


def synchronize(device: Any = None, stream: Any = None) -> None:
    """Let every copy of a stream, that of the device by default, arrive."""
    with _lock:
        for into, values, of in list(_pending):
            if of is stream:
                into.copy_(values)
        _pending[:] = [entry for entry in _pending if entry[2] is not stream]


class Stream:
    """A stream beside the device's own."""

    def __init__(self, device: Any = None) -> None:
        self.waited = 0

    def wait_stream(self, other: Any) -> None:
        self.waited = next(_made)

    def synchronize(self) -> None:
        synchronize(stream=self)


class _Own:
    """The device's own stream."""

    synchronize = staticmethod(synchronize)


class _Hooks(torch._C._acc.PrivateUse1Hooks):  # type: ignore[name-defined, misc]
    def is_available(self) -> bool:
        return _state["here"]

    def has_primary_context(self, device: int) -> bool:
        return _state["here"]

    def is_built(self) -> bool:
        return True


class _Module:
    """What torch asks of a device's module, as of torch.cuda."""

    synchronize = staticmethod(synchronize)
    Stream = Stream

    @contextlib.contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        _thread.stream = stream
        try:
            yield
        finally:
            _thread.stream = None

    def current_stream(self, device: Any = None) -> _Own:
        return _Own()

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return _state["here"]

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return int(_state["here"])

    def mem_get_info(self, device: Any = None) -> tuple[int, int]:
        return 8 * 10**9, 16 * 10**9

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        torch.default_generator.manual_seed(seed)


def _placed(values: torch.Tensor) -> PretendTensor:
    """Return values on the device. Raises TypeError for a dtype that it does not have."""
    if values.dtype == torch.float64 and not _state["float64"]:
        raise TypeError("Cannot convert a tensor of the pretend device to float64 dtype, which it does not have")
    return PretendTensor(values)


def _empty(size: Any, **kwargs: Any) -> torch.Tensor:
    return _placed(_nothing(torch.empty(size, dtype=kwargs.get("dtype"))))


def _empty_strided(size: Any, stride: Any, **kwargs: Any) -> torch.Tensor:
    return _placed(torch.empty_strided(size, stride, dtype=kwargs.get("dtype")))


def register() -> None:
    """Register the device with torch, once per process: its name, factories, and copies from the CPU."""
    if _state["registered"]:
        return
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Module(), hook=_Hooks())
    library = torch.library.Library("aten", "IMPL")
    library.impl("empty.memory_format", _empty, "PrivateUse1")
    library.impl("empty_strided", _empty_strided, "PrivateUse1")
    library.impl("_copy_from", lambda *a, **k: _copy(aten._copy_from.default, *a, **k), "PrivateUse1")
    _state["registered"] = library  # what is registered lasts as long as this


@contextlib.contextmanager
def here(float64: bool = True) -> Iterator[torch.device]:
    """Make the device one that this machine has; without `float64` it refuses that dtype, as mps does."""
    register()
    _state.update(here=True, float64=float64)
    try:
        yield torch.device(NAME)
    finally:
        _pending.clear()
        _state.update(here=False, float64=True)

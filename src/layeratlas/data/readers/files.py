"""Reads the bytes and the text of a user's file: size limits, gzip, encodings and line ends, for all readers."""

from __future__ import annotations

import codecs
import re
import stat
import zlib
from pathlib import Path

from layeratlas.core.errors import DataError

MOST_BYTES = 2**30
# Text rarely compresses more than twentyfold; a small file that expands to gigabytes is not text.
MOST_EXPANSION = 200
_ALWAYS_ALLOWED = 2**26
_CHUNK = 2**20
_GZIP = b"\x1f\x8b"
# UTF-32 comes first, because its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LINE_END = re.compile(r"\r\n|\n|\r")


def shown(path: str | Path) -> str:
    """Return a path in quotes, on one line; bytes that are not UTF-8 are escaped."""
    text = str(path)
    return f"'{text}'" if text.isprintable() else ascii(text)


def resolved(path: str | Path) -> Path:
    """Return a path with `~` expanded if the user exists; raises DataError for names that are not UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise DataError(f"the file name {str(path)!a} is not UTF-8", "", "rename the file") from None
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def is_file(path: Path) -> bool:
    """Tell whether a path is a regular file; False for impossible file names."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def kind_of(path: Path) -> str:
    """Return the suffix that identifies a file's format, without `.gz`, in lower case."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")


def stem_of(path: Path) -> str:
    """Return a file's name without the suffix of its format and without `.gz`."""
    name = path.name[: -len(".gz")] if path.name.lower().endswith(".gz") else path.name
    return Path(name).stem


def read_bytes(path: Path, expected: str) -> bytes:
    """Return the bytes of a file, decompressed if it is gzip; raises DataError if it cannot be read."""
    if not is_file(path):
        raise DataError(f"{shown(path)} does not exist", expected, "check the path")
    try:
        size = path.stat().st_size
        if stat.S_ISREG(path.stat().st_mode) and size > MOST_BYTES:
            raise _too_large(path, f"has {size / 1e9:.1f} GB", MOST_BYTES)
        raw = path.read_bytes()
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise DataError(f"{shown(path)} cannot be read ({reason})", expected, "check the file") from error
    return _decompressed(raw, path) if raw[:2] == _GZIP else raw


def _too_large(path: Path, problem: str, most: int) -> DataError:
    return DataError(f"{shown(path)} {problem}", f"at most {most / 1e6:,.0f} MB of text", "split the file")


def _decompressed(raw: bytes, path: Path) -> bytes:
    """Decompress every gzip member, and stop as soon as the output is larger than any text would be."""
    out = bytearray()
    limit = min(MOST_BYTES, max(_ALWAYS_ALLOWED, MOST_EXPANSION * len(raw)))
    try:
        while raw:
            member = zlib.decompressobj(wbits=31)
            pending = raw
            while not member.eof:
                out += member.decompress(pending, _CHUNK)
                if len(out) > limit:
                    raise _too_large(path, f"expands from {len(raw) / 1e6:.1f} MB to more than that", limit)
                if not member.eof and not member.unconsumed_tail:
                    raise zlib.error("it is cut short")
                pending = member.unconsumed_tail
            raw = member.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise DataError(f"{shown(path)} cannot be read ({error})", "a whole gzip file", "fetch it again") from error
    return bytes(out)


def decode(raw: bytes, path: Path) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with a byte order mark."""
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(encoding)
    except UnicodeError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{shown(path)} cannot be read ({reason})", "text in UTF-8", "convert it") from error
    if "\0" in text:
        raise DataError(f"{shown(path)} has zero bytes", "text in UTF-8, or UTF-16 with a BOM", "convert it")
    return text


def read_text(path: Path, expected: str) -> str:
    """Return the text of a file, plain or gzip, in UTF-8 or UTF-16; raises DataError if it cannot be read."""
    return decode(read_bytes(path, expected), path)


def lines_of(text: str) -> list[str]:
    r"""Return the lines of a text. `\n`, `\r\n` and `\r` end a line; other separators, such as U+2028, are text."""
    return _LINE_END.split(text)

"""How a CSV file is written: told by its first lines, and its encoding by all of it."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import fsspec

from kedro_mlops.contract.text_files import DAMAGED, BadFileError

SEPARATORS = (",", ";", "\t", "|")
QUOTES = ('"', None)
HEAD_BYTES = 2**18
BLOCK_BYTES = 2**20
# the first that fits; any byte is one of the last
ENCODINGS = ("utf-8", "cp1252", "latin-1")
# what compressed files begin with, whatever they are called
COMPRESSIONS = {b"PK\x03\x04": "zip", b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ": "xz"}
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
# all of the head may be one cell, where the module lets none be longer than half of it
csv.field_size_limit(max(HEAD_BYTES, csv.field_size_limit()))


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Attributes:
        separator: What stands between two cells.
        quote: What stands around a cell, if anything does.
        encoding: By which bytes are text.
        compression: How the file is compressed, if it is.
        header: The cells of its first line.
    """

    separator: str
    quote: str | None
    encoding: str
    compression: str | None
    header: tuple[str, ...]

    @property
    def has_names(self) -> bool:
        """Whether the first line may be names: it is not if all of it is numbers, and no count."""
        counted = [str(number) for number in range(len(self.header))]
        said = [cell for cell in self.header if cell]
        return list(self.header) == counted or not all(map(_NUMBER.fullmatch, said))

    def load_args(self, suffix: str) -> dict[str, Any]:
        """What a catalog has to say, of a file of that suffix, to ``CSVTextDataset``."""
        usual = {
            "sep": ",",
            "quotechar": '"',
            "encoding": "utf-8",
            "compression": _SUFFIXES.get(suffix),
        }
        said = {
            "sep": self.separator, "quotechar": self.quote, "encoding": self.encoding,
            "compression": self.compression,
        }  # fmt: skip
        return {name: value for name, value in said.items() if value != usual[name]}


_SUFFIXES = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zip": "zip"}


def dialect_of(path: Path) -> Dialect:
    """Find out how a file is written.

    Raises:
        BadFileError: if it is damaged.
    """
    with path.open("rb") as file:
        start = file.read(8)
    compression = next((c for mark, c in COMPRESSIONS.items() if start.startswith(mark)), None)
    try:
        encoding = _encoding(path, compression)
        head = next(_blocks(path, compression, HEAD_BYTES), b"")
    except DAMAGED as error:
        raise BadFileError(f"{path} is damaged: {error}.") from error
    text = codecs.getincrementaldecoder(encoding)().decode(head).removeprefix("\ufeff")
    # the last line may be cut
    lines = list(io.StringIO(text[: text.rfind("\n") + 1] or text, newline=""))
    separator, quote = max(product(SEPARATORS, QUOTES), key=lambda marks: _fit(lines, *marks))
    header = next(_cells(lines, separator, quote), [])
    return Dialect(separator, quote, encoding, compression, tuple(header))


def _encoding(path: Path, compression: str | None) -> str:
    head = next(_blocks(path, compression, HEAD_BYTES), b"")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head.count(b"\0") > len(head) / 4:
        return "utf-16-le" if head[1:2] == b"\0" else "utf-16-be"
    return next(name for name in ENCODINGS if _is_encoded(path, compression, name))


def _is_encoded(path: Path, compression: str | None, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in _blocks(path, compression, BLOCK_BYTES):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _blocks(path: Path, compression: str | None, n_bytes: int) -> Iterator[bytes]:
    with fsspec.open(str(path), "rb", compression=compression) as file:
        while block := file.read(n_bytes):
            yield block


def _cells(lines: list[str], separator: str, quote: str | None) -> Iterator[list[str]]:
    rows = (
        csv.reader(lines, delimiter=separator, quotechar=quote)
        if quote
        else csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE)
    )
    return (cells for cells in rows if cells)


def _fit(lines: list[str], separator: str, quote: str | None) -> tuple[bool, float, int]:
    """Whether there is more than one column, the share of lines that fit, and how many columns."""
    widths = [len(cells) for cells in _cells(lines, separator, quote)] or [0]
    return widths[0] > 1, sum(width == widths[0] for width in widths) / len(widths), widths[0]

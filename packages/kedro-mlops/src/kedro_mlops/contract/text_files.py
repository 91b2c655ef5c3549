"""Files of text as they come: opened; or it is told in words why they cannot be, and what to do."""

import codecs
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import PurePath
from typing import Any

import pyarrow as pa
from fsspec.core import OpenFile
from kedro.io import DatasetError

from kedro_mlops.core.errors import BadDataError

HEAD_BYTES, CHUNK_BYTES = 4096, 2**18
MAX_ROW_BYTES = 2**20
WORKBOOK = "an Excel workbook; save it as CSV"
IN_WORKBOOKS = rb"xl/|docProps/|\[Content_Types\]"


def _argument(name: str, value: str | None) -> str:
    told = "null" if value is None else f'"{value}"'
    return f"`load_args: {{ {name}: {told} }}` in the catalog"


# what files begin with that are no text
SIGNATURES = {
    b"PK\x03\x04": f"a zip archive; say {_argument('compression', 'zip')}",
    b"\x1f\x8b": f"compressed; say {_argument('compression', 'gzip')}",
    b"BZh": f"compressed; say {_argument('compression', 'bz2')}",
    b"\xfd7zXZ": f"compressed; say {_argument('compression', 'xz')}",
    b"PAR1": "Parquet; say `type: pandas.ParquetDataset` in the catalog",
    b"\xd0\xcf\x11\xe0": WORKBOOK,
    codecs.BOM_UTF16_LE: f"UTF-16; say {_argument('encoding', 'utf-16')}",
    codecs.BOM_UTF16_BE: f"UTF-16; say {_argument('encoding', 'utf-16')}",
}
USUAL_ENCODINGS = ("utf-8", "cp1252", "latin-1")
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)
TEXT_FILES = {".csv", ".tsv", ".psv", ".tab", ".txt"}


def is_text_file(path: PurePath) -> bool:
    """Whether a file's name, which may say a compression, too, is one of CSV files."""
    suffixes = {suffix.lower() for suffix in path.suffixes[-2:]}
    return bool(suffixes & TEXT_FILES) and not path.name.startswith((".", "_"))


class BadFileError(BadDataError, DatasetError):
    """A file that cannot be read as the table that it is said to be."""


@dataclass(frozen=True)
class TextFile:
    """A file of text.

    Attributes:
        fs: The filesystem that it is on.
        path: Where it is there.
        encoding: By which bytes are said to be text.
        quote: What stands around a cell, if anything does.
        compression: How it is said to be compressed.
    """

    fs: Any
    path: PurePath
    encoding: str = "utf-8"
    quote: str | None = '"'
    compression: str | None = "infer"

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """The file, to be read.

        Raises:
            BadFileError: if it is empty, damaged, no text, of another encoding, or no CSV; also for
                what its reader then says of it.
        """
        try:
            self._refuse_what_is_no_text()
            with self._open() as file:
                yield file
        except DAMAGED as error:
            raise self.refusal(f"is damaged: {error}") from error
        except UnicodeError as error:
            raise self._of_another_encoding() from error
        except pa.ArrowInvalid as error:
            raise self._explained(str(error)) from error

    def refusal(self, what: str) -> BadFileError:
        """What to raise if the file cannot be read, in words that follow its path."""
        return BadFileError(f"{self.path} {what}.")

    def without_end(self, said: str = "a quote is not closed") -> BadFileError:
        """What to raise if a row is too long, or a quote is never closed: the line is named.

        Args:
            said: What is known if there is no such line.
        """
        long, quoted = self._unended()
        if long:
            return self.refusal(
                f"has a row in line {long:,} that is longer than the {MAX_ROW_BYTES:,} bytes that "
                "one may have. Shorten that line, or take it out"
            )
        if quoted:
            return self.refusal(
                f"has a quote in line {quoted:,} that is not closed, or not within the "
                f"{MAX_ROW_BYTES:,} bytes that a row may have. Mend that line; or, where quotes "
                f"are characters like others, say {_argument('quotechar', None)}"
            )
        return self.refusal(f"cannot be read as CSV: {said}")

    def _refuse_what_is_no_text(self) -> None:
        opened = self._open()
        if opened.compression == "zip":
            with self.fs.open(str(self.path)) as file:
                members = zipfile.ZipFile(file).namelist()
            if len(members) > 1:
                raise self.refusal(f"holds several files: {', '.join(members)}")
        with opened as file:
            head = file.read(HEAD_BYTES)
        if not head.strip():
            raise self.refusal("is empty")
        encoding, marks = self.encoding.lower(), (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        is_wide = encoding.startswith(("utf-16", "utf-32"))
        if is_wide and (encoding != "utf-16" or head.startswith(marks)):
            return
        for signature, what in SIGNATURES.items():
            if head.startswith(signature):
                raise self.refusal(f"is {WORKBOOK if re.search(IN_WORKBOOKS, head) else what}")
        header, _, _ = head.partition(b"\n")
        if header.count(b"\0") > len(header) / 4:
            order = "le" if header.startswith(b"\0", 1) else "be"
            raise self.refusal(f"is UTF-16; say {_argument('encoding', f'utf-16-{order}')}")
        if b"\0" in header:
            raise self.refusal("is no text")

    def _explained(self, error: str) -> BadFileError:
        if found := re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", error):
            number, expected, actual = map(int, found.groups())
            return self.refusal(
                f"has no rows in its first {number:,} lines: its header has {expected} cells, "
                f"line {number:,} has {actual}. Put a name for each cell into the header"
            )
        if "UTF8" in error:
            return self._of_another_encoding()
        # what follows would quote the file
        said = error.partition(": ")[0]
        if "block" in error:  # of the reader, in which a row has no room
            return self.without_end(said)
        return self.refusal(f"cannot be read as CSV: {said}")

    def _of_another_encoding(self) -> BadFileError:
        encoding = self.encoding
        place = self._undecodable(encoding) or "it cannot be decoded"
        # text of one byte or several for each character has no zeros
        has_zeros = any(b"\0" in chunk for chunk in self._chunks())
        fits = () if has_zeros else (n for n in USUAL_ENCODINGS if self._undecodable(n) is None)
        name = next(iter(fits), None)
        said = f"Say {_argument('encoding', name)}" if name else "It may be cut off: get it again"
        return self.refusal(f"is not {encoding}: {place}. {said}")

    def _undecodable(self, encoding: str) -> str | None:
        """The first byte that is not of an encoding, and its line."""
        decoder = codecs.getincrementaldecoder(encoding)()
        n_bytes, line = 0, 1
        for chunk in chain(self._chunks(), [b""]):
            state = decoder.getstate()
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                # it is about the chunk, and what waited for it
                at = len(chunk) - len(error.object) + error.start
                decoder.setstate(state)
                line += decoder.decode(chunk[: max(at, 0)]).count("\n")
                byte = error.object[error.start]
                return f"byte {n_bytes + at:,} is 0x{byte:02x}, in line {line:,}"
            except UnicodeError:
                return "it begins with no byte order mark"
            n_bytes += len(chunk)
            line += text.count("\n")
        return None

    def _unended(self) -> tuple[int, int]:
        """A line that is longer than a row may be, and one whose quote is open for longer.

        Or at the end; 0 where there is none.
        """
        opened = length = first = 0
        for number, line in enumerate(self._lines(), start=1):
            n_bytes = len(line.encode())
            if n_bytes > MAX_ROW_BYTES:
                return number, 0
            if self.quote and line.count(self.quote) % 2:
                opened, length = (0 if opened else number), 0
            length += n_bytes
            if length > MAX_ROW_BYTES:
                first = first or opened
        return 0, first or opened

    def _lines(self) -> Iterator[str]:
        """The lines as the reader tells them apart, or as much of one as shows it too long."""
        with self._open() as file:
            text = io.TextIOWrapper(file, self.encoding, errors="replace", newline="")
            yield from iter(partial(text.readline, MAX_ROW_BYTES + 1), "")

    def _chunks(self) -> Iterator[bytes]:
        with self._open() as file:
            yield from iter(partial(file.read, CHUNK_BYTES), b"")

    def _open(self) -> OpenFile:
        return OpenFile(self.fs, str(self.path), "rb", self.compression)

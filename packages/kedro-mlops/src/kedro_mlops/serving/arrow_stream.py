"""Arrow IPC streams: what they hold is known and counted before it is read."""

import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .limits import DeadlineCheck
from .refusals import BadRequestError, refused_rows

if TYPE_CHECKING:
    import pyarrow as pa

# of schema and other headers
MAX_HEADER_BYTES = 1_000_000
# what a table may take, its dictionaries counted in every batch that has them: so much beside a
# multiple of the body's size, and what each message takes by itself
MAX_TABLE_BYTES, TABLE_BYTES_PER_BYTE, MESSAGE_BYTES = 64_000_000, 4, 4096
# numbers of fields in Arrow's headers, which are FlatBuffers: Message.fbs
HEADER, CUSTOM_METADATA = 2, 4
LENGTH, COMPRESSION = 0, 3
DATA, IS_DELTA = 1, 2
# how streams said that they are compressed before the format had a field for it
OLD_COMPRESSION = b"ARROW:experimental_compression"


class Stream:
    """A stream, each message of which is looked at before Arrow makes something of it.

    Args:
        body: The stream.
        check_deadline: Called between steps.
    """

    def __init__(self, body: bytes, check_deadline: DeadlineCheck) -> None:
        self._body = body
        self._check = check_deadline
        self._max_bytes = MAX_TABLE_BYTES + TABLE_BYTES_PER_BYTE * len(body)
        self._n_bytes = 0

    def read(
        self, check_schema: Callable[["pa.Schema"], None], check_count: Callable[[int], None]
    ) -> "pa.Table":
        """The table, which shares the memory of the body.

        Args:
            check_schema: Refuses columns that there may not be; called before the rest is looked
                at.
            check_count: Refuses more rows than there may be.

        Raises:
            BadRequestError: if it is no stream, is compressed, or becomes more than may be.
        """
        import pyarrow as pa  # noqa: PLC0415 - large, and only for these requests

        try:
            first = next(self._messages(), None)
            # of another message, Arrow would read a schema beyond its end
            if first is None or first.type != "schema":
                raise _no_stream()
            check_schema(pa.ipc.read_schema(first))
            n_rows = 0
            for message in self._messages():
                n_rows += _length(message)
                check_count(n_rows)
            batches = []
            with pa.ipc.open_stream(pa.py_buffer(self._body)) as stream:
                for batch in stream:
                    self._check()
                    self._count(batch.nbytes)
                    batches.append(batch)
                return pa.Table.from_batches(batches, stream.schema)
        except (pa.ArrowException, struct.error, OSError, ValueError) as error:
            raise _no_stream() from error

    def _messages(self) -> Iterator["pa.Message"]:
        import pyarrow as pa  # noqa: PLC0415

        for message in pa.ipc.MessageReader.open_stream(pa.py_buffer(self._body)):
            self._check()
            self._count(MESSAGE_BYTES)
            if message.metadata.size > MAX_HEADER_BYTES:
                raise _too_large("Its schema, or another header,", MAX_HEADER_BYTES)
            yield message

    def _count(self, n_bytes: int) -> None:
        self._n_bytes += n_bytes
        if self._n_bytes > self._max_bytes:
            raise _too_large("The table that the stream makes", self._max_bytes)


def _length(message: "pa.Message") -> int:
    """The rows in a message, which is refused if it would become larger than it is."""
    data = message.metadata.to_pybytes()
    (root,) = struct.unpack_from("<I", data)
    header = _follow(data, _field(data, root, HEADER))
    if message.type == "dictionary":
        if _field(data, header, IS_DELTA):
            raise refused_rows(
                "content_encoding",
                "Send whole dictionaries, not what is added to them (deltas).",
            )
        header = _follow(data, _field(data, header, DATA))
    elif message.type != "record batch":
        return 0
    if _field(data, header, COMPRESSION) or OLD_COMPRESSION in data:
        raise refused_rows(
            "content_encoding",
            "Send the stream without compression, e.g. by pyarrow's "
            "`IpcWriteOptions(compression=None)`.",
        )
    if message.type == "dictionary":
        return 0
    length = _field(data, header, LENGTH)
    return int(struct.unpack_from("<q", data, length)[0]) if length else 0


def _field(data: bytes, table: int, number: int) -> int:
    """The place of a field of a FlatBuffers table; 0 if it is not there."""
    (back,) = struct.unpack_from("<i", data, table)
    if table < back:
        raise struct.error("before the beginning")
    (size,) = struct.unpack_from("<H", data, table - back)
    entry = 4 + 2 * number
    if entry >= size:
        return 0
    (offset,) = struct.unpack_from("<H", data, table - back + entry)
    return table + int(offset) if offset else 0


def _follow(data: bytes, place: int) -> int:
    """Where the table is to which a field points."""
    return place + int(struct.unpack_from("<I", data, place)[0])


def _too_large(what: str, limit: int) -> BadRequestError:
    detail = f"{what} takes more than {limit:,} bytes; send the rows in several requests."
    return refused_rows("too_large", detail)


def _no_stream() -> BadRequestError:
    """A refusal in words of our own: Arrow's may quote what is in the stream."""
    return refused_rows(
        "malformed",
        "The body is no Arrow IPC stream, or not a whole one; pyarrow's `ipc.new_stream` and "
        "polars' `write_ipc_stream` write what is.",
    )

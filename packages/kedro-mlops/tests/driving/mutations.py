"""Requests that are nearly right, quite wrong, or no requests at all; drawn with a seed."""

import gzip
import io
import json
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from driving.oddities import (
    ARROW,
    AUTHORIZATIONS,
    BOMB,
    BROKEN_HEADERS,
    CONTENT_TYPES,
    JSON,
    METHODS,
    NO_JSON,
    ODD_VALUES,
    PARQUET,
    PATHS,
    STRANGE,
    TOO_LARGE,
    TOO_MANY_ROWS,
)  # fmt: skip

MAX_VALID_ROWS = 5


@dataclass(frozen=True)
class Request:
    """What is sent, byte for byte.

    Attributes:
        kind: The mutation that made it.
        wire: Everything that goes over the connection.
        body: The body in it, before chunking.
        content_type: What the body is said to be.
        whole: Whether it is a request that HTTP allows, and that ends; otherwise the server may
            hang up without an answer, and the connection is not used again.
        head: Whether the answer has no body, whatever it says.
    """

    kind: str
    wire: bytes
    body: bytes = b""
    content_type: str = JSON
    whole: bool = True
    head: bool = False

    @property
    def is_prediction(self) -> bool:
        """Whether it asks for predictions, in a way that can be understood."""
        asks = self.wire.startswith((b"POST /predict ", b"POST /predict?"))
        return asks and self.whole and not self.head


@dataclass
class Mutations:
    """Draws requests: real rows in, anything out.

    Attributes:
        records: Real rows, as JSON takes them.
        table: The same rows.
        key: The key that they come with, if any.
    """

    records: list[dict[str, Any]]
    table: pa.Table
    key: str | None
    chance: random.Random = field(default_factory=lambda: random.Random(0))

    def draw(self, n: int) -> Iterator[Request]:
        """As many requests as asked for, each mutation as often as its weight says."""
        for name in self.chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=n):
            make: Callable[[], Request] = getattr(self, name)
            yield make()

    def valid(self) -> Request:
        return self._json("valid", self._rows())

    def strange_value(self) -> Request:
        rows = self._rows()
        row = self.chance.choice(rows)
        for name in self.chance.sample(list(row), self.chance.randint(1, 3)):
            row[name] = self.chance.choice([*STRANGE, str(row[name]), [row[name]]])
        return self._json("strange_value", rows)

    def no_json_value(self) -> Request:
        rows = self._rows()
        self.chance.choice(rows)[self._name()] = "@@"
        text = self._dumps(rows).replace('"@@"', self.chance.choice(NO_JSON))
        return self._post("no_json_value", text.encode())

    def fields(self) -> Request:
        """A field is missing, unknown, renamed, or there twice."""
        rows, name = self._rows(), self._name()
        row = self.chance.choice(rows)
        value = row.pop(name)
        what = self.chance.randrange(5)
        if what == 1:
            row[self.chance.choice([name.upper(), f" {name}", f"{name}\x00", "", "__class__"])] = (
                value
            )
        elif what == 2:
            row |= {name: value} | {f"unknown_{i}": i for i in range(self.chance.choice([1, 1000]))}
        elif what == 3:
            twice = f'[{{"{name}": {json.dumps(value)}, "{name}": null, '
            return self._post("fields", self._dumps(rows).replace("[{", twice, 1).encode())
        elif what == 4:
            row.clear()
        return self._json("fields", rows)

    def document(self) -> Request:
        """Another document than rows in an object."""
        rows: Any = self._rows()
        odd = [None, {}, [], "x", 5, [None], [[]], [1], [[rows]], {"0": rows[0]}, [*rows, None]]
        documents = [*({"rows": value} for value in odd), *odd, rows]
        documents += [{"rows": rows, "more": 1}, {"Rows": rows}, {"data": {"rows": rows}}]
        return self._post("document", json.dumps(self.chance.choice(documents)).encode())

    def nested(self) -> Request:
        depth = self.chance.choice([10, 100, 900, 1100, 10_000, 200_000])
        opened, closed = self.chance.choice([("[", "]"), ('{"a":', "}")])
        deep = opened * depth + "1" + closed * depth * self.chance.randint(0, 1)
        rows = self._rows()
        rows[0][self._name()] = "@@"
        text = self.chance.choice(
            [deep, f'{{"rows":{deep}}}', self._dumps(rows).replace('"@@"', deep)]
        )
        return self._post("nested", text.encode())

    def long_text(self) -> Request:
        rows = self._rows()
        rows[0][self._name()] = self.chance.choice('aé\x00\\"{') * self.chance.choice(
            [300, 10_000, 300_000]
        )
        return self._json("long_text", rows)

    def broken_text(self) -> Request:
        """No UTF-8, cut, or with bytes changed, put in or taken out."""
        body = bytearray(self._dumps(self._rows()).encode())
        at = self.chance.randrange(len(body))
        what = self.chance.randrange(7)
        if what == 0:
            body[at] = self.chance.randrange(0x80, 0x100)
        elif what == 1:
            del body[at:]
        elif what == 2:
            body[at] ^= 1 << self.chance.randrange(8)
        elif what == 3:
            body[at:at] = self.chance.randbytes(self.chance.randint(1, 8))
        elif what == 4:
            del body[at : at + self.chance.randint(1, 8)]
        elif what == 5:
            body[:0] = b"\xef\xbb\xbf"
        else:
            body = bytearray(
                body.decode().encode(self.chance.choice(["utf-16", "utf-32", "utf-7"]))
            )
        return self._post("broken_text", bytes(body))

    def noise(self) -> Request:
        body = self.chance.randbytes(self.chance.choice([0, 1, 2, 10, 100, 1000, 10_000]))
        return self._post("noise", body, self.chance.choice([JSON, ARROW, PARQUET]))

    def other_content_type(self) -> Request:
        body = self.chance.choice(
            [self._dumps(self._rows()).encode(), self._arrow(), self._parquet()]
        )
        return self._post("other_content_type", body, self.chance.choice(CONTENT_TYPES))

    def compressed(self) -> Request:
        body = self._dumps(self._rows()).encode()
        whole = gzip.compress(body, 1)
        encoded = {
            "gzip": self.chance.choice([whole, whole[:-9], body, BOMB, whole + whole]),
            "deflate": zlib.compress(body),
            "br": self.chance.randbytes(100),
            "identity": body,
            "gzip, gzip": gzip.compress(whole),
        }
        name = self.chance.choice(list(encoded))
        return self._post("compressed", encoded[name], more=[f"Content-Encoding: {name}"])

    def arrow(self) -> Request:
        accept = f"Accept: {self.chance.choice([ARROW, JSON])}"
        return self._post("arrow", _stream(self._table()), ARROW, [accept])

    def compressed_arrow(self) -> Request:
        body = _stream(self._table(), self.chance.choice(["lz4", "zstd"]))
        return self._post("compressed_arrow", body, ARROW)

    def parquet(self) -> Request:
        return self._post("parquet", self._parquet(), PARQUET)

    def broken_arrow(self) -> Request:
        return self._post("broken_arrow", self._broken(self._arrow()), ARROW)

    def broken_parquet(self) -> Request:
        return self._post("broken_parquet", self._broken(self._parquet()), PARQUET)

    def other_table(self) -> Request:
        """Columns that are missing, unknown, twice there or of another type."""
        table, position = self._table(), self.chance.randrange(self.table.num_columns)
        name = table.column_names[position]
        what = self.chance.randrange(5)
        if what == 0:
            table = table.remove_column(position)
        elif what == 1:
            table = table.append_column(self.chance.choice(["unknown", name, ""]), table[name])
        elif what == 2:
            table = table.slice(0, 0)
        elif what == 3:
            table = table.select(self.chance.sample(table.column_names, table.num_columns))
        else:
            odd = pa.array([self.chance.choice(ODD_VALUES)] * table.num_rows)
            table = table.set_column(position, name, odd)
        write, content_type = self.chance.choice([(_stream, ARROW), (_parquet, PARQUET)])
        return self._post("other_table", write(table), content_type)

    def too_many_rows(self) -> Request:
        rows = self.chance.choice([[{}], self.records[:1]]) * TOO_MANY_ROWS
        many = pa.concat_tables([self.table[:1]] * TOO_MANY_ROWS).combine_chunks()
        bodies = {JSON: self._dumps(rows).encode(), ARROW: _stream(many), PARQUET: _parquet(many)}
        content_type = self.chance.choice(list(bodies))
        return self._post("too_many_rows", bodies[content_type], content_type)

    def too_large(self) -> Request:
        """With its length, with a length alone, and in chunks that do not say it."""
        content_type = self.chance.choice([JSON, ARROW, PARQUET])
        body = b'{"rows":' + b" " * TOO_LARGE
        what = self.chance.randrange(3)
        if what == 0:
            return self._post("too_large", body, content_type, whole=False)
        if what == 1:
            return self._chunked("too_large", body, content_type, size=100_000, whole=False)
        head = self._head("POST", "/predict", content_type, ["Content-Length: 1000000000000"])
        return Request("too_large", head + body[:100], body[:100], content_type, whole=False)

    def chunked(self) -> Request:
        body = self._dumps(self._rows()).encode()
        return self._chunked("chunked", body, JSON, self.chance.choice([1, 7, 100, 10_000]))

    def broken_chunks(self) -> Request:
        wire = self._chunked("", self._dumps(self._rows()).encode(), JSON, 100).wire
        head, _, chunks = wire.partition(b"\r\n\r\n")
        broken = self.chance.choice(
            [
                chunks[:-7],
                b"zz\r\n" + chunks,
                b"-1\r\n",
                b"ffffffffffffffffffff\r\nx",
                b"5\r\n{}\r\n0\r\n\r\n",
            ]
        )
        return Request("broken_chunks", head + b"\r\n\r\n" + broken, broken, whole=False)

    def wrong_length(self) -> Request:
        """More or less comes than the length says."""
        body = self._dumps(self._rows()).encode()
        length = max(0, len(body) + self.chance.choice([-len(body), -10, -1, 1, 10, 1000]))
        head = self._head("POST", "/predict", JSON, [f"Content-Length: {length}"])
        return Request("wrong_length", head + body, body, whole=False)

    def header(self) -> Request:
        body = self._dumps(self._rows()).encode()
        return self._post("header", body, more=[self.chance.choice(BROKEN_HEADERS)], whole=False)

    def authorization(self) -> Request:
        body, value = self._dumps(self._rows()).encode(), self.chance.choice(AUTHORIZATIONS)
        lines = [f"Content-Length: {len(body)}", f"Authorization: {value}"]
        head = self._head("POST", "/predict", JSON, lines, key=False)
        return Request("authorization", head + body, body)

    def place(self) -> Request:
        """Another path or method."""
        method = self.chance.choice(METHODS)
        path = self.chance.choice([*PATHS, "/predict"])
        body = self._dumps(self._rows()).encode() if self.chance.random() < 0.5 else b""
        head = self._head(method, path, JSON, [f"Content-Length: {len(body)}"])
        known = method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "POST", "HEAD")
        return Request("place", head + body, body, whole=known, head=method == "HEAD")

    def no_http(self) -> Request:
        lines = [
            b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\n\r\n",
            b"\x16\x03\x01\x02\x00",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"POST /predict HTTP/1.1\r\n\r\n{}",
            b"GET / HTTP/1.0\r\n\r\n",
            self.chance.randbytes(200), b"A" * 100_000, b"GET /livez HTTP/1.1\r\n\r\n" * 50,
        ]  # fmt: skip
        return Request("no_http", self.chance.choice(lines), whole=False)

    def _rows(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.chance.choices(self.records, k=self._n())]

    def _table(self) -> pa.Table:
        return self.table.take([self.chance.randrange(len(self.table)) for _ in range(self._n())])

    def _n(self) -> int:
        return self.chance.randint(1, MAX_VALID_ROWS)

    def _name(self) -> str:
        return self.chance.choice(list(self.records[0]))

    def _arrow(self) -> bytes:
        return _stream(self._table(), self.chance.choice([None, None, "lz4", "zstd"]))

    def _parquet(self) -> bytes:
        return _parquet(self._table())

    def _broken(self, body: bytes) -> bytes:
        """Cut, with bits flipped, or with zeros; many broken ones say lengths that are not so."""
        broken, at = bytearray(body), self.chance.randrange(len(body))
        what = self.chance.randrange(4)
        if what == 0:
            return body[:at]
        if what == 1:
            for _ in range(self.chance.choice([1, 1, 4, 50])):
                broken[self.chance.randrange(len(body))] ^= 1 << self.chance.randrange(8)
        elif what == 2:
            broken[at : at + 8] = self.chance.choice([b"\xff", b"\x00", b"\x7f"]) * 8
        else:
            broken += self.chance.randbytes(100)
        return bytes(broken)

    def _dumps(self, rows: list[dict[str, Any]]) -> str:
        return json.dumps({"rows": rows}, separators=(",", ":"))

    def _json(self, kind: str, rows: list[dict[str, Any]]) -> Request:
        return self._post(kind, self._dumps(rows).encode())

    def _post(
        self,
        kind: str,
        body: bytes,
        content_type: str = JSON,
        more: list[str] | None = None,
        *,
        whole: bool = True,
    ) -> Request:
        head = self._head(
            "POST", "/predict", content_type, [f"Content-Length: {len(body)}", *(more or [])]
        )
        return Request(kind, head + body, body, content_type, whole)

    def _chunked(
        self, kind: str, body: bytes, content_type: str, size: int, *, whole: bool = True
    ) -> Request:
        head = self._head("POST", "/predict", content_type, ["Transfer-Encoding: chunked"])
        parts = [body[start : start + size] for start in range(0, len(body), size)]
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
        return Request(kind, head + chunks + b"0\r\n\r\n", body, content_type, whole)

    def _head(
        self, method: str, path: str, content_type: str, more: list[str], *, key: bool = True
    ) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", "Host: fuzz", f"Content-Type: {content_type}", *more]
        if key and self.key:
            lines.append(f"Authorization: Bearer {self.key}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


# large ones take a server's time without teaching it more
WEIGHTS = {
    "valid": 30, "strange_value": 120, "no_json_value": 80, "fields": 80, "document": 40,
    "nested": 20,
    "long_text": 10, "broken_text": 120, "noise": 40, "other_content_type": 50, "compressed": 30,
    "arrow": 20, "compressed_arrow": 10, "parquet": 10, "broken_arrow": 100, "broken_parquet": 80,
    "other_table": 80,
    "too_many_rows": 0.3, "too_large": 1, "chunked": 15, "broken_chunks": 10, "wrong_length": 10,
    "header": 30, "authorization": 15, "place": 25, "no_http": 10,
}  # fmt: skip


def count_rows(request: Request) -> int:
    """How many rows are in a body that the service has taken."""
    if request.content_type == ARROW:
        return int(pa.ipc.open_stream(request.body).read_all().num_rows)
    if request.content_type == PARQUET:
        return int(pq.read_metadata(io.BytesIO(request.body)).num_rows)
    compressed = request.body[:1] in (b"\x1f", b"\x78")
    body = zlib.decompress(request.body, 47) if compressed else request.body
    return len(json.loads(body)["rows"])


def _stream(table: pa.Table, compression: str | None = None) -> bytes:
    target = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(target, table.schema, options=options) as writer:
        writer.write_table(table)
    return target.getvalue()


def _parquet(table: pa.Table) -> bytes:
    target = io.BytesIO()
    pq.write_table(table, target)
    return target.getvalue()

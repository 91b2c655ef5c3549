"""Sends requests of any kind, many at once, and looks at what comes back."""

import asyncio
import io
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from driving.mutations import Request, count_rows

ANSWER_SECONDS = 60
# the server may wait for the rest of a request that does not end
UNFINISHED_SECONDS = 1
MIN_ERROR_BYTES = 1024
MAX_EXAMPLES = 3
NO_PLACE_FOR = (b"Traceback (most recent", b'File "/', b"site-packages")


class HungUpError(Exception):
    """The server closed the connection, or was silent, instead of answering."""


@dataclass(frozen=True)
class Answer:
    """An answer; the status of a connection that was closed is 0."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Findings:
    """What the answers were, and which of them should not have been."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0

    @property
    def n_answers(self) -> int:
        return self.statuses.total()

    def add(self, request: Request, answer: Answer) -> None:
        self.statuses[request.kind, answer.status] += 1
        for problem in problems(request, answer):
            self.wrong.setdefault(f"{request.kind}: {problem}", []).append(
                f"{request.wire[:300]!r} -> {answer.body[:300]!r}"
            )

    def __str__(self) -> str:
        """Every kind of problem, how often it was, and a few examples."""
        lines = [f"{self.n_answers:,} requests in {self.seconds:.0f} s"]
        for problem, examples in sorted(self.wrong.items()):
            lines += [f"{len(examples):6} x {problem}", *examples[:MAX_EXAMPLES]]
        return "\n".join(lines)


def problems(request: Request, answer: Answer) -> Iterator[str]:
    """What is wrong with an answer."""
    if answer.status == 0:
        if request.whole:
            yield "no answer"
        return
    if not (200 <= answer.status < 300 or 400 <= answer.status < 500):
        yield f"status {answer.status}"
    if any(text in answer.body for text in NO_PLACE_FOR):
        yield "the answer quotes a traceback"
    if answer.status >= 400 and len(answer.body) > max(MIN_ERROR_BYTES, len(request.body)):
        yield "an error that is longer than what was sent"
    if answer.status == 200 and request.is_prediction:
        yield from _miscounted(request, answer)


def _miscounted(request: Request, answer: Answer) -> Iterator[str]:
    try:
        rows, predictions = count_rows(request), _count_predictions(answer)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        yield f"an answer to what cannot be read, or that cannot: {type(error).__name__}"
        return
    if rows != predictions:
        yield f"{predictions} predictions for {rows} rows"


def _count_predictions(answer: Answer) -> int:
    if "arrow" in answer.headers.get("content-type", ""):
        return int(pa.ipc.open_stream(answer.body).read_all().num_rows)
    if "parquet" in answer.headers.get("content-type", ""):
        return len(pq.read_table(io.BytesIO(answer.body)))
    return len(json.loads(answer.body)["predictions"])


class Connection:
    """One client, whose connection stays open as long as the server wants."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: Request) -> Answer:
        """Send a request, and wait for the answer or for the end of the connection."""
        seconds = ANSWER_SECONDS if request.whole else UNFINISHED_SECONDS
        for _ in range(2):
            reused = self._writer is not None
            try:
                answer = await asyncio.wait_for(self._exchange(request), seconds)
            except (OSError, HungUpError, TimeoutError) as error:
                self.close()
                # a connection that was idle may have been closed before the request came
                if reused and not isinstance(error, TimeoutError):
                    continue
                return Answer(0)
            if not request.whole or answer.headers.get("connection", "").lower() == "close":
                self.close()
            return answer
        return Answer(0)

    async def _exchange(self, request: Request) -> Answer:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(*self._address)
        assert self._reader is not None
        self._writer.write(request.wire)
        status, headers = await _read_head(self._reader)
        while status < 200:
            status, headers = await _read_head(self._reader)
        has_body = not request.head and status not in (204, 304)
        return Answer(status, headers, await _read_body(self._reader, headers) if has_body else b"")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise HungUpError from error
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return int(first.split()[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    try:
        if "content-length" in headers:
            return await reader.readexactly(int(headers["content-length"]))
        if headers.get("transfer-encoding") != "chunked":
            return await reader.read()
        parts = []
        while size := int(await reader.readuntil(b"\r\n"), 16):
            parts.append((await reader.readexactly(size + 2))[:-2])
        await reader.readuntil(b"\r\n")
        return b"".join(parts)
    except asyncio.IncompleteReadError as error:
        raise HungUpError from error


async def fuzz(host: str, port: int, requests: Iterable[Request], n_clients: int) -> Findings:
    """Send the requests over as many connections as there are clients."""
    findings, waiting, start = Findings(), iter(requests), time.perf_counter()

    async def client() -> None:
        connection = Connection(host, port)
        for request in waiting:
            findings.add(request, await connection.ask(request))
        connection.close()

    await asyncio.gather(*(client() for _ in range(n_clients)))
    findings.seconds = time.perf_counter() - start
    return findings


async def seconds_until_cut(
    host: str, port: int, beginning: bytes, trickle: bytes, limit: float
) -> float:
    """How long a client that sends a few bytes a second is borne; infinite if beyond the limit."""
    reader, writer = await asyncio.open_connection(host, port)
    start = time.perf_counter()
    writer.write(beginning)
    ended = asyncio.ensure_future(reader.read())
    try:
        while (passed := time.perf_counter() - start) < limit:
            done, _ = await asyncio.wait([ended], timeout=1)
            if done:
                return passed
            writer.write(trickle)
        return float("inf")
    finally:
        ended.cancel()
        writer.close()

"""What the service says: its own lines, a line for each request refused, and those of libraries."""

import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from .settings import LogFormat

SERVICE = __name__.partition(".")[0]
# what a line may say beside its message
FIELDS = ("request_id", "status", "reason", "path", "duration_ms")
# who else says something, and some of it twice
OTHERS = ("bentoml", "uvicorn.error", "circus")
# lines a second, of requests and of any logger; those without a key are many where one tries keys
MOST, MOST_WITHOUT_KEY, MOST_OF_ONE = 45, 5, 60

logger = logging.getLogger(__name__)


class JsonLines(logging.Formatter):
    """A JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a line."""
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        said |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said)


class PerSecond:
    """Lines of each kind, of which so many may be written in a second.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = 0
        self._left_out: Counter[str] = Counter()
        self._n_lines: Counter[str] = Counter()

    def takes(self, kind: str, most: int) -> bool:
        """Whether one more is written."""
        self._n_lines[kind] += 1
        self._left_out[kind] += self._n_lines[kind] > most
        return self._n_lines[kind] <= most

    def left_out(self) -> Counter[str]:
        """When a second is over, how many of each kind were not written in it."""
        now = int(self._clock())
        if now == self._second:
            return Counter()
        left_out, self._left_out, self._second = +self._left_out, Counter(), now
        self._n_lines.clear()
        return left_out


class Flood(logging.Filter):
    """Lets so many lines a second of each logger pass, and says how many it did not.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._lines = PerSecond(clock)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line passes."""
        self.flush()
        return self._lines.takes(record.name, MOST_OF_ONE)

    def flush(self) -> None:
        """Say, when a second is over, how many lines were left out in it."""
        for name, n_lines in self._lines.left_out().items():
            logger.warning("%d more lines of %s in a second", n_lines, name)


_flood = Flood()


def configure(log_format: LogFormat) -> None:
    """Let the service's loggers speak for themselves, from INFO on, and all others likewise."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if log_format == "json" else text)
    handler.addFilter(_flood)
    for other in map(logging.getLogger, OTHERS):
        other.propagate = not other.handlers
    for other in (logging.getLogger(), *map(logging.getLogger, OTHERS)):
        for theirs in other.handlers:
            if type(theirs) is logging.StreamHandler:
                theirs.addFilter(_flood)
                if log_format == "json":
                    theirs.setFormatter(JsonLines())
    service = logging.getLogger(SERVICE)
    service.handlers[:] = [handler]
    service.setLevel(logging.INFO)
    service.propagate = False


class RequestLog:
    """A line for each request that was refused or failed, but not for a flood of them.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines = PerSecond(clock)

    def write(self, request_id: str, status: int, reason: str, path: str, seconds: float) -> None:
        """Say what became of a request."""
        self.flush()
        kind, most = ("without key", MOST_WITHOUT_KEY) if status == 401 else ("others", MOST)
        if not self._lines.takes(kind, most):
            return
        milliseconds = round(1000 * seconds, 3)
        logger.log(
            logging.ERROR if status >= 500 else logging.INFO,
            "%s: %d (%s) for %r after %g ms", request_id, status, reason, path[:100], milliseconds,
            extra={
                "request_id": request_id,
                "status": status,
                "reason": reason,
                "path": path[:100],
                "duration_ms": milliseconds,
            },
        )  # fmt: skip

    def flush(self) -> None:
        """Say, when a second is over, how many lines were left out in it."""
        _flood.flush()
        n_lines = self._lines.left_out().total()
        if n_lines:
            logger.warning("%d more requests were refused or failed in a second", n_lines)

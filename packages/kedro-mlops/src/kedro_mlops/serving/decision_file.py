"""What monitoring says of challengers, as the service reads it, from a disk or from a store."""

import json
import logging
from threading import Thread
from typing import Any

from kedro_mlops.core.storage import Place, on_store

logger = logging.getLogger(__name__)


class DecisionFile:
    """A JSON object that others write.

    A store answers in its own time, so there it is asked beside the requests, and what it said
    when it was asked last is what is known.

    Args:
        file: Where it is, if there is one.
    """

    def __init__(self, file: Place | None) -> None:
        self._file = file
        self._known: dict[str, Any] = {}
        self._asking: Thread | None = None

    def read(self) -> dict[str, Any]:
        """What is known; nothing while there is no file, or it is being written."""
        if self._file is None or not on_store(self._file):
            return read_object(self._file)
        if self._asking is None or not self._asking.is_alive():
            self._asking = Thread(target=self._ask, name="challenger decision", daemon=True)
            self._asking.start()
        return self._known

    def _ask(self) -> None:
        try:
            self._known = read_object(self._file)
        except Exception as error:  # noqa: BLE001 - whatever a driver says of a store
            logger.warning("What monitoring says of the challenger cannot be read: %s", error)


def read_object(file: Place | None) -> dict[str, Any]:
    """A JSON object from a file; nothing while there is none, or it is being written."""
    try:
        found = json.loads(file.read_text()) if file else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

"""Alerts in the catalog."""

import logging
from typing import Any

from kedro.io import AbstractDataset
from pydantic import TypeAdapter

from kedro_mlops.core.files import new_file
from kedro_mlops.core.storage import place

from .decisions import Alert
from .webhook import notify

logger = logging.getLogger(__name__)

ALERTS = TypeAdapter(list[Alert])


class AlertsDataset(AbstractDataset[list[Alert], list[Alert]]):
    """What somebody should hear of: in a JSON file, in the log, and posted to a webhook.

    Args:
        filepath: File of the newest alerts.
        credentials: ``webhook``, a URL to which alerts are posted as JSON, or null.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, str | None],
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._path = place(filepath)
        self._webhook = credentials["webhook"]
        self.metadata = metadata

    def load(self) -> list[Alert]:
        """Read the newest alerts."""
        return ALERTS.validate_json(self._path.read_bytes())

    def save(self, data: list[Alert]) -> None:
        """Write, log, and post; what cannot be posted is logged, and never an error."""
        with new_file(self._path) as file:
            file.write(ALERTS.dump_json(data, indent=2))
        for alert in data:
            logger.warning("%s: %s", alert.kind, alert.message)
        if data and self._webhook:
            notify(self._webhook, {"alerts": ALERTS.dump_python(data, mode="json")})

    def _exists(self) -> bool:
        return self._path.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}

"""Datasets for the catalog: a table that grows, what is typed, what may be missing, and code.

What only reads its records waits for no import of pandas.
"""

import json
import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any, Never

from kedro.io import AbstractDataset, DatasetError
from kedro.utils import load_obj
from kedro_datasets._typing import JSONPreview
from kedro_datasets.json import JSONDataset
from pydantic import TypeAdapter, ValidationError

from .declared import declared
from .files import new_file
from .storage import place

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


class HistoryDataset(AbstractDataset["pd.DataFrame", "pd.DataFrame"]):
    """A table that grows: JSON lines, to which saving adds rows or replaces those of the same key.

    Loading gives no rows while there is no file.

    Args:
        filepath: The file.
        key: Columns that identify a row; what is said of it again replaces what was said.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(
        self, *, filepath: str, key: list[str], metadata: dict[str, Any] | None = None
    ) -> None:
        self._path = place(filepath)
        self._key = key
        self.metadata = metadata

    def load(self) -> "pd.DataFrame":
        """Read all rows, ordered by key."""
        import pandas as pd  # noqa: PLC0415 - heavy

        return pd.DataFrame(self.records())

    def records(self) -> list[dict[str, Any]]:
        """Read all rows, ordered by key, as they are in the file."""
        if not self._exists():
            return []
        try:
            return [json.loads(line) for line in self._path.read_text().splitlines()]
        except ValueError as error:
            raise DatasetError(
                f"{self._path} is not JSON lines: {error}. Mend or remove it; what it held of the "
                "past is then forgotten."
            ) from error

    def save(self, data: "pd.DataFrame") -> None:
        """Add the rows, in place of those that have their key."""
        import pandas as pd  # noqa: PLC0415 - heavy

        if data.empty:
            return
        table = pd.concat([self.load(), data], ignore_index=True)
        table = table.drop_duplicates(self._key, keep="last").sort_values(self._key)
        with new_file(self._path) as file:
            table.to_json(file, orient="records", lines=True, double_precision=15)

    def _exists(self) -> bool:
        return self._path.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path), "key": self._key}


class ModelJSONDataset(JSONDataset):
    """A model of Pydantic's, or a dataclass, in the code; plain JSON in the file.

    Args:
        filepath: The file.
        model: Import path of the model's class.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(
        self, *, filepath: str, model: str, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._model = model

    def load(self) -> Any:
        """Read the file.

        Raises:
            DatasetError: if it holds something else.
        """
        return self._validated(
            super().load(),
            "Another version of the project may have written it: run again what makes it, or "
            "remove it.",
        )

    def save(self, data: Any) -> None:
        """Write the model, or what can become one.

        Raises:
            DatasetError: if it cannot.
        """
        whole = self._validated(data, "Let the node that makes it return that.")
        super().save(self._adapter.dump_python(whole, mode="json"))

    def preview(self) -> JSONPreview:
        """The file, for kedro-viz."""
        return JSONPreview(self._adapter.dump_json(self.load()).decode())

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(load_obj(self._model))

    def _validated(self, data: Any, what_next: str) -> Any:
        try:
            return self._adapter.validate_python(data)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, found['loc'])) or 'all of it'}: {found['msg']}"
                for found in error.errors()
            )
            raise DatasetError(
                f"{self._filepath} is not what {self._model.rpartition('.')[2]} says: {wrong}. "
                f"{what_next}"
            ) from error

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "model": self._model}


class OptionalDataset(AbstractDataset[Any, Any]):
    """Another dataset, from which a run may take what an earlier one has left, or do without.

    Loading gives ``None`` while it is not there, or if it cannot be read.

    Args:
        dataset: The other one, as in a catalog.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(self, *, dataset: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        self._dataset = AbstractDataset.from_config("dataset", dataset)
        self.metadata = metadata

    def load(self) -> Any:
        """Read it, if that is possible."""
        try:
            return self._dataset.load() if self._dataset.exists() else None
        except DatasetError as error:
            logger.warning("What is known from before is not used: %s", error)
            return None

    def save(self, data: Any) -> None:  # noqa: ARG002
        """Refuse: it is another entry's to save."""
        raise DatasetError("An optional dataset is only read; save the one that it is about.")

    def _exists(self) -> bool:
        return self._dataset.exists()

    def _describe(self) -> dict[str, Any]:
        return {"dataset": self._dataset._describe()}


class CodeDataset(AbstractDataset[Never, Any]):
    """What is declared in code, so that the catalog says which nodes obey it; never saved.

    Args:
        import_path: Of the object, e.g. ``my_project.families.FAMILIES``.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(self, *, import_path: str, metadata: dict[str, Any] | None = None) -> None:
        self._import_path = import_path
        self.metadata = metadata

    def load(self) -> Any:
        """Import the object."""
        return declared(self._import_path)

    def save(self, data: Never) -> Never:  # noqa: ARG002
        """Refuse: people write code."""
        raise DatasetError(f"{self._import_path} is code: change it there.")

    def fingerprint(self) -> str:
        """What it holds besides code: nothing."""
        return ""

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"import_path": self._import_path}

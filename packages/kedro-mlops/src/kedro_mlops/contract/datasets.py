"""Contracts as catalog entries, so that the catalog says which nodes obey them."""

import importlib
from typing import Any, Never

from kedro.io import AbstractDataset, DatasetError
from kedro.utils import load_obj

from .columns import Columns, declared_in


class _Declared(AbstractDataset[Never, Any]):
    """What is declared in code, and therefore never saved."""

    def __init__(self, path: str, metadata: dict[str, Any] | None) -> None:
        self._path = path
        self.metadata = metadata

    def save(self, data: Never) -> Never:  # noqa: ARG002
        """Refuse: people write contracts."""
        raise DatasetError(f"{self._path} is code: change it there.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"path": self._path}


class ContractDataset(_Declared):
    """A contract, ready to be read by the nodes that obey it.

    Args:
        contract: Import path of the Pandera model, e.g. ``my_project.contracts.Row``.
        without_personal: Whether columns with personal data are left out.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(
        self,
        *,
        contract: str,
        without_personal: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(contract, metadata)
        self._without_personal = without_personal

    def load(self) -> Columns:
        """Read the contract."""
        columns = Columns.of(load_obj(self._path))
        return columns.without_personal() if self._without_personal else columns


class ContractsDataset(_Declared):
    """Every table that a module declares: the contracts that no other one is made of.

    Args:
        module: Import path of the module, e.g. ``my_project.contracts``.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(self, *, module: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(module, metadata)

    def load(self) -> list[Columns]:
        """Read the contracts."""
        declared = declared_in(importlib.import_module(self._path))
        bases = {base for contract in declared for base in contract.__mro__[1:]}
        return [Columns.of(contract) for contract in declared if contract not in bases]

"""Contracts as catalog entries, so that the catalog says which nodes obey them."""

import importlib
from typing import Any

from kedro_mlops.core.datasets import CodeDataset
from kedro_mlops.core.declared import declared

from .columns import Columns, declared_in


class ContractDataset(CodeDataset):
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
        super().__init__(import_path=contract, metadata=metadata)
        self._without_personal = without_personal

    def load(self) -> Columns:
        """Read the contract."""
        columns = Columns.of(declared(self._import_path))
        return columns.without_personal() if self._without_personal else columns


class ContractsDataset(CodeDataset):
    """Every table that a module declares: the contracts that no other one is made of.

    Args:
        module: Import path of the module, e.g. ``my_project.contracts``.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(self, *, module: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(import_path=module, metadata=metadata)

    def load(self) -> list[Columns]:
        """Read the contracts."""
        tables = declared_in(importlib.import_module(self._import_path))
        bases = {base for contract in tables for base in contract.__mro__[1:]}
        return [Columns.of(contract) for contract in tables if contract not in bases]

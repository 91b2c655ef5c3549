"""What kedro-viz is told of a run."""

import json
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from kedro_mlops.core.files import new_file
from kedro_mlops.core.project import project_folder


class TableStats:
    """Rows and columns of the Ibis tables; kedro-viz itself counts pandas's only."""

    @hook_impl(trylast=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Add them to what kedro-viz has written just before."""
        file = project_folder() / ".viz/stats.json"
        if not file.exists():
            return
        from kedro_mlops.contract.tables import TableDataset  # noqa: PLC0415 - heavy

        stats = json.loads(file.read_text())
        for name in sorted(pipeline.datasets()):
            dataset = catalog.get(name)
            if isinstance(dataset, TableDataset) and dataset.exists():
                stats[name] = {**stats.get(name, {}), **dataset.stats()}
        with new_file(file) as new:
            new.write(json.dumps(stats).encode())


hooks = TableStats()

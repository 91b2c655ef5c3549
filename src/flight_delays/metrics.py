"""What models are measured by besides the metrics of the task."""

from kedro_mlops.task.metrics import Metrics

METRICS = Metrics()

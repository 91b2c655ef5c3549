"""What models are measured by, on the test window and when labels come in."""

from kedro_mlops.measures.metrics import METRICS

__all__ = ["METRICS"]

"""What can be said of monitoring."""

from typing import Literal, get_args

from pydantic import Field

from kedro_mlops.core.time_params import Parameters

Distance = Literal["psi", "jensen_shannon", "wasserstein"]
DISTANCES: tuple[Distance, ...] = get_args(Distance)


class Drift(Parameters):
    """How far a window may be from the training rows.

    A column has drifted if its measure is beyond ``margin`` times what was normal in training,
    and beyond the floor.
    """

    margin: float = Field(ge=1, description="Times the farthest that a training window was")
    floors: dict[Distance, float] = Field(description="No limit is below these")
    measure: Distance | Literal["p_value"] = Field(
        description="The measure by which a column is said to have drifted; the significance of a "
        "chi-square test is there to be compared with: with many rows it always is"
    )
    max_p_value: float = Field(gt=0, lt=1, description="Significance, if that is the measure")
    min_features: int = Field(gt=0, description="Drifted features that make a drifted window")


class Monitoring(Parameters):
    """Parameters of the monitoring pipeline."""

    min_labelled_rows: int = Field(gt=0, description="Fewer rows say nothing about performance")
    min_label_coverage: float = Field(
        ge=0, le=1, description="Below it, labels may not speak for all predictions"
    )
    max_missing_share_increase: float = Field(
        ge=0, description="Missing values beyond the reference's share, if more than is normal"
    )
    max_unseen_share: float = Field(ge=0, description="Categories the reference did not have")
    min_volume_share: float = Field(ge=0, description="Rows a day, as a share of the reference's")
    max_staleness_days: float = Field(gt=0, description="Days since the newest row")
    skew_sample_rows: int = Field(gt=0, description="Served rows that are built again offline")
    max_skew_share: float = Field(
        ge=0, le=1, description="Share of them whose looked-up features differ"
    )
    drift: Drift

"""The releases in BentoML's store: the files that serve a model, if they are what was released."""

from pathlib import Path
from typing import TYPE_CHECKING

from flight_delays.errors import ProjectError
from flight_delays.portable.plan import PLAN_LABEL, Plan

if TYPE_CHECKING:
    from bentoml import Model

BUILD_AGAIN = "Build it again: `kedro run --pipelines=release`."


def plan_of(stored: "Model") -> Plan:
    """What a model in the store is served by.

    Raises:
        ProjectError: if a file is not the one that was released.
    """
    return Plan.read(Path(stored.path), stored.info.labels.get(PLAN_LABEL))


def models_of(release: str) -> "list[Model]":
    """The models of a Bento.

    Raises:
        ProjectError: if not all of it is in the store.
    """
    import bentoml  # noqa: PLC0415 - heavy
    from bentoml.exceptions import NotFound  # noqa: PLC0415

    try:
        return [bentoml.models.get(m.tag) for m in bentoml.bentos.get(release).info.all_models]
    except NotFound as error:
        raise ProjectError(
            f"The release {release} is not whole in BentoML's store. {BUILD_AGAIN}"
        ) from error

"""The BentoML service that a release contains.

BentoML starts it, builds it, checks its health and serves its pages and metrics; requests for
predictions are answered by the gateway, which stands before BentoML's application.
"""

import asyncio
import gc
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import bentoml
import click
import msgspec
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml.models import BentoModel
from pydantic import BaseModel

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.storage import place
from kedro_mlops.models.metadata import FAMILIES
from kedro_mlops.runtime.known_rows import KnownRows
from kedro_mlops.runtime.serving_spec import SPEC_LABEL, ServingSpec

from . import logs
from .additions import Addition, Additions
from .app_state import AppState
from .clouds import refuse_other_port
from .fast_lane import install
from .following import Follower
from .gateway import Gateway
from .keys import ApiKeys, refuse_if_open
from .model import Load, ServedModel, loader
from .problem_details import JSON
from .settings import Settings
from .warm_up import warm_up

logger = logging.getLogger(__name__)

# new containers before the collector looks at them; a large request makes tens of thousands
GC_THRESHOLD = 100_000

DESCRIPTION = """# Predictions of the champion

`POST /predict` and `GET /info`; `/docs.json` describes both.
"""


class Arguments(BaseModel):
    """Bento arguments: ``bentoml serve --arg model=…``; a built Bento has its own."""

    model: str = ""
    challenger: str = ""


_states: list[AppState] = []


def _state() -> AppState | None:
    return _states[0] if _states else None


class Predictions:
    """What a process does that serves, whatever its models.

    Args:
        model: The champion, in BentoML's store.
        challenger: What is tried beside it, if the release carries one.
        load: Reads a model that scikit-learn serves.
        also: What a project adds to answers.
    """

    def __init__(
        self, model: Any, challenger: Any | None, load: Load, also: Sequence[Addition]
    ) -> None:
        settings = Settings.from_environment()
        logs.configure(settings.log_format)
        tried = None if challenger is None else _verified(challenger)
        self.state = AppState(*_verified(model), tried, settings, load, also)
        self.follower = _follower(self.state)
        _states[:] = [self.state]
        _rest_collector()

    @bentoml.on_startup
    async def keep_up(self) -> None:
        """Keep metrics, features and readiness up to date while the service runs."""
        work = self.state.flush(), self.state.refresh(), self.get_ready()
        self.tasks = [asyncio.create_task(one) for one in work]
        if self.follower is not None:
            self.tasks.append(asyncio.create_task(self.follower.follow()))

    async def get_ready(self) -> None:
        """Be ready once the first requests need not wait, and as long as they are answered."""
        self.state.unready = "The service is warming up; try again."
        try:
            await asyncio.to_thread(warm_up, self.state.served)
        except Exception:
            logger.exception("The first requests will take longer: it could not be warmed up")
        _rest_collector()
        await self.state.watch()

    @bentoml.api
    def predict(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """A prediction for each row."""
        body = msgspec.json.encode({"rows": rows})
        answer: dict[str, Any] = msgspec.json.decode(
            self.state.served.answer_large(JSON, body, JSON).body
        )
        return answer

    @bentoml.api
    def info(self) -> dict[str, Any]:
        """The model that serves, and its metrics, on rows that it had not learned from."""
        found: dict[str, Any] = msgspec.json.decode(self.state.info)
        return found

    @bentoml.on_shutdown
    def close(self) -> None:
        """Close what is open."""
        _states.clear()
        for task in self.tasks:
            task.cancel()
        if self.follower is not None:
            self.follower.close()
        self.state.close()


def create_service(name: str, families: str = FAMILIES, also: Sequence[Addition] = ()) -> Any:
    """The service of a project, to be named in a module of the project's package.

    Args:
        name: What the service is called, and its model in BentoML's store.
        families: Import path of the families that a model may be of, which is imported only where
            scikit-learn serves it; types of others are not loaded.
        also: Functions of scores and decisions, each a field of every answer.
    """
    load = loader(families)
    arguments = bentoml.use_arguments(Arguments)
    tags = [arguments.model or f"{name}:latest", *filter(None, [arguments.challenger])]

    @bentoml.service(name=name, description=DESCRIPTION, traffic={"timeout": 60})
    class PredictionService(Predictions):
        """Predictions of the champion; ``Settings`` has the environment that it reads."""

        model = BentoModel(tags[0])
        if arguments.challenger:
            challenger = BentoModel(arguments.challenger)

        def __init__(self) -> None:
            challenger = self.challenger if arguments.challenger else None
            super().__init__(self.model, challenger, load, also)

    install(partial(Gateway, state=_state))
    PredictionService.add_asgi_middleware(Gateway, state=_state)  # type: ignore[attr-defined]
    _look_before_serving(tags, load, also)
    return PredictionService


def _follower(state: AppState) -> Follower | None:
    """Who looks for new champions, if somebody is to; before anybody asks, it has looked once."""
    settings = state.settings
    if not settings.follow_champion:
        return None
    champions, log = place(settings.follow_champion), Path(settings.prediction_log_dir)
    follower = Follower(state, champions, settings.follow_release, log)
    checked = follower.look()
    if checked is not None:
        follower.take(checked)
    return follower


def _rest_collector() -> None:
    """What is there now stays, and requests leave no cycles: the collector of garbage may rest."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def refuse_to_serve(
    host: str, tags: Sequence[str], load: Load, also: Sequence[Addition] = ()
) -> None:
    """Look at settings, keys and models, and ask these for known rows, before a server is started.

    Raises:
        ProjectError: if it would not do.
    """
    settings = Settings.from_environment()
    keys = ApiKeys(settings.api_keys, settings.keys_file, required=bool(settings.routes))
    refuse_if_open(keys, [host])
    for tag in tags:
        folder, spec = _verified(BentoModel(tag).resolve())
        model = ServedModel(folder, spec, n_threads=1, load=load)
        _refuse_other_answers(folder, model)
        Additions(also, spec.output)


def _refuse_other_answers(folder: Path, model: ServedModel) -> None:
    """With this processor and these packages, a model says what it said when it was released.

    Raises:
        ProjectError: if it does not.
    """
    known = KnownRows.read(folder)
    try:
        known.refuse_others(model.spec, model.score)
    except ProjectError as error:
        raise ProjectError(
            f"The release is not served: {error}. Go on with the one before, or release again: "
            "`kedro run --pipelines=release`."
        ) from error


def _look_before_serving(tags: Sequence[str], load: Load, also: Sequence[Addition]) -> None:
    """In `bentoml serve` itself: its workers would be started again and again, without end."""
    context = click.get_current_context(silent=True)
    if context is None or context.info_name != "serve":
        return
    try:
        settings = Settings.from_environment()
        logs.configure(settings.log_format)
        port = context.params.get("port") or BentoMLContainer.http.port.get()
        refuse_other_port(settings.cloud_endpoint, settings.aip_http_port, port)
        # 0.0.0.0 is BentoML's default
        refuse_to_serve(context.params.get("host") or "0.0.0.0", tags, load, also)  # noqa: S104
    except ProjectError as error:
        raise SystemExit(f"Error: {error}") from error


def _verified(model: Any) -> tuple[Path, ServingSpec]:
    folder = Path(model.path)
    return folder, ServingSpec.read(folder, model.info.labels.get(SPEC_LABEL))

"""What a process serves with: settings, keys, limits, logs and metrics, and what answers now."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.storage import place
from kedro_mlops.feature_store.reader import FeatureStore, StoreSettings
from kedro_mlops.prediction_log.writer import PredictionLog
from kedro_mlops.runtime.serving_spec import ServingSpec

from .additions import Addition, Additions
from .batcher import LookupBatcher
from .challenger import Challenger, ChallengerSettings
from .keys import ApiKeys, listening, refuse_if_open
from .limits import Room
from .logs import RequestLog
from .metrics import Metrics
from .model import BUILT_IN, Load, ServedModel
from .paths import PREDICT
from .predictor import Predictor
from .served import Served
from .settings import MEGABYTE, Settings

logger = logging.getLogger(__name__)

# how often the metrics are brought up to date
TELL_SECONDS = 0.25
MIN_PAUSE_SECONDS = 0.1
# how often it is tried whether there is room for predictions
WATCH_SECONDS = 2
# folder and serving spec of a model whose files have been verified
Released = tuple[Path, ServingSpec]
STOPPED = "challenger_off.json"


class AppState:
    """What a process has in common for all that it serves, and what it serves now.

    Args:
        folder: The released model.
        spec: What is known of it; its files have been verified.
        challenger: Folder and serving spec of the challenger, if the release carries one.
        settings: What the environment says.
        load: Reads a model that scikit-learn serves.
        also: What a project adds to answers; see ``Additions``.

    Attributes:
        served: What answers. It is replaced as a whole, by ``serve``.

    Raises:
        ProjectError: if the settings cannot be obeyed.
    """

    def __init__(
        self,
        folder: Path,
        spec: ServingSpec,
        challenger: Released | None,
        settings: Settings,
        load: Load = BUILT_IN,
        also: Sequence[Addition] = (),
    ) -> None:
        self.settings = settings
        self._load, self._also = load, also
        self.opened = settings.opened
        self._route(settings)
        self.in_progress = 0
        # why a prediction would be refused now; empty where it would not
        self.unready = ""
        # what is told of how the champion is followed
        self.following: dict[str, Any] = {}
        self.room = Room(settings.request_memory)
        self.keys = ApiKeys(settings.api_keys, settings.keys_file, required=bool(self.routes))
        refuse_if_open(self.keys, listening())
        self.metrics = Metrics(spec.output, spec.score_buckets or spec.output.buckets)
        self.log = RequestLog()
        self.store = FeatureStore(spec, _store_settings(settings), self.metrics)
        self.look_ups = LookupBatcher(self.store.complete_all)
        self.prediction_log = _prediction_log(settings)
        self.served = self.prepared(folder, spec, challenger)
        self._begin(self.served)

    def _route(self, settings: Settings) -> None:
        """Take the paths of a cloud, if one is before us.

        What they stand for, which rows are wrapped there, and which are ours in all but their path.
        """
        self.routes = settings.routes
        predicting = {path for path, meant in self.routes.items() if meant == PREDICT}
        self.wrapped = predicting if settings.cloud_endpoint == "vertex" else set()
        self.also_fast = {path.encode() for path in predicting - self.wrapped}

    @property
    def info(self) -> bytes:
        """What is told of the model that answers, as JSON."""
        return msgspec.json.encode(self.served.info | self.following)

    def prepared(self, folder: Path, spec: ServingSpec, challenger: Released | None) -> Served:
        """What would answer with a release of the same contract. Blocks; nothing is served by it.

        Raises:
            ProjectError: if it cannot be loaded, or its challenger cannot be tried beside it.
        """
        model = ServedModel(folder, spec, self.settings.n_threads, self._load)
        predictor = Predictor(
            model,
            self.store,
            self.prediction_log,
            self.metrics,
            self._challenger(model, challenger),
            Additions(self._also, spec.output),
        )
        return Served(spec, predictor, self.settings)

    def serve(self, served: Served) -> None:
        """Answer with another release from now on; to be called where requests begin.

        Those that have begun are answered by the one that they began with, which is freed when the
        last of them has ended.
        """
        before, self.served = self.served, served
        before.predictor.retire()
        self.metrics.leaves(before.predictor.models)
        self._begin(served)

    def _begin(self, served: Served) -> None:
        challenger = served.predictor.challenger
        self.metrics.start(served.spec, challenger.model.spec if challenger else None)
        self.metrics.comes(served.predictor.models)
        self.metrics.switched(challenger.mode if challenger else "off")

    async def flush(self) -> None:
        """Keep the metrics up to date, until it is cancelled."""
        while True:
            await asyncio.sleep(TELL_SECONDS)
            try:
                self._tell()
            except Exception:
                logger.exception("The metrics could not be brought up to date")

    async def refresh(self) -> None:
        """Keep fresh what was looked up in the feature store, until it is cancelled."""
        pause = max(MIN_PAUSE_SECONDS, self.settings.feature_cache_seconds / 6)
        while True:
            await asyncio.sleep(pause)
            try:
                await asyncio.to_thread(self.store.refresh)
            except Exception:
                logger.exception("The features could not be refreshed")

    async def watch(self) -> None:
        """Know whether predictions can be logged, until it is cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.prediction_log.check)
                self.unready = ""
            except ProjectError as error:
                if not self.unready:
                    logger.error("The service is not ready: %s", error)
                self.unready = "Predictions cannot be logged at present."
            await asyncio.sleep(WATCH_SECONDS)

    def _tell(self) -> None:
        log = self.prediction_log
        self.metrics.in_progress.set(self.in_progress)
        self.metrics.ready.set(not self.unready)
        self.metrics.log_bytes.set(log.n_bytes)
        self.metrics.dropped(log.n_dropped_bytes)
        self.metrics.flush()
        self.log.flush()

    def close(self) -> None:
        """Close the prediction log, and bring the metrics up to date."""
        self.prediction_log.close()
        self.metrics.flush()

    def _challenger(self, model: ServedModel, challenger: Released | None) -> Challenger | None:
        if challenger is None:
            return None
        settings = self.settings
        decisions = settings.challenger_decision_file
        how = ChallengerSettings(
            mode=settings.challenger_mode,  # type: ignore[arg-type]
            share=settings.challenger_share,
            decision_file=place(decisions) if decisions else None,
            record_file=Path(settings.prediction_log_dir) / STOPPED,
        )
        return Challenger(model, ServedModel(*challenger, 1, self._load), how, self.metrics)


def _store_settings(settings: Settings) -> StoreSettings:
    return StoreSettings(
        url=settings.feature_store_url,
        max_age_days=settings.max_feature_age_days,
        cache_seconds=settings.feature_cache_seconds,
        timeout_seconds=settings.feature_store_timeout_seconds,
    )


def _prediction_log(settings: Settings) -> PredictionLog:
    return PredictionLog(
        Path(settings.prediction_log_dir),
        settings.prediction_log_file_megabytes * MEGABYTE,
        settings.prediction_log_megabytes * MEGABYTE,
    )

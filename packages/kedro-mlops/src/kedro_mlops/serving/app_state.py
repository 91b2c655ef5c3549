"""All that answers requests, put together when the service starts."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.feature_store.reader import FeatureStore, StoreSettings
from kedro_mlops.prediction_log.writer import PredictionLog
from kedro_mlops.runtime.serving_spec import ServingSpec

from .additions import Addition, Additions
from .batcher import LookupBatcher
from .bulk_answers import write_arrow, write_json
from .bulk_reading import TableReader
from .challenger import Challenger, ChallengerSettings
from .keys import ApiKeys, listening, refuse_if_open
from .limits import DeadlineCheck, Room, no_deadline
from .logs import RequestLog
from .metrics import Metrics
from .model import BUILT_IN, Load, ServedModel
from .openapi import document, title
from .page import HTML, page
from .predictor import Predictor
from .problem_details import ARROW, JSON, PAGE, Reply
from .reading import RowReader
from .settings import MEGABYTE, Settings

logger = logging.getLogger(__name__)

# how often the metrics are brought up to date
TELL_SECONDS = 0.25
MIN_PAUSE_SECONDS = 0.1
# how often it is tried whether there is room for predictions
WATCH_SECONDS = 2
# what is told of the model: what it predicts, what it is, and how good it was
INFO = (
    "task", "label", "model_version", "family", "as_of", "metrics", "confusion", "git_commit",
    "data_hash", "engine", "engine_reason",
)  # fmt: skip
STOPPED = "challenger_off.json"


class AppState:
    """Reads, predicts, and knows who may ask.

    Args:
        folder: The released model.
        spec: What is known of it; its files have been verified.
        challenger: Folder and serving spec of the challenger, if the release carries one.
        settings: What the environment says.
        load: Reads a model that scikit-learn serves.
        also: What a project adds to answers; see ``Additions``.

    Raises:
        ProjectError: if the settings cannot be obeyed.
    """

    def __init__(
        self,
        folder: Path,
        spec: ServingSpec,
        challenger: tuple[Path, ServingSpec] | None,
        settings: Settings,
        load: Load = BUILT_IN,
        also: Sequence[Addition] = (),
    ) -> None:
        self.settings = settings
        self._load = load
        additions = Additions(also, spec.output)
        about = {name: getattr(spec, name) for name in INFO}
        self.opened = settings.opened
        self.in_progress = 0
        # why a prediction would be refused now; empty where it would not
        self.unready = ""
        self.room = Room(settings.request_memory)
        self.keys = ApiKeys(settings.api_keys, settings.keys_file)
        refuse_if_open(self.keys, listening())
        self.metrics = Metrics(spec.output, spec.score_buckets or spec.output.buckets)
        self.metrics.start(spec, challenger[1] if challenger else None)
        self.log = RequestLog()
        self.reader = RowReader(spec.asked, settings.max_rows)
        self.table_reader = TableReader(self.reader, [field.name for field in spec.sent])
        self.info = msgspec.json.encode(about | spec.output.about)
        openapi = msgspec.json.encode(document(spec, self.reader, settings, additions))
        self.docs = {
            "/": Reply(200, page(title(spec)), HTML, PAGE),
            "/docs.json": Reply(200, openapi, JSON),
        }
        model = ServedModel(folder, spec, settings.n_threads, load)
        self.metrics.model(spec, "champion")
        store = StoreSettings(
            url=settings.feature_store_url,
            max_age_days=settings.max_feature_age_days,
            cache_seconds=settings.feature_cache_seconds,
            timeout_seconds=settings.feature_store_timeout_seconds,
        )
        log = PredictionLog(
            Path(settings.prediction_log_dir),
            settings.prediction_log_file_megabytes * MEGABYTE,
            settings.prediction_log_megabytes * MEGABYTE,
        )
        self.predictor = Predictor(
            model,
            FeatureStore(spec, store, self.metrics),
            log,
            self.metrics,
            self._challenger(model, challenger),
            additions,
        )
        self.look_ups = LookupBatcher(self.predictor.store.complete_all)

    def answer_large(
        self,
        kind: bytes,
        body: bytes,
        accept: bytes,
        check_deadline: DeadlineCheck = no_deadline,
        explain: bool = False,
    ) -> Reply:
        """Answer a large request, from reading to writing. Blocks; thread-safe.

        Args:
            kind: The type of the body.
            body: Of the request.
            accept: What the answer may be.
            check_deadline: Called between steps: it raises an error if nobody waits any more.
            explain: Whether the answers are explained.
        """
        check_deadline()
        if kind == ARROW:
            columns = self.table_reader.read_arrow(body, check_deadline)
        else:
            columns = self.table_reader.read_json(body, check_deadline)
        answers = self.predictor.answer_table(columns, check_deadline, explain)
        if ARROW in accept or (kind == ARROW and b"json" not in accept):
            return Reply(200, write_arrow(answers), ARROW)
        return Reply(200, write_json(answers), JSON)

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
                await asyncio.to_thread(self.predictor.store.refresh)
            except Exception:
                logger.exception("The features could not be refreshed")

    async def watch(self) -> None:
        """Know whether predictions can be logged, until it is cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.predictor.log.check)
                self.unready = ""
            except ProjectError as error:
                if not self.unready:
                    logger.error("The service is not ready: %s", error)
                self.unready = "Predictions cannot be logged at present."
            await asyncio.sleep(WATCH_SECONDS)

    def _tell(self) -> None:
        log = self.predictor.log
        self.metrics.in_progress.set(self.in_progress)
        self.metrics.ready.set(not self.unready)
        self.metrics.log_bytes.set(log.n_bytes)
        self.metrics.dropped(log.n_dropped_bytes)
        self.metrics.flush()
        self.log.flush()

    def close(self) -> None:
        """Close the prediction log, and bring the metrics up to date."""
        self.predictor.log.close()
        self.metrics.flush()

    def _challenger(
        self, model: ServedModel, challenger: tuple[Path, ServingSpec] | None
    ) -> Challenger | None:
        settings = self.settings
        if challenger is None:
            self.metrics.switched("off")
            return None
        folder, spec = challenger
        self.metrics.model(spec, "challenger")
        decisions = settings.challenger_decision_file
        how = ChallengerSettings(
            mode=settings.challenger_mode,  # type: ignore[arg-type]
            share=settings.challenger_share,
            decision_file=Path(decisions) if decisions else None,
            record_file=Path(settings.prediction_log_dir) / STOPPED,
        )
        return Challenger(model, ServedModel(folder, spec, 1, self._load), how, self.metrics)

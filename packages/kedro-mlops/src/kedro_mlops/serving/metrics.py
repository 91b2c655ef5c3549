"""What Prometheus sees of the service beside BentoML's own metrics; declared here and only once."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal, TypeVar

import numpy as np

from kedro_mlops.feature_store.missing import MISSING
from kedro_mlops.runtime.encoding import Coded
from kedro_mlops.runtime.serving_spec import ServingSpec
from kedro_mlops.task.outputs import Output, Probability

from .answers import Answer, told_by
from .arrow_columns import pairs
from .bulk_answers import TableAnswers
from .paths import PREDICT
from .problem_details import TITLES
from .refusals import OF_ROWS, REFUSED
from .settings import MODES

SECONDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
)  # fmt: skip
DAYS = (0, 1, 2, 3, 5, 7, 14, 30)
# how a prediction may end, and why it may be refused
STATUSES = (200, *(status for status in TITLES if status != 404))
REASONS = (*REFUSED, *OF_ROWS)
PROBABILITY = Probability()
# why a running service may not take a champion
NOT_TAKEN = ("damaged", "answers", "restart", "bug")
# the labels of what is of a model
MODEL = ("model_version", "variant")
# of several processes, what was said last
SHARED: Literal["livemostrecent"] = "livemostrecent"
# the model version of a challenger that is not there
NONE = "none"


T = TypeVar("T")


class BufferedMetric:
    """What is still to be told to a metric; telling it each time would take longer than adding."""

    def __init__(self, metric: Any) -> None:
        self._metric = metric
        self._n = 0.0
        self._values: list[float] = []

    def inc(self, n: float = 1) -> None:
        """Count, for a counter."""
        self._n += n

    def observe(self, values: Sequence[float]) -> None:
        """Add values, for a histogram."""
        self._values += values

    def flush(self) -> None:
        """Bring the metric up to date."""
        if self._n:
            n, self._n = self._n, 0.0
            self._metric.inc(n)
        if self._values:
            values, self._values = self._values, []
            observe_many(self._metric, values)


class Metrics:
    """The metrics of one process.

    Made when the service starts: BentoML says only then where processes share their metrics. What
    is counted is told to them several times a second (``flush``).

    Args:
        output: What is predicted.
        buckets: In which scores are counted.
    """

    def __init__(
        self, output: Output = PROBABILITY, buckets: Sequence[float] = PROBABILITY.buckets
    ) -> None:
        self._declare_requests()
        self._declare_models(buckets)
        self._declare_champions()
        self._declare_inputs()
        self._declare_log()
        self._declare_challenger()
        self._dropped = 0
        self._output = output
        self._told = told_by(output)
        self._decides = bool(output.decisions)
        # what is decided, and its name; of numbers there is nothing
        self._decisions = {decision: _named(decision) for decision in output.decisions or [""]}
        self._tallies: list[BufferedMetric] = []
        # a counter or histogram with its labels
        self.child = cache(self._child)

    def _declare_requests(self) -> None:
        from prometheus_client import Counter, Gauge, Histogram  # noqa: PLC0415 - see above

        self.requests = Counter("http_requests", "Requests answered", ["path", "status"])
        self.seconds = Histogram(
            "http_request_duration_seconds", "Time to answer", ["path"], buckets=SECONDS
        )
        self.in_progress = Gauge(
            "http_requests_in_progress", "Being answered now", multiprocess_mode="livesum"
        )
        self.ready = Gauge(
            "service_ready", "Whether predictions would be answered", multiprocess_mode="livemin"
        )
        self.invalid = Counter("model_invalid_requests", "Requests refused", ["reason"])

    def _declare_models(self, buckets: Sequence[float]) -> None:
        from prometheus_client import Counter, Gauge, Histogram  # noqa: PLC0415 - see above

        self.predictions = Counter("model_predictions", "Rows answered", [*MODEL, "decision"])
        self.score = Histogram(
            "model_prediction_score", "Scores; of several, the highest", MODEL, buckets=buckets
        )
        self.info = Gauge(
            "model_info", "Whether a model is at hand", [*MODEL, "family", "engine"],
            multiprocess_mode=SHARED,
        )  # fmt: skip
        self.trained = Gauge(
            "model_trained_timestamp_seconds", "Moment as of which the model was trained", MODEL,
            multiprocess_mode=SHARED,
        )  # fmt: skip
        self.served = Gauge(
            "model_served", "Whether the process answers with the model", MODEL[:1],
            multiprocess_mode="liveall",
        )  # fmt: skip

    def _declare_champions(self) -> None:
        from prometheus_client import Counter, Gauge  # noqa: PLC0415 - see above

        self.swaps = Counter("champion_swaps", "Champions that were taken by a running service")
        self.refusals = Counter("champion_refusals", "Champions that were not taken", ["reason"])
        self.refused = Gauge(
            "champion_refused", "Whether the newest champion was not taken",
            multiprocess_mode="livemax",
        )  # fmt: skip
        for reason in NOT_TAKEN:
            self.refusals.labels(reason)

    def _declare_inputs(self) -> None:
        from prometheus_client import Counter, Histogram  # noqa: PLC0415 - see above

        self.missing = Counter(
            "model_missing_features", "Looked-up values not found", ["feature", "reason"]
        )
        self.unseen = Counter(
            "model_unseen_categories", "Categories that the model has not seen", ["column"]
        )
        self.lookups = Counter(
            "feature_store_lookups", "Look-ups, from what is kept or the store", ["table", "result"]
        )
        self.age = Histogram(
            "feature_age_days", "Age of daily values read from the store", ["table"], buckets=DAYS
        )

    def _declare_log(self) -> None:
        from prometheus_client import Counter, Gauge  # noqa: PLC0415 - see above

        self.log_bytes = Gauge(
            "prediction_log_bytes", "Size of the prediction log", multiprocess_mode="livemax"
        )
        self.log_dropped = Counter("prediction_log_dropped_bytes", "Removed for want of room")
        self.log_failures = Counter("prediction_log_failures", "Requests that could not be logged")

    def _declare_challenger(self) -> None:
        from prometheus_client import Counter, Gauge  # noqa: PLC0415 - see above

        self.mode = Gauge(
            "challenger_mode", "What the challenger does", ["mode"], multiprocess_mode=SHARED
        )
        self.compared = Counter("challenger_compared", "Rows that both scored", MODEL[:1])
        self.disagreements = Counter(
            "challenger_disagreements", "Rows on which they decide otherwise", MODEL[:1]
        )
        self.challenger_failures = Counter(
            "challenger_failures", "Rows that the challenger failed to score", MODEL[:1]
        )

    def _child(self, metric: Any, *labels: str) -> BufferedMetric:
        tally = BufferedMetric(metric.labels(*labels) if labels else metric)
        self._tallies.append(tally)
        return tally

    def flush(self) -> None:
        """Bring all metrics up to date."""
        for tally in self._tallies:
            tally.flush()

    def start(self, champion: ServingSpec, challenger: ServingSpec | None) -> None:
        """Begin at 0 with all that can be named: the first of a kind would not be a rise."""
        self.child(self.seconds, PREDICT)
        for status in STATUSES:
            self.child(self.requests, PREDICT, str(status))
        for reason in REASONS:
            self.child(self.invalid, reason)
        self._start_rows(champion.model_version, "champion")
        if challenger is not None:
            self._start_rows(challenger.model_version, "canary")
        version = challenger.model_version if challenger else NONE
        for metric in (self.compared, self.disagreements, self.challenger_failures):
            self.child(metric, version)
        self._start_inputs(champion)

    def _start_rows(self, version: str, variant: str) -> None:
        self.child(self.score, version, variant)
        for decision in self._decisions.values():
            self.child(self.predictions, version, variant, decision)

    def _start_inputs(self, spec: ServingSpec) -> None:
        self.child(self.lookups, "all", "hit")
        for field in spec.fields:
            if field.source is not None:
                for reason in MISSING:
                    self.child(self.missing, field.name, reason)
                for result in ("read", "failed"):
                    self.child(self.lookups, field.source.table, result)
                if field.source.daily:
                    self.child(self.age, field.source.table)
            elif field.kind == "categorical" and field.accept_unseen:
                self.child(self.unseen, field.name)

    def comes(self, models: Mapping[str, ServingSpec]) -> None:
        """Models are at hand, by what they are."""
        for variant, spec in models.items():
            trained = datetime.fromisoformat(spec.as_of).replace(tzinfo=UTC).timestamp()
            self._at_hand(spec, variant, 1)
            self.trained.labels(spec.model_version, variant).set(trained)
        self.served.labels(models["champion"].model_version).set(1)

    def leaves(self, models: Mapping[str, ServingSpec]) -> None:
        """Models are not at hand any more; processes share what would have to be removed."""
        for variant, spec in models.items():
            self._at_hand(spec, variant, 0)
        self.served.labels(models["champion"].model_version).set(0)

    def _at_hand(self, spec: ServingSpec, variant: str, is_so: int) -> None:
        self.info.labels(spec.model_version, variant, spec.family, spec.engine).set(is_so)

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request has been answered."""
        self.child(self.requests, path, str(status)).inc()
        self.child(self.seconds, path).observe((seconds,))

    def answered(self, answer: Answer, variant: str) -> None:
        """A row has been answered."""
        told = self._told(answer)
        decision = self._output.decided(told) if self._decides else ""
        self._decided(answer.model_version, variant, decision, (self._output.score_told(told),))
        if answer.missing_features or answer.unseen_categories:
            self._found(answer.missing_features, answer.unseen_categories, 1)

    def answered_many(self, answers: TableAnswers) -> None:
        """The rows of a table have been answered."""
        told = list(answers.predicted.values())
        scores = self._output.score_told(told)
        decided = self._output.decided(told) if self._decides else np.full(len(scores), "")
        codes = np.argmax([decided == each for each in self._decisions], axis=0)
        decisions = Coded(codes, list(self._decisions))
        made = pairs(pairs(answers.model_version, answers.variant), decisions)
        for code, ((version, variant), decision) in enumerate(made.values):
            own = scores[made.codes == code]
            self._decided(version, variant, decision, own.tolist())
        for missing, n in _counted(answers.missing_features):
            self._found(missing, [], n)
        for unseen, n in _counted(answers.unseen_categories):
            self._found({}, unseen, n)

    def _decided(self, version: str, variant: str, decision: Any, scores: Sequence[float]) -> None:
        named = self._decisions[decision]
        self.child(self.predictions, version, variant, named).inc(len(scores))
        self.child(self.score, version, variant).observe(scores)

    def _found(self, missing: dict[str, str], unseen: list[str], n_rows: int) -> None:
        for name, reason in missing.items():
            self.child(self.missing, name, reason).inc(n_rows)
        for name in unseen:
            self.child(self.unseen, name).inc(n_rows)

    def found_all(self) -> None:
        """All that a row needs was at hand."""
        self.child(self.lookups, "all", "hit").inc()

    def looked_up(self, table: str, result: str) -> None:
        """A look-up, by its result."""
        self.child(self.lookups, table, result).inc()

    def feature_age(self, table: str, days: float) -> None:
        """The age of a daily value that was read."""
        self.child(self.age, table).observe((days,))

    def dropped(self, n_bytes: int) -> None:
        """What the prediction log has had to remove so far."""
        self.log_dropped.inc(n_bytes - self._dropped)
        self._dropped = n_bytes

    def switched(self, mode: str) -> None:
        """What the challenger does from now on."""
        for known in MODES:
            self.mode.labels(known).set(float(known == mode))


def _named(decision: Any) -> str:
    """A decision as Prometheus has it: a truth value in small letters."""
    return str(decision).lower() if decision in (True, False) else str(decision)


def _counted(column: Coded[T]) -> Iterable[tuple[T, int]]:
    """Every value with the number of its rows."""
    counts = np.bincount(column.codes, minlength=len(column.values)).tolist()
    return zip(column.values, counts, strict=True)


def observe_many(histogram: Any, values: list[float]) -> None:
    """Observe many values at once, where the library's parts are as we know them.

    One at a time, ten thousand rows would take longer to be counted than to be predicted.
    """
    buckets = getattr(histogram, "_buckets", None)
    bounds = getattr(histogram, "_upper_bounds", None)
    if buckets is None or bounds is None or not hasattr(histogram, "_sum"):
        for value in values:
            histogram.observe(value)
        return
    histogram._sum.inc(sum(values))
    places = np.searchsorted(bounds, values)
    for place, n_values in zip(*np.unique(places, return_counts=True), strict=True):
        buckets[place].inc(int(n_values))

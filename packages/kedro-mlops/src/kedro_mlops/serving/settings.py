"""What the service is told by its environment; every variable is described here."""

import os
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from kedro_mlops.core.errors import ProjectError

from .clouds import Cloud, routes_of

# BentoML changes into the Bento's own folder; the defaults are below the one it was started in
DATA = Path(os.environ.get("PWD", ".")) / "data"
PATHS = ("health", "metrics", "docs")
MEGABYTE = 1_000_000
# what reading and answering takes at most, measured: beside, and for each byte of, a body
MEMORY_PER_REQUEST, MEMORY_PER_BYTE = 20_000_000, 12
# what is explained takes more, and less of both
MEMORY_PER_BYTE_EXPLAINED, MEMORY_PER_CONTRIBUTION = 36, 400
# of a small body, by its values: those of each row, and so many for its answer
MEMORY_PER_VALUE, MEMORY_PER_VALUE_EXPLAINED, VALUES_PER_ANSWER = 150, 250, 10
# of headers, and of what is in a body beside the body
MAX_HEADER_BYTES = 65_536
LogFormat = Literal["text", "json"]
Mode = Literal["off", "shadow", "canary"]
MODES: tuple[Mode, ...] = get_args(Mode)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The service's settings; each is the environment variable of its name in capitals.

    Attributes:
        feature_store_url: SQLAlchemy URL of the online store.
        max_feature_age_days: Older daily values are treated as missing.
        feature_cache_seconds: How long what was read from the store is taken for true.
        feature_store_timeout_seconds: How long the store may take.
        prediction_log_dir: Folder of the prediction log.
        prediction_log_file_megabytes: Size at which a file of the log is closed.
        prediction_log_megabytes: Size of the whole log; then the oldest files go.
        api_keys: Keys that callers may use, separated by commas.
        api_keys_file: A file with a key a line; it is read again when it changes.
        open_paths: What needs no key: ``health``, ``metrics``, ``docs``.
        max_rows: Rows of one request.
        max_body_megabytes: Size of a request's body.
        max_waiting: Requests that may be in progress; more are told to come back.
        request_megabytes: Memory that all requests in progress may take together, by the size of
            their bodies. Of those that are small only the bodies count: they are answered at once,
            or a few at a time.
        request_seconds: Time to receive a request, and to answer it.
        threads: Threads that score a large request; all cores if 0.
        challenger_mode: ``off``, ``shadow`` or ``canary``.
        challenger_share: Share of the keys that a canary answers.
        challenger_decision_file: Where monitoring says what it thinks of the challenger; may be a
            URL.
        follow_champion: Folder, or URL, of the champion's versions, of which the newest is taken
            while the service runs; if empty, it goes on with the release that it was started with.
        follow_release: That release: its Bento in BentoML's store.
        cloud_endpoint: Whose managed endpoint the service is: ``sagemaker``, ``vertex`` or
            ``azure``. They authenticate callers: the paths that they call need no key, all others
            do.
        aip_http_port: The port that Vertex AI calls; it sets these three itself.
        aip_health_route: The path of its health checks.
        aip_predict_route: The path of its predictions.
        log_format: ``text`` for people, ``json`` for what collects logs.
    """

    feature_store_url: str = f"sqlite:///{DATA}/04_feature/online.db"
    max_feature_age_days: int = 7
    feature_cache_seconds: float = 60
    feature_store_timeout_seconds: float = 1
    prediction_log_dir: str = f"{DATA}/07_model_output/prediction_log"
    prediction_log_file_megabytes: int = 64
    prediction_log_megabytes: int = 4096
    api_keys: str = ""
    api_keys_file: str = ""
    open_paths: str = "health"
    max_rows: int = 10_000
    max_body_megabytes: float = 16
    max_waiting: int = 1000
    request_megabytes: int = 400
    request_seconds: float = 30
    threads: int = 0
    challenger_mode: str = "off"
    challenger_share: float = 0.1
    challenger_decision_file: str = ""
    follow_champion: str = ""
    follow_release: str = ""
    cloud_endpoint: Cloud = ""
    aip_http_port: int = 0
    aip_health_route: str = ""
    aip_predict_route: str = ""
    log_format: LogFormat = "text"

    def __post_init__(self) -> None:
        unknown = sorted(self.opened - set(PATHS))
        if unknown:
            raise ProjectError(f"OPEN_PATHS has {unknown}; it may have {', '.join(PATHS)}.")
        if self.follow_champion and not self.follow_release:
            raise ProjectError(
                "FOLLOW_CHAMPION is set, and FOLLOW_RELEASE is not: say which Bento runs, or start "
                "the service with `kedro serve --follow`, which does."
            )
        # it is told at once if it cannot be obeyed
        _ = self.routes
        needed = self.max_body + self.memory_for(self.max_body)
        if self.request_memory < needed:
            raise ProjectError(
                f"REQUEST_MEGABYTES is {self.request_megabytes}, and a request of "
                f"MAX_BODY_MEGABYTES takes {needed / MEGABYTE:.0f}: raise it, or allow less."
            )

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the environment.

        Raises:
            ProjectError: if a variable cannot be what it should be.
        """
        found: dict[str, Any] = {}
        for name, kind in cls.__annotations__.items():
            text = os.environ.get(name.upper())
            try:
                if text:
                    found[name] = msgspec.convert(text, kind, strict=False)
            except msgspec.ValidationError as error:
                raise ProjectError(f"{name.upper()} is {text!r}: {error}.") from error
        return cls(**found)

    @property
    def routes(self) -> dict[str, str]:
        """The paths that a cloud calls, each with that of ours which it stands for."""
        return routes_of(self.cloud_endpoint, self.aip_health_route, self.aip_predict_route)

    @property
    def opened(self) -> set[str]:
        """What needs no key."""
        return {name.strip() for name in self.open_paths.split(",") if name.strip()}

    @property
    def keys_file(self) -> Path | None:
        """The file of the API keys, if there is one."""
        return Path(self.api_keys_file) if self.api_keys_file else None

    @property
    def max_body(self) -> int:
        """Size of a request's body, in bytes."""
        return int(self.max_body_megabytes * MEGABYTE)

    @property
    def request_memory(self) -> int:
        """Memory that requests in progress may take together, in bytes."""
        return self.request_megabytes * MEGABYTE

    def memory_for(self, n_bytes: int, n_explained: int = 0) -> int:
        """What it takes to read and answer a body of so many bytes, beside the body.

        Args:
            n_bytes: Of the body.
            n_explained: Features whose contributions are told of each row.
        """
        plain = MEMORY_PER_REQUEST + MEMORY_PER_BYTE * n_bytes
        explained = min(
            MEMORY_PER_BYTE_EXPLAINED * n_bytes,
            MEMORY_PER_CONTRIBUTION * n_explained * self.max_rows,
        )
        return max(plain, min(plain + explained, self._most))

    def memory_for_rows(self, n_rows: int, n_fields: int, explain: bool = False) -> int:
        """Likewise, of a body so small that what it becomes follows from its rows.

        Args:
            n_rows: In the body.
            n_fields: Of each row, whether they are sent, looked up or left out.
            explain: Whether contributions are told of each row.
        """
        of_each = MEMORY_PER_VALUE_EXPLAINED if explain else MEMORY_PER_VALUE
        return min(of_each * n_rows * (n_fields + VALUES_PER_ANSWER), self._most)

    @property
    def _most(self) -> int:
        """What one takes that would take more than there is, and has to have it for itself."""
        return self.request_memory - self.max_body

    @property
    def n_threads(self) -> int:
        """Threads that score a large request."""
        return self.threads or os.cpu_count() or 1

"""Telling another system, without waiting for it and without failing because of it."""

import logging
import threading
from typing import Any
from urllib.parse import urlsplit

logger = logging.getLogger(__name__)

ATTEMPTS = 4
BACKOFF_SECONDS = 0.5
TIMEOUT_SECONDS = 5
THREAD = "webhook"


def notify(url: str, message: dict[str, Any]) -> threading.Thread:
    """Post a message as JSON, in the background; what fails is tried again, then logged.

    A busy or broken receiver is asked four times in all, which takes half a minute at most. The
    program does not end before that.

    Args:
        url: Where to post; it may hold a secret, and only its host is ever logged.
        message: What JSON can say.
    """
    thread = threading.Thread(target=_post, args=(url, message), name=THREAD)
    thread.start()
    return thread


def _post(url: str, message: dict[str, Any]) -> None:
    import requests  # noqa: PLC0415 - only those who configured a webhook pay for it
    from requests.adapters import HTTPAdapter  # noqa: PLC0415
    from urllib3 import Retry  # noqa: PLC0415

    retry = Retry(
        ATTEMPTS - 1,
        backoff_factor=BACKOFF_SECONDS,
        status_forcelist=[429, 500, 502, 503, 504],
        allowed_methods=None,
        respect_retry_after_header=False,
    )
    # they tell of every attempt that failed, with the path
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(_is_not_ours)
    host = urlsplit(url).hostname
    try:
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=retry))
            session.mount("https://", HTTPAdapter(max_retries=retry))
            session.post(url, json=message, timeout=TIMEOUT_SECONDS).raise_for_status()
    except (requests.RequestException, ValueError) as error:
        # the error's text holds the whole address
        logger.warning(
            "The webhook at %s was not reached (%s); the alerts are in their file",
            host,
            type(error).__name__,
        )
    else:
        logger.info("The webhook at %s has been told", host)


def _is_not_ours(record: logging.LogRecord) -> bool:
    return record.threadName != THREAD

"""Where artefacts are: in a folder of this machine, or on a store that fsspec knows, by its URL.

A path of a store is read like one of a disk. What a store has not, a rename and locks, is made of
the one thing that it has: it can create an object unless there is one of that name.
"""

import contextlib
import json
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, Union

from .errors import ProjectError, causes_of

if TYPE_CHECKING:
    from upath import UPath

Place: TypeAlias = Union[Path, "UPath"]

# where the errors of those who speak with stores come from
_DRIVERS = ("adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google", "s3fs")
_PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs",
}  # fmt: skip


def is_url(path: str) -> bool:
    """Whether a path is one of a store."""
    return "://" in path and not path.startswith(("file://", "local://"))


def place(path: str, below: Path | None = None) -> Place:
    """A path of this machine, or of a store.

    Args:
        path: With a protocol, or without.
        below: The folder that it begins in if it says no other.
    """
    if is_url(path):
        from upath import UPath  # noqa: PLC0415 - only who has a store waits for it

        with _installed(path):
            return UPath(path)
    local = Path(path.removeprefix("file://").removeprefix("local://"))
    return below / local if below else local


def on_store(path: Place) -> "TypeGuard[UPath]":
    """Whether a place is on a store."""
    return not isinstance(path, Path)


def configure(url: str, options: Mapping[str, Any]) -> None:
    """Let whoever opens a store of such a URL do so with these options, e.g. credentials.

    What others write there is seen at once: listings are not remembered.

    Raises:
        ProjectError: if what speaks with such stores is not installed.
    """
    from fsspec import get_filesystem_class  # noqa: PLC0415
    from fsspec.config import conf  # noqa: PLC0415

    with _installed(url):
        protocol = get_filesystem_class(url.partition("://")[0]).protocol
    for name in [protocol] if isinstance(protocol, str) else protocol:
        conf[name] = {"use_listings_cache": False} | conf.get(name, {}) | dict(options)


def options_in_environment(url: str | None) -> dict[str, str]:
    """The variables by which another process opens such a store as this one does."""
    from fsspec.config import conf  # noqa: PLC0415

    protocol = url.partition("://")[0] if url else ""
    return {f"FSSPEC_{protocol.upper()}": json.dumps(conf[protocol])} if protocol in conf else {}


@contextlib.contextmanager
def _installed(url: str) -> Iterator[None]:
    try:
        yield
    except (ImportError, ValueError) as error:
        protocol = url.partition("://")[0]
        package = _PACKAGES.get(protocol)
        how = (
            "`uv sync --frozen --extra s3`" if package == "s3fs"
            else f"`uv add {package}`" if package else "see fsspec's list of protocols"
        )  # fmt: skip
        raise ProjectError(
            f"{url} is on a store, and what speaks {protocol} is not installed: {how}."
        ) from error


def names_below(folder: "UPath") -> list[str]:
    """The names of all objects below a folder of a store, as they are now; none if it is not there.

    Each is relative to the folder.
    """
    folder.fs.invalidate_cache()
    beginning = f"{folder.path.rstrip('/')}/"
    found = folder.fs.find(beginning)
    return sorted(
        name.removeprefix("/").removeprefix(beginning.removeprefix("/")) for name in found
    )


def tells_apart(url: str) -> bool:
    """Whether what is kept at a URL is told apart by its store, without reading it."""
    return url.partition("://")[0] in _PACKAGES


def state_of(path: "UPath") -> list[tuple[str, str]]:
    """By what a store tells apart an object, or all those below a folder."""
    path.fs.invalidate_cache()
    found = path.fs.find(path.path, detail=True)
    return [(name, _tag_of(about)) for name, about in sorted(found.items())]


def _tag_of(about: Mapping[str, Any]) -> str:
    tags = (about.get(name) for name in ("ETag", "etag", "md5Hash"))
    return str(next(filter(None, tags), about))


def create(file: "UPath", content: bytes) -> bool:
    """Create an object, and say whether it is this one: of those who try at once, one does it.

    Args:
        file: Of a store.
        content: Which nobody else would write there.
    """
    try:
        file.fs.pipe_file(file.path, content, mode="create")
    except FileExistsError:
        # an answer that was lost, and asked for again
        return bool(file.fs.cat_file(file.path) == content)
    except OSError:
        # a store may say in other words that another one is at it
        if not file.fs.exists(file.path):
            raise
        return bool(file.fs.cat_file(file.path) == content)
    return True


def refuse_if_careless(file: "UPath", content: bytes) -> None:
    """See, by an object that is there, whether its store creates one that exists once more.

    Raises:
        ProjectError: if it does, or cannot be asked not to: two writers could not be told apart.
    """
    try:
        file.fs.pipe_file(file.path, content, mode="create")
    except OSError:
        return
    except (NotImplementedError, TypeError, ValueError):
        pass
    raise ProjectError(
        f"The store of {file} writes over what is there although it is asked not to, so that two "
        "promotions at once would both succeed. Nothing has changed. Keep artefacts on a store "
        "with conditional writes (S3, GCS, Azure, MinIO of 2024 or later), or on a disk."
    )


def is_of_store(error: BaseException) -> bool:
    """Whether an error comes from a store, or from those who speak with it."""
    return any(
        name.partition(".")[0] in _DRIVERS
        for cause in causes_of(error)
        for name in (type(cause).__module__, _raised_in(cause))
    )


def _raised_in(error: BaseException) -> str:
    """The module that raised an error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__", "")) if frames else ""

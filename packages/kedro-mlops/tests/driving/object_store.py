"""A store that speaks as S3 does, on a free port; it runs in an environment of its own.

Requests are answered one after the other: what S3 promises of an object that is created only if
there is none, moto keeps only where nobody else is at work.
"""

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

PACKAGES = ("moto[s3]~=5.2", "flask~=3.1", "flask-cors~=6.0")


@dataclass(frozen=True)
class ObjectStore:
    """Where it is, and who may use it: as s3fs is told, and as the environment says it."""

    url: str

    @property
    def options(self) -> dict[str, str]:
        key = {"key": "test", "secret": "test"}  # pragma: allowlist secret
        return {"endpoint_url": self.url, **key}

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",  # pragma: allowlist secret
        }


@contextlib.contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Run the store until the block ends."""
    from uv import find_uv_bin

    more = [part for package in PACKAGES for part in ("--with", package)]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS", "PYTHON", "COV"))}
    server = subprocess.Popen(
        [find_uv_bin(), "run", "--isolated", "--no-project", "--quiet", *more, "python", __file__],
        stdout=subprocess.PIPE, text=True, env=clean, start_new_session=True,
    )  # fmt: skip
    assert server.stdout
    try:
        found = re.match(r"http://\S+", server.stdout.readline())
        assert found, "the store did not start"
        yield ObjectStore(found[0])
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, 15)
        server.communicate()


def _serve() -> None:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    app, lock = DomainDispatcherApplication(create_backend_app), threading.Lock()

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *said):
            pass

    def alone(environ, start_response):
        with lock:
            return app(environ, start_response)

    server = make_server("127.0.0.1", 0, alone, threaded=True, request_handler=Quiet)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    # what is beside this file is no library
    sys.path.pop(0)
    _serve()

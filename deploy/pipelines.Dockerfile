# The pipelines, for what runs them on a schedule: `make image ARGS=--pipelines`, and README.md here.

FROM python:3.11-slim AS uv
RUN pip install --no-cache-dir --disable-pip-version-check --no-compile --target /uv "uv~=0.13.0"

FROM uv AS locked
WORKDIR /app
COPY pyproject.toml uv.lock ./
COPY packages/kedro-mlops/pyproject.toml packages/kedro-mlops/
# other words of `uv export`, e.g. --extra=s3
ARG WITH=""
RUN /uv/bin/uv export --frozen --quiet --no-dev --no-emit-workspace $WITH --output-file /pylock.toml

FROM python:3.11-slim
# a release holds compiled trees, and who makes it has to have a compiler
RUN apt-get -qq update \
    && apt-get -qq install --no-install-recommends gcc libc6-dev >/dev/null \
    && rm -rf /var/lib/apt/lists/* /usr/lib/gcc/*/*/lto1
ENV VIRTUAL_ENV=/app/.venv PATH=/app/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
# anew only if what is locked is another
COPY --from=locked /pylock.toml /
ARG UV_NO_CACHE=true
RUN --mount=type=bind,from=uv,source=/uv/bin,target=/uv \
    /uv/uv venv --quiet --python python3 \
    && /uv/uv pip sync --quiet --link-mode copy --compile-bytecode /pylock.toml \
    && cd .venv/lib/python3*/site-packages \
    && rm -rf pyarrow/include \
    && find . -type d -name tests -prune -exec rm -rf {} + \
    && find . -name '*.p[xy][xdi]' -delete
COPY . .
# all of it is root's, but for what runs write
RUN uv pip install --quiet --no-cache --offline --no-deps --editable packages/kedro-mlops \
    && python -m compileall -q src packages \
    && mkdir -p build conf/local data logs \
    && chown 1034:1034 build data logs
ARG GIT_COMMIT=unknown
ENV GIT_COMMIT=$GIT_COMMIT HOME=/tmp
LABEL org.opencontainers.image.revision=$GIT_COMMIT
USER 1034:1034
CMD ["kedro", "--help"]

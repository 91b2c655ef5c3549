# One vocabulary for people, pre-commit and CI. UV is the one on the PATH, or fetched once with pip.
export BENTOML_DO_NOT_TRACK := True
UV := $(if $(shell command -v uv 2>/dev/null),uv,.uv/bin/uv)
BIN := .venv/bin
# the first engine that answers
BACKEND ?= $(firstword $(foreach engine,docker podman buildah,$(shell $(engine) info >/dev/null 2>&1 && echo $(engine))))
PIPELINES := $(filter --pipelines,$(ARGS))
IMAGE ?= flight-delays$(if $(PIPELINES),-pipelines):latest

.PHONY: help adopt run serve image viz notebook test lint secrets audit clean

help:  ## list what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

adopt: .venv/.synced  ## make the project one about a table: DATA=customers.csv TARGET=churned
	$(BIN)/kedro adopt "$(DATA)" $(if $(TARGET),--target "$(TARGET)") $(ARGS)

run: .venv/.synced  ## walk the whole loop once: data, model, gate, release, scoring, monitoring
	$(BIN)/kedro run $(ARGS)

serve: .venv/.synced  ## serve the champion's release on 127.0.0.1:3000
	$(BIN)/kedro serve $(ARGS)

image: .venv/.synced  ## put the champion's release into a container image; ARGS=--pipelines: the pipelines
	@test -n "$(BACKEND)" || { echo "No docker, podman or buildah answers: install or start one." >&2; exit 1; }
ifdef PIPELINES
	$(BACKEND) build --file deploy/pipelines.Dockerfile --tag $(IMAGE) $(filter-out --pipelines,$(ARGS)) \
	  --build-arg GIT_COMMIT="$$(git describe --always --dirty --abbrev=40 --exclude='*' || echo unknown)" .
else
	release=$$($(BIN)/kedro champion release $(ARGS)) && \
	cd "$${TMPDIR:-/tmp}" && `# BentoML reads its template just below the folder it is called in` \
	"$(CURDIR)/$(BIN)/bentoml" containerize "$$release" --backend $(BACKEND) --image-tag $(IMAGE)
endif

viz: .venv/.synced  ## open the pipelines and their previews in kedro-viz
	$(BIN)/kedro viz run $(ARGS)

# if notebooks
notebook: .venv/.synced  ## open the notebooks in JupyterLab, which is fetched for that and not kept in .venv
	$(UV) run --frozen --with "jupyterlab~=4.6" kedro jupyter lab notebooks/explore.ipynb $(ARGS)

# end
test: .venv/.synced  ## all tests
	$(BIN)/pytest --numprocesses 2 $(ARGS)

# if template
.PHONY: coverage bench soak faults starter

coverage: .venv/.synced  ## the same, and which lines none of them reaches; it takes twice as long
	$(BIN)/pytest --cov --numprocesses 2 $(ARGS)

# end
lint: .venv/.synced  ## formatting, lint, types and the direction of imports
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

secrets: .venv/.synced  ## look for secrets in what git tracks; .secrets.baseline says what is none
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline

audit: | $(filter .uv/%,$(UV))  ## ask for known vulnerabilities of the locked packages; needs the network
	@mkdir -p build
	$(UV) export --frozen --quiet --all-packages --no-emit-workspace --output-file build/locked.txt
	$(UV) tool run "pip-audit~=2.10" --strict --disable-pip --require-hashes --requirement build/locked.txt $(ARGS)

# if template
bench: .venv/.synced  ## measure, side by side, on this machine
	$(BIN)/python -m benchmarks $(ARGS)

soak: .venv/.synced  ## load on the service for ten minutes: does it stay as fast and as small
	$(BIN)/python -m benchmarks.soak $(ARGS)

faults: .venv/.synced  ## kill the real commands at random moments, and look at what they leave
	$(BIN)/python -m benchmarks.faults $(ARGS)

starter: .venv/.synced  ## build what new projects are made of: build/kedro-starter, build/copier-template
	$(BIN)/python -m starter $(ARGS)

# end
clean:  ## remove everything a run made; the environment stays
	git clean -fdxq data logs .viz build

.venv/.synced: pyproject.toml packages/kedro-mlops/pyproject.toml uv.lock | $(filter .uv/%,$(UV))
	$(UV) sync --frozen
	@touch $@

.uv/bin/uv:
	python3 -m pip install --quiet --target .uv "uv~=0.13.0"

# One vocabulary for people, pre-commit and CI. UV is the one on the PATH, or fetched once with pip.
export BENTOML_DO_NOT_TRACK := True
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
BIN := .venv/bin

.PHONY: run test lint serve viz bench faults clean

run: .venv/.synced  ## walk the whole loop once: data, model, gate, release, scoring, monitoring
	$(BIN)/kedro run $(ARGS)

serve: .venv/.synced  ## serve the champion's release on 127.0.0.1:3000
	$(BIN)/kedro serve $(ARGS)

viz: .venv/.synced  ## open the pipelines and their previews in kedro-viz
	$(BIN)/kedro viz run $(ARGS)

test: .venv/.synced  ## all tests, with coverage
	$(BIN)/pytest --cov $(ARGS)

lint: .venv/.synced  ## formatting, lint, types and the direction of imports
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

bench: .venv/.synced  ## measure, side by side, on this machine
	$(BIN)/python -m benchmarks $(ARGS)

faults: .venv/.synced  ## kill the real commands at random moments, and look at what they leave
	$(BIN)/python -m benchmarks.faults $(ARGS)

clean:  ## remove everything a run made; the environment stays
	git clean -fdxq data logs .viz build

.venv/.synced: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen
	@touch $@

.uv/bin/uv:
	python3 -m pip install --quiet --target .uv "uv~=0.13.0"

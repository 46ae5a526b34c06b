# Everything runs in .venv; `make demo` and `make test` are all a newcomer needs.
PYTHON ?= python3
BIN := .venv/bin
PROTO := tenure_proto/v1/monitoring.proto

.DEFAULT_GOAL := help
.PHONY: help setup demo test faults fuzz soak check bench peers quality proto clean

help:                ## this list
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.ready  ## the environment in .venv

.venv/.ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[agent,demo,dev]'
	$(PYTHON) -m venv .venv/protoc
	.venv/protoc/bin/pip install --quiet grpcio-tools==1.80.0 setuptools
	touch .venv/.ready

.venv/.demo: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[agent,demo]'
	touch .venv/.demo

demo: .venv/.demo    ## the main job on 336,776 real flights, in two minutes
	@$(BIN)/tenure-agent demo $(ARGS)

test: setup          ## every test
	$(BIN)/pytest -q $(ARGS)

faults: setup        ## a thousand kills and forks under traffic, 500 damaged stores, full disks, failing calls, jumping clocks
	TENURE_FAULTS=1000 FLIPS=500 $(BIN)/pytest -q tests/faults $(ARGS)

fuzz: setup          ## a million damaged reports through the wire decoder
	TENURE_FUZZ=1000000 $(BIN)/pytest -q tests/faults/test_fuzz.py

soak: setup          ## ten minutes of everything at once; what the agent holds must not grow (TENURE_SOAK: seconds)
	$(BIN)/python tests/faults/soak.py

check: setup         ## lint, types, import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests
	$(BIN)/lint-imports

.venv/.bench: .venv/.ready
	$(BIN)/pip install --quiet --editable '.[bench]'
	touch .venv/.bench

bench: .venv/.bench  ## speed, as ratios measured side by side in one run
	$(BIN)/python -m tests.bench $(ARGS)

peers: .venv/.ready  ## other drift libraries for `make bench`, each in an environment of its own
	for peer in evidently alibi-detect nannyml scouter-ml; do \
	  $(PYTHON) -m venv .venv/peers/$$peer; \
	  .venv/peers/$$peer/bin/pip install --quiet $$peer numpy 'pandas<3' statsmodels || rm -r .venv/peers/$$peer; \
	done

quality: setup       ## false alarms and detections on real streams, beside other rules (TENURE_SHARED: where the data are)
	$(BIN)/python -m tests.quality $(ARGS)

proto: setup         ## regenerate the protobuf code with the oldest supported compiler
	cd proto && ../.venv/protoc/bin/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. $(PROTO)

clean:               ## remove the environment and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis

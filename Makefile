# `make help` lists the targets; `make setup PYTHON=python3.12` picks the interpreter, CPU=1 PyTorch without CUDA.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
GRADIO := .venv/gradio
AUDIT := .venv/audit
ENGINES := outputs/engines
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup train serve test test-fast test-accuracy faults test-kills test-cluster results records pictures-score model ink bench pictures load engines gpu schemas lint audit tensorboard lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY)  ## make the environment in .venv from the lock file (CPU=1: without CUDA, 4 GB smaller)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = "%d.%d" % sys.version_info[:2]; v in ("3.11", "3.12", "3.13") or sys.exit("error: Python is %s, wanted 3.11 to 3.13: make setup PYTHON=python3.12" % v)'
	$(PYTHON) -m venv .venv
ifdef CPU
	$(PIP) --no-deps --index-url https://download.pytorch.org/whl/cpu $$(grep -oE '^torch(vision)?==[^ ]+' requirements.lock)
	awk '/^[a-z]/ { of_cuda = /^torch(vision)?==|^(triton|nvidia|cuda)-?/ } !of_cuda' requirements.lock > .venv/cpu.lock
	$(PIP) --no-deps --require-hashes -r .venv/cpu.lock
else
	$(PIP) --require-hashes -r requirements.lock
endif
	$(PIP) --no-build-isolation --no-deps -e .
	@touch $@

train: $(READY)  ## train the quickstart: 3,500 digits, no download
	$(BIN)/python train.py experiment=quickstart

serve: $(READY)  ## start a page on http://127.0.0.1:8000 that reads the digits you draw
	$(BIN)/digits serve

test: $(READY)  ## run the tests (MNIST_DIR=… adds those on the full set)
	$(BIN)/python -m pytest

test-fast: $(READY)  ## run the tests that need no whole run (a minute or two)
	$(BIN)/python -m pytest -m "not slow"

faults: $(READY)  ## kill, cut off, fill up and flood all parts, in a table and outputs/faults.json (over an hour)
	FAULTS=all $(BIN)/python -m pytest tests/faults --dist worksteal

test-accuracy: $(READY)  ## the tests that train for minutes on full MNIST (MNIST_DIR=…, half an hour)
	@test -n "$(MNIST_DIR)" || { echo "error: MNIST_DIR is not set; wanted the folder that holds MNIST/raw" >&2; exit 2; }
	$(BIN)/python -m pytest -m long --timeout 1800

test-kills: $(READY)  ## a sweep of twelve jobs and a search of twelve trials, each killed five times (four minutes)
	SWEEP_JOBS=12 SWEEP_KILLS=5 $(BIN)/python -m pytest tests/test_sweep.py tests/test_search.py -k killed

test-cluster: $(READY)  ## sweeps and searches on a private Slurm, with killed drivers and nodes (ten minutes)
	CLUSTER_JOBS=6 CLUSTER_KILLS=3 CLUSTER_TRIALS=12 $(BIN)/python -m pytest -n 0 -v tests/test_cluster.py

results: $(READY)  ## make the README's table of results on full MNIST, but for the rows of records (half an hour on two cores); the same command continues it
	$(BIN)/python train.py -m experiment=pixel_similarity,three_vs_seven hydra.sweep.dir=outputs/results/closed_form
	$(BIN)/python train.py -m experiment=book_mlp,workshop_svm,web_cnn seed=1,2,3 hydra.sweep.dir=outputs/results/exercises
	$(BIN)/python train.py -m model=linear,mlp,svm,cnn seed=1,2,3 hydra.sweep.dir=outputs/results/models
	$(BIN)/python train.py -m model=cnn_augmented seed=1,2,3 hydra.sweep.dir=outputs/results/augmented
	$(BIN)/digits compare outputs/results --page outputs/results/comparison.html

records: $(READY)  ## make the table of records on full MNIST (about five hours on two cores); the same command continues it
	$(BIN)/python train.py -m experiment=tiny 'seed=range(31,41)' hydra.sweep.dir=outputs/records/tiny
	$(BIN)/python train.py -m experiment=speedrun 'seed=range(31,41)' hydra.sweep.dir=outputs/records/speedrun
	$(BIN)/python train.py -m model=cnn 'seed=range(31,41)' hydra.sweep.dir=outputs/records/cnn
	$(BIN)/python train.py -m experiment=best_cnn seed=31,32,33,34,35 data.seed=1 hydra.sweep.dir=outputs/records/best_cnn
	$(BIN)/python train.py -m experiment=record seed=31,32,33,34,35 data.seed=1 hydra.sweep.dir=outputs/records/record
	test -f outputs/records/ensemble/report/index.html || { rm -rf outputs/records/ensemble && \
	  $(BIN)/digits export --ensemble outputs/records/best_cnn/? outputs/records/record/? --into outputs/records/ensemble; }
	for run in outputs/records/tiny/? outputs/records/cnn/?; do $(BIN)/digits export $$run --int8 || test $$? = 4 || exit; done
	$(BIN)/digits compare outputs/records --page outputs/records/comparison.html

pictures-score: $(READY)  ## count how many pictures of a folder are read right (DIR=… of files like 7_ann.png, RUN=… or the newest run)
	@test -n "$(DIR)" || { echo "error: DIR is not set; wanted a folder of pictures whose names begin with their digit" >&2; exit 2; }
	$(BIN)/digits score $(RUN) $(DIR)

model: $(READY)  ## train the model that comes with the reader: three teachers, then students with two seeds; keep the better student and write its card (STRANGERS='--photos DIR …' adds figures; about three hours on two cores); the same command continues it
	$(BIN)/python train.py -m experiment=reader seed=0,1 'model.stages=[[16,32],[32,64],[128]]' hydra.sweep.dir=outputs/model/small
	$(BIN)/python train.py -m experiment=reader seed=11 'model.stages=[[16,32],[48,96],[192]]' hydra.sweep.dir=outputs/model/wide
	test -f outputs/model/teacher/report/index.html || { rm -rf outputs/model/teacher && \
	  $(BIN)/digits export --ensemble outputs/model/small/? outputs/model/wide/0 --into outputs/model/teacher; }
	$(BIN)/python train.py -m experiment=reader seed=0,1 model.teacher=outputs/model/teacher hydra.sweep.dir=outputs/model/student
	$(BIN)/python scripts/model.py outputs/model/student/? $(STRANGERS)

ink: $(READY)  ## train the network that finds the ink on photographs, on drawn scenes (forty minutes on two cores); the same command continues it
	$(BIN)/python -m digits.ink

bench: $(READY)  ## measure speed next to plain reference loops, for the README's table (an hour; on a machine that does nothing else)
	$(BIN)/python scripts/benchmark/speed.py

pictures: $(READY)  ## make the pictures of README and docs again with full MNIST (needs Chromium; an hour the first time)
	$(BIN)/python scripts/pictures.py

load: $(READY) $(GRADIO)/.ready  ## measure how many pictures a second the server answers, next to Gradio (RUN=… or the quickstart)
	test -n "$(RUN)" || $(BIN)/python train.py experiment=quickstart run_folder=outputs/load
	$(BIN)/digits draw digits outputs/drawn --each 2 --first 0
	$(BIN)/python scripts/benchmark/load.py $(or $(RUN),outputs/load) $(GRADIO)/bin/python outputs/drawn/?_canvas_*.png

engines: $(READY)  ## run the models in other engines, each in an environment of its own, and renew the table of docs/engines.md (ten minutes, 2 GB)
	$(BIN)/python train.py -m data=mnist_5k model=linear,mlp,lenet,cnn,svm,pixel_similarity trainer.max_epochs=2 hydra.sweep.dir=$(ENGINES)/runs
	test -f $(ENGINES)/ensemble/report/index.html || { rm -rf $(ENGINES)/ensemble && \
	  $(BIN)/digits export --ensemble $(ENGINES)/runs/1 $(ENGINES)/runs/3 --into $(ENGINES)/ensemble; }
	$(BIN)/digits export $(ENGINES)/runs/3 --int8
	$(BIN)/python scripts/benchmark/engines.py $(ENGINES)/runs/? $(ENGINES)/ensemble

schemas: $(READY)  ## write .schemas/, with which an editor completes the keys of the configs and checks their values
	$(BIN)/python scripts/schemas.py .schemas

gpu: $(READY)  ## check on this machine's GPU that everything works there (ten minutes)
	$(BIN)/python -m pytest -m gpu -n 0 -s tests/test_real_gpu.py

$(GRADIO)/.ready: $(READY)
	$(PYTHON) -m venv $(GRADIO)
	$(GRADIO)/bin/python -m pip install --quiet --disable-pip-version-check gradio -e .
	@touch $@

lint: $(READY)  ## check style, format, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A hole that does no harm here stands in ACCEPTED as `--ignore-vuln ID`, beside why, and the day it is looked at again.
ACCEPTED :=

audit: $(AUDIT)/.ready  ## look for known holes in the packages of the lock file (needs a source of advisories)
	@$(AUDIT)/bin/pip-audit --requirement requirements.lock --disable-pip --require-hashes --strict $(ACCEPTED) 2> $(AUDIT)/said.txt; code=$$?; \
	  grep -E '^(No known|Found) ' $(AUDIT)/said.txt && exit $$code; \
	  echo "error: no advisories: $$(grep . $(AUDIT)/said.txt | tail -n 1 | sed 's/^ERROR:[^:]*://'); wanted a source that can be reached" >&2; exit 1

$(AUDIT)/.ready:
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	@touch $@

tensorboard: $(READY)  ## look at all runs in TensorBoard
	$(BIN)/tensorboard --logdir outputs

lock:  ## choose versions again within the ranges of pyproject.toml (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --upgrade \
		--custom-compile-command "make lock" --quiet --extra train --extra serve --group dev pyproject.toml -o requirements.lock

clean:  ## remove the environment and the caches; runs and data stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two commands do everything on a fresh machine with Python >= 3.11:
#   make compare [DATA=path-or-name] [SEEDS=n]   install, run the main comparison, print the table
#   make test                                    install, lint, type-check, run the tests
# Also: make tune DATA=... (settings of every method, hours), make test-slow (real data, long), make results (all documents
# anew from results/), make bench (speed).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA ?= synthetic
SEEDS ?= 1
OUT ?= runs
# Settings of the runs. On the built-in data few steps show how it works in about three minutes; real logs need the default.
SETTINGS ?= $(if $(filter synthetic,$(DATA)),--training.max_steps 80)

TUNED := item_knn repeat_then_item_knn ease mean_pooling gru4rec sasrec nonlinear mind comirec_dr comirec_sa remi adaptive adaptive_sequence pinnersage sparse_routing codebook_routing diffusion_posterior diffusion_set diffusion_beside
TRIALS ?= 12

.PHONY: install compare tune test test-slow lint results bench clean

install: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"adaptive-mi needs Python >= 3.11, found {v.major}.{v.minor}; call make with PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

compare: $(STAMP)
	$(BIN)/adaptive-mi study compare --data $(DATA) --seeds $(SEEDS) --out $(OUT) --resume $(SETTINGS)

tune: $(STAMP)
	for method in $(TUNED); do $(BIN)/adaptive-mi tune $$method --data $(DATA) --trials $(TRIALS) --out $(OUT) || exit 1; done

test: $(STAMP) lint
	$(BIN)/python -m pytest -n auto --dist loadgroup

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

results: $(STAMP)
	$(BIN)/adaptive-mi report results --document RESULTS.md --readme README.md

bench: $(STAMP)
	$(BIN)/adaptive-mi bench evaluation
	$(BIN)/adaptive-mi bench training
	$(BIN)/adaptive-mi bench clustering

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache

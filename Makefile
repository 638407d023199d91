# Every target works from a bare clone: Python 3.11+, git and make are all it needs.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help venv demo test acceptance check bench bench-films thesis format docs update clean

help:
	@echo "make demo        a drawn raw archive, a dataset from it, two models trained on it"
	@echo "make test        the tests"
	@echo "make acceptance  the long tests: many kills, many seeds"
	@echo "make check       ruff, mypy, import rules"
	@echo "make bench       speed and memory, as ratios"
	@echo "make bench-films  what the steps make of known changes, the thesis' methods beside ours"
	@echo "make thesis      the thesis' story on drawn films: trains for about an hour, goes on where it stopped"
	@echo "make format      ruff format and fixes"
	@echo "make docs        the generated pages"
	@echo "make update      newest versions into constraints.txt"
	@echo "make clean       remove .venv, demo and caches"

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "radforge needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: venv
	$(BIN)/python -m tests.demo

test: venv
	$(BIN)/python -m pytest -q -m "not acceptance"

acceptance: venv
	$(BIN)/python -m pytest -q -m acceptance

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: venv
	$(BIN)/python -m tests.benchmark

bench-films: venv
	$(BIN)/python -m tests.films

thesis: venv
	$(BIN)/python -m tests.thesis

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: venv
	$(BIN)/python -m tests.generate_docs

update:
	rm -rf .venv-update
	$(PYTHON) -m venv .venv-update
	.venv-update/bin/python -m pip install --quiet '.[dev]'
	.venv-update/bin/python -m pip freeze --exclude radforge --exclude-editable > constraints.txt
	rm -rf .venv-update

clean:
	rm -rf .venv .venv-update demo thesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Everything a developer needs; each target sets up what it wants by itself, once.
PYTHON ?= python3
# Another Python has an environment of its own: make test PYTHON=python3.13
VENV   := .venv$(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
BIN    := $(VENV)/bin
# A shim of pyenv fails where the version is not the chosen one, although it is installed.
FOUND   = $(or $(shell $(PYTHON) -c 'import sys; print(sys.executable)' 2>/dev/null \
	|| ls -v $(HOME)/.pyenv/versions/*/bin/$(PYTHON) 2>/dev/null | tail -n 1),$(PYTHON))
ARGS   ?=
COUNT  ?=
# As many tests at once as there are cores, four at most; ARGS=-n0 runs one after the other.
PYTEST = $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal
GATE   = --cov --cov-fail-under=95
# The tests start hundreds of programs, which would all be compiled again.
unexport PYTHONDONTWRITEBYTECODE
MINUTES ?= 30
SECONDS ?= 60

.PHONY: all run demo test test-all test-families test-pythons lint type cov memory e2e-amp e2e-agents e2e-browser live-pictures agent-pictures smuggling matrix restarts fuzz soak bench bench-check bench-record instructions differential dist clean install

all: test

install: $(VENV)/.installed $(VENV)/.installed-dev

# `pip install -e` is repeated only when pyproject.toml is newer than the stamp.
$(VENV)/bin/python:
	$(FOUND) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ampmap needs Python 3.11 or newer; say make PYTHON=python3.12")'
	$(FOUND) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@

run: $(VENV)/.installed
	$(BIN)/ampmap $(ARGS)

demo: $(VENV)/.installed
	$(BIN)/ampmap demo $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(VENV)/.installed-dev
	$(BIN)/mypy

# Of the large generated families (tests/support/samples.py) a sample; AMPMAP_SEED=x takes another one, COVER=1 measures coverage.
test: lint type
	$(PYTEST) $(if $(COVER),$(GATE)) $(ARGS)

# All of them, with coverage.
test-all: lint type
	AMPMAP_ALL=1 $(PYTEST) $(GATE) $(ARGS)

# The families of which `make test` runs a sample, whole; of the other tests none.
test-families: $(VENV)/.installed-dev
	AMPMAP_ALL=1 $(PYTEST) -q -m 'sample or hypothesis' \
		$$(grep -rlE '^from hypothesis import|mark\.sample' tests --include='test_*.py') $(ARGS)

# `make test` on the oldest and the newest Python of this machine, each in an environment of its own.
PYTHONS = $(shell for minor in 11 12 13 14 15; do \
	{ python3.$$minor -c '' || ls $(HOME)/.pyenv/versions/3.$$minor.*/bin/python; } >/dev/null 2>&1 && echo python3.$$minor; done)
test-pythons:
	for python in $(sort $(firstword $(PYTHONS)) $(lastword $(PYTHONS))); do $(MAKE) test PYTHON=$$python || exit; done

cov: $(VENV)/.installed-dev
	AMPMAP_ALL=1 $(PYTEST) -q --cov --cov-report=term-missing $(ARGS)

# Memory by the kernel's count: a hundred clients with 20 MB each. Two minutes and 3 GiB.
memory: $(VENV)/.installed-dev
	AMPMAP_MEMORY=full $(BIN)/python -m pytest -q -s --tb=short tests/promises/test_memory.py $(ARGS)

# Requests and replies that two readers could cut differently, with nginx as one of them where it is installed.
smuggling: $(VENV)/.installed-dev
	AMPMAP_ALL=1 $(BIN)/python -m pytest -q -rs tests/promises/test_smuggling.py tests/promises/test_injection.py tests/promises/test_forged_names.py tests/promises/test_other_paths.py tests/promises/test_differential.py $(ARGS)

# Whoever breaks, whenever and however: the fault matrix alone, with its cells counted.
matrix: $(VENV)/.installed-dev
	AMPMAP_ALL=1 $(BIN)/python -m pytest -q tests/promises/test_fault_matrix.py $(ARGS)

# The real Amp CLI and Claude Code from the npm registry, off the network; says what it lacks where it can't be run.
e2e-amp: $(VENV)/.installed-dev
	AMPMAP_E2E=1 $(BIN)/python -m pytest -q -rfE --tb=short tests/e2e/test_amp_cli.py tests/e2e/test_claude_code.py $(ARGS)

# Other agents, SDKs and llm likewise, and LiteLLM as a provider: tests/e2e/README.md. Some of it: ARGS='-k codex'; another
# release: AMPMAP_CODEX_VERSION=latest.
e2e-agents: $(VENV)/.installed-dev
	AMPMAP_E2E=1 $(BIN)/python -m pytest -q -rfE --tb=short tests/e2e/test_agents.py tests/e2e/test_aider.py \
		tests/e2e/test_programs.py tests/e2e/test_litellm.py tests/e2e/test_strict.py $(ARGS)

# Web pages in a real, headless Chromium; on Debian root has it installed, elsewhere one line says what is missing.
e2e-browser: $(VENV)/.installed-dev
	@test -n "$$AMPMAP_CHROMIUM" && exit; \
	for name in chromium chromium-browser google-chrome google-chrome-stable; do command -v $$name >/dev/null && exit; done; \
	test "$$(id -u)" = 0 && apt-get install -qq -y --no-install-recommends chromium >/dev/null 2>&1 && exit; \
	echo 'make e2e-browser: no Chromium here; install it (on Debian: apt-get install chromium) or set AMPMAP_CHROMIUM'; \
	exit 1
	AMPMAP_BROWSER=1 $(BIN)/python -m pytest -q --tb=short tests/browser $(ARGS)

# The live page as it looks while real agents work.
live-pictures: $(VENV)/.installed-dev
	PYTHONPATH=tests:tests/support $(BIN)/python -m e2e.live_page tests/browser

# The screens of Claude Code and Codex before ampmap, in tmux.
agent-pictures: $(VENV)/.installed-dev
	PYTHONPATH=tests:tests/support $(BIN)/python -m e2e.screens tests/e2e

# One proxy takes over from the other on an inherited socket, under load: make restarts COUNT=1000
restarts: $(VENV)/.installed-dev
	$(BIN)/python tests/support/restarts.py $(or $(COUNT),100)

# Mixed traffic with faults, kills and reloads, then 1000 restarts; shorter with MINUTES=5 COUNT=20, again the same with
# ARGS='--seed N'.
soak: $(VENV)/.installed-dev
	PYTHONPATH=tests:tests/support $(BIN)/python -m soak --minutes $(MINUTES) $(ARGS)
	$(BIN)/python tests/support/restarts.py $(or $(COUNT),1000)

# Coverage-guided, SECONDS for each target (ARGS names some of them); what is found is added to tests/fuzz/corpus.
fuzz: $(VENV)/.installed-fuzz
	PYTHONPATH=tests:tests/support $(BIN)/python -m fuzz.run --seconds $(SECONDS) --work $(VENV)/fuzz $(ARGS)

$(VENV)/.installed-fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz
	@touch $@

# Beside nginx where it is installed: make bench [QUICK=1] [WORKS="small streams"] [PEERS="litellm switchyard"] [UVLOOP=1]
BENCH = PYTHONPATH=tests:tests/support $(BIN)/python -m benchmarks $(if $(WORKS),--works "$(WORKS)") $(if $(PEERS),--peers "$(PEERS)") \
	$(if $(UVLOOP),--uvloop) $(ARGS)

bench: $(VENV)/.installed-dev $(if $(UVLOOP),$(VENV)/.installed-uvloop)
	$(BENCH) $(if $(QUICK),--quick)

# Fails if a ratio is much worse than the one in tests/benchmarks/baseline.json; bench-record writes that file.
bench-check: $(VENV)/.installed-dev
	$(BENCH) --quick --check

bench-record: $(VENV)/.installed-dev
	$(BENCH) --quick --record

# Instructions per request, event and 5 MB body under valgrind: within 1 % of another run. ARGS='--tree DIR' for another checkout.
instructions: $(VENV)/.installed-dev
	PYTHONPATH=tests:tests/support $(BIN)/python -m benchmarks.instructions $(ARGS)

$(VENV)/.installed-uvloop: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[uvloop]'
	@touch $@

# Translated requests and replies beside LiteLLM's, in an environment of its own: LiteLLM wants other versions of the SDKs.
differential: $(VENV)-differential/.installed
	$(VENV)-differential/bin/python -m pytest -q -rs tests/formats/test_beside_litellm.py tests/formats/test_replies_beside_litellm.py $(ARGS)

$(VENV)-differential/.installed: pyproject.toml | $(VENV)/bin/python
	$(FOUND) -m venv $(VENV)-differential
	$(VENV)-differential/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(VENV)-differential/bin/python -m pip install --quiet --disable-pip-version-check --editable . --group dev --group differential
	@touch $@

# A wheel and a source distribution in dist/, as they would be published.
dist: $(VENV)/.installed-dist
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/*

$(VENV)/.installed-dist: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dist
	@touch $@

clean:
	rm -rf .venv .venv-* bench .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

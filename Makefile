# make say    installs what speaking takes, without PyTorch, and speaks a sentence with a real voice
# make setup  installs everything
# make test   installs everything and runs the tests, but for the slow ones (make test-slow)
# make dist   builds a wheel and a source distribution of everything
# make docs   builds the documentation as a site
PYTHON ?= python3
TEXT ?= The quick brown fox jumps over the lazy dog, and nobody minds.
OUT ?= hello.wav
VOICE ?= joe-fast

UV := .venv/bin/uv
STAMP := .venv/.installed
LIGHT := .venv/.light-$(notdir $(VOICE))
LIGHT_PACKAGES := core plugins/onnx plugins/espeak plugins/english $(wildcard plugins/$(VOICE))
PROJECTS := pyproject.toml $(wildcard core/pyproject.toml core/setup.py plugins/*/pyproject.toml)
SOURCES := $(wildcard core/src/allophone/alignment/*.c core/src/allophone/alignment/build_*.py)

.PHONY: setup say test test-slow lint version dist check-dist docs corpora benchmarks clean

setup: $(STAMP)

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Allophone needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv .venv

$(UV): .venv/bin/python
	.venv/bin/python -m pip install --quiet uv

$(STAMP): $(UV) $(PROJECTS) $(SOURCES)
	$(UV) pip install --quiet --python .venv/bin/python --reinstall-package allophone \
		--editable "core[g722]" --editable "plugins/espeak[phonemizer]" --editable "plugins/vits[export,piper]" --editable "plugins/prosody[librosa,praat]" --editable "plugins/serve[wyoming]" \
		$(addprefix --editable ,$(filter-out plugins/espeak plugins/prosody plugins/serve plugins/vits,$(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml)))) \
		--group dev
	touch $@

# Part of what setup installs.
$(LIGHT): $(UV) $(PROJECTS) $(SOURCES)
	$(UV) pip install --quiet --python .venv/bin/python --reinstall-package allophone \
		$(addprefix --editable ,$(LIGHT_PACKAGES))
	touch $@

say: $(if $(wildcard $(STAMP)),$(STAMP),$(LIGHT))
	.venv/bin/allophone say "$(TEXT)" --voice "$(VOICE)" --out "$(OUT)"

PYTEST := ALLOPHONE_STRICT_PLUGINS=1 OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist worksteal --hypothesis-profile=ci

test: setup
	$(PYTEST) -m "not slow"

test-slow: setup
	$(PYTEST) -m slow

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy core/src plugins/*/src tools benchmarks

# make version V=0.2.0
version:
	$(PYTHON) tools/set_version.py "$(V)"

# Everything is built from its source distribution. On Linux the core's wheel, which holds machine code, gets
# the tag of the oldest glibc that it runs with.
dist: $(UV)
	$(UV) pip install --quiet --python .venv/bin/python --group dist
	rm -rf dist
	for project in $(patsubst %/pyproject.toml,%,$(wildcard core/pyproject.toml plugins/*/pyproject.toml)); do \
		$(UV) build --quiet --python .venv/bin/python --out-dir dist "$$project" || exit 1; \
	done
	if [ "$$(uname)" = Linux ]; then \
		PATH=".venv/bin:$$PATH" auditwheel repair --wheel-dir dist dist/allophone-*-linux_*.whl && \
		rm dist/allophone-*-linux_*.whl; \
	fi
	.venv/bin/twine check --strict dist/*

# Installs from dist/ into fresh environments, which takes some minutes.
check-dist: dist
	.venv/bin/python tools/check_dist.py

docs: $(UV)
	$(UV) pip install --quiet --python .venv/bin/python --group docs
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet --site-dir build/site


# Reads, prepares and extracts the real corpora that Debian packages; needs apt.
corpora: setup
	.venv/bin/python benchmarks/corpora.py

benchmarks: setup
	$(UV) pip install --quiet --python .venv/bin/python --group benchmarks
	for benchmark in startup alignment synthesis; do .venv/bin/python benchmarks/$$benchmark.py; done

clean:
	rm -rf .venv build dist

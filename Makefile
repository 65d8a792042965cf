# The two commands. uv is fetched into .tools/ if the machine has none; nothing else is needed but Python 3.11+.

UV_VERSION := 0.13.9
UV := $(or $(shell command -v uv 2>/dev/null),.tools/bin/uv)

# The interpreter is the machine's own: nothing is downloaded but packages.
export UV_PYTHON_DOWNLOADS := never

.PHONY: run check long smoke docs
run: $(UV)
	$(UV) run server.py

# Some fifty processes import the same packages: they are compiled once, with the installation.
check: export UV_COMPILE_BYTECODE := 1
check: export PYTHONDONTWRITEBYTECODE :=
check: $(UV)
	$(UV) run poe check

# CI's other jobs.
long smoke docs: $(UV)
	$(UV) run poe $@

.tools/bin/uv:
	python3 -m venv .tools && .tools/bin/python -m pip install --quiet uv==$(UV_VERSION) \
	  || { rm -rf .tools; python3 -m pip install --quiet --target .tools uv==$(UV_VERSION); }

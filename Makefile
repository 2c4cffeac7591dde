# make run     build what is missing and serve on http://127.0.0.1:8000 (HOST, PORT, DATABASE_URL, ... from the environment)
# make test    build what is missing and run the tests, on all cores; ARGS goes to pytest: make test ARGS="-k stream -x",
#              and ARGS="-n 0" runs them one by one
# make bench   compare with what people would otherwise run (Linux, Node.js); ARGS="--quick" for four minutes
# make lint    what must be clean before a change goes in
# make format  let ruff rewrite what it can
# make screenshots   take the pictures of docs/screenshots anew; ARGS="long 375" takes only some
# make bench-reading   measure what reading a provider's stream costs, beside plain httpx; ARGS="--rounds 5" goes to it
# make catalogue   write providers/catalogue.json from the newest releases of the packages it comes from
# make catalogue-check   fail where the catalogue is old or a suggested model retires soon; depends on the day
# make clean   remove the environments and caches; never the data
#
# PYTHON=/path/to/python chooses the interpreter; otherwise the newest fitting one is found.

# Somebody else's packages must not leak into our environments.
unexport PYTHONPATH
unexport PYTHONHOME

RUN = .venv/bin/python
DEV = .venv-dev/bin/python

# Checking the code starts Django, but never this service: these values guard nothing.
LINT_ENV = SECRET_KEY=only-for-static-checks-and-long-enough-for-them DATA_DIR=.mypy_cache DEBUG=0 \
	DATABASE_URL= REDIS_URL= DJANGO_SETTINGS_MODULE=chatproject.settings

.PHONY: run catalogue catalogue-check test bench bench-reading screenshots lint format clean

run:
	@sh scripts/environment.sh .venv requirements.txt
	@exec $(RUN) -m chatproject.launch

test:
	@sh scripts/environment.sh .venv-dev requirements-dev.txt
	@exec $(DEV) -m pytest -n auto --maxschedchunk 1 $(ARGS)

bench:
	@sh scripts/environment.sh .venv-dev requirements-dev.txt
	@exec $(DEV) -m benchmarks $(ARGS)

lint:
	@sh scripts/environment.sh .venv-dev requirements-dev.txt
	$(DEV) -m ruff check .
	$(DEV) -m ruff format --check .
	@mkdir -p .mypy_cache
	$(LINT_ENV) $(DEV) -m mypy
	$(DEV) -c 'from importlinter.cli import lint_imports_command as lint; lint()'
	$(LINT_ENV) $(DEV) manage.py makemigrations --check --dry-run

format:
	@sh scripts/environment.sh .venv-dev requirements-dev.txt
	$(DEV) -m ruff check --fix .
	$(DEV) -m ruff format .

bench-reading:
	@sh scripts/environment.sh .venv-dev requirements-dev.txt
	@$(DEV) -m benchmarks.reading $(ARGS)

screenshots:
	@sh scripts/environment.sh .venv-dev requirements-dev.txt
	@$(DEV) scripts/screenshots.py $(ARGS)

catalogue:
	@sh scripts/environment.sh .venv-dev requirements-dev.txt
	@$(DEV) scripts/catalogue.py make

catalogue-check:
	@sh scripts/environment.sh .venv-dev requirements-dev.txt
	@$(DEV) scripts/catalogue.py check

clean:
	rm -rf .venv .venv-dev .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache test-output
	find accounts chat chatproject providers scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

# What people run. `make demo` and `make test` need nothing but Python 3.11 (venv, pip), make and git.
PYTEST = .venv/bin/python -m pytest -q
UNIT = $(PYTEST) -n 2 --dist loadfile -m "not integration and not long"
RUNTIME_PACKAGES = nftables=nft iproute2=ip
TEST_PACKAGES = kubernetes-client=kubectl curl=curl socat=socat iptables=iptables openssl=openssl etcd-server=etcd \
  postgresql=pg_lsclusters postgresql-client=psql redis-server=redis-server redis-tools=redis-cli \
  mariadb-server=mariadbd mariadb-client=mariadb
BROWSER_PACKAGES = chromium=chromium chromium-driver=chromedriver
BENCH_PACKAGES = nghttp2-client=h2load nginx-light=nginx haproxy=haproxy

.PHONY: setup setup-test setup-browser demo test all-tests check fix golden bench soak conformance docs clean

setup:
	@tools/setup.sh $(RUNTIME_PACKAGES)

setup-test:
	@tools/setup.sh $(RUNTIME_PACKAGES) $(TEST_PACKAGES)

setup-browser:
	@tools/setup.sh $(RUNTIME_PACKAGES) $(TEST_PACKAGES) $(BROWSER_PACKAGES)

demo: setup
	@.venv/bin/plait demo

# Tests marked `alone` count lost calls and have the machine to themselves; all others with real processes share it.
test: check-static
	$(UNIT)
	$(PYTEST) -n 2 --dist loadfile -m "integration and not long and not alone"
	$(PYTEST) -m "integration and not long and alone"

all-tests: check-static setup-browser
	$(UNIT)
	$(PYTEST) -m "integration or long"

check: check-static
	$(UNIT)

# A prerequisite, not a command, of all that tests: whatever is asked for together, the types are checked once.
.PHONY: check-static
check-static: typings/.complete
	@mkdir -p build
	.venv/bin/ruff format --check -q .
	.venv/bin/ruff check -q .
	.venv/bin/codespell -q 3 src tests docs examples bench conformance README.md ARCHITECTURE.md CONTRIBUTING.md
	.venv/bin/lint-imports --no-cache >build/imports.log || { cat build/imports.log; exit 1; }
	.venv/bin/pyright --warnings
	.venv/bin/python tools/reference.py --check

fix: setup
	.venv/bin/ruff format -q .
	.venv/bin/ruff check -q --fix .

golden: setup
	PLAIT_UPDATE_GOLDEN=1 $(PYTEST) tests/compiler

bench:
	@tools/setup.sh $(RUNTIME_PACKAGES) $(BENCH_PACKAGES)
	.venv/bin/python -m bench

soak: setup
	.venv/bin/python -m bench.soak

conformance: setup
	.venv/bin/python -m conformance

docs: setup
	.venv/bin/python tools/reference.py

typings/.complete: tools/stubs.py uv.lock $(shell grep -rl --include=*.py _pb2 src tests 2>/dev/null) | setup-test
	.venv/bin/python tools/stubs.py

clean:
	rm -rf .venv .uv build typings

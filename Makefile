# JetStream is built and checked by these targets; `make help` lists them.
# Everything but `race`, `check` and `lint` needs the Go tool chain alone.

GO       ?= go
# What --version shows: the tag, else the commit, else "dev" outside a checkout.
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# How long each fuzz target runs, and which benchmarks run how often.
FUZZTIME ?= 10s
BENCH    ?= .
COUNT    ?= 1
# How often make crash ends a server.
KILLS    ?= 300

# How many transfers make soak makes, and what it draws from (0: the clock).
TRANSFERS ?= 200
# How long make endure takes.
DURATION  ?= 2h
SEED      ?= 0

# The linter's version stands in tools/lint/go.mod, apart from the program's
# own dependencies. Its file name holds that version, so a new one is built anew.
LINT_PACKAGE := github.com/golangci/golangci-lint/v2
LINT_VERSION := $(shell awk '$$1 == "$(LINT_PACKAGE)" { print $$2 }' tools/lint/go.mod)
LINT         := bin/golangci-lint-$(LINT_VERSION)

# What makes the packages, likewise.
NFPM_PACKAGE := github.com/goreleaser/nfpm/v2
NFPM         := bin/nfpm-$(shell awk '$$1 == "$(NFPM_PACKAGE)" { print $$2 }' tools/nfpm/go.mod)

.DEFAULT_GOAL := help
.PHONY: help build snapshot image image-test packages package-test demo test race lint fuzz hazards crash soak endure bench bench-transfer clients generate check check-document \
	check-modules check-format check-platforms check-generated check-short check-outside compiler

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

COMMIT = $(shell git describe --always --abbrev=40 --exclude "*" --dirty=+ 2>/dev/null)

build: ## Build bin/jetstream, one static file (VERSION=... names it)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.version=$(VERSION) -X main.commit=$(COMMIT)' -o bin/ ./cmd/jetstream

# The time of all files of a release: that of the commit.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null)
SNAPSHOT := $(GO) run ./tools/snapshot -version '$(VERSION)' -commit '$(COMMIT)' -epoch '$(or $(SOURCE_DATE_EPOCH),-1)'

snapshot: ## Make the files of a release in dist/: archives, packages, image, SBOMs, checksums
	rm -rf dist
	$(SNAPSHOT) archives
	@if grep -q '^packages:' $(MAKEFILE_LIST); then $(MAKE) --no-print-directory packages; fi
	@if command -v mmdebstrap >/dev/null; then $(MAKE) --no-print-directory image; \
	else echo "SKIPPED: no mmdebstrap here: dist has no OCI image"; fi
	$(SNAPSHOT) sums

image: ## Make an OCI image in dist/ without a container engine (mmdebstrap, and root or user namespaces)
	$(SNAPSHOT) image

image-test: ## Make the image twice, and run it by crun: users, a transfer, a seed script, SIGTERM (root)
	rm -rf dist/image-test
	@for n in 1 2; do $(SNAPSHOT) -out dist/image-test/$$n image || exit 1; done
	cmp dist/image-test/1/jetstream-*.tar dist/image-test/2/jetstream-*.tar
	$(GO) test ./tools/snapshot -run 'TestImageRuns$$' -count 1 -v -image "$$(ls $(CURDIR)/dist/image-test/1/jetstream-*.tar)"

demo: build ## Show everything once: two servers, real files, real triggers (KEEP=1 leaves them up until Ctrl-C)
	bin/jetstream demo

test: ## Run all tests; nothing else need be installed
	CGO_ENABLED=0 $(GO) run ./tools/testlog ./...
	cd tests && CGO_ENABLED=0 $(GO) run ../tools/testlog ./...

# What is not instrumented is SQLite, which was C, and a password hash: both keep
# their memory to themselves, and with them the suite takes twice the time.
RACE := -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false -gcflags=golang.org/x/crypto/argon2=-race=false

# The work of these is done by other programs, of which the race detector sees nothing.
OUTSIDE := TestManual|TestBatchFilesInAWindowsServer|TestGeneratedGoClients|TestGeneratedTypeScriptClients|TestCompletionInShells|TestDocsSamplesRun

race: compiler ## Run the tests under the race detector, but those of other programs; needs a C compiler
	CGO_ENABLED=1 $(GO) run ./tools/testlog $(RACE) -timeout 30m -skip '^($(OUTSIDE))$$' ./...
	cd tests && CGO_ENABLED=1 $(GO) run ../tools/testlog $(RACE) ./...

lint: check-format $(LINT) ## Check format, vet and run golangci-lint (the first time builds it, some minutes)
	$(GO) vet ./...
	$(LINT) run ./...
	cd tests && $(GO) vet ./... && ../$(LINT) run ./...

fuzz: ## Run every fuzz target for FUZZTIME (10s)
	@list=$$($(GO) test -list '^Fuzz' ./...) || { echo "$$list"; exit 1; }; \
	echo "$$list" | awk '/^Fuzz/ { name[++n] = $$1 } /^ok/ { for (i = 1; i <= n; i++) print $$2, name[i]; n = 0 }' | \
	while read -r package target; do \
		echo "== $$package $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" || exit 1; \
	done

hazards: ## Take out each protection of docs/internals/hazards.md and see its test fail (two minutes)
	$(GO) test ./docs -run 'TestHazards$$' -take-out -v -count 1 -timeout 20m

crash: ## End two servers KILLS (300) times at random moments and see that nothing is lost (some five minutes)
	$(GO) test ./cmd/jetstream -run TestRandomKillsLoseNothing -v -count 1 -timeout 60m -kills $(KILLS)

soak: ## Send TRANSFERS (200) trees over a bad link while servers are killed and transfers steered (some five minutes; SEED=n)
	$(GO) test ./cmd/jetstream -run 'TestSoak$$' -v -count 1 -timeout 60m -soak $(TRANSFERS) -soak.seed $(SEED)

endure: ## Load two servers for DURATION (2h) and see that memory, files and goroutines stay level
	$(GO) test ./cmd/jetstream -run 'TestEndurance$$' -v -count 1 -timeout 24h -endure $(DURATION)

bench: ## Run the benchmarks, some four minutes (BENCH=pattern, COUNT=1)
	@$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime 3s -count $(COUNT) -timeout 15m ./... | \
		awk '/^Benchmark|_test\.go:|FAIL|panic/ { print; fflush() } /^Benchmark/ { n++ } /FAIL|panic/ { bad = 1 } \
			END { if (!n) print "no benchmark has such a name"; exit bad || !n }'

bench-transfer: build ## Measure transfers against scp, rsync, rclone, GridFTP (Linux, an hour with all; ARGS="-help" lists what to choose)
	$(GO) run ./tools/benchtransfer -jetstream bin/jetstream $(ARGS)

packages: $(NFPM) ## Build the deb and rpm packages for amd64 and arm64 into dist/
	NFPM=$(NFPM) GO=$(GO) VERSION=$(VERSION) COMMIT=$(COMMIT) packaging/build.sh

package-test: $(NFPM) ## Install, upgrade, remove and purge the packages in a booted system (Debian, root, network; some minutes)
	NFPM=$(NFPM) GO=$(GO) packaging/test/run.sh

clients: ## Fetch what the tests of generated clients want (network; npm where node is)
	cd tools/clients/go && $(GO) mod download
	cd tools/clients/ogen && $(GO) mod download
	@if command -v npm >/dev/null; then cd tools/clients && npm ci --no-audit --no-fund --loglevel=error; \
	else echo "SKIPPED: no npm here: the TypeScript client and the linter of openapi.json are left out"; fi

# The attacks whose tables stand in docs/internals/attacks.md.
ATTACKS := TestEveryRouteAndMethodIsGuarded|TestPagesOfOtherSitesAreRefused|TestTraversal|TestOversizedAndAmbiguousRequestsAreRefused|TestGuessingIsSlowed|TestClientAddressBehindAProxy|TestSettingsAreFrozen

# The document shows the replies, and is built into the program: hence last.
generate: ## Write what is made from the declarations: openapi.json with its examples, the tables in docs and README, man pages
	$(GO) test ./cmd/jetstream -run 'TestRepliesAreAsDocumented|TestTablesAreFresh|TestManPagesAreFresh|$(ATTACKS)' -count 1 -update
	$(GO) test ./cmd/jetstream -run TestOpenAPIDocumentIsFresh -count 1 -update

# What fails soonest and costs least comes first. Every test runs once, under the race
# detector or in check-outside; those that -short keeps run without it too, which shows
# that they pass without cgo and at full speed.
check: ## All that must pass before a push: modules, format, platforms, lint, tests, race
	@$(MAKE) --no-print-directory compiler
	@$(MAKE) --no-print-directory check-format
	@$(MAKE) --no-print-directory check-modules
	@$(MAKE) --no-print-directory check-platforms
	@$(MAKE) --no-print-directory check-generated
	@$(MAKE) --no-print-directory check-document
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory check-short
	@$(MAKE) --no-print-directory check-outside
	@$(MAKE) --no-print-directory race
	@echo "check: everything passes"

# gofmt, and for the files that golangci-lint does not read: length and leftovers.
check-format:
	@files=$$(gofmt -s -l cmd docs gateway handlers internal middleware openapi tests tools triggers web) || exit 1; \
	if [ -n "$$files" ]; then echo "gofmt -s -w would change:"; echo "$$files"; exit 1; fi
	@wc -l $$(find web openapi internal/store \( -name '*.js' -o -name '*.css' -o -name '*.html' -o -name '*.sql' \)) | \
		awk '$$2 != "total" && $$1 > 400 { print $$2 " has more than 400 lines: split it by what it is about"; bad = 1 } END { exit bad }'
	@! grep -rnwE --include='*.md' --include='*.js' --include='*.css' --include='*.html' --include='*.sql' --include='*.sh' \
		--exclude-dir=node_modules --exclude-dir=testdata 'TODO|FIXME|XXX|HACK' . || { echo "finish it, or file an issue"; exit 1; }

check-modules:
	$(GO) mod verify
	$(GO) mod tidy -diff
	cd tests && $(GO) mod tidy -diff
	cd tools/lint && $(GO) mod tidy -diff
	cd tools/nfpm && $(GO) mod tidy -diff
	cd tools/clients/go && $(GO) mod tidy -diff
	cd tools/clients/ogen && $(GO) mod tidy -diff

# vet compiles the tests too, so these are builds of everything.
check-platforms:
	$(GO) vet ./...
	GOOS=windows $(GO) build ./... && GOOS=windows $(GO) vet ./...
	GOOS=darwin $(GO) build ./... && GOOS=darwin $(GO) vet ./...

check-generated:
	$(GO) test ./cmd/jetstream -run 'TestOpenAPIDocumentIsFresh|TestTablesAreFresh|TestManPagesAreFresh' -count 1
	$(GO) test ./internal/archtest ./docs

# What has been fetched is asked for first: a machine without network that had
# it once still checks. Without node it is left out, and says so.
check-document:
	@if ! command -v node >/dev/null; then echo "SKIPPED: no node here: openapi.json is not linted, no TypeScript client is made"; \
	else \
		cmp -s tools/clients/package-lock.json tools/clients/node_modules/.lock || { $(MAKE) --no-print-directory clients && \
			cp tools/clients/package-lock.json tools/clients/node_modules/.lock; } || exit 1; \
		cd tools/clients && REDOCLY_SUPPRESS_UPDATE_NOTICE=true node_modules/.bin/redocly lint --config redocly.yaml ../../openapi/openapi.json; \
	fi

check-short:
	CGO_ENABLED=0 $(GO) run ./tools/testlog -short -skip '^($(OUTSIDE))$$' ./...

check-outside:
	CGO_ENABLED=0 $(GO) run ./tools/testlog -run '^($(OUTSIDE))$$' ./cmd/jetstream

compiler:
	@cc=$$($(GO) env CC); command -v "$${cc%% *}" >/dev/null || { \
		echo "the race detector needs a C compiler and there is no $$cc: install gcc or clang, or set CC" >&2; exit 1; }

$(LINT): tools/lint/go.mod tools/lint/go.sum
	@echo "building golangci-lint $(LINT_VERSION): minutes the first time, seconds from the cache"
	@rm -f bin/golangci-lint-*
	@mkdir -p bin
	cd tools/lint && CGO_ENABLED=0 $(GO) build -o ../../$(LINT) $(LINT_PACKAGE)/cmd/golangci-lint

$(NFPM): tools/nfpm/go.mod tools/nfpm/go.sum
	@rm -f bin/nfpm-*
	@mkdir -p bin
	cd tools/nfpm && CGO_ENABLED=0 $(GO) build -o ../../$(NFPM) $(NFPM_PACKAGE)/cmd/nfpm

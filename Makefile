# Run `make` for the list of targets. test, demo, bench and capture need root: they make network namespaces.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c

GO       ?= go
DESTDIR  ?=
PREFIX   ?= /usr
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 20s

SHELL_SCRIPTS := .ci/run scripts/ctsync-notify $(wildcard scripts/*.sh)

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: build
build: ## build bin/ctsyncd, bin/ctsync and bin/ctsync-exporter, statically linked
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/ ./cmd/...

.PHONY: deps
deps: ## install the Debian packages that the tests and the demo use
	scripts/install-deps.sh

.PHONY: check
check: deps ## run vet, gofmt, shellcheck and the tests of the alert rules
	$(GO) vet ./...
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt-clean:" $$unformatted; exit 1; fi
	shellcheck $(SHELL_SCRIPTS)
	promtool check rules scripts/prometheus/ctsync.rules.yml
	promtool test rules scripts/prometheus/ctsync.rules.test.yml

# -p 2: privileged tests have deadlines, which they miss when too many packages run at once.
.PHONY: test
test: check ## run all tests, privileged ones included; go test runs last
	CTSYNC_REQUIRE_NETNS=1 $(GO) test -count=1 -p 2 -timeout 15m ./...

.PHONY: race
race: deps ## run all tests under the race detector
	CTSYNC_REQUIRE_NETNS=1 $(GO) test -race -count=1 -p 2 -timeout 20m ./...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (20s)
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: lint
lint: ## run staticcheck
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

.PHONY: demo
demo: deps build ## show a failover with and without ctsync; KEEP=1 leaves the lab, SYNC=conntrackd tries another
	$(GO) build -o bin/demo ./scripts/demo
	bin/demo run $(if $(KEEP),-keep) $(if $(SYNC),-sync $(SYNC))

.PHONY: demo-clean
demo-clean: ## remove the labs that `make demo KEEP=1` or a killed demo left
	$(GO) build -o bin/demo ./scripts/demo
	bin/demo clean

.PHONY: vm
vm: ## boot two Debian machines under qemu and check the unit, keepalived, the tests on their kernel; ONLY=unit,…
	scripts/install-deps.sh debootstrap:debootstrap qemu-system-x86_64:qemu-system-x86
	$(GO) build -o bin/vm ./scripts/vm
	bin/vm run $(if $(ONLY),-only $(ONLY))

.PHONY: bench
bench: deps build ## compare ctsyncd with Debian's conntrackd; QUICK=1 for the most important, ROUNDS=3, ONLY=4M,…
	$(GO) build -o bin/bench ./scripts/bench
	bin/bench run $(if $(QUICK),-quick) $(if $(ROUNDS),-rounds $(ROUNDS)) $(if $(ONLY),-only $(ONLY))

.PHONY: capture
capture: deps build ## take README's pictures of `ctsync tui`, from the real program in a lab
	$(GO) build -o bin/capture ./scripts/capture
	bin/capture

.PHONY: man
man: ## make the manual pages docs/man from --help and scripts/ctsync.toml
	$(GO) run ./scripts/man docs/man

# Where zsh looks: Debian has one folder for packages and another for what is installed by hand.
ZSHDIR ?= $(PREFIX)/share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)

# The shipped files contain paths below /usr: replace them when PREFIX is another.
RELOCATE = sed -e 's,/usr/\(sbin\|bin\|libexec/ctsync\)/ctsync,$(PREFIX)/\1/ctsync,g'

.PHONY: install
install: build ## install into $(DESTDIR)$(PREFIX); keeps an existing configuration in $(DESTDIR)/etc/ctsync
	install -D -m 0755 bin/ctsyncd $(DESTDIR)$(PREFIX)/sbin/ctsyncd
	install -D -m 0755 bin/ctsync $(DESTDIR)$(PREFIX)/bin/ctsync
	install -D -m 0755 bin/ctsync-exporter $(DESTDIR)$(PREFIX)/bin/ctsync-exporter
	install -d $(DESTDIR)$(PREFIX)/libexec/ctsync $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -d $(DESTDIR)$(PREFIX)/share/doc/ctsync
	install -D -m 0644 scripts/systemd/ctsync.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/ctsync.conf
	$(RELOCATE) scripts/ctsync-notify >$(DESTDIR)$(PREFIX)/libexec/ctsync/ctsync-notify
	chmod 0755 $(DESTDIR)$(PREFIX)/libexec/ctsync/ctsync-notify
	for unit in ctsyncd ctsync-exporter; do \
		$(RELOCATE) scripts/systemd/$$unit.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit.service; \
	done
	install -m 0644 docs/api.md scripts/prometheus/ctsync.rules.yml scripts/prometheus/ctsync.rules.test.yml \
		scripts/grafana/ctsync.json $(DESTDIR)$(PREFIX)/share/doc/ctsync
	$(RELOCATE) scripts/keepalived.conf.example >$(DESTDIR)$(PREFIX)/share/doc/ctsync/keepalived.conf.example
	for program in ctsync ctsync-exporter; do \
		from=cmd/$$program/completion; \
		install -D -m 0644 $$from/$$program.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$program; \
		install -D -m 0644 $$from/_$$program $(DESTDIR)$(ZSHDIR)/_$$program; \
		install -D -m 0644 $$from/$$program.fish \
			$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/$$program.fish; \
	done
	install -d $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man8
	for page in docs/man/*.[58]; do \
		$(RELOCATE) $$page >$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; \
	done
	[ -e $(DESTDIR)/etc/default/ctsync-exporter ] || \
		install -D -m 0644 scripts/systemd/ctsync-exporter.default $(DESTDIR)/etc/default/ctsync-exporter
	[ -e $(DESTDIR)/etc/ctsync/ctsync.toml ] || install -D -m 0644 scripts/ctsync.toml $(DESTDIR)/etc/ctsync/ctsync.toml

.PHONY: uninstall
uninstall: ## remove what install put there; keeps the configuration, the state and the users
	for program in sbin/ctsyncd bin/ctsync bin/ctsync-exporter; do rm -f $(DESTDIR)$(PREFIX)/$$program; done
	for unit in ctsyncd ctsync-exporter; do rm -f $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit.service; done
	rm -f $(DESTDIR)$(PREFIX)/lib/sysusers.d/ctsync.conf
	for program in ctsync ctsync-exporter; do \
		rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$program $(DESTDIR)$(ZSHDIR)/_$$program \
			$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/$$program.fish; \
	done
	for page in docs/man/*.[58]; do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	rm -rf $(DESTDIR)$(PREFIX)/libexec/ctsync $(DESTDIR)$(PREFIX)/share/doc/ctsync

.PHONY: clean
clean: ## remove bin
	rm -rf bin

# ft - small Unix tools that fine-tune pre-trained transformers.
# `make help` lists the targets. Output goes to $(BUILD); SANITIZE=address,undefined has its own, and so has MPI=1.

VERSION  := 0.1.0
PREFIX   ?= /usr/local
DESTDIR  ?=
SANITIZE ?=
MPI      ?=
BUILD    ?= build$(if $(SANITIZE),/sanitize)$(if $(MPI),/mpi)
CC       ?= cc
OPT      ?= -O2 -g
comma    := ,

# ---- what is built: one tool per file in tools/, one library of lib/*/*.c ----
TOOLS    := $(patsubst tools/%.c,%,$(wildcard tools/*.c))
SCRIPTS  := $(patsubst tools/%.sh,%,$(wildcard tools/*.sh))
SOURCES  := $(filter-out $(if $(MPI),,lib/ranks/mpi.c),$(wildcard lib/*/*.c))
UNITS    := $(patsubst tests/%.c,%,$(wildcard tests/unit/*.c tests/grad/*.c))
HEADERS  := $(wildcard include/ft/*.h)

# The numeric kernels are compiled once per instruction set; the best one that
# the processor has is chosen at run time.
ifneq ($(filter x86_64 amd64,$(shell uname -m)),)
ISAS        := base avx2 avx512
ISA_avx2    := -march=x86-64-v3
ISA_avx512  := -march=x86-64-v4 -mprefer-vector-width=512
else
ISAS        := base
endif
KERNELS  := lib/tensor/kernels.c lib/tensor/product.c lib/tensor/updates.c
OBJECTS  := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(KERNELS),$(SOURCES))) \
            $(foreach isa,$(ISAS),$(KERNELS:%.c=$(BUILD)/%.$(isa).o))

# ---- dependencies: Debian packages; pkg-config names of msgpack-c differ by version ----
PACKAGES := $(if $(MPI),openmpi-bin libopenmpi-dev) pkg-config libopenblas-openmp-dev libmsgpack-dev libzstd-dev libarchive-dev \
            libjansson-dev libutf8proc-dev libxxhash-dev libpcre2-dev
CHECK_PACKAGES := curl perl python3 python3-msgpack python3-zstandard mandoc zip
MSGPACK   = $(shell for p in msgpack-c msgpackc msgpack; do pkg-config --exists $$p 2>/dev/null && echo $$p && break; done)
PKGS      = openblas $(MSGPACK) libzstd libarchive jansson libutf8proc libxxhash libpcre2-8
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) $(if $(MPI),ompi-c) 2>/dev/null)

WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith $(if $(CI),-Werror)
CFLAGS   ?=
FT_FLAGS := -std=gnu11 -D_GNU_SOURCE -Iinclude -I. -fopenmp $(OPT) $(WARN) $(PKG_CFLAGS) \
            -DFT_VERSION='"$(VERSION)"' -DFT_BUILD='"$(OPT)$(if $(SANITIZE), $(SANITIZE))"' \
            $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
# Contraction and reassociation stay off outside the kernels, so that numbers
# are the same wherever they are computed.
FT_FLAGS += -ffp-contract=off
LDLIBS   := $(PKG_LIBS) -lm

.PHONY: all
all: $(addprefix $(BUILD)/bin/,$(TOOLS) $(SCRIPTS)) ## build the tools and libft.a in build/

$(BUILD)/bin/%: $(BUILD)/tools/%.o $(BUILD)/libft.a
	@mkdir -p $(@D)
	$(CC) $(FT_FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ -Wl,--as-needed $(LDLIBS)

$(addprefix $(BUILD)/bin/,$(SCRIPTS)): $(BUILD)/bin/%: tools/%.sh
	@mkdir -p $(@D)
	sed 's/@VERSION@/$(VERSION)/' $< > $@ && chmod +x $@

$(BUILD)/libft.a: $(OBJECTS)
	rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(BUILD)/libft.a
	$(CC) $(FT_FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ -Wl,--as-needed $(LDLIBS)

define isa_rule
$$(BUILD)/lib/tensor/%.$(1).o: lib/tensor/%.c Makefile
	@mkdir -p $$(@D)
	$$(CC) $$(FT_FLAGS) -O3 -fno-math-errno -fno-trapping-math -ffp-contract=fast $$(ISA_$(1)) -Wno-psabi -DFT_ISA=$(1) $$(CFLAGS) -MMD -MP -c -o $$@ $$<
endef
$(foreach isa,$(ISAS),$(eval $(call isa_rule,$(isa))))

$(BUILD)/lib/tensor/dtype.o $(BUILD)/lib/tensor/blocks.o: FT_FLAGS += -O3 # conversions of whole checkpoints
$(BUILD)/lib/ranks/ranks.o $(BUILD)/lib/cli/main.o: FT_FLAGS += $(if $(MPI),-DFT_MPI)
$(BUILD)/lib/ranks/mpi.o: FT_FLAGS += $(shell pkg-config --cflags-only-I ompi-c 2>/dev/null)
$(BUILD)/lib/tensor/isa.o: FT_FLAGS += $(foreach isa,$(ISAS),-DFT_HAVE_$(isa))
$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(FT_FLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.SECONDARY:

# ---- installing what is missing ----
define install_packages
	@missing=; for p in $(1); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "installing Debian packages:$$missing"; mkdir -p $(dir $(BUILD)); \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  { $$sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -q --no-install-recommends $$missing; } > $(BUILD).apt.log 2>&1 \
	  || { cat $(BUILD).apt.log; echo "could not install:$$missing" >&2; exit 1; }; rm -f $(BUILD).apt.log; fi
endef

.PHONY: deps check-deps
deps: ## install the Debian packages that building needs (asks sudo when not root)
	$(call install_packages,$(PACKAGES))
check-deps: deps
	$(call install_packages,$(CHECK_PACKAGES))

# ---- running ----
.PHONY: demo check check-mpi check-all bench same fuzz lint golden coverage
demo: deps ## build, then fine-tune the embedded models on the embedded data
	@$(MAKE) --no-print-directory -s -j2 all
	@$(MAKE) --no-print-directory -s -C pipelines/sentiment demo BIN=$(abspath $(BUILD)/bin)
	@$(MAKE) --no-print-directory -s -C pipelines/support-chat demo OUT=out/demo BIN=$(abspath $(BUILD)/bin)

check: check-deps ## run the tests (under three minutes on two cores)
	@$(MAKE) --no-print-directory -s -j2 all units
	@tests/run $(BUILD)

check-mpi: check-deps ## builds with MPI in build/mpi, and runs the tests of several ranks
	@$(MAKE) --no-print-directory -s MPI=1 deps
	@$(MAKE) --no-print-directory -s -j2 MPI=1 all
	@FT_TEST_LONG=1 tests/run build/mpi tests/mpi/*.t tests/pipe/cluster.t

check-all: check-deps check-mpi ## the tests with the long ones and those of several ranks, with plain kernels, and under the sanitizers
	@$(MAKE) --no-print-directory -s -j2 all units
	@FT_TEST_LONG=1 tests/run $(BUILD)
	@FT_ISA=base tests/run $(BUILD)
	@$(MAKE) --no-print-directory -j2 SANITIZE=address,undefined OPT='-O1 -g' all units
	@tests/run build/sanitize
	@$(MAKE) --no-print-directory -j2 MPI=1 SANITIZE=address,undefined OPT='-O1 -g' all
	@tests/run build/sanitize/mpi tests/mpi/*.t tests/pipe/cluster.t
	@FT_TEST_LONG=1 tests/run build/sanitize tests/fuzz/replay.t

.PHONY: units
units: $(addprefix $(BUILD)/tests/,$(UNITS)) $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%-replay,$(filter-out %/replay.c,$(wildcard tests/fuzz/*.c)))

$(BUILD)/fuzz/%-replay: $(BUILD)/tests/fuzz/%.o $(BUILD)/tests/fuzz/replay.o $(BUILD)/libft.a
	@mkdir -p $(@D)
	$(CC) $(FT_FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ -Wl,--as-needed $(LDLIBS)

bench: all ## speed and memory as ratios (PYTHON=… with torch, LLAMA=… with llama.cpp's programs are compared with)
	@$(MAKE) --no-print-directory units
	@BIN=$(abspath $(BUILD)/bin) BUILD=$(abspath $(BUILD)) tests/bench/run

same: all ## one job in many circumstances: a table of hashes, which must be equal
	@BIN=$(abspath $(BUILD)/bin) tests/same/run

FUZZ_SECONDS ?= 60
fuzz: ## fuzz every harness for FUZZ_SECONDS with clang's libFuzzer
	@tests/fuzz/run $(FUZZ_SECONDS)

lint: ## every header compiles alone; pages are clean; warnings are errors
	@for h in $(HEADERS); do echo "#include \"$${h#include/}\"" | $(CC) $(FT_FLAGS) -Werror -fsyntax-only -x c - || exit 1; done
	@mandoc -T lint -W warning man/*.[157]
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/lint CFLAGS=-Werror all

golden: all ## write the OPTIONS of the manual pages again from --help=man
	@BIN=$(abspath $(BUILD)/bin) tests/docs/options --write

COUNTED  := build/coverage
COUNTING := BUILD=$(COUNTED) OPT='-O0 -g --coverage' LDFLAGS=$(COUNTED)/tests/fault/dump.o
OF_RANKS := $(addprefix $(COUNTED)/,lib/ranks/ranks.o lib/cli/main.o libft.a bin/ft-train)
coverage: ## lines and branches that the tests reach of what reads files and keeps checkpoints (needs gcov)
	@$(MAKE) --no-print-directory -s $(COUNTING) LDFLAGS= $(COUNTED)/tests/fault/dump.o
	@$(MAKE) --no-print-directory -s -j2 $(COUNTING) all units
	@find $(COUNTED) -name '*.gcda' -delete
	@failed=0; tests/run $(COUNTED) || failed=$$?; \
	! pkg-config --exists ompi-c || $(MAKE) --no-print-directory -s coverage-of-ranks || failed=$$?; \
	tests/coverage $(COUNTED) && exit $$failed
# What counts says on stderr that it cannot write, where a test lets writes fail.
coverage coverage-of-ranks: export GCOV_ERROR_FILE := /dev/null

# Of several ranks, too: by the same objects, but for the few that know of them.
.PHONY: coverage-of-ranks
coverage-of-ranks:
	@rm -f $(OF_RANKS)
	@$(MAKE) --no-print-directory -s MPI=1 $(COUNTING) $(COUNTED)/bin/ft-train
	@tests/run $(COUNTED) tests/mpi/ranks.t
	@rm -f $(OF_RANKS)

# ---- installing, packing ----
.PHONY: install uninstall dist clean help
install: all ## install tools, library, headers and pages below $(PREFIX)
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin lib/pkgconfig include/ft share/man/man1 share/man/man5 share/man/man7)
	install -m 755 $(BUILD)/bin/* $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(BUILD)/libft.a $(DESTDIR)$(PREFIX)/lib
	install -m 644 $(HEADERS) $(DESTDIR)$(PREFIX)/include/ft
	for s in 1 5 7; do install -m 644 man/*.$$s $(DESTDIR)$(PREFIX)/share/man/man$$s; done
	printf 'prefix=%s\nName: ft\nDescription: fine-tuning of pre-trained transformers\nVersion: %s\nRequires.private: %s\nCflags: -I$${prefix}/include\nLibs: -L$${prefix}/lib -lft -fopenmp -lm\n' \
	  '$(PREFIX)' '$(VERSION)' '$(PKGS)$(if $(MPI), ompi-c)' > $(DESTDIR)$(PREFIX)/lib/pkgconfig/ft.pc

uninstall: ## remove what install put there
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(TOOLS) $(SCRIPTS)) $(DESTDIR)$(PREFIX)/lib/libft.a $(DESTDIR)$(PREFIX)/lib/pkgconfig/ft.pc
	rm -f $(foreach s,1 5 7,$(addprefix $(DESTDIR)$(PREFIX)/share/man/man$(s)/,$(notdir $(wildcard man/*.$(s)))))
	rm -rf $(DESTDIR)$(PREFIX)/include/ft

dist: ## a source archive of HEAD
	git archive --format=tar.gz --prefix=ft-$(VERSION)/ -o ft-$(VERSION).tar.gz HEAD

clean: ## remove what was built
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

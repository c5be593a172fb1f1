# mote. `make help` lists the verbs. Variants live in build/<variant>/: release (default), debug, asan, ubsan, tsan,
# double, fuzz, aarch64. CC, CFLAGS and LDFLAGS are the caller's; what a variant must have stands in MODE_*.
VARIANT ?= release
B := build/$(VARIANT)
CC ?= cc
AR ?= ar
CC_fuzz := clang
CC_aarch64 := aarch64-linux-gnu-gcc
ifneq ($(CC_$(VARIANT)),)
CC := $(CC_$(VARIANT))
endif
STD := -std=c11 -D_GNU_SOURCE
WARN := -Wall -Wextra -Werror -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual
OPT_release := -O3 -g
OPT_debug := -O0 -g
OPT_asan := -O1 -g
OPT_ubsan := -O1 -g
OPT_tsan := -O1 -g
OPT_double := -O2 -g
OPT_fuzz := -O1 -g
OPT_aarch64 := -O2 -g
MODE_asan := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DMOTE_SANITIZED
MODE_ubsan := -fsanitize=undefined -fno-sanitize-recover=all -DMOTE_SANITIZED
MODE_tsan := -fsanitize=thread -DMOTE_SANITIZED
MODE_double := -DMOTE_REAL_DOUBLE
MODE_fuzz := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
ifeq ($(OPT_$(VARIANT)),)
$(error unknown VARIANT '$(VARIANT)': release, debug, asan, ubsan, tsan, double, fuzz, aarch64)
endif
CFLAGS ?= $(OPT_$(VARIANT))
ALL_CFLAGS := $(STD) $(WARN) -fvisibility=hidden -fPIC -ffp-contract=off -fno-math-errno $(CFLAGS) $(MODE_$(VARIANT)) \
    -Iinclude -Isrc
ifeq ($(VARIANT),fuzz)
ALL_CFLAGS += -fsanitize=fuzzer-no-link
# clang takes more than ten minutes to instrument this one; check_kernels runs it between pages without access.
$(B)/src/kernels/blocks_vnni.o: ALL_CFLAGS += -fno-sanitize=all
endif
ifeq ($(VARIANT),tsan)
# gcc warns that it does not instrument fences; clang has no such warning
ALL_CFLAGS += $(shell $(CC) -Werror -Wno-tsan -E -x c /dev/null >/dev/null 2>&1 && echo -Wno-tsan)
endif
LINK = $(CC) $(CFLAGS) $(MODE_$(VARIANT)) $(LDFLAGS)
LDLIBS := -lm -lpthread $(if $(filter Linux Darwin,$(shell uname -s)),-ldl)

# ---- places
VERSION := $(shell sed -n 's/^.define MOTE_VERSION "\(.*\)"/\1/p' include/mote/mote.h)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
INSTALL ?= install

# ---- knobs of the verbs
SECONDS ?= 60
V ?= 0
Q := $(if $(filter 0,$(V)),@,)
say = $(if $(filter 0,$(V)),@printf '  %-5s %s\n' $(1) $@)

# All cores, unless the caller said -j; verbs that delete run alone.
ifeq ($(MAKELEVEL),0)
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
endif
endif
ifneq ($(filter clean uninstall,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

LIB_SRC := $(sort $(wildcard src/*/*.c src/*/*/*.c))
CLI_SRC := $(sort $(wildcard app/cli/*.c))
# PCRE2 and utf8proc, for tokenizers of others: in programs only, and only where a test program links with them.
PKG_CONFIG ?= pkg-config
TEXT_PACKAGES := libpcre2-8 libutf8proc
TEXT_LDLIBS := $(shell $(PKG_CONFIG) --libs $(TEXT_PACKAGES) 2>/dev/null)
TEXT_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(TEXT_PACKAGES) 2>/dev/null)
TEXT_PROBE := \#define PCRE2_CODE_UNIT_WIDTH 8\n\#include <pcre2.h>\n\#include <utf8proc.h>\n$\
    int main(void) { pcre2_code_free(0); return utf8proc_tolower(65) < 0; }\n
ifneq ($(TEXT_LDLIBS),)
TEXT_LDLIBS := $(shell printf '$(TEXT_PROBE)' | $(CC) $(TEXT_CFLAGS) $(MODE_$(VARIANT)) $(LDFLAGS) -x c - -o /dev/null \
    $(TEXT_LDLIBS) >/dev/null 2>&1 && echo '$(TEXT_LDLIBS)')
endif
TEXT_SRC := $(if $(TEXT_LDLIBS),app/text/libraries.c app/text/pattern.c,app/text/libraries_none.c)
TEST_SRC := $(sort $(wildcard tests/test_*.c))
BENCH_SRC := $(sort $(wildcard bench/bench_*.c))
FUZZ_SRC := $(sort $(wildcard fuzz/fuzz_*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
CLI_OBJ := $(CLI_SRC:%.c=$(B)/%.o)
TEXT_OBJ := $(TEXT_SRC:%.c=$(B)/%.o)
TESTS := $(TEST_SRC:%.c=$(B)/%)
BENCHES := $(BENCH_SRC:%.c=$(B)/%)
REPLAYS := $(FUZZ_SRC:fuzz/fuzz_%.c=$(B)/fuzz/replay_%)
FUZZERS := $(FUZZ_SRC:%.c=$(B)/%)

all: $(B)/libmote.a $(B)/libmote.so $(B)/mote

# ---- building
# Two stamps that change only when their text does: other flags rebuild everything, a file that went away the library.
$(B)/flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(ALL_CFLAGS) | $(LINK)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS) | $(LINK)' > $@
$(B)/sources: FORCE
	@mkdir -p $(@D); \
	echo '$(LIB_SRC) $(CLI_SRC) $(TEXT_SRC)' | cmp -s - $@ || echo '$(LIB_SRC) $(CLI_SRC) $(TEXT_SRC)' > $@

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,cc)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@
$(B)/libmote.a: $(LIB_OBJ) $(B)/sources
	$(call say,ar)
	@rm -f $@
	$(Q)$(AR) rcs $@ $(LIB_OBJ)
$(TEXT_OBJ): ALL_CFLAGS += $(TEXT_CFLAGS)
$(B)/libtext.a: $(TEXT_OBJ) $(B)/sources
	$(call say,ar)
	@rm -f $@
	$(Q)$(AR) rcs $@ $(TEXT_OBJ)
$(B)/libmote.so: $(LIB_OBJ) $(B)/sources
	$(call say,ld)
	$(Q)$(LINK) -shared $(if $(filter Darwin,$(shell uname -s)),,-Wl$(comma)-soname$(comma)libmote.so.$(SOVERSION)) \
	    -o $@ $(LIB_OBJ) $(LDLIBS)
$(B)/mote: $(CLI_OBJ) $(B)/libtext.a $(B)/libmote.a
	$(call say,ld)
	$(Q)$(LINK) -o $@ $^ $(TEXT_LDLIBS) $(LDLIBS)
$(B)/tests/%: $(B)/tests/%.o $(B)/libtext.a $(B)/libmote.a
	$(call say,ld)
	$(Q)$(LINK) -o $@ $^ $(TEXT_LDLIBS) $(LDLIBS)
$(B)/bench/%: $(B)/bench/%.o $(B)/libmote.a
	$(call say,ld)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS)
$(B)/fuzz/replay_%: $(B)/fuzz/fuzz_%.o $(B)/fuzz/replay_main.o $(B)/libtext.a $(B)/libmote.a
	$(call say,ld)
	$(Q)$(LINK) -o $@ $^ $(TEXT_LDLIBS) $(LDLIBS)
$(B)/fuzz/fuzz_%: $(B)/fuzz/fuzz_%.o $(B)/libtext.a $(B)/libmote.a
	$(call say,ld)
	$(Q)$(LINK) -fsanitize=fuzzer -o $@ $^ $(TEXT_LDLIBS) $(LDLIBS)
comma := ,

# ---- tests
# Every program and script ends with "N passed, N failed, N skipped"; tools/run_tests.sh adds them up.
UNIT_RUNS = $(TESTS) $(foreach t,$(REPLAYS),"$(t) fuzz/corpus/$(t:$(B)/fuzz/replay_%=%)")
CLI_RUN = $(foreach t,$(wildcard tests/test_cli*.sh),"sh $(t) $(B)/mote")
GRADIENTS := $(if $(wildcard tests/gradient_check.c),build/double/tests/gradient_check)
KERNELS := $(if $(wildcard tests/check_kernels.c),$(B)/tests/check_kernels)
export CC VARIANT

test: all $(TESTS) $(REPLAYS) $(KERNELS) gradients-program aarch64-program
	@tools/run_tests.sh $(UNIT_RUNS) $(CLI_RUN) $(GRADIENTS) \
	    $(if $(KERNELS),"tools/check_kernels.sh $(B) short") "tools/check_install.sh $(B)" "tools/lint.sh $(B)"
# The C tests and the fuzz corpora of one variant: what the sanitizers run.
test-units: $(TESTS) $(REPLAYS)
	@tools/run_tests.sh $(UNIT_RUNS)
asan ubsan tsan:
	@$(MAKE) --no-print-directory VARIANT=$@ test-units
oom: $(filter $(B)/tests/test_oom%,$(TESTS))
	@tools/run_tests.sh $(foreach t,$^,"$(t) --oom")
gradients-program:
	$(if $(GRADIENTS),@$(MAKE) --no-print-directory VARIANT=double $(GRADIENTS))
check-gradients: gradients-program
	@tools/run_tests.sh $(GRADIENTS)
aarch64-program:
	@if command -v $(CC_aarch64) >/dev/null && command -v qemu-aarch64 >/dev/null && [ -n "$(KERNELS)" ]; then \
	    $(MAKE) --no-print-directory VARIANT=aarch64 CC=$(CC_aarch64) LDFLAGS=-static build/aarch64/tests/check_kernels; fi
check-kernels: $(KERNELS) aarch64-program
	@tools/run_tests.sh "tools/check_kernels.sh $(B) long"
lint: $(B)/libmote.a $(B)/libmote.so
	@tools/lint.sh $(B)
fuzz:
	@$(MAKE) --no-print-directory VARIANT=fuzz CC=$(CC_fuzz) fuzz-run
fuzz-run: $(FUZZERS)
	@tools/fuzz.sh $(SECONDS) $(FUZZERS)
bench-peers: all
	@bench/peers.py $(B)/mote $(PEERS)
bench: all $(BENCHES)
	@TEXT='$(TEXT)' tools/bench.sh $(B) $(BENCHES)
demo: all
	@TEXT='$(TEXT)' tools/demo.sh $(B)/mote
# Golden numbers come from an independent implementation in PyTorch; `make test` needs only the files it wrote. A
# distribution's PyTorch belongs to its own python3, which need not be the first in PATH.
goldens:
	@for python in python3 /usr/bin/python3; do if $$python -c 'import torch' 2>/dev/null; then \
	    for script in make_goldens make_goldens_quant make_goldens_lora make_huggingface; do \
	        $$python tools/$$script.py || exit; done; git status --short tests/data; exit; fi; done; \
	    echo 'make goldens: needs python3 with PyTorch (pip install torch)' >&2; exit 1

# ---- installing
PC := $(B)/mote.pc
$(PC): mote.pc.in $(B)/flags FORCE
	@sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@VERSION@|$(VERSION)|' $< > $@
# The man page and the completions are printed by the command itself; one that was built for another machine cannot.
DATA_FILES := man/man1/mote.1 bash-completion/completions/mote zsh/site-functions/_mote \
    fish/vendor_completions.d/mote.fish
$(B)/share/%: $(B)/mote
	@mkdir -p $(@D)
	@case $@ in *.1) set -- --man;; */bash*) set -- --completion bash;; */zsh*) set -- --completion zsh;; \
	    *) set -- --completion fish;; esac; $(B)/mote help "$$@" > $@ 2>/dev/null || rm -f $@
install: all $(PC) $(DATA_FILES:%=$(B)/share/%)
	$(INSTALL) -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(INCLUDEDIR)/mote' '$(DESTDIR)$(LIBDIR)/pkgconfig' \
	    '$(DESTDIR)$(LIBDIR)/cmake/mote'
	$(INSTALL) -m 755 $(B)/mote '$(DESTDIR)$(BINDIR)/mote'
	$(INSTALL) -m 644 include/mote/mote.h include/mote/measure.h '$(DESTDIR)$(INCLUDEDIR)/mote'
	$(INSTALL) -m 644 $(B)/libmote.a '$(DESTDIR)$(LIBDIR)/libmote.a'
	$(INSTALL) -m 755 $(B)/libmote.so '$(DESTDIR)$(LIBDIR)/libmote.so.$(VERSION)'
	ln -sf libmote.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/libmote.so.$(SOVERSION)'
	ln -sf libmote.so.$(SOVERSION) '$(DESTDIR)$(LIBDIR)/libmote.so'
	$(INSTALL) -m 644 $(PC) '$(DESTDIR)$(LIBDIR)/pkgconfig/mote.pc'
	for f in $(DATA_FILES); do if [ -s $(B)/share/$$f ]; then $(INSTALL) -d "$(DESTDIR)$(DATADIR)/$${f%/*}" && \
	    $(INSTALL) -m 644 $(B)/share/$$f "$(DESTDIR)$(DATADIR)/$$f" || exit 1; fi; done
	$(INSTALL) -m 644 cmake/mote-config.cmake '$(DESTDIR)$(LIBDIR)/cmake/mote/mote-config.cmake'
	sed 's|@VERSION@|$(VERSION)|' cmake/mote-config-version.cmake.in \
	    > '$(DESTDIR)$(LIBDIR)/cmake/mote/mote-config-version.cmake'
	@$(if $(DESTDIR),:,tools/after_install.sh '$(LIBDIR)')
# Folders that install made are removed where they are empty, from the inside out; those of the system (/usr) stay.
uninstall:
	rm -f '$(DESTDIR)$(BINDIR)/mote' '$(DESTDIR)$(INCLUDEDIR)/mote/mote.h' \
	    '$(DESTDIR)$(INCLUDEDIR)/mote/measure.h' '$(DESTDIR)$(LIBDIR)'/libmote.a \
	    '$(DESTDIR)$(LIBDIR)/libmote.so' '$(DESTDIR)$(LIBDIR)/libmote.so.$(SOVERSION)' \
	    '$(DESTDIR)$(LIBDIR)/libmote.so.$(VERSION)' '$(DESTDIR)$(LIBDIR)/pkgconfig/mote.pc' \
	    '$(DESTDIR)$(LIBDIR)/cmake/mote/mote-config.cmake' '$(DESTDIR)$(LIBDIR)/cmake/mote/mote-config-version.cmake'
	for f in $(DATA_FILES); do rm -f "$(DESTDIR)$(DATADIR)/$$f"; done
	@for d in '$(INCLUDEDIR)/mote' '$(LIBDIR)/cmake/mote' '$(LIBDIR)/cmake' '$(LIBDIR)/pkgconfig' \
	    $(foreach f,$(DATA_FILES),'$(DATADIR)/$(patsubst %/,%,$(dir $f))' \
	    '$(DATADIR)/$(firstword $(subst /, ,$f))') '$(BINDIR)' '$(INCLUDEDIR)' '$(LIBDIR)' '$(DATADIR)'; do \
	    case '$(DESTDIR)'$$d in */mote) ;; /usr/*) continue;; esac; \
	    rmdir "$(DESTDIR)$$d" 2>/dev/null || :; done
clean:
	rm -rf build

help:
	@echo 'make                  build/release/: mote, libmote.a, libmote.so'
	@echo 'make demo             train, evaluate and generate on real text, < 4 minutes; TEXT=FILE for your own'
	@echo 'make test             all tests, < 2 minutes'
	@echo 'make check-kernels    every kernel slot against the scalar reference, on every CPU that can be emulated'
	@echo 'make check-gradients  every op: finite differences in double against its backward'
	@echo 'make bench-peers      the same models trained by mote and by tuned PyTorch, in turns (PEERS="A C --rounds 3")'
	@echo 'make bench            kernels, prefill, decode, training steps of this machine; a small training, TEXT=FILE'
	@echo 'make fuzz             libFuzzer, SECONDS=60 for each target (clang)'
	@echo 'make asan ubsan tsan  the C tests under a sanitizer'
	@echo 'make oom              the k-th allocation fails, for every k'
	@echo 'make lint             include direction, symbols, sizes and style of the sources'
	@echo 'make goldens          write tests/data/golden_* and huggingface_* anew (needs python3 with PyTorch)'
	@echo 'make install          PREFIX=/usr/local DESTDIR= BINDIR LIBDIR INCLUDEDIR DATADIR; also: make uninstall'
	@echo 'make clean            remove build/'
	@echo 'Everywhere: VARIANT=release|debug|asan|ubsan|tsan|double|fuzz|aarch64  CC=... CFLAGS=... LDFLAGS=... V=1'
	@echo 'PKG_CONFIG=false builds without PCRE2 and utf8proc, which tokenizers of others need'

FORCE:
.SECONDARY:
.PHONY: all test test-units asan ubsan tsan oom gradients-program check-gradients aarch64-program check-kernels lint \
    fuzz fuzz-run bench bench-peers demo goldens install uninstall clean help FORCE
-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(TEXT_OBJ:.o=.d) \
    $(wildcard $(B)/tests/*.d $(B)/bench/*.d $(B)/fuzz/*.d)

# Compiles; nothing else. ./dev calls it after installing what is missing, and so does `luarocks make`.
#
#   make                                the static library and both extension modules
#   make lib python lua ctests fuzzers benches  one of them
#   make rock                           the Lua module for LuaRocks, in build/rock
#   make rock CPL_EMULATOR=0 CPL_JOURNAL=0
#                                       the same without these parts, and their libraries
#   make O=build/asan SAN=1 ctests      another tree, with AddressSanitizer and UBSan (TSAN=1: ThreadSanitizer)
#   make O=build/libfuzzer FUZZ=1 fuzzers   with libFuzzer, by clang; without FUZZ each runs once over its corpus
#   make O=build/lean STATIC=1 all      the libraries are linked into the modules (packaging/ makes lean ones)
#
# CC, CFLAGS, CPPFLAGS, LDFLAGS, LIBFLAG, LUA_INCDIR, PYTHON and PKG_CONFIG are the caller's. Everything is compiled
# with -fvisibility=hidden; the two modules export their entry point alone.

O ?= build
PYTHON ?= python3
PKG_CONFIG ?= pkg-config
LUA_PC ?= lua5.4
LIBFLAG ?= -shared
OPT ?= -O2 -g

PACKAGES = libcurl libcrypto libcjson libarchive sqlite3 expat libmicrohttpd
CORE = $(filter-out $(LEFT_OUT),$(wildcard core/*.c core/creds/*.c core/emulator/*.c))
# The modules' order: what a call and a worker without a job run, what is seldom run, the emulator. What a process runs
# comes into its memory with its neighbours, 64 KB at a time.
SELDOM = $(patsubst %,core/%.c,$(file <core/seldom.txt))
IN_ORDER = $(filter-out $(SELDOM) core/emulator/%,$(CORE)) $(filter $(SELDOM),$(CORE)) $(filter core/emulator/%,$(CORE))

# What is left out for a small target; core/left_out.c answers in its place.
ifeq ($(CPL_EMULATOR),0)
LEFT_OUT += core/emulator/emulator.c core/emulator/server.c core/emulator/runtime_api.c
UNUSED += libmicrohttpd
PARTS += -DCPL_WITHOUT_EMULATOR
endif
ifeq ($(CPL_JOURNAL),0)
LEFT_OUT += core/sqlite.c core/journal.c core/emulator/store_file.c
UNUSED += sqlite3
PARTS += -DCPL_WITHOUT_JOURNAL
endif
ifdef PARTS # what only they call goes as well
PACKAGES := $(filter-out $(UNUSED),$(PACKAGES))
PARTS += -ffunction-sections -fdata-sections
PRUNE = -Wl,--gc-sections
endif
ifdef STATIC
LINKED = --static $(PACKAGES)
DEFINE_STATIC = -DCPL_STATIC
else
LINKED = libcrypto libcjson # the others are loaded when they are first needed (core/late.h)
endif
WARN = -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wvla $(WERROR)

# $(call once,NAME,command): NAME becomes the command's output, when it is first needed and only then
once = $(eval $(1) := $$(shell $(2)))$($(1))
PACKAGE_CFLAGS = $(call once,PACKAGE_CFLAGS,$(PKG_CONFIG) --cflags $(PACKAGES))
PACKAGE_LIBS = $(call once,PACKAGE_LIBS,$(PKG_CONFIG) --libs $(LINKED))
MISSING = $(call once,MISSING,for i in $(PACKAGES); do $(PKG_CONFIG) --exists $$$$i || echo $$$$i; done)
NEED_PACKAGES = $(if $(MISSING),$(error $(PKG_CONFIG) does not find: $(MISSING). README.md names their packages))
LUA_CFLAGS = $(call once,LUA_CFLAGS,$(PKG_CONFIG) --cflags $(LUA_PC))
PY_CFLAGS = $(call once,PY_CFLAGS,$(PYTHON) -c 'import sysconfig as s; print("-I" + s.get_path("include"))')

DEFINES = -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 $(DEFINE_STATIC) $(PARTS)
ALL_CFLAGS = $(NEED_PACKAGES)-std=c11 $(OPT) -fPIC -fvisibility=hidden -pthread $(WARN) $(SANITIZE) \
             $(DEFINES) $(PACKAGE_CFLAGS) $(CPPFLAGS) $(CFLAGS)
LIBS = $(PACKAGE_LIBS) -lm -ldl -pthread
ifdef SAN
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
endif
ifdef TSAN
SANITIZE = -fsanitize=thread
endif
FUZZ_DRIVER = $(O)/tests/fuzz/driver.o
ifdef FUZZ
CC = clang
SANITIZE = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
FUZZ_LINK = -fsanitize=fuzzer
FUZZ_DRIVER =
endif

PY_SRC = $(wildcard python/src/*.c)
LUA_SRC = $(wildcard lua/src/*.c)
CTEST_SRC = $(wildcard tests/c/t_*.c)
FUZZ_SRC = $(wildcard tests/fuzz/f_*.c)
BENCH_SRC = $(wildcard bench/*.c bench/contestants/*.c)

objects = $(1:%.c=$(O)/%.o)
LIB = $(O)/libcodepipeline.a
PY_MODULE ?= python/codepipeline/_core.abi3.so
LUA_MODULE = $(O)/lua/codepipeline/core.so
CTESTS = $(CTEST_SRC:tests/c/%.c=$(O)/tests/%)
FUZZERS = $(FUZZ_SRC:tests/fuzz/%.c=$(O)/fuzz/%)
BENCHES = $(BENCH_SRC:%.c=$(O)/%)

.PHONY: all lib python lua rock ctests fuzzers benches clean
.SECONDARY:
.DELETE_ON_ERROR:
all: lib python lua
lib: $(LIB)
python: $(PY_MODULE)
lua: $(LUA_MODULE)
rock:
	+$(MAKE) -j$(call once,JOBS,nproc 2>/dev/null || echo 2) O=build/rock lua
ctests: $(CTESTS)
fuzzers: $(FUZZERS)
benches: $(BENCHES)

$(LIB): $(call objects,$(CORE))
	@rm -f $@
	$(AR) rcs $@ $^

$(PY_MODULE): $(call objects,$(PY_SRC) $(IN_ORDER))
$(LUA_MODULE): $(call objects,$(LUA_SRC) $(IN_ORDER))
$(PY_MODULE) $(LUA_MODULE):
	@mkdir -p $(@D)
	$(CC) $(LIBFLAG) -Wl,-z,nodelete $(PRUNE) $(SANITIZE) $(LDFLAGS) -o $@ $^ $(LIBS)

$(O)/tests/%: $(O)/tests/c/%.o $(LIB)
	$(CC) $(SANITIZE) $(LDFLAGS) -o $@ $^ $(LIBS)

$(O)/fuzz/%: $(O)/tests/fuzz/%.o $(FUZZ_DRIVER) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(SANITIZE) $(FUZZ_LINK) $(LDFLAGS) -o $@ $^ $(LIBS)

$(O)/bench/contestants/curl: LIBS += $(call once,CURL_LIBS,$(PKG_CONFIG) --libs libcurl) # which calls it by itself
$(O)/bench/%: $(O)/bench/%.o $(LIB)
	$(CC) $(SANITIZE) $(LDFLAGS) -o $@ $^ $(LIBS)

$(O)/python/src/%.o: LANGUAGE_CFLAGS = -DPy_LIMITED_API=0x03090000 $(PY_CFLAGS)
$(O)/lua/src/%.o: LANGUAGE_CFLAGS = $(if $(LUA_INCDIR),-I$(LUA_INCDIR),$(LUA_CFLAGS))
# Other parts than the last time: everything anew. There is no such file in a tree that always had all.
ifneq ($(MAKECMDGOALS),rock)
$(shell [ "$$(cat $(O)/parts 2>/dev/null)" = "$(PARTS)" ] || { mkdir -p $(O) && echo "$(PARTS)" >$(O)/parts; })
endif
$(O)/%.o: %.c Makefile $(wildcard $(O)/parts)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LANGUAGE_CFLAGS) -MMD -MP -c $< -o $@

clean:
	rm -rf $(O) $(PY_MODULE)

-include $(patsubst %.c,$(O)/%.d,$(CORE) $(PY_SRC) $(LUA_SRC) $(CTEST_SRC) $(FUZZ_SRC) tests/fuzz/driver.c $(BENCH_SRC))

# Developers' door, and what `luarocks make` runs. Users want ./dev (see README.md).
#
#   make            the static library and both extension modules
#   make lib python lua ctests
#   make O=build-asan SAN=1 ctests      another tree, with AddressSanitizer and UBSan
#
# Everything is compiled with -fvisibility=hidden; the two modules export their entry point alone.

O ?= build
CC ?= gcc
PYTHON ?= python3
PKG_CONFIG ?= pkg-config
LUA_PC ?= lua5.4
OPT ?= -O2 -g

PACKAGES = libcurl libcrypto libcjson libarchive sqlite3 expat libmicrohttpd
DEFINES = -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
WARN = -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wvla $(WERROR)
CPPFLAGS += $(DEFINES) $(shell $(PKG_CONFIG) --cflags $(PACKAGES))
CFLAGS_ALL = -std=c11 $(OPT) -fPIC -fvisibility=hidden -pthread $(WARN) $(CFLAGS)
LIBS = $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -lm -pthread
ifdef SAN
CFLAGS_ALL += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LDFLAGS += -fsanitize=address,undefined
endif
ifdef TSAN
CFLAGS_ALL += -fsanitize=thread
LDFLAGS += -fsanitize=thread
endif

CORE = $(wildcard core/*.c core/creds/*.c core/emulator/*.c)
PY_SRC = $(wildcard python/src/*.c)
LUA_SRC = $(wildcard lua/src/*.c)
CTESTS = $(patsubst tests/c/t_%.c,%,$(wildcard tests/c/t_*.c))

obj = $(patsubst %.c,$(O)/%.o,$(1))
LIB = $(O)/libcodepipeline.a
PY_MODULE = python/codepipeline/_core.abi3.so
LUA_INCDIR ?= $(shell $(PKG_CONFIG) --variable=includedir $(LUA_PC))
LUA_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags $(LUA_PC))
LUA_MODULE = $(O)/lua/codepipeline/core.so
PY_CFLAGS = -DPy_LIMITED_API=0x03090000 -I$(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')

.PHONY: all lib python lua ctests clean
.SECONDARY:
all: lib python lua
lib: $(LIB)
python: $(PY_MODULE)
lua: $(LUA_MODULE)
ctests: $(CTESTS:%=$(O)/tests/t_%)

$(LIB): $(call obj,$(CORE))
	@rm -f $@
	$(AR) rcs $@ $^

$(PY_MODULE): $(call obj,$(PY_SRC)) $(LIB)
	$(CC) -shared $(LDFLAGS) -o $@ $^ $(LIBS)

$(LUA_MODULE): $(call obj,$(LUA_SRC)) $(LIB)
	@mkdir -p $(@D)
	$(CC) -shared $(LDFLAGS) -o $@ $^ $(LIBS)

$(O)/python/src/%.o: CPPFLAGS += $(PY_CFLAGS)
$(O)/lua/src/%.o: CPPFLAGS += $(LUA_CFLAGS)

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

$(O)/tests/t_%: $(O)/tests/c/t_%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

clean:
	rm -rf $(O) $(PY_MODULE)

-include $(shell find $(O) -name '*.d' 2>/dev/null)

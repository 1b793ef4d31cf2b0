# SPDX-License-Identifier: MIT
"""Builds codepipeline._core: the C core and its binding in one extension, for every CPython from 3.9 on (abi3), or for
one free-threaded CPython."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from glob import glob

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# the name pkg-config knows, a header, the Debian package that has both
LIBRARIES = [
    ("libcurl", "curl/curl.h", "libcurl4-openssl-dev"),
    ("libcrypto", "openssl/evp.h", "libssl-dev"),
    ("libcjson", "cjson/cJSON.h", "libcjson-dev"),
    ("libarchive", "archive.h", "libarchive-dev"),
    ("sqlite3", "sqlite3.h", "libsqlite3-dev"),
    ("expat", "expat.h", "libexpat1-dev"),
    ("libmicrohttpd", "microhttpd.h", "libmicrohttpd-dev"),
]
# With CODEPIPELINE_STATIC=1 all of them become part of the module, if there are static ones: what a wheel is made of.
STATIC = os.environ.get("CODEPIPELINE_STATIC") == "1"
# The stable interface is not there for builds without the GIL (before 3.15): they get a module of their own, compiled
# for that one version. It is written for the GIL, which such an interpreter turns on when it loads it: docs/adr/0037.
ABI3 = not sysconfig.get_config_var("Py_GIL_DISABLED")
PKG_CONFIG = os.environ.get("PKG_CONFIG", "pkg-config")


def version():
    with open("core/codepipeline.h", encoding="utf-8") as header:
        return re.search(r'#define CPL_VERSION "(.+)"', header.read()).group(1)


def pkg_config(*arguments):
    return subprocess.run([PKG_CONFIG, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def tools_missing():
    """What is needed before any library: (what was not found, the Debian packages that have it)."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if not shutil.which(compiler):
        yield f'the C compiler "{compiler}"', "gcc libc6-dev"
    if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
        yield "Python.h, of this Python's own development files,", "python3-dev"
    if not shutil.which(PKG_CONFIG):
        yield f'"{PKG_CONFIG}"', "pkg-config"


def libraries_missing():
    there = shutil.which(PKG_CONFIG)
    for name, header, package in LIBRARIES:
        if not there or pkg_config("--exists", name).returncode != 0:
            yield f'"{name}" ({header})', package


def require_what_is_needed():
    """Names all that is missing at once, with what to install; nothing is compiled before it is there."""
    missing = [*tools_missing(), *libraries_missing()]
    for what, _ in missing:
        print(f"error: {what} was not found", file=sys.stderr)
    if missing:
        sys.exit("on Debian and Ubuntu: apt-get install " + " ".join(package for _, package in missing))


def in_order(sources):
    """As the Makefile has them: what a call and a worker without a job run, what is seldom run, the emulator."""
    with open("core/seldom.txt", encoding="utf-8") as names:
        seldom = {f"core/{name}.c" for name in names.read().split()}
    return sorted(sources, key=lambda path: (path.startswith("core/emulator/"), path in seldom))


class BuildExt(build_ext):
    """Finds the libraries when something is built (not for an sdist), and compiles the files side by side."""

    def build_extension(self, ext):
        require_what_is_needed()
        names = [name for name, _, _ in LIBRARIES]
        ext.extra_compile_args += shlex.split(pkg_config("--cflags", *names).stdout)
        if STATIC:
            ext.define_macros.append(("CPL_STATIC", None))
            ext.extra_link_args += shlex.split(pkg_config("--static", "--libs", *names).stdout)
        else:
            linked = [name for name in names if name in ("libcrypto", "libcjson")]  # the others: core/late.h
            ext.extra_link_args += shlex.split(pkg_config("--libs", *linked).stdout)
        compile_all = self.compiler.compile

        def compile_in_parallel(sources, **options):
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                objects = pool.map(lambda source: compile_all([source], **options), in_order(sources))
                return [path for paths in objects for path in paths]

        self.compiler.compile = compile_in_parallel
        try:
            super().build_extension(ext)
        finally:
            self.compiler.compile = compile_all


setup(
    version=version(),
    package_dir={"": "python"},
    py_modules=["codepipeline_pytest"],
    packages=["codepipeline", "codepipeline.cli", "codepipeline.notebook"],
    data_files=[("share/man/man1", ["docs/codepipeline.1"])],
    package_data={"codepipeline": ["py.typed", "*.pyi"]},
    ext_modules=[
        Extension(
            "codepipeline._core",
            sources=sorted(glob("core/**/*.c", recursive=True) + glob("python/src/*.c")),
            depends=sorted(glob("core/**/*.h", recursive=True) + glob("python/src/*.h")),
            define_macros=[("_GNU_SOURCE", None), ("_FILE_OFFSET_BITS", "64")]
            + ([("Py_LIMITED_API", "0x03090000")] if ABI3 else []),
            extra_compile_args=["-std=c11", "-fvisibility=hidden", "-pthread"],
            extra_link_args=["-pthread", "-lm", "-ldl", "-Wl,-z,nodelete"],
            py_limited_api=ABI3,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp39"}} if ABI3 else {},
    cmdclass={"build_ext": BuildExt},
    zip_safe=False,
)

# SPDX-License-Identifier: MIT
"""The packages, built from the one source archive as a user would, far from this tree."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from conftest import ROOT

pytestmark = pytest.mark.slow

CALL_IN_PYTHON = """
import codepipeline
with codepipeline.Emulator() as emulator:
    client = codepipeline.Client(
        endpoint_url=emulator.url,
        region="us-east-1",
        access_key_id=emulator.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=emulator.environ["AWS_SECRET_ACCESS_KEY"],
    )
    print(codepipeline.__version__, client.list_pipelines()["pipelines"])
"""

CALL_IN_LUA = """
local codepipeline = require "codepipeline"
local emulator = assert(codepipeline.emulator{})
local client = assert(codepipeline.client{
  endpoint_url = emulator.url,
  region = "us-east-1",
  access_key_id = emulator.environ.AWS_ACCESS_KEY_ID,
  secret_access_key = emulator.environ.AWS_SECRET_ACCESS_KEY,
})
print(codepipeline._VERSION, #assert(client:list_pipelines()).pipelines)
emulator:close()
"""


def environment(changes):
    """This process's, with changes; None takes one out."""
    return {name: value for name, value in {**os.environ, **changes}.items() if value is not None}


def run(*command, env=None, **options):
    """The standard output; on failure the test shows everything."""
    done = subprocess.run(
        list(map(str, command)),
        env=environment(env or {}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


# so that nothing comes from this tree, whoever runs the tests
ELSEWHERE = dict.fromkeys(["PYTHONPATH", "LUA_PATH", "LUA_CPATH", "LUA_PATH_5_4", "LUA_CPATH_5_4"])


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    if importlib.util.find_spec("build") is None:
        pytest.skip("no build package; ./dev test installs it")
    tree, out = tmp_path_factory.mktemp("tree") / "copy", tmp_path_factory.mktemp("dist")
    made = shutil.ignore_patterns(
        ".git", ".dev", ".venv", "build", "build-*", "node_modules", "__pycache__", "*.egg-info"
    )
    shutil.copytree(ROOT, tree, ignore=made)
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", out, tree)
    (archive,) = out.iterdir()
    return archive


@pytest.fixture(scope="module")
def unpacked(sdist, tmp_path_factory):
    out = tmp_path_factory.mktemp("unpacked")
    shutil.unpack_archive(sdist, out)
    (tree,) = out.iterdir()
    return tree


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", out]
    run(sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", *options, sdist)
    (path,) = out.iterdir()
    return path


def names_in(folder, *patterns):
    return {str(path.relative_to(folder)) for pattern in patterns for path in folder.glob(pattern) if path.is_file()}


def test_the_source_archive_has_all_that_is_built_from_and_nothing_built(unpacked):
    wanted = ("core/**/*.[ch]", "python/src/*.[ch]", "python/codepipeline/*.py*", "lua/**/*", "tests/c/*.[ch]")
    alone = ("Makefile", "dev", "LICENSE", "README.md", "*.rockspec", "core/model/*.py", "core/model/*.api")
    assert names_in(unpacked, *wanted, *alone) >= names_in(ROOT, *wanted, *alone)
    assert names_in(unpacked, "**/*.so", "**/*.o", "**/*.a", "**/*.pyc") == set()


def test_the_wheel_holds_the_package_and_serves_every_python_from_3_9(wheel):
    assert "-cp39-abi3-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("codepipeline/")}
    here = {f"codepipeline/{name}" for name in names_in(ROOT / "python/codepipeline", "**/*.py", "*.pyi", "py.typed")}
    assert names == here | {"codepipeline/_core.abi3.so"}


def test_the_wheel_installs_and_works(wheel, tmp_path):
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path)
    python = tmp_path / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel)
    assert run(python, "-c", CALL_IN_PYTHON, env=ELSEWHERE, cwd=tmp_path).split() == [wheel.name.split("-")[1], "[]"]
    assert "--port" in run(tmp_path / "bin" / "codepipeline-emulator", "--help", env=ELSEWHERE, cwd=tmp_path)
    assert "--input-key" in run(tmp_path / "bin" / "codepipeline-event", "--help", env=ELSEWHERE, cwd=tmp_path)
    # with nothing but the standard library beside it
    assert "library" in run(tmp_path / "bin" / "codepipeline", "--emulator", "ls", env=ELSEWHERE, cwd=tmp_path)
    assert (tmp_path / "share/man/man1/codepipeline.1").is_file()


def test_a_missing_library_is_named_with_its_package(unpacked, tmp_path):
    env = environment({"PKG_CONFIG_LIBDIR": str(tmp_path), "PKG_CONFIG_PATH": None})
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--build-temp", tmp_path / "t", "--build-lib", tmp_path / "l"],
        cwd=unpacked, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert '"libcjson" (cjson/cJSON.h) was not found' in done.stdout and "compiler" not in done.stdout
    assert "apt-get install libcurl4-openssl-dev libssl-dev libcjson-dev" in done.stdout


def test_on_a_bare_machine_all_that_is_missing_is_named_at_once(unpacked, tmp_path):
    env = environment({"PKG_CONFIG": "no-pkg-config", "CC": "no-compiler -O2"})
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--build-temp", tmp_path / "t", "--build-lib", tmp_path / "l"],
        cwd=unpacked, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert 'the C compiler "no-compiler" was not found' in done.stdout
    assert "apt-get install gcc libc6-dev pkg-config libcurl4-openssl-dev" in done.stdout
    assert "libsqlite3-dev libexpat1-dev libmicrohttpd-dev" in done.stdout


SETUP = """
import setuptools, sys, sysconfig
config = sysconfig.get_config_var
sysconfig.get_config_var = lambda name: int(sys.argv[1]) if name == "Py_GIL_DISABLED" else config(name)
def setup(**given):
    (extension,) = given["ext_modules"]
    print(extension.py_limited_api, dict(extension.define_macros).get("Py_LIMITED_API"), given["options"])
setuptools.setup = setup
exec(open("setup.py").read())
"""


def test_a_free_threaded_python_gets_a_module_of_its_own(unpacked):
    """Before 3.15 its headers have no stable interface, and an abi3 module does not load there."""
    assert run(sys.executable, "-c", SETUP, "1", cwd=unpacked) == "False None {}\n"
    assert run(sys.executable, "-c", SETUP, "0", cwd=unpacked).startswith("True 0x03090000 {'bdist_wheel'")


THREADS = """
import threading, warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore") # the interpreter says that it turns its GIL on
    import codepipeline
    codepipeline.Client
with codepipeline.Emulator() as emulator:
    client, calls = emulator.client(), []
    def call():
        for _ in range(50):
            calls.append(client.list_pipelines()["pipelines"])
    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print(len(calls))
"""
FREE_THREADED = next(filter(None, map(shutil.which, ("python3.14t", "python3.13t"))), None)


@pytest.mark.skipif(FREE_THREADED is None, reason="no free-threaded Python")
def test_threads_share_a_client_in_a_free_threaded_python(sdist, tmp_path):
    run(FREE_THREADED, "-m", "venv", tmp_path / "v")
    python = tmp_path / "v/bin/python"
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "setuptools>=77", "wheel")
    run(python, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", sdist)
    (module,) = tmp_path.glob("v/lib/*/site-packages/codepipeline/_core*.so")
    assert "abi3" not in module.name and "t-" in module.name
    assert run(python, "-c", THREADS, env=ELSEWHERE, cwd=tmp_path) == "400\n"


# ---- LuaRocks ----


def luarocks(*arguments, **options):
    if shutil.which("luarocks") is None:
        pytest.skip("no luarocks")
    return run("luarocks", "--lua-version", "5.4", *arguments, env=ELSEWHERE, **options)


def check_tree(tree):
    """What LuaRocks installed is what the rockspec lists, and it works."""
    share, lib = tree / "share/lua/5.4", tree / "lib/lua/5.4"
    sources = {name.replace(".d.lua", ".lua") for name in names_in(ROOT / "lua", "codepipeline/**/*.lua")}
    sources = {"codepipeline.lua" if name == "codepipeline/init.lua" else name for name in sources}
    assert names_in(share, "**/*") == sources
    assert names_in(lib, "**/*") == {"codepipeline/core.so"}
    paths = {"LUA_PATH": f"{share}/?.lua;{share}/?/init.lua", "LUA_CPATH": f"{lib}/?.so"}
    assert run("lua5.4", "-e", CALL_IN_LUA, env={**ELSEWHERE, **paths}, cwd=tree).split()[1:] == ["0"]
    assert "--port" in run(tree / "bin" / "codepipeline-emulator", "--help", env=ELSEWHERE, cwd=tree)
    assert "--input-key" in run(tree / "bin" / "codepipeline-event", "--help", env=ELSEWHERE, cwd=tree)


def test_luarocks_make_compiles_c_with_its_flags_and_installs_what_is_listed(unpacked, tmp_path):
    log = luarocks("make", "--tree", tmp_path, "CFLAGS=-O1 -fPIC -DASKED_FOR", cwd=unpacked)
    compiled = [line for line in log.splitlines() if " -c " in line]
    assert compiled and all("-DASKED_FOR" in line for line in compiled)
    assert "gen.py" not in log and "cmake" not in log
    check_tree(tmp_path)


@pytest.fixture(scope="module")
def rock(sdist, tmp_path_factory):
    version = sdist.name.split("-")[1].replace(".tar.gz", "")
    path = tmp_path_factory.mktemp("rock") / f"codepipeline-{version}-1.src.rock"
    (rockspec,) = ROOT.glob("*.rockspec")
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(rockspec, rockspec.name)
        archive.write(sdist, sdist.name)
    return path


def test_a_source_rock_installs_without_a_network(rock, tmp_path):
    luarocks("install", "--tree", tmp_path / "tree", rock, cwd=tmp_path)
    check_tree(tmp_path / "tree")


WITHOUT_PARTS = """
local codepipeline = require "codepipeline"
assert(codepipeline.parts.emulator == false and codepipeline.parts.journal == false)

local function left_out(nothing, err)
  assert(nothing == nil and err.status == "LEFT_OUT", tostring(err))
  return tostring(err)
end
assert(left_out(codepipeline.emulator{}):find("CPL_EMULATOR=0", 1, true))
assert(not pcall(require("codepipeline.testing").with_emulator, function() end))

local client <close> = assert(codepipeline.client{ region = "eu-west-1", access_key_id = "a", secret_access_key = "b" })
assert(left_out(codepipeline.worker(client, { journal = "jobs.db" })):find("CPL_JOURNAL=0", 1, true))
local worker <close> = assert(codepipeline.worker(client, { log = function() end }))

-- what stands beside the emulator, and needs none
assert(#assert(codepipeline.lint('{"name": "x"}')) > 0)

-- a job from its event to its handler's answer
local job <close> = assert(client:job(codepipeline.sample_event{ user_parameters = "hello" }))
assert(job.user_parameters == "hello")

for line in io.lines("/proc/self/maps") do
  assert(not line:find("sqlite", 1, true) and not line:find("microhttpd", 1, true), line)
end
print("good")
"""


def test_a_rock_without_its_optional_parts_needs_neither_their_libraries_nor_their_headers(rock, tmp_path):
    without = tmp_path / "pkg-config"  # on a machine that has neither SQLite's nor libmicrohttpd's development files
    without.write_text(
        "#!/bin/sh\nfor i; do case $i in sqlite3 | libmicrohttpd) exit 1 ;; esac; done\n"
        f'exec {shutil.which("pkg-config")} "$@"\n'
    )
    without.chmod(0o755)
    headers = tmp_path / "headers"  # and these are found before those that this machine may have
    headers.mkdir()
    for name in ("sqlite3.h", "microhttpd.h"):
        (headers / name).write_text(f"#error {name} is not there\n")
    env = {**ELSEWHERE, "PKG_CONFIG": str(without), "CPPFLAGS": f"-I{headers}"}
    flags = ["--lua-version", "5.4", "--tree", tmp_path / "tree", "CFLAGS=-O1 -fPIC"]
    whole = subprocess.run(
        ["luarocks", "install", *map(str, flags), str(rock)], cwd=tmp_path, env=environment(env),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert whole.returncode != 0 and "does not find: sqlite3 libmicrohttpd" in whole.stdout

    run("luarocks", "install", *flags, rock, "CPL_EMULATOR=0", "CPL_JOURNAL=0", env=env, cwd=tmp_path)
    share, lib = tmp_path / "tree/share/lua/5.4", tmp_path / "tree/lib/lua/5.4"
    paths = {**ELSEWHERE, "LUA_PATH": f"{share}/?.lua;{share}/?/init.lua", "LUA_CPATH": f"{lib}/?.so"}
    assert run("lua5.4", "-e", WITHOUT_PARTS, env=paths, cwd=tmp_path) == "good\n"
    command = subprocess.run(
        [tmp_path / "tree/bin/codepipeline-emulator"], env=environment(ELSEWHERE), stderr=subprocess.PIPE, text=True
    )
    assert command.returncode == 1
    assert command.stderr.startswith("codepipeline-emulator: there is no emulator in this build")
    if shutil.which("readelf"):
        assert "microhttpd" not in run("readelf", "-d", lib / "codepipeline/core.so")
    if shutil.which("nm"):  # lint() takes the emulator's rules along, and nothing that answers a request
        names = run("nm", lib / "codepipeline/core.so")
        assert "emu_structure_check" in names and "emu_rollback_stage" not in names and "emu_demo_write" not in names


@pytest.mark.parametrize("part, there", [("CPL_EMULATOR", "journal"), ("CPL_JOURNAL", "emulator")])
def test_each_part_can_be_left_out_alone(unpacked, tmp_path, part, there):
    out = tmp_path / "build"
    run("make", "-s", "-j4", f"O={out}", f"{part}=0", "OPT=-O0", "WERROR=-Werror", "lua", cwd=unpacked)
    script = (
        'local codepipeline, there = require "codepipeline", ...\n'
        "for name, is_there in pairs(codepipeline.parts) do assert(is_there == (name == there), name) end\n"
        "if there == 'journal' then\n"
        "  local keys = { region = 'eu-west-1', access_key_id = 'a', secret_access_key = 'b' }\n"
        "  local client = assert(codepipeline.client(keys))\n"
        "  assert(codepipeline.worker(client, { journal = 'jobs.db' })):close()\n"
        "else\n"
        "  assert(codepipeline.emulator{}):close()\n"
        "  local none, err = codepipeline.emulator{ path = 'state.db' }\n"
        "  assert(none == nil and err.status == 'LEFT_OUT' and err.path == 'path', tostring(err))\n"
        "end"
    )
    (tmp_path / "script.lua").write_text(script)
    paths = {"LUA_PATH": f"{ROOT}/lua/?.lua;{ROOT}/lua/?/init.lua", "LUA_CPATH": f"{out}/lua/?.so"}
    run("lua5.4", "script.lua", there, env={**ELSEWHERE, **paths}, cwd=tmp_path)

# SPDX-License-Identifier: MIT
"""The demo's Build action: compiles the C sources it is given into one program. Its argument names the journal."""

import os
import pathlib
import subprocess
import sys
import tempfile

import codepipeline

PACKAGES = ["libcurl", "libcrypto", "libcjson", "libarchive", "sqlite3", "expat", "libmicrohttpd"]
MAIN = '#include "codepipeline.h"\nint main(int argc, char **argv) { return cpl_emulator_main(argc, argv); }\n'

worker = codepipeline.Worker(codepipeline.Client(), poll_interval=0.1, journal=sys.argv[1])


def flags(kind):
    return subprocess.check_output(["pkg-config", kind, *PACKAGES], text=True).split()


def compile_all(sources, optimize, out):
    """Object files of all sources, a few compilers at a time; raises when one fails."""
    command = [os.environ.get("CC", "cc"), "-std=c11", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-pthread", optimize]
    command += flags("--cflags") + ["-c"]
    jobs = [(source, out / f"{number}.o") for number, source in enumerate(sources)]
    width = os.cpu_count() or 1
    for at in range(0, len(jobs), width):
        running = [subprocess.Popen([*command, str(s), "-o", str(o)]) for s, o in jobs[at : at + width]]
        if any([process.wait() for process in running]):
            raise RuntimeError("the compiler found errors")
    return [str(o) for _, o in jobs]


@worker.job(category="Build", provider="DemoCompiler", version="1")
def build(job):
    source = pathlib.Path(job.input("Source").extract())
    (source / "main.c").write_text(MAIN)
    sources = sorted(source.rglob("*.c"))
    print(f"  [python worker] job {job.id[:8]}: compiling {len(sources)} files", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        objects = compile_all(sources, job.configuration["Optimize"], pathlib.Path(scratch))
        out = pathlib.Path(scratch) / "out"
        out.mkdir()
        program = out / job.configuration["Program"]
        link = [os.environ.get("CC", "cc"), "-pthread", "-o", str(program), *objects, *flags("--libs"), "-lm"]
        if subprocess.call(link):
            raise RuntimeError("the linker found errors")
        size = program.stat().st_size
        job.output("Binary").pack(str(out))
    digest = job.output("Binary").digest()
    return job.succeed(
        output_variables={"digest": digest, "files": str(len(sources))},
        summary=f"{len(sources)} files compiled, {size:,} bytes linked",
    )


if __name__ == "__main__":
    worker.run()

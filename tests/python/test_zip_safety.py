# SPDX-License-Identifier: MIT
"""The 82 hostile archives of the suite zip-safety, each built by its recipe or taken from a suite, and what becomes of
it here. Every archive of libzip's and Go's suites has its verdict as well.

The suite wants every symbolic link refused; artifacts may have such that stay inside. That changes:

- L1, L2: a link whose target is absolute, or climbs out, is refused as the suite wants it; "link -> file" beside it is
  made. No entry is ever written through a link, whether or not it stays inside.
- L7: tar archives are read, so a hard link to a file that came before is made; one to anything else is refused.

P14's "A" and "a" are two files where the file system has two, as here.
"""

import base64
import ctypes
import io
import json
import os
import stat
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zlib

import pytest

import codepipeline

OK, REFUSED = "ok", "refused"
FLAG_STREAMED, FLAG_UTF8, FLAG_ENCRYPTED = 0x8, 0x800, 0x1
UNIX = 3 << 8


def entry(name, data=b"", **odd):
    """One entry of an archive; odd: members of a header that are not what they should be, or attributes of the mode."""
    name = name if isinstance(name, bytes) else name.encode()
    return {"name": name, "data": data, **odd}


def header(e, local):
    """The members that both headers have: version, flags, method, time, date, crc, sizes, and the name's length."""
    data = e["data"]
    values = {
        "flags": e.get("flags", 0),
        "method": e.get("method", 0),
        "crc": e.get("crc", zlib.crc32(e.get("plain", data))),
        "packed": e.get("packed", len(data)),
        "size": e.get("size", len(e.get("plain", data))),
    }
    values.update(e.get("local" if local else "central", {}))
    return struct.pack(
        "<HHHHHIII", 20, values["flags"], values["method"], 0, 33, values["crc"], values["packed"], values["size"]
    )


def archive(*entries, comment=b"", prefix=b"", end=None):
    """A zip, by hand. Central headers have the offsets of their own entries, unless "offset" says otherwise."""
    out, central = io.BytesIO(), io.BytesIO()
    out.write(prefix)
    for e in entries:
        at, extra = out.tell(), e.get("extra", b"")
        if not e.get("no_local"):
            name = e.get("local_name", e["name"])
            out.write(
                b"PK\3\4" + header(e, True) + struct.pack("<HH", len(name), len(extra)) + name + extra + e["data"]
            )
            out.write(e.get("descriptor", b""))
        central.write(b"PK\1\2" + struct.pack("<H", UNIX | 20) + header(e, False))
        sizes = struct.pack("<HHHHH", len(e["name"]), len(e.get("central_extra", extra)), 0, e.get("disk", 0), 0)
        central.write(sizes + struct.pack("<II", e.get("mode", 0o100644) << 16, e.get("offset", at)))
        central.write(e["name"] + e.get("central_extra", extra))
    start, listed = out.tell(), central.getvalue()
    record = struct.pack("<HHHHIIH", 0, 0, len(entries), len(entries), len(listed), start, len(comment))
    out.write(listed + b"PK\5\6" + (record if end is None else end(record)) + comment)
    return out.getvalue()


def deflated(name, plain, **odd):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return entry(name, packer.compress(plain) + packer.flush(), plain=plain, method=8, **odd)


def tar_of(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, options in members:
            member = tarfile.TarInfo(name)
            data = options.pop("data", b"")
            member.size = len(data)
            for key, value in options.items():
                setattr(member, key, value)
            made.addfile(member, io.BytesIO(data))
    return out.getvalue()


def link(name, target):
    return entry(name, target, mode=0o120777)


def quoted_bomb():
    """Fifield's second construction in small: each file's data begins with the next one's local header."""
    kernel = deflated("c", b"\0" * 1000)
    inner = archive(kernel)[: 30 + 1 + len(kernel["data"])]
    return archive(entry("b", inner), {**kernel, "no_local": True, "offset": 30 + 1})


def overlapping(name):
    kernel = deflated("k0", b"\0" * 100000)
    more = ({**kernel, "name": name or b"k%d" % i, "no_local": True, "offset": 0} for i in range(1, 50))
    return lambda: archive(kernel, *more)


def zip64_sizes(size):
    extra = struct.pack("<HHQQ", 1, 16, size, 4)
    return archive(entry("a", b"data", size=0xFFFFFFFF, packed=0xFFFFFFFF, extra=extra))


def cut_everywhere():
    whole = archive(entry("a", b"hello"), deflated("b", b"world" * 9))
    return [whole[:n] for n in range(len(whole))]


UNREAD = {4, 5, *range(40, 44), *range(72, 78)}  # of the archive below: versions, and attributes


def flipped(unread):
    """One bit of each byte, of those that nobody reads or of the others; tests/c/t_archives.c flips all bits."""
    whole = archive(entry("a", b"hello"))
    flips = []
    for at in range(len(whole)):
        one = bytearray(whole)
        one[at] ^= 1 << at % 8
        if (at in UNREAD) == unread:
            flips.append(bytes(one))
    return flips


HELLO = entry("hello", b"hello")
CRC = zlib.crc32(b"hello")

# id: [(archive, or a function that makes one or a list, or "suite/file"; the verdict; a word of the message, or
# a name that is there then)]
CASES = {
    "P1": [("zip-safety/snyk-zip-slip.zip", REFUSED, "leaves the directory")],
    "P2": [("zip-safety/snyk-zip-slip-win.zip", REFUSED, "backslash")],
    "P3": [(archive(HELLO, entry("/tmp/evil")), REFUSED, "absolute")],
    "P4": [
        (archive(entry("C:\\x")), REFUSED, "drive"),
        (archive(entry("C:x")), REFUSED, "drive"),
        (archive(entry("\\\\host\\share\\x")), REFUSED, "backslash"),
    ],
    "P5": [(archive(HELLO, entry("a/../../b")), REFUSED, "leaves the directory")],
    "P6": [(archive(entry("a/../b")), REFUSED, "leaves the directory")],
    "P7": [
        (archive(entry(b"ok.txt\0../../x")), REFUSED, "NUL"),
        ("zip-libzip/incons-filename-nul-byte.zip", REFUSED, "NUL"),
    ],
    "P8": [
        ("zip-libzip/filename_empty.zip", REFUSED, "empty name"),
        (archive(entry(".")), REFUSED, '"."'),
        (archive(entry("..")), REFUSED, '".."'),
        (archive(entry("/")), REFUSED, "absolute"),
        (archive(entry("a//b")), REFUSED, '"a//b"'),
    ],
    "P9": [
        (archive(entry("a/" * 100 + "b" * 4000)), REFUSED, "too long"),
        (archive(entry("b" * 256)), REFUSED, "too long"),
        (archive(entry("b" * 255)), OK, "b" * 255),
    ],
    "P10": [
        (archive(entry("a\nb")), REFUSED, "a\\x0ab"),
        (archive(entry("a\rb")), REFUSED, "a\\x0db"),
        (archive(entry("a\x1b[31mb")), REFUSED, "a\\x1b[31mb"),
        (archive(entry("a\x7fb")), REFUSED, "control"),
    ],
    "P11": [
        ("zip-golang/utf8-7zip.zip", OK, "世界"),
        ("zip-golang/utf8-infozip.zip", OK, "世界"),
        ("zip-golang/utf8-osx.zip", OK, "世界"),
        ("zip-golang/utf8-winrar.zip", OK, "世界"),
        ("zip-golang/utf8-winzip.zip", OK, "世界"),
        ("zip-libzip/test-cp437.zip", REFUSED, "control"),  # its names have bytes 1 to 31
        ("zip-libzip/testfile-cp437.zip", OK, None),
        (archive(entry(b"caf\xe9", flags=FLAG_UTF8)), REFUSED, "UTF-8"),
        (archive(entry(b"caf\x82")), OK, None),
    ],
    "P12": [("zip-libzip/incons-ef-local-utf8name-ascii.zip", REFUSED, "second name")],
    "P13": [
        ("zip-libzip/incons-local-filename.zip", REFUSED, "another name"),
        ("zip-libzip/incons-local-filename-long.zip", REFUSED, ""),
        ("zip-libzip/incons-local-filename-missing.zip", REFUSED, "another name"),
        ("zip-libzip/incons-local-filename-short.zip", REFUSED, "another name"),
        (archive(entry("good", local_name=b"evil")), REFUSED, "another name"),
    ],
    "P14": [
        ("zip-libzip/filename_duplicate.zip", REFUSED, "twice"),
        (archive(HELLO, HELLO), REFUSED, "twice"),
        (archive(entry("a"), entry("a/", mode=0o40755)), REFUSED, "twice"),
        (archive(entry("a"), entry("a/b")), REFUSED, "not a folder"),
        (archive(entry("a", b"1"), entry("A", b"2")), OK, "A"),
    ],
    "L1": [
        (archive(link("l", b"/etc/passwd")), REFUSED, "link that leaves"),
        (archive(link("d/l", b"../../x")), REFUSED, "link that leaves"),
        ("zip-golang/symlink.zip", REFUSED, "link that leaves"),
        (archive(HELLO, link("l", b"hello")), OK, "l"),
    ],
    "L2": [
        (archive(link("d", b"/tmp"), entry("d/evil")), REFUSED, "link that leaves"),
        (archive(entry("e/", mode=0o40755), link("d", b"e"), entry("d/evil")), REFUSED, "not a folder"),
    ],
    "L3": [],  # below: what matters is in the directory
    "L4": [],
    "L5": [
        (archive(HELLO, entry("x", mode=kind | 0o644)), REFUSED, "neither a file")
        for kind in (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK)
    ],
    "L6": [],
    "L7": [
        ("zip-safety/snyk-zip-slip.tar", REFUSED, "leaves the directory"),
        ("zip-safety/snyk-zip-slip-win.tar", REFUSED, "backslash"),
        (tar_of(("l", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})), REFUSED, "link that leaves"),
        (tar_of(("l", {"type": tarfile.LNKTYPE, "linkname": "../x"})), REFUSED, "link that leaves"),
        (tar_of(("l", {"type": tarfile.LNKTYPE, "linkname": "later"}), ("later", {})), REFUSED, "not a file before"),
        (tar_of(("f", {"data": b"x"}), ("l", {"type": tarfile.LNKTYPE, "linkname": "f"})), OK, "l"),
    ],
    "Z1": [(lambda: archive(HELLO, deflated("zeros", b"\0" * (64 << 20))), REFUSED, '"zeros" takes the archive over')],
    "Z2": [(overlapping(b"k0"), REFUSED, "overlap"), (overlapping(None), REFUSED, "another name in its own header")],
    "Z3": [(quoted_bomb, REFUSED, "overlap")],
    "Z4": [
        (lambda: archive(deflated("a", b"x" * 9999, size=10)), REFUSED, '"a" is'),
        (lambda: archive(deflated("a", b"x" * 10, size=9999)), REFUSED, '"a" is'),
        ("zip-libzip/changing-size-muchlonger.zip", OK, None),  # it changes under libzip's test; as stored it is sound
    ],
    "Z5": [(zip64_sizes(n), REFUSED, '"a" ') for n in (1 << 63, (1 << 64) - 1, (1 << 63) - 1)],
    "Z6": [],
    "Z7": [(archive(entry("inner.zip", archive(entry("inner", b"x" * 100)))), OK, "inner.zip")],
    "Z8": [
        (archive(entry("a/" * 2000 + "b")), REFUSED, "lies too deep"),
        (archive(entry("a/" * 9999)), REFUSED, "long"),
    ],
    "Z9": [],
    "Z10": [],
    "S44": [
        ("zip-libzip/junk-at-start.zip", REFUSED, "neither a zip"),
        ("zip-libzip/junk-at-end.zip", REFUSED, "end record"),
        ("zip-libzip/zip-in-archive-comment.zip", REFUSED, "two end records"),
        ("zip-libzip/zip64-in-archive-comment.zip", REFUSED, "two end records"),
        ("zip-golang/test-prefix.zip", REFUSED, "neither a zip"),
        ("zip-golang/test-trailing-junk.zip", REFUSED, "end record"),
        (archive(HELLO, comment=archive(entry("evil"))), REFUSED, "two end records"),
        (archive(HELLO, comment=b"a comment"), OK, "hello"),
    ],
    "S45": [(cut_everywhere, REFUSED, "")],
    "S46": [(lambda: flipped(unread=False), REFUSED, ""), (lambda: flipped(unread=True), OK, "a")],
    "S47": [
        ("zip-libzip/encrypt.zip", REFUSED, "is encrypted"),
        ("zip-libzip/encrypt-aes256.zip", REFUSED, "is encrypted"),
        (archive(entry("a", flags=FLAG_ENCRYPTED)), REFUSED, "is encrypted"),
        ("zip-libzip/multidisk.zip", REFUSED, "one disk of several"),
        ("zip-libzip/testbzip2.zip", REFUSED, "method 12"),
        ("zip-libzip/testfile-lzma.zip", REFUSED, "method 14"),
        ("zip-libzip/testfile-xz.zip", REFUSED, "method 95"),
        ("zip-libzip/testfile-zstd.zip", REFUSED, "method 93"),
    ],
    "S48": [
        (archive(entry("a", b"hello", crc=CRC ^ 1)), REFUSED, '"a" is damaged'),
        ("zip-golang/crc32-not-streamed.zip", OK, None),  # its CRC is right, as long as Go's test does not change it
        ("zip-golang/go-with-datadesc-sig.zip", OK, None),
        ("zip-golang/go-no-datadesc-sig.zip.base64", OK, None),
        (
            archive(
                entry("a", b"hello", flags=FLAG_STREAMED, descriptor=b"PK\7\10" + struct.pack("<III", CRC ^ 1, 5, 5)),
            ),
            REFUSED,
            "data descriptor",
        ),
    ],
    "S49": [
        ("zip-libzip/incons-file-count-high.zip", REFUSED, "directory"),
        ("zip-libzip/incons-file-count-low.zip", REFUSED, "directory"),
        ("zip-libzip/incons-file-count-overflow.zip", REFUSED, ""),
        *(
            (archive(HELLO, end=lambda r, n=n: r[:4] + struct.pack("<HH", n, n) + r[8:]), REFUSED, "damaged")
            for n in (0, 2, 65535)
        ),
    ],
    "D1": [(archive(HELLO) + archive(entry("other")), REFUSED, "damaged")],
    "D2": [
        (archive(HELLO) + archive(entry("evil", no_local=True, offset=0)), REFUSED, "damaged"),
        (lambda: (lambda a: a + a[a.index(b"PK\1\2") :])(archive(HELLO)), REFUSED, "damaged"),
    ],
}


@pytest.fixture
def room(tmp_path):
    """A directory with something in it, which a refused archive must leave as it was."""
    folder = tmp_path / "to"
    folder.mkdir()
    (folder / "kept").write_text("kept")
    return folder


def contents(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def verdict(path, room, limit=1 << 20):
    """ "ok", or the message that it was refused with; the directory is as it was then, and nothing lies beside it."""
    before = contents(room), sorted(os.listdir(room.parent))
    try:
        codepipeline.extract(path, room, limit=limit)
    except codepipeline.ArchiveError as error:
        assert (contents(room), sorted(os.listdir(room.parent))) == before
        assert (room / "kept").read_text() == "kept"
        return str(error)
    return OK


def stored(suite, name):
    path = suite(name.split("/")[0]) / name.split("/")[1]
    return base64.b64decode(path.read_bytes()) if path.suffix == ".base64" else path.read_bytes()


def bytes_of(suite, made):
    if isinstance(made, str):
        return [stored(suite, made)]
    made = made() if callable(made) else made
    return made if isinstance(made, list) else [made]


@pytest.mark.parametrize("case", [name for name, rows in CASES.items() if rows])
def test_case(case, suite, room, tmp_path):
    for made, wanted, word in CASES[case]:
        for content in bytes_of(suite, made):
            (tmp_path / "archive").write_bytes(content)
            got = verdict(tmp_path / "archive", room)
            assert (OK if got == OK else REFUSED) == wanted, (made if isinstance(made, str) else case, got)
            if got == OK and word:
                assert any(word in name for name in contents(room)), contents(room)
            elif got != OK:
                assert word is None or word in got
            if case == "S46" and got == OK:  # one bit of the mode makes a link of it
                link = (room / "a").is_symlink()
                assert (os.readlink(room / "a").encode() if link else (room / "a").read_bytes()) == b"hello"
            for name in contents(room):
                if name != "kept" and not (room / name).is_dir():
                    (room / name).unlink()


def errors_of_libzip(suite):
    told = json.loads((suite("zip-libzip") / "expected-consistency-verdicts.json").read_text())["expected"]
    return sorted(name for name, words in told.items() if words.startswith("returned error"))


def test_cases_s1_to_s43(suite, room):
    """What libzip calls inconsistent is refused. One of the 43 stands for a second file, there by its own name."""
    names = errors_of_libzip(suite)
    assert len(names) == 43
    for name in names:
        assert verdict(suite("zip-libzip") / name.split(" ")[0], room) != OK, name


def test_there_are_82_cases(suite):
    lines = (suite("zip-safety") / "CASES.md").read_text().splitlines()
    listed = [line.split(" | ")[0] for line in lines if " | " in line and line[0] in "PLZSD"]
    assert "S1..S43" in listed
    listed.remove("S1..S43")
    assert sorted(listed) == sorted(CASES) and len(CASES) + 43 == 82


# ---- the cases in which more than the archive matters ----


def test_case_l3_a_link_planted_in_the_directory_is_not_followed(room, tmp_path):
    (tmp_path / "outside").mkdir()
    (room / "d").symlink_to(tmp_path / "outside")
    (tmp_path / "archive").write_bytes(archive(entry("d/evil")))
    assert "of another kind" in verdict(tmp_path / "archive", room)
    assert contents(tmp_path / "outside") == []


def test_case_l4_a_folder_that_becomes_a_link_meanwhile_is_not_followed(room, tmp_path):
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        pytest.skip("no renameat2() here")
    for name in ("outside", "swap"):
        (tmp_path / name).mkdir()
    (room / "d").mkdir()
    (tmp_path / "swap" / "d").symlink_to(tmp_path / "outside")
    (tmp_path / "archive").write_bytes(archive(entry("d/evil", b"x")))
    over = threading.Event()
    pair = os.fsencode(room / "d"), os.fsencode(tmp_path / "swap" / "d")
    at = ctypes.c_int(-100), ctypes.c_char_p(pair[0]), ctypes.c_int(-100), ctypes.c_char_p(pair[1]), ctypes.c_uint(2)

    def swap():
        while not over.is_set():
            libc.renameat2(*at)

    thread = threading.Thread(target=swap)
    thread.start()
    end, rounds = time.monotonic() + 1.0, 0
    try:
        while time.monotonic() < end:
            rounds += 1
            try:
                codepipeline.extract(tmp_path / "archive", room)
            except codepipeline.CodePipelineError:
                pass
    finally:
        over.set()
        thread.join()
    assert rounds > 50 and contents(tmp_path / "outside") == []


def test_case_l6_special_bits_are_dropped(room, tmp_path):
    (tmp_path / "archive").write_bytes(archive(entry("tool", b"x", mode=0o106777), entry("all", b"x", mode=0o100666)))
    before = os.umask(0o022)
    try:
        assert verdict(tmp_path / "archive", room) == OK
    finally:
        os.umask(before)
    assert [stat.S_IMODE((room / name).stat().st_mode) for name in ("tool", "all")] == [0o755, 0o644]


def test_case_z6_a_million_entries_are_too_many(room, tmp_path):
    """The end records alone: the count is refused before the directory, which is a hole in the file, is read."""
    count = 1_000_001
    size = 46 * count
    with open(tmp_path / "archive", "wb") as file:
        file.write(b"PK\3\4")
        file.truncate(4 + size)
        file.seek(4 + size)
        file.write(b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, 4))
        file.write(b"PK\6\7" + struct.pack("<IQI", 0, 4 + size, 1))
        file.write(b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))
    assert "1000001 entries; the limit is 1000000" in verdict(tmp_path / "archive", room)


FULL_DISK = """
import os, sys, codepipeline
os.mkdir(sys.argv[2] + "/to")
try:
    codepipeline.extract(sys.argv[1], sys.argv[2] + "/to")
except codepipeline.CodePipelineError as error:
    print(error, os.listdir(sys.argv[2] + "/to"), os.listdir(sys.argv[2]))
"""


def test_case_z9_a_full_disk_is_told_and_nothing_stays(tmp_path):
    (tmp_path / "archive").write_bytes(archive(HELLO, entry("big", b"x" * (2 << 20))))
    (tmp_path / "small").mkdir()
    inside = 'mount -t tmpfs -o size=1m none "$2" && exec "$0" -c "$3" "$1" "$2"'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", inside, sys.executable]
    arguments = [str(tmp_path / "archive"), str(tmp_path / "small"), FULL_DISK]
    try:
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no disk of one's own: {done.stderr.strip()}")
    assert "No space left on device" in done.stdout and '"big"' in done.stdout
    assert done.stdout.strip().endswith("[] ['to']")


STREAMS = """
import resource, sys, codepipeline
def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))
codepipeline.extract(sys.argv[1], sys.argv[2] + "-first")  # what the library is loaded for once
limit = status("VmSize") * 1024 + (32 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
codepipeline.extract(sys.argv[3], sys.argv[2])
"""


def test_case_z10_a_large_entry_streams(tmp_path):
    size = 64 << 20
    crc = 0
    for _ in range(64):
        crc = zlib.crc32(bytes(1 << 20), crc)
    whole = archive(entry("zeros", b"", packed=size, size=size, crc=crc))
    start = whole.index(b"PK\1\2")
    with open(tmp_path / "archive", "wb") as file:  # the data is a hole in the file
        file.write(whole[:start])
        file.seek(size, os.SEEK_CUR)
        tail = bytearray(whole[start:])
        at = tail.index(b"PK\5\6") + 16
        tail[at : at + 4] = struct.pack("<I", start + size)
        file.write(tail)
    (tmp_path / "small").write_bytes(archive(HELLO))
    paths = [str(tmp_path / name) for name in ("small", "to", "archive")]
    subprocess.run([sys.executable, "-c", STREAMS, *paths], check=True, timeout=60)
    assert (tmp_path / "to" / "zeros").stat().st_size == size


# ---- every archive of two suites ----

LIBZIP_OK = """
    aaaaaaaa-stored bigzero-zip changing-size-muchl changing-size-muchlo changing-size-muchlonger changing-size
    cm-default encrypt-none extra_field_align_1-0 extra_field_align_1-ef_00 extra_field_align_2-0
    extra_field_align_2-ef_00 extra_field_align_3-0 extra_field_align_3-ef_00 extra_field_align_4-ff fileorder
    firstsecond-split-deflated firstsecond-split-stored firstsecond foo-stored
    incons-central-file-comment-utf8-ascii incons-ef-local-dupe-utf8comment incons-ef-local-id mtime-default
    mtime-dstpoint-deflated mtime-dstpoint mtime-post-dstpoint-deflated mtime-post-dstpoint
    mtime-pre-dstpoint-deflated mtime-pre-dstpoint rename_ok stored-no-eos test-cp437-fc-utf-8-filename
    test-cp437-fc test-utf8-unmarked test-utf8 test test2 test_open_multiple testbuffer testbuffer_reopen
    testchanged testchangedlocal testcomment testcomment13 testcommentremoved testdeflated testdeflated2 testdir
    testempty testfile-UTF8 testfile-cp437 testfile-ef testfile-plus-extra testfile-stored-dos
    testfile-torrentzip-modified testfile-torrentzip testfile testfile0 testfile2014 teststdin teststored
    utf-8-standardization-output zipcmp_zip_dir
"""
# libzip reads these, and we do not: each has a word of why
LIBZIP_STRICTER = {
    "encrypted": "broken empty-pkware encrypt encrypt-1234 encrypt_plus_extra encrypt_plus_extra_modified_c "
    "encrypt_plus_extra_modified_l hmac-error",
    "extra field": "extra_field_align_1-ef_ff extra_field_align_1-ff extra_field_align_2-ef_ff extra_field_align_2-ff "
    "extra_field_align_3-ef_ff extra_field_align_3-ff",
    "hidden bytes": "gap gap-add gap-delete gap-replace incons-gap-before-cd incons-gap-before-local",
    "neither a file, a folder nor a link": "streamed streamed-zip64 zip64 zip64-3mf incons-ef-local-dupe-zip64-v2",
    "control character": "test-cp437 test-cp437-comment-utf-8",
    "method 12": "testbzip2 testbzip2broken",
    "method 14": "lzma-no-eos testfile-lzma",
    "method 93": "testfile-zstd",
    "method 95": "testfile-xz",
    "two end records": "zip-in-archive-comment zip64-in-archive-comment",
    "twice": "filename_duplicate",
    "empty name": "filename_duplicate_empty filename_empty",
    "second name": "utf-8-standardization-input",
    "end record": "junk-at-end testextrabytes testfile-truncated",
    "is damaged": "incons-data testfile-long-comment",  # libarchive looks for the end in the last 16 KiB alone
    "misplaced": "incons-gap-before-eocd",
    "does not match the directory": "incons-trailing-garbage",
    "neither a zip": "bogus junk-at-start",
    "one disk of several": "multidisk",
}
GO_REFUSED = {
    "dupdir.zip": "twice",
    "readme.zip": "end record",
    "symlink.zip": "link that leaves",
    "test-baddirsz.zip": "misplaced",
    "test-prefix.zip": "neither a zip",
    "test-trailing-junk.zip": "end record",
    "readme.notzip": "neither a zip",
}


def test_every_archive_of_libzip_has_its_verdict(suite, tmp_path):
    fine = set(LIBZIP_OK.split())
    reasons = {name: word for word, names in LIBZIP_STRICTER.items() for name in names.split()}
    inconsistent = {name.split(" ")[0].removesuffix(".zip") for name in errors_of_libzip(suite)}
    names = {path.stem for path in suite("zip-libzip").glob("*.zip")}
    aes = {name for name in names if name.startswith(("encrypt-aes", "encrypt-pkware"))}
    reasons.update(dict.fromkeys(aes, "encrypted"))
    assert names == fine | set(reasons) | (inconsistent - {"incons-cdsize-small"}) | {"incons-cdsize-small"}
    for name in sorted(names):
        room = tmp_path / name
        room.mkdir()
        (room / "kept").write_text("kept")
        got = verdict(suite("zip-libzip") / f"{name}.zip", room, limit=64 << 20)
        assert (got == OK) == (name in fine), (name, got)
        assert reasons.get(name, "") in got, (name, got)


def test_every_archive_of_go_has_its_verdict(suite, tmp_path):
    paths = [path for path in suite("zip-golang").iterdir() if path.suffix in (".zip", ".base64", ".notzip")]
    assert len(paths) == 30
    for path in paths:
        room = tmp_path / path.name
        room.mkdir()
        (room / "kept").write_text("kept")
        (tmp_path / "archive").write_bytes(stored(suite, f"zip-golang/{path.name}"))
        got = verdict(tmp_path / "archive", room)
        assert (got == OK) == (path.name not in GO_REFUSED), (path.name, got)
        assert GO_REFUSED.get(path.name, "") in got, (path.name, got)

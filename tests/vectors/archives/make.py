#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the archives beside this file, and cases.txt: file | ok or refused | words of the message (or a path that appears).

Run it after adding a case; the output is the same every time. Standard library only. Zip records are written by hand,
because the point of most cases is what a decent library would not write.
"""
import gzip
import io
import pathlib
import struct
import tarfile
import zlib

HERE = pathlib.Path(__file__).parent
CASES = []
UNIX = 3 << 8 | 20
DATE, TIME = 0x5A61, 0x6000  # 2025-03-01 12:00


def entry(name, data=b"hello\n", mode=0o100644, *, method=8, flags=0, local=None, central=None, descriptor=b"",
          extra=b"", local_extra=b"", packed=None):
    """One zip entry; local and central change single header members."""
    name = name if isinstance(name, bytes) else name.encode()
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = packed if packed is not None else deflate.compress(data) + deflate.flush() if method == 8 else data
    plain = dict(flags=flags, method=method, time=TIME, date=DATE, crc=zlib.crc32(data), packed=len(raw),
                 size=len(data), name=name)
    return dict(raw=raw, mode=mode, descriptor=descriptor, extra=extra, local_extra=local_extra,
                local={**plain, **(local or {})}, central={**plain, **(central or {})})


def header(h, extra):
    return struct.pack("<HHHHIIIHH", h["flags"], h["method"], h["time"], h["date"], h["crc"], h["packed"], h["size"],
                       len(h["name"]), len(extra))


def make_zip(entries, *, comment=b"", count=None, shift=0, gap=b"", before=b""):
    out, directory = io.BytesIO(), b""
    out.write(before)
    for e in entries:
        at = e.get("offset", out.tell())
        if "offset" not in e:
            out.write(b"PK\3\4" + struct.pack("<H", 20) + header(e["local"], e["local_extra"]) + e["local"]["name"]
                      + e["local_extra"] + e["raw"] + e["descriptor"] + gap)
        c = e["central"]
        directory += (b"PK\1\2" + struct.pack("<HH", UNIX, 20) + header(c, e["extra"])
                      + struct.pack("<HHHII", 0, 0, 0, e["mode"] << 16, at) + c["name"] + e["extra"])
    n = len(entries) if count is None else count
    end = struct.pack("<HHHHIIH", 0, 0, n, n, len(directory), out.tell() + shift, len(comment))
    return out.getvalue() + directory + b"PK\5\6" + end + comment


def make_tar(members, compress=False):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data, changes in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(data), 1740830400, 0o644
            for key, value in changes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
    data = raw.getvalue().rstrip(b"\0")
    data += b"\0" * (-len(data) % 512 + 1024)
    return gzip.compress(data, mtime=0) if compress else data


def case(file, verdict, words, data):
    (HERE / file).write_bytes(data)
    CASES.append(f"{file} | {verdict} | {words}")


def ok(file, path, data):
    case(file, "ok", path, data)


def refused(file, words, data):
    case(file, "refused", words, data)


def link(name, target, mode=0o120777):
    return entry(name, target.encode(), mode, method=0)


def names():
    for label, name, words in [
        ("parent", "../evil", "leaves the directory"), ("parent-deep", "../../tmp/evil.txt", "leaves the directory"),
        ("parent-middle", "a/../../b", "leaves the directory"), ("parent-inside", "a/../b", "leaves the directory"),
        ("parent-alone", "..", "leaves the directory"), ("parent-backslash", "..\\..\\evil", "backslash"),
        ("absolute", "/tmp/evil", "absolute"), ("root", "/", "absolute"), ("drive", "C:/evil", "drive"),
        ("drive-backslash", "C:\\evil", "drive"), ("unc", "\\\\host\\share\\evil", "backslash"),
        ("nul", b"ok.txt\0../../x", "NUL"), ("empty", "", "empty name"), ("dot", ".", '"." in its name'),
        ("dot-middle", "a/./b", '"." in its name'), ("double-slash", "a//b", "empty part"),
        ("part-256", "x" * 256, "too long"), ("name-4097", "/".join(["abcdefg"] * 513), "too long"),
        ("deep-129", "d/" * 129 + "x", "too deep"), ("newline", "a\nb", "control"), ("escape", "a\x1b[31mb", "control"),
        ("delete", "a\x7fb", "control"),
    ]:
        refused(f"name-{label}.zip", words, make_zip([entry("first"), entry(name)]))
    ok("name-utf8.zip", "grün/日本.txt", make_zip([entry("grün/日本.txt", flags=0x800)]))
    ok("name-cp437.zip", "last", make_zip([entry(b"gr\x81n.txt"), entry("last")]))
    ok("name-part-255.zip", "x" * 255, make_zip([entry("x" * 255)]))
    ok("name-dots.zip", "...", make_zip([entry("..."), entry("..a"), entry("a..")]))
    refused("name-local-differs.zip", "another name", make_zip([entry("good", local={"name": b"evil"})]))
    unicode_path = struct.pack("<HHBI", 0x7075, 9, 1, zlib.crc32(b"good")) + b"evil"
    refused("name-unicode-extra.zip", "second name",
            make_zip([entry("good", extra=unicode_path, local_extra=unicode_path)]))


def twice():
    refused("twice-file.zip", "twice", make_zip([entry("a"), entry("a")]))
    refused("twice-file-folder.zip", "twice", make_zip([entry("a"), entry("a/", b"", 0o040755, method=0)]))
    refused("twice-folder-file.zip", "twice", make_zip([entry("a/", b"", 0o040755, method=0), entry("a")]))
    refused("twice-below-file.zip", "not a folder", make_zip([entry("a"), entry("a/b")]))
    refused("twice-link-file.zip", "twice", make_zip([link("a", "b"), entry("a")]))
    ok("twice-folder.zip", "a/b", make_zip([entry("a/b"), entry("a/", b"", 0o040755, method=0)]))
    refused("twice-tar.tar", "twice", make_tar([("a", b"1", {}), ("a", b"2", {})]))


def links():
    for label, name, target in [
        ("absolute", "a", "/etc/passwd"), ("parent", "a", "../x"), ("parent-deep", "d/a", "../../x"),
        ("through", "a", "d/../x"), ("backslash", "a", "..\\x"), ("parent-alone", "a", ".."), ("nul-target", "a", ""),
    ]:
        refused(f"link-{label}.zip", "link", make_zip([link(name, target)]))
    refused("link-write-through.zip", "not a folder", make_zip([link("d", "e"), entry("e/x"), entry("d/evil")]))
    refused("link-write-through.tar", "not a folder",
            make_tar([("e/x", b"1", {}), ("d", b"", {"type": tarfile.SYMTYPE, "linkname": "e"}), ("d/evil", b"2", {})]))
    ok("link-inside.zip", "d/up", make_zip([entry("x"), link("d/up", "../x"), link("near", "d/up"), link("gone", "no")]))
    for kind, mode in [("fifo", 0o010644), ("char", 0o020644), ("block", 0o060644), ("socket", 0o140644)]:
        refused(f"special-{kind}.zip", "neither a file", make_zip([entry("first"), entry("s", b"", mode, method=0)]))
    refused("special-fifo.tar", "neither a file", make_tar([("s", b"", {"type": tarfile.FIFOTYPE})]))
    refused("special-char.tar", "neither a file", make_tar([("s", b"", {"type": tarfile.CHRTYPE})]))
    ok("mode-setuid.zip", "run", make_zip([entry("run", mode=0o104777), entry("locked", mode=0o100000)]))


def tars():
    ok("plain.tar", "d/a", make_tar([("./", b"", {"type": tarfile.DIRTYPE, "mode": 0o755}), ("./d/a", b"hello\n", {}),
                                     ("./d/b", b"", {"type": tarfile.LNKTYPE, "linkname": "./d/a"})]))
    ok("plain.tar.gz", "d/a", make_tar([("d/a", b"hello\n", {}), ("run", b"x", {"mode": 0o755})], compress=True))
    refused("parent.tar", "leaves", make_tar([("ok", b"1", {}), ("../evil", b"2", {})]))
    refused("absolute.tar.gz", "absolute", make_tar([("/tmp/evil", b"2", {})], compress=True))
    refused("hardlink-outside.tar", "link that leaves", make_tar(
        [("a", b"", {"type": tarfile.LNKTYPE, "linkname": "../../etc/passwd"})]))
    refused("hardlink-missing.tar", "is a link to", make_tar([("a", b"", {"type": tarfile.LNKTYPE, "linkname": "b"})]))
    refused("hardlink-to-link.tar", "is a link to", make_tar(
        [("l", b"", {"type": tarfile.SYMTYPE, "linkname": "x"}), ("a", b"", {"type": tarfile.LNKTYPE, "linkname": "l"})]))
    refused("symlink-outside.tar", "link that leaves", make_tar(
        [("a", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc"})]))
    whole = make_tar([("d/a", b"hello world\n" * 200, {})], compress=True)
    refused("truncated.tar.gz", "damaged", whole[:-20])
    refused("truncated.tar", "damaged", make_tar([("d/a", b"x" * 2000, {})])[:1500])


def structure():
    good = [entry("a/b"), entry("run", b"#!/bin/sh\n", 0o100755), entry("empty", b""), entry("stored", method=0)]
    whole = make_zip(good)
    ok("plain.zip", "a/b", whole)
    ok("empty.zip", "", make_zip([]))
    ok("comment.zip", "a/b", make_zip(good, comment=b"0123456789abcdef"))
    refused("junk-before.zip", "neither", b"junk" + whole)
    refused("junk-before-fixed.zip", "neither", make_zip(good, before=b"junk"))
    refused("junk-after.zip", "end record", whole + b"junk")
    refused("two-zips.zip", "misplaced", whole + make_zip([entry("other")]))
    refused("zip-in-comment.zip", "two end records", make_zip(good, comment=make_zip([entry("other")])))
    refused("gap.zip", "hidden", make_zip(good, gap=b"hidden"))
    refused("hidden-first.zip", "hidden",
            make_zip(good, before=make_zip([entry("other")])[:46]))
    first = entry("a", b"\0" * 4000)
    refused("overlap.zip", "overlap", make_zip([first, {**first, "offset": 0}]))
    refused("count-high.zip", "breaks off|too short", make_zip(good, count=5))
    refused("count-low.zip", "more than it counts", make_zip(good, count=3))
    refused("directory-moved.zip", "misplaced", make_zip(good, shift=-4))
    refused("crc.zip", "damaged", make_zip([entry("a", local={"crc": 1}, central={"crc": 1})]))
    refused("crc-local.zip", "does not match", make_zip([entry("a", local={"crc": 1})]))
    refused("size-small.zip", "damaged|longer", make_zip([entry("a", b"x" * 9000, local={"size": 5}, central={"size": 5})]))
    refused("size-large.zip", "damaged|shorter", make_zip([entry("a", local={"size": 900}, central={"size": 900})]))
    refused("size-stored.zip", "sizes differ", make_zip([entry("a", method=0, local={"size": 9}, central={"size": 9})]))
    refused("packed-large.zip", "beyond|overlap|hidden",
            make_zip([entry("a", local={"packed": 1 << 30}, central={"packed": 1 << 30})]))
    for label, size in [("2-63", 1 << 63), ("2-64", (1 << 64) - 1)]:
        big = struct.pack("<HHQ", 1, 8, size)
        refused(f"size-{label}.zip", "extra field", make_zip([entry(
            "a", local={"size": 0xFFFFFFFF}, central={"size": 0xFFFFFFFF}, extra=big, local_extra=big)]))
    refused("encrypted.zip", "encrypted", make_zip([entry("a", flags=1)]))
    refused("method-bzip2.zip", "method 12", make_zip([entry("a", method=12, packed=b"BZh9")]))
    data = b"streamed\n"
    plain = entry("a", data)
    crc, n = zlib.crc32(data), plain["central"]["packed"]
    streamed = dict(flags=8, local={"crc": 0, "packed": 0, "size": 0})
    ok("descriptor.zip", "a", make_zip([entry("a", data, **streamed, descriptor=b"PK\7\10" + struct.pack(
        "<III", crc, n, len(data))), entry("b")]))
    ok("descriptor-unsigned.zip", "a", make_zip([entry("a", data, **streamed, descriptor=struct.pack(
        "<III", crc, n, len(data))), entry("b")]))
    refused("descriptor-wrong.zip", "descriptor", make_zip([entry("a", data, **streamed, descriptor=b"PK\7\10" + struct.pack(
        "<III", crc, n + 1, len(data))), entry("b")]))
    refused("not-an-archive.zip", "neither", b"<html>no such bucket</html>" * 40)
    refused("zero-bytes.zip", "neither", b"")


for group in (names, twice, links, tars, structure):
    group()
(HERE / "cases.txt").write_text("\n".join(CASES) + "\n", encoding="utf-8")

#!/bin/sh
# SPDX-License-Identifier: MIT
#
# lean.sh FOLDER: static libraries for a module that needs none at run time, in FOLDER/lib, their headers in
# FOLDER/include, and the licences of all that becomes part of the module in FOLDER/licenses.
#
# libcurl, libmicrohttpd and libarchive are compiled from Debian's own source packages, with what we use and nothing
# more (docs/adr/0015); cJSON because Debian has no static one. The others are Debian's static libraries as they are.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p "${1:?usage: lean.sh FOLDER}"
prefix=$(CDPATH='' cd -- "$1" && pwd)
apt=$prefix/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/sources" \
    "$prefix/src" "$prefix/lib/pkgconfig" "$prefix/include" "$prefix/licenses"
jobs=$(nproc 2>/dev/null || echo 2)
flags='-O2 -fPIC -ffunction-sections -fdata-sections'

# ---- sources ----

# apt with this machine's own sources, asked for source packages, in folders of our own
apt_get() {
    apt-get -q -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts="$apt/sources" \
        -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root "$@"
}

enable_sources() {
    : >"$apt/sources.list"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ ! -e "$file" ] || sed -n 's/^deb /deb-src /p' "$file" >>"$apt/sources.list"
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        [ ! -e "$file" ] || sed 's/^Types:.*/Types: deb-src/' "$file" >"$apt/sources/${file##*/}"
    done
    apt_get update || true # a source of somebody else's may have no source packages
}

# unpacked NAME: its source in src/NAME, with Debian's patches
unpacked() {
    cd "$prefix/src"
    rm -rf "$1" "$1"_* "$1"-*
    apt_get source --download-only "$1"
    dpkg-source --no-check -x "$1"_*.dsc "$1"
    cp "$1/debian/copyright" "$prefix/licenses/LICENSE-$1.txt"
    cd "$1"
}

# ---- libraries ----

# The sources have what these would make; a patch's date does not change that.
made() { make -s -j "$jobs" ACLOCAL=: AUTOCONF=: AUTOHEADER=: AUTOMAKE=: "$@"; }

configured() {
    ./configure --quiet --prefix="$prefix" --libdir="$prefix/lib" --with-pic --disable-shared --enable-static \
        CFLAGS="$flags" "$@"
}

# HTTP and HTTPS, through proxies, and no other protocol. The system's certificates are found by core/http_route.c.
make_curl() {
    unpacked curl
    set -- --without-ca-bundle --without-ca-path
    for name in zlib brotli zstd libpsl libidn2 nghttp2 nghttp3 ngtcp2 librtmp libssh libssh2 libgsasl gssapi; do
        set -- "$@" "--without-$name"
    done
    for name in ldap ldaps rtsp dict telnet tftp pop3 imap smb smtp gopher mqtt ftp file manual libcurl-option ares \
        sspi ntlm ntlm-wb tls-srp cookies alt-svc hsts doh dateparse; do
        set -- "$@" "--disable-$name"
    done
    configured --with-openssl --enable-threaded-resolver "$@"
    made -C lib install
    made -C include install
    cp libcurl.pc "$prefix/lib/pkgconfig/"
}

make_libmicrohttpd() {
    unpacked libmicrohttpd
    set --
    for name in https doc examples curl nls postprocessor bauth dauth httpupgrade; do
        set -- "$@" "--disable-$name"
    done
    configured "$@"
    made -C src/microhttpd libmicrohttpd.la
    made -C src/microhttpd install-libLTLIBRARIES
    made -C src/include install
    cp libmicrohttpd.pc "$prefix/lib/pkgconfig/"
}

make_libarchive() {
    unpacked libarchive
    set --
    for name in bsdtar bsdcat bsdcpio acl xattr; do set -- "$@" "--disable-$name"; done
    for name in bz2lib libb2 iconv lz4 zstd lzma xml2 expat nettle openssl; do set -- "$@" "--without-$name"; done
    configured "$@"
    made libarchive.la
    made install-libLTLIBRARIES install-includeHEADERS
    cp build/pkgconfig/libarchive.pc "$prefix/lib/pkgconfig/"
}

make_cjson() {
    unpacked cjson
    # the flags are words
    # shellcheck disable=SC2086
    cc $flags -c cJSON.c -o cJSON.o
    ar rcs "$prefix/lib/libcjson.a" cJSON.o
    mkdir -p "$prefix/include/cjson"
    cp cJSON.h "$prefix/include/cjson/"
    cat >"$prefix/lib/pkgconfig/libcjson.pc" <<END
Name: libcjson
Description: cJSON
Version: $(sed -n 's/^#define CJSON_VERSION_[A-Z]* //p' cJSON.h | paste -s -d .)
Libs: -L$prefix/lib -lcjson
Cflags: -I$prefix/include
END
}

# Static libraries of Debian's, where the linker finds nothing else of that name: -L comes first.
take_debian() {
    for row in libssl-dev:ssl libssl-dev:crypto libsqlite3-dev:sqlite3 libexpat1-dev:expat zlib1g-dev:z; do
        package=${row%:*} library=lib${row#*:}.a
        cp "$(cc -print-file-name="$library")" "$prefix/lib/"
        cp "/usr/share/doc/$package/copyright" "$prefix/licenses/LICENSE-${package%-dev}.txt"
    done
    # shellcheck disable=SC2086
    cc $flags -c "$here/arc4random.c" -o "$prefix/arc4random.o"
    ar rs "$prefix/lib/libexpat.a" "$prefix/arc4random.o"
}

[ ! -e "$prefix/.ready" ] || exit 0
enable_sources
for library in curl libmicrohttpd libarchive cjson; do (make_$library); done
take_debian
rm -rf "$prefix/src" "$apt"
cp /usr/share/common-licenses/LGPL-2.1 "$prefix/licenses/LICENSE-LGPL-2.1.txt"
cp /usr/share/common-licenses/Apache-2.0 "$prefix/licenses/LICENSE-Apache-2.0.txt"
touch "$prefix/.ready"

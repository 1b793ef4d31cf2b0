#!/bin/sh
# SPDX-License-Identifier: MIT
#
# test.sh PYTHON OUT [wheel|sdist...]: installs what wheel.sh put into OUT on bare machines, and runs smoke.py there. A
# bare machine is a folder with a minimal Debian of this machine's release and the packages a user is asked to have:
# for the wheel Python alone, for the source archive what README.md names besides. Needs root and debootstrap; while
# something is installed and run there, it is without a network.
set -eu

python=${1:?usage: test.sh PYTHON OUT [wheel|sdist...]}
out=$(CDPATH='' cd -- "$2" && pwd)
shift 2
[ $# -gt 0 ] || set -- wheel sdist
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. /etc/os-release
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    grep -oE 'https?://[^ ]+/(debian|ubuntu)/?( |$)' | head -n 1 | tr -d ' ')
for_python=python3,python3-venv,ca-certificates
for_source=gcc,libc6-dev,pkg-config,python3-dev,libcurl4-openssl-dev,libssl-dev,libcjson-dev,libarchive-dev
for_source=$for_source,libsqlite3-dev,libexpat1-dev,libmicrohttpd-dev

work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=loopback \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
hash=$(openssl x509 -hash -noout -in "$work/cert.pem")
"$python" -m pip download -q --no-deps --dest "$work/tools" -r "$here/requirements.txt"

machine() { # FOLDER PACKAGES
    [ -e "$1/.ready" ] && return
    rm -rf --one-file-system "$1"
    debootstrap --variant=minbase --include="$2" "$VERSION_CODENAME" "$1" "$mirror" >"$out/debootstrap.log"
    touch "$1/.ready"
}

# bare FOLDER COMMAND...: run in it, with a network namespace and an environment of its own
bare() {
    root=$1
    shift
    unshare --net --mount --pid --fork sh -c '
        root=$1
        shift
        mount -t proc proc "$root/proc"
        ip link set lo up 2>/dev/null || python3 "$root/tmp/try/loopback.py"
        exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 chroot "$root" "$@"' sh "$root" "$@"
}

try() { # KIND PACKAGES
    machine "$out/bare-$1" "$2"
    cp -a "$out/bare-$1" "$work/$1"
    mkdir -p "$work/$1/tmp/try"
    cp "$work/key.pem" "$work/cert.pem" "$here/smoke.py" "$here/loopback.py" "$work/$1/tmp/try/"
    cp -r "$work/tools" "$work/$1/tmp/try/tools"
    case $1 in
    wheel) cp "$out"/codepipeline-*.whl "$work/$1/tmp/try/" ;;
    sdist) cp "$out"/codepipeline-*.tar.gz "$work/$1/tmp/try/" ;;
    esac
    bare "$work/$1" sh -eu -c '
        cd /tmp/try
        python3 -m venv /venv
        /venv/bin/pip install -q --no-index --find-links tools --disable-pip-version-check codepipeline-*'
    # trusted as Debian has it, a folder; then, by the wheel alone, as Red Hat has it, one file
    cp "$work/cert.pem" "$work/$1/etc/ssl/certs/$hash.0"
    bare "$work/$1" /venv/bin/python /tmp/try/smoke.py /tmp/try/cert.pem /tmp/try/key.pem
    [ "$1" = wheel ] || return 0
    mv "$work/$1/etc/ssl" "$work/$1/etc/no-ssl"
    mkdir -p "$work/$1/etc/pki/tls/certs"
    cp "$work/cert.pem" "$work/$1/etc/pki/tls/certs/ca-bundle.crt"
    bare "$work/$1" /venv/bin/python /tmp/try/smoke.py /tmp/try/cert.pem /tmp/try/key.pem
}

for kind; do
    case $kind in
    wheel) try wheel "$for_python" ;;
    sdist) try sdist "$for_python,$for_source" ;;
    esac
done

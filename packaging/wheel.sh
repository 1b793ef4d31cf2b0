#!/bin/sh
# SPDX-License-Identifier: MIT
#
# wheel.sh PYTHON LIBRARIES OUT: one abi3 wheel from the source archive of this tree, in OUT with that archive. LIBRARIES
# is what lean.sh made, PYTHON an interpreter with packaging/requirements.txt. auditwheel looks that the wheel needs
# nothing but glibc, and names it after the oldest glibc it runs with.
set -eu

python=${1:?usage: wheel.sh PYTHON LIBRARIES OUT}
libraries=$(CDPATH='' cd -- "$2" && pwd)
mkdir -p "$3"
out=$(CDPATH='' cd -- "$3" && pwd)
cd "$(dirname -- "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

rm -f "$out"/codepipeline-*
"$python" -m build --no-isolation --sdist --outdir "$out" .
tar -xzf "$out"/codepipeline-*.tar.gz -C "$work"
cd "$work"/codepipeline-*
cp "$libraries"/licenses/LICENSE-* .
export CODEPIPELINE_STATIC=1 PKG_CONFIG_PATH="$libraries/lib/pkgconfig"
export CFLAGS="${CFLAGS:-} -O2 -ffunction-sections -fdata-sections -I$libraries/include"
export LDFLAGS="${LDFLAGS:-} -L$libraries/lib -Wl,--exclude-libs,ALL -Wl,--gc-sections"
"$python" -m build --no-isolation --wheel --outdir "$work/built" .
PATH="$(dirname -- "$python"):$PATH" "$python" -m auditwheel repair --strip --wheel-dir "$out" "$work"/built/*.whl

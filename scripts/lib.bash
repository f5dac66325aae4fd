# Shared by the scripts of this folder: where things are, and how they speak. Sourced, never run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
called_from=$PWD
cd "$root" || exit 2
me=$(basename "$0")

# Where `cargo build` puts what `.cargo/config.toml` makes it build.
# shellcheck disable=SC2034 # for the scripts that source this
programs=${CARGO_TARGET_DIR:-$root/target}/x86_64-unknown-linux-gnu/debug

# Flags for what leaves this machine: static, and without the paths of the machine that built it. They stand in for those
# of `.cargo/config.toml`, so such a build has a target folder of its own.
flags_for_elsewhere() {
    local cargo_home=${CARGO_HOME:-$HOME/.cargo} sysroot
    sysroot=$(rustc --print sysroot)
    printf '%s ' -C target-feature=+crt-static "--remap-path-prefix=$cargo_home/registry/src=/registry" \
        "--remap-path-prefix=$sysroot=/rust" "--remap-path-prefix=$root=/retake"
}

# A path given by the user, who means it from where they called.
from_caller() { (cd "$called_from" && realpath --no-symlinks "$1"); }

say() { printf '%s: %s\n' "$me" "$*" >&2; }
fail() { say "$*"; exit 2; }
have() { command -v "$1" >/dev/null 2>&1; }

# The comment at the head of the script is its help.
print_help() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }

docker_answers() { have docker && docker info >/dev/null 2>&1; }

# Root on a Debian can have what it lacks; anybody else is told.
can_install() { [[ $(id -u) -eq 0 && -f /etc/debian_version ]] && have apt-get; }

#!/bin/sh
# need.sh COMMAND:PACKAGE…: installs from Debian what is missing, as root or through sudo, and says so.
set -eu
PATH=$PATH:/usr/sbin:/sbin
missing=
for pair in "$@"; do
	command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null; then
	echo "missing here:$missing (only Debian's packages are installed automatically)" >&2
	exit 1
fi
root=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "missing here:$missing; install as root: apt-get install$missing" >&2; exit 1; }
	root=sudo
fi
echo "installing from Debian:$missing"
# shellcheck disable=SC2086
$root apt-get install -y -qq $missing >/dev/null 2>&1 || { $root apt-get update -qq && $root apt-get install -y -qq $missing >/dev/null; }

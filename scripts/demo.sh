#!/bin/sh
# demo.sh PALISADE: the README's demo. Where this machine forbids user namespaces, goes on as root if it may.
set -u
palisade=$1
example=examples/three-tier

shown() { printf '\n$ palisade %s\n' "$*"; }

shown lab run -f $example
"$palisade" lab run -f $example
status=$?
if [ $status = 2 ] && [ "$(id -u)" != 0 ] && command -v sudo >/dev/null; then
	echo 'Going on as root, through sudo.'
	sudo "$palisade" lab run -f $example
	status=$?
fi
[ $status = 0 ] || exit $status

shown explain prod/frontend prod/database:5432 -f $example
"$palisade" explain prod/frontend prod/database:5432 -f $example
# Denied is the right answer here: exit code 1.
[ $? = 1 ]

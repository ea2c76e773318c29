#!/bin/sh
# Runs a command whose temporary files are in memory, where this user may mount something and memory is plenty; else as
# it is. The tests make and remove some hundred thousand files, for a sixth of their processor time on a disk.
set -eu

free=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo)
if [ "$free" -lt 8 ] || ! unshare --mount mount -t tmpfs tmpfs /mnt 2>/dev/null; then
  exec "$@"
fi
# Short, as names of sockets have to be. The mount is seen by the command alone, and goes with its last process.
folder=$(mktemp -d "${TMPDIR:-/tmp}/sk-XXXX")
trap 'rmdir "$folder"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$folder"
TMPDIR=$folder unshare --mount sh -c 'mount -t tmpfs -o mode=1777 tmpfs "$TMPDIR" && exec "$@"' sh "$@"

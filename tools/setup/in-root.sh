#!/bin/sh
# in-root.sh ROOT DATA COMMAND [ARG...]: runs COMMAND with ROOT as its root folder and DATA as /data, never as root.
# The mounts live in a namespace of their own and end with the command, however it ends: none can be left behind, and any number can run at once.
set -eu
root=$1 data=$2
shift 2
if [ "$(id -u)" != 0 ]; then
  exec bwrap --unshare-user --uid 70 --gid 70 --ro-bind "$root" / --bind "$data" /data --dev /dev --proc /proc --tmpfs /tmp --chdir / --die-with-parent "$@"
fi
chown -R 70:70 "$data"
exec unshare --mount --propagation private /bin/sh -c '
  set -eu
  root=$1 data=$2
  shift 2
  mount --bind "$data" "$root/data"
  mount --rbind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  mount -t tmpfs tmpfs "$root/tmp"
  exec chroot --userspec=70:70 "$root" "$@"
' in-root "$root" "$data" "$@"

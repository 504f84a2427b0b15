#!/bin/sh
# The document store in one container: PostgreSQL as its own user, FerretDB in front of it. Ends when either ends.
set -eu
export PATH=/usr/sbin:/usr/bin
rm -f /data/pg/postmaster.pid /data/.s.PGSQL.5432*
chown -R 70:70 /data
chmod 700 /data/pg
chroot --userspec=70:70 / /usr/lib/postgresql/18/bin/postgres -D /data/pg &
postgres=$!
while ! [ -S /data/.s.PGSQL.5432 ]; do
  kill -0 "$postgres"
  sleep 0.05
done
cd /data
chroot --userspec=70:70 / /usr/bin/ferretdb --postgresql-url='postgres://postgres@/postgres?host=/data' --listen-addr=0.0.0.0:27017 \
  --debug-addr=- --no-auth --state-dir=/data --telemetry=disable &
ferretdb=$!
trap 'kill -TERM "$ferretdb"; wait "$ferretdb"; kill -INT "$postgres"; wait "$postgres"; exit 0' TERM INT
while kill -0 "$postgres" 2>/dev/null && kill -0 "$ferretdb" 2>/dev/null; do
  sleep 1 &
  wait $!
done
exit 1

#!/bin/sh
# Make the database's password, once: for Postgres in one directory, for core in another.
#
#   secrets.sh DATABASE_DIRECTORY CORE_DIRECTORY
#
# Postgres runs as another user than core, so its copy can be read by all; nobody else mounts it.
set -eu
database=$1 core=$2

if [ -s "$database/password" ] && [ -s "$core/pgpass" ]; then
    echo "the database's password is there already"
    exit 0
fi
password=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')

umask 077
printf '*:*:*:ingress:%s\n' "$password" >"$core/pgpass.new"
mv "$core/pgpass.new" "$core/pgpass"
umask 022
printf '%s\n' "$password" >"$database/password.new"
mv "$database/password.new" "$database/password"
echo "made a password for the database"

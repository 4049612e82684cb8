#!/bin/sh
# Record a simulated fleet of five buses, unless it is there already.
#
#   fleet.sh FILE HOURS
set -eu
file=$1 hours=$2

if [ -s "$file" ]; then
    echo "$file is there already"
    exit 0
fi
directory=$(dirname "$file")
ingress fleet record "$directory/new.jsonl.gz" --vehicles 5 --hours "$hours"
mv "$directory/new.jsonl.gz" "$file"

#!/bin/sh
# Make the API keys that are not there or no longer valid: the publisher's, and one to read with.
#
#   keys.sh WORKSPACE PUBLISHER EDGE_DIRECTORY OPERATOR_DIRECTORY
set -eu
umask 077
workspace=$1 publisher=$2 edge=$3 operator=$4
listed=$(ingress keys list --workspace "$workspace")

# key FILE OPTION...: keep what is in FILE if it is still valid, else make one with these options.
key() {
    file=$1
    shift
    if [ -s "$file" ]; then
        id=$(cut -d _ -f 2 "$file")
        if printf '%s\n' "$listed" | grep -q "^$id .* active"; then
            echo "$file is there already, and valid"
            return
        fi
    fi
    made=$(ingress keys create --workspace "$workspace" "$@")
    printf '%s\n' "$made" | sed -n 's/^key: //p' >"$file.new"
    test -s "$file.new"
    mv "$file.new" "$file"
    echo "made $file"
}

key "$edge/ingest.key" --role ingest --publisher "$publisher"
key "$operator/read.key" --role read

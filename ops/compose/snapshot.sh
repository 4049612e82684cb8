#!/bin/sh
# Print the vehicles that core knows and their latest values, once there are some.
#
#   ops/compose/snapshot.sh [WORKSPACE]
#
# Needs curl, and the stack of docker-compose.yml: docker compose up --wait
set -eu
cd "$(dirname "$0")/../.."
workspace=${1:-${STACK_WORKSPACE:-acme}}
port=$(docker compose port api 8080)
key=$(docker compose exec -T api cat /secrets/operator/read.key)

for _ in $(seq 60); do
    shown=$(printf 'header = "Authorization: Bearer %s"\n' "$key" |
        curl --fail --silent --show-error --config - \
            "http://$port/v1/workspaces/$workspace/vehicles")
    case $shown in
    *'"external_id"'*)
        printf '%s\n' "$shown"
        exit 0
        ;;
    esac
    sleep 1
done
echo "core knows no vehicle of $workspace after a minute: docker compose logs publisher consumer" >&2
exit 1

#!/usr/bin/env bash
# One Sallyport tunnel for the benchmark, driven by the command line as an operator would.
# The harness starts the relay itself; the other roles need tokens and a running relay first, so each
# of them waits, prepares and then becomes the measured process by exec. D is the scratch folder.
#
#   sallyport.sh agent D TARGET [LISTEN]    enrols, allows TARGET as bench/target, runs; with LISTEN
#                                           the relay listens there once the agent is connected
#   sallyport.sh connector D LISTEN         gets credentials, forwards LISTEN to bench/target
#   sallyport.sh enrol D COUNT RELAY        idle agents a1..aCOUNT, before the measured relay starts
#   sallyport.sh join D SITE FOLDER         one of them
#   sallyport.sh idle D I COUNT             the idle agents; see idle-agents.ts
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
# The pinned Node, also where a namespace's command starts with another PATH.
node="$root/node_modules/.bin/node"

sallyport() { "$node" "$root/bin/sallyport.js" "$@"; }

# retry COMMAND...: 15 s at most; its messages matter only when it never succeeds.
retry() {
  local deadline=$((SECONDS + 15))
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

token() { sallyport relay join-token "$2" --data "$1/relay"; }

# join D SITE FOLDER: the string goes by stdin, so it is never in an argv.
join() {
  local string
  string="$(token "$1" "$2")" || return 1
  printf '%s\n' "$string" | sallyport agent join - --data "$1/$3" --no-service
}

connected() { sallyport agent status --json --data "$1/agent" | grep -Eq '"connected"(: ?true|[,}])'; }

publish_when_connected() {
  retry connected "$1"
  sallyport relay publish bench/target --tcp "$2" --data "$1/relay"
}

run_agent() {
  local dir="$1" target="$2" listen="${3:-}"
  retry join "$dir" bench agent
  sallyport agent allow "target=$target" --protocol tcp --allow-loopback --data "$dir/agent"
  if [ -n "$listen" ]; then publish_when_connected "$dir" "$listen" & fi
  exec "$node" "$root/bin/sallyport.js" agent run --data "$dir/agent"
}

run_connector() {
  local dir="$1" listen="$2"
  retry connected "$dir"
  sallyport relay connector add bench --resource bench/target --out "$dir/connector.json" --data "$dir/relay"
  exec "$node" "$root/bin/sallyport.js" connect bench/target --listen "$listen" --credentials "$dir/connector.json"
}

# The relay measured later starts from the same folder, so it knows these agents.
enrol() {
  local dir="$1" count="$2" relay="$3"
  ((count > 0)) || return 0
  # Not by the function: a subshell would stand between, and take the signal for itself.
  "$node" "$root/bin/sallyport.js" relay up --data "$dir/relay" --listen "$relay" >"$dir/enrol-relay.log" 2>&1 &
  enrol_relay=$!
  trap 'kill "$enrol_relay" && wait "$enrol_relay" || true' EXIT
  seq "$count" | xargs -P 2 -I{} "${BASH_SOURCE[0]}" join "$dir" "a{}" "a{}"
}

# The harness starts COUNT processes and waits three seconds: too short for COUNT starts of Node on
# two cores. So one process holds all the sessions and the others only stand for theirs.
idle() {
  if (($2 == 1)); then exec "$node" "$root/bench/idle-agents.ts" "$1" "$3"; fi
  exec sleep infinity
}

case "$1" in
  agent) shift; run_agent "$@" ;;
  connector) shift; run_connector "$@" ;;
  enrol) shift; enrol "$@" ;;
  join) shift; retry join "$@" ;;
  idle) shift; idle "$@" ;;
  *) echo "sallyport.sh: unknown role $1" >&2; exit 2 ;;
esac

#!/usr/bin/env bash
# Three Ray nodes on this machine, with a token, none with a GPU: a head that takes no run, w1 and w2 with two CPUs each.
# SIM: a scratch folder with a short path (Ray's sockets take 107 characters). PYTHON: the one that has ray. PORT: of the head.
# State is kept under $SIM alone; ray_down.sh ends these nodes and no other (never `ray stop`, which ends every Ray here).
set -euo pipefail
SIM=${SIM:?a scratch folder}; PYTHON=${PYTHON:-python3}; PORT=${PORT:-26379}
mkdir -p "$SIM"
[ -s "$SIM/token" ] || (umask 077; head -c 24 /dev/urandom | base64 | tr -d '/+=' > "$SIM/token")
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$SIM/token" RAY_USAGE_STATS_ENABLED=0 RAY_DISABLE_IMPORT_WARNING=1

start() {
  local name=$1; shift
  if [ -s "$SIM/$name.pid" ] && kill -0 "$(cat "$SIM/$name.pid")" 2>/dev/null; then return; fi
  setsid "$PYTHON" -m ray.scripts.scripts start --block --disable-usage-stats --node-ip-address=127.0.0.1 \
    --object-store-memory=100000000 --num-gpus=0 "$@" >"$SIM/$name.log" 2>&1 </dev/null &
  echo $! > "$SIM/$name.pid"
}

wait_for() {
  for _ in $(seq 1 240); do
    grep -q 'Ray runtime started' "$SIM/$1.log" && return
    kill -0 "$(cat "$SIM/$1.pid")" 2>/dev/null || break
    sleep 0.25
  done
  echo "ray node $1 did not start:" >&2; tail -n 5 "$SIM/$1.log" >&2; exit 1
}

start head --head --port="$PORT" --temp-dir="$SIM/tmp" --include-dashboard=false --num-cpus=0
wait_for head
# One after the other: two that start at once on one machine wait for each other's ports, and one gives up after 30 s.
for name in w1 w2; do
  start $name --address="127.0.0.1:$PORT" --num-cpus=2
  wait_for $name
done
echo "127.0.0.1:$PORT"

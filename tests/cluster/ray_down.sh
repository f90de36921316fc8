#!/usr/bin/env bash
# Ends the nodes that ray_up.sh started under $SIM, or those that are named: `ray_down.sh w1`. With HOW=KILL as a power cut would.
SIM=${SIM:?a scratch folder}; HOW=${HOW:-TERM}
[ $# -gt 0 ] || set -- w2 w1 head
for name in "$@"; do
  session=$(cat "$SIM/$name.pid" 2>/dev/null) || continue
  # A node is the session of its `ray start`; what its workers started has sessions of its own.
  kill -s "$HOW" -- $(ps -o pid= -s "$session") 2>/dev/null
  for _ in $(seq 1 50); do
    [ -z "$(ps -o pid= -s "$session" | tr -d ' ')" ] && break
    sleep 0.2
  done
  kill -s KILL -- $(ps -o pid= -s "$session") 2>/dev/null
  rm -f "$SIM/$name.pid"
done
exit 0

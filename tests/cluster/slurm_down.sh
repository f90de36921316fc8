#!/usr/bin/env bash
# Ends the daemons that slurm_up.sh has started in SIM, and their jobs; nothing else.
SIM=${SIM:?the scratch folder that slurm_up.sh was given}
export SLURM_CONF="$SIM/etc/slurm.conf"
timeout 10 scancel --full -u "$(id -un)" 2>/dev/null || true
for _ in $(seq 1 20); do
  [ -z "$(timeout 5 squeue -h 2>/dev/null)" ] && break
  sleep 0.5
done
stop() {  # a file with a process id, and how the program is called
  local p
  p=$(cat "$1" 2>/dev/null) && [ -n "$p" ] || return 0
  case "$(cat "/proc/$p/comm" 2>/dev/null)" in "$2"*) kill "$p" 2>/dev/null ;; *) return 0 ;; esac
  for _ in $(seq 1 100); do kill -0 "$p" 2>/dev/null || return 0; sleep 0.1; done
  kill -9 "$p" 2>/dev/null
}
for file in "$SIM"/run/slurmd.*.pid; do [ -e "$file" ] && stop "$file" slurmd; done
stop "$SIM/run/slurmctld.pid" slurmctld
stop "$SIM/run/munged.pid" munged
echo "the simulated cluster is down"

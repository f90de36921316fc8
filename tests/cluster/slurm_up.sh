#!/usr/bin/env bash
# Starts a simulated Slurm cluster on loopback: a controller and three nodes with made-up GPUs, without systemd or cgroups.
# What runs already is left alone, so that a node that was killed is started again. Ended by slurm_down.sh.
# Needs: apt-get install -y --no-install-recommends slurm-wlm munge
# Takes: SIM, a scratch folder; BASEPORT, the first of some twenty free ports.
set -euo pipefail
SIM=${SIM:?a scratch folder}
BASEPORT=${BASEPORT:-17400}
NODES=3 GPUS=2 CPUS=2
PATH=$PATH:/usr/sbin:/sbin
ME=$(id -un)
HOST=$(hostname -s)
MEMORY=$(slurmd -C | sed -n 's/.*RealMemory=\([0-9]*\).*/\1/p')
mkdir -p "$SIM"/{etc,run,log,state,spool,munge,dev}
chmod 0755 "$SIM" "$SIM"/*
chmod 0700 "$SIM/munge"
alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }

# A munged with a key and a socket of its own: that of the machine, if there is one, is not touched.
[ -s "$SIM/munge/munge.key" ] || (umask 077; head -c 128 /dev/urandom > "$SIM/munge/munge.key")
if ! alive "$SIM/run/munged.pid"; then
  rm -f "$SIM/run/munge.socket"*
  munged --force --socket="$SIM/run/munge.socket" --key-file="$SIM/munge/munge.key" --pid-file="$SIM/run/munged.pid" \
    --log-file="$SIM/log/munged.log" --seed-file="$SIM/munge/seed" --num-threads=2 2>>"$SIM/log/munged.err"
fi

# The device file of a GPU must lead to a character device, else a job gets no CUDA_VISIBLE_DEVICES.
for i in $(seq 0 $((GPUS-1))); do ln -sfn /dev/null "$SIM/dev/gpu$i"; done

cat > "$SIM/etc/slurm.conf" <<C
ClusterName=simulated
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$((BASEPORT+17))
SlurmUser=$ME
SlurmdUser=$ME
AuthType=auth/munge
AuthInfo=socket=$SIM/run/munge.socket,cred_expire=5
CredType=cred/munge
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
StateSaveLocation=$SIM/state
SlurmdSpoolDir=$SIM/spool/%n
SlurmctldPidFile=$SIM/run/slurmctld.pid
SlurmdPidFile=$SIM/run/slurmd.%n.pid
SlurmctldLogFile=$SIM/log/slurmctld.log
SlurmdLogFile=$SIM/log/slurmd.%n.log
SwitchType=switch/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=256
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmdTimeout=9
SlurmctldTimeout=20
InactiveLimit=0
MinJobAge=300
KillWait=5
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1,preempt_send_user_signal
SchedulerType=sched/backfill
NodeName=sim[1-$NODES] NodeHostname=$HOST NodeAddr=127.0.0.1 Port=[$((BASEPORT+1))-$((BASEPORT+NODES))] CPUs=$CPUS RealMemory=$((MEMORY/2)) Gres=gpu:simulated:$GPUS State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=REQUEUE GraceTime=10
PartitionName=short Nodes=ALL Default=NO MaxTime=30 State=UP PriorityTier=10 PreemptMode=REQUEUE GraceTime=10
PartitionName=urgent Nodes=ALL Default=NO MaxTime=INFINITE State=UP PriorityTier=100 PreemptMode=OFF
C
{ echo "AutoDetect=off"
  echo "NodeName=sim[1-$NODES] Name=gpu Type=simulated File=$SIM/dev/gpu[0-$((GPUS-1))]"; } > "$SIM/etc/gres.conf"
echo "CgroupAutomount=no" > "$SIM/etc/cgroup.conf"
export SLURM_CONF="$SIM/etc/slurm.conf"

alive "$SIM/run/slurmctld.pid" || slurmctld -f "$SLURM_CONF" 2>>"$SIM/log/slurmctld.err"
for i in $(seq 1 "$NODES"); do
  mkdir -p "$SIM/spool/sim$i"
  alive "$SIM/run/slurmd.sim$i.pid" || slurmd -f "$SLURM_CONF" -N "sim$i" 2>>"$SIM/log/slurmd.err"
done
n=0
for _ in $(seq 1 300); do
  n=$(timeout 5 sinfo -h -N -p main -t idle,mixed,alloc -o %N 2>/dev/null | sort -u | wc -l)
  [ "$n" -ge "$NODES" ] && break
  sleep 0.1
done
echo "$n of $NODES nodes answer; export SLURM_CONF=$SLURM_CONF"
[ "$n" -ge "$NODES" ]

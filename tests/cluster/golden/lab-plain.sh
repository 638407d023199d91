#!/usr/bin/env bash

#SBATCH -J convert
#SBATCH -p cpu
#SBATCH --cpus-per-task=1
#SBATCH --mem=3G
#SBATCH -t 00:20:00
#SBATCH -N 1
#SBATCH --ntasks-per-node=1
#SBATCH --no-requeue
#SBATCH -o /data/study/runs/convert/job/queue-%j.txt

# radforge, convert: what it runs, its log and its events lie in /data/study/runs/convert/job

export RADFORGE_JOB=/data/study/runs/convert/job
task=${SLURM_ARRAY_TASK_ID:-}; here=${task:+-$task}; id=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}
exec >> "$RADFORGE_JOB/log$here.txt" 2>&1     # its own log: the queue's may come late, be overwritten or dropped
event() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $(hostname) $*" >> "$RADFORGE_JOB/events$here"; }
echo "--- $(date -u +%Y-%m-%dT%H:%M:%SZ) job $id${task:+_$task} on $(hostname)"
cd /data/study || { event "end 66"; exit 66; }

export OMP_NUM_THREADS=1
export PYTHONPATH=/data/study/runs/convert/job/code${PYTHONPATH:+:$PYTHONPATH}
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} NODES=1
export GLOO_SOCKET_IFNAME=lo NCCL_SOCKET_IFNAME=lo
export RADFORGE_COMMIT=0123abc
export RADFORGE_RESUMABLE=0; unset RADFORGE_AGAIN

set -- convert --title 'left and right' films.csv

event start

export MASTER_ADDR=127.0.0.1
srun --kill-on-bad-exit=1 --cpus-per-task=1 /opt/radforge/bin/python -P -m cluster.launch 1 -- "$@"
code=$?

event "end $code"

exit "$code"

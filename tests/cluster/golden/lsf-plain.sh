#!/usr/bin/env bash

#BSUB -J convert
#BSUB -q normal
#BSUB -P "myproject"
#BSUB -M 3000000
#BSUB -W 04:00
#BSUB -n 1
#BSUB -R "span[ptile=1]"
#BSUB -rn
#BSUB -o /data/study/runs/convert/job/queue-%J.txt

# radforge, convert: what it runs, its log and its events lie in /data/study/runs/convert/job

export RADFORGE_JOB=/data/study/runs/convert/job
task=$([ "${LSB_JOBINDEX:-0}" -gt 0 ] && echo $((LSB_JOBINDEX - 1))); here=${task:+-$task}; id=$LSB_JOBID
exec >> "$RADFORGE_JOB/log$here.txt" 2>&1     # its own log: the queue's may come late, be overwritten or dropped
event() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $(hostname) $*" >> "$RADFORGE_JOB/events$here"; }
echo "--- $(date -u +%Y-%m-%dT%H:%M:%SZ) job $id${task:+_$task} on $(hostname)"
cd /data/study || { event "end 66"; exit 66; }

module load python/3.11
source $HOME/radforge-env/bin/activate
export PYTHONPATH=/data/study/runs/convert/job/code${PYTHONPATH:+:$PYTHONPATH}
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} NODES=1
export GLOO_SOCKET_IFNAME=ib0 NCCL_SOCKET_IFNAME=ib0
export RADFORGE_CACHE=$TMPDIR/radforge-cache
export RADFORGE_COMMIT=0123abc
export RADFORGE_RESUMABLE=0; unset RADFORGE_AGAIN

set -- convert --title 'left and right' films.csv

event start

export MASTER_ADDR=127.0.0.1
/opt/radforge/bin/python -P -m cluster.launch 1 -- "$@" & pids=$!
trap : USR1; code=0
while [ "$pids" ] && [ "$code" -eq 0 ]; do
    sleep 1 & wait $!; left=
    for pid in $pids; do
        if kill -0 "$pid" 2>/dev/null; then left="$left $pid"; else wait "$pid" || code=$?; fi
    done
    pids=$left
done

event "end $code"

exit "$code"

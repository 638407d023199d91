#!/usr/bin/env bash

# On this machine, in the background.

# radforge, convert: what it runs, its log and its events lie in /data/study/runs/convert/job

export RADFORGE_JOB=/data/study/runs/convert/job
task=${RADFORGE_LOCAL_TASK:-}; here=${task:+-$task}; id=$RADFORGE_LOCAL_ID
exec >> "$RADFORGE_JOB/log$here.txt" 2>&1     # its own log: the queue's may come late, be overwritten or dropped
event() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $(hostname) $*" >> "$RADFORGE_JOB/events$here"; }
echo "--- $(date -u +%Y-%m-%dT%H:%M:%SZ) job $id${task:+_$task} on $(hostname)"
cd /data/study || { event "end 66"; exit 66; }

export PYTHONPATH=/data/study/runs/convert/job/code${PYTHONPATH:+:$PYTHONPATH}
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} NODES=1
export RADFORGE_COMMIT=0123abc
export RADFORGE_RESUMABLE=0; unset RADFORGE_AGAIN

set -- convert --title 'left and right' films.csv

event start

export MASTER_ADDR=127.0.0.1
trap woken=yes USR1 TERM INT HUP
/opt/radforge/bin/python -P -m cluster.launch 1 -- "$@" & pid=$!
while woken=; wait "$pid"; code=$?; [ "$woken" ]; do :; done
trap - USR1 TERM INT HUP

event "end $code"

exit "$code"

#!/usr/bin/env bash

#SBATCH -J mvcnn
#SBATCH -A myproject
#SBATCH --cpus-per-task=160
#SBATCH -t 2-00:00:00
#SBATCH -N 2
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:4
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=USR1@600
#SBATCH -o /data/study/runs/mvcnn/job/queue-%j.txt
#SBATCH --qos=normal

# radforge, mvcnn: what it runs, its log and its events lie in /data/study/runs/mvcnn/job

export RADFORGE_JOB=/data/study/runs/mvcnn/job
task=${SLURM_ARRAY_TASK_ID:-}; here=${task:+-$task}; id=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}
exec >> "$RADFORGE_JOB/log$here.txt" 2>&1     # its own log: the queue's may come late, be overwritten or dropped
event() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $(hostname) $*" >> "$RADFORGE_JOB/events$here"; }
echo "--- $(date -u +%Y-%m-%dT%H:%M:%SZ) job $id${task:+_$task} on $(hostname)"
cd /data/study || { event "end 66"; exit 66; }

module purge
module load gcc cuda python/3.11
source $HOME/radforge-env/bin/activate
export PYTHONPATH=/data/study/runs/mvcnn/job/code${PYTHONPATH:+:$PYTHONPATH}
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-40} NODES=2
export MASTER_PORT=$((20000 + (id * 31 + ${task:-0}) % 12000))
export GLOO_SOCKET_IFNAME=ib0 NCCL_SOCKET_IFNAME=ib0
export RADFORGE_CACHE=$TMPDIR/radforge-cache
export RADFORGE_GPUS=4
export RADFORGE_COMMIT=0123abc
export RADFORGE_RESUMABLE=1; unset RADFORGE_AGAIN

export RADFORGE_AGAIN=/data/study/runs/mvcnn/again; progress=/data/study/runs/mvcnn/steps.parquet; set -- python -m training run /data/study/runs/recipe.toml --out /data/study/runs/mvcnn --resume

times=0; was=; read -r times was 2>/dev/null < "$RADFORGE_JOB/began$here"
now=$(cat $progress 2>/dev/null | cksum | tr " " "-")
[ "$now" = "$was" ] && times=$((times + 1)) || times=1
echo "$times $now" > "$RADFORGE_JOB/began$here"
if [ "$times" -gt 3 ]; then
    echo "began 3 times without getting further: given up; rjobs rerun $id tries again"
    event "end 70"; exit 70
fi
rm -f "$RADFORGE_AGAIN"

event start

export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun --kill-on-bad-exit=1 --cpus-per-task=160 /opt/radforge/bin/python -P -m cluster.launch 4 -- "$@"
code=$?

event "end $code"

[ "$code" -eq 0 ] && [ -e "$RADFORGE_AGAIN" ] && again=yes || again=
[ "$code" -eq 138 ] && again=yes     # SIGUSR1 came before anything could answer it
if [ "$again" ] && [ -e "$RADFORGE_JOB/cancelled$here" ]; then
    code=143; event "end $code"     # it stopped as it was asked to, and is not done
elif [ "$again" ]; then
    echo "--- stopped by a warning; asking the queue to go on later"; event requeue
    scontrol requeue "$SLURM_JOB_ID" && sleep 600
    echo "the queue refuses that: rjobs rerun $id goes on"; code=75; event "end $code"
fi

exit "$code"

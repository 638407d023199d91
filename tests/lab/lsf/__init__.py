"""A stand-in for IBM Spectrum LSF on one machine: bsub, bjobs, bkill and their like, with make-believe hosts and GPUs.

Every job is a real tree of processes, watched by a process of its own (`watch`, what sbatchd does); there is no daemon, so an
idle lab costs nothing. State lies in LAB/jobs/*.json under one lock. Standard library only, as every command starts afresh.

What it does follows IBM's LSF 10.1.0 documentation (ibm.com/docs, product SSWRJV_10.1.0). Each function names the page:
"bsub -Q" is `lsf_command_ref/bsub.__q.1`, "lsf.conf LSB_STDOUT_DIRECT" is `lsf_config_ref/lsf.conf.lsb_stdout_direct.5`, ...

Not modelled: priorities, fair share and preemption, suspension by load, accounts and limits of users, esub, affinity
(LSB_AFFINITY_HOSTFILE), select[] and rusage[] of -R, checkpointing by LSF (-k), interactive jobs (-I), MultiCluster, the state
ZOMBI, POST_DONE. Dispatch is first come, first served by polling every 0.2 s (MBD_SLEEP_TIME and its kin).
Not sure of, as the documentation leaves it open and no LSF was at hand: the exit code of `bjobs` without a job (0 here; sites
differ, LSB_BJOBS_CONSISTENT_EXIT_CODE); whether `-M` counts a job or a process (the job here; LSB_JOB_MEMLIMIT); the exact
words of the report in the output file; the signal that ended a job above its memory limit (read the reason); the code of a job
whose host died (143 here, from an example of LSF 7.3).
"""

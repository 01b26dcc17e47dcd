#!/usr/bin/env python3
"""lost_ranks.py [--gpus] GPAS [COUNT [SEED [LAUNCHER...]]]: a rank of four is killed, stopped, or leaves, in each phase of a run in turn.

Each time the job must end within a time, with one report that names the rank and what it was doing, and leave no process
behind; and the run, started again, must resume from its last checkpoint and reach the same bits as an undisturbed run.
Without COUNT (or with 0), one trial of each action in each phase, on ranks in turn. LAUNCHER takes the place of mpirun -n 4, such
as srun --nodes=2 --ntasks-per-node=2 --mpi=pmix under tests/slurm/private-slurm. With --gpus the groups talk through NCCL: GPAS has
GPUs, real or virtual (tests/virtual_gpu); exit codes are looked at too, and one trial is out of time (75). Prints TAP.
"""
import itertools
import os
import random
import re
import shutil
import subprocess
import sys
import time

from tiny_job import (
    curve,
    failed,
    has_checkpoint,
    in_tiny_world,
    passed,
    plan,
    processes_of,
    reports,
    train,
    train_until_lost,
)

ON_GPUS = sys.argv[1] == "--gpus"
if ON_GPUS:
    del sys.argv[1]
GPAS = os.path.abspath(sys.argv[1])
COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 0
random.seed(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
LAUNCHER = sys.argv[4:]

# From the loss to the end of every process: silent_seconds, its beat, the report, the launcher's own time.
LIMIT_SECONDS = 20
PHASES = ["start-up", "data", "forward", "backward", "collective", "save", "evaluation"]
ACTIONS = ["kill", "stop", "exit"]
LAYOUTS = [[], ["parallel.tensor=2", "parallel.sequence_parallel=true", "parallel.pipeline=2"],
           ["parallel.tensor=2"], ["parallel.pipeline=2"]]
HOW = {"kill": "was killed or died", "exit": "called exit()", "stop": "hangs (its process is stopped", "spin": "made no progress"}
OVERRIDES = {"spin": ["parallel.timeout_seconds=3"]}
# Of mpirun: of the process that ended first (docs/failures.md). The watchers kill a rank that hangs.
CODES = {"kill": [137, 6], "exit": [1, 6], "stop": [6, 137], "spin": [6, 137]}
# Kernels are slow on virtual GPUs: fewer micro-batches.
ON_GPU = ["compute.device=cuda", "training.global_batch_size=4", "evaluation.samples=4"] if ON_GPUS else []


def place(phase):
    """The step in which a phase is surely passed by every rank, and how it is written in a report."""
    if phase == "start-up":
        return "", "start-up"
    step = {"save": 8, "evaluation": 9}.get(phase, random.randint(5, 11))
    if phase == "collective":
        # The host of a GPU waits once per step; that of a CPU in every collective.
        return f"step={step} after={0 if ON_GPUS else random.randint(0, 2)}", "waiting"
    return f"step={step}", phase


def check(condition, what, *details):
    if not condition:
        raise AssertionError("\n".join([what, *map(str, details)]))


def empty_run(whole):
    """With the products' algorithms of the whole run: another choice would give other bits (docs/cuda.md)."""
    shutil.rmtree("run", ignore_errors=True)
    if os.path.exists(f"{whole}/matmul"):
        shutil.copytree(f"{whole}/matmul", "run/matmul")


def check_report(rehearse, stderr, rank, how, written):
    """One report names the lost rank. On a busy machine a rank can be lost in start-up before another rank has read the run's
    directory: the error is then on stderr only."""
    texts = reports("run")
    errors = [line for line in stderr.splitlines() if line.startswith("gpas: error: rank ")]
    if written == "start-up" and not texts and len(errors) == 1 and "; report:" not in errors[0]:
        lost = errors[0].removeprefix("gpas: error: ")
    else:
        check(len(texts) == 1, f"{rehearse}: {len(texts)} reports", stderr[-3000:], *texts)
        lost = texts[0].split("Lost:\n")[1].split("\n")[0]
    check(re.match(rf"\s*rank {rank} \(", lost) and how in lost and written in lost, f"{rehearse}: the report says: {lost}", *texts)


def trial(action, phase, rank, layout, whole):
    reference = curve(whole)
    where, written = place(phase)
    rehearse = f"{action} rank={rank} phase={phase} {where}"
    empty_run(whole)
    try:
        result, seconds = train_until_lost(GPAS, "run", *ON_GPU, *layout, *OVERRIDES.get(action, []), rehearse=rehearse, launcher=LAUNCHER)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{rehearse}: the job hangs")
    log = result.stderr[-3000:]
    check(result.returncode != 0, f"{rehearse}: exit code 0", log)
    if ON_GPUS and not LAUNCHER:
        check(result.returncode in CODES[action], f"{rehearse}: exit code {result.returncode}", log)
        check("groups talk through NCCL" in result.stderr or phase == "start-up", f"{rehearse}: without NCCL", log)
    check(seconds < LIMIT_SECONDS, f"{rehearse}: {seconds:.1f} s", log)
    deadline = time.monotonic() + 10  # a launcher may leave before the last of its processes is gone
    while processes_of("run") and time.monotonic() < deadline:
        time.sleep(0.05)
    left = processes_of("run")
    check(not left, f"{rehearse}: processes are left: {left}")
    check_report(rehearse, result.stderr, rank, HOW[action], written)
    resumes = has_checkpoint("run")  # the last may have been under way
    again = train(GPAS, "run", *ON_GPU, *layout, attempt=1, launcher=LAUNCHER)
    check(again.returncode == 0, f"{rehearse}: starting again: {again.returncode}", again.stderr[-2000:])
    check(curve("run") == reference, f"{rehearse}: another curve after starting again", again.stderr[-3000:])
    check(resumes == ("resuming from" in again.stderr), f"{rehearse}: not resumed", again.stderr[-2000:])
    return seconds


def whole_run(directory, layout):
    result = train(GPAS, directory, *ON_GPU, *layout, launcher=LAUNCHER)
    check(result.returncode == 0, "the run without failures", result.stderr)


def out_of_time(layout, whole):
    """The job's time ends soon: it saves, ends with exit code 75, and resumes with the same bits."""
    empty_run(whole)
    os.environ["GPAS_JOB_END_TIME"] = str(int(time.time()) + 30)  # the margin is longer
    try:
        result = train(GPAS, "run", *ON_GPU, *layout, launcher=LAUNCHER)
    finally:
        del os.environ["GPAS_JOB_END_TIME"]
    check(result.returncode == 75, f"out of time: exit code {result.returncode}", result.stderr[-3000:])
    check(not reports("run"), "out of time: a report", *reports("run"))
    again = train(GPAS, "run", *ON_GPU, *layout, attempt=1, launcher=LAUNCHER)
    check(again.returncode == 0, f"out of time: starting again: {again.returncode}", again.stderr[-2000:])
    check(curve("run") == curve(whole), "out of time: another curve after starting again", again.stderr[-3000:])
    return 0.0


def trials():
    if ON_GPUS and not COUNT:  # few: virtual GPUs are slow
        return [("75", "", 0), ("kill", "forward", 2), ("stop", "backward", 1)]
    every = [(action, phase, (i + j) % 4) for (i, phase), (j, action) in
             itertools.product(enumerate(PHASES), enumerate(ACTIONS))]
    if not COUNT:
        return every + [("spin", "data", 1), ("spin", "backward", 3)]
    whole = [(action, phase, rank) for action in ACTIONS for phase in PHASES for rank in range(4)]
    many = [random.choice(whole) if i >= len(whole) else whole[i] for i in range(COUNT)]
    return many


def main():
    failures = 0
    with in_tiny_world(GPAS):
        wholes = set()
        planned = trials()
        plan(len(planned))
        for number, (action, phase, rank) in enumerate(planned, 1):
            layout = 1 if ON_GPUS and not COUNT else number % len(LAYOUTS)
            name = f"{action} rank {rank} in {phase}, {' '.join(LAYOUTS[layout]) or 'data 4'}"
            try:
                whole = f"whole{layout}"
                if layout not in wholes:
                    whole_run(whole, LAYOUTS[layout])
                    wholes.add(layout)
                if action == "75":
                    seconds = out_of_time(LAYOUTS[layout], whole)
                else:
                    seconds = trial(action, phase, rank, LAYOUTS[layout], whole)
                passed(number, name, f"{seconds:.1f} s")
            except AssertionError as error:
                failures += 1
                failed(number, name, error)
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())

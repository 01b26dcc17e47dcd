#!/usr/bin/env python3
"""lost_ranks.py GPAS [COUNT [SEED [LAUNCHER...]]]: a rank of four is killed, stopped, or leaves, in each phase of a run in turn.

Each time the job must end within a time, with one report that names the rank and what it was doing, and leave no process
behind; and the run, started again, must go on from its last checkpoint to the same bits as one that nothing happened to.
Without COUNT (or with 0), one trial of each action in each phase, on ranks in turn. LAUNCHER takes the place of mpirun -n 4, such
as srun --nodes=2 --ntasks-per-node=2 --mpi=pmix under tests/slurm/private-slurm. Prints TAP.
"""
import itertools
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

from tiny_job import curve, has_checkpoint, make_world, processes_of, reports, train, train_until_lost

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
HOW = {"kill": "was killed or died", "exit": "called exit()", "stop": "stands still", "spin": "has not moved"}
OVERRIDES = {"spin": ["parallel.timeout_seconds=3"]}


def place(phase):
    """The step in which a phase is surely passed by every rank, and how it is written in a report."""
    if phase == "start-up":
        return "", "start-up"
    step = {"save": 8, "evaluation": 9}.get(phase, random.randint(5, 11))
    if phase == "collective":
        return f"step={step} after={random.randint(0, 2)}", "waiting"
    return f"step={step}", phase


def check(condition, what, *details):
    if not condition:
        raise AssertionError("\n".join([what, *map(str, details)]))


def trial(action, phase, rank, layout, reference):
    where, written = place(phase)
    rehearse = f"{action} rank={rank} phase={phase} {where}"
    shutil.rmtree("run", ignore_errors=True)
    try:
        result, seconds = train_until_lost(GPAS, "run", *layout, *OVERRIDES.get(action, []), rehearse=rehearse, launcher=LAUNCHER)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{rehearse}: the job hangs")
    log = result.stderr[-3000:]
    check(result.returncode != 0, f"{rehearse}: exit code 0", log)
    check(seconds < LIMIT_SECONDS, f"{rehearse}: {seconds:.1f} s", log)
    deadline = time.monotonic() + 10  # a launcher may leave before the last of its processes is gone
    while processes_of("run") and time.monotonic() < deadline:
        time.sleep(0.05)
    left = processes_of("run")
    check(not left, f"{rehearse}: processes are left: {left}")
    texts = reports("run")
    check(len(texts) == 1, f"{rehearse}: {len(texts)} reports", log, *texts)
    lost = texts[0].split("Lost:\n")[1].split("\n")[0]
    check(re.match(rf"\s*rank {rank} \(", lost) and HOW[action] in lost and written in lost,
          f"{rehearse}: the report says: {lost}", texts[0])
    resumes = has_checkpoint("run")  # the last may have been under way
    again = train(GPAS, "run", *layout, attempt=1, launcher=LAUNCHER)
    check(again.returncode == 0, f"{rehearse}: starting again: {again.returncode}", again.stderr[-2000:])
    check(curve("run") == reference, f"{rehearse}: another curve after starting again", again.stderr[-3000:])
    check(resumes == ("resuming from" in again.stderr), f"{rehearse}: not resumed", again.stderr[-2000:])
    return seconds


def trials():
    every = [(action, phase, (i + j) % 4) for (i, phase), (j, action) in
             itertools.product(enumerate(PHASES), enumerate(ACTIONS))]
    if not COUNT:
        return every + [("spin", "data", 1), ("spin", "backward", 3)]
    whole = [(action, phase, rank) for action in ACTIONS for phase in PHASES for rank in range(4)]
    many = [random.choice(whole) if i >= len(whole) else whole[i] for i in range(COUNT)]
    return many


def main():
    failed = 0
    with tempfile.TemporaryDirectory(prefix="gpas-lost-ranks-") as directory:
        os.chdir(directory)
        make_world(GPAS)
        references = []
        for i, layout in enumerate(LAYOUTS):
            result = train(GPAS, f"whole{i}", *layout, launcher=LAUNCHER)
            check(result.returncode == 0, "the run without failures", result.stderr)
            references.append(curve(f"whole{i}"))
        planned = trials()
        print(f"1..{len(planned)}", flush=True)
        for number, (action, phase, rank) in enumerate(planned, 1):
            layout = number % len(LAYOUTS)
            name = f"{action} rank {rank} in {phase}, {' '.join(LAYOUTS[layout]) or 'data 4'}"
            try:
                seconds = trial(action, phase, rank, LAYOUTS[layout], references[layout])
                print(f"ok {number} - {name} # {seconds:.1f} s", flush=True)
            except AssertionError as error:
                failed += 1
                print(f"not ok {number} - {name}", flush=True)
                for line in str(error).splitlines():
                    print(f"# {line}", flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Kills a random rank of four at a random moment of a save, again and again in one directory: after each, every file that
is named like a checkpoint is whole, and the newest is the state of its step and no older than what was said to be saved.

    test_kills.py PROGRAM TRIALS [SEED]
"""
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

RANKS = 4


def wait_for_pids(directory, job):
    pids = []
    while len(pids) < RANKS:
        if job.poll() is not None:
            raise SystemExit(f"the job ended by itself: {job.stdout.read()}")
        pids = []
        for rank in range(RANKS):
            try:
                with open(os.path.join(directory, f"pid_{rank}")) as file:
                    text = file.read()
                if text:
                    pids.append(int(text))
            except FileNotFoundError:
                pass
        time.sleep(0.002)
    return pids


def end(pid):
    try:
        os.kill(pid, signal.SIGKILL)
        while open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z":
            time.sleep(0.001)
    except (ProcessLookupError, FileNotFoundError):
        pass


def trial(program, directory, chance):
    for rank in range(RANKS):
        path = os.path.join(directory, f"pid_{rank}")
        if os.path.exists(path):
            os.remove(path)
    job = subprocess.Popen(["mpirun", "-n", str(RANKS), "--oversubscribe", program, directory],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    pids = wait_for_pids(directory, job)
    time.sleep(chance.uniform(0.0, 0.25))
    unlucky = chance.randrange(RANKS)
    os.kill(pids[unlucky], signal.SIGKILL)
    time.sleep(chance.uniform(0.0, 0.05))  # the others continue for a while
    for pid in pids:
        end(pid)
    job.kill()
    said = job.communicate(timeout=120)[0]
    return max((int(line.split()[1]) for line in said.splitlines() if line.startswith("saved ")), default=0)


def main():
    program, trials = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 30)
    chance = random.Random(seed)
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_mpi_yield_when_idle="1",
                      OMPI_MCA_plm_rsh_agent="")
    saved, leftovers = 0, 0
    with tempfile.TemporaryDirectory(prefix="gpas-kills-") as place:
        directory = os.path.join(place, "checkpoints")
        os.mkdir(directory)
        # mpirun is killed, too: what it would have cleared away goes with the directory.
        os.environ.update(TMPDIR=place, OMPI_MCA_btl_vader_backing_directory=place)
        for number in range(trials):
            saved = max(saved, trial(program, directory, chance))
            leftovers += any(".tmp." in name for name in os.listdir(directory))
            look = subprocess.run([program, directory, "check"], capture_output=True, text=True)
            newest = int(look.stdout.split()[1]) if look.stdout.startswith("newest ") else -1
            if look.returncode != 0 or newest < saved:
                raise SystemExit(f"seed {seed}, trial {number}: saved {saved}, but: {look.stdout}{look.stderr}")
            saved = newest
    print(f"{trials} kills (seed {seed}), {saved} checkpoints, {leftovers} kills left a temporary file: "
          f"none was unreadable, lost or mistaken")


if __name__ == "__main__":
    main()

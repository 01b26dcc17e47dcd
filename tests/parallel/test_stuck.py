#!/usr/bin/env python3
"""A rank that leaves, sleeps, or calls something else: the others say so in one line each, and the job ends, non-zero.
Prints TAP. Arguments: mpirun, the program."""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from checks import failed, passed, plan  # noqa: E402

mpirun, program = sys.argv[1:3]
CASES = {
    # what one rank does: what every report must say
    "returns": ["all_reduce of gradients", "step 7, micro-batch 2", "has not finished within 1 s", "no answer from rank 2"],
    "sleeps": ["all_reduce of gradients", "no answer from rank 2", "also waiting: rank"],
    "elsewhere": ["has not finished within 1 s", "barrier of a checkpoint", "all_reduce of gradients"],
    "sizes": ["make different calls", "fp32[1000]", "fp32[900]"],
    "sizes, unverified": [],
    "loses its GPU": [],  # its watcher reports it and ends all ranks
    "throws during a receive": [],  # it does not wait indefinitely for the message, so its own error is told
    "exits": None,  # mpirun itself ends the job
}


def run(kind, directory):
    return subprocess.run([mpirun, "-n", "3", program, kind, directory], capture_output=True, text=True, timeout=60)


def problem(kind, wanted, directory):
    try:
        result = run(kind, directory)
    except subprocess.TimeoutExpired:
        return "the job hangs"
    reports = [line for line in result.stderr.splitlines() if "REPORT" in line]
    if kind == "sizes, unverified" and result.returncode == 0:
        return None  # MPI took it; nothing hangs
    if result.returncode == 0:
        return "exit code 0"
    if wanted is None:
        return None
    if kind == "loses its GPU":
        told = re.search(r"gpas: error: rank 2 \(pid .*aborted its NCCL calls \(NCCL: unfinished: all_reduce", result.stderr)
        acts = {rank for rank in range(3) if f"LAST ACT of rank {rank}" in result.stderr}
        if result.returncode != 6 or not told or not acts:  # mpirun may end the others first
            return f"exit code {result.returncode}, last acts of {acts}: {result.stderr}"
        return None
    if kind == "throws during a receive" and not any("REPORT rank 2: the rank's own error" in report for report in reports):
        return f"the error of rank 2 is not in {reports}"
    if not reports:
        return "no report: " + result.stderr
    for part in wanted:
        for report in reports:
            if "elsewhere" != kind and part not in report:
                return f"{part!r} is not in {report!r}"
        if not any(part in report for report in reports):
            return f"{part!r} is in none of {reports}"
    if kind == "sleeps" and not os.path.exists(os.path.join(directory, "calls_rank_0.txt")):
        return "the last calls were not written"
    return None


def tried(case):
    with tempfile.TemporaryDirectory() as directory:
        return problem(*case, directory)


plan(len(CASES))
failures = 0
# Each job mostly waits: some at a time.
with concurrent.futures.ThreadPoolExecutor(max_workers=3) as some_at_a_time:
    problems = list(some_at_a_time.map(tried, CASES.items()))
for number, (kind, what) in enumerate(zip(CASES, problems), 1):
    if what is None:
        passed(number, f"one rank of three {kind}")
    else:
        failures += 1
        failed(number, f"one rank of three {kind}", what)
sys.exit(failures > 0)

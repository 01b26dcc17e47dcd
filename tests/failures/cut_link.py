#!/usr/bin/env python3
"""cut_link.py GPAS: the cable between two hosts is cut while ranks on both train: both sides notice within the configured
time, each names the ranks beyond the cable, no process stays, and the run resumes from its checkpoint. Prints TAP."""
import json
import os
import re
import shutil
import subprocess
import sys
import time

from tiny_job import curve, failed, in_tiny_world, passed, plan, processes_of, reports, skip_all, start, train
from two_hosts import TwoHosts

GPAS = os.path.abspath(sys.argv[1])
SETTINGS = ["training.steps=120", "checkpoint.every=10", "evaluation.every=0"]


def why_not():
    if os.geteuid() != 0:
        return "needs root"
    if shutil.which("ip") is None:
        return "needs ip (iproute2)"
    trial = subprocess.run(["unshare", "-n", "-u", "-m", "true"], capture_output=True)
    return None if trial.returncode == 0 else "network namespaces are not allowed here"


def step_of(directory):
    try:
        with open(f"{directory}/live.json") as file:
            return json.load(file)["step"]
    except (OSError, ValueError, KeyError):
        return 0


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def run():
    with TwoHosts(os.getcwd()) as hosts, open("log", "w+") as log:
        # Slow enough that the cut comes in the middle.
        job = start(GPAS, "run", *SETTINGS, rehearse="slow phase=data seconds=0.03", launcher=hosts.launcher(2), stderr=log)
        begun = wait_for(lambda: step_of("run") >= 20, 60)
        hosts.cut()
        cut = time.monotonic()
        ended = wait_for(lambda: not processes_of("run"), 30)
        seconds = time.monotonic() - cut
        try:  # its daemon on the other host is gone: what mpirun makes of that is not ours to test
            code = job.wait(30)
        except subprocess.TimeoutExpired:
            job.kill()
            code = job.wait()
        log.seek(0)
        problem = log.read()[-3000:]
    assert begun, "the job does not begin\n" + problem
    assert ended, "processes are left after 30 s\n" + problem
    assert code != 0, "exit code 0\n" + problem
    texts = "\n".join(reports("run"))
    assert len(reports("run")) == 1, f"{len(reports('run'))} reports\n{texts}{problem}"
    lost = re.findall(r"^  rank (\d) \(pid \d+ on (host.)\) cannot be reached .* in step \d+,", texts, re.M)
    # Seen from the first host: ranks 2 and 3; from the second: rank 0, the only one it hears of.
    assert {("2", "hostb"), ("3", "hostb"), ("0", "hosta")} <= set(lost), f"{lost}\n{texts}{problem}"
    return seconds


def main():
    reason = why_not()
    if reason:
        skip_all(reason)
        return 0
    plan(2)
    with in_tiny_world(GPAS):
        try:
            seconds = run()
            passed(1, "both sides of a cut link end with a report", f"{seconds:.1f} s")
            whole = train(GPAS, "whole", *SETTINGS)
            again = train(GPAS, "run", *SETTINGS, attempt=1)
            assert again.returncode == 0 and "resuming from" in again.stderr, again.stderr[-2000:]
            assert whole.returncode == 0 and curve("run") == curve("whole"), "another curve"
            passed(2, "the run continues to the same curve")
        except Exception as error:  # a test's failure, whatever it is
            failed(2, "a cut link", error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

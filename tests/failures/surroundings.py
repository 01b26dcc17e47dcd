#!/usr/bin/env python3
"""surroundings.py GPAS: output that nobody takes, launchers that MPI does not know, ranks that hang before MPI is up, and memory
that is short. Prints TAP."""
import fcntl
import os
import re
import resource
import shutil
import subprocess
import sys
import time

from tiny_job import in_tiny_world, records, reports, run_checks, start, train

GPAS = os.path.abspath(sys.argv[1])
SHORT = ["training.steps=8", "evaluation.every=0", "checkpoint.every=4", "parallel.timeout_seconds=2"]
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def fresh(directory="run"):
    shutil.rmtree(directory, ignore_errors=True)


def with_stderr(stderr):
    fresh()
    process = start(GPAS, "run", *SHORT, ranks=1, stderr=stderr)
    code = process.wait(60)
    assert code == 0 and len(records("run")) == 8, f"exit code {code}, {len(records('run'))} steps"


@check
def a_full_disk_under_the_log_costs_no_step():
    with open("/dev/full", "w") as full:
        with_stderr(full)


@check
def a_reader_of_the_log_that_leaves_costs_no_step():
    reader, writer = os.pipe()
    os.close(reader)
    with_stderr(writer)
    os.close(writer)


@check
def a_pipe_that_nobody_reads_costs_no_step():
    reader, writer = os.pipe()
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        pass
    fcntl.fcntl(writer, fcntl.F_SETFL, flags)
    with_stderr(writer)
    os.close(writer)
    os.close(reader)


def alone(*arguments, **environment):
    return subprocess.run([GPAS, *arguments], capture_output=True, text=True, timeout=60, env=dict(os.environ, **environment))


@check
def tasks_that_mpi_does_not_know_of_are_refused():
    fresh()
    for environment in ({"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "3", "SLURM_PROCID": "1"},
                        {"PMI_SIZE": "3", "PMI_RANK": "1"}):
        result = alone("train", "run.yaml", "directory=run", *SHORT, **environment)
        assert result.returncode == 5 and "started 3 tasks" in result.stderr, f"{result.returncode}\n{result.stderr}"
        assert result.stderr.count("\n") == 1 and not os.path.exists("run"), result.stderr


@check
def one_process_of_a_batch_script_is_accepted():
    result = train(GPAS, "run", *SHORT, ranks=1)
    assert result.returncode == 0, result.stderr
    for environment in ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"},
                        {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "1"}):
        result = alone("eval", "run.yaml", "directory=run", **environment)
        assert result.returncode == 0, f"{result.returncode}\n{result.stderr}"


@check
def a_single_process_tells_its_error_in_one_line():
    result = alone("eval", "run.yaml", "directory=run", "--checkpoint", "absent.h5")
    assert result.returncode == 3 and result.stderr.count("\n") == 1, f"{result.returncode}\n{result.stderr}"
    result = alone("generate", "run.yaml", "directory=absent", "--prompt", "a")
    assert result.returncode != 0 and "MPI_ABORT" not in result.stderr + result.stdout, result.stderr


def lost_at_start(program, *words):
    """Rank 1 of two is `program`; rank 0 must find that it does not come."""
    fresh()
    began = time.monotonic()
    process = subprocess.Popen(["mpirun", "-n", "1", GPAS, "train", "run.yaml", "directory=run", *SHORT, ":", "-n", "1", *program],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        _, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError("nobody finds it") from None
    # mpirun returns the exit code of the process that ends first: a rank that reports, or the lost rank, which they kill.
    assert process.returncode in (6, 137), f"exit code {process.returncode}\n{err[-2000:]}"
    text = "".join(reports("run"))
    for word in words:
        assert word in text and word in err, f"'{word}' expected\n{text}\n{err[-2000:]}"
    assert time.monotonic() - began < 40, "late"


@check
def a_rank_that_is_stopped_before_it_shows_itself_is_found():
    lost_at_start(["sh", "-c", "kill -STOP $$; exec sleep 100"], "rank 1 did not start within")


@check
def a_rank_that_hangs_in_reading_its_configuration_is_found():
    if os.path.exists("hangs.yaml"):
        os.unlink("hangs.yaml")
    os.mkfifo("hangs.yaml")
    lost_at_start([GPAS, "train", "hangs.yaml", "directory=run"], "rank 1 (pid", "made no progress")


@check
def a_process_that_hangs_in_reading_its_configuration_ends():
    result = alone("train", "hangs.yaml", GPAS_START_SECONDS="1")
    assert result.returncode == 6 and "made no progress" in result.stderr, f"{result.returncode}\n{result.stderr}"


@check
def a_failed_allocation_ends_with_5_whatever_the_limit():
    fresh()
    result = train(GPAS, "run", *SHORT, "training.stop_after=4", ranks=1)
    assert result.returncode == 0, result.stderr
    fresh("keep")
    os.rename("run", "keep")

    def limited(kib):
        fresh()
        shutil.copytree("keep", "run")
        return subprocess.run([GPAS, "train", "run.yaml", "directory=run", *SHORT, "checkpoint.buffer_gib=0"],
                              capture_output=True, text=True, timeout=120,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (kib << 10, kib << 10)))

    # The address space that is enough, then less and less: the failures lie just below it.
    low, high = 50_000, 3_000_000
    while high - low > 12_000:
        middle = (low + high) // 2
        if limited(middle).returncode == 0:
            high = middle
        else:
            low = middle
    for kib in range(low - 90_000, low, 15_000):
        result = limited(kib)
        assert result.returncode in (0, 5), f"{kib} KiB: exit code {result.returncode}\n{result.stderr[-2000:]}"
        assert "passed over" not in result.stderr and "is used instead" not in result.stderr, result.stderr
        assert result.returncode == 0 or re.search("memory is short|cannot be started", result.stderr), result.stderr


if __name__ == "__main__":
    with in_tiny_world(GPAS):
        sys.exit(run_checks(CHECKS))

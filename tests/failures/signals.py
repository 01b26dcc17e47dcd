#!/usr/bin/env python3
"""signals.py GPAS: a run that is asked to stop, by signals or by the end of its job's time, saves, leaves with the code for it,
and resumes with the same bits. Prints TAP."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from tiny_job import curve, has_checkpoint, in_tiny_world, processes_of, records, run_checks, start, train

GPAS = os.path.abspath(sys.argv[1])
# Evaluation in the step that is stopped after: it must be there once in the end.
SETTINGS = ["training.steps=40", "checkpoint.every=1000", "evaluation.every=1", "training.end_margin_seconds=1"]
SLOW = "slow phase=data seconds=0.1"
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def begun(ranks):
    shutil.rmtree("run", ignore_errors=True)
    return wait_for_steps(start(GPAS, "run", *SETTINGS, ranks=ranks, rehearse=SLOW))


def wait_for_steps(process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if os.path.exists("run/metrics.jsonl") and len(records("run")) >= 3:
            return process
        time.sleep(0.05)
    process.kill()
    raise AssertionError("the run does not begin: " + process.communicate()[1][-2000:])


def ended(process, code):
    try:
        _, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError("it does not end: " + process.communicate()[1][-2000:]) from None
    assert process.returncode == code, f"exit code {process.returncode}, not {code}\n{err[-2000:]}"
    return err


def goes_on(ranks):
    steps = len(records("run"))
    assert 1 <= steps < 40 and has_checkpoint("run"), steps
    again = train(GPAS, "run", *SETTINGS, ranks=ranks)
    assert again.returncode == 0 and f"at step {steps}\n" in again.stderr, again.stderr[-2000:]
    assert curve("run") == curve(f"whole{ranks}"), "another curve"
    evaluations = [(e["step"], e["loss"]) for e in records("run", "eval")]
    assert evaluations == [(e["step"], e["loss"]) for e in records(f"whole{ranks}", "eval")], evaluations


def gpas_pids():
    return sorted(int(os.path.basename(path)) for path in processes_of("run"))


@check
def usr1_to_the_launcher_saves_and_ends_with_75():
    process = begun(2)
    process.send_signal(signal.SIGUSR1)
    err = ended(process, 75)
    assert "gpas: error" not in err and "stopped at step" in err, err[-1000:]
    goes_on(2)


@check
def the_script_of_the_documentation_turns_term_into_a_save():
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/failures.md")) as file:
        script = re.search(r"<!-- stop-script -->\n(.*?)<!-- end of", file.read(), re.S).group(1)
    assert "gpas train run.yaml" in script, script
    shutil.rmtree("run", ignore_errors=True)
    script = script.replace("gpas train run.yaml", " ".join([GPAS, "train run.yaml directory=run", *SETTINGS]))
    process = subprocess.Popen(["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, env=dict(os.environ, GPAS_REHEARSE=SLOW))
    wait_for_steps(process)
    process.terminate()
    ended(process, 75)
    goes_on(2)


@check
def term_to_one_rank_stops_all():
    process = begun(2)
    os.kill(gpas_pids()[1], signal.SIGTERM)
    ended(process, 75)
    goes_on(2)


@check
def signals_of_schedulers_terminals_and_limits_save_and_end_with_75():
    for number in (signal.SIGHUP, signal.SIGUSR2, signal.SIGXCPU):
        process = begun(1)
        process.send_signal(number)
        ended(process, 75)
        goes_on(1)


@check
def a_hang_up_that_nohup_ignores_is_ignored():
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = begun(1)
    finally:
        signal.signal(signal.SIGHUP, old)
    process.send_signal(signal.SIGHUP)
    ended(process, 0)


@check
def a_signal_in_a_long_evaluation_is_heard_and_the_next_start_evaluates():
    shutil.rmtree("run", ignore_errors=True)
    process = start(GPAS, "run", *SETTINGS, ranks=2, rehearse="slow phase=evaluation seconds=2")
    deadline = time.monotonic() + 60
    while not (os.path.exists("run/metrics.jsonl") and records("run")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(gpas_pids()[1], signal.SIGTERM)
    err = ended(process, 75)
    steps = len(records("run"))
    assert "was interrupted" in err, err[-1000:]
    assert steps not in [e["step"] for e in records("run", "eval")], "a number of a part of the set"
    goes_on(2)


@check
def one_interrupt_saves_and_ends_with_0():
    process = begun(1)
    process.send_signal(signal.SIGINT)
    err = ended(process, 0)
    assert "interrupted" in err, err[-1000:]
    goes_on(1)


@check
def two_interrupts_end_at_once_with_130():
    process = begun(1)
    process.send_signal(signal.SIGINT)
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    ended(process, 130)
    assert not has_checkpoint("run")


@check
def the_end_of_the_jobs_time_saves_and_ends_with_75():
    shutil.rmtree("run", ignore_errors=True)
    os.environ["GPAS_JOB_END_TIME"] = str(int(time.time()) + 5)
    try:
        process = start(GPAS, "run", *SETTINGS, ranks=2, rehearse=SLOW)
        ended(process, 75)
    finally:
        del os.environ["GPAS_JOB_END_TIME"]
    goes_on(2)


@check
def a_later_start_takes_the_directory_over():
    first = begun(2)
    second = start(GPAS, "run", *SETTINGS, ranks=2)
    err = ended(second, 0)
    assert "takes over" in err, err[-2000:]
    _, first_err = first.communicate(timeout=60)
    assert first.returncode == 6 and "superseded" in first_err, f"{first.returncode} {first_err[-2000:]}"
    assert curve("run") == curve("whole2"), "another curve"


def undisturbed():
    for ranks in (1, 2):
        assert train(GPAS, f"whole{ranks}", *SETTINGS, ranks=ranks).returncode == 0


if __name__ == "__main__":
    with in_tiny_world(GPAS):
        undisturbed()
        sys.exit(run_checks(CHECKS))

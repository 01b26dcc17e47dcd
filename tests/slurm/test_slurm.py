#!/usr/bin/env python3
"""test_slurm.py GPAS SOURCE_DIRECTORY: the scripts of slurm/ and the commands of docs/slurm.md on a Slurm of two virtual nodes.

Prints TAP. Jobs are warned, preempted, killed and broken; afterwards the curve of losses must be that of a run that nobody
disturbed, to the bit, and the log must name all starts. Skipped where private-slurm cannot run.
"""
import functools
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from checks import check, run_checks, skip_all  # noqa: E402

GPAS, SOURCE = map(os.path.abspath, sys.argv[1:3])
PRIVATE_SLURM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "private-slurm")
PATIENCE = 150  # seconds until something that must happen is given up
FOUR_RANKS = ["--nodes=2", "--ntasks-per-node=2"]
# Runs that go on until they are told to end leave the processors to others, and take few steps.
SLOW = "slow rank=0 phase=data seconds=0.05"


# ---- commands, jobs, and what they leave

def run(*command, code=0, **options):
    result = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, stdin=subprocess.DEVNULL, **options)
    assert result.returncode == code, f"{command}: exit code {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"{what}: did not happen within {PATIENCE} s"
        time.sleep(0.1)


def wait_for_jobs():
    wait_until(lambda: not run("squeue", "--noheader"), "the end of all jobs")


def job(number):
    """What scontrol knows of a job: JobState, Restarts, ExitCode, ..."""
    return dict(word.split("=", 1) for word in run("scontrol", "show", "job", "-o", number).split() if "=" in word)


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def steps(name):
    """The records of steps in a run's metrics; a line that is being written is left out."""
    lines = read(f"runs/{name}/metrics.jsonl").split("\n")[:-1]
    return [record for record in map(json.loads, lines) if record["kind"] == "step"]


def curve(name):
    return [(record["step"], record["loss"], record["gradient_norm"]) for record in steps(name)]


def log(name):
    return read(f"{name}.log")


def starts(name):
    return re.findall(r"start (\d+): \d+ ranks", log(name))


def trained_steps(name):
    """The steps in the console lines of all starts."""
    return [int(step) for step in re.findall(r"^step +(\d+)/", log(name), re.MULTILINE)]


def train(name, *options, overrides=()):
    """Submits a run with its own directory, log and file of changes."""
    stop_at(name, 0)
    os.environ["GPAS_REHEARSE"] = SLOW
    return run("sbatch", "--parsable", *FOUR_RANKS, f"--output={name}.log", *options, "slurm/train.sbatch", "long.yaml",
               "mine.yaml", f"{name}.yaml", f"directory=runs/{name}", *overrides).strip()


def stop_at(name, step):
    """From its next start on the run ends after this step."""
    with open(f"{name}.yaml", "w") as file:
        file.write(f"training: {{stop_after: {step}}}\n")


def wait_for_step(name, step):
    def there():
        ended = not run("squeue", "--noheader")  # asked first: the last steps may come just before
        assert len(steps(name)) >= step or not ended, f"{name} ended before step {step}"
        return len(steps(name)) >= step

    wait_until(there, f"step {step} of {name}")


def expect_undisturbed_curve(name):
    """Every step once, in order; the numbers are compared with those of the undisturbed run when that is known."""
    numbers = [step for step, *_ in curve(name)]
    assert numbers == list(range(1, len(numbers) + 1)) and numbers, numbers
    DISTURBED.append(name)


def expect_nothing_trained_twice(name):
    seen = trained_steps(name)
    assert seen == list(range(1, len(seen) + 1)) and len(seen) == len(curve(name)), seen


DISTURBED = []


def crashed_in_mpi_init(text):
    """text: logs of jobs. In some start a rank crashed inside MPI_Init, before gpas printed anything. Any MPI program that srun starts
    on two nodes may crash so with Slurm 22.05, PMIx 4.2 and Open MPI 4.1 on a busy machine: one rank has left MPI_Init and sends,
    while another rank cannot receive yet."""
    return any("Segmentation fault" in start and "gpas: device" not in start
               for start in re.split(r"^== .* ranks with ", text, flags=re.MULTILINE))


def again_after_a_crash_in_mpi_init(function):
    """If the check failed and one of its jobs crashed in MPI_Init, the check is repeated from the state before it, at most 3 times."""
    @functools.wraps(function)
    def repeated():
        before = {*glob.glob("*"), *glob.glob("runs/*")}
        disturbed = len(DISTURBED)
        for attempt in range(4):
            try:
                return function()
            except AssertionError as error:
                logs = "\n".join(map(read, {*glob.glob("*.log")} - before))
                if attempt == 3 or not (crashed_in_mpi_init(logs) or crashed_in_mpi_init(str(error))):
                    raise
                print(f"{function.__name__}: a rank crashed in MPI_Init; the check is repeated", file=sys.stderr, flush=True)
                clean_up_after_failure()
                del DISTURBED[disturbed:]
                for path in {*glob.glob("*"), *glob.glob("runs/*")} - before:
                    shutil.rmtree(path) if os.path.isdir(path) else os.path.exists(path) and os.remove(path)
    return check(repeated)


# ---- the checks

def prepare_world():
    os.makedirs("build/engine")
    os.makedirs("configs")
    os.makedirs("texts")
    os.symlink(GPAS, "build/engine/gpas")
    os.symlink(f"{SOURCE}/slurm", "slurm")
    os.symlink(f"{SOURCE}/configs/architectures", "configs/architectures")
    with open("texts/numbers.txt", "w") as file:  # words enough for a tokenizer of 4096 pieces
        file.writelines(f"{i * 7919 % 10007} and {i * i % 7919} make {i * 104729 % 65537}.\n\n" for i in range(1, 6000))
    model = """model: {architecture: pre_gpas, vocab_size: 4096, hidden_size: 32, ffn_size: 40, layers: 2, heads: 4}
data: {sequence_length: 16}
schedule: {warmup_steps: 2}
evaluation: {every: 0}
compute: {peak_tflops: 1}
"""
    with open("configs/quickstart.yaml", "w") as file:
        file.write(model + "training: {steps: 8, global_batch_size: 8, micro_batch_size: 2}\n")
    with open("long.yaml", "w") as file:  # ends only when told to
        file.write(model + "training: {steps: 100000, global_batch_size: 64, micro_batch_size: 16, end_margin_seconds: 1}\n"
                   "checkpoint: {every: 10}\n")


@again_after_a_crash_in_mpi_init
def the_commands_of_the_documentation_do_what_it_says():
    text = read(f"{SOURCE}/docs/slurm.md").split("<!-- walk-through -->")[1].split("<!-- end of walk-through -->")[0]
    commands = re.findall(r"^    (\S.*)", text, re.MULTILINE)
    assert len(commands) > 5, commands
    # A user reads on when his job has ended.
    run("bash", "-ec", "\n".join(f"{command}\nwhile [[ -n $(squeue --noheader) ]]; do sleep 0.2; done" for command in commands))
    for name in ("first", "study/pre/seed_1", "study/pre/seed_2", "study/pre_gpas/seed_1", "study/pre_gpas/seed_2", "chain"):
        assert len(steps(name)) == 8, (name, steps(name))
    losses = {steps(f"study/{row}/seed_{seed}")[0]["loss"] for row in ("pre", "pre_gpas") for seed in (1, 2)}
    assert len(losses) >= 2, "two seeds, two sets of weights"
    for name in os.listdir("."):
        assert not name.endswith(".log") or "error" not in read(name), read(name)


@again_after_a_crash_in_mpi_init
def jobs_of_a_chain_stop_before_their_time_limit_and_the_next_resumes():
    stop_at("linked", 0)
    os.environ["GPAS_REHEARSE"] = SLOW
    run("slurm/chain.sh", "3", "linked", *FOUR_RANKS, "--time=1", "--output=linked.log", "slurm/train.sbatch", "long.yaml",
        "mine.yaml", "linked.yaml", "directory=runs/linked", "training.end_margin_seconds=40")
    wait_for_step("linked", 2)
    stop_at("linked", len(steps("linked")) + 20)
    wait_for_jobs()
    assert len(starts("linked")) == 3, log("linked")
    assert "exit code 75" in log("linked") and log("linked").count("start 1: ended") == 2, log("linked")
    expect_nothing_trained_twice("linked")
    expect_undisturbed_curve("linked")


@again_after_a_crash_in_mpi_init
def an_error_that_somebody_must_look_at_ends_the_job_and_its_chain():
    number = train("wrong", overrides=["training.stpes=1"])
    wait_for_jobs()
    assert (job(number)["ExitCode"], job(number)["Restarts"]) == ("2:0", "0"), job(number)
    run("slurm/chain.sh", "3", "broken", *FOUR_RANKS, "--output=broken.log", "slurm/train.sbatch", "long.yaml",
        "mine.yaml", "data.train=absent", "directory=runs/broken")
    wait_for_jobs()
    assert len(starts("broken")) == 1 and "exit code 3" in log("broken"), log("broken")


@again_after_a_crash_in_mpi_init
def failures_in_a_row_are_counted():
    with open("failing", "w") as file:
        file.write(f'#!/bin/sh\n[ "$1" != train ] || exit 5\nexec {GPAS} "$@"\n')
    os.chmod("failing", 0o755)
    number = train("failed", "--export=ALL,GPAS=./failing,MAX_FAILURES=1")
    wait_for_jobs()
    assert (job(number)["ExitCode"], job(number)["Restarts"]) == ("5:0", "1"), job(number)
    assert "failure 2 in a row: given up" in log("failed"), log("failed")


@again_after_a_crash_in_mpi_init
def a_run_with_a_killed_rank_resumes_from_its_last_checkpoint():
    number = train("killed", "--time=10")
    wait_for_step("killed", 15)
    stop_at("killed", len(steps("killed")) + 20)
    os.kill(pid_of_rank(number, 3), signal.SIGKILL)
    wait_for_jobs()
    assert (job(number)["JobState"], job(number)["Restarts"]) == ("COMPLETED", "1"), job(number)
    assert starts("killed") == ["1", "2"] and "failure 1 in a row" in log("killed"), log("killed")
    expect_undisturbed_curve("killed")


def pid_of_rank(number, rank):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            environment = open(f"/proc/{pid}/environ").read().split("\0")
            if os.path.realpath(f"/proc/{pid}/exe") == os.path.realpath(GPAS) and \
                    f"SLURM_JOB_ID={number}" in environment and f"SLURM_PROCID={rank}" in environment:
                return int(pid)
        except OSError:  # it ended, or is the kernel's
            pass
    raise AssertionError(f"no process is rank {rank} of job {number}")


@again_after_a_crash_in_mpi_init
def a_preempted_run_saves_and_comes_back():
    number = train("preempted", "--time=10")
    wait_for_step("preempted", 5)
    stop_at("preempted", len(steps("preempted")) + 20)
    run("sbatch", "--partition=high", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
    wait_for_jobs()
    assert (job(number)["JobState"], job(number)["Restarts"]) == ("COMPLETED", "1"), job(number)
    assert "exit code 75; requeueing" in log("preempted"), log("preempted")
    expect_nothing_trained_twice("preempted")
    expect_undisturbed_curve("preempted")


@again_after_a_crash_in_mpi_init
def a_run_saves_before_its_time_limit_and_resumes():
    number = train("warned", "--time=1", "--signal=B:USR1@60")
    wait_until(lambda: "requeueing" in log("warned"), "the warning")
    stop_at("warned", len(steps("warned")) + 20)
    wait_for_jobs()
    assert job(number)["JobState"] == "COMPLETED" and int(job(number)["Restarts"]) >= 1, job(number)
    assert "exit code 75; requeueing" in log("warned") and "TIME LIMIT" not in log("warned"), log("warned")
    assert starts("warned") == [str(start) for start in range(1, len(starts("warned")) + 1)], starts("warned")
    expect_nothing_trained_twice("warned")
    expect_undisturbed_curve("warned")


@again_after_a_crash_in_mpi_init
def all_curves_are_those_of_an_undisturbed_run():
    os.environ.pop("GPAS_REHEARSE", None)
    longest = max(len(steps(name)) for name in DISTURBED)
    run("srun", "--mpi=pmix", *FOUR_RANKS, "--time=10", GPAS, "train", "long.yaml", "mine.yaml", "directory=runs/undisturbed",
        "compute.threads=1", f"training.stop_after={longest}")
    undisturbed = curve("undisturbed")
    for name in DISTURBED:
        assert curve(name) == undisturbed[: len(curve(name))], name
    assert len(DISTURBED) == 4, DISTURBED


# ---- running them

def explanations():
    """What a failure may be understood by."""
    logs = sorted((name for name in os.listdir(".") if name.endswith(".log")), key=os.path.getmtime)
    for path in [*logs[-2:], "../cluster/log/slurmctld"]:
        yield from [f"---- {path}", *read(path).splitlines()[-30:]]
    yield from subprocess.run(["squeue", "--long"], capture_output=True, text=True, timeout=30).stdout.splitlines()


def clean_up_after_failure():
    """Lines that explain the failure; then no job of the failed check is left."""
    lines = list(explanations())
    run("scancel", f"--user={os.getuid()}")
    wait_for_jobs()
    return lines


def run_inside():
    os.environ.update(THREADS="1", OMPI_MCA_mpi_yield_when_idle="1", OMP_WAIT_POLICY="passive")
    prepare_world()
    return run_checks(after_failure=clean_up_after_failure)


def main():
    if "--inside" in sys.argv:
        return run_inside()
    able = subprocess.run([PRIVATE_SLURM, "--check"], capture_output=True, text=True)
    if able.returncode == 77:
        skip_all(able.stderr.strip())
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what follows `finally` is done
    directory = tempfile.mkdtemp(prefix="gpas-slurm-")
    try:
        os.chmod(directory, 0o755)
        os.mkdir(f"{directory}/work")
        return subprocess.run([PRIVATE_SLURM, f"{directory}/cluster", sys.executable, os.path.abspath(__file__), GPAS, SOURCE,
                               "--inside"], cwd=f"{directory}/work").returncode
    finally:
        shutil.rmtree(directory, ignore_errors=True)


sys.exit(main())

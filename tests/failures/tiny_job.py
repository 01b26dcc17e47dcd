"""A small run on four ranks and what is left of it: shared by the tests that lose ranks and turn numbers."""
import contextlib
import glob
import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from checks import failed, passed, plan, run_checks, scratch_directory, skip_all  # noqa: E402

__all__ = ["failed", "passed", "plan", "run_checks", "skip_all"]  # of checks.py, for the tests in this folder

TEXT = ("It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. "
        "All happy families are alike; each unhappy family is unhappy in its own way. ")
CONFIG = """name: small
model: {vocab_size: 400, hidden_size: 32, ffn_size: 40, layers: 2, heads: 4}
data: {train: data_text_document, valid_fraction: 0.1, tokenizer: data.model, sequence_length: 16}
training: {steps: 12, global_batch_size: 8, micro_batch_size: 1}
schedule: {warmup_steps: 2}
evaluation: {every: 3, samples: 8}
checkpoint: {every: 4}
metrics: {tensorboard: false}
compute: {peak_tflops: 1, device: cpu, threads: 1}
parallel: {timeout_seconds: 20}
watch: {silent_seconds: 2}
"""


def make_world(gpas):
    """Token files, a tokenizer and run.yaml in the working directory."""
    with open("text.jsonl", "w") as file:
        for i in range(60):
            file.write(json.dumps({"text": TEXT[i:] + TEXT[: i * 2] + str(i * i)}) + "\n")
    subprocess.run([gpas, "prepare", "--input", "text.jsonl", "--documents", "jsonl", "--train-tokenizer", "400",
                    "--output-prefix", "data"], check=True, capture_output=True)
    with open("run.yaml", "w") as file:
        file.write(CONFIG)


def start(gpas, directory, *overrides, ranks=4, rehearse="", attempt=0, launcher=None, stderr=subprocess.PIPE):
    environment = dict(os.environ, GPAS_REHEARSE=rehearse, GPAS_ATTEMPT=str(attempt))
    launcher = launcher or (["mpirun", "-n", str(ranks)] if ranks > 1 else [])
    return subprocess.Popen([*launcher, gpas, "train", "run.yaml", f"directory={directory}", *overrides],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)


def train(gpas, directory, *overrides, timeout=120, **options):
    """Runs to its end; .returncode and .stderr hold the result."""
    process = start(gpas, directory, *overrides, **options)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def train_until_lost(gpas, directory, *overrides, timeout=120, **options):
    """The same, and the seconds from the rehearsed failure to the end of the launcher."""
    process = start(gpas, directory, *overrides, **options)
    lines, lost_at = [], [None]

    def read():
        for line in process.stderr:
            lines.append(line)
            if line.startswith("gpas: rehearsal:"):
                lost_at[0] = time.monotonic()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    ended = time.monotonic()
    reader.join(5)
    seconds = ended - lost_at[0] if lost_at[0] else float("nan")
    return subprocess.CompletedProcess(process.args, process.returncode, "", "".join(lines)), seconds


def records(directory, kind="step"):
    with open(f"{directory}/metrics.jsonl") as file:
        return [record for record in map(json.loads, file) if record["kind"] == kind]


def curve(directory):
    """What each step computed, to the last bit."""
    return [(record["step"], record["loss"], record["gradient_norm"]) for record in records(directory)]


def reports(directory):
    texts = []
    for name in sorted(glob.glob(f"{directory}/failures/*.txt")):
        with open(name) as file:
            texts.append(file.read())
    return texts


def processes_of(directory):
    """Living processes that have this run's directory on their command line."""
    found = []
    for process in glob.glob("/proc/[0-9]*"):
        try:
            with open(f"{process}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
            here = os.readlink(f"{process}/cwd") == os.getcwd()
        except OSError:
            continue
        if here and f"directory={directory}".encode() in words and b"gpas" in os.path.basename(words[0]):
            found.append(process)
    return found


def has_checkpoint(directory):
    return bool(glob.glob(f"{directory}/checkpoints/step_*.h5"))


@contextlib.contextmanager
def in_tiny_world(gpas):
    """A scratch directory with the world in it as the working directory."""
    with scratch_directory("tiny-job"):
        make_world(gpas)
        yield

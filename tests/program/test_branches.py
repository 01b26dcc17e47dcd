#!/usr/bin/env python3
"""test_branches.py GPAS: which checkpoints a run keeps, sets aside and continues from, however it is started.

Prints TAP. Each check is a function with a run directory of its own.
"""
import json
import os
import shutil
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from checks import CHECKS, check, run_checks, scratch_directory, write_token_files  # noqa: E402

GPAS = os.path.abspath(sys.argv[1])


def gpas(*arguments, ranks=0, code=0, environment=None):
    """What it printed, on both streams."""
    launcher = ["mpirun", "-n", str(ranks)] if ranks else []
    done = subprocess.run([*launcher, GPAS, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=300, env={**os.environ, **(environment or {})})
    assert code is None or done.returncode == code, f"exit code {done.returncode}, {code} expected: {arguments}\n{done.stdout[-3000:]}"
    return done.stdout


def write_tokens(prefix):
    write_token_files(prefix, [[(d * 5 + i * 3 + i * i % 7) % 60 + 3 for i in range(20 + d % 37)] + [2] for d in range(90)])


CONFIG = """name: small
directory: run
model: {architecture: pre, vocab_size: 64, hidden_size: 16, ffn_size: 32, layers: 2, heads: 2}
data: {train: tokens, valid_fraction: 0, sequence_length: 16}
training: {steps: 30, global_batch_size: 4, micro_batch_size: 2}
schedule: {warmup_steps: 2}
evaluation: {every: 0}
checkpoint: {every: 10}
metrics: {tensorboard: false, gpas_every: 0}
compute: {threads: 1, device: cpu, peak_tflops: 1}
"""


def train(directory, *changes, **options):
    return gpas("train", "run.yaml", f"directory={directory}", *changes, **options)


def name(step):
    return f"step_{step:08d}.h5"


def file_of(directory, step):
    return os.path.join(directory, "checkpoints", name(step))


def steps(directory):
    """Of the current branch."""
    return sorted(int(entry[5:13]) for entry in os.listdir(os.path.join(directory, "checkpoints")) if entry.startswith("step_"))


def aside(directory):
    """Steps of each set-aside directory, by its name."""
    place = os.path.join(directory, "checkpoints")
    return {entry: sorted(int(file[5:13]) for file in os.listdir(os.path.join(place, entry)) if file.endswith(".h5"))
            for entry in sorted(os.listdir(place)) if entry.startswith("set_aside_")}


def damage(file):
    """One bit of some tensor's data: the end of the file says where they lie (docs/formats.md)."""
    with open(file, "r+b") as stream:
        stream.seek(-24, os.SEEK_END)
        ranges = struct.unpack("<Q", stream.read(8))[0]
        stream.seek(-24 - 16 * ranges, os.SEEK_END)
        at = struct.unpack("<q", stream.read(8))[0] + 5
        stream.seek(at)
        byte = stream.read(1)
        stream.seek(at)
        stream.write(bytes([byte[0] ^ 0x40]))


def resumed_at(text):
    """The step that a start resumed from; None if it started from the beginning."""
    for line in text.splitlines():
        if "gpas: resuming from " in line:
            return int(line.rsplit(" ", 1)[1])
    return None


@check
def a_damaged_newest_checkpoint_does_not_cost_the_good_ones():
    train("damaged", "training.stop_after=20")
    before = os.path.getsize(file_of("damaged", 20))
    damage(file_of("damaged", 20))
    text = train("damaged", "checkpoint.keep_last=1", "training.stop_after=14")
    assert resumed_at(text) == 10, text
    assert steps("damaged") == [10, 14], os.listdir("damaged/checkpoints")
    assert aside("damaged") == {"set_aside_1_step_20_to_20": [20]}, aside("damaged")
    assert os.path.getsize("damaged/checkpoints/set_aside_1_step_20_to_20/" + name(20)) == before
    assert resumed_at(train("damaged", "checkpoint.keep_last=1", "training.stop_after=16")) == 14
    assert steps("damaged") == [14, 16]


@check
def an_older_damaged_checkpoint_does_not_count_as_kept():
    train("older", "checkpoint.every=5", "training.stop_after=15")
    damage(file_of("older", 10))
    text = train("older", "checkpoint.every=5", "checkpoint.keep_last=3", "training.stop_after=20")
    assert steps("older") == [5, 10, 15, 20] and name(10) in text and "does not count" in text, text
    train("older", "checkpoint.every=5", "checkpoint.keep_last=3", "training.stop_after=25")
    assert set(steps("older")) - {10} == {15, 20, 25}, os.listdir("older/checkpoints")


@check
def a_named_earlier_checkpoint_begins_a_branch():
    train("named", "checkpoint.every=5", "checkpoint.keep_every=5")
    begin = file_of("named", 10)
    text = train("named", f"checkpoint.resume={begin}", "checkpoint.every=4", "training.stop_after=14")
    assert resumed_at(text) == 10 and "set_aside_1_step_15_to_30" in text, text
    assert steps("named") == [10, 12, 14], steps("named")
    assert aside("named") == {"set_aside_1_step_15_to_30": [15, 20, 25, 30]}, aside("named")
    listed = gpas("inspect", "named", "--no-statistics")
    for words in ("current branch", "set_aside_1_step_15_to_30", "15, 20, 25, 30", f"checkpoint.resume={begin}"):
        assert words in listed, listed
    assert name(14) in listed and name(14) in gpas("eval", "run.yaml", "directory=named", "data.valid_fraction=0.1")
    assert resumed_at(train("named", "checkpoint.every=4", "training.stop_after=16")) == 14
    # Back to what was left: a branch of its own again.
    left = "named/checkpoints/set_aside_1_step_15_to_30/" + name(25)
    text = train("named", f"checkpoint.resume={left}", "training.stop_after=26")
    assert resumed_at(text) == 25 and steps("named") == [26], text
    assert sum(map(len, aside("named").values())) == 4 + 4 and os.path.exists(left)


@check
def the_checkpoint_that_resume_names_stays_while_its_branch_is_the_current_one():
    train("stays", "training.stop_after=10")
    for _ in range(2):  # the second start resumes from step 11
        train("stays", "checkpoint.resume=" + file_of("stays", 10), "checkpoint.keep_last=1", "training.steps=100000",
              "checkpoint.every=0", "training.end_margin_seconds=100000", code=75,
              environment={"GPAS_JOB_END_TIME": str(int(time.time()) + 1000)})
    assert steps("stays") == [10, 11, 12], steps("stays")


@check
def starting_anew_beside_a_longer_run_keeps_both():
    shared = ["training.steps=60"]
    train("anew", *shared, "training.stop_after=40")
    first = open("anew/metrics.jsonl").read()
    text = train("anew", *shared, "checkpoint.resume=never", "optimizer.learning_rate=1e-4", "training.stop_after=25", ranks=2)
    assert resumed_at(text) is None and steps("anew") == [10, 20, 25], text
    assert aside("anew") == {"set_aside_1_step_20_to_40": [20, 30, 40]}
    assert open("anew/checkpoints/set_aside_1_step_20_to_40/metrics.jsonl").read() == first
    assert resumed_at(train("anew", *shared, "optimizer.learning_rate=1e-4", "training.stop_after=26")) == 25


@check
def the_same_command_continues_whatever_resume_says():
    train("base", "training.stop_after=10")
    for label, request in (("never", "never"), ("path", file_of("base", 10)), ("relative", "again-relative/checkpoints/" + name(10))):
        directory = "again-" + label
        if label == "relative":
            shutil.copytree("base", directory)
        change = [f"checkpoint.resume={request}", "training.steps=100000", "training.end_margin_seconds=100000",
                  "checkpoint.every=0", "metrics.every=10000"]
        at = 0 if label == "never" else 10
        for start in range(3):  # each is stopped after one step, since its job is about to end
            text = train(directory, *change, code=75, environment={"GPAS_JOB_END_TIME": str(int(time.time()) + 1000)})
            assert resumed_at(text) == (at + start if at + start > 0 else None), (label, start, text)
            assert "the same command continues the run" in text, text
        assert aside(directory) == {}, aside(directory)
        # Another command with `never` or a path means what it says.
        text = train(directory, *change, "optimizer.learning_rate=1e-4", code=75,
                     environment={"GPAS_JOB_END_TIME": str(int(time.time()) + 1000)})
        assert resumed_at(text) == (at or None) and "set aside" in text, text


@check
def a_completed_command_begins_again():
    for _ in range(2):
        text = train("completed", "checkpoint.resume=never", "training.stop_after=10")
        assert resumed_at(text) is None, text
    assert steps("completed") == [10] and aside("completed") == {"set_aside_1_step_10_to_10": [10]}


@check
def a_checkpoint_of_another_run_begins_a_branch_and_stays():
    train("other", "training.stop_after=20")
    train("mine", "training.stop_after=10")
    os.symlink(os.path.abspath(file_of("other", 20)), "link.h5")
    text = train("mine", "checkpoint.resume=link.h5", "checkpoint.keep_last=1", "checkpoint.every=1", "training.stop_after=24")
    assert resumed_at(text) == 20 and steps("mine") == [24] and aside("mine") == {"set_aside_1_step_10_to_10": [10]}, text
    assert steps("other") == [10, 20]
    # Killed before its first save: the branch still begins where it was said to.
    train("early", "checkpoint.resume=link.h5", environment={"GPAS_REHEARSE": "exit step=21"}, code=None)
    assert resumed_at(train("early", "training.stop_after=22")) == 20


@check
def initial_weights_of_the_same_directory_are_found_again():
    train("initial", "training.stop_after=10")
    change = ["checkpoint.resume=never", "checkpoint.init_from=" + file_of("initial", 10), "training.stop_after=2"]
    train("initial", *change, environment={"GPAS_REHEARSE": "exit step=1"}, code=None)
    assert steps("initial") == [] and aside("initial") == {"set_aside_1_step_10_to_10": [10]}
    assert "set_aside_1_step_10_to_10/" + name(10) in train("initial", *change)
    assert steps("initial") == [2] and "initial" in gpas("top", "initial", "--once")


@check
def a_directory_that_cannot_be_changed_ends_with_5_and_keeps_all():
    train("fixed", "training.stop_after=20")
    os.mkdir("fixed/checkpoints/..branching.json.tmp")  # in the way, also for root
    text = train("fixed", "checkpoint.resume=never", code=5)
    assert "gpas: error: " in text and steps("fixed") == [10, 20], text


@check
def evaluations_beside_a_run_that_removes_checkpoints_read_one_or_say_why_not():
    train("busy", "training.stop_after=1")
    process = subprocess.Popen([GPAS, "train", "run.yaml", "directory=busy", "training.steps=4000", "checkpoint.every=1",
                                "checkpoint.keep_last=1", "metrics.every=1000"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(4):
            text = gpas("eval", "run.yaml", "directory=busy", "data.valid_fraction=0.1", "checkpoint.every=1", code=None)
            assert "validation tokens" in text or "checkpoint.keep_last" in text, text
    finally:
        process.terminate()
        process.wait(timeout=300)


@check
def a_start_that_is_killed_while_it_sets_aside_is_completed_by_the_next():
    train("killed", "checkpoint.every=5", "checkpoint.keep_last=0", "training.stop_after=20")
    journal = {"to": "set_aside_1_step_15_to_20", "why": "a test", "files": [name(15), name(20)], "record": None}
    with open("killed/checkpoints/.branching.json", "w") as file:
        json.dump(journal, file)
    assert name(10) in gpas("inspect", "killed", "--no-statistics")  # readers see the state that the next save completes
    assert resumed_at(train("killed", "training.stop_after=12")) == 10
    assert steps("killed") == [5, 10, 12] and aside("killed") == {"set_aside_1_step_15_to_20": [15, 20]}


@check
def a_step_that_another_process_has_written_is_not_overwritten():
    train("raced", "training.stop_after=10")
    process = subprocess.Popen([GPAS, "train", "run.yaml", "directory=raced", "training.stop_after=2000", "training.steps=2000",
                                "checkpoint.every=0", "metrics.every=1000"], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "resuming from" in line:
            shutil.copy(file_of("raced", 10), file_of("raced", 2000))
            break
    process.stderr.read()
    assert process.wait(timeout=300) == 0
    assert steps("raced") == [10, 2000] and aside("raced") == {"set_aside_1_step_2000_to_2000": [2000]}


@check
def weights_that_differ_lead_back_before_the_last_comparison():
    # Compared at steps 10 and 20; rank 1's weights change at step 13, and 12, 14, …, 18 are saved in between.
    rehearsal = {"GPAS_REHEARSE": "flip rank=1 step=13"}
    shared = ["checkpoint.every=2", "checkpoint.keep_last=1", "guard.weights_every=10", "guard.recompute=false",
              "parallel.sharded_optimizer=false"]
    text = train("differs", *shared, "guard.on_different_weights=roll_back", "training.stop_after=22", ranks=2,
                 environment=rehearsal)
    assert "rolled back to" in text and name(8) in text, text
    assert 18 in sum(aside("differs").values(), []), aside("differs")
    text = train("stops", *shared, "training.stop_after=22", ranks=2, code=4, environment=rehearsal)
    assert aside("stops") and max(steps("stops")) <= 9, (steps("stops"), aside("stops"))
    assert resumed_at(train("stops", *shared, "training.stop_after=22", ranks=2)) == 8


@check
def a_reader_learns_that_a_checkpoint_is_gone():
    train("gone", "training.stop_after=10")
    os.remove(file_of("gone", 10))
    text = gpas("eval", "run.yaml", "data.valid_fraction=0.1", "--checkpoint", file_of("gone", 10), code=3)
    assert "checkpoint.keep_last" in text and name(10) in text, text


if __name__ == "__main__":
    with scratch_directory("branches"):
        write_tokens("tokens")
        with open("run.yaml", "w") as file:
            file.write(CONFIG)
        sys.exit(run_checks([function for function in CHECKS if len(sys.argv) < 3 or sys.argv[2] in function.__name__]))

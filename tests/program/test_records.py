#!/usr/bin/env python3
"""test_records.py GPAS: what a run records is true: times, speeds, and nothing where there was nothing to measure. Prints
TAP."""
import json
import os
import re
import subprocess
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", name) for name in ("failures", "support")]
from checks import check, expect, refused, run_checks, write_token_files  # noqa: E402
from tiny_job import in_tiny_world, records, train  # noqa: E402

GPAS = os.path.abspath(sys.argv[1])
MEASURED = ("loss", "perplexity", "gradient_norm", "gate_gradient_norm")


def run(directory, *overrides, ranks=1):
    return train(GPAS, directory, "checkpoint.every=0", *overrides, ranks=ranks)


def evaluate(*arguments):
    return subprocess.run([GPAS, "eval", "run.yaml", *arguments], capture_output=True, text=True, timeout=120)


@check
def data_without_a_token_to_predict_are_refused():
    write_token_files("ones", [[5]] * 60)
    write_token_files("twos", [[5, 6]] * 60)
    refused(run("none", "data.mode=padded", "data.sequence_length=1"), 2, "data.sequence_length", "packed")
    refused(run("none", "data.mode=padded", "data.train=ones"), 2, "ones", "training samples", "data.mode=packed")
    refused(run("none", "data.mode=padded", "data.valid=ones", "data.valid_fraction=0"), 2, "ones", "validation samples")
    refused(run("none", "data.mask_documents=true", "data.train=ones"), 2, "ones", "training samples")
    refused(run("none", "data.train=ones", "data.mask_documents=true", ranks=2), 2, "ones")
    assert not os.path.exists("none/metrics.jsonl")
    settings = ["directory=some", "data.mode=padded", "data.train=twos", "training.steps=2"]
    trained = run("some", *settings[1:])
    expect(trained.returncode == 0, trained, "exit code 0")
    result = evaluate(*settings)
    expect(result.returncode == 0 and " 6 validation tokens" in result.stdout, result, "one token of each document")
    refused(evaluate(*settings, "data.valid=ones", "data.valid_fraction=0"), 2, "ones", "validation samples")


@check
def a_step_without_loss_tokens_has_no_numbers_and_changes_nothing():
    # Steps whose only document has one token; a document in forty has more.
    write_token_files("rare", [[7] * (12 if i % 40 == 0 else 1) for i in range(400)])
    settings = ["data.mode=padded", "data.train=rare", "data.valid=data_text_document", "data.valid_fraction=0",
                "training.global_batch_size=1", "training.steps=120", "guard.spike_window=16", "guard.on_spike=stop",
                "evaluation.every=60", "optimizer.weight_decay=0.1"]
    result = run("rare_run", *settings)
    expect(result.returncode == 0, result, "exit code 0")
    expect(not records("rare_run", "event"), result, "no event")
    steps = records("rare_run")
    empty = [step for step in steps if step["loss_tokens"] == 0]
    expect(len(steps) == 120 and 0 < len(empty) < 120, result, "steps with and without tokens")
    for step in empty:
        expect(not any(key in step for key in MEASURED) and step["skipped"], result, f"no number in {step}")
    for step in steps:
        expect(step["loss_tokens"] == 0 or all(step[key] is not None for key in MEASURED), result, f"numbers in {step}")
    lines = [line for line in result.stderr.splitlines() if line.startswith("step ")]
    expect(sum("no tokens" in line and "loss" not in line for line in lines) == len(empty), result, "'no tokens'")
    # Nothing moves the weights: the evaluation of a run that sees such steps alone stays what it was.
    first = next(i for i, step in enumerate(steps) if step["loss_tokens"] > 0)
    few = run("few", *settings, "training.steps=6", "evaluation.every=1", "schedule.warmup_steps=0")
    losses = {evaluation["loss"] for evaluation in records("few", "eval")}
    expect(first > 6 and few.returncode == 0 and len(losses) == 1, few, f"one loss, found {losses}")
    shown = subprocess.run([GPAS, "top", "rare_run", "--once"], capture_output=True, text=True, timeout=60)
    expect(shown.returncode == 0 and "NaN" not in shown.stdout, shown, "gpas top shows no NaN")


@check
def records_cover_evaluations_and_saves_whatever_their_interval():
    result = run("seconds", "metrics.every=5", "evaluation.every=2", "checkpoint.every=2")
    expect(result.returncode == 0, result, "exit code 0")
    steps, evaluations = records("seconds"), records("seconds", "eval")
    expect([step["step"] for step in steps] == [5, 10, 12], result, "a record every five steps, and the last")
    expect([e["step"] for e in evaluations] == [2, 4, 6, 8, 10, 12], result, "evaluations")
    before = 0
    for step in steps:
        spent = sum(e["seconds"] for e in evaluations if before <= e["step"] < step["step"])
        expect(abs(step["seconds_evaluation"] - spent) < 1e-9, result, f"{spent} s of evaluations in {step}")
        expect(step["seconds_checkpoint"] > 0, result, f"seconds of saves in {step}")
        before = step["step"]
    for line in result.stderr.splitlines():
        times = re.search(r"saved .* in ([0-9.]+) s, of which training waited ([0-9.]+) s", line)
        expect(not times or float(times[2]) <= float(times[1]), result, line)
    expect(steps[2]["seconds_left"] > 0, result, "the last evaluation and save are still to come")


@check
def the_peak_is_the_same_before_and_after_a_resume():
    result = run("peak", "compute.peak_tflops=0", "training.stop_after=4")
    expect(result.returncode == 0 and "(measured: " in result.stderr, result, "a measured peak")
    again = run("peak", "compute.peak_tflops=0", "training.stop_after=8")
    expect(again.returncode == 0 and "(measured by an earlier start)" in again.stderr, again, "the peak is remembered")
    expect(len({step["peak_flops"] for step in records("peak")}) == 1, again, "one peak")
    wider = run("peak", "compute.peak_tflops=0", ranks=2)
    expect(wider.returncode == 0 and "(measured: " in wider.stderr, wider, "measured again on other ranks")


@check
def records_of_abandoned_steps_are_kept_aside():
    result = run("branch", "checkpoint.every=4")
    expect(result.returncode == 0, result, "exit code 0")
    again = run("branch", "checkpoint.every=4", "checkpoint.resume=branch/checkpoints/step_00000008.h5")
    expect(again.returncode == 0, again, "exit code 0")
    expect([step["step"] for step in records("branch")] == list(range(1, 13)), again, "each step once")
    with open("branch/metrics.abandoned.jsonl") as file:
        aside = [json.loads(line) for line in file]
    expect(aside[0]["kind"] == "abandoned" and aside[0]["resumed_step"] == 8, again, "where the branches part")
    expect([record["step"] for record in aside if record["kind"] == "step"] == [9, 10, 11, 12], again, "the rest")


if __name__ == "__main__":
    with in_tiny_world(GPAS):
        sys.exit(run_checks())

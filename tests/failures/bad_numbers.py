#!/usr/bin/env python3
"""bad_numbers.py GPAS: NaN, spikes, failing hardware and turned bits on one rank of four are found at the step where they
happen, and handled as configured. Prints TAP."""
import os
import shutil
import sys

from tiny_job import curve, in_tiny_world, records, run_checks, train

GPAS = os.path.abspath(sys.argv[1])
SPIKES = ["guard.spike_window=8", "guard.spike_sigmas=8"]
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def run(rehearse, *overrides, directory="run", fresh=True):
    if fresh:
        shutil.rmtree(directory, ignore_errors=True)
    result = train(GPAS, directory, *overrides, rehearse=rehearse)
    result.events = [] if not os.path.exists(f"{directory}/metrics.jsonl") else records(directory, "event")
    return result


def expect(condition, result, what):
    if not condition:
        raise AssertionError(f"{what}; exit code {result.returncode}\n{result.events}\n{result.stderr[-2500:]}")


def expect_event(result, step, event, action, rank, *words):
    found = [e for e in result.events if e["event"] == event]
    expect(len(found) == 1, result, f"one {event} expected")
    e = found[0]
    expect((e["step"], e["action"], e["rank"]) == (step, action, rank), result, f"{step} {action} rank {rank} expected")
    for word in words:
        expect(word in e["text"], result, f"'{word}' expected")


@check
def nan_stops_with_4_and_names_step_rank_and_tensor():
    result = run("nan rank=2 step=7")
    expect(result.returncode == 4, result, "exit code 4")
    expect_event(result, 7, "bad_numbers", "stop", 2, "rank 2", "gradient of", "same bits when computed again")
    expect("step 7" in result.stderr, result, "the step in the error")


@check
def bad_numbers_name_the_rank_and_tensor_where_they_arose_first():
    """Ranks that received a bad number have bad gradients too; under these layouts rank 0 always does."""
    whole = ["training.steps=4", "evaluation.every=0", "guard.weights_every=0"]
    pipeline, tensor = ["parallel.pipeline=2"], ["parallel.tensor=2"]  # two data-parallel ranks each
    both = ["parallel.pipeline=2", "parallel.tensor=2"]
    stage_1, tensor_1 = "(pipeline stage 1, tensor rank", "tensor rank 1, data rank"
    for rehearse, rank, layout, *words in (
            # Gradients: the stage that computes the loss comes first, the first stage last.
            ("nan rank=3 step=3", 3, pipeline, stage_1, "gradient of head.weight is nan"),
            ("nan rank=1 step=3", 1, tensor, tensor_1, "gradient of head.weight is nan"),
            ("nan rank=1 step=3", 1, both, "pipeline stage 0", "gradient of layers.0.mlp.down.weight is nan"),
            # Weights.
            ("set rank=3 step=3 tensor=layers.1.mlp.down.weight factor=nan", 3, both, stage_1,
             "the weight layers.1.mlp.down.weight is nan at element 0"),
            # Activations: the weight is finite, its product is not.
            ("set rank=3 step=3 tensor=layers.1.mlp.gate_up.weight factor=3.4e38", 3, both, stage_1, tensor_1,
             "the output of layers.1.mlp.gate_up is", "(micro-batch ", ", sample "),
    ):
        result = run(rehearse, *whole, *layout)
        expect(result.returncode == 4, result, f"exit code 4 for {rehearse} {layout}")
        expect_event(result, 3, "bad_numbers", "stop", rank, f"rank {rank} (", *words)
        expect("-nan" not in result.stderr, result, "NaN without a sign")


@check
def nan_is_skipped():
    result = run("nan rank=2 step=7", "training.on_bad_numbers=skip")
    expect(result.returncode == 0, result, "exit code 0")
    expect_event(result, 7, "bad_numbers", "skip", 2)
    steps = records("run")
    expect([s["step"] for s in steps if s["skipped"]] == [7] and len(steps) == 12, result, "step 7 skipped, 12 in all")


@check
def nan_rolls_back_and_passes_over_the_data():
    result = run("nan rank=2 step=7", "training.on_bad_numbers=roll_back")
    expect(result.returncode == 0, result, "exit code 0")
    expect_event(result, 4, "roll_back", "roll_back", -1, "from step 7", "step_00000004", "sample 56")
    steps = records("run")
    expect([s["step"] for s in steps] == list(range(1, 13)), result, "each step once")
    expect([s["consumed_samples"] for s in steps] == [8, 16, 24, 32] + [56 + 8 * i for i in range(1, 9)], result,
           "the samples of steps 5 to 7 are passed over")
    # A run that is stopped after that resumes with the same bits.
    whole = curve("run")
    stopped = run("nan rank=2 step=7", "training.on_bad_numbers=roll_back", "training.stop_after=9", directory="parts")
    expect(stopped.returncode == 0, stopped, "exit code 0")
    rest = train(GPAS, "parts", "training.on_bad_numbers=roll_back")
    expect(rest.returncode == 0 and curve("parts") == whole, stopped, "the same curve " + rest.stderr[-1500:])


@check
def roll_backs_come_to_an_end():
    result = run("nan rank=2 step=7", "training.on_bad_numbers=roll_back", "guard.max_roll_backs=0")
    expect(result.returncode == 4 and "max_roll_backs" in result.stderr, result, "exit code 4")
    result = run("nan rank=2 step=3", "training.on_bad_numbers=roll_back")
    expect(result.returncode == 4 and "no checkpoint" in result.stderr, result, "exit code 4")


@check
def a_spike_is_reported_or_skipped_or_stops_the_run():
    plain = run("spike step=7 factor=50", *SPIKES)
    expect(plain.returncode == 0, plain, "exit code 0")
    expect_event(plain, 7, "loss_spike", "", -1, "standard deviations", "same bits when computed again", "samples 48 to 55")
    expect(len(records("run")) == 12, plain, "12 steps")
    skipped = run("spike step=7 factor=50", *SPIKES, "guard.on_spike=skip")
    expect_event(skipped, 7, "loss_spike", "skip", -1)
    expect([s["step"] for s in records("run") if s["skipped"]] == [7], skipped, "step 7 skipped")
    stopped = run("spike step=7 factor=50", *SPIKES, "guard.on_spike=stop")
    expect(stopped.returncode == 4, stopped, "exit code 4")
    expect_event(stopped, 7, "loss_spike", "stop", -1)
    back = run("spike step=7 factor=50", *SPIKES, "guard.on_spike=roll_back")
    expect(back.returncode == 0, back, "exit code 0")
    expect_event(back, 4, "roll_back", "roll_back", -1, "from step 7")


@check
def a_run_without_spikes_has_no_events():
    result = run("", *SPIKES)
    expect(result.returncode == 0 and not result.events, result, "no events")


@check
def a_step_with_a_transient_hardware_fault_is_computed_again():
    whole = run("", *SPIKES, directory="whole")
    expect(whole.returncode == 0, whole, "exit code 0")
    result = run("transient rank=1 step=7 factor=50", *SPIKES)
    expect(result.returncode == 0, result, "exit code 0")
    expect_event(result, 7, "hardware", "recomputed", 1, "hardware of rank 1")
    expect(curve("run") == curve("whole"), result, "the curve of a run without failures")
    # A loss that several ranks compute together does not show which rank fails.
    result = run("transient rank=3 step=7 factor=50", *SPIKES, "parallel.pipeline=2")
    expect_event(result, 7, "hardware", "recomputed", -1, "one of ranks 1, 3")


@check
def a_turned_bit_of_one_replica_is_found_in_its_step():
    for layout in ([], ["parallel.sharded_optimizer=false"], ["parallel.tensor=2"],
                   ["compute.dtype=bf16"]):
        result = run("flip rank=3 step=6", "guard.weights_every=1", *layout)
        expect(result.returncode == 4, result, f"exit code 4 {layout}")
        tie = "parallel.tensor=2" in layout  # two replicas: which is right cannot be told
        expect_event(result, 6, "different_weights", "stop", -1 if tie else 3, "3 (on ", "layers.")
        error = result.stderr[result.stderr.index("gpas: error:"):]
        expect("test the memory" in error and "learning_rate" not in error, result, "advice for failing hardware")


@check
def different_weights_roll_back_to_a_good_checkpoint():
    run("", "guard.weights_every=1", directory="whole")
    result = run("flip rank=3 step=6", "guard.weights_every=1", "guard.on_different_weights=roll_back")
    expect(result.returncode == 0, result, "exit code 0")
    expect_event(result, 4, "roll_back", "roll_back", -1, "from step 6")
    expect(curve("run")[:4] == curve("whole")[:4] and len(curve("run")) == 12, result, "12 steps")


@check
def a_slow_rank_is_named():
    result = run("slow rank=2 phase=forward seconds=0.2", "watch.straggler_steps=6", "training.steps=12")
    expect(result.returncode == 0, result, "exit code 0")
    named = {e["rank"] for e in result.events if e["event"] == "straggler"}
    expect(2 in named, result, "rank 2 named")
    expect(any("compute" in e["text"] for e in result.events), result, "per-phase times")


if __name__ == "__main__":
    with in_tiny_world(GPAS):
        sys.exit(run_checks(CHECKS))

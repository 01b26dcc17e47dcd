#!/usr/bin/env python3
"""test_program.py GPAS SOURCE_DIRECTORY: drives the built program as a user does, and breaks its files as the world does.

Prints TAP. Each check is a function; `world` is prepared once: a token file, a tokenizer, a run of ten steps.
"""
import json
import math
import os
import pty
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from checks import check, error_lines, expect, refused, run_checks, scratch_directory, succeeds  # noqa: E402

GPAS, SOURCE = map(os.path.abspath, sys.argv[1:3])
TIMEOUT = 300


def gpas(*arguments, ranks=0):
    launcher = ["mpirun", "-n", str(ranks)] if ranks else []
    return subprocess.run([*launcher, GPAS, *arguments], capture_output=True, text=True, timeout=TIMEOUT)


TEXT = ("It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. "
        "All happy families are alike; each unhappy family is unhappy in its own way. ")


class World:
    def __init__(self):
        with open("text.jsonl", "w") as file:
            for i in range(60):
                file.write(json.dumps({"text": TEXT[i:] + TEXT[: i * 2] + str(i * i)}) + "\n")
        succeeds(gpas("prepare", "--input", "text.jsonl", "--documents", "jsonl", "--train-tokenizer", "400",
                      "--output-prefix", "data"))
        with open("run.yaml", "w") as file:
            file.write("""name: small
directory: run
model: {vocab_size: 400, hidden_size: 32, ffn_size: 40, layers: 2, heads: 4}
data:
  train: data_text_document
  valid_fraction: 0.1
  tokenizer: data.model
  sequence_length: 16
training: {steps: 10, global_batch_size: 8, micro_batch_size: 2}
schedule: {warmup_steps: 2}
evaluation: {every: 5, samples: 8}
checkpoint: {every: 5}
compute: {peak_tflops: 1}
""")
        succeeds(gpas("train", "run.yaml", ranks=2))


def changed(source, target, change):
    """A copy of a file with its bytes changed by a function."""
    with open(source, "rb") as file:
        data = bytearray(file.read())
    change(data)
    with open(target, "wb") as file:
        file.write(data)


def flip(position):
    def change(data):
        data[position] ^= 0x40
    return change


def cut(data):
    del data[len(data) * 2 // 3:]


@check
def every_command_explains_itself():
    for command in ("train", "prepare", "eval", "generate", "inspect", "plan", "preflight", "config", "top", "report"):
        expect("--help" in succeeds(gpas(command, "--help")).stdout, gpas(command, "--help"), "help")
    expect("Exit codes" in gpas("--help").stdout, gpas("--help"), "exit codes in the help")
    expect(gpas().returncode == 2 and gpas("trian").returncode == 2, gpas(), "no command, an unknown one: 2")


@check
def the_program_starts_without_cuda_libraries_and_in_little_memory():
    dynamic = subprocess.run(["readelf", "-d", GPAS], capture_output=True, text=True, check=True).stdout
    needed = [line.split("[")[1].rstrip("]") for line in dynamic.splitlines() if "(NEEDED)" in line]
    assert needed and not [name for name in needed if name.startswith(("libcu", "libnccl", "libnv"))], needed
    process = subprocess.Popen([GPAS, "--version"], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, process.returncode
    if not any(name.startswith("libasan") for name in needed):
        assert usage.ru_maxrss < 40 * 1024, f"{usage.ru_maxrss} KiB"


@check
def config_prints_keys_and_the_resolved_configuration():
    expect("optimizer.learning_rate" in succeeds(gpas("config", "learning_rate")).stdout, gpas("config"), "the key")
    result = succeeds(gpas("config", "--resolved", os.path.join(SOURCE, "configs/quickstart.yaml"), "seed=7"))
    expect("seed: 7" in result.stdout, result, "the override")
    refused(gpas("config", "nosuchkey"), 2, "nosuchkey")


@check
def training_leaves_metrics_and_checkpoints():
    records = [json.loads(line) for line in open("run/metrics.jsonl")]
    losses = [record["loss"] for record in records if "learning_rate" in record]
    assert len(losses) == 10 and losses[-1] < losses[0], losses
    assert sorted(os.listdir("run/checkpoints")) == ["step_00000005.h5", "step_00000010.h5"]
    assert any(name.startswith("events") for name in os.listdir("run/tensorboard"))
    assert os.path.exists("run/config.yaml")


@check
def a_finished_run_is_left_as_it_is():
    before = open("run/checkpoints/step_00000010.h5", "rb").read()
    succeeds(gpas("train", "run.yaml", ranks=2))
    assert open("run/checkpoints/step_00000010.h5", "rb").read() == before


@check
def eval_compares_with_counting_models():
    result = succeeds(gpas("eval", "run.yaml", "--baseline", "--all", ranks=2))
    for word in ("model", "unigram", "bigram", "validation tokens"):
        expect(word in result.stdout, result, word)
    alone = succeeds(gpas("eval", "run.yaml", "--all"))
    loss = [float(r.stdout.split("loss ")[1].split()[0]) for r in (result, alone)]
    assert abs(loss[0] - loss[1]) <= 1e-4, loss  # as printed


def write_questions(name, count):
    with open(name, "w") as file:
        for i in range(count):
            words = TEXT.split()[i % 20:]
            choices = [" ".join(words[4 + k:5 + 2 * k]) for k in range(2 + i % 3)]
            file.write(json.dumps({"context": " ".join(words[:4]), "choices": choices, "label": i % 2}) + "\n")


def numbers_of(line):
    return [float(word) for word in line.split() if word.replace(".", "").isdigit()]


@check
def eval_scores_tasks_on_every_layout_as_training_does():
    write_questions("first.jsonl", 30)
    write_questions("second.jsonl", 7)
    files = ("--task", "first.jsonl", "--task", "second.jsonl")
    alone = succeeds(gpas("eval", "run.yaml", *files)).stdout.splitlines()
    assert [line.split()[0] for line in alone[1:]] == ["first", "second"] and alone[1].endswith(" 30 questions"), alone
    for ranks, settings in ((2, ()), (2, ("parallel.tensor=2", "parallel.sequence_parallel=true")), (2, ("parallel.pipeline=2",))):
        other = succeeds(gpas("eval", "run.yaml", *settings, *files, ranks=ranks)).stdout.splitlines()
        for line, expected in zip(other[1:], alone[1:], strict=True):
            assert all(abs(a - b) <= 1.1e-4 for a, b in zip(numbers_of(line), numbers_of(expected), strict=True)), (line, expected)
    result = succeeds(gpas("train", "run.yaml", "directory=tasks", "evaluation.tasks=[first.jsonl, second.jsonl]", "data.valid_fraction=0",
                           ranks=2))
    records = [json.loads(line) for line in open("tasks/metrics.jsonl")]
    tasks = [record for record in records if record["kind"] == "task"]
    assert [(task["task"], task["step"]) for task in tasks] == [(name, step) for step in (5, 10) for name in ("first", "second")], tasks
    expect("task first at step 10  acc" in result.stderr, result, "the scores")
    after = succeeds(gpas("eval", "tasks", *files)).stdout.splitlines()
    for line, task in zip(after[1:], tasks[2:], strict=True):
        shares = [task[key + end] for key in ("acc", "acc_norm", "acc_bytes") for end in ("", "_stderr")]
        expected = [*shares, task["bits_per_byte"], task["questions"]]
        assert all(abs(a - b) <= 1e-4 for a, b in zip(numbers_of(line), expected, strict=True)), (line, task)


@check
def bad_tasks_are_refused_before_the_first_step():
    write_questions("good.jsonl", 2)
    with open("bad.jsonl", "w") as file:
        file.write(open("good.jsonl").readline() + '{"context": "a", "choices": ["b", "c"], "label": 2}\n')
    message = "bad.jsonl:2: label: found 2, expected the index of the right choice"
    refused(gpas("eval", "run.yaml", "--task", "good.jsonl", "--task", "bad.jsonl"), 3, message)
    refused(gpas("eval", "run.yaml", "--task", "bad.jsonl", ranks=2), 3, message)
    refused(gpas("eval", "run.yaml", "--task", "none.jsonl"), 3, "none.jsonl: found no such file")
    refused(gpas("eval", "run.yaml", "--task", "good.jsonl", "data.tokenizer=''"), 2, "data.tokenizer is not set")
    expect(gpas("eval", "run.yaml", "--task", "good.jsonl", "--all").returncode == 2, gpas(), "--all has no meaning for tasks")
    refused(gpas("train", "run.yaml", "directory=refused", "evaluation.tasks=bad.jsonl", ranks=2), 3, message)
    refused(gpas("train", "run.yaml", "directory=refused", "evaluation.tasks=good.jsonl", "data.tokenizer=''"), 2, "found tasks and no")
    assert not os.path.exists("refused"), os.listdir("refused")


@check
def eval_prints_the_number_of_the_papers_code():
    def losses(result):
        lines = {line.split(" loss ")[0].strip(): float(line.split(" loss ")[1].split()[0])
                 for line in succeeds(result).stdout.splitlines() if " loss " in line}
        return lines["model"], lines["as the paper's code"]
    _, alone = losses(gpas("eval", "run.yaml", "--all", "--paper", "3x2"))
    model, together = losses(gpas("eval", "run.yaml", "--all", "--paper", "3x2", ranks=2))
    assert abs(alone - together) <= 1e-4, (alone, together)  # as printed
    assert together < model, (together, model)
    refused(gpas("eval", "run.yaml", "--paper", "256x"), 2, "--paper: found '256x'")
    refused(gpas("eval", "run.yaml", "--paper", "100000x1", ranks=2), 2, "do not fill one batch")


@check
def eval_prints_what_each_layer_contributes_on_every_layout():
    def table(*options, ranks=0):
        lines = succeeds(gpas("eval", "run.yaml", *options, ranks=ranks)).stdout.splitlines()
        header = next(i for i, line in enumerate(lines) if line.startswith("layer"))
        whole = next(float(line.split()[2]) for line in lines if line.startswith("model "))
        return lines[header].split(), whole, [[float(word) for word in line.split()] for line in lines[header + 1:]]
    both = ("--without-layer", "all", "--angular-distance")
    header, whole, rows = table(*both)
    assert header == "layer loss without perplexity difference angular distance".split(), header
    assert [row[0] for row in rows] == [0, 1] and all(len(row) == 5 for row in rows), rows
    for _, loss, perplexity, difference, distance in rows:
        assert abs(loss - whole - difference) <= 1.6e-4 and abs(perplexity / math.exp(loss) - 1) <= 1e-3, (whole, rows)  # as printed
        assert difference > 0 and 1e-3 < distance < 0.99, rows
    assert rows[0][1] != rows[1][1] and rows[0][4] != rows[1][4], rows
    for ranks, settings in ((2, ()), (2, ("parallel.tensor=2", "parallel.sequence_parallel=true")), (2, ("parallel.pipeline=2",))):
        for other, row in zip(table(*settings, *both, ranks=ranks)[2], rows, strict=True):
            allowed = (0, 1.1e-4, 1.6e-4 * row[2], 2.1e-4, 2.1e-6)  # one or two units of the last printed digit
            assert all(abs(a - b) <= most for a, b, most in zip(other, row, allowed, strict=True)), (settings, other, row)
    assert table("--without-layer", "1") == (header[:5], whole, [rows[1][:4]]), table("--without-layer", "1")
    assert table("--angular-distance") == (["layer", "angular", "distance"], whole, [[row[0], row[4]] for row in rows])
    for bad in ("2", "x", ""):
        message = f"--without-layer: found '{bad}', expected a layer of the model, from 0 to 1, or all"
        refused(gpas("eval", "run.yaml", "--without-layer", bad), 2, message)
    refused(gpas("eval", "run.yaml", "--without-layer", "9", ranks=2), 2, "--without-layer: found '9', expected a layer of the model")
    write_questions("layers.jsonl", 2)
    expect(gpas("eval", "run.yaml", "--task", "layers.jsonl", "--without-layer", "0").returncode == 2, gpas(), "excluded by --task")


@check
def generate_repeats_itself_and_starts_with_the_prompt():
    command = ("generate", "run.yaml", "--prompt", "It was", "--tokens", "12", "--temperature", "0.7", "--seed", "3")
    first = succeeds(gpas(*command))
    expect(first.stdout.startswith("It was"), first, "the prompt")
    assert gpas(*command).stdout == first.stdout
    refused(gpas(*command, ranks=2), 2, "was started on 2 ranks, expected parallel.tensor x parallel.pipeline = 1 ranks")


@check
def generate_continues_many_prompts_on_any_layout():
    prompts = ["It was", "", "Emma"]
    with open("prompts.jsonl", "w") as file:
        file.writelines(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
    command = ("generate", "run.yaml", "--prompts", "prompts.jsonl", "--tokens", "12", "--temperature", "0", "compute.dtype=fp32")
    first = succeeds(gpas(*command)).stdout
    lines = [json.loads(line) for line in first.splitlines()]
    assert [line["prompt"] for line in lines] == prompts, lines
    assert all(len(line["tokens"]) <= 12 and isinstance(line["text"], str) for line in lines), lines
    assert succeeds(gpas(*command, "--batch", "2")).stdout == first
    assert succeeds(gpas(*command, "parallel.tensor=2", ranks=2)).stdout == first
    alone = succeeds(gpas("generate", "run.yaml", "--prompt", "It was", "--tokens", "12", "--temperature", "0", "compute.dtype=fp32"))
    assert alone.stdout == "It was" + lines[0]["text"] + "\n", (alone.stdout, lines[0])
    with open("prompts.jsonl", "a") as file:
        file.write('{"text": "Emma"}\n')
    refused(gpas(*command), 3, "prompts.jsonl:4: ", 'expected a line such as {"prompt": "It was"}')
    refused(gpas(*command, "parallel.tensor=2", ranks=2), 3, "prompts.jsonl:4: ")
    refused(gpas(*command, "--prompt", "It was"), 2, "--prompt")


@check
def a_vocabulary_larger_than_the_tokenizer_is_fine_and_a_smaller_one_is_refused():
    wide = ("run.yaml", "model.vocab_size=512", "directory=wide")
    succeeds(gpas("train", *wide, "training.steps=2", "schedule.warmup_steps=1"))
    for seed in ("1", "2", "3"):
        succeeds(gpas("generate", *wide, "training.steps=2", "schedule.warmup_steps=1", "--temperature", "50", "--tokens", "40",
                      "--seed", seed))
    refused(gpas("train", "run.yaml", "model.vocab_size=300", "directory=narrow"), 2, "data.model has 400 pieces", "300")


@check
def token_ids_of_an_imported_model_survive_training():
    succeeds(gpas("convert", "run", "hf", "--no-logits"))
    config = json.load(open("hf/config.json"))
    assert config["bos_token_id"] is None and config["eos_token_id"] == 2, config
    config.update(bos_token_id=1, eos_token_id=[2, 9], pad_token_id=0)
    json.dump(config, open("hf/config.json", "w"))
    os.remove("hf/generation_config.json")
    succeeds(gpas("convert", "hf", "imported", "--no-logits"))
    succeeds(gpas("train", "run.yaml", "directory=further", "training.steps=2", "schedule.warmup_steps=1",
                  "checkpoint.init_from=imported/checkpoints/step_00000000.h5"))
    succeeds(gpas("convert", "further", "hf2", "--no-logits"))
    found = json.load(open("hf2/config.json"))
    for key, value in {"bos_token_id": 1, "eos_token_id": [2, 9], "pad_token_id": 0}.items():
        assert found[key] == value, found
    assert json.load(open("hf2/tokenizer_config.json"))["add_bos_token"] is False


@check
def inspect_shows_verifies_and_compares():
    result = succeeds(gpas("inspect", "run", "--verify"))
    expect("layers.1.gate" in result.stdout, result, "the gates")
    result = succeeds(gpas("inspect", "run/checkpoints/step_00000005.h5", "run/checkpoints/step_00000010.h5"))
    expect("head.weight" in result.stdout, result, "differences")


@check
def prepare_a_second_time_does_nothing():
    result = succeeds(gpas("prepare", "--input", "text.jsonl", "--documents", "jsonl", "--train-tokenizer", "400",
                           "--output-prefix", "data"))
    expect("nothing to do" in result.stdout, result, "nothing to do")


@check
def wrong_configurations_end_with_2_and_the_place():
    with open("bad.yaml", "w") as file:
        file.write("include: run.yaml\ntraining:\n  stpes: 3\n")
    for ranks in (0, 2):
        refused(gpas("train", "bad.yaml", ranks=ranks), 2, "bad.yaml:3", "stpes", "steps")
    refused(gpas("train", "run.yaml", "training.global_batch_size=7", ranks=2), 2, "7")
    refused(gpas("train", "run.yaml", "parallel.tensor=3", ranks=3), 2, "tensor")
    refused(gpas("train", "nofile.yaml"), 2, "nofile.yaml")
    built = "built without CUDA" not in gpas("train", "run.yaml", "compute.device=cuda").stderr
    refused(gpas("train", "run.yaml", "compute.device=cuda"), 5 if built else 2, "cuda")


IMPOSSIBLE = [  # overrides, ranks
    (["parallel.tensor=8"], 8),  # more than heads
    (["parallel.tensor=3"], 3),
    (["model.kv_heads=2", "parallel.tensor=4"], 4),
    (["model.kv_heads=3"], 1),
    (["model.heads=5"], 1),
    (["model.head_dim=7"], 1),
    (["parallel.pipeline=3"], 3),  # two layers
    (["parallel.pipeline=2", "parallel.virtual_chunks=2", "parallel.schedule=interleaved"], 2),
    (["parallel.pipeline=2", "parallel.schedule=interleaved"], 2),
    (["parallel.pipeline=2", "parallel.virtual_chunks=2"], 2),
    (["parallel.schedule=zb_h1"], 1),
    (["parallel.pipeline=2", "parallel.schedule=zb_h1", "parallel.recompute=full"], 2),
    (["parallel.pipeline=2", "parallel.stage_layers='1,2'"], 2),
    (["parallel.pipeline=2", "parallel.stage_layers='2'"], 2),
    (["parallel.pipeline=2", "parallel.stage_layers=half"], 2),
    (["parallel.sequence_parallel=true"], 1),
    (["parallel.tensor=2"], 3),  # ranks that do not divide
    (["parallel.data=2"], 1),
    (["training.global_batch_size=7"], 1),
    ([], 3),  # ranks that the global batch does not divide by
    (["model.layers=4", "training.global_batch_size=6", "parallel.pipeline=2", "parallel.virtual_chunks=2",
      "parallel.schedule=interleaved"], 2),  # three micro-batches
    (["schedule.warmup_steps=11"], 1),
    (["training.stop_after=11"], 1),
    (["schedule.kind=wsd"], 1),
    (["data.valid_fraction=0"], 1),  # evaluation without data
    (["training.micro_batch_size=3", "training.global_batch_size=8"], 1),
    (["model.hidden_size=65536", "model.ffn_size=262144", "model.layers=200"], 1),  # memory
]


@check
def plan_refuses_what_train_refuses_in_the_same_words():
    for overrides, ranks in IMPOSSIBLE:
        memory = ["--memory-gib", "1"] if "model.layers=200" in overrides else []
        planned = refused(gpas("plan", "run.yaml", *overrides, "--ranks", str(ranks), *memory), 2)
        trained = refused(gpas("train", "run.yaml", *overrides, ranks=ranks if ranks > 1 else 0), 2)
        same = lambda result: error_lines(result)[0].split(", but its device")[0]
        expect(same(planned) == same(trained), planned, f"the words of train: {error_lines(trained)[0]}")


@check
def plan_needs_no_data_and_finds_layouts():
    result = succeeds(gpas("plan", "run.yaml", "data.train=nowhere", "--ranks", "4", "--gpu", "h100", "--search"))
    for word in ("memory per rank", "bubble", "learning rate", "checkpoints", "layouts of 4 ranks fit", "parallel.tensor=2"):
        expect(word in result.stdout, result, f"'{word}' expected in the plan")
    refused(gpas("plan", "run.yaml", "--gpu", "h101"), 2, "h100")


@check
def a_run_resumes_on_another_layout():
    shared = ["run.yaml", "directory=moved", "evaluation.every=0"]
    succeeds(gpas("train", *shared, "training.stop_after=5", "parallel.tensor=2", "parallel.sequence_parallel=true",
                  "parallel.pipeline=2", ranks=4))
    succeeds(gpas("train", *shared, ranks=2))
    succeeds(gpas("eval", "run.yaml", "directory=moved", "parallel.pipeline=2", ranks=2))
    result = succeeds(gpas("inspect", "run", "moved"))
    expect("layers.1.mlp.down.weight" in result.stdout, result, "a comparison of two runs")


@check
def damaged_token_files_end_with_3_and_their_name():
    for extension, change in ((".idx", cut), (".idx", flip(3)), (".idx", flip(40)), (".bin", cut)):
        for suffix in (".idx", ".bin"):
            shutil.copy("data_text_document" + suffix, "hurt" + suffix)
        changed("data_text_document" + extension, "hurt" + extension, change)
        for ranks in (0, 2):
            refused(gpas("train", "run.yaml", "data.train=hurt", "directory=other", ranks=ranks), 3, "hurt")
    refused(gpas("train", "run.yaml", "data.train=absent", "directory=other", ranks=2), 3, "absent.idx", "`gpas prepare")
    refused(gpas("train", "run.yaml", "data.train=data", "directory=other"), 3, "did you mean data_text_document?")
    refused(gpas("train", "run.yaml", "model.vocab_size=300", "data.tokenizer=", "directory=other", ranks=2), 3, "300")


@check
def damaged_and_foreign_tokenizers_end_with_3():
    changed("data.model", "hurt.model", cut)
    shutil.copy("text.jsonl", "foreign.model")
    for name in ("hurt.model", "foreign.model", "absent.model"):
        refused(gpas("prepare", "--input", "text.jsonl", "--documents", "jsonl", "--tokenizer", name,
                     "--output-prefix", "other"), 3, name)
    for command in (("train", "run.yaml", "directory=other"), ("eval", "run.yaml"), ("generate", "run.yaml", "--prompt", "It")):
        refused(gpas(*command, "data.tokenizer=foreign.model"), 3, "foreign.model: is a JSON file", "SentencePiece")
        refused(gpas(*command, "data.tokenizer=run"), 3, "run: is a directory without a tokenizer", "*.model")


@check
def damaged_and_foreign_checkpoints_end_with_3():
    good = "run/checkpoints/step_00000010.h5"
    size = os.path.getsize(good)
    changed(good, "cut.h5", cut)
    changed(good, "flipped.h5", flip(size // 2))
    shutil.copy("text.jsonl", "foreign.h5")
    for name in ("cut.h5", "foreign.h5", "absent.h5"):
        refused(gpas("eval", "run.yaml", "--checkpoint", name), 3, name)
        refused(gpas("eval", "run.yaml", "--checkpoint", name, ranks=2), 3, name)
        refused(gpas("inspect", name), 3, name)
    # A bit of some tensor: every reader of that tensor notices it.
    refused(gpas("inspect", "flipped.h5", "--verify"), 3, "flipped.h5")
    refused(gpas("train", "run.yaml", "training.steps=12", "checkpoint.resume=flipped.h5", ranks=2), 3, "flipped.h5")


@check
def resume_auto_falls_back_to_the_last_complete_checkpoint():
    shutil.copytree("run", "fallback")
    changed("run/checkpoints/step_00000010.h5", "fallback/checkpoints/step_00000010.h5", cut)
    result = succeeds(gpas("train", "run.yaml", "directory=fallback", ranks=2))
    expect("step_00000005.h5" in result.stderr and "step_00000010.h5" in result.stderr, result, "both files named")
    first, second = ([json.loads(line) for line in open(run + "/metrics.jsonl")] for run in ("run", "fallback"))
    losses = [[record["loss"] for record in records if "learning_rate" in record] for records in (first, second)]
    assert losses[0] == losses[1], losses


@check
def bad_text_is_named_by_file_and_line():
    with open("bad.jsonl", "w") as file:
        file.write('{"text": "fine"}\n{"text": 5}\n')
    refused(gpas("prepare", "--input", "bad.jsonl", "--documents", "jsonl", "--tokenizer", "data.model",
                 "--output-prefix", "other"), 3, "bad.jsonl:2")


@check
def bad_numbers_end_with_4_on_every_rank():
    result = gpas("train", "run.yaml", "directory=nan", "model.gate.init=100", "model.gate.function=identity",
                  "model.layers=12", ranks=2)
    expect(result.returncode == 4, result, "exit code 4")
    expect(any("step 1" in line and "rank" in line for line in error_lines(result)), result, "step and rank")


@check
def a_directory_that_cannot_be_written_ends_with_5():
    with open("afile", "w") as file:
        file.write("in the way")
    refused(gpas("train", "run.yaml", "directory=afile/run", ranks=2), 5, "afile")


def preflight(last, launcher=()):
    """Four ranks; `last` is how the last one is started instead."""
    common = ["preflight", "run.yaml", "directory=checked", "--quick"]
    command = [*launcher, "mpirun", "-n", "3", GPAS, *common, ":", "-n", "1", *last, *common]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)


def finds(result, code, *words):
    """Exit code, one error, and one problem with these words."""
    refused(result, code, "preflight", "1 problem")
    lines = [line for line in result.stdout.splitlines() if line.startswith("gpas: preflight: ") and ": slow: " not in line]
    expect(len(lines) == 1, result, f"one problem expected, found {len(lines)}")
    for word in words:
        expect(word in lines[0], result, f"'{word}' expected in the problem")


def can_mount():
    return subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


@check
def preflight_finds_nothing_wrong_and_leaves_nothing_behind():
    result = succeeds(gpas("preflight", "run.yaml", "directory=checked/deep", ranks=4))
    for row in ("program", "configuration", "MPI", "clocks", "data", "directory", "disk", "memory", "links", "all-reduce",
                "products"):
        expect(any(line.startswith(row + " ") for line in result.stdout.splitlines()), result, f"a row '{row}'")
    expect("PROBLEM" not in result.stdout, result, "no problem")
    expect(not os.path.exists("checked"), result, "no directory")
    result = succeeds(gpas("preflight", "run.yaml", "parallel.tensor=2", "parallel.pipeline=2", "--slow-factor=1000", ranks=4))
    expect("tensor groups" in result.stdout and "stages" in result.stdout, result, "the groups of the mesh")
    before = sorted(os.listdir("run"))
    succeeds(gpas("preflight", "run.yaml"))
    assert sorted(os.listdir("run")) == before


@check
def preflight_names_the_rank_with_another_program():
    changed(GPAS, "other-gpas", lambda data: data.append(0))
    os.chmod("other-gpas", 0o755)
    finds(preflight(["./other-gpas"]), 5, "rank 3", "the program")


@check
def preflight_names_the_rank_with_another_configuration_and_the_key():
    common = ["preflight", "run.yaml", "--quick"]
    command = ["mpirun", "-n", "1", GPAS, *common, ":", "-n", "1", GPAS, *common, "optimizer.learning_rate=0.5", ":",
               "-n", "2", GPAS, *common]
    result = (subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT))
    finds(result, 5, "rank 1", "optimizer.learning_rate is 0.5, not 0.001")


@check
def preflight_ends_like_training_where_training_would_not_start():
    refused(gpas("preflight", "run.yaml", "training.stpes=3", ranks=2), 2, "stpes")
    refused(gpas("preflight", "run.yaml", "--quick", ranks=3), 2, "global")
    finds(gpas("preflight", "run.yaml", "--quick", "data.tokenizer=absent.model", ranks=2), 3, "absent.model", "every rank")
    changed("data_text_document.bin", "short.bin", cut)
    shutil.copy("data_text_document.idx", "short.idx")
    finds(gpas("preflight", "run.yaml", "--quick", "data.train=short", ranks=2), 3, "short", "every rank")
    finds(gpas("preflight", "run.yaml", "--quick", "directory=text.jsonl/run"), 5, "rank 0", "text.jsonl")


@check
def preflight_names_the_node_without_enough_memory():
    total = int(next(line for line in open("/proc/meminfo") if line.startswith("MemTotal")).split()[1]) * 1024
    width = 1024  # each rank needs a third of what the machine has: 16 bytes a parameter of two tables
    result = gpas("preflight", "run.yaml", "--quick", "parallel.sharded_optimizer=false", "checkpoint.buffer_gib=0",
                  f"model.hidden_size={width}", f"model.vocab_size={total // 3 // (2 * 16 * width)}", "directory=checked",
                  ranks=4)
    refused(result, 5, "preflight")
    expect("ranks 0-3" in result.stdout and "of host memory" in result.stdout, result, "the node and its memory")


@check
def preflight_names_the_rank_whose_directory_is_another():
    if not can_mount():
        return
    os.makedirs("checked", exist_ok=True)
    os.makedirs("elsewhere", exist_ok=True)
    last = ["unshare", "-m", "sh", "-c", 'mount --bind elsewhere checked && exec "$0" "$@"', GPAS]
    finds(preflight(last), 5, "rank 3", "checked", "not the same directory")
    assert not os.listdir("checked") and not os.listdir("elsewhere")
    os.rmdir("checked")


@check
def preflight_finds_a_disk_too_small_for_the_checkpoints():
    if not can_mount():
        return
    os.makedirs("checked", exist_ok=True)
    mount = 'mount -t tmpfs -o size=512k none checked && exec "$0" "$@"'
    finds(preflight([GPAS], launcher=["unshare", "-m", "sh", "-c", mount]), 5, "checked", "checkpoints need")
    os.rmdir("checked")


@check
def preflight_does_not_wait_for_ever_for_a_rank():
    os.mkfifo("never.yaml")  # a rank that reads it hangs
    common = ["preflight", "--quick", "--wait-seconds=2"]
    result = (subprocess.run(["mpirun", "-n", "2", GPAS, *common, "run.yaml", ":", "-n", "1", GPAS, *common, "never.yaml"],
                                   capture_output=True, text=True, timeout=TIMEOUT))
    expect(result.returncode == 5, result, "exit code 5")
    expect(any("no answer from rank 2" in line for line in error_lines(result)), result, "the rank that does not answer")
@check
def top_shows_a_run_from_its_files():
    succeeds(gpas("train", "run.yaml", ranks=2))  # other checks have made starts of it that failed
    for arguments in (["run", "--once"], ["run"], ["run.yaml", "--once"], ["run.yaml", "directory=run"]):
        result = succeeds(gpas("top", *arguments))
        for word in ("small", "10/10", "pre_gpas", "step_00000010.h5", "loss", "eval", "2 layers"):
            expect(word in result.stdout, result, f"'{word}' expected in the frame")
        expect("\x1b" not in result.stdout, result, "no escapes where stdout is no terminal")
        expect(len(result.stdout.splitlines()) <= 24, result, "as many lines as a terminal has")
    os.makedirs("norun", exist_ok=True)
    refused(gpas("top", "norun", "--once"), 3, "norun", "metrics.jsonl")
    refused(gpas("top", "absent", "--once"), 3, "absent")
    # On a terminal: drawn in place until q or a signal, and the terminal is given back.
    for ending in (lambda process, terminal: os.write(terminal, b"q"), lambda process, terminal: process.send_signal(2)):
        terminal, inside = pty.openpty()
        process = subprocess.Popen([GPAS, "top", "run", "--interval", "0.1"], stdin=inside, stdout=inside, stderr=inside,
                                   env={**os.environ, "TERM": "xterm"})
        os.close(inside)
        shown = b""
        try:
            while shown.count(b"\x1b[H") < 3:  # frames
                shown += os.read(terminal, 65536)
            ending(process, terminal)
            while True:
                shown += os.read(terminal, 65536)
        except OSError:  # the program has closed its side
            os.close(terminal)
        assert process.wait(timeout=TIMEOUT) == 0, shown
        assert shown.startswith(b"\x1b[?1049h") and shown.endswith(b"\x1b[?1049l") and b"\x1b[?25h" in shown, shown


def said(result):
    """What gpas said on stderr besides errors."""
    return [line for line in result.stderr.splitlines() if line.startswith("gpas: ") and "error:" not in line]


def start_of_a_run(directory, *changes):
    """Seven of ten steps; the rest is left to a resumed start."""
    shutil.rmtree(directory, ignore_errors=True)
    succeeds(gpas("train", "run.yaml", f"directory={directory}", "training.stop_after=7", *changes))


@check
def a_resumed_run_keeps_what_it_computes():
    start_of_a_run("kept")
    for change, then, now in (("model.rope_base=500000", "10000", "500000"), ("model.norm_eps=1e-2", "1.0e-06", "0.01"),
                              ("model.rope_scaling.factor=8", "1", "8"), ("data.mode=padded", "packed", "padded"),
                              ("data.mask_documents=true", "false", "true"), ("model.gate.function=tanh", "silu", "tanh"),
                              ("model.gate.stop_gradient=false", "true", "false"), ("model.layers=3", "2", "3"),
                              ("model.architecture=lns_gpas", "pre_gpas", "lns_gpas"), ("seed=5", "1234", "5"),
                              ("training.global_batch_size=16", "8", "16"), ("data.valid_fraction=0.2", "0.1", "0.2")):
        key = change.split("=")[0]
        refused(gpas("train", "run.yaml", "directory=kept", change), 2,
                f"step_00000007.h5: {key} was {then} and is now {now}")
    refused(gpas("train", "run.yaml", "directory=kept", "seed=5", "model.layers=3", "optimizer.learning_rate=1"), 2,
            "seed was 1234 and is now 5; model.layers was 2 and is now 3;")
    refused(gpas("train", "run.yaml", "directory=kept", "training.steps=6"), 2, "step 7", "training.steps is 6")
    result = succeeds(gpas("train", "run.yaml", "directory=kept", "optimizer.learning_rate=1e-4", "schedule.kind=linear",
                           "parallel.recompute=full", "metrics.every=2"))
    expect("gpas: changed since the checkpoint: optimizer.learning_rate was 0.001 and is now 0.0001; "
           "schedule.kind was cosine and is now linear" in said(result), result, "what changed")
    result = succeeds(gpas("train", "run.yaml", "directory=kept"))
    expect(any("nothing left to do: the checkpoint is at step 10" in line for line in said(result)), result, "the end")


@check
def initial_weights_belong_to_their_model():
    start_of_a_run("source")
    file = "source/checkpoints/step_00000007.h5"
    refused(gpas("train", "run.yaml", "directory=fine", f"checkpoint.init_from={file}", "model.rope_base=500000"), 2,
            f"{file}: model.rope_base was 10000 and is now 500000")
    result = succeeds(gpas("train", "run.yaml", "directory=fine", f"checkpoint.init_from={file}", "seed=3",
                           "optimizer.beta2=0.95", "model.init_std=0.1"))
    expect(any("model.init_std = 0.1 has no effect" in line for line in said(result)), result, "no effect")
    refused(gpas("train", "run.yaml", "directory=fine", "seed=3", "optimizer.beta2=0.95"), 2, "checkpoint.init_from was")


@check
def initial_weights_bring_the_settings_of_their_model():
    start_of_a_run("source", "model.norm_eps=1e-5", "model.qkv_bias=true", "model.qk_norm=head")
    file = "source/checkpoints/step_00000007.h5"
    train = ("train", "run.yaml", "directory=taken", f"checkpoint.init_from={file}")
    taken = ("gpas: from the checkpoint: model.qkv_bias = true (not false, the default); model.qk_norm = head (not none, the "
             "default); model.norm_eps = 1.0e-05 (not 1.0e-06, the default)")
    result = succeeds(gpas(*train, "training.stop_after=8"))
    expect(taken in result.stderr, result, "what was taken")
    expect(taken in gpas("plan", *train[1:]).stderr, result, "what was taken by plan")
    refused(gpas(*train, "model.qk_norm=none"), 2, f"{file}: model.qk_norm was head and is now none; these weights belong to",
            "leave checkpoint.init_from empty")
    shutil.rmtree("source")  # the run's own checkpoint has the settings too
    succeeds(gpas(*train))


@check
def the_layout_must_fit_the_model_of_the_initial_weights():
    """Not the default model, whose heads three ranks cannot share."""
    with open("run.yaml") as file:
        text = file.read()
    with open("three.yaml", "w") as file:
        file.write(text.replace("heads: 4", "heads: 3, head_dim: 8"))
    with open("bare.yaml", "w") as file:
        file.write(text.replace(", heads: 4", ""))
    succeeds(gpas("train", "three.yaml", "directory=three", "training.stop_after=5"))
    bare = ("bare.yaml", "directory=bare", "parallel.tensor=3")
    refused(gpas("train", *bare, ranks=3), 2, "parallel.tensor")
    bare = (*bare, "checkpoint.init_from=three/checkpoints/step_00000005.h5")
    succeeds(gpas("train", *bare, "training.stop_after=5", ranks=3))
    succeeds(gpas("eval", *bare, ranks=3))


@check
def eval_and_generate_take_the_model_from_the_checkpoint():
    start_of_a_run("theta", "model.rope_base=500000", "model.norm_eps=1e-3")
    file = "theta/checkpoints/step_00000007.h5"
    loss = {}
    for arguments in (["theta"], [file], ["run.yaml", "--checkpoint", file], ["run.yaml", "--checkpoint", "theta"],
                      ["run.yaml", "directory=theta"]):
        result = succeeds(gpas("eval", *arguments))
        loss[tuple(arguments)] = result.stdout.split("loss ")[1].split()[0]
        if "run.yaml" in arguments:
            expect(any("from the checkpoint: model.rope_base = 500000 (not 10000, the default); "
                       "model.norm_eps = 0.001" in line for line in said(result)), result, "what was taken")
    assert len(set(loss.values())) == 1, loss
    for command in ("eval", "generate"):
        refused(gpas(command, "run.yaml", "model.rope_base=1000", "--checkpoint", file), 2,
                f"{file}: model.rope_base was 500000 and is now 1000")
        refused(gpas(command, "theta", "model.rope_base=1000"), 2, "model.rope_base was 500000 and is now 1000")
        refused(gpas(command, "theta", "--checkpoint", file), 2, "two checkpoints")
        refused(gpas(command, "directory=nowhere"), 3, "nowhere/checkpoints: no complete checkpoint")
    assert succeeds(gpas("generate", "theta", "--tokens", "3", "--prompt", "It")).stdout.startswith("It")
    result = succeeds(gpas("eval", "run.yaml", "directory=theta", "data.sequence_length=8"))
    expect(any("data.sequence_length was 16 and is now 8" in line for line in said(result)), result, "what changed")
    succeeds(gpas("prepare", "--input", "text.jsonl", "--documents", "jsonl", "--train-tokenizer", "390",
                  "--output-prefix", "other"))
    refused(gpas("generate", "theta", "data.tokenizer=other.model"), 2, "other.model", "not the tokenizer")


@check
def ranks_that_are_started_differently_are_refused():
    def start(*second, first=(), command="train"):
        common = [command, "run.yaml", "directory=unequal"]
        words = ["mpirun", "-n", "1", GPAS, *common, *first, ":", "-n", "1", GPAS, *common, *second]
        return subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT)
    for change, now, then in (("seed=5", "5", "1234"), ("optimizer.learning_rate=0.5", "0.5", "0.001"),
                              ("training.global_batch_size=16", "16", "8"), ("parallel.tensor=2", "2", "1"),
                              ("parallel.pipeline=2", "2", "1"), ("checkpoint.every=3", "3", "5")):
        refused(start(change), 2, "rank 1", f"{change.split('=')[0]} is {now}, not {then}")
    refused(start("seed=5", command="eval"), 2, "rank 1", "seed is 5, not 1234")
    refused(start(first=["model.layers=3"]), 2, "model.layers is 2, not 3")
    assert not os.path.exists("unequal/checkpoints"), "nothing was trained"


@check
def ranks_that_read_other_tokens_are_refused():
    if not can_mount():
        return
    changed("data_text_document.bin", "other_tokens.bin", lambda data: data.__setitem__(slice(0, 2), data[2:4]))
    common = ["train", "run.yaml", "directory=unequal"]
    mount = 'mount --bind other_tokens.bin data_text_document.bin && exec "$0" "$@"'
    words = ["mpirun", "-n", "1", GPAS, *common, ":", "-n", "1", "unshare", "-m", "sh", "-c", mount, GPAS, *common]
    refused((subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT)), 3, "rank 1", "fingerprint")
    assert not os.path.exists("unequal/checkpoints"), "nothing was trained"


@check
def numbers_of_every_option_are_checked():
    bad = {"generate": ["--temperature nan", "--temperature inf", "--temperature -1", "--seed -1", "--seed 1.5",
                        "--seed 18446744073709551616", "--tokens 0", "--tokens 1.5", "--tokens x", "--top-k -1", "--top-p nan",
                        "--top-p 1.5"],
           "plan": ["--ranks 0", "--ranks 1.5", "--memory-gib nan", "--memory-gib -1", "--tflops inf", "--tflops 0"],
           "preflight": ["--slow-factor nan", "--slow-factor 0.5", "--wait-seconds inf", "--wait-seconds 0"],
           "top": ["--interval nan", "--interval 0", "--interval inf"],
           "prepare": ["--train-tokenizer 0", "--train-tokenizer nan", "--threads -1", "--threads 1.5"],
           "convert": ["--shard-gb nan", "--shard-gb 0", "--shard-gb -1"]}
    for command, options in bad.items():
        for option in options:
            name, value = option.split()
            refused(gpas(command, "run.yaml", name, value), 2, name, f"'{value}'", "expected")


@check
def help_shows_defaults_and_suggests_commands():
    for command in ("train", "prepare", "eval", "generate", "inspect", "plan", "preflight", "config", "top", "report", "convert"):
        help_text = succeeds(gpas(command, "--help")).stdout
        for raw in ("->", ":{", "INT:", "UINT", "FLOAT", " in ["):
            assert raw not in help_text, f"{raw} in the help of {command}:\n{help_text}"
    for command, words in (("generate", ("128", "1234", "auto")), ("plan", ("--ranks N",)), ("convert", ("bf16", "5")),
                           ("preflight", ("60",))):
        for word in words:
            assert word in gpas(command, "--help").stdout, f"{word} in the help of {command}"
    refused(gpas("foo"), 2, "'foo'", "train", "generate")
    refused(gpas("trian"), 2, "did you mean gpas train?")
    refused(gpas("evla"), 2, "did you mean gpas eval?")
    refused(gpas(), 2, "no command")
    refused(gpas("train"), 2, "CONFIG", "--help")
    refused(gpas("top", "run", "--onec"), 2, "--onec", "gpas top --help")


@check
def what_the_environment_says_is_read_or_refused():
    for name, value in (("GPAS_JOB_END_TIME", "tomorrow"), ("GPAS_JOB_END_TIME", "2026-11-27T13:00:00"),
                        ("GPAS_JOB_END_TIME", "1795782782187"), ("GPAS_JOB_END_TIME", "nan"), ("GPAS_ATTEMPT", "two")):
        os.environ[name] = value
        try:
            refused(gpas("train", "run.yaml"), 2, name, f"'{value}'", "expected")
        finally:
            del os.environ[name]


@check
def seeds_have_no_sign():
    succeeds(gpas("train", "run.yaml", "directory=seeded", "seed=18446744073709551615", "training.steps=2"))
    lines = succeeds(gpas("inspect", "seeded", "--no-statistics")).stdout.splitlines()
    assert [line.split() for line in lines if line.startswith("seed")] == [["seed", "18446744073709551615"]], lines


if __name__ == "__main__":
    with scratch_directory("program"):
        World()
        sys.exit(run_checks())

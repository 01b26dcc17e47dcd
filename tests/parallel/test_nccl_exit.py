#!/usr/bin/env python3
"""test_nccl_exit.py GPAS BENCH_STEP: jobs of two ranks on two virtual GPUs, whose groups talk through the virtual NCCL, end
with their own exit code.

What allocators hand back is filled with a pattern, so that a use after the end does not go unnoticed. Prints TAP.
"""
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from checks import failed, passed, plan  # noqa: E402

GPAS, BENCH_STEP = map(os.path.abspath, sys.argv[1:3])
MODEL = ["model.vocab_size=320", "model.hidden_size=16", "model.ffn_size=24", "model.layers=1", "model.heads=2",
         "data.sequence_length=7", "training.steps=2", "training.global_batch_size=4", "training.micro_batch_size=2",
         "schedule.warmup_steps=0", "compute.peak_tflops=1"]
RUN = [*MODEL, "data.train=data/text_document", "data.valid=data/text_document", "directory=run", "evaluation.every=2",
       "evaluation.samples=2", "checkpoint.every=0", "parallel.tensor=2", "parallel.sequence_parallel=true"]
ENVIRONMENT = dict(os.environ, MALLOC_PERTURB_="165")


def job(program, *arguments, **variables):
    done = subprocess.run(["mpirun", "-n", "2", program, *arguments], capture_output=True, text=True, timeout=120,
                          env=dict(ENVIRONMENT, **variables))
    return done.returncode, done.stdout + done.stderr


def write_tokens():
    os.makedirs("data")
    with open("text.txt", "w", encoding="utf-8") as file:
        file.write("the quick brown fox jumps over the lazy dog and runs on\n" * 40)
    done = subprocess.run([GPAS, "prepare", "--input", "text.txt", "--train-tokenizer", "300", "--output-prefix", "data/text"],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"Bail out! prepare: {done.stderr}")
    return [name[:-4] for name in os.listdir("data") if name.endswith(".bin")][0]


def main():
    results = []

    def check(name, code, found, *words):
        missing = [word for word in words if word not in found[1]]
        results.append(found[0] == code and not missing)
        if results[-1]:
            passed(len(results), name)
        else:
            lines = [f"exit code {found[0]} expected {code}; missing: {missing}", *found[1].splitlines()[-30:]]
            failed(len(results), name, "\n".join(lines))

    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        prefix = write_tokens()
        run = [setting.replace("text_document", prefix) for setting in RUN]
        # Time runs out after the first step: 75 asks to be started again.
        check("train, out of time: 75", 75, job(GPAS, "train", *run, GPAS_JOB_END_TIME=str(int(time.time()) + 20)),
              "groups talk through NCCL")
        # All ranks end with the same error; none of them takes the others' end for a failure of its GPU.
        check("train, numbers gone bad: 4", 4, job(GPAS, "train", *run, "directory=bad", GPAS_REHEARSE="nan rank=1 step=1"),
              "gradient of")
        check("train, to the end: 0", 0, job(GPAS, "train", *run), "groups talk through NCCL")
        check("train, on a GPU that others have filled: 2", 2,
              job(GPAS, "train", *run, "directory=full", GPAS_VIRTUAL_GPU_FREE_MIB="300"), "1 NCCL communicator, ",
              "300 MiB of 4.00 GiB are free")
        check("eval: 0", 0, job(GPAS, "eval", "run", "parallel.tensor=2", "parallel.sequence_parallel=true"),
              "validation tokens")
        found = job(BENCH_STEP, *MODEL, "--steps", "1", "--warmup", "0", "--threads", "1", "--no-onednn")
        check("bench_step: 0", 0, found, '"ranks":2')
    plan(len(results))
    sys.exit(0 if all(results) else 1)


main()

#!/usr/bin/env python3
"""Compares one rank with two threads and two ranks with one thread each, in every layout of two ranks, and writes
docs/results/cpu-scaling.md.

The model is configs/71m.yaml, 32 samples of 256 tokens per step in micro-batches of 4. Each round runs every layout once,
one after the other; a layout's time in a round is the median of its steps, and each ratio is the median over rounds of
the ratio within a round. Shares of a step are means over ranks: waiting for tensor-parallel ranks, for pipeline
neighbours (the bubble and the messages), for data-parallel ranks (gradients and weights); the rest is computing.

Before: scripts/build build bench/bench_step -- -Dbench=true
"""
import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL = ["configs/71m.yaml", "training.global_batch_size=32", "training.micro_batch_size=4", "data.sequence_length=256"]
LAYOUTS = {  # name: (ranks, overrides, throughput at least this share of one rank's)
    "one rank, two threads": (1, [], None),
    "data 2": (2, [], 0.85),
    "tensor 2": (2, ["parallel.tensor=2"], 0.75),
    "tensor 2, sequence parallel": (2, ["parallel.tensor=2", "parallel.sequence_parallel=true"], 0.75),
    "pipeline 2, 1f1b": (2, ["parallel.pipeline=2"], 0.75),
    "pipeline 2, zb_h1": (2, ["parallel.pipeline=2", "parallel.schedule=zb_h1"], 0.75),
}


def run(options, ranks, overrides):
    command = [options.bench_step, *MODEL, f"compute.dtype={options.dtype}", *overrides, "--no-onednn", "--threads",
               "2" if ranks == 1 else "1", "--steps", str(options.steps), "--warmup", "1"]
    if ranks > 1:
        command = ["mpirun", "-n", str(ranks), "--bind-to", "none", *command]
    environment = dict(os.environ, OMP_WAIT_POLICY="passive")
    if os.getuid() == 0:
        environment.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}\nexit code {result.returncode}\n{result.stderr[-2000:]}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def share(result, kind):
    return statistics.mean(result["ranks_waited"][kind]) / sum(result["seconds"])


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def report(options, rounds):
    base = [statistics.median(r["seconds"]) for r in rounds["one rank, two threads"]]
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    commit = git("rev-parse", "--short", "HEAD") + (" with local changes" if git("status", "--porcelain", "-uno") else "")
    lines = ["# One model on two ranks of one machine", "",
             "- **Claim**: each layout of two ranks reaches at least 75 % (data parallelism: 85 %) of the speed of one rank with two",
             "  threads.",
             "- **Command**: `bench/scaling.py`",
             f"- **Commit**: {commit}",
             f"- **Machine**: {cpu}, {os.cpu_count()} cores",
             f"- **Date**: {datetime.date.today().isoformat()}", "",
             f"71M parameters, 32 × 256 tokens per step in 8 micro-batches, {options.dtype}. {options.rounds} interleaved rounds of",
             f"{options.steps} steps; ratios are medians over rounds.", "",
             "| layout | s/step | tokens/s | speed relative to one rank | target | computing | waiting: tensor | pipeline | data |"
             " planned memory per rank | peak RSS |", "|" + "---|" * 11]
    for name, (_, _, wanted) in LAYOUTS.items():
        results = rounds[name]
        seconds = [statistics.median(r["seconds"]) for r in results]
        ratio = statistics.median(b / s for b, s in zip(base, seconds))
        waits = {kind: statistics.median(share(r, kind) for r in results) for kind in ("tensor", "pipeline", "data")}
        tokens = results[0]["tokens_per_step"] / statistics.median(seconds)
        gib = [max(results[0][key]) / (1 << 30) for key in ("ranks_arena_bytes", "ranks_peak_rss_bytes")]
        lines.append(f"| {name} | {statistics.median(seconds):.2f} | {tokens:.0f} | {ratio:.1%} | "
                     f"{f'{wanted:.0%}' if wanted else ''} | {1 - sum(waits.values()):.0%} | {waits['tensor']:.0%} | "
                     f"{waits['pipeline']:.0%} | {waits['data']:.0%} | {gib[0]:.2f} GiB | {gib[1]:.2f} GiB |")
    lines += ["", "A pipeline of two stages with 8 micro-batches has a bubble of 1/9 of the step even if the stages are equal. Here they",
              "cannot be equal: the LM head costs as much as five of the 12 layers, and 17 is odd (9 and 8 are nearest).", "",
              "## Not measured", "More than two ranks, several machines, other dtypes."]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench-step", default="build/bench/bench_step")
    parser.add_argument("--dtype", default="fp32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--output", default=str(ROOT / "docs/results/cpu-scaling.md"))
    options = parser.parse_args()
    rounds = {name: [] for name in LAYOUTS}
    for i in range(options.rounds):
        for name, (ranks, overrides, _) in LAYOUTS.items():
            rounds[name].append(run(options, ranks, overrides))
            print(f"round {i + 1}/{options.rounds}  {name:28s} {statistics.median(rounds[name][-1]['seconds']):6.2f} s/step",
                  file=sys.stderr)
    Path(options.output).write_text(report(options, rounds))
    print(Path(options.output).read_text())


if __name__ == "__main__":
    main()

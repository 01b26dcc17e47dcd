#!/usr/bin/env python3
"""Measures what the log of calls, heartbeats, watchers and live.json cost a training step, and writes docs/results/watching.md.

In one job, blocks of steps with and without watchers and live.json alternate (on off, off on, ...). The ratio is that of the
medians; its spread is that of the ratios of neighbouring blocks. The log of calls cannot be switched off, because ranks use it to
compare their calls; its own time is measured in a loop and multiplied by the calls per step. If the machine is too noisy for the
ratio, the processor time of the watching threads decides: with minus without, as a share of rank 0's time.

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


def run(options, ranks):
    command = [options.bench_step, "configs/quickstart.yaml", "training.micro_batch_size=1", "training.global_batch_size=2",
               "compute.device=cpu", "--threads", "1", "--steps", str(options.steps), "--watch-blocks", str(options.blocks)]
    if ranks > 1:
        command = ["mpirun", "-n", str(ranks), "--bind-to", "none", *command]
    environment = dict(os.environ, OMP_WAIT_POLICY="passive")
    if os.getuid() == 0:
        environment.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}\nexit code {result.returncode}\n{result.stderr[-2000:]}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def quarter_points(values):
    ordered = sorted(values)
    return ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]


def row(options, ranks):
    result = run(options, ranks)
    on, off = result["on"], result["off"]
    ratio = statistics.median(on) / statistics.median(off)
    blocks = [statistics.median(on[i:i + options.steps]) / statistics.median(off[i:i + options.steps])
              for i in range(0, len(on), options.steps)]
    low, high = quarter_points(blocks)
    log = result["calls_per_step"] * result["log_nanoseconds_per_call"] * 1e-9 / statistics.median(off)
    threads = result["other_threads"]
    print(f"{ranks} rank(s): {ratio - 1:+.3%}, threads {threads[0]:.4%} against {threads[1]:.4%}, log {log:.4%}", file=sys.stderr)
    return (f"| {ranks} | {statistics.median(off):.4f} s | {statistics.median(on):.4f} s | {ratio - 1:+.2%} | "
            f"{low - 1:+.2%} … {high - 1:+.2%} | {threads[0] - threads[1]:.3%} | {result['calls_per_step']} × {result['log_nanoseconds_per_call']:.0f} ns = {log:.3%} |")


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench-step", default="build/bench/bench_step")
    parser.add_argument("--steps", type=int, default=5, help="of a block")
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--output", default=str(ROOT / "docs/results/watching.md"))
    options = parser.parse_args()
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    commit = git("rev-parse", "--short", "HEAD") + (" with local changes" if git("status", "--porcelain", "-uno") else "")
    lines = ["# What watching costs", "",
             "- **Claim**: watchers, the log of calls and `live.json` together cost at most 0.5 % of a step (the target).",
             "- **Command**: `bench/watching.py`",
             f"- **Commit**: {commit}",
             f"- **Machine**: {cpu}, {os.cpu_count()} cores",
             f"- **Date**: {datetime.date.today().isoformat()}", "",
             "The model of the quick start (5M parameters), 2 × 256 tokens per step, one thread per rank.",
             f"{options.blocks} pairs of blocks of {options.steps} steps with and without watchers (heartbeat, observing other ranks) and",
             "`live.json`, in one job.", "",
             "| ranks | step without | with | ratio of medians | middle half of the pairs | processor time of the threads | log of calls, measured alone |",
              "|" + "---|" * 7]
    lines += [row(options, ranks) for ranks in (1, 2)]
    lines += ["", "The target is at most 0.5 % for everything together. On a shared machine the ratio scatters by more than that in both",
              "directions. The processor time of the threads and of the log is an upper bound of what they cost.", "",
              "## Not measured", "More than two ranks, several nodes, GPUs."]
    Path(options.output).write_text("\n".join(lines) + "\n")
    print(Path(options.output).read_text())


if __name__ == "__main__":
    main()

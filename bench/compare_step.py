#!/usr/bin/env python3
"""Compares a training step of gpas with PyTorch's on this machine's CPU and writes docs/results/cpu-step.md.

The model is configs/71m.yaml (pre_gpas), 8 samples of 256 tokens per step. Each round runs every program once, one after
the other, so that other work on the machine affects all of them; a program's time in a round is the median of its
steps, and each ratio is the median over rounds of the ratio within a round. PyTorch runs eager and compiled; for each
dtype, gpas is compared with the faster of the two.

Before: bench/setup-torch, and scripts/build build bench/bench_step -- -Dbench=true
"""
import argparse
import datetime
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL = ["configs/71m.yaml", "training.global_batch_size=8", "training.micro_batch_size=8", "data.sequence_length=256"]
GIBIBYTE = 1 << 30
TARGETS = {"speed": 1.2, "gemm": 0.60, "memory": 0.50}  # at least, at least, at most


def run(command, environment):
    result = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nexit code {result.returncode}\n{result.stderr[-2000:]}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def programs(options, dtype):
    """Name -> command; every one prints the JSON object of a round."""
    counts = ["--threads", str(options.threads), "--steps", str(options.steps), "--warmup", str(options.warmup)]
    peer = [options.python, "bench/torch_step.py", "--dtype", dtype, *counts]
    own = [options.bench_step, *MODEL, f"compute.dtype={dtype}", *counts]
    found = {"gpas": own, "gpas recompute": [*own, "parallel.recompute=selective", "--no-onednn"], "eager": peer}
    if not options.no_compile:
        found["compile"] = [*peer, "--compile"]
    return found


def measure(options):
    """dtype -> program -> list of rounds."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads))
    rounds = {dtype: {name: [] for name in programs(options, dtype)} for dtype in options.dtypes}
    for i in range(options.rounds):
        for dtype in options.dtypes:
            for name, command in programs(options, dtype).items():
                result = run(command, environment)
                rounds[dtype][name].append(result)
                speed = result["tokens_per_step"] / statistics.median(result["seconds"])
                print(f"round {i + 1}/{options.rounds}  {dtype}  {name:8s} {speed:7.0f} tokens/s  "
                      f"peak {result['peak_rss_bytes'] / GIBIBYTE:.2f} GiB", file=sys.stderr)
    return rounds


def seconds(result):
    return statistics.median(result["seconds"])


def median_ratio(numerators, denominators):
    return statistics.median(n / d for n, d in zip(numerators, denominators))


def summarise(by_program):
    """The figures of one dtype."""
    own = by_program["gpas"]
    peers = {name: found for name, found in by_program.items() if not name.startswith("gpas")}
    lean = by_program["gpas recompute"]
    best = min(peers, key=lambda name: statistics.median(map(seconds, peers[name])))
    smallest = min(peers, key=lambda name: max(r["peak_rss_bytes"] for r in peers[name]))
    tokens = own[0]["tokens_per_step"]
    figures = {
        name: {
            "seconds": statistics.median(map(seconds, found)),
            "tokens_per_second": tokens / statistics.median(map(seconds, found)),
            "spread": [tokens / max(map(seconds, found)), tokens / min(map(seconds, found))],
            "peak_bytes": max(r["peak_rss_bytes"] for r in found),
        } for name, found in by_program.items()}
    gemm = [r["gemm_flops_per_step"] / seconds(r) / (r["gemm_gflops_onednn"] * 1e9) for r in own]
    return {
        "programs": figures, "peer": best, "smallest_peer": smallest,
        "speed": {name: median_ratio(map(seconds, found), map(seconds, own)) for name, found in peers.items()},
        "gemm": statistics.median(gemm),
        "gemm_gflops": statistics.median(r["gemm_gflops_onednn"] for r in own),
        "arena_bytes": own[0]["arena_bytes"],
        "import_bytes": max(r["at_import_bytes"] for r in peers[best]),
        "memory": {name: figures["gpas"]["peak_bytes"] / figures[name]["peak_bytes"] for name in peers},
        "lean_speed": median_ratio(map(seconds, by_program[best]), map(seconds, lean)),
        "lean_memory": figures["gpas recompute"]["peak_bytes"] / figures[smallest]["peak_bytes"],
    }


def output_of(command):
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else "unknown"


def processor():
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    name = re.search(r"^model name\s*:\s*(.*)$", text, re.M)
    flags = re.search(r"^flags\s*:\s*(.*)$", text, re.M)
    wanted = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"]
    return (name.group(1) if name else "unknown",
            ", ".join(f for f in wanted if flags and f in flags.group(1).split()) or "none of " + ", ".join(wanted))


def versions(rounds):
    torch_round = next(iter(rounds.values()))["eager"][0]
    commit = output_of(["git", "rev-parse", "--short=12", "HEAD"])
    if output_of(["git", "status", "--porcelain", "--untracked-files=no"]) not in ("", "unknown"):
        commit += " with local changes"
    onednn = output_of(["dpkg-query", "-W", "-f", "${Version}", "libdnnl-dev"])
    compiler = output_of(["g++", "-dumpfullversion"])
    return [("gpas", commit), ("g++", compiler), ("oneDNN of gpas", onednn),
            ("PyTorch", f"{torch_round['torch']} (PyPI), Python {torch_round['python']}")]


NAMES = {"gpas": "gpas", "gpas recompute": "gpas, `parallel.recompute=selective`", "eager": "PyTorch, eager", "compile": "PyTorch, torch.compile"}


def table_of(dtype, summary):
    lines = []
    for name, f in summary["programs"].items():
        low, high = f["spread"]
        against = "" if name.startswith("gpas") else f"{summary['speed'][name]:.2f}×"
        memory = "" if name.startswith("gpas") else f"{summary['memory'][name]:.2f}"
        lines.append(f"| {dtype} | {NAMES[name]} | {f['tokens_per_second']:.0f} | {low:.0f} … {high:.0f} | {against} | "
                     f"{f['peak_bytes'] / GIBIBYTE:.2f} | {memory} |")
    return lines


def verdicts(dtype, summary):
    peer, smallest = summary["peer"], summary["smallest_peer"]
    speed, memory = summary["speed"][peer], summary["memory"][smallest]

    def line(what, value, target, met):
        return f"| {dtype} | {what} | {value} | {target} | {'yes' if met else '**no**'} |"

    return [
        line(f"tokens/s, against {NAMES[peer]} (the faster)", f"{speed:.2f}×", f"≥ {TARGETS['speed']}×",
             speed >= TARGETS["speed"]),
        line(f"time of the matrix products at oneDNN's own rate ({summary['gemm_gflops']:.0f} GFLOP/s), share of the step",
             f"{100 * summary['gemm']:.0f} %", f"≥ {100 * TARGETS['gemm']:.0f} %", summary["gemm"] >= TARGETS["gemm"]),
        line("peak memory, against " + NAMES["eager"], f"{summary['memory']['eager']:.2f}", f"≤ {TARGETS['memory']:.2f}",
             summary["memory"]["eager"] <= TARGETS["memory"]),
        *([line(f"peak memory, against {NAMES[smallest]} (the smaller)", f"{memory:.2f}", f"≤ {TARGETS['memory']:.2f}",
                memory <= TARGETS["memory"]),
           line(f"peak memory with selective recompute, {summary['lean_speed']:.2f}× as fast as {NAMES[peer]}",
                f"{summary['lean_memory']:.2f}", f"≤ {TARGETS['memory']:.2f}",
                summary["lean_memory"] <= TARGETS["memory"])] if smallest != "eager" else []),
    ]


REPORT = """\
# A training step on the CPU: gpas and PyTorch

- **Claim**: {claim}
- **Command**: `bench/compare_step.py`, which writes this page
- **Commit**: {commit}
- **Machine**: {processor} ({features}), {threads} threads, {processors} processors visible
- **Date**: {date}
- **Versions**: {versions}

One step of the 71M model (`configs/71m.yaml`, `pre_gpas`, vocabulary 32000) on 8 × 256 synthetic tokens: forward, backward,
AdamW. Both programs use the same number of threads and take turns. {rounds} rounds of {warmup} + {steps} steps of each program;
the median of the last {steps} steps of a round counts.

| dtype | program | tokens/s | lowest … highest round | speed of gpas relative to it | peak GiB | memory of gpas relative to it |
|---|---|---|---|---|---|---|
{table}

Speed ratios are medians, over rounds, of the ratio within a round. In PyTorch bf16 is autocast; in gpas weights and activations
are bf16. Both keep fp32 master weights, gradients and moments. Peak memory is VmHWM, the largest resident set of the process,
including the work of torch.compile. gpas plans {planned}. {imported:.2f} GiB of PyTorch's memory are in use after its import
(PyPI's build loads the CUDA libraries).

| dtype | figure | measured | target | met |
|---|---|---|---|---|
{verdicts}

## Not measured
More than {threads} threads, other processors, other model sizes.
"""


def report(options, rounds):
    summaries = {dtype: summarise(found) for dtype, found in rounds.items()}
    model, features = processor()
    found = dict(versions(rounds))
    return REPORT.format(
        processor=model, features=features, threads=options.threads, processors=os.cpu_count(), rounds=options.rounds,
        warmup=options.warmup, steps=options.steps,
        claim="; ".join(f"in {dtype} gpas is {s['speed'][s['peer']]:.2f} times as fast as {NAMES[s['peer']]}"
                        for dtype, s in summaries.items()) + ".",
        commit=found["gpas"], date=datetime.date.today().isoformat(),
        versions="; ".join(f"{name} {value}" for name, value in found.items() if name != "gpas"),
        table="\n".join(line for dtype, s in summaries.items() for line in table_of(dtype, s)),
        planned=" and ".join(f"{s['arena_bytes'] / GIBIBYTE:.2f} GiB in {dtype}" for dtype, s in summaries.items()),
        imported=max(s["import_bytes"] for s in summaries.values()) / GIBIBYTE,
        verdicts="\n".join(line for dtype, s in summaries.items() for line in verdicts(dtype, s)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench-step", default="build/bench/bench_step")
    parser.add_argument("--python", default=".venv-bench/bin/python3", help="one that has PyTorch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5, help="timed steps of a round")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--dtypes", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/results/cpu-step.md")
    options = parser.parse_args()
    for path, remedy in ((options.bench_step, "build it (see --help)"), (options.python, "run bench/setup-torch")):
        if not (ROOT / path).exists():
            sys.exit(f"{path} is not there: {remedy}")
    options.bench_step, options.python = str(ROOT / options.bench_step), str(ROOT / options.python)
    text = report(options, measure(options))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Compares a training step of gpas with PyTorch's on a GPU: the 1B model of configs/1b.yaml, 8 samples of 2048 tokens.

Each round runs every program once, one after the other, so that whatever else the GPU does meets all of them; a program's
time in a round is the median of its steps, a ratio the median over rounds of the ratio within a round. Prints one JSON
object a run on stderr, tables in Markdown on stdout. Without PyTorch or a GPU gpas stands alone, and a line says why.
Exit code 1: gpas failed.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GIBIBYTE = 1 << 30


class MemoryWatch:
    """The most that any process had of the GPU's memory while this was open, as nvidia-smi sees it; 0: no nvidia-smi."""

    def __enter__(self):
        self.start, self.peak, self.done = self.used(), 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    @staticmethod
    def used():
        try:
            out = subprocess.run(["nvidia-smi", "--id=0", "--query-gpu=memory.used", "--format=csv,noheader,nounits"],
                                 capture_output=True, text=True, timeout=20, check=True).stdout
            return int(out.split()[0]) << 20
        except (OSError, ValueError, IndexError, subprocess.SubprocessError):
            return 0

    def watch(self):
        while not self.done.wait(0.25):
            self.peak = max(self.peak, self.used() - self.start)


def programs(options, architecture):
    """Name -> command; every one prints a JSON object as its last line."""
    steps = ["--steps", str(options.steps), "--warmup", str(options.warmup)]
    own = [options.bench_step, options.config]
    if architecture != "pre_gpas":
        own.append(str(ROOT / f"configs/architectures/{architecture}.yaml"))
    own += [f"data.sequence_length={options.sequence}", f"training.global_batch_size={options.batch}",
            f"training.micro_batch_size={options.batch}", "compute.dtype=bf16", f"compute.device={options.device}",
            "--no-onednn", "--threads", str(options.threads), *steps]
    peer = [options.python, str(ROOT / "bench/torch_gpu_step.py"), "--architecture", architecture, "--shape", options.shape,
            "--device", "cpu" if options.device == "cpu" else "cuda", "--batch", str(options.batch),
            "--sequence", str(options.sequence), *steps]
    found = {"gpas": own, "gpas, selective recompute": [*own, "parallel.recompute=selective"]}
    if not options.no_torch:
        found["PyTorch eager"] = peer
        if not options.no_compile:
            found["PyTorch compiled"] = [*peer, "--compile"]
            found["PyTorch compiled, bf16 stream, ffn 5504"] = [*peer, "--compile", "--stream", "bf16", "--ffn", "5504"]
    return {name: command for name, command in found.items() if not options.only or name in options.only}


def run(command, limit):
    """The JSON object, or {"skipped": why}."""
    try:
        with MemoryWatch() as memory:
            result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=max(limit, 1), check=False)
    except subprocess.TimeoutExpired:
        return {"skipped": f"took more than the {limit:.0f} s that were left"}
    except OSError as error:
        return {"skipped": str(error)}
    if result.returncode != 0:
        said = result.stderr.strip().splitlines() or ["nothing on stderr"]
        return {"skipped": f"exit code {result.returncode}: {said[-1][:300]}", "failed": True}
    try:
        found = json.loads(result.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return {"skipped": "printed no JSON", "failed": True}
    if "skipped" not in found:
        found["gpu_bytes"] = memory.peak
    return found


def measure(options):
    """architecture -> program -> round -> result. Every program runs once before any runs twice."""
    end = time.monotonic() + options.time_limit
    found = {architecture: {} for architecture in options.architectures}
    for i in range(options.rounds):
        for architecture in options.architectures:
            for name, command in programs(options, architecture).items():
                results = found[architecture].setdefault(name, [])
                if results and "skipped" in results[-1]:
                    continue  # it would be again
                left = end - time.monotonic()
                result = run(command, left) if left > 5 else {"skipped": "no time was left"}
                if results and "skipped" in result:
                    continue  # earlier rounds count
                results.append(result)
                print(json.dumps({"round": i + 1, "architecture": architecture, "program": name, **result}), file=sys.stderr,
                      flush=True)
    return found


def seconds(result):
    return statistics.median(result["seconds"])


def rows(architecture, by_program):
    own = [r for r in by_program.get("gpas", []) if "skipped" not in r]
    lines = []
    for name, results in by_program.items():
        done = [r for r in results if "skipped" not in r]
        if not done:
            lines.append(f"| {architecture} | {name} | not measured: {results[0]['skipped'].replace('|', '/')} | | | | |")
            continue
        speeds = [r["tokens_per_step"] / seconds(r) for r in done]
        ratio = statistics.median(seconds(theirs) / seconds(ours) for theirs, ours in zip(done, own)) if own else 0
        against = "" if name == "gpas" or not ratio else f"{ratio:.2f}×"
        planned = done[0].get("arena_bytes", 0) or done[0].get("peak_allocated_bytes", 0)
        seen = max(r["gpu_bytes"] for r in done)
        lines.append(f"| {architecture} | {name} | {statistics.median(speeds):.0f} | {min(speeds):.0f} … {max(speeds):.0f} "
                     f"({len(done)}) | {against} | {planned / GIBIBYTE:.1f} | "
                     f"{f'{seen / GIBIBYTE:.1f}' if seen else 'unknown'} |")
    return lines


def report(options, found):
    runs = [r for by_program in found.values() for results in by_program.values() for r in results]
    peer = next((r for r in runs if "torch" in r), None)
    text = [f"{options.batch} × {options.sequence} synthetic tokens per step, bf16; {options.warmup} + {options.steps} steps per "
            "round; the programs take turns.", ""]
    if peer:
        text += [f"PyTorch {peer['torch']} (CUDA {peer['cuda']}), Python {peer['python']}; bf16 by autocast, fp32 masters and "
                 "moments, fused AdamW, scaled_dot_product_attention.", ""]
    text += ["| architecture | program | tokens/s | lowest … highest round (rounds) | gpas is faster by | planned or allocated "
             "GiB | GiB of the GPU in use |", "|---|---|---|---|---|---|---|"]
    text += [line for architecture, by_program in found.items() for line in rows(architecture, by_program)]
    return "\n".join(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench-step", default=str(ROOT / "build/bench/bench_step"))
    parser.add_argument("--config", default=str(ROOT / "configs/1b.yaml"))
    parser.add_argument("--shape", default="1b", help="of torch_gpu_step.py: the same model as --config")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: to try this script")
    parser.add_argument("--python", default=sys.executable, help="one that has PyTorch")
    parser.add_argument("--architectures", nargs="+", default=["pre_gpas", "pre"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--sequence", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--threads", type=int, default=min(8, os.cpu_count() or 1), help="of gpas on the host")
    parser.add_argument("--time-limit", type=float, default=1e9, help="seconds; what does not fit is left out and named")
    parser.add_argument("--only", nargs="+", help="programs by name")
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    found = measure(options)
    print(report(options, found))
    failed = [r for by_program in found.values() for name, results in by_program.items() for r in results
              if name.startswith("gpas") and "skipped" in r]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""compare_prepare.py GPAS PYTHON TOKENIZER_JSON EOD TEXT... [--rounds N] [--megabytes N] [--workers N]: compares `gpas prepare` with the
steps of Megatron-LM's preprocess_data (bench/megatron_prepare.py), with as many threads as it has worker processes.

PYTHON has megatron-core, torch and tokenizers. EOD: the id that gpas appends to documents. TEXT: files, which become JSON lines of
documents of 4000 characters. In each round both programs run once, one after the other, and their token files must be equal. The time
of gpas is that of the whole command; the time of Megatron is without its imports. Memory is the largest sum of the proportional set
sizes (PSS) of a program's processes, sampled every 0.1 s. Prints a table of medians."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DOCUMENT_CHARACTERS = 4000


def write_documents(texts, megabytes, path):
    with path.open("w") as file:
        for text in texts:
            content = Path(text).read_bytes()[:int(megabytes * 1e6 / len(texts))].decode("utf-8", "ignore")
            for i in range(0, len(content), DOCUMENT_CHARACTERS):
                file.write(json.dumps({"text": content[i:i + DOCUMENT_CHARACTERS]}) + "\n")


def tree(pid):
    """The process and those that it has started."""
    try:
        children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(process for child in children for process in tree(child))]


def memory(pid):
    """Bytes of the process and those that it has started."""
    total = 0
    for process in tree(pid):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def run(command):
    """Seconds, CPU seconds, bytes, standard output."""
    before, begin = os.times(), time.monotonic()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        peak = max(peak, memory(process.pid))
        time.sleep(0.1)
    seconds, after = time.monotonic() - begin, os.times()
    if process.returncode != 0:
        sys.exit(process.stderr.read())
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, cpu, peak, process.stdout.read()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("gpas", "python", "tokenizer", "eod"):
        parser.add_argument(name)
    parser.add_argument("text", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    results = {"gpas": [], "Megatron": []}
    with tempfile.TemporaryDirectory(prefix="compare-prepare-") as scratch:
        source = Path(scratch) / "text.jsonl"
        write_documents(arguments.text, arguments.megabytes, source)
        for _ in range(arguments.rounds):
            for old in [*Path(scratch).glob("gpas*"), *Path(scratch).glob("peer*")]:
                old.unlink()
            own = run([arguments.gpas, "prepare", "--input", source, "--tokenizer", arguments.tokenizer, "--output-prefix",
                       Path(scratch) / "gpas", "--threads", arguments.workers])
            peer = run([arguments.python, Path(__file__).parent / "megatron_prepare.py", source, Path(scratch) / "peer",
                        arguments.tokenizer, arguments.workers, arguments.eod])
            results["gpas"].append(own[:3])
            results["Megatron"].append((float(peer[3]), *peer[1:3]))
            for extension in (".bin", ".idx"):
                names = (Path(scratch) / f"gpas_text_document{extension}", Path(scratch) / f"peer{extension}")
                if names[0].read_bytes() != names[1].read_bytes():
                    sys.exit(f"the {extension} files differ")
            print(results["gpas"][-1], results["Megatron"][-1], file=sys.stderr, flush=True)
        size = source.stat().st_size
    medians = {name: [statistics.median(values) for values in zip(*rounds)] for name, rounds in results.items()}
    print("| program | s | MB/s | CPU s (with imports) | MiB |\n|---|---|---|---|---|")
    for name, (seconds, cpu, peak) in medians.items():
        print(f"| {name} | {seconds:.2f} | {size / 1e6 / seconds:.2f} | {cpu:.2f} | {peak / 2**20:.0f} |")
    own, peer = medians["gpas"], medians["Megatron"]
    print(f"gpas is {peer[0] / own[0]:.2f} times as fast, with {own[2] / peer[2]:.2f} of the memory")


main()

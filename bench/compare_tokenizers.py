#!/usr/bin/env python3
"""compare_tokenizers.py BENCH TOKENIZER_JSON TEXT... [--rounds N] [--megabytes N]: compares the speed of gpas on one thread with
that of the wheel `tokenizers`: encode_batch_fast, which computes no offsets, without its threads.

BENCH: the program bench_tokenizer. TEXT: files. Each is cut into documents of 4000 characters. In each round gpas and tokenizers
encode all documents of a text once, one after the other. Both keep their caches from round to round. Times are CPU times, so other
work on the machine affects the result little. For each text, the ratio is that of the medians over all rounds. Prints a table.

Before: scripts/build build bench/bench_tokenizer -- -Dbench=true
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers  # noqa: E402

DOCUMENT_CHARACTERS = 4000


def documents_of(path, megabytes):
    text = Path(path).read_bytes()[:int(megabytes * 1e6)].decode("utf-8", "ignore").replace("\0", " ")
    return [text[i:i + DOCUMENT_CHARACTERS] for i in range(0, len(text), DOCUMENT_CHARACTERS)]


def measure(arguments, path, tokenizer):
    """The CPU times of gpas, those of tokenizers, and the number of bytes."""
    documents = documents_of(path, arguments.megabytes)
    ours, theirs = [], []
    with tempfile.NamedTemporaryFile() as file:
        file.write("\0".join(documents).encode())
        file.flush()
        bench = subprocess.Popen([arguments.bench, arguments.tokenizer, file.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(arguments.rounds + 1):
            bench.stdin.write("\n")
            bench.stdin.flush()
            answer = bench.stdout.readline().split()
            if len(answer) != 2:
                sys.exit(f"{arguments.bench}: failed")
            begin = time.process_time()
            batch = tokenizer.encode_batch_fast(documents, add_special_tokens=False)
            theirs.append(time.process_time() - begin)
            ours.append(float(answer[0]))
            tokens = sum(map(len, batch))
            if tokens != int(answer[1]):
                sys.exit(f"{path}: gpas gives {answer[1]} tokens, tokenizers gives {tokens}")
        bench.stdin.close()
        bench.wait()
    return ours, theirs, len("".join(documents).encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("tokenizer")
    parser.add_argument("text", nargs="+")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--megabytes", type=float, default=8, help="of each text")
    arguments = parser.parse_args()
    tokenizer = tokenizers.Tokenizer.from_file(arguments.tokenizer)
    print(f"tokenizers {tokenizers.__version__}, {arguments.rounds} rounds")
    print("| text | MB | gpas MB/s | tokenizers MB/s | gpas / tokenizers | first round |\n|---|---|---|---|---|---|")
    for path in arguments.text:
        ours, theirs, size = measure(arguments, path, tokenizer)
        own, other = statistics.median(ours[1:]), statistics.median(theirs[1:])
        print(f"| {Path(path).stem} | {size / 1e6:.1f} | {size / 1e6 / own:.2f} | {size / 1e6 / other:.2f} | {other / own:.2f} | "
              f"{theirs[0] / ours[0]:.2f} |", flush=True)


main()

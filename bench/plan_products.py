#!/usr/bin/env python3
"""Holds the time that gpas plan assumes of a matrix product against every product of docs/results/gpu.md.

With --fit: looks for the rate and the depth that fit best. The constants are those of engine/plan/device_speed.cpp.
"""
import argparse
import math
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TILE, UNITS = 128 * 256, 132


def measured():
    row = re.compile(r"\| (1b|7b) \| (matmul\w*) \| [^|]*?(\d+) x (\d+) x (\d+) \| ([\d.]+) \|")
    for line in (ROOT / "docs/results/gpu.md").read_text(encoding="utf-8").splitlines():
        if found := row.match(line):
            yield found[2], int(found[3]), int(found[4]), int(found[5]), float(found[6])


def constants():
    text = (ROOT / "engine/plan/device_speed.cpp").read_text(encoding="utf-8")
    read = lambda name: float(re.search(rf"{name} = ([\d.e]+)", text)[1])
    return read("h200_product_flops"), read("h200_product_depth"), read("h200_copy_bytes")


def microseconds(kind, tokens, out, columns, flops, depth, copy):
    m, n, k = {"matmul": (tokens, out, columns), "matmul_dx": (tokens, columns, out)}.get(kind, (out, columns, tokens))
    idle = max(1, UNITS / max(1, m * n / TILE * max(1, k / 1024)))
    computing = 2 * m * n * idle * (k + depth) / flops
    moving = 2 * (m * k + k * n) / copy
    gradient = 8 * m * n / copy if kind == "matmul_dw" else 0
    return 1e6 * (max(computing, moving) + gradient) + 1


def errors(flops, depth, copy):
    return [microseconds(*product[:4], flops, depth, copy) / product[4] - 1 for product in measured()]


def rms(values):
    return math.sqrt(sum(v * v for v in values) / len(values))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    flops, depth, copy = constants()
    if options.fit:
        flops, depth = min(((rate * 1e12, k) for rate in range(690, 801, 10) for k in range(0, 257, 32)),
                           key=lambda pair: rms(errors(*pair, copy)))
        print(f"best: {flops / 1e12:.0f} TFLOP/s, depth {depth}")
    for product, error in zip(measured(), errors(flops, depth, copy)):
        print(f"{product[0]:10s} {product[1]:6d} x {product[2]:6d} x {product[3]:6d}  {product[4]:8.1f} us  {error:+.1%}")
    found = errors(flops, depth, copy)
    print(f"{len(found)} products: root mean square {rms(found):.1%}, largest {max(map(abs, found)):.1%}")


if __name__ == "__main__":
    main()

"""Which folder may include which: engine -> io -> parallel -> kernels -> base, never upwards."""
import re

LAYERS = ["base", "kernels", "parallel", "io", "engine"]
INCLUDE = re.compile(r'\s*#\s*include\s*"([^"]+)"')
# The vocabulary of the CUDA kernels is a header of the tests where host C++ compiles the kernels.
EXCEPTIONS = {("kernels/cuda/device/device.cuh", "tests/hostcuda/device.hpp")}


def violations(root, files):
    found = []
    for name in files:
        layer = name.split("/")[0]
        if layer not in LAYERS or not name.endswith((".cpp", ".hpp", ".cu", ".cuh", ".h", ".inl")):
            continue
        allowed = LAYERS[:LAYERS.index(layer) + 1]
        for number, line in enumerate((root / name).read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match or (name, match[1]) in EXCEPTIONS:
                continue
            folder = match[1].split("/")[0]
            if folder not in allowed:
                found.append(f"{name}:{number}: {layer}/ includes {match[1]}; it may include only {', '.join(allowed)}")
    return found

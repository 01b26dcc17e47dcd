#!/usr/bin/env python3
"""embed.py OUTPUT NAME=FILE...: writes a C++ header with each file's text as a std::string_view gpas::report_parts::NAME."""
import sys


def definition(name, file):
    with open(file, "rb") as source:
        data = source.read()
    numbers = ",".join(str(byte if byte < 128 else byte - 256) for byte in data)
    return (f"inline constexpr char {name}_bytes[] = {{{numbers}}};\n"
            f"inline constexpr std::string_view {name}({name}_bytes, {len(data)});\n")


def main():
    output, *parts = sys.argv[1:]
    with open(output, "w") as header:
        header.write("// Written by engine/report/embed.py.\n#pragma once\n\n#include <string_view>\n\n"
                     "namespace gpas::report_parts {\n")
        for part in parts:
            header.write(definition(*part.split("=", 1)))
        header.write("}  // namespace gpas::report_parts\n")


if __name__ == "__main__":
    main()

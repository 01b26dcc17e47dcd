#!/usr/bin/env python3
"""test_checks.py GPAS SOURCE_DIRECTORY: plants a violation of each kind into a copy of the source; scripts/check must name it.

Prints TAP. Checks whose checkers are not installed (scripts/install-dependencies --tests) are skipped.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from checks import failed, passed, plan, skipped  # noqa: E402

GPAS, SOURCE = Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()
TOOLS = SOURCE / ".venv-checks" / "bin"
COPY = Path(tempfile.mkdtemp()) / "gpas"
# The folders that the checks read.
FOLDERS = ["base", "kernels", "parallel", "io", "engine", "docs", "scripts", "slurm", "configs", "tests", "bench", ".ci"]

# check, its checker, file, what is appended, the words of the report
PLANTED = [
    ("format", "clang-format", "base/range.hpp", "\nint  badly_formatted( ) ;\n", "not formatted"),
    ("tidy", "clang-tidy", "base/error_of.cpp",
     "\n#include <vector>\nlong planted(const std::vector<std::vector<long>>& all) {\n    long sum = 0;\n"
     "    for (const std::vector<long> one : all) sum += one.front();\n    return sum;\n}\n", "performance-for-range-copy"),
    ("layers", "", "kernels/tensor.hpp", '\n#include "io/config/schema.hpp"\n', "kernels/ includes io/config/schema.hpp"),
    ("layers", "", "base/range.hpp", '\n#include "kernels/tensor.hpp"\n', "base/ includes kernels/tensor.hpp"),
    ("shell", "shellcheck", "scripts/build", '\nif [ $undefined == 1 ]; then echo "$also_undefined"; fi\n', "[SC2154]"),
    ("shell", "shellcheck", "slurm/train.sbatch", "\nplanted_and_unused=1\n", "[SC2034]"),
    ("python", "ruff", "scripts/count_tests.py", "\nimport shutil\n", "F401"),
    ("generated", "", "docs/configuration.md", "\nA line by hand.\n", "gpas config --markdown"),
    ("links", "", "docs/data.md", "\nSee [a page](no-such-page.md).\n", "no such file"),
    ("links", "", "README.md", "\nSee [a heading](docs/data.md#no-such-heading).\n", "no such heading"),
    ("links", "", "base/range.hpp", "\n// see docs/no-such-page.md\n", "does not exist"),
    ("phrases", "", "docs/data.md", "\nThe old file is no more.\n", "retired phrase 'is no more'"),
    ("phrases", "", "base/range.hpp", "\nint planted;  // the old file is no more\n", "retired phrase 'is no more'"),
    ("phrases", "", "io/config/schema_model.cpp", '\nconst char* planted = "The file is no more.";\n', "retired phrase 'is no more'"),
]


def make_copy():
    for name in FOLDERS:
        if (SOURCE / name).exists():
            shutil.copytree(SOURCE / name, COPY / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in SOURCE.iterdir():
        if file.is_file() and file.name != ".git":
            shutil.copy2(file, COPY / file.name)
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-q", "-m", "copy")


def git(*arguments):
    subprocess.run(["git", *arguments], cwd=COPY, check=True, capture_output=True)


def check(*arguments):
    return subprocess.run([COPY / "scripts" / "check", *arguments], cwd=tempfile.gettempdir(), capture_output=True, text=True,
                          env=dict(os.environ, GPAS_CHECK_TOOLS=str(TOOLS)))


def arguments_of(name):
    return ["--gpas", GPAS, name] if name == "generated" else [name]


def is_found(name, file, text, words):
    path = COPY / file
    before = path.read_text()
    first = before.count("\n") + 1
    path.write_text(before + text)
    try:
        result = check(*arguments_of(name))
    finally:
        path.write_text(before)
    assert result.returncode == 1, f"exit code {result.returncode}\n{result.stdout}{result.stderr}"
    reports = result.stdout.splitlines()
    assert reports, result.stderr
    lines = range(first, first + text.count("\n") + 1)
    places = tuple(f"{file}:{line}:" for line in lines)
    assert any(report.startswith(places) and words in report for report in reports), result.stdout
    assert all(report.startswith(f"{file}:") for report in reports), f"other files are reported: {result.stdout}"


def source_has_no_violation():
    """Also of the committed documentation: it is what this build prints."""
    result = check("--gpas", GPAS, "layers", "generated", "links", "phrases")
    assert result.returncode == 0, result.stdout + result.stderr


def unknown_check_is_refused():
    result = check("no-such-check")
    assert result.returncode == 2 and "no check is called no-such-check" in result.stderr, result.stderr


def main():
    make_copy()
    tests = [("the source has no violation", "", source_has_no_violation),
             ("a check that does not exist is refused", "", unknown_check_is_refused)]
    for name, tool, file, text, words in PLANTED:
        tests.append((f"{name}: {words} in {file}", tool,
                      lambda name=name, file=file, text=text, words=words: is_found(name, file, text, words)))
    plan(len(tests))
    failures = 0
    for number, (title, tool, function) in enumerate(tests, 1):
        title = title.replace("#", "")
        if tool and not (TOOLS / tool).exists():
            skipped(number, title, f"{tool} is not installed")
            continue
        try:
            function()
            passed(number, title)
        except Exception as error:  # a test that breaks has failed, too
            failures += 1
            failed(number, title, error)
    shutil.rmtree(COPY.parent)
    return failures > 0


sys.exit(main())

"""What the tests in Python share: a list of checks, their report in TAP, a scratch directory, and what is expected of a program.

A test file marks its functions with @check and ends with `sys.exit(run_checks())`. A check fails if it raises an exception.
"""
import contextlib
import os
import struct
import sys
import tempfile
import time
import traceback

CHECKS = []
# In a sanitizer build, LeakSanitizer reports memory that MPI does not free when it ends. Leaks of gpas itself are looked for in
# the C++ test programs, before MPI ends.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"


def check(function):
    CHECKS.append(function)
    return function


def plan(count):
    print(f"1..{count}", flush=True)


def skip_all(reason):
    print(f"1..0 # SKIP {reason}", flush=True)


def skipped(number, name, reason):
    print(f"ok {number} - {name} # SKIP {reason}", flush=True)


def passed(number, name, note=""):
    print(f"ok {number} - {name}{' # ' + note if note else ''}", flush=True)


def failed(number, name, explanation):
    print(f"not ok {number} - {name}", flush=True)
    # To stderr: `meson test --print-errorlogs` does not show what a TAP test writes to stdout.
    print(f"{name}: {explanation}", file=sys.stderr, flush=True)


def run_checks(checks=None, after_failure=lambda: ()):
    """Runs the checks (default: those marked with @check) and reports them. Returns the exit code.
    after_failure: returns further lines for the report of a failure."""
    checks = CHECKS if checks is None else checks
    plan(len(checks))
    failures = 0
    for number, function in enumerate(checks, 1):
        start = time.monotonic()
        try:
            function()
            passed(number, function.__name__)
            print(f"# {time.monotonic() - start:.1f} s", flush=True)
        except Exception:  # a check that breaks has failed, too
            failures += 1
            failed(number, function.__name__, "\n".join([traceback.format_exc(), *after_failure()]))
    return int(failures > 0)


@contextlib.contextmanager
def scratch_directory(name):
    """A working directory for the test; it is removed at the end."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory(prefix=f"gpas-{name}-") as directory:
        os.chdir(directory)
        try:
            yield directory
        finally:
            os.chdir(before)


def expect(condition, result, what):
    """result: a finished process with text output."""
    if not condition:
        raise AssertionError(f"{what}; exit code {result.returncode}\n{result.stderr[-2500:]}{result.stdout[-500:]}")


def succeeds(result):
    expect(result.returncode == 0, result, "should succeed")
    return result


def error_lines(result):
    """The errors that gpas printed, without the launcher's own text."""
    return [line for line in result.stderr.splitlines() if "gpas: error:" in line]


def refused(result, code, *words):
    """Expects this exit code, one error line, and the words in this line."""
    expect(result.returncode == code, result, f"exit code {code} expected")
    lines = error_lines(result)
    expect(len(lines) == 1, result, f"one error line expected, found {len(lines)}")
    for word in words:
        expect(word in lines[0], result, f"'{word}' expected in the error")
    return result


def write_token_files(prefix, documents):
    """PREFIX.bin and PREFIX.idx of uint16 tokens, as Megatron-LM writes them."""
    with open(prefix + ".bin", "wb") as file:
        for document in documents:
            file.write(struct.pack(f"<{len(document)}H", *document))
    lengths = [len(document) for document in documents]
    with open(prefix + ".idx", "wb") as file:
        file.write(b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, len(lengths), len(lengths) + 1))
        file.write(struct.pack(f"<{len(lengths)}i", *lengths))
        file.write(struct.pack(f"<{len(lengths)}q", *(2 * sum(lengths[:i]) for i in range(len(lengths)))))
        file.write(struct.pack(f"<{len(lengths) + 1}q", *range(len(lengths) + 1)))

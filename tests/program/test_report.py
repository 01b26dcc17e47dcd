#!/usr/bin/env python3
"""test_report.py GPAS: gpas report of real runs: the page holds their losses, needs no other file, and bad input is refused.
Prints TAP."""
import json
import os
import re
import subprocess
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", name) for name in ("failures", "support")]
from checks import check, expect, refused, run_checks, succeeds  # noqa: E402
from tiny_job import in_tiny_world, records, train  # noqa: E402

GPAS = os.path.abspath(sys.argv[1])


def report(*arguments):
    return subprocess.run([GPAS, "report", *arguments], capture_output=True, text=True, timeout=120)


def page_of(file):
    with open(file, encoding="utf-8") as page:
        return page.read()


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def close(found, wanted):
    return len(found) == len(wanted) and all(abs(a - b) <= 1e-5 * abs(b) for a, b in zip(found, wanted))


@check
def a_report_holds_the_records_of_its_runs():
    for directory, rate in (("one", "1e-3"), ("two", "2e-3")):
        succeeds(train(GPAS, directory, "checkpoint.every=0", "metrics.gpas_every=3", f"optimizer.learning_rate={rate}", ranks=1))
    result = succeeds(report("one", "two/", "--output", "both.html"))
    expect(result.stdout == "" and "both.html" in result.stderr, result, "the file's name on stderr")
    page = page_of("both.html")
    for words in ("src=", "<link", "@import", "http-equiv"):
        expect(words not in page, result, f"a page without other files, found {words}")
    data = data_of(page)
    for run, directory in zip(data["runs"], ("one", "two")):
        steps, evaluations = records(directory), records(directory, "eval")
        expect(run["label"] == directory, result, "the directory's name")
        loss = run["series"]["loss"]
        expect(loss["x"] == [step["consumed_tokens"] for step in steps], result, "tokens of each step")
        expect(close(loss["y"], [step["loss"] for step in steps]), result, "loss of each step")
        expect(close(run["series"]["gradient_norm"]["y"], [step["gradient_norm"] for step in steps]), result, "norms")
        expect(run["validation"]["step"] == [e["step"] for e in evaluations], result, "steps of the evaluations")
        expect(close(run["validation"]["y"], [e["loss"] for e in evaluations]), result, "losses of the evaluations")
        tokens = {step["step"]: step["consumed_tokens"] for step in steps}
        expect(run["validation"]["x"] == [tokens[e["step"]] for e in evaluations], result, "tokens of the evaluations")
        last = records(directory, "gpas")[-1]
        for name, member in (("gates", "value"), ("variances", "variance")):
            found = [(site["layer"], site["site"], site["y"][-1]) for site in run[name]["sites"]]
            wanted = [(reading["layer"], reading["site"], reading[member]) for reading in last[name]]
            expect([f[:2] for f in found] == [w[:2] for w in wanted], result, f"sites of {name}: {found}")
            expect(all(abs(f[2] - w[2]) <= 1e-3 * abs(w[2]) for f, w in zip(found, wanted)), result, f"values of {name}")
    (pair,) = data["pairs"]
    difference = records("two", "eval")[-1]["loss"] - records("one", "eval")[-1]["loss"]
    expect(abs(pair["numbers"]["validation"] - difference) < 1e-5, result, "the difference of the last evaluations")
    expect([row["key"] for row in data["differences"]] == ["optimizer.learning_rate"], result, "the keys that differ")


@check
def a_restart_that_undid_steps_is_marked():
    succeeds(train(GPAS, "branch", "checkpoint.every=4", ranks=1))
    succeeds(train(GPAS, "branch", "checkpoint.every=4", "checkpoint.resume=branch/checkpoints/step_00000008.h5", ranks=1))
    result = succeeds(report("branch", "--output", "branch.html"))
    (run,) = data_of(page_of("branch.html"))["runs"]
    expect(len(run["series"]["loss"]["x"]) == 12, result, "each step once")
    expect([(mark["step"], mark["kind"]) for mark in run["marks"]] == [(8, "resumed")], result, f"one mark: {run['marks']}")


@check
def bad_input_is_refused_and_writes_nothing():
    succeeds(train(GPAS, "good", "training.steps=3", "checkpoint.every=0", ranks=1))
    os.makedirs("empty", exist_ok=True)
    os.makedirs("damaged", exist_ok=True)
    with open("good/metrics.jsonl") as file, open("damaged/metrics.jsonl", "w") as damaged:
        lines = file.readlines()
        damaged.write(lines[0] + lines[1][:40] + "\n" + lines[2])
    refused(report("absent"), 3, "absent", "no such directory")
    refused(report("empty"), 3, "empty", "no metrics.jsonl", "gpas train")
    refused(report("good", "damaged"), 3, "damaged/metrics.jsonl:2:")
    refused(report("good", "good"), 2, "good", "given twice")
    refused(report("good", "--output", "empty"), 2, "empty", "found a directory", "empty/report.html")
    refused(report("good", "--output", "none/report.html"), 2, "none", "create it first")
    refused(report("good", "--output", "run.yaml"), 2, "run.yaml", "is not a page of gpas report")
    refused(report(), 2, "RUN", "gpas report --help")
    expect(not os.path.exists("report.html"), report("--help"), "no report.html")


if __name__ == "__main__":
    with in_tiny_world(GPAS):
        sys.exit(run_checks())

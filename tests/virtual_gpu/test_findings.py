#!/usr/bin/env python3
"""test_findings.py GPAS: what several GPUs can do to a job, each on the smallest job that shows it. GPAS has virtual GPUs.

Prints TAP.
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "failures"))
from tiny_job import in_tiny_world, reports, run_checks, train, train_until_lost  # noqa: E402

GPAS = os.path.abspath(sys.argv[1])
SHORT = ["compute.device=cuda", "training.steps=2", "evaluation.every=2", "checkpoint.every=0"]
PIPELINE = [*SHORT, "parallel.pipeline=2"]


def check(condition, *details):
    if not condition:
        raise AssertionError("\n".join(map(str, details)))


class Environment:
    """Variables that jobs get, for the length of a with statement."""

    def __init__(self, **variables):
        self.variables, self.before = variables, {}

    def __enter__(self):
        self.before = {name: os.environ.get(name) for name in self.variables}
        os.environ.update(self.variables)

    def __exit__(self, *_):
        for name, value in self.before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run(name, *overrides, ranks=2, timeout=60, **variables):
    with Environment(**variables):
        result = train(GPAS, name, *overrides, ranks=ranks, timeout=timeout)
    check(result.returncode == 0, f"exit code {result.returncode}", result.stderr[-3000:])
    check("groups talk through NCCL" in result.stderr, "without NCCL", result.stderr[-3000:])
    return result.stderr


def stall(name, where, *overrides, ranks=2, **variables):
    """A rank whose host process is stopped, so that the GPUs of the others never leave a collective."""
    with Environment(**variables):
        try:
            result, _ = train_until_lost(GPAS, name, *SHORT, *overrides, "parallel.timeout_seconds=8", ranks=ranks,
                                         rehearse=f"spin rank=1 {where}", timeout=60)
        except subprocess.TimeoutExpired as error:
            raise AssertionError("the job hangs") from error
    texts = reports(name)
    check(result.returncode in (6, 137), f"exit code {result.returncode}", result.stderr[-3000:])
    check(len(texts) == 1, f"{len(texts)} reports", result.stderr[-3000:])
    check(re.match(r"rank 1 \(.*made no progress", texts[0]), texts[0])
    return texts[0]


def wait_for_each_other(name, *overrides, **variables):
    """One call of NCCL is left out on rank 1: all hosts live and move until their GPUs wait for each other and hang."""
    with Environment(GPAS_VIRTUAL_GPU_MISTAKE="left_out:1:12", **variables):
        try:
            result = train(GPAS, name, *SHORT, "parallel.tensor=2", *overrides, "parallel.timeout_seconds=4", ranks=2, timeout=60)
        except subprocess.TimeoutExpired as error:
            raise AssertionError("the job hangs") from error
    texts = reports(name)
    # 137: mpirun returns the code of the rank that ends first, which can be the one that the report's rank killed.
    check(result.returncode in (6, 137), f"exit code {result.returncode}", result.stderr[-3000:])
    check(len(texts) == 1, f"{len(texts)} reports", result.stderr[-3000:])
    check(re.search(r"over (tensor|world)", texts[0]), texts[0])


def gpus_that_wait_for_each_other_end_with_a_report():
    """C2, C12: not in cudaFree, which waits for the collective; the report names the calls that have not ended."""
    wait_for_each_other("each_other")


def so_do_hosts_in_a_launch_behind_them():
    """C3: the launch queue is full before the host comes to wait for the GPU."""
    wait_for_each_other("full_queue", "training.global_batch_size=16", GPAS_VIRTUAL_GPU_LAUNCH_QUEUE="24")


def gpus_that_wait_for_a_rank_end_with_a_report():
    """C2: not in cudaFree, which waits for the collective. C12: the report names the call that the GPU is in."""
    text = stall("stalled", "phase=reduction step=2")
    check(re.search(r"Ranks that wait, by call:\n(.*\n)*? .*(gradients|weights|loss).*: ranks? 0", text), text)


def so_do_hosts_that_stand_in_a_launch():
    """C3: the launch queue is full before the host comes to wait for the GPU."""
    stall("launching", "phase=backward step=2", "training.global_batch_size=16", GPAS_VIRTUAL_GPU_LAUNCH_QUEUE="64")


def errors_of_nccl_end_with_a_report():
    """C2: whichever comes first, the watcher or NCCL, the report names the rank that died."""
    with Environment(GPAS_VIRTUAL_NCCL_DEAD_PEER="error"):
        result, _ = train_until_lost(GPAS, "died", *SHORT, ranks=2, rehearse="kill rank=1 phase=backward step=2", timeout=60)
    check(result.returncode in (6, 137), f"exit code {result.returncode}", result.stderr[-3000:])
    texts = reports("died")
    check(len(texts) == 1 and re.match(r"rank 1 \(.*was killed or died", texts[0]), result.stderr[-3000:], *texts)


def pipelines_of_one_micro_batch_come_to_an_end():
    """C4, C6, C9: in one hardware queue a receive holds up what is behind it; ranks connect at the first message."""
    for schedule in ("1f1b", "gpipe", "zb_h1"):
        run(schedule, *PIPELINE, "training.global_batch_size=1", f"parallel.schedule={schedule}", "evaluation.samples=1",
            CUDA_DEVICE_MAX_CONNECTIONS="1")


def so_do_virtual_chunks():
    run("chunks", *PIPELINE, "model.layers=4", "parallel.schedule=interleaved", "parallel.virtual_chunks=2",
        "training.global_batch_size=2", "evaluation.samples=1", CUDA_DEVICE_MAX_CONNECTIONS="1")


def all_communicators_find_room_on_a_small_gpu():
    """C4, C5: 24 multiprocessors for the kernels of a tensor, a data and two pipeline groups."""
    run("small", *PIPELINE, "parallel.tensor=2", ranks=4, GPAS_VIRTUAL_GPU_MULTIPROCESSORS="24")


def few_hardware_queues_are_warned_about():
    """C8: and none are asked for by nobody."""
    warned = run("few", *PIPELINE, CUDA_DEVICE_MAX_CONNECTIONS="1", CUDA_MODULE_LOADING="LAZY")
    check("CUDA_DEVICE_MAX_CONNECTIONS is 1, fewer than the" in warned and "CUDA_MODULE_LOADING is LAZY" in warned, warned)
    check("CUDA_" not in run("many", *PIPELINE), "a warning about what gpas sets itself")


CHECKS = [gpus_that_wait_for_each_other_end_with_a_report, so_do_hosts_in_a_launch_behind_them,
          gpus_that_wait_for_a_rank_end_with_a_report, so_do_hosts_that_stand_in_a_launch, errors_of_nccl_end_with_a_report,
          pipelines_of_one_micro_batch_come_to_an_end, so_do_virtual_chunks, all_communicators_find_room_on_a_small_gpu,
          few_hardware_queues_are_warned_about]

if __name__ == "__main__":
    with in_tiny_world(GPAS):
        sys.exit(run_checks(CHECKS))

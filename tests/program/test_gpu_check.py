#!/usr/bin/env python3
"""test_gpu_check.py SOURCE_ROOT: what scripts/gpu-check packs and runs, as far as it can be tried without a GPU: the checks of
`several` on a gpas that only pretends, and the library with the code of one architecture. Prints TAP."""
import importlib.machinery
import importlib.util
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from checks import check, run_checks  # noqa: E402

ROOT = Path(sys.argv[1]).resolve()
GPU_CHECK = ROOT / "scripts/gpu_check"

# Writes the losses and says what gpas says; the name of the run directory selects what differs.
PRETENDED_GPAS = """#!/usr/bin/env bash
for word in "$@"; do
    case $word in directory=*) directory=${word#directory=} ;; training.stop_after=*) end=${word#*=} ;; esac
done
name=${directory##*/}
[[ $PRETEND = old && $* = *share_gpu=nccl* ]] && { echo "gpas: parallel.share_gpu: found nccl, which needs NCCL 2.30 or later"; exit 5; }
if [[ $name = lost-* ]]; then
    [[ $PRETEND = silent ]] || echo "gpas: rank 1 is lost"
    [[ $PRETEND = undying ]] && exit 0
    exit 137
fi
[[ $* = *share_gpu=nccl* ]] && [[ ! ( $PRETEND = staged && $name = pipeline4 ) ]] && echo "gpas: groups talk through NCCL 2.32.3"
[[ $PRETEND = failing && $name = tensor2 ]] && exit 1
mkdir -p "$directory/matmul"
[[ -f $directory/matmul/choices.txt ]] || echo "$PRETEND" "$([[ $PRETEND = timed ]] && echo "$name")" >"$directory/matmul/choices.txt"
for ((step = $(wc -l <"$directory/metrics.jsonl" 2>/dev/null || echo 0) + 1; step <= ${end:-20}; ++step)); do
    loss=6.$step
    [[ $PRETEND = wrong && $name = data4 && $step = 20 ]] && loss=6.3
    [[ $PRETEND = timed ]] && loss=$loss$(cksum <"$directory/matmul/choices.txt" | head -c 1)
    [[ $PRETEND = unstable && $name = resumed-2 ]] && loss=${loss}1
    echo '{"step":'$step',"loss":'$loss',"x":1}' >>"$directory/metrics.jsonl"
done
"""


def several(part, pretend):
    """Exit code and output of `several PART` on the pretended gpas."""
    with tempfile.TemporaryDirectory() as directory:
        here = Path(directory)
        (here / "bin").mkdir()
        (here / "training").write_bytes((GPU_CHECK / "training").read_bytes())
        programs = {"gpas": PRETENDED_GPAS,
                    "orterun": "#!/usr/bin/env bash\nwhile [[ $1 = -* ]]; do [[ $1 = --bind-to || $1 = -n || $1 = -x ]] && shift; shift; done\nexec \"$@\"\n"}
        for name, text in programs.items():
            (here / "bin" / name).write_text(text)
            (here / "bin" / name).chmod(0o755)
        environment = dict(os.environ, here=str(here), results=str(here / "results"), PRETEND=pretend)
        result = subprocess.run([GPU_CHECK / "several", part], capture_output=True, text=True, env=environment, check=False, timeout=100)
        return result.returncode, result.stdout + result.stderr


def expect(condition, seen):
    if not condition:
        raise AssertionError(seen)


@check
def layouts_are_compared_with_one_rank():
    code, text = several("layouts", "well")
    expect(code == 0, (code, text))
    for layout in ("data2", "data4", "tensor2", "pipeline2", "pipeline4", "pipeline2-one", "tensor2-pipeline2"):
        expect(f"{layout} against alone: largest difference of the loss over 20 steps 0.00e+00" in text, (layout, text))


@check
def a_layout_that_differs_or_fails_or_does_not_use_nccl_fails_the_part():
    for pretend, words in (("wrong", "data4 against alone"), ("failing", "tensor2: exit code 1"),
                           ("staged", "pipeline4: its groups did not communicate through NCCL")):
        code, text = several("layouts", pretend)
        expect(code == 1 and words in text, (pretend, code, text))
        expect("tensor2-pipeline2 against alone" in text, (pretend, "the others run", text))


@check
def an_old_nccl_is_not_a_failure():
    for part in ("layouts", "bits"):
        code, text = several(part, "old")
        expect(code == 77, (part, code, text))


@check
def lost_ranks_must_be_named_and_must_end_the_job():
    code, text = several("lost", "well")
    expect(code == 0 and text.count("exit code 137") == 5, (code, text))
    code, text = several("lost", "silent")
    expect(code == 1 and "NO REPORT NAMES RANK 1" in text, (code, text))
    code, text = several("lost", "undying")
    expect(code == 1 and "FAILED, exit code 0" in text, (code, text))


@check
def bits_must_agree_with_the_same_algorithms_and_only_then():
    code, text = several("bits", "well")
    expect(code == 0 and text.count("the algorithms are the same") == 2, (code, text))
    code, text = several("bits", "timed")
    expect(code == 0 and text.count("other algorithms won") == 2, (code, text))
    code, text = several("bits", "unstable")
    expect(code == 1 and "resumed-2 against straight-2" in text, (code, text))


@check
def a_library_keeps_the_code_of_one_architecture():
    loader = importlib.machinery.SourceFileLoader("one_architecture", str(GPU_CHECK / "one_architecture"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("one_architecture", loader))
    loader.exec_module(module)

    def entry(kind, architecture, code):
        return struct.pack("<HHIQQII", kind, 0x101, 64, len(code), 0, 0, architecture).ljust(64, b"h") + code

    body = entry(2, 80, b"a" * 8) + entry(2, 90, b"b" * 16) + entry(1, 90, b"p" * 8)
    fat = module.MAGIC + struct.pack("<HHQ", 1, 16, len(body)) + body
    before = b"host code" + module.MAGIC + b"by chance, not a fat binary"
    data = bytearray(before + fat + b"more" + fat)
    expected = bytes(data).replace(b"a" * 8, bytes(8)).replace(b"p" * 8, bytes(8))
    expect(module.keep_one(data, 90) == (2, 4), "kept and dropped")
    expect(bytes(data) == expected, "what is left")


@check
def the_scripts_are_whole():
    for script in ("run", "several", "training"):
        result = subprocess.run(["bash", "-n", GPU_CHECK / script], capture_output=True, text=True, check=False)
        expect(result.returncode == 0, result.stderr)
    usage = subprocess.run([GPU_CHECK / "run", "nothing"], capture_output=True, text=True, check=False,
                           env=dict(os.environ, RESULTS=tempfile.mkdtemp()))
    expect(usage.returncode == 2 and "several-lost" in usage.stdout, usage)


if __name__ == "__main__":
    sys.exit(run_checks())

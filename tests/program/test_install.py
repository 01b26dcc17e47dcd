#!/usr/bin/env python3
"""test_install.py BUILD: `meson install` into an empty directory; what is there, and whether it trains from another directory.

Prints TAP.
"""
import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from checks import check, run_checks  # noqa: E402

BUILD = Path(sys.argv[1]).absolute()
MESON = "/usr/bin/meson" if os.path.exists("/usr/bin/meson") else "meson"
ROOT = Path(tempfile.mkdtemp(prefix="gpas_install_"))
atexit.register(shutil.rmtree, ROOT, ignore_errors=True)


def run(*command, where=ROOT):
    result = subprocess.run([str(word) for word in command], cwd=where, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, f"{command}: exit code {result.returncode}\n{result.stdout[-1000:]}{result.stderr[-2000:]}"
    return result.stdout


def installed(pattern):
    """The one file under the destination directory that fits."""
    files = [path for path in (ROOT / "destination").rglob("*") if re.search(pattern + "$", str(path))]
    assert len(files) == 1, f"{pattern}: {files}"
    return files[0]


def commands_and_options():
    """What --help shows: {command: options}."""
    gpas = installed("/bin/gpas")
    found = {}
    for name in re.findall(r"^  ([a-z]+) ", run(gpas, "--help").split("Subcommands:")[1], re.MULTILINE):
        found[name] = set(re.findall(r"^  (?:-\w,)?(--[\w-]+)", run(gpas, name, "--help"), re.MULTILINE))
    return found


@check
def meson_installs():
    run(MESON, "install", "-C", BUILD, "--no-rebuild", "--destdir", ROOT / "destination")


@check
def version_names_what_it_was_built_with():
    words = run(installed("/bin/gpas"), "--version").split()
    assert words[0] == "gpas" and {"compiler", "CUDA", "MPI", "HDF5"} <= set(words), words


@check
def the_installed_program_trains_with_an_installed_configuration():
    gpas, config = installed("/bin/gpas"), installed("/share/gpas/configs/71m.yaml")
    elsewhere = ROOT / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "text.txt").write_text("".join(f"It was the best of times, line {i}.\n" for i in range(400)))
    run(gpas, "prepare", "--input", "text.txt", "--train-tokenizer", "300", "--output-prefix", "data", where=elsewhere)
    run(gpas, "train", config, config.parent / "architectures" / "pre_gpas.yaml", "directory=run", "compute.device=cpu",
        "data.train=data_text_document", "data.tokenizer=data.model", "data.sequence_length=16", "data.valid_fraction=0.1",
        "model.vocab_size=300", "model.hidden_size=32", "model.ffn_size=40", "model.layers=2", "model.heads=4",
        "training.steps=2", "training.global_batch_size=4", "training.micro_batch_size=2", "schedule.warmup_steps=1",
        where=elsewhere)
    assert '"step":2' in (elsewhere / "run" / "metrics.jsonl").read_text().replace(" ", "")


@check
def installed_batch_scripts_name_installed_files():
    prefix = str(installed("/bin/gpas").parent.parent).replace(str(ROOT / "destination"), "")
    for name in ("train.sbatch", "prepare.sbatch", "convert.sbatch"):
        assert f"GPAS=${{GPAS:-{prefix}/bin/gpas}}" in installed(f"/share/gpas/slurm/{name}").read_text(), name
    study = installed("/share/gpas/slurm/array-study.sbatch").read_text()
    assert f"TRAIN=${{TRAIN:-{prefix}/share/gpas/slurm/train.sbatch}}" in study, study
    assert f"ROWS=${{ROWS:-{prefix}/share/gpas/configs/architectures}}" in study, study
    assert os.access(installed("/share/gpas/slurm/chain.sh"), os.X_OK)
    for script in (ROOT / "destination").rglob("slurm/*"):
        run("bash", "-n", script)


@check
def man_page_and_completions_have_every_command_and_option():
    files = {"man": installed("/man1/gpas.1"), "bash": installed("/bash-completion/completions/gpas"),
             "zsh": installed("/site-functions/_gpas"), "fish": installed("/vendor_completions.d/gpas.fish")}
    known = commands_and_options()
    assert {"train", "prepare", "config"} <= set(known) and "--markdown" in known["config"], known
    for kind, file in files.items():
        text = file.read_text().replace("\\-", "-")
        for command, options in known.items():
            assert re.search(rf"\b{command}\b", text), f"{kind}: {command}"
            for option in options - {"--help"}:
                assert re.search(rf"{option if kind != 'fish' else '-l ' + option[2:]}\b", text), f"{kind}: {command} {option}"


@check
def bash_completes_a_command_and_an_option():
    script = ('source "$0"; COMP_WORDS=(gpas tra); COMP_CWORD=1; _gpas; echo "${COMPREPLY[@]}"; '
              'COMP_WORDS=(gpas config --mark); COMP_CWORD=2; _gpas; echo "${COMPREPLY[@]}"')
    assert run("bash", "-c", script, installed("/bash-completion/completions/gpas")).split() == ["train", "--markdown"]


if __name__ == "__main__":
    sys.exit(run_checks())

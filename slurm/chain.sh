#!/usr/bin/env bash
# slurm/chain.sh LINKS NAME [OPTION-OF-SBATCH...] slurm/train.sbatch CONFIG... [key=value...]
#
# Submits LINKS jobs that run one after another; each resumes where the one before stopped. Use it for runs that are longer than a
# job may last, if the site does not allow jobs to be requeued. When the run has ended, the remaining jobs end at once. After an
# error that a person has to look at, they are cancelled. NAME must be unique to this run, because it identifies the jobs of the
# chain. To stop all of them: scancel --name=NAME
set -euo pipefail

if [[ $# -lt 4 || ! $1 =~ ^[1-9][0-9]*$ ]]; then
    sed -n '2s/^# /usage: /p' "$0" >&2
    exit 2
fi
links=$1 name=$2
shift 2
for ((link = 1; link <= links; link++)); do
    GPAS_CHAIN=yes sbatch --job-name="$name" --dependency=singleton --no-requeue "$@"
done

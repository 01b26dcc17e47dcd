#!/usr/bin/env bash
# slurm/chain.sh LINKS NAME [OPTION-OF-SBATCH...] slurm/train.sbatch CONFIG... [key=value...]
#
# Submits LINKS jobs that run one after another, each going on where the one before stopped: for runs longer than a job may last
# where jobs may not be requeued. Once the run has ended, the links that are left end at once; after an error that somebody has
# to look at they are cancelled. NAME must be this run's alone: it is what keeps its jobs apart. Stop all: scancel --name=NAME
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

#!/usr/bin/env bash
# The numbers of the README on a small, quiet CPU machine:
#
#     benchmarks/cpu.sh FULL FULL_JAX REFERENCE/bin/python RESULTS
#
# FULL and FULL_JAX are those of benchmarks/compare.py; PYTHON names the interpreter that has this program.
# The stages beside the reference first, the most important ahead of all, each kept as soon as it is there;
# then one whole utterance. PROMPT, CODES, STEPS, REPEATS, TEXTS, BATCH, DTYPE change the work.
set -euo pipefail
[ $# -eq 4 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2; }
full=$1 checkpoint=$2 reference=$3 results=$4
python=${PYTHON:-python3}
mkdir -p "$results"
stages=codes,flow,vocoder,latents,conditioning,semantic_encoder,semantic_codec,style_encoder
"$python" -m benchmarks.compare "$full" "$checkpoint" --reference_python "$reference" \
    --stages "${STAGES:-$stages}" --prompt "${PROMPT:-5}" --codes "${CODES:-100}" \
    --steps "${STEPS:-25}" --repeats "${REPEATS:-2}" --dtype "${DTYPE:-float32}" --json "$results/reference.json" \
    > "$results/reference.txt"
tail -n 20 "$results/reference.txt" | grep -v '^{'
"$python" -m benchmarks.run "$checkpoint" --texts "${TEXTS:-28}" --prompts "${PROMPT:-5}" --batch "${BATCH:-1}" \
    --batch_text "${BATCH_TEXT:-28}" --steps "${STEPS:-25}" --repeats "${REPEATS:-2}" --dtype "${DTYPE:-float32}" \
    --json "$results/run.json" \
    > "$results/run.txt"
grep -v '^{' "$results/run.txt"
"$python" -m benchmarks.plot "$results/speed.svg" "$results/run.json" "$results/reference.json" || true
"$python" -m benchmarks.report "$results/reference.json" "$results/run.json" > "$results/report.md"
echo "wrote $results/report.md"

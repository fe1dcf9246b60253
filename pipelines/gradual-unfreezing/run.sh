#!/bin/sh
# run.sh MODEL BATCHES: one JSON line, what ft-eval says of the model and the share of its parameters that trained.
set -eu
share=$(ft-freeze --show "$1" | sed -n 's/^[0-9]* of [0-9]* parameters train (\([0-9.]*\) %).*/\1/p')
ft-eval -q --json -m "$1" "$2" | tr -d '\n' | sed "s/^{/{\"share\":$share,/"
echo

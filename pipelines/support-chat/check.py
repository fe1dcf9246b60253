#!/usr/bin/env python3
"""Check dialogues in JSON lines, and count them.

Usage: check.py TRAIN VALID TEST

Every line is {"messages": [{"role", "content"}, ...]}: perhaps a system message, then user and assistant in turn, the
user first and the assistant last.  No dialogue is in the data twice, and none shares more than LIMIT of its runs of
five words with one of another part.  Standard library only.
"""

import json
import re
import sys

LIMIT = 0.1


def dialogue(place, line):
    """The messages of a line, or the end of the program."""
    row = json.loads(line)
    if list(row) != ["messages"] or any(list(m) != ["role", "content"] for m in row["messages"]):
        sys.exit(place + ": only messages, of role and content")
    messages = row["messages"]
    turns = messages[messages[0]["role"] == "system":]
    if [m["role"] for m in turns] != ["user", "assistant"] * (len(turns) // 2) or not turns:
        sys.exit(place + ": roles do not take turns")
    for m in messages:
        if not re.fullmatch(r"[ -~]+", m["content"]) or m["content"] != " ".join(m["content"].split()):
            sys.exit(place + ": not clean text: " + m["content"])
    return messages


def words(messages):
    return re.findall(r"[a-z0-9']+", " ".join(m["content"] for m in messages if m["role"] != "system").lower())


def runs(messages):
    w = words(messages)
    return {tuple(w[i:i + 5]) for i in range(len(w) - 4)}


def overlap(parts):
    """The greatest share of the runs of one dialogue that are in a single one of another part, with both places."""
    where = {}
    for part, dialogues in parts.items():
        for number, messages in enumerate(dialogues, 1):
            for run in runs(messages):
                where.setdefault(run, []).append((part, number))
    most = (0, None, None)
    for part, dialogues in parts.items():
        for number, messages in enumerate(dialogues, 1):
            own, shared = runs(messages), {}
            for run in own:
                for other in where[run]:
                    if other[0] != part:
                        shared[other] = shared.get(other, 0) + 1
            for other, n in shared.items():
                most = max(most, (n / len(own), (part, number), other), key=lambda m: m[0])
    return most


def main():
    parts = {}
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8", newline="\n") as f:
            parts[path] = [dialogue("%s:%d" % (path, n), line) for n, line in enumerate(f, 1)]
    texts = [" ".join(words(messages)) for dialogues in parts.values() for messages in dialogues]
    if len(set(texts)) != len(texts):
        sys.exit("a dialogue is there twice: " + next(t for t in texts if texts.count(t) > 1))
    for path, dialogues in parts.items():
        messages = [m for d in dialogues for m in d]
        count = {role: sum(m["role"] == role for m in messages) for role in ("system", "user", "assistant")}
        print("%s: %d dialogues, %d words, messages: %d system, %d user, %d assistant" % (
            path, len(dialogues), sum(len(m["content"].split()) for m in messages), *count.values()))
    share, one, other = overlap(parts)
    print("largest overlap between two parts: %.3f (%s, %s)" % (share, one, other))
    if share > LIMIT:
        sys.exit("more than %.1f" % LIMIT)


if __name__ == "__main__":
    main()

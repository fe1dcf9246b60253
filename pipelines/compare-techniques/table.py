#!/usr/bin/env python3
"""What runs of techniques come to.

Usage: table.py --run NAME SEED FOLDER BEFORE.jsonl   one JSON line, of what run.sh left in FOLDER
       table.py --messages CHAT.jsonl                 what users and assistants say, 300 messages, one a line
       table.py --order "NAME ..." RUN.jsonl...       the table in Markdown: means and standard errors over seeds

Standard library only.
"""

import argparse
import json
import os
import statistics


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def vectors(path):
    return [next(v for v in row.values() if isinstance(v, list)) for row in lines(path)]


def moved(before, after):
    """One less the mean cosine of vectors of length 1 before and after."""
    cosines = [sum(x * y for x, y in zip(a, b)) for a, b in zip(vectors(before), vectors(after))]
    return 1 - statistics.mean(cosines)


def run(name, seed, folder, before):
    parameters = lines(os.path.join(folder, "params.jsonl"))
    sizes = [(p["shape"][0] * p["shape"][1], p["trains"]) for p in parameters]
    steps = [row for row in lines(os.path.join(folder, "log")) if "tokens" in row]
    cost, test, valid = (lines(os.path.join(folder, f))[0] for f in ("cost.json", "test.json", "valid.json"))
    print(json.dumps({
        "technique": name, "seed": int(seed), "trains": sum(n for n, t in sizes if t), "parameters": sum(n for n, _ in sizes),
        "seconds": round(cost["seconds"], 2), "peak_bytes": cost["bytes"], "tokens": sum(s["tokens"] for s in steps),
        "accuracy": test["accuracy"], "valid_accuracy": valid["accuracy"],
        "result_bytes": os.path.getsize(os.path.join(folder, "tuned.ft")),
        "moved": moved(before, os.path.join(folder, "after.jsonl"))}))


def messages(path):
    said = [" ".join(m["content"].split()) for row in lines(path) for m in row["messages"] if m["role"] != "system"]
    print("\n".join(said[:300]))


def spread(values, scale, digits):
    error = " ± %.*f" % (digits, scale * statistics.stdev(values) / len(values) ** 0.5) if len(values) > 1 else ""
    return "%.*f%s" % (digits, scale * statistics.mean(values), error)


def size(n):
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000 or unit == "GB":
            return "%.*f %s" % (0 if unit == "B" or n >= 100 else 1, n, unit)
        n /= 1000


def table(names, paths):
    rows = [row for path in paths for row in lines(path)]
    print("| technique | trains | of the network | peak memory | tokens/s | accuracy | result | vectors moved |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        own = [row for row in rows if row["technique"] == name]
        column = {key: [row[key] for row in own] for key in own[0]}
        rate = statistics.mean(row["tokens"] / row["seconds"] for row in own)
        print("| %s | %d | %.2f %% | %s | %.0f | %s | %s | %s |" % (
            name, column["trains"][0], 100 * column["trains"][0] / column["parameters"][0],
            size(max(column["peak_bytes"])), rate, spread(column["accuracy"], 100, 1),
            size(max(column["result_bytes"])), spread(column["moved"], 1, 3)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", nargs=4)
    parser.add_argument("--messages")
    parser.add_argument("--order", default="")
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    if options.run:
        run(*options.run)
    elif options.messages:
        messages(options.messages)
    else:
        table(options.order.split(), options.files)


if __name__ == "__main__":
    main()

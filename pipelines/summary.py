#!/usr/bin/env python3
"""Print a table in Markdown: mean and standard deviation over seeds.

Usage: summary.py HEADER=PATH[*SCALE]... -- NAME=FILE...

A column for each PATH, members joined by dots ("macro.f1"), multiplied by SCALE, of the JSON lines in each FILE; a
row for each NAME. A FILE of several variants has members in the name: NAME:MEMBER=VALUE:MEMBER=VALUE=FILE takes the
lines where they are these. Standard library only.
"""

import json
import statistics
import sys


def lookup(row, path):
    for member in path.split("."):
        row = row[member]
    return float(row)


def cell(rows, path, scale):
    values = [scale * lookup(row, path) for row in rows]
    digits = 1 if scale > 1 or max(values) >= 10 else 3
    deviation = " ± %.*f" % (digits, statistics.stdev(values)) if len(values) > 1 else ""
    return "%.*f%s" % (digits, statistics.mean(values), deviation)


def chosen(path, wanted):
    with open(path, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    return [row for row in rows if all(str(row.get(k)) == v for k, v in wanted)]


def main():
    if "--" not in sys.argv[2:]:
        sys.exit(__doc__)
    at = sys.argv.index("--")
    columns = []
    for argument in sys.argv[1:at]:
        header, _, path = argument.partition("=")
        path, _, scale = path.partition("*")
        columns.append((header, path, float(scale or 1)))
    print("| | " + " | ".join(header for header, _, _ in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for argument in sys.argv[at + 1:]:
        name, path = argument.rsplit("=", 1)
        name, *wanted = name.split(":")
        rows = chosen(path, [w.split("=", 1) for w in wanted])
        print("| %s | %s |" % (name, " | ".join(cell(rows, p, scale) for _, p, scale in columns)))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Join texts and their teacher's vectors into regression examples.

Usage: targets.py TEXTS VECTORS >EXAMPLES

TEXTS has one text a line, VECTORS a JSON line {"vector": [...]} for each.  Vectors of length 1 are
multiplied by the square root of their size, so that a component has a mean square of 1 and the loss
starts near 1 whatever the teacher.  Standard library only.
"""

import json
import sys


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8", newline="\n") as texts, open(sys.argv[2], encoding="utf-8") as vectors:
        for number, text in enumerate(texts, 1):
            line = vectors.readline()
            if not line:
                sys.exit("targets.py: %s: ends after %d of the texts" % (sys.argv[2], number - 1))
            vector = json.loads(line)["vector"]
            scale = len(vector) ** 0.5
            print('{"text":%s,"vector":[%s]}' % (json.dumps(text.rstrip("\n"), ensure_ascii=False),
                                                 ",".join("%.5g" % (x * scale) for x in vector)))
        if vectors.readline():
            sys.exit("targets.py: %s: has more vectors than texts" % sys.argv[2])


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Runs a command and says what it took: measure.py OUT.json COMMAND...

Seconds from start to end, and the most memory that it held at once (its resident set). Standard library only.
"""

import json
import resource
import subprocess
import sys
import time


def main():
    began = time.monotonic()
    code = subprocess.run(sys.argv[2:], check=False).returncode
    seconds = time.monotonic() - began
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        json.dump({"seconds": seconds, "bytes": 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}, f)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()

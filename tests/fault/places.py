#!/usr/bin/env python3
"""Chooses allocations to fail, so that each call on the way to one fails once in all tools together.

    places.py PROGRAM PLACES SEEN     PLACES is what allocs.c wrote; SEEN grows. Prints numbers of allocations.

A call is known by its function and its distance from the start of it, so that one library in many programs is one.
"""
import bisect
import subprocess
import sys


def functions(program):
    """[(address, name)]; names of static ones follow that of their file."""
    found, file = [], ""
    for line in subprocess.run(["nm", "-ap", program], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
        address, kind, name = line[:16].strip(), line[17:18], line[19:]
        if kind == "a":
            file = name
        elif address and kind in "tTwW":
            found.append((int(address, 16), (file + ":" if kind == "t" else "") + name))
    return sorted(found)


def main():
    program, places, seen_path = sys.argv[1:]
    table = functions(program)
    with open(seen_path, "a+", encoding="utf-8") as seen_file:
        seen_file.seek(0)
        seen = set(seen_file.read().split("\n"))
        with open(places, encoding="ascii") as lines:
            for line in lines:
                number, *calls = line.split()
                names = set()
                for call in calls:
                    address, name = table[bisect.bisect_right(table, (int(call, 16), "~")) - 1]
                    names.add("%s+%x" % (name, int(call, 16) - address))
                if names - seen:
                    print(number)
                    seen_file.write("".join(n + "\n" for n in sorted(names - seen)))
                    seen |= names


main()

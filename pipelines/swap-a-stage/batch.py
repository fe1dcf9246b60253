#!/usr/bin/env python3
"""Stands in for ft-batch: a tokens stream on stdin, shuffled batches on stdout.

Usage: batch.py ROWS EPOCHS SEED. Written from ft-stream(5) alone.
"""
import random
import struct
import sys
from itertools import accumulate

import msgpack
import zstandard


def read(f):
    """The header and the examples. A stream without its end is cut: nothing is made of it."""
    if f.peek(4)[:4] == b"\x28\xb5\x2f\xfd":
        f = zstandard.ZstdDecompressor().stream_reader(f, read_across_frames=True)
    objects = list(msgpack.Unpacker(f))
    if not objects or "aborted" in objects[-1] or objects[-1].get("end") != len(objects) - 2:
        print("batch.py: the input is cut short or was aborted", file=sys.stderr)
        sys.exit(76)
    return objects[0], objects[1:-1]


def join(rows, epoch):
    """Rows end to end, without padding, and where each of them begins."""
    lengths = [len(row["ids"]) // 4 for row in rows]
    offsets = list(accumulate(lengths, initial=0))
    batch = {"ids": b"".join(row["ids"] for row in rows),
             "offsets": struct.pack(f"<{len(offsets)}i", *offsets),
             "types": b"".join(row.get("types", bytes(n)) for row, n in zip(rows, lengths)),
             "src": [row.get("src", "") for row in rows],
             "epoch": epoch}
    for key in "labels", "targets":
        if key in rows[0]:
            batch[key] = b"".join(row[key] for row in rows)
    return batch


def main(size, epochs, seed):
    def write(record):
        sys.stdout.buffer.write(msgpack.packb(record))

    header, examples = read(sys.stdin.buffer)
    count = epochs * -(-len(examples) // size)
    log = header.get("log", []) + [{"tool": "batch.py", "options": sys.argv[1:]}]
    meta = header["meta"] | {"batches": count, "epochs": epochs, "examples": len(examples)}
    write({"ft": 1, "kind": "batches", "meta": meta, "log": log})
    for epoch in range(epochs):
        order = random.Random(f"{seed} {epoch}").sample(examples, len(examples))
        for at in range(0, len(order), size):
            write(join(order[at:at + size], epoch))
    write({"end": count})


main(*map(int, sys.argv[1:]))

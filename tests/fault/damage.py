"""damage.py WHOLE FOLDER [all] - a stream, damaged in many ways.

Writes FOLDER/NNNN-CODE-NAME for each way, where CODE is the exit status that its readers must end with: 76 where the
stream stops early, 65 where it is not what its writer wrote, 6x where it may be either, contradict something else
first, or do no harm. With `all`, the stream is cut and a bit is turned at every byte; without, at some.
"""
import base64, bz2, gzip, json, lzma, os, random, sys
import msgpack, zstandard

MAGIC = b"\x28\xb5\x2f\xfd"
whole = open(sys.argv[1], "rb").read()
every_byte = sys.argv[3:] == ["all"]
compressed = whole.startswith(MAGIC)


def unpack(data):
    """The decoded bytes of a stream."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(data) if data.startswith(MAGIC) else data


def pack(*parts):
    """A stream of these bytes, in the form that the whole one has."""
    plain = b"".join(parts)
    return zstandard.ZstdCompressor(write_checksum=True).compress(plain) if compressed else plain


def objects(plain):
    """Its header, records and end, each as its bytes."""
    unpacker = msgpack.Unpacker(max_buffer_size=0)
    unpacker.feed(plain)
    found, at = [], 0
    for _ in unpacker:
        found.append(plain[at:unpacker.tell()])
        at = unpacker.tell()
    return found


def changed(obj, **members):
    return msgpack.packb({**msgpack.unpackb(obj), **members})


def cuts():
    n = len(whole)
    for at in range(n) if every_byte else (0, 3, 40, n // 2, n - 9, n - 1):
        yield f"cut at {at}", whole[:at]


def unsure():
    """Where it depends on the place what is seen first, and whether it does harm at all."""
    n = len(whole)
    yield "line ends of DOS", whole.replace(b"\n", b"\r\n")
    for i, at in enumerate(range(n) if every_byte else (0, 5, n // 3, 2 * n // 3, n - 20)):
        yield f"bit {i % 8} of byte {at}", whole[:at] + bytes([whole[at] ^ 1 << i % 8]) + whole[at + 1:]


def records(head, body, end):
    """What happens to whole objects. (A plan may have no records.)"""
    yield "the header twice", pack(head, head, *body, end)
    yield "no header", pack(*body, end)
    yield "the end twice", pack(head, *body, end, end)
    yield "something behind the end", whole + b"x"
    yield "two streams", whole + whole
    yield "of another kind", pack(changed(head, kind="tables"), *body, end)
    yield "of another version", pack(changed(head, ft=2), *body, end)
    if not body:
        return
    half = len(body) // 2 or 1
    yield "two records change places", pack(head, *body[1:2], *body[:1], *body[2:], end)
    yield "the first record twice", pack(head, body[0], *body, end)
    yield "the first record is missing", pack(head, *body[1:], end)
    yield "it is missing, and not counted", pack(head, *body[1:], changed(end, end=len(body) - 1))
    yield "the first half twice", pack(head, *body[:half], *body[:half], *body[half:], end)


def bombs(head):
    """Little data that would be much: in a bin, in an array, in an array of arrays, in a window."""
    press = zstandard.ZstdCompressor(level=3).compress
    yield "a bin of 260 MiB", press(head + b"\x81\xa1x\xc6\x10\x40\x00\x00") + press(bytes(10 << 20)) * 26
    yield "an array of 16 M values", press(head + b"\x81\xa1x\xdd\x01\x00\x00\x00" + b"\xc0" * (16 << 20))
    yield "a million arrays in one another", press(head + b"\x81\xa1x" + b"\x91" * 1000000)
    yield "a window of 2 GiB", MAGIC + b"\x00\xa0\x00\x00\x00"


def encodings(plain):
    """What programs in between make of data, or take it for."""
    yield "gzip", gzip.compress(whole, mtime=0)
    yield "bzip2", bz2.compress(whole)
    yield "xz", lzma.compress(whole)
    yield "zstd twice", zstandard.ZstdCompressor().compress(zstandard.ZstdCompressor().compress(plain))
    yield "base64", base64.encodebytes(whole)
    yield "UTF-16", whole.decode("latin-1").encode("utf-16")
    yield "UTF-8 of Latin-1", whole.decode("latin-1").encode()
    yield "JSON", json.dumps(msgpack.unpackb(objects(plain)[0])).encode()
    yield "zeros", bytes(5000)
    yield "noise", random.Random(1).randbytes(5000)


plain = unpack(whole)
head, *body, end = objects(plain)
ways = [("76", cuts()), ("65", records(head, body, end)), ("65", bombs(head)), ("65", encodings(plain)),
        ("6x", unsure())]
damaged = [(code, name, data) for code, made in ways for name, data in made if data != whole]
os.makedirs(sys.argv[2], exist_ok=True)
for i, (code, name, data) in enumerate(damaged):
    with open(f"{sys.argv[2]}/{i:05}-{code}-{name}", "wb") as f:
        f.write(data)

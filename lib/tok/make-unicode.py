#!/usr/bin/env python3
"""Writes unicode_data.h: what the reference tokenizer thinks of each character.

The reference (Hugging Face `tokenizers`) takes its character properties from
several libraries of different Unicode versions, so no single table of today
agrees with it. This script asks the package itself, character by character,
and writes what it answers as ranges; for letter case and decomposition, where
libutf8proc agrees almost everywhere, only what differs.

    python3 make-unicode.py > unicode_data.h

Needs the package `tokenizers` and libutf8proc. Takes about two minutes.
"""
import ctypes
import ctypes.util
import sys

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

CHARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
utf8proc = ctypes.CDLL(ctypes.util.find_library("utf8proc"))
utf8proc.utf8proc_version.restype = ctypes.c_char_p
utf8proc.utf8proc_unicode_version.restype = ctypes.c_char_p
utf8proc.utf8proc_category_string.restype = ctypes.c_char_p


def bert(clean=False, cjk=False, strip=False, lower=False):
    n = normalizers.BertNormalizer(
        clean_text=clean, handle_chinese_chars=cjk, strip_accents=strip, lowercase=lower)
    return n.normalize_str


def decomposed(c, compatible=False):
    out, last = (ctypes.c_int32 * 32)(), ctypes.c_int(0)
    options = 1 << 4 | (1 << 2 if compatible else 0)  # UTF8PROC_DECOMPOSE, UTF8PROC_COMPAT
    n = utf8proc.utf8proc_decompose_char(c, out, 32, options, ctypes.byref(last))
    return "".join(map(chr, out[:n]))


def ranges(values):
    """{character: value} as a list of [first, last, value] with equal values."""
    out = []
    for c in sorted(values):
        if out and out[-1][1] == c - 1 and out[-1][2] == values[c]:
            out[-1][1] = c
        else:
            out.append([c, c, values[c]])
    return out


def table(comment, name, rows, kind="struct tok_range"):
    print(f"\n/* {comment} */\nstatic const {kind} {name}[] = {{")
    line = "\t"
    for row in rows:
        item = "{ " + ", ".join(f"{v:#x}" for v in row) + " }, "
        if len(line) + len(item) > 104:
            print(line.rstrip())
            line = "\t"
        line += item
    print(line.rstrip() + "\n};")


def plain(chars):
    return [r[:2] for r in ranges({c: 0 for c in chars})]


def marks(nfd, strip):
    """Characters that `strip_accents` removes."""
    return [c for c in CHARS if nfd(chr(c)) == chr(c) and strip(chr(c)) == ""]


def combining(nfd, removed):
    """{character: combining class} of those that move in decomposed text and are not removed: the class
    is found by what the character is exchanged with."""
    probes = {}  # class -> a character of that class
    for c in removed:
        k = ctypes.c_uint16.from_address(property_address(c) + 2).value
        if k:
            probes.setdefault(k, chr(c))
    out = {}
    for c in CHARS:
        if c in removed or nfd(chr(c)) != chr(c):
            continue
        above = [k for k, p in probes.items() if nfd("a" + p + chr(c)) != "a" + p + chr(c)]
        below = [k for k, p in probes.items() if nfd("a" + chr(c) + p) != "a" + chr(c) + p]
        if above or below:
            out[c] = next((k for k in probes if k not in above and k not in below),
                          ctypes.c_uint16.from_address(property_address(c) + 2).value)
    return out


def property_address(c):
    utf8proc.utf8proc_get_property.restype = ctypes.c_void_p
    return utf8proc.utf8proc_get_property(c)


def words():
    """Characters that \\w matches: beside them an added token that wants to stand alone does not match."""
    t = Tokenizer(models.WordPiece({"[UNK]": 0, "[X]": 1}, unk_token="[UNK]"))
    t.add_tokens([AddedToken("[X]", single_word=True, normalized=False)])
    return {c for c in CHARS if t.encode(chr(c) + "[X]").ids == [0]}


def category(c):
    return utf8proc.utf8proc_category_string(c).decode()


def known_word(c):
    return category(c)[0] in "LM" or category(c) in ("Nd", "Nl", "Pc")


def matched(pattern):
    """Characters that a regular expression matches."""
    split = pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str
    return {c for c in CHARS if not split(chr(c))}


def more_classes():
    """{character: TOK_CLASS_ value} of those that the reference's regular expressions know and utf8proc does not."""
    out = {}
    for pattern, value, known in (
            (r"[\p{Lu}\p{Lt}]", 1, ("Lu", "Lt")), (r"\p{Ll}", 2, ("Ll",)), (r"[\p{Lm}\p{Lo}]", 4, ("Lm", "Lo")),
            (r"\p{M}", 8, ("Mn", "Mc", "Me")), (r"\p{N}", 16, ("Nd", "Nl", "No"))):
        chars = matched(pattern)
        assert not [c for c in CHARS if category(c) in known and c not in chars]
        out.update({c: value for c in chars if category(c) not in known})
    return out


def main():
    clean, strip, lower, cjk = bert(clean=True), bert(strip=True), bert(lower=True), bert(cjk=True)
    nfd = normalizers.NFD().normalize_str
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    pieces = {c: [p[0] for p in split("a" + chr(c) + "b")] for c in CHARS}
    removed = set(marks(nfd, strip))
    print("/* unicode_data.h - written by make-unicode.py; do not edit.")
    print(f" * Asked: tokenizers {tokenizers.__version__}. Compared: utf8proc "
          f"{utf8proc.utf8proc_version().decode()} (Unicode {utf8proc.utf8proc_unicode_version().decode()}). */")
    table("removed by clean_text", "dropped", plain(c for c in CHARS if clean(chr(c)) == ""))
    table("white space", "white", plain(c for c in CHARS if pieces[c] == ["a", "b"]))
    table("set off by spaces as Chinese", "chinese", plain(c for c in CHARS if cjk(chr(c)) == f" {chr(c)} "))
    table("removed by strip_accents, after decomposition", "marks", plain(removed))
    table("a piece of its own: punctuation", "punctuation",
          plain(c for c in CHARS if pieces[c] == ["a", chr(c), "b"]))
    w = words()
    table("word characters (\\w) beside the letters, marks, digits and connectors of utf8proc", "more_word",
          plain(c for c in w if not known_word(c)))
    table("combining classes of characters that strip_accents leaves", "combining",
          ranges(combining(nfd, removed)), "struct tok_class")
    table("lower case where utf8proc differs; one to one, at a fixed distance", "more_lower",
          ranges({c: ord(lower(chr(c))) - c for c in CHARS
                  if lower(chr(c)) != chr(utf8proc.utf8proc_tolower(c)) and len(lower(chr(c))) == 1}),
          "struct tok_case")
    whole = plain(c for c in CHARS if nfd(chr(c)) != decomposed(c))
    assert all(nfd(chr(c)) == chr(c) for a, b in whole for c in range(a, b + 1))
    # Decomposable characters of Unicode 16, for a utf8proc that knows them.
    whole += [[0x105C9, 0x105C9], [0x105E4, 0x105E4], [0x11383, 0x11385], [0x1138E, 0x11391], [0x113C5, 0x113C8],
              [0x16121, 0x16128], [0x16D68, 0x16D6A]]
    table("not decomposed, though Unicode does", "whole", sorted(whole))
    nfkd = normalizers.NFKD().normalize_str
    loose = plain(c for c in CHARS if nfkd(chr(c)) != decomposed(c, True))
    assert all(nfkd(chr(c)) == chr(c) for a, b in loose for c in range(a, b + 1))
    loose += [[0xA7F1, 0xA7F1], [0x1CCD6, 0x1CCF9]]  # of Unicode 16
    table("not decomposed by compatibility, though Unicode does", "whole_compatible", sorted(loose))
    accents = normalizers.StripAccents().normalize_str
    table("marks that StripAccents leaves", "kept_marks",
          plain(c for c in CHARS if category(c)[0] == "M" and accents(chr(c))))
    assert [c for c in CHARS if category(c)[0] != "M" and not accents(chr(c))] == [0x1CF2, 0x1CF3]
    more = more_classes()
    table("letters (1 upper case, 2 lower case, 4 other), marks (8) and numbers (16) that utf8proc does not know",
          "more_classes", ranges(more), "struct tok_class")
    digits = pre_tokenizers.Digits(individual_digits=False).pre_tokenize_str
    numeric = {c for c in CHARS if len(digits("a" + chr(c))) == 2}
    numbers = {c for c in CHARS if category(c)[0] == "N" or more.get(c) == 16}
    assert numbers <= numeric
    table("numbers for Digits besides", "more_numeric", plain(numeric - numbers))
    assert [c for c in CHARS if len(lower(chr(c))) > 1] == [0x130]
    assert not [c for c in w if not known_word(c) and c < 128]
    return 0


if __name__ == "__main__":
    sys.exit(main())

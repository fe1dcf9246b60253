#!/usr/bin/env python3
"""Writes wordpiece/: three small tokenizers and what the reference makes of some texts.

    python3 make-wordpiece.py [FOLDER]

Needs the package `tokenizers`, whose version stands in the first line of golden.jsonl. The vocabulary is made
here: letters of several scripts and some English word pieces. With the same version the script writes the
same bytes.
"""
import json
import os
import sys

import tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CONFIG = {
    "architectures": ["BertModel"], "hidden_act": "gelu", "hidden_size": 8, "intermediate_size": 16,
    "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "bert", "num_attention_heads": 2,
    "num_hidden_layers": 1, "pad_token_id": 0, "type_vocab_size": 2,
}
LETTERS = (
    "abcdefghijklmnopqrstuvwxyz0123456789äöüßéèçñøœﬁ" "αβγδεσς" "абвйё" "אב" "ابة" "कखिं" "กขิ" "あがカ" "한글"
    "ᄒ" "ᅡ" "ᆫ" "☕🦙" "\u302e\u1b44"
)
MARKS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«»¿§·–—‘’“”…、。"
HAN = "你好世界漢字豈"
PIECES = """the of and a to in is was he for it with as his on be at by i this had not are but from or have an they
which one you were her all she there would their we him been has when who will more no if out so said what up its
about into than them can only other new some could time these two may then do first any my now such like our over man
me even most made after also did many before must through back years where much your way well down should because each
just those people how too little state good very make world still own see men work long get here between both life being
under never day same another know while last might us great old year off come since against go came right used take three
##s ##ed ##ing ##er ##ly ##est ##ness ##ful ##less ##able ##tion ##ment ##al ##ity ##y ##ive ##ous ##en ##un token ##ize
tuning fine ##tune un ##happ happ ##i model transform train ##ling cafe naive uber resume film bad boring plot act""".split()
ADDED = ["[ENT]", "New York"]  # one as it stands, one in its normal form

TEXTS = [
    ("", None), (" ", None), ("The film was good.", None), ("the film", "was not good"),
    ("unhappiness, un-tokenizable trainings!", None), ("Café RÉSUMÉ naïve Über", "Straße ẞ ﬁne"),
    ("cafe\u0301 re\u0301sume\u0301 a\u0327\u0301b", None), ("  tabs\tand\r\nlines\x0b\x0c \u2028 \u00a0 \u3000end ", None),
    ("zero\u200bwidth\u00adhyphen\ufeffbom\ufffd\u0000nul\x7fdel", None), ("你好世界 in漢字 a豈b", "世界"),
    ("한글 각 \u1112\u1161\u11ab", None), ("あが カ ガ", None), ("कि कं ख़", None), ("กิ ข", None), ("אָב אב", "ابة اَب"),
    ("αβγ ΑΒΓ ΣΊΣΥΦΟΣ ά", None), ("Ёлка й абв", None), ("İstanbul I ı i̇", None), ("☕ 🦙🦙 👩‍👩‍👧 🏳️‍🌈", None),
    ("$5.00+3%=<8> ~`^|§¿«x»–—…“q”‘r’", None), ("[CLS] a [SEP] b [MASK] [PAD] [UNK]", "[SEP][SEP] [sep] [SEP"),
    ("x[ENT]y [ENT]", "[ent] new york NEW YORK New  York"), ("a" * 100, "a" * 101), ("é" * 100 + " " + "é" * 101, None),
    ("qqqx", "##s ##ing s##s"), ("don't can't i'm you've they're the man's", None), ("1,000,000.50 2nd 3rd", None),
    ("a\u302e\u0301b \u1b44\u0334c", None), ("\u0301\u0302", "\u0300a"), ("a\u0378b \ue000c \U000f0000d \U0001fffe", None),
    ("\u037e \u0387 \u1fef \u212a \u212b \u2126", None), ("over time, these two may then do the first new work . . .", None),
    ("𝐚𝐛 ａｂ ①② ½", "ſt ŉ ǆ"), ("line one\nline two", "second\ttext"),
]
# For added tokens with all their flags, and templates that are not BERT's.
ADDED_TEXTS = [
    ("a <l> b  <l>c\t<l>", None), ("a <r> b<r>  c<r>\u3000 d", None), ("a <lr> b \u00a0<lr>\n<lr> c", None),
    ("fine finer <fine> ünfine fine_ fine-a fine\u0301 \u00e9fine fine", "xfine fine"),
    ("token tokenize TOKEN retoken", "tokentoken"), ("big apple BIG  APPLE Big Apple pie", "été ETE ete\u0301"),
    ("<l><r> <l> <r><lr>", "<l<l>>"), ("tokenizer tokenizers", None), ("[SEP]<l>[MASK]", "film bad plot"),
]


def vocabulary(cased):
    letters = list(dict.fromkeys(LETTERS + (LETTERS.upper() if cased else "")))
    letters = [c for c in letters if len(c) == 1]
    if cased:
        letters += ["\u0301", "\u0327", "Ë", "İ"]
    pieces = SPECIAL + letters + ["##" + c for c in letters] + list(MARKS) + list(HAN) + PIECES
    if cased:
        pieces += [p.capitalize() for p in PIECES if not p.startswith("##")]
    return {p: i for i, p in enumerate(dict.fromkeys(pieces))}


def build(cased):
    t = Tokenizer(models.WordPiece(vocabulary(cased), unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(s, t.token_to_id(s)) for s in ("[CLS]", "[SEP]")])
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    if not cased:
        t.add_tokens([AddedToken(ADDED[0], normalized=False), AddedToken(ADDED[1], normalized=True)])
    return t


def build_added():
    t = build(False)
    t.normalizer = normalizers.BertNormalizer(strip_accents=False)
    t.post_processor = processors.TemplateProcessing(
        single="$A:3 [SEP]:2 [CLS]", pair="$B:1 [SEP] [MASK]:4 $A:7",
        special_tokens=[(s, t.token_to_id(s)) for s in ("[CLS]", "[SEP]", "[MASK]")])
    t.add_tokens([
        AddedToken("<l>", lstrip=True, normalized=False), AddedToken("<r>", rstrip=True, normalized=False),
        AddedToken("<lr>", lstrip=True, rstrip=True, special=True, normalized=False),
        AddedToken("<l><r>", normalized=False), AddedToken("fine", single_word=True, normalized=False),
        AddedToken("Token", normalized=True), AddedToken("tokenizer", normalized=True, single_word=True),
        AddedToken("Big Apple", normalized=True), AddedToken("Été", normalized=True, lstrip=True)])
    return t


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write(text)


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__) or ".", "wordpiece")
    lines = [json.dumps({"tokenizers": tokenizers.__version__, "python": sys.version.split()[0]})]
    for name in ("uncased", "cased", "added"):
        t = build_added() if name == "added" else build(name == "cased")
        config = dict(CONFIG, vocab_size=t.get_vocab_size())
        write(f"{out}/{name}/config.json", json.dumps(config, indent=2) + "\n")
        if name == "cased":  # the older form
            order = sorted(t.get_vocab().items(), key=lambda p: p[1])
            write(f"{out}/{name}/vocab.txt", "".join(p + "\r\n" for p, _ in order))
            write(f"{out}/{name}/tokenizer_config.json", json.dumps({"do_lower_case": False}) + "\n")
        else:
            write(f"{out}/{name}/tokenizer.json", json.dumps(json.loads(t.to_str()), ensure_ascii=False) + "\n")
        for text, pair in ADDED_TEXTS if name == "added" else TEXTS:
            if "\0" in text:  # rows of text have none
                text = text.replace("\0", "")
            e = t.encode(text, pair)
            row = {"model": name, "text": text, "pair": pair, "ids": e.ids, "types": e.type_ids,
                   "decoded": t.decode(e.ids, skip_special_tokens=False)}
            lines.append(json.dumps(row, ensure_ascii=True))
    write(f"{out}/golden.jsonl", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

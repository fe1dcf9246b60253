#!/usr/bin/env python3
"""Writes texts.json: texts beside references, and what rouge_score, sacrebleu and SQuAD's scorer
(that of torchmetrics) say of them; and words with their stems.

The versions they were made with stand in the file. Run it in tests/ref:

    python3 make-texts.py > texts.json
"""
import json
import random
from importlib.metadata import version

from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF
from torchmetrics.functional.text import squad

ROUGE = ["rouge1", "rouge2", "rougeL", "rougeLsum"]


def rouge(prediction, references, stem):
    scores = RougeScorer(ROUGE, use_stemmer=stem).score_multi(references, prediction)
    return {f"{k}.{name}": v for k, s in scores.items()
            for name, v in (("precision", s.precision), ("recall", s.recall), ("f1", s.fmeasure))}


def answer(prediction, references):
    score = squad([{"prediction_text": prediction, "id": "0"}],
                  [{"answers": {"answer_start": [0] * len(references), "text": references}, "id": "0"}])
    return {"exact_match": score["exact_match"].item() / 100, "token_f1": score["f1"].item() / 100}


def sacre(predictions, references):
    most = max(map(len, references))
    streams = [[r[i] if i < len(r) else None for r in references] for i in range(most)]
    return {"bleu": BLEU(effective_order=True).corpus_score(predictions, streams).score,
            "chrf": CHRF().corpus_score(predictions, streams).score}


def scores(prediction, references):
    return {**answer(prediction, references), **rouge(prediction, references, False),
            **sacre([prediction], [references])}


def corpus(rows):
    each = [{**answer(p, r), **rouge(p, r, False)} for p, r in rows]
    return {**{k: sum(e[k] for e in each) / len(each) for k in each[0]}, **sacre(*zip(*rows))}


PAIRS = [
    ("The cat sat on the mat.", ["The cat sat on the mat."]),
    ("the cat is on the mat", ["there is a cat on the mat", "the cat sat on the mat"]),
    ("", [""]),
    ("", ["nothing was said"]),
    ("something was said", [""]),
    ("...", ["!?"]),
    ("the", ["a"]),
    ("The the the the the the.", ["The cat is on the mat.", "There is a cat on the mat."]),
    ("Prices rose 3.5% to $1,234.56, or so-called 5-10 units.", ["Prices rose by 3.5 % to $1,234.50 (5-10 units)."]),
    ("It's 10,000.5 -- e.g. U.S.A., a..b, .5, 5., x.5 1-2-3", ["It's 10.000,5 - e.g. USA, a.b, 0.5, 5, x.5 1-2 -3"]),
    ("a &lt;b&gt; &amp;amp; &quot;c&quot; &amp;lt; <skipped>d", ["a <b> & \"c\" < d"]),
    ("word-\nbreak and line\nbreak \n", ["wordbreak and line break"]),
    ("He said: \"Hello, World!\" {x} [y] (z) ~ ` ^ _ | \\ / @ # * + = ;",
     ["He said 'Hello World' {x}[y](z)~`^_|\\/@#*+=;"]),
    ("Ünïcödé straße ÀÉÎ naïve café", ["ünïcödé STRASSE àéî naive CAFÉ"]),
    ("ΟΔΟΣ ΣΟΦΟΣ. ΑΣ'Α Σ", ["οδος σοφος ασα σ"]),
    ("Das ist ein \u1e9eoss; \u212aelvin \u0130stanbul", ["das ist ein ßoss kelvin i\u0307stanbul"]),
    ("日本語のテキスト。全然違う", ["日本語のテキストです。全く違う"]),
    ("a\u0301 the\u00a0an\u2003thé a\u200bb", ["á an the b"]),
    ("emoji 😀😀 👍🏽 done", ["emoji 😀 👍🏽👍🏽 done"]),
    ("A. An? The: a-an the_x", ["a an thex"]),
    ("one\n\ntwo three\nfour one two\n three", ["two three four\none two three\none"]),
    ("a b c d e a b\nb a c", ["b a d c\na b e\nc b a b"]),
    ("x y x y x y z\nz y x\ny z x x", ["y x z y x\nx x y z\nz z y"]),
    ("police killed the gunman", ["the gunman police killed", "the gunman was killed by police"]),
    ("running runners ran easily fairly", ["run runner runs easy fair"]),
    ("The relational conditions of hopefulness were triplicated.",
     ["A related condition of hopeful triplicates was rationalized."]),
    ("tab\tseparated\r\nwindows \x1c text \u0085 next", ["tab separated windows text next"]),
    ("1st 2nd 3rd 42 007", ["1 2 3 42 7"]),
    ("to be or not to be that is the question whether tis nobler in the mind",
     ["to be or not to be", "that is the question", "whether it is nobler in the mind to suffer"]),
]


def made(rng, words, n):
    vocabulary = "the of and a to in is you that it he was for on are as with his they at".split()
    text = [rng.choice(vocabulary[:words]) for _ in range(n)]
    return "".join(w + rng.choice([" ", " ", " ", " ", ", ", ". ", ".\n", "\n"]) for w in text)


def rows():
    rng = random.Random(5)
    out = [(p, r) for p, r in PAIRS]
    for words, n in ((3, 9), (5, 40), (20, 70), (20, 200), (4, 130)):
        out.append((made(rng, words, n), [made(rng, words, n + rng.randint(-5, 5))]))
    out.append((made(rng, 9, 64), [made(rng, 9, 63), made(rng, 9, 129)]))
    return out


WORDS = """caresses flies dies mules denied died agreed owned humbled sized meeting stating siezing itemization sensational
traditional reference colonizer plotted skies sky dying lying news innings proceed exceed enjoy enjoyment happy spy
apologies archaeologist theology geologi logically radically finally hopefully usefulness callousness formality
sensitivity sensibility triplicate formative formalize electricity electrical hopeful goodness revival allowance
inference airliner gyroscopic adjustable defensible irritant replacement adjustment dependent adoption homologou
communism activate angularity homologous effective bowdlerize probate rate cease controlling roll falling hissing
fizzed failing filing yyyy syzygy toying ayed yying ying aing eing 1ing x2ed bees tied ties feed bleed yes says
illi alli rationalli ion nion tion sion ally ies ied eed s ss sss ed""".split()


def main():
    stemmer = PorterStemmer()
    cases = []
    for prediction, references in rows():
        case = {"prediction": prediction, "reference": references, "scores": scores(prediction, references)}
        stemmed = rouge(prediction, references, True)
        if any(abs(stemmed[k] - case["scores"][k]) > 1e-12 for k in stemmed):
            case["stemmed"] = stemmed
        cases.append(case)
    versions = {p: version(p) for p in ("rouge_score", "nltk", "sacrebleu", "torchmetrics")}
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    print('{"versions":%s,\n"corpus":%s,\n"stems":%s,\n"rows":[\n%s\n]}' % (
        json.dumps(versions), json.dumps(corpus(rows())), json.dumps([[w, stemmer.stem(w)] for w in WORDS]), lines))


if __name__ == "__main__":
    main()

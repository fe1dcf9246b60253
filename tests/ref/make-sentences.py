#!/usr/bin/env python3
"""Make the reference data of sentence vectors: what sentence-transformers makes of tiny-bert, its losses
with their gradients, and what its evaluators say.  README.md describes each file.

Usage: make-sentences.py [FOLDER]        (default: the folder of this script)

Needs torch, transformers, sentence-transformers and safetensors; their versions are in expected.json.
Everything is float32 on one thread with dropout off; the same versions give the same bytes.
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import sentence_transformers
import torch
import transformers
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses
from sentence_transformers.sentence_transformer.evaluation import (EmbeddingSimilarityEvaluator,
                                                                   InformationRetrievalEvaluator)
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

POOLINGS = {
    "cls": ["cls"], "max": ["max"], "mean": ["mean"], "sqrt": ["mean_sqrt_len_tokens"],
    "weighted": ["weightedmean"], "last": ["lasttoken"], "joined": ["cls", "mean"],
}
# Anchor, positive, hard negative, score.  Some anchors and some positives stand twice, one in both places.
ROWS = [
    ("the film was good", "a very good film", "the film was not good", 0.9),
    ("a dull book", "the book is dull and slow", "a dull play", 0.8),
    ("the story was quite short", "a short story", "the story was long", 0.8),
    ("she always begins well", "she is quick to begin", "they end well", 0.5),
    ("a dull book", "a slow book, plainly", "a bright book", 0.5),
    ("the play was bright", "a very good film", "the play was slow", 0.2),
    ("the book is dull and slow", "never a good end", "the end of it", 0.2),
    ("he was fair", "it is 10 of 1", "he was not fair?", 0.0),
    ("in the end", "a short story", "to begin", 0.1),
]
WHOLE = ["embeddings.LayerNorm.weight", "encoder.layer.0.attention.self.query.weight"]


def make_model(folder, poolings, normalize):
    body = Transformer(os.path.join(folder, "tiny-bert"))
    modules = [body, Pooling(body.get_embedding_dimension(), pooling_mode=poolings)]
    model = SentenceTransformer(modules=modules + ([Normalize()] if normalize else []), device="cpu")
    return model.eval()


def ids_of(model, text):
    return model.tokenizer(text)["input_ids"]


def embed(model, columns):
    """Vectors of each column of texts, through whole padded batches, with gradients."""
    return [model(model.preprocess(list(column)))["sentence_embedding"] for column in columns]


def distinct(embeddings, columns, scale):
    """Multiple negatives ranking where equal texts are masked; not in sentence-transformers."""
    anchors, others = columns[0], [text for column in columns[1:] for text in column]
    scores = sentence_transformers.util.cos_sim(embeddings[0], torch.cat(embeddings[1:])) * scale
    n = len(anchors)
    for i in range(n):
        for j, text in enumerate(others):
            twin = j < n and anchors[j] == anchors[i]
            if j != i and (text in (anchors[i], others[i]) or twin):
                scores[i, j] = -torch.inf
    return torch.nn.functional.cross_entropy(scores, torch.arange(n))


def mnrl(**options):
    return lambda m, e, c, t: losses.MultipleNegativesRankingLoss(m, **options).compute_loss_from_embeddings(e, t)


SYMMETRIC = {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}
# name: texts of an example, pooling, normalize, what ft-freeze is told, the loss
CASES = {
    "mnrl": (2, "mean", False, {"name": "mnrl"}, mnrl()),
    "mnrl-normalized": (2, "mean", True, {"name": "mnrl"}, mnrl()),
    "mnrl-negatives": (3, "cls", False, {}, mnrl()),
    "mnrl-symmetric": (3, "mean", False, {"scale": 7, "symmetric": True}, mnrl(scale=7.0, **SYMMETRIC)),
    "mnrl-distinct": (3, "max", False, {"distinct": True}, lambda m, e, c, t: distinct(e, c, 20)),
    "cosine": (2, "mean", False, {"name": "cosine"},
               lambda m, e, c, t: losses.CosineSimilarityLoss(m).compute_loss_from_embeddings(e, t)),
    "cosine-joined": (2, "joined", True, {"name": "cosine"},
                      lambda m, e, c, t: losses.CosineSimilarityLoss(m).compute_loss_from_embeddings(e, t)),
    "cosent": (2, "mean", False, {}, lambda m, e, c, t: losses.CoSENTLoss(m).compute_loss_from_embeddings(e, t)),
    "cosent-weighted": (2, "weighted", True, {"name": "cosent", "scale": 5},
                        lambda m, e, c, t: losses.CoSENTLoss(m, scale=5.0).compute_loss_from_embeddings(e, t)),
    "cosent-last": (2, "last", False, {},
                    lambda m, e, c, t: losses.CoSENTLoss(m).compute_loss_from_embeddings(e, t)),
    "cosent-sqrt": (2, "sqrt", False, {},
                    lambda m, e, c, t: losses.CoSENTLoss(m).compute_loss_from_embeddings(e, t)),
}


def run_case(folder, name, tensors):
    texts, pooling, normalize, loss, function = CASES[name]
    scored = name.startswith("cos")
    model = make_model(folder, POOLINGS[pooling], normalize)
    columns = list(zip(*ROWS))[:texts]
    targets = torch.tensor([row[3] for row in ROWS])
    value = function(model, embed(model, columns), columns, targets)
    value.backward()
    norms = {}
    for parameter, p in model[0].model.named_parameters():
        gradient = p.grad if p.grad is not None else torch.zeros_like(p)
        norms[parameter] = float("%.9g" % gradient.double().norm().item())
        if parameter in WHOLE:
            tensors["%s.%s" % (name, parameter)] = gradient.clone()
    return {"name": name, "pooling": POOLINGS[pooling], "normalize": normalize, "loss": loss,
            "texts": [[ids_of(model, text) for text in row[:texts]] for row in ROWS],
            "targets": [row[3] for row in ROWS] if scored else None,
            "value": float("%.9g" % value.item()), "norms": norms}


def vectors(folder, tensors):
    texts = [text for row in ROWS for text in row[:2]][:7]
    for name, modes in POOLINGS.items():
        for normalize in (False, True):
            model = make_model(folder, modes, normalize)
            key = "vectors.%s%s" % (name, ".1" if normalize else "")
            tensors[key] = model.encode(texts, convert_to_tensor=True, show_progress_bar=False).clone()
    return texts


def plain(value):
    return float("%.9g" % float(value))


def evaluate(folder):
    """What the evaluators say of the pairs, a pooling each; keys as ft-eval's."""
    model = make_model(folder, POOLINGS["mean"], False)
    anchors, positives, _, scores = map(list, zip(*ROWS))
    scored = EmbeddingSimilarityEvaluator(anchors, positives, scores, similarity_fn_names=["cosine", "dot", "euclidean"],
                                          write_csv=False)(model)
    documents = list(dict.fromkeys(positives))
    relevant = {str(i): {documents.index(p) for a, p in zip(anchors, positives) if a == anchors[i]}
                for i in range(len(ROWS))}
    ranked = InformationRetrievalEvaluator(
        {str(i): a for i, a in enumerate(anchors)}, {str(i): d for i, d in enumerate(documents)},
        {q: {str(d) for d in r} for q, r in relevant.items()}, mrr_at_k=[10], ndcg_at_k=[10], accuracy_at_k=[1],
        precision_recall_at_k=[5, 10], map_at_k=[10], write_csv=False,
        score_functions={"cosine": sentence_transformers.util.cos_sim})(model)
    return {
        "scored": {"%s.%s" % (s, c): plain(scored["%s_%s" % (c, s)])
                   for s in ("cosine", "dot", "euclidean") for c in ("pearson", "spearman")},
        "ranked": {"accuracy@1": plain(ranked["cosine_accuracy@1"]), "recall@5": plain(ranked["cosine_recall@5"]),
                   "recall@10": plain(ranked["cosine_recall@10"]), "mrr@10": plain(ranked["cosine_mrr@10"]),
                   "ndcg@10": plain(ranked["cosine_ndcg@10"]), "documents": len(documents)},
    }


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    out = os.path.join(folder, "sentences")
    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    tensors = {}
    cases = [run_case(folder, name, tensors) for name in CASES]
    tokenizer = make_model(folder, ["mean"], False)
    expected = {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__,
                     "sentence_transformers": sentence_transformers.__version__},
        "texts": vectors(folder, tensors), "poolings": POOLINGS, "evaluation": evaluate(folder),
    }
    expected["ids"] = [ids_of(tokenizer, text) for text in expected["texts"]]
    with open(os.path.join(out, "pairs.tsv"), "w", encoding="utf-8", newline="\n") as f:
        for anchor, positive, negative, score in ROWS:
            f.write("%s\t%s\t%s\t%s\n" % (score, anchor, positive, negative))
    with open(os.path.join(out, "expected.json"), "w", encoding="utf-8", newline="\n") as f:
        f.write(json.dumps(expected) + "\n")
    with open(os.path.join(out, "losses.jsonl"), "w", encoding="utf-8", newline="\n") as f:
        f.writelines(json.dumps(case, separators=(",", ":")) + "\n" for case in cases)
    save_file(tensors, os.path.join(out, "expected.safetensors"), metadata={"format": "pt"})
    os.chmod(os.path.join(out, "expected.safetensors"), 0o644)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Make the reference data of the BERT tests: tiny random models, and what PyTorch and transformers
compute with them.  README.md describes each file.

Usage: make-bert.py [FOLDER]        (default: the folder of this script)

Needs torch, transformers, tokenizers and safetensors; their versions are recorded in expected.json.
Everything is float32 on one thread with dropout off; the same versions give the same bytes.
"""

import json
import os
import shutil
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import (BertConfig, BertForMaskedLM, BertForSequenceClassification, BertForTokenClassification,
                          BertModel, get_linear_schedule_with_warmup)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)
CLASSES = ["bad", "fair", "good"]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
TAG_WEIGHTS = [0.5, 1.0, 2.0, 1.0, 4.0]
WORDS = """the a is was it not and but this that film book play story very quite too good bad fair dull
bright long short slow quick end begin of in to with for we they he she never always well plain""".split()
PIECES = ["##ing", "##ed", "##ly", "##er", "##est", "##ness", "##s"]
TEXTS = [
    "The film was quite good.", "It is a dull, dull book!", "", "   ", "Plainly not the BEST ending",
    "Café déjà vu", "never-ending [MASK] story", "a long story, and a slow end: 12 of 30", "日本 book",
    "xylophones? we always begin with quickness", "[CLS] in the text [SEP]", "tab\tand\u00a0space\u200bnone",
]


def vocabulary():
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    known = SPECIAL + list(".,!?'-:") + ["0", "1"] + letters + ["##" + c for c in letters]
    return known + [w for w in WORDS if w not in known] + PIECES


def tokenizer():
    t = tokenizers.Tokenizer(models.WordPiece({p: i for i, p in enumerate(vocabulary())}, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)])
    t.decoder = decoders.WordPiece()
    t.add_special_tokens(SPECIAL)
    return t


def write(path, content):
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        f.write(content)


def write_json(path, value):
    write(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_lines(path, values):
    write(path, "".join(json.dumps(v, separators=(",", ":"), ensure_ascii=False) + "\n" for v in values))


def save_tensors(tensors, path):
    save_file(tensors, path, metadata={"format": "pt"})
    os.chmod(path, 0o644)


def write_tokenizer(folder, json_too=True):
    write(os.path.join(folder, "vocab.txt"), "".join(p + "\n" for p in vocabulary()))
    write_json(os.path.join(folder, "tokenizer_config.json"),
               {"do_lower_case": True, "model_max_length": 64, "tokenizer_class": "BertTokenizer"})
    if json_too:
        write(os.path.join(folder, "tokenizer.json"), tokenizer().to_str(pretty=False) + "\n")


# ---- models ----

def config(**more):
    return BertConfig(vocab_size=len(vocabulary()), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                      intermediate_size=64, max_position_embeddings=64, type_vocab_size=2, initializer_range=0.25,
                      pad_token_id=PAD, attn_implementation="eager", **more)


def fill(model, seed):
    """Random values everywhere, norms and biases too, each exact in float16: so a float16 copy of the
    model has the same outputs, and no test passes because something happens to be 0 or 1."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            value = torch.randn(p.shape, generator=g) * 0.25
            p.copy_((value + (1.0 if name.endswith("LayerNorm.weight") else 0.0)).half().float())
    return model.eval()


def save(model, folder):
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    os.chmod(os.path.join(folder, "model.safetensors"), 0o644)
    write_tokenizer(folder)
    generation = os.path.join(folder, "generation_config.json")
    if os.path.exists(generation):
        os.remove(generation)


def save_legacy(mlm, pooler, folder):
    """As the first BERT checkpoints were: names of the TensorFlow original, a buffer nobody needs, the
    tied matrix stored twice, a next-sentence head, half precision, vocab.txt alone."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    tensors = {}
    for name, p in mlm.named_parameters():
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        tensors[name] = p.detach().half()
    tensors.update({"bert.pooler." + n: p.detach().half() for n, p in pooler.named_parameters()})
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()
    g = torch.Generator().manual_seed(9)
    tensors["cls.seq_relationship.weight"] = torch.randn(2, 32, generator=g).half()
    tensors["cls.seq_relationship.bias"] = torch.randn(2, generator=g).half()
    tensors["bert.embeddings.position_ids"] = torch.arange(64).unsqueeze(0)
    save_tensors(tensors, os.path.join(folder, "model.safetensors"))
    c = config()
    keys = ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
            "hidden_dropout_prob", "attention_probs_dropout_prob", "max_position_embeddings", "type_vocab_size",
            "initializer_range", "layer_norm_eps", "pad_token_id"]
    write_json(os.path.join(folder, "config.json"),
               {"architectures": ["BertForMaskedLM"], "model_type": "bert", "torch_dtype": "float16",
                **{k: getattr(c, k) for k in keys}})
    write_tokenizer(folder, json_too=False)


# ---- batches ----

def numbers(g, n, low, high):
    return torch.randint(low, high, (n,), generator=g).tolist()


def random_row(g, length):
    """[CLS] … [SEP], or from 8 tokens on a pair [CLS] … [SEP] … [SEP]; one token alone is [CLS]."""
    ids = [CLS] + numbers(g, length - 1, len(SPECIAL), len(vocabulary()))
    if length > 1:
        ids[-1] = SEP
    types = [0] * length
    if length >= 8:
        middle = numbers(g, 1, 2, length - 3)[0]
        ids[middle] = SEP
        types[middle + 1:] = [1] * (length - middle - 1)
    return ids, types


def random_batch(g, lengths):
    rows = [random_row(g, n) for n in lengths]
    return {"ids": [r[0] for r in rows], "types": [r[1] for r in rows]}


def mlm_labels(g, batch):
    """Every fourth token or so, at least one in a row but for the rows that have none on purpose."""
    labels = []
    for i, ids in enumerate(batch["ids"]):
        draw = torch.rand(len(ids), generator=g).tolist()
        truth = numbers(g, len(ids), len(SPECIAL), len(vocabulary()))
        labels.append([t if d < 0.25 and i % 3 else -100 for d, t in zip(draw, truth)])
    return labels


def padded(rows, filler):
    width = max(len(r) for r in rows)
    return torch.tensor([r + [filler] * (width - len(r)) for r in rows])


def inputs(batch):
    """What transformers takes: the rows padded, and a mask."""
    return {"input_ids": padded(batch["ids"], PAD), "token_type_ids": padded(batch["types"], 0),
            "attention_mask": padded([[1] * len(r) for r in batch["ids"]], 0)}


def packed(tensor, batch):
    """[rows, width, …] -> [tokens, …]: the real positions only, rows end to end."""
    return torch.cat([tensor[i, :len(r)] for i, r in enumerate(batch["ids"])]).contiguous()


# ---- expected values ----

def gradients(model, loss):
    model.zero_grad(set_to_none=True)
    loss.backward()
    # A parameter the loss does not reach (the unused pooler) has none and is not in the file.
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def forward(body, batches):
    tensors = {}
    for k, b in enumerate(batches):
        with torch.no_grad():
            out = body(**inputs(b))
        tensors["%d.last_hidden_state" % k] = packed(out.last_hidden_state, b)
        tensors["%d.pooler_output" % k] = out.pooler_output
    return tensors


def head_case(classify, batch, labels, problem, outputs):
    """Logits, loss and gradients of the classifier under another task; `outputs` takes its first rows."""
    c = config(num_labels=outputs, problem_type=problem)
    model = BertForSequenceClassification(c).eval()
    state = dict(classify.state_dict())
    state["classifier.weight"] = state["classifier.weight"][:outputs].clone()
    state["classifier.bias"] = state["classifier.bias"][:outputs].clone()
    model.load_state_dict(state)
    out = model(**inputs(batch), labels=torch.tensor(labels))
    tensors = {"logits": out.logits.detach().clone()}
    tensors.update({"grad." + k: v for k, v in gradients(model, out.loss).items()})
    return out.loss.item(), tensors


def mlm_case(mlm, batch, labels):
    out = mlm(**inputs(batch), labels=padded(labels, -100))
    tensors = {"logits": packed(out.logits.detach(), batch)}
    tensors.update({"grad." + k: v for k, v in gradients(mlm, out.loss).items()})
    return out.loss.item(), tensors


def tag_labels(g, batch):
    """A label for two tokens of three or so; the rows of one token have none."""
    labels = []
    for ids in batch["ids"]:
        draw = torch.rand(len(ids), generator=g).tolist()
        truth = numbers(g, len(ids), 0, len(TAGS))
        labels.append([t if d < 0.65 and len(ids) > 1 else -100 for d, t in zip(draw, truth)])
    return labels


def make_tag(tag, batch, g, out):
    """Logits of all tokens, and loss and gradients: without weights, and with them and label smoothing."""
    labels = tag_labels(g, batch)
    write_lines(os.path.join(out, "tag.jsonl"), [{**batch, "labels": labels}])
    result = tag(**inputs(batch), labels=padded(labels, -100))
    tensors = {"logits": packed(result.logits.detach(), batch)}
    tensors.update({"grad." + k: v for k, v in gradients(tag, result.loss).items()})
    criterion = nn.CrossEntropyLoss(weight=torch.tensor(TAG_WEIGHTS), label_smoothing=0.1)
    weighted = criterion(tag(**inputs(batch)).logits.reshape(-1, len(TAGS)), padded(labels, -100).reshape(-1))
    tensors.update({"weighted." + k: v for k, v in gradients(tag, weighted).items() if k.startswith("classifier.")})
    save_tensors(tensors, os.path.join(out, "tag.safetensors"))
    return {"tag": result.loss.item(), "tag_weighted": weighted.item()}


# ---- training ----

def groups(model, decay):
    plain = lambda n: n.endswith(".bias") or "LayerNorm" in n
    named = list(model.named_parameters())
    return [{"params": [p for n, p in named if not plain(n)], "weight_decay": decay},
            {"params": [p for n, p in named if plain(n)], "weight_decay": 0.0}]


def train(start, batches, optimizer, warmup, rows_per_step=1, **loss_options):
    """One step on each `rows_per_step` batches together, as one big batch."""
    model = BertForSequenceClassification(config(num_labels=len(CLASSES))).eval()
    model.load_state_dict(start.state_dict())
    steps = len(batches) // rows_per_step
    opt = optimizer(model)
    schedule = get_linear_schedule_with_warmup(opt, warmup, steps)
    criterion = nn.CrossEntropyLoss(**loss_options)
    log = {"loss": [], "grad_norm": [], "lr": []}
    for s in range(steps):
        part = batches[s * rows_per_step:(s + 1) * rows_per_step]
        whole = {k: [row for b in part for row in b[k]] for k in ("ids", "types", "labels")}
        loss = criterion(model(**inputs(whole)).logits, torch.tensor(whole["labels"]))
        opt.zero_grad()
        loss.backward()
        log["grad_norm"].append(nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        log["lr"].append(schedule.get_last_lr()[0])
        log["loss"].append(loss.item())
        opt.step()
        schedule.step()
    return log, {n: p.detach().clone() for n, p in model.named_parameters()}


def adamw(model):
    return torch.optim.AdamW(groups(model, 0.01), lr=1e-3, betas=(0.9, 0.999), eps=1e-8)


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)


def make_training(classify, g, out):
    batches = []
    for _ in range(20):
        b = random_batch(g, numbers(g, 4, 3, 33))
        b["labels"] = numbers(g, 4, 0, len(CLASSES))
        batches.append(b)
    write_lines(os.path.join(out, "train.jsonl"), batches)
    log, final = train(classify, batches, adamw, 4)
    save_tensors(final, os.path.join(out, "train-final.safetensors"))
    weighted = {"accumulate": 2, "label_smoothing": 0.1, "class_weights": [0.5, 1.0, 2.0]}
    return {
        "adamw": {"betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01, "clip": 1.0, "warmup": 4, **log},
        "sgd": {"momentum": 0.9, "weight_decay": 0.0, "clip": 1.0, "warmup": 4, **train(classify, batches, sgd, 4)[0]},
        "weighted": {"betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01, "clip": 1.0, "warmup": 2, **weighted,
                     **train(classify, batches, adamw, 2, 2, label_smoothing=0.1,
                             weight=torch.tensor(weighted["class_weights"]))[0]},
    }


# ---- all of it ----

def make_tokens(out):
    t = tokenizer()
    lines = [{"text": s, "ids": t.encode(s).ids} for s in TEXTS]
    for a, b in zip(TEXTS[:4], TEXTS[4:8]):
        e = t.encode(a, b)
        lines.append({"text": a, "pair": b, "ids": e.ids, "types": e.type_ids})
    write_lines(os.path.join(out, "tokens.jsonl"), lines)


def make_heads(classify, mlm, batch, g, out):
    rows = len(batch["ids"])
    cases = [
        ("classify", "single_label_classification", 3, numbers(g, rows, 0, 3)),
        ("multilabel", "multi_label_classification", 3, torch.randint(0, 2, (rows, 3), generator=g).float().tolist()),
        ("regress1", "regression", 1, [round(x, 3) for x in torch.randn(rows, generator=g).tolist()]),
        ("regress3", "regression", 3, [[round(x, 3) for x in r] for r in torch.randn(rows, 3, generator=g).tolist()]),
    ]
    losses = {}
    for name, problem, outputs, labels in cases:
        write_lines(os.path.join(out, name + ".jsonl"), [{**batch, "labels": labels}])
        losses[name], tensors = head_case(classify, batch, labels, problem, outputs)
        if name != "classify":
            # The trunk's gradient is tested once; here the head's shows the loss is right.
            tensors = {k: v for k, v in tensors.items() if not k.startswith("grad.bert.")}
        save_tensors(tensors, os.path.join(out, name + ".safetensors"))
    labels = mlm_labels(g, batch)
    write_lines(os.path.join(out, "mlm.jsonl"), [{**batch, "labels": labels}])
    losses["mlm"], tensors = mlm_case(mlm, batch, labels)
    save_tensors(tensors, os.path.join(out, "mlm.safetensors"))
    return losses


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    body = fill(BertModel(config()), 1)
    classify = fill(BertForSequenceClassification(
        config(id2label=dict(enumerate(CLASSES)), label2id={c: i for i, c in enumerate(CLASSES)})), 2)
    mlm = fill(BertForMaskedLM(config()), 3)
    # All share their trunk, so one set of hidden states holds for all.
    classify.bert.load_state_dict(body.state_dict())
    mlm.bert.load_state_dict(body.state_dict(), strict=False)
    tag = fill(BertForTokenClassification(
        config(id2label=dict(enumerate(TAGS)), label2id={c: i for i, c in enumerate(TAGS)})), 5)
    tag.bert.load_state_dict(body.state_dict(), strict=False)
    for name, model in (("", body), ("-classify", classify), ("-mlm", mlm), ("-tag", tag)):
        save(model, os.path.join(folder, "tiny-bert" + name))
    save_legacy(mlm, body.pooler, os.path.join(folder, "tiny-bert-legacy"))

    out = os.path.join(folder, "tiny-bert-expected")
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    make_tokens(out)
    g = torch.Generator().manual_seed(4)
    batches = [random_batch(g, lengths) for lengths in ([7, 1, 40, 2, 13, 24], [5, 5, 9], [64])]
    write_lines(os.path.join(out, "forward.jsonl"), batches)
    save_tensors(forward(body, batches), os.path.join(out, "forward.safetensors"))
    losses = make_heads(classify, mlm, batches[0], g, out)
    losses.update(make_tag(tag, batches[0], torch.Generator().manual_seed(6), out))
    write_json(os.path.join(out, "expected.json"), {
        "versions": {"python": sys.version.split()[0], "torch": torch.__version__,
                     "transformers": transformers.__version__, "tokenizers": tokenizers.__version__},
        "loss": losses, "train": make_training(classify, g, out)})


if __name__ == "__main__":
    main()

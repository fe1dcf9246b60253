#!/usr/bin/env python3
"""Make objectives.json: what PyTorch computes of the losses that compare predictions, and of preferences.

Usage: make-objectives.py > objectives.json

Needs torch; its version is in the file. Numbers are drawn and computed in float64, and inputs
are exact in float32. Each case has its inputs, the loss of each unit, and gradients of their sum.
"""

import json
import sys

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
GENERATOR = torch.Generator().manual_seed(11)


def draw(*shape, scale=1.5):
    return (torch.randn(*shape, generator=GENERATOR) * scale).float().double()


def rounded(t):
    return [float(f"{v:.9g}") for v in t.detach().flatten().tolist()]


def kl(kind, reference, x, temperature):
    """KL(reference || x) of each row, times temperature squared."""
    r, x = reference / temperature, x / temperature
    if kind == "classes":
        rows = F.kl_div(torch.log_softmax(x, -1), torch.log_softmax(r, -1), reduction="none", log_target=True).sum(-1)
    elif kind == "labels":
        q = torch.sigmoid(r)
        rows = (F.binary_cross_entropy_with_logits(x, q, reduction="none")
                - F.binary_cross_entropy_with_logits(r, q, reduction="none")).mean(-1)
    else:
        return ((x - r) ** 2).mean(-1) * temperature**2
    return rows * temperature**2


def rdrop(kind, x):
    """As compute_kl_loss() of the paper's authors, row by row; of numbers their squared difference."""
    p, q = x[: len(x) // 2], x[len(x) // 2:]
    if kind == "numbers":
        both = kl(kind, p, q, 1)
    else:
        both = (kl(kind, p, q, 1) + kl(kind, q, p, 1)) / 2
    return torch.cat([both, both])


def finish(case, loss, inputs):
    loss.sum().backward()
    case["loss"] = rounded(loss)
    case["grad"] = {name: rounded(t.grad) for name, t in inputs.items()}
    return case


def dense(what, kind, units, width, temperature=1.0, rows=0):
    x = draw(units, width).requires_grad_()
    case = {"what": what, "kind": kind, "units": units, "width": width, "temperature": temperature, "x": rounded(x)}
    if what == "twins":
        return finish(case, rdrop(kind, x), {"x": x})
    reference = draw(rows, width)
    case.update(rows=rows, reference=rounded(reference))
    return finish(case, kl(kind, reference.repeat(units // rows, 1), x, temperature), {"x": x})


def capped(t, cap):
    return cap * torch.tanh(t / cap) if cap else t


def linear(what, units, width, vocabulary, cap=0.0, temperature=1.0, rows=0, theirs=0, top=0):
    """Logits over a vocabulary; the reference is another decoder's, whose vocabulary has `theirs` words, or `top` of them."""
    x, w, b = draw(units, width).requires_grad_(), draw(vocabulary, width, scale=0.5).requires_grad_(), draw(vocabulary)
    b.requires_grad_()
    logits = capped(x @ w.T + b, cap)
    case = {"what": what, "kind": "classes", "units": units, "width": width, "vocabulary": vocabulary, "cap": cap,
            "temperature": temperature, "x": rounded(x), "w": rounded(w), "b": rounded(b)}
    inputs = {"x": x, "w": w, "b": b}
    if what == "twins":
        return finish(case, rdrop("classes", logits), inputs)
    if what == "log_prob":
        labels = torch.randint(0, vocabulary, (units,), generator=GENERATOR)
        case["labels"] = labels.tolist()
        return finish(case, torch.log_softmax(logits, -1)[torch.arange(units), labels], inputs)
    case["rows"] = rows
    if top:
        ids = torch.stack([torch.randperm(vocabulary, generator=GENERATOR)[:top] for _ in range(rows)])
        known = draw(rows, top)
        reference = torch.full((rows, vocabulary), -1e30).scatter(1, ids, known)
        case.update(top=top, ids=ids.flatten().tolist(), known=rounded(known))
    else:
        rx, rw = draw(rows, width + 1), draw(theirs, width + 1, scale=0.5)
        reference = (rx @ rw.T)[:, :vocabulary]
        missing = torch.full((rows, max(0, vocabulary - theirs)), -1e30)
        reference = torch.cat([reference, missing], 1)
        case.update(rx=rounded(rx), rw=rounded(rw), theirs=theirs)
    return finish(case, kl("classes", reference.repeat(units // rows, 1), logits, temperature), inputs)


def log_one_minus_exp(a):
    return torch.log(-torch.expm1(a))


def preference(what, examples, beta, smoothing=0.0, weights=(1.0, 1.0), divergence=0.0):
    """DPO, ORPO and KTO as their papers have them, and trl 1.16 (orpo's term for the preferred text is the mean over its tokens)."""
    rows = examples if what == "kto" else 2 * examples
    x = (-draw(rows, 1).abs() - 0.01).float().double().requires_grad_()
    reference = (-draw(rows, 1).abs()).float().double()
    case = {"what": what, "examples": examples, "beta": beta, "x": rounded(x), "reference": rounded(reference)}
    if what == "kto":
        good = torch.randint(0, 2, (rows, 1), generator=GENERATOR).double()
        good[0], good[1] = 0, 1
        case.update(good=rounded(good), desirable=weights[0], undesirable=weights[1], divergence=divergence)
        ratio = x - reference
        loss = torch.where(good > 0, weights[0] * (1 - torch.sigmoid(beta * (ratio - divergence))),
                           weights[1] * (1 - torch.sigmoid(beta * (divergence - ratio))))
        return finish(case, loss, {"x": x})
    chosen, rejected = x.view(-1, 2).unbind(1)
    if what == "orpo":
        odds = (chosen - rejected) - (log_one_minus_exp(chosen) - log_one_minus_exp(rejected))
        return finish(case, -chosen - beta * F.logsigmoid(odds), {"x": x})
    case["smoothing"] = smoothing
    ratio = reference.view(-1, 2)
    h = beta * ((chosen - ratio[:, 0]) - (rejected - ratio[:, 1]))
    return finish(case, -F.logsigmoid(h) * (1 - smoothing) - F.logsigmoid(-h) * smoothing, {"x": x})


def main():
    cases = [dense("twins", kind, 6, 4) for kind in ("classes", "labels", "numbers")]
    cases += [dense("reference", kind, 6, 4, temperature=t, rows=r)
              for kind, t, r in (("classes", 1.0, 6), ("classes", 2.5, 3), ("labels", 2.0, 3), ("numbers", 1.0, 6))]
    cases += [linear("twins", 6, 5, 11), linear("twins", 4, 5, 11, cap=0.8), linear("log_prob", 5, 5, 11),
              linear("log_prob", 5, 5, 11, cap=0.8),
              linear("reference", 6, 5, 11, temperature=2.0, rows=3, theirs=11),
              linear("reference", 4, 5, 11, cap=0.8, rows=4, theirs=7),
              linear("reference", 4, 5, 11, rows=4, theirs=14),
              linear("reference", 6, 5, 11, temperature=2.0, rows=3, top=4)]
    cases += [preference("dpo", 4, 0.5), preference("dpo", 3, 0.5, smoothing=0.2), preference("orpo", 4, 0.3),
              preference("kto", 5, 0.7, weights=(1.2, 0.8), divergence=0.4)]
    json.dump({"torch": torch.__version__, "cases": cases}, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()

"""make-seeds.py - writes the seeds of archives, adapters and checkpoints: files that are right, some of them oddly so.

    PATH=build/bin:$PATH python3 tests/fuzz/make-seeds.py
"""
import io, json, os, shutil, struct, subprocess, tarfile, tempfile, zipfile

SEEDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "seeds")
BERT = {"model_type": "bert", "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 1,
        "num_attention_heads": 2, "vocab_size": 9, "max_position_embeddings": 5}  # as in tiny.h
LLAMA = {**BERT, "model_type": "llama", "architectures": ["LlamaForCausalLM"], "tie_word_embeddings": True}


def seed(harness, name, data):
    os.makedirs(f"{SEEDS}/{harness}", exist_ok=True)
    with open(f"{SEEDS}/{harness}/{name}", "wb") as f:
        f.write(data)


# ---- archives: a byte of flags (see archive.c), then the archive ----
def tar(*members, form=tarfile.USTAR_FORMAT):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as t:
        for name, text, kind in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.size = len(text) if kind == tarfile.REGTYPE else 0
            info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            t.addfile(info, io.BytesIO(text))
    blocks = -(-len(raw.getvalue().rstrip(b"\0")) // 512)
    return raw.getvalue()[:512 * blocks] + bytes(1024)


def zipped(method, *members):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", method) as z:
        for name, text in members:
            z.writestr(zipfile.ZipInfo(name), text, method)
    return raw.getvalue()


FILE, two = tarfile.REGTYPE, [("a.tsv", b"x\tone\ny\ttwo\n", tarfile.REGTYPE), ("b/c.txt", b"three\n", tarfile.REGTYPE)]
seed("archive", "tar", b"\0" + tar(*two))
seed("archive", "tar-gz-lines-member", b"\x0d" + tar(*two))
seed("archive", "tar-zst-pax", b"\2" + tar(("ü/" + "long" * 40 + ".tsv", b"text\n", FILE), form=tarfile.PAX_FORMAT))
seed("archive", "tar-bz2-gnu", b"\3" + tar(("long" * 40 + ".tsv", b"text\n", FILE), form=tarfile.GNU_FORMAT))
seed("archive", "tar-outside", b"\4" + tar(("../../x.tsv", b"up\n", FILE), ("/etc/x.tsv", b"root\n", FILE),
                                           ("a\n\33[31m", b"c\n", FILE)))
seed("archive", "tar-links", b"\0" + tar(("s.tsv", b"", tarfile.SYMTYPE), ("h.tsv", b"", tarfile.LNKTYPE),
                                         ("d", b"", tarfile.DIRTYPE), ("p", b"", tarfile.FIFOTYPE),
                                         ("c", b"", tarfile.CHRTYPE), ("e.tsv", b"", FILE)))
seed("archive", "tar-two", b"\0" + tar(*two) + tar(("again.tsv", b"z\n", FILE)))
seed("archive", "zip-stored", b"\4" + zipped(zipfile.ZIP_STORED, ("a.tsv", "x\tone\n"), ("../b.tsv", "y\n"), ("d/", "")))
seed("archive", "zip-deflated", b"\x0c" + zipped(zipfile.ZIP_DEFLATED, ("a.tsv", "one two three " * 9 + "\n")))
seed("archive", "text", b"\4" + b"no archive\nat all\n")


# ---- adapters: as adapter.c says ----
def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def adapter(name, base, folder, weights, head):
    read = lambda f: open(f"{folder}/{f}", "rb").read()
    own = read(weights)
    tensors = struct.pack("<H", len(own)) + own + read("model_head.safetensors") if head else own
    configs = [read("adapter_config.json"), read("head_config.json") if head else b""]
    seed("adapter", name, bytes([base]) + b"\0".join([*configs, tensors]))


def safetensors(tensors):
    head, data = {}, b""
    for name, shape, values in tensors:
        raw = struct.pack(f"<{len(values)}f", *values)
        head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + data


with tempfile.TemporaryDirectory() as work:
    os.chdir(work)
    for name, config in ("bert", BERT), ("llama", LLAMA):
        os.makedirs(f"{name}-config")
        json.dump(config, open(f"{name}-config/config.json", "w"))
        run("ft-freeze", "-q", "--init", f"{name}-config", "-o", f"{name}.ft")
        run("ft-export", "-q", "-m", f"{name}.ft", name)
    made = [("peft-lora", 0, "peft", ["--lora", "r=2,sites=layer.*"], "classify:a,b"),
            ("peft-lora-some", 0, "peft", ["--lora", "r=2,r:*.q=1,alpha:*.k=3,rslora"], "tag:O,B-X"),
            ("peft-prompt", 0, "peft", ["--prompt", "n=2"], "classify:a,b"),
            ("peft-lora-lm", 1, "peft", ["--lora", "r=2"], "lm"),
            ("peft-prefix", 1, "peft", ["--prefix", "n=2"], "lm"),
            ("adapterhub-houlsby", 0, "adapterhub", ["--bottleneck=kind=houlsby,reduction=2"], "classify:a,b"),
            ("adapterhub-parallel", 0, "adapterhub", ["--bottleneck=kind=parallel,reduction=2"], "regress")]
    for name, base, form, technique, head in made:
        run("ft-freeze", "-q", *technique, "--head", head, ["bert", "llama"][base], "-o", "plan.ft")
        run("ft-export", "-q", "-m", "plan.ft", "--to", form, name)
        adapter(name, base, name, "adapter_model.safetensors" if form == "peft" else "adapter.safetensors",
                os.path.exists(f"{name}/head_config.json"))
    module, ones = "model.layers.0.self_attn.q_proj", [1.0] * 8
    config = {"model": "llama", "fine_tune_type": "lora", "num_layers": 1,
              "lora_parameters": {"rank": 2, "scale": 20.0, "dropout": 0.0}}
    seed("adapter", "mlx", b"\1" + json.dumps(config).encode() + b"\0\0" +
         safetensors([(module + ".lora_a", [4, 2], ones), (module + ".lora_b", [2, 4], ones)]))
    os.chdir(SEEDS)

# ---- checkpoints: flags and changes (see checkpoint.c) ----
for flags in range(4):
    seed("checkpoint", f"whole-{flags}", bytes([flags]))
seed("checkpoint", "bit", b"\0" + bytes([0, 2, 0, 1]))
for at in (40, 200, 400, 600, 800, 1000):
    seed("checkpoint", f"digit-{at}", b"\2" + bytes([1, at >> 8, at & 255, 0x39]))
seed("checkpoint", "lost", b"\2" + bytes([2, 4, 0, 3]))
seed("checkpoint", "doubled", b"\3" + bytes([3, 1, 0, 7]))

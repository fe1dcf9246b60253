#!/bin/sh
# ft-pull against a hub of our own on 127.0.0.1: complete and checked, or not there.
. "$(dirname "$0")/../lib.sh"
command -v curl >/dev/null || { skip 'no curl'; done_testing; }
python3 -c 'import http.server' 2>/dev/null || { skip 'no python3'; done_testing; }

M=$SRC/tests/ref/tiny-bert
cat >"$T/hub.py" <<'END'
# A hub: /org/NAME/resolve/REV/FILE serves the model folder argv[1]; what is wrong with NAME, its name says.
# Every request is a line of argv[2]: status, path, Range, whether it had the token.
import hashlib, http.server, json, os, sys, threading, time
model, log = sys.argv[1], open(sys.argv[2], "w", buffering=1)
commit, seen = "c0ffee" + "0" * 34, set()
whole = open(model + "/model.safetensors", "rb").read()

def content(name, file):
    if name == "pickle" and file.startswith("model."): return None
    if name == "short" and file == "model.safetensors": return whole[:-4]
    if name in ("shards", "evil", "gone"):
        if file == "model.safetensors": return None
        if file == "model.safetensors.index.json":
            shards = {"shards": ["s-1.safetensors", "s-2.safetensors"], "evil": ["../x.safetensors"], "gone": ["s-3.safetensors"]}[name]
            return json.dumps({"metadata": {}, "weight_map": {"t%d" % i: s for i, s in enumerate(shards)}}).encode()
        if file in ("s-1.safetensors", "s-2.safetensors"): return whole
    if name in ("sentences", "outside"):
        paths = ["", "1_Pooling", "2_Normalize"] if name == "sentences" else ["", "../1_Pooling"]
        more = {"modules.json": [{"path": p, "type": "t"} for p in paths], "sentence_bert_config.json": {"max_seq_length": 9},
                "1_Pooling/config.json": {"pooling_mode": "mean"}}
        if file in more: return json.dumps(more[file], indent=1).encode()
    try: return open(os.path.join(model, file), "rb").read()
    except OSError: return None

class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def answer(self, status, body=b"", send=None, **headers):
        log.write(f"{status} {self.path} {self.headers.get('Range', '-')} {'token' if self.headers.get('Authorization') == 'Bearer secret-1' else '-'}\n")
        self.send_response(status)
        for k, v in headers.items(): self.send_header(k.replace("_", "-"), v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if send is None else body[:send])
        self.wfile.flush()
        if send is not None:
            if "/stall/" in self.path: time.sleep(20)
            self.close_connection = True
    def do_GET(self):
        if self.path.startswith("/nothing/"): return self.answer(404)
        _, org, name, _, rev, file = self.path.split("/", 5)
        if name == "private" and self.headers.get("Authorization") != "Bearer secret-1": return self.answer(401)
        if name == "busy" and self.path not in seen and file == "config.json":
            seen.add(self.path)
            return self.answer(503)
        if rev not in ("main", "v1", commit): return self.answer(404)
        body = content(name, file)
        if body is None: return self.answer(404)
        if name == "private" and org == "org":
            return self.answer(302, Location=f"http://localhost:{self.server.server_port}/cdn/moved/resolve/{rev}/{file}", X_Repo_Commit=commit)
        more = {"X_Repo_Commit": commit}
        if file.endswith(".safetensors"):
            digest = hashlib.sha256(body).hexdigest()
            more["X_Linked_Etag"] = '"%s"' % (digest if name != "bad" else digest[::-1])
        first = self.path not in seen
        seen.add(self.path)
        cut = len(body) // 2 if name in ("cut", "norange", "stall") and file == "model.safetensors" and first else None
        start = self.headers.get("Range")
        if start and name != "norange":
            start = int(start[6:-1])
            if start >= len(body): return self.answer(416, Content_Range="bytes */%d" % len(body), **more)
            return self.answer(206, body[start:], cut, Content_Range="bytes %d-%d/%d" % (start, len(body) - 1, len(body)), **more)
        self.answer(200, body, cut, **more)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
print(server.server_port, flush=True)
server.serve_forever()
END
python3 "$T/hub.py" "$M" "$T/requests" >"$T/port" 2>"$T/hub.err" &
hub=$!
trap 'kill $hub 2>/dev/null; rm -rf "$T"' EXIT
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -s "$T/port" ] && break; sleep 0.2; done
[ -s "$T/port" ] || { skip 'no server on 127.0.0.1'; done_testing; }
HF_ENDPOINT=http://127.0.0.1:$(cat "$T/port")
unset HF_TOKEN http_proxy all_proxy HTTP_PROXY ALL_PROXY
export HF_ENDPOINT
cd "$T" || exit 1

same() { for f in "$M"/*; do cmp -s "$f" "$1/${f##*/}" || { echo "${f##*/} differs"; return 1; }; done; }
requests() { grep "/$1/" "$T/requests" | grep "/$2 "; }

# ---- what goes well ----
is 'a folder is brought' "$(ft-pull org/plain 2>&1 | sed 's/: [0-9.]* MB$/: N MB/')" \
	"ft-pull: org/plain at commit c0ffee0000000000000000000000000000000000
ft-pull: plain: N MB"
ok 'all of it' same plain
is 'and nothing else' "$(ls -A plain | tr '\n' ' ')" "$(ls -A "$M" | tr '\n' ' ')"
like 'config.json comes first, of the branch' "$(requests plain config.json)" '^200 /org/plain/resolve/main/config\.json - -$'
like 'the rest is of one commit' "$(requests plain model.safetensors)" '^200 /org/plain/resolve/c0ffee0+/model'
ok 'and ft-freeze takes it' sh -c 'ft-freeze plain >plan.ft'
ok 'a revision and a folder' ft-pull -qr v1 -o there/sub org/plain
ok 'are as asked' same there/sub
sum=$(sha256sum <"$M/vocab.txt"); sum=${sum%% *}
ok 'a digest that is right' ft-pull -q --sha256 "vocab.txt=$sum" -o digest org/plain
ok 'shards, by their index' ft-pull -q org/shards
is 'come all' "$(ls shards | grep -c safetensors)" 3
is 'a refused file of a private repository' "$(HF_TOKEN=secret-1 ft-pull -q -o private org/private && same private)" ''
is 'the token is not shown to another host' "$(grep -c '/cdn/.* token' "$T/requests")" 0
is 'the token was used' "$(requests private vocab.txt | grep -c '/org/.* token')" 1
ok 'a sentence-transformers model' ft-pull -q org/sentences
is 'with what says how vectors are made' "$(cd sentences && find . -type f | sort | tr '\n' ' ')" './1_Pooling/config.json ./config.json ./model.safetensors ./modules.json ./sentence_bert_config.json ./tokenizer.json ./tokenizer_config.json ./vocab.txt '
is 'and nothing that is empty' "$(ls -d sentences/*/)" sentences/1_Pooling/
fails 'a module outside of the folder' 65 ft-pull -q org/outside
ok 'a busy hub is asked again' ft-pull -q org/busy

# ---- what is interrupted ----
timeout 60 ft-pull -q org/stall 2>/dev/null &
pull=$!
for _ in $(seq 100); do [ -s stall.part/model.safetensors.part ] && break; sleep 0.1; done
kill $pull
wait $pull 2>/dev/null
is 'interrupted: the folder is not there' "$(ls -d stall stall.part 2>/dev/null)" stall.part
ok 'and half of the weights are' test -s stall.part/model.safetensors.part
ok 'a second run completes it' ft-pull -q org/stall
ok 'to the same bytes' same stall
like 'with what was missing' "$(requests stall model.safetensors | tail -n 1)" '^206 .* bytes=[1-9][0-9]*- '
is 'and nothing twice' "$(requests stall vocab.txt | wc -l)" 1
ok 'a cut connection is taken up' ft-pull -q org/cut
ok 'to the same bytes' same cut
like 'where it was cut' "$(requests cut model.safetensors | tail -n 1)" '^206 .* bytes=[1-9][0-9]*- '
ok 'also by a hub that cannot resume' ft-pull -q org/norange
ok 'to the same bytes' same norange
# Killed between the last byte and the rename.
mkdir late.part
printf '%s\n' "$HF_ENDPOINT org/late main" v1 >late.part/.origin
cp "$M/model.safetensors" late.part/model.safetensors.part
ok 'all bytes there already' ft-pull -q org/late
is 'are not sent again' "$(requests late model.safetensors | cut -c 1-3)" 416
mkdir old.part
printf '%s\n' "$HF_ENDPOINT org/old main" v1 >old.part/.origin
cat "$M/model.safetensors" "$M/vocab.txt" >old.part/model.safetensors.part
ok 'a longer file of before' ft-pull -q org/old
ok 'is replaced' same old

# ---- what goes wrong ----
fails 'the folder exists' 1 ft-pull -q org/plain
ok 'and stays' same plain
fails 'no such repository' 1 ft-pull -q -o n1 --endpoint "$HF_ENDPOINT/nothing" org/plain
fails 'no such revision' 1 ft-pull -q -r v2 -o n2 org/plain
like 'is said' "$(cat "$T/.err")" "no config.json at revision 'v2'"
fails 'a part of something else' 1 ft-pull -q -o n2 org/plain
like 'is not mixed in' "$(cat "$T/.err")" 'n2.part: holds something else'
fails 'no access' 1 ft-pull -q -o n3 org/private
like 'the token is spoken of' "$(cat "$T/.err")" 'HF_TOKEN'
fails 'pickled weights' 1 ft-pull -q org/pickle
fails 'another digest than asked for' 65 ft-pull -q --sha256 "vocab.txt=$(printf '%064d' 0)" -o n4 org/plain
like 'both are shown' "$(cat "$T/.err")" "vocab.txt: its sha256 is $sum, not 0+"
fails 'another digest than the hub says' 65 ft-pull -q org/bad
fails 'too few bytes for the header' 65 ft-pull -q org/short
like 'is said' "$(cat "$T/.err")" '[0-9]+ bytes, where its header speaks of'
fails 'an index that leads elsewhere' 65 ft-pull -q org/evil
fails 'a shard that is not there' 65 ft-pull -q org/gone
fails 'no hub' 1 ft-pull -q --endpoint http://127.0.0.1:1 -o n5 org/plain
fails 'a digest of a file that does not come' 2 ft-pull -q --sha256 "x.bin=$sum" -o n6 org/plain
is 'none of these made a folder' "$(ls -d n? bad short evil gone pickle 2>/dev/null)" ''
for bad in '' a/b/c ../x 'a b' '-r' '-r x?y m' '--sha256 vocab.txt=1 m' '--endpoint file:///x m' '--nonsense m' 'a b' '--quiet=1 m'; do
	fails "refused: $bad" 2 ft-pull $bad
done
HF_TOKEN='a"b' fails 'a token that is none' 2 ft-pull m
is 'nothing went wrong in the hub itself' "$(grep -v -e BrokenPipe -e ConnectionReset "$T/hub.err" | grep -c Error)" 0
done_testing

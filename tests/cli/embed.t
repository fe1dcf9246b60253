#!/bin/sh
# Sentence vectors with the tools: plans, examples of several texts through tokens, batches, training, measuring
# and export. (Values against sentence-transformers: tests/ref/sentences.t and tests/unit/embed.c.)
. "$(dirname "$0")/../lib.sh"
cd "$T"
cp -r "$SRC/tests/ref/tiny-bert" bert
cp "$SRC/tests/ref/sentences/pairs.tsv" .

head_of() { ft-cat --header "$1" | sed 's/.*"head":\({[^}]*}*\).*/\1/; s/,"[a-z_]*":{.*//'; }

# ---- plans ----
ft-freeze -q --head embed bert >plan.ft
like 'a folder that says nothing: the mean' "$(ft-cat -H plan.ft)" '"head":\{"type":"embed","pooling":\["mean"\]\}'
ft-freeze -q --head embed:max,cls --normalize --loss cosent --scale 5 bert >max.ft
like 'what is named' "$(ft-cat -H max.ft)" \
	'"head":\{"type":"embed","pooling":\["max","cls"\],"normalize":true,"loss":\{"name":"cosent","scale":5.0\}\}'
ft-freeze -q --loss mnrl --symmetric --distinct max.ft >again.ft
like 'another loss for the same vectors' "$(ft-cat -H again.ft)" \
	'"pooling":\["max","cls"\],"normalize":true,"loss":\{"name":"mnrl","symmetric":true,"distinct":true\}'
ft-freeze -q --head embed max.ft >same.ft
like 'a head without a pooling keeps the one there is' "$(ft-cat -H same.ft)" '"head":\{"type":"embed","pooling":\["max","cls"\],"normalize":true\}'

mkdir sentence sentence/1_Pooling
cp bert/* sentence
echo '[{"idx":0,"path":"","type":"m.Transformer"},{"idx":1,"path":"1_Pooling","type":"m.Pooling"},
{"idx":2,"path":"2_Normalize","type":"m.Normalize"}]' >sentence/modules.json
echo '{"word_embedding_dimension":32,"pooling_mode_cls_token":true}' >sentence/1_Pooling/config.json
echo '{"max_seq_length":7,"do_lower_case":true}' >sentence/sentence_bert_config.json
echo '{"prompts":{"q":"the book "},"default_prompt_name":"q"}' >sentence/config_sentence_transformers.json
ft-freeze -q --head embed sentence >s.ft
like 'a folder of sentence-transformers says all of it' "$(ft-cat -H s.ft)" \
	'"head":\{"type":"embed","max_length":7,"prompt":"the book ","pooling":\["cls"\],"normalize":true\}'
ft-freeze -q --head embed:mean sentence >s-mean.ft
like 'another pooling keeps length and prompt' "$(ft-cat -H s-mean.ft)" \
	'"head":\{"type":"embed","pooling":\["mean"\],"max_length":7,"prompt":"the book "\}'
is 'the prompt goes before, and the length holds' "$(echo 'was good and bright and long' | ft-tokenize -q -m s.ft | ft-cat --text -m bert)" \
	'stdin:1		[CLS] the book was good and [SEP]'
is 'the same of texts that belong together' "$(printf 'a film\ta play\n' | ft-tokenize -q -m s.ft -f tsv -t 1 -p 2 | ft-cat --text -m bert | cut -f 3)" \
	'[CLS] the book a film [SEP]
[CLS] the book a play [SEP]'
is 'and of a prediction' "$(echo 'was good' | ft-predict -q -m sentence | cut -c 1-60)" \
	"$(echo 'the book was good' | ft-predict -q -m bert --vectors cls --normalize | cut -c 1-60)"
is 'a longer text may be asked for' "$(echo 'was good and bright and long' | ft-tokenize -q -m s.ft --max-length 20 | ft-cat --text -m bert)" \
	'stdin:1		[CLS] the book was good and bright and long [SEP]'
sed 's/Pooling"}/&,{"idx":2,"path":"2_Dense","type":"m.Dense"}/' sentence/modules.json >modules && mv modules sentence/modules.json
ok 'a folder whose vectors cannot be made is still a model' ft-freeze --head classify:a,b sentence -o other.ft
ok 'whose pooling can be named' ft-freeze --head embed:mean sentence -o other.ft
fails 'but not taken over' 65 ft-freeze --head embed sentence
like 'with its reason' "$(cat .err)" 'module 2 is Dense'

fails 'an unknown pooling' 2 ft-freeze --head embed:middle bert
fails 'a pooling twice said' 2 ft-freeze --head embed:mean --pooling cls bert
fails 'a pooling without a new head' 2 ft-freeze --pooling cls plan.ft
fails 'a pooling of what sees every token' 2 ft-freeze --head mlm --pooling cls bert
fails 'a length of nothing' 2 ft-freeze --head regress --normalize bert
fails 'an unknown loss' 2 ft-freeze --head embed --loss triplet bert
fails 'a loss of another head' 2 ft-freeze --head regress --loss cosine bert
fails 'options of another loss' 2 ft-freeze --head embed --loss cosine --distinct bert
fails 'a scale below 0' 2 ft-freeze --head embed --scale=-1 bert

# ---- examples of several texts ----
ft-tokenize -q -m plan.ft -t 2 -p 3 -l 1 pairs.tsv >scored.tok
ft-tokenize -q -m plan.ft -t 2 -p 3 --negative 4 pairs.tsv >triples.tok
is 'two texts and a score' "$(ft-cat scored.tok | sed -n 2p)" \
	'{"ids":[2,66,75,68,82,3,2,14,79,82,75,3],"offsets":[0,6,12],"targets":[0.9],"src":"pairs.tsv:1"}'
is 'three texts' "$(ft-cat triples.tok | sed -n 2p | grep -o '"offsets.*')" '"offsets":[0,6,12,19],"src":"pairs.tsv:1"}'
is 'as text' "$(ft-cat --text -m plan.ft triples.tok | sed -n 4,6p)" \
	'pairs.tsv:2		[CLS] a dull book [SEP]
		[CLS] the book is dull and slow [SEP]
		[CLS] a dull play [SEP]'
ft-cat triples.tok | ft-cat --from-json -o back.tok
is 'there and back as JSON lines' "$(ft-cat back.tok | sed '1d;$d')" "$(ft-cat triples.tok | sed '1d;$d')"
like 'counted' "$(ft-cat --verify triples.tok)" '9 examples, 163 tokens, 0 labels'
printf '{"a":"the film","b":"a film","c":"a dull film","s":3}\n' >rows.jsonl
is 'from JSON lines' "$(ft-tokenize -q -m plan.ft -t a -p b --negative c -l s rows.jsonl | ft-cat | sed -n 2p | grep -o '"offsets.*')" \
	'"offsets":[0,4,8,13],"targets":[3],"src":"rows.jsonl:1"}'
fails 'a member that is not there' 65 ft-tokenize -q -m plan.ft -t a -p b --negative d rows.jsonl
fails 'a negative alone' 2 ft-tokenize -m plan.ft -t 2 --negative 4 pairs.tsv
fails 'texts that belong together are not split' 2 ft-tokenize -m plan.ft -t 2 -p 3 --max-length 5 --long split pairs.tsv
is 'each text is cut for itself' "$(ft-tokenize -q -m plan.ft -t 2 -p 3 --max-length 5 pairs.tsv | ft-cat | sed -n 2p | cut -c 1-60)" \
	'{"ids":[2,66,75,68,3,2,14,79,82,3],"offsets":[0,5,10],"src":'
fails 'or that is an error' 65 ft-tokenize -m plan.ft -t 2 -p 3 --max-length 5 --long error pairs.tsv
like 'with its place' "$(cat .err)" '^ft-tokenize: pairs.tsv:1: has [0-9]+ tokens, and 3 are allowed$'
is 'or the example dropped' "$(ft-tokenize -q -m plan.ft -t 2 -p 3 --max-length 6 --long drop pairs.tsv | ft-cat | sed '1d;$d' | wc -l)" 3
is 'other heads see a pair as one row' "$(ft-freeze -q --head regress bert -o r.ft; ft-tokenize -q -m r.ft -t 2 -p 3 -l 1 pairs.tsv | ft-cat | sed -n 2p)" \
	'{"ids":[2,66,75,68,82,3,14,79,82,75,3],"types":[0,0,0,0,0,0,1,1,1,1,1],"targets":[0.9],"src":"pairs.tsv:1"}'

# ---- batches ----
ft-batch -q --rows 4 --epochs 2 --shuffle 3 triples.tok >triples.bat
is 'rows count texts, a batch so many examples' "$(ft-cat -H triples.bat | grep -o '"batches":[0-9]*,"examples":[0-9]*,"rows":[0-9]*,"tokens":[0-9]*')" \
	'"batches":6,"examples":9,"rows":54,"tokens":326'
ok 'and that is so' ft-cat --verify triples.bat
is 'an example keeps its texts' "$(ft-cat --text -m plan.ft triples.bat | grep -A 2 'tsv:2	' | tail -n 3)" \
	"$(ft-cat --text -m plan.ft triples.tok | sed -n 4,6p)"
is 'a batch says how many' "$(ft-cat triples.bat | sed -n 2p | grep -o '"texts":[0-9]*')" '"texts":3'
is 'a split keeps an anchor together' "$(for side in train rest; do
	ft-batch -q --split $side:0.5 scored.tok | ft-cat --text -m plan.ft | grep -c 'a dull book'; done | sort -n | tail -n 1)" 2
fails 'streams of pairs and of triples do not mix in a batch' 65 ft-batch -q scored.tok triples.tok
fails 'tokens of several texts are not hidden' 2 ft-batch --mask triples.tok

# bad DESCRIPTION KIND RECORD: a stream with this record is refused.
bad() {
	printf '%s\n' "{\"ft\":1,\"kind\":\"$2\",\"meta\":{\"task\":\"embed\"}}" "$3" '{"end":1}' | ft-cat --from-json -o bad.ft
	fails "$1" 65 ft-cat --verify bad.ft
}
bad 'offsets beyond the ids' tokens '{"ids":[1,2,3],"offsets":[0,2,4]}'
bad 'offsets that fall' tokens '{"ids":[1,2,3],"offsets":[0,2,1,3]}'
bad 'an empty text' tokens '{"ids":[1,2,3],"offsets":[0,3,3]}'
bad 'no text' tokens '{"ids":[1,2,3],"offsets":[0]}'
bad 'rows that are no whole examples' batches '{"ids":[1,2,3],"offsets":[0,1,2,3],"texts":2}'
bad 'examples of no texts' batches '{"ids":[1,2],"offsets":[0,1,2],"texts":0}'
bad 'texts in a text' batches '{"ids":[1,2],"offsets":[0,1,2],"texts":"2"}'
bad 'a source for each row' batches '{"ids":[1,2],"offsets":[0,1,2],"texts":2,"src":["a","b"]}'
bad 'a label for each row of several texts' batches '{"ids":[1,2,3],"offsets":[0,1,3],"texts":2,"labels":[1,0]}'

# ---- training and measuring ----
ft-batch -q --rows 9 scored.tok >valid.bat
ft-batch -q --epochs 120 --shuffle 1 scored.tok >train.bat
ok 'CoSENT trains, and keeps what is best by a measure' ft-train -q -m plan.ft --lr 2e-3 --dropout 0 --valid valid.bat --valid-every 30 \
	--metric cosine.spearman --log log.jsonl -o tuned.ft train.bat
is 'the loss falls' "$(sed -n '1p;119p' log.jsonl | grep -o '"loss":[0-9.]*' | cut -d : -f 2 | awk 'NR == 1 { a = $1 } END { print ($1 < a / 2) }')" 1
is 'and the vectors agree with the scores' "$(ft-eval -q -m tuned.ft --fail-below cosine.spearman=0.95 valid.bat >report; echo $?)" 0
like 'a table' "$(cat report)" 'euclidean.spearman +0\.9'
like 'against the body before' "$(ft-eval -q -m tuned.ft --baseline plan.ft valid.bat)" 'cosine.spearman +[01]\.[0-9]+ +-?0\.[0-9]+ +\+'
fails 'a criterion of another kind of data is not met' 2 ft-eval -q -m tuned.ft --fail-below mrr@10=0.1 valid.bat
like 'a loss of pairs without scores' "$(ft-freeze -q --loss mnrl plan.ft | ft-train -m - -q train.bat 2>&1 >/dev/null)" "the loss 'mnrl' of - is for pairs without scores"
ft-freeze -q --loss mnrl --distinct plan.ft >ranks.ft
ok 'ranking trains' ft-train -q -m ranks.ft --lr 1e-3 --accumulate 2 -o ranked.ft triples.bat
like 'and is measured by retrieval' "$(ft-batch -q triples.tok | ft-eval -q -m ranked.ft --json)" '"accuracy@1":[01]\.[0-9]*,"recall@5":.*"documents":7'
fails 'one text is compared with nothing' 65 sh -c 'cut -f 2 pairs.tsv | ft-tokenize -q -m plan.ft | ft-batch -q | ft-eval -q -m plan.ft'
fails 'predictions of vectors' 2 ft-eval -m plan.ft --predictions p.jsonl valid.bat
fails 'a head for one text refuses several' 78 ft-eval -q -m r.ft valid.bat
fails 'a prediction is of one text' 78 ft-predict -q -m plan.ft scored.tok
fails 'a vector of a pair' 2 ft-predict -m plan.ft --pair 3 pairs.tsv
ft-train -q -j1 -m ranks.ft -o one.ft triples.bat && ft-train -q -j3 -m ranks.ft -o three.ft triples.bat
ok 'threads change no byte' cmp one.ft three.ft

# ---- on from there ----
ft-freeze -q --head classify:lo,hi --pooling auto --last-layers 0 tuned.ft >few.ft
is 'a classifier on the tuned vectors, which alone trains' "$(ft-freeze --show few.ft --last-layers 0 | tail -n 1 | cut -d ' ' -f 1-3)" '66 of 22946'
awk -F '\t' -v OFS='\t' '{ print ($1 > 0.3 ? "hi" : "lo"), $2 }' pairs.tsv >classes.tsv
ft-tokenize -q -m few.ft classes.tsv >classes.tok
ok 'trains' sh -c 'ft-batch -q --epochs 5 --shuffle 1 classes.tok | ft-train -q -m few.ft --dropout 0 -o few-tuned.ft'
is 'and leaves the vectors alone' "$(cut -f 2 pairs.tsv | ft-predict -q -m few-tuned.ft --vectors auto)" "$(cut -f 2 pairs.tsv | ft-predict -q -m tuned.ft)"
fails 'transformers has no such classifier' 2 ft-export -q -m few-tuned.ft out

# ---- export ----
ft-export -q -m s-mean.ft out
is 'files' "$(cd out && find . -type f | LC_ALL=C sort | tr '\n' ' ')" \
	'./1_Pooling/config.json ./README.md ./config.json ./config_sentence_transformers.json ./model.safetensors ./modules.json ./sentence_bert_config.json ./tokenizer.json ./tokenizer_config.json ./vocab.txt '
is 'the older form' "$(tr -d ' \n' <out/1_Pooling/config.json)" '{"word_embedding_dimension":32,"pooling_mode_cls_token":false,"pooling_mode_mean_tokens":true,"pooling_mode_max_tokens":false,"pooling_mode_mean_sqrt_len_tokens":false}'
is 'lengths' "$(tr -d ' \n' <out/sentence_bert_config.json)" '{"max_seq_length":7,"do_lower_case":false}'
is 'prompts' "$(tr -d '\n' <out/config_sentence_transformers.json)" '{  "prompts": {    "text": "the book "  },  "default_prompt_name": "text"}'
is 'the same vectors' "$(echo 'was good' | ft-predict -q -m out)" "$(echo 'was good' | ft-predict -q -m s-mean.ft)"
fails 'it is in the way' 1 ft-export -m tuned.ft out
ok 'but may be replaced' ft-export -q -f -m tuned.ft out
is 'whole' "$(ls -A . | grep -c '^out')" 1
ft-export -q -m max.ft max.tar
is 'an archive has the folder' "$(tar tf max.tar | sed -n 1p)" '1_Pooling/config.json'
is 'modes in another order need the newer form' "$(tar xOf max.tar 1_Pooling/config.json | tr -d ' \n')" \
	'{"embedding_dimension":32,"pooling_mode":["max","cls"],"include_prompt":true}'
done_testing

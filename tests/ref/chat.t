#!/bin/sh
# Chat templates of released models, where they lie beside the repository with what transformers made
# of them (make-chat.py --both FOLDER): byte for byte the same.
. "$(dirname "$0")/../lib.sh"

cd "$SRC" || exit
folder=$DATA/chat-templates
if [ -z "$DATA" ] || [ ! -f "$folder/golden.jsonl" ]; then
	skip 'no templates of released models'
	done_testing
fi
head -n 1 "$folder/golden.jsonl" | sed 's/^/# made with /'
ok "$(grep -c '"conversation"' "$folder/golden.jsonl") renderings" "$BUILD/tests/unit/chat" "$folder"
done_testing

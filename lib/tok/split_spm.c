/* split_spm.c - the user-defined pieces of a SentencePiece BPE model: each is a token
 * wherever it stands, the longest first, and merges do not reach over it. A stage that
 * only spm.c puts into a tree.
 *
 *	{"type": "SentencePiece", "user_defined": [[piece, id], ...]}
 */
#include "ft/err.h"
#include "priv.h"
#include "spm.h"

#include <stdlib.h>

static int load(struct ft_tok *t, const json_t *v, void **state)
{
	(void)t;
	*state = ft_alloc(1, sizeof(struct tok_trie));
	return *state ? tok_spm_user_load(v, *state) : FT_EFAIL;
}

static void unload(void *state)
{
	if (state)
		tok_trie_free(state);
	free(state);
}

static int split(const struct tok_walk *w, size_t stage, const void *state, const struct tok_run *in)
{
	int rc = FT_OK;
	size_t done = 0;
	for (size_t i = 0, len; i < in->n && rc == FT_OK; i += len) {
		int32_t id = tok_trie_longest(state, in->s + i, in->n - i, &len), c;
		if (id < 0) {
			len = ft_utf8_get(in->s + i, in->n - i, &c, NULL);
			continue;
		}
		struct tok_run before = tok_run_part(in, done, i);
		if (before.n)
			rc = tok_walk_on(w, stage + 1, &before);
		if (rc == FT_OK)
			rc = tok_emit_part(w->x, id, w->type, in, i, i + len);
		done = i + len;
	}
	struct tok_run last = tok_run_part(in, done, in->n);
	return rc == FT_OK && last.n ? tok_walk_on(w, stage + 1, &last) : rc;
}

const struct tok_stage_kind tok_split_spm = { "SentencePiece", load, unload, .split = split };

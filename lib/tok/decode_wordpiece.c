/* decode_wordpiece.c - pieces that go on a word are joined to it, others by a
 * space; then, if wanted, what splitting English text has done is undone. */
#include "ft/err.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

/* The reference's rules, in its order. Each token is cleaned alone, with the
 * space before it. */
static const char *const rules[][2] = {
	{ " .", "." }, { " ?", "?" }, { " !", "!" }, { " ,", "," }, { " ' ", "'" }, { " n't", "n't" },
	{ " 'm", "'m" }, { " do not", " don't" }, { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" },
};

struct wordpiece {
	char *prefix; /* of a piece that goes on a word */
	bool cleanup;
};

static int load(struct ft_tok *t, const json_t *v, void **state)
{
	int err = FT_OK;
	struct wordpiece *p = *state = ft_alloc(1, sizeof *p);
	(void)t;
	if (!p)
		return FT_EFAIL;
	const char *prefix = ft_json_str(v, "prefix", "##", &err);
	p->cleanup = ft_json_bool(v, "cleanup", true, &err);
	if (err < 0)
		return err;
	return (p->prefix = ft_strdup(prefix)) ? FT_OK : FT_EFAIL;
}

static void unload(void *state)
{
	struct wordpiece *p = state;
	if (p)
		free(p->prefix);
	free(p);
}

/* Replaces in the bytes of b from `from` on; no rule lengthens its match. */
static void replace(struct ft_buf *b, size_t from, const char *old, const char *new)
{
	size_t old_n = strlen(old), new_n = strlen(new), to = from, i = from;
	unsigned char *s = b->data;
	while (i < b->len) {
		if (b->len - i >= old_n && memcmp(s + i, old, old_n) == 0) {
			memcpy(s + to, new, new_n);
			to += new_n;
			i += old_n;
		} else {
			s[to++] = s[i++];
		}
	}
	b->len = to;
}

static int decode(const void *state, const struct tok_list *in, struct tok_list *out)
{
	const struct wordpiece *p = state;
	size_t n = strlen(p->prefix);
	int rc = FT_OK;
	for (size_t i = 0; i < in->n && rc == FT_OK; i++) {
		struct ft_span piece = tok_list_get(in, i);
		size_t from = out->text.len;
		bool goes_on = i && piece.n >= n && memcmp(piece.p, p->prefix, n) == 0;
		if (i && !goes_on)
			rc = tok_list_append(out, " ", 1);
		if (rc == FT_OK)
			rc = tok_list_append(out, piece.p + (goes_on ? n : 0), piece.n - (goes_on ? n : 0));
		for (size_t k = 0; rc == FT_OK && p->cleanup && k < sizeof rules / sizeof *rules; k++)
			replace(&out->text, from, rules[k][0], rules[k][1]);
		rc = rc == FT_OK ? tok_list_end(out) : rc;
	}
	return rc;
}

const struct tok_stage_kind tok_decode_wordpiece = { "WordPiece", load, unload, .decode = decode };

/* decode.c - ids back to text, as the reference's WordPiece decoder does. */
#include "ft/err.h"
#include "priv.h"

#include <string.h>

/* The reference's rules, in its order: it undoes what splitting English text
 * has done. Each token is cleaned alone, with the space before it. */
static const char *const rules[][2] = {
	{ " .", "." }, { " ?", "?" }, { " !", "!" }, { " ,", "," }, { " ' ", "'" }, { " n't", "n't" },
	{ " 'm", "'m" }, { " do not", " don't" }, { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" },
};

/* A token that is looked for in its normal form is also written in it. */
static const char *shown_piece(const struct ft_tok *t, int32_t id)
{
	const struct tok_added *a = tok_added_find(t, id);
	return a && a->normal ? a->normal : ft_tok_piece(t, id);
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

static int decode_one(const struct ft_tok *t, const char *piece, bool first, struct ft_buf *out)
{
	const char *prefix = t->decoder.prefix;
	size_t from = out->len, n = prefix ? strlen(prefix) : 0;
	int rc = FT_OK;
	if (!first && prefix && strncmp(piece, prefix, n) == 0)
		piece += n;
	else if (!first)
		rc = ft_buf_append(out, " ", 1);
	if (rc == FT_OK)
		rc = ft_buf_append(out, piece, strlen(piece));
	if (rc == FT_OK && t->decoder.cleanup)
		for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
			replace(out, from, rules[i][0], rules[i][1]);
	return rc;
}

int ft_tok_decode(const struct ft_tok *t, const int32_t *ids, size_t n, bool skip_special, struct ft_buf *out)
{
	if (t->decoder.unsupported)
		return ft_fail(FT_EFORMAT, "the tokenizer's decoder '%s' is not supported", t->decoder.unsupported);
	bool first = true;
	int rc = FT_OK;
	for (size_t i = 0; i < n && rc == FT_OK; i++) {
		const char *piece = shown_piece(t, ids[i]);
		if (!piece || (skip_special && ft_tok_is_special(t, ids[i])))
			continue;
		rc = decode_one(t, piece, first, out);
		first = false;
	}
	return rc;
}

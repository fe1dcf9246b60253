/* decode.c - ids back to text: their pieces, and what the stages of the decoder
 * make of them. */
#include "ft/err.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

/* A token that is looked for in its normal form is also written in it. */
static const char *shown_piece(const struct ft_tok *t, int32_t id)
{
	const struct tok_added *a = tok_added_find(t, id);
	return a && a->normal ? a->normal : ft_tok_piece(t, id);
}

int tok_list_end(struct tok_list *l)
{
	int rc = ft_grow(&l->end, &l->cap, l->n + 1, sizeof *l->end);
	if (rc == FT_OK)
		l->end[l->n++] = l->text.len;
	return rc;
}

int tok_list_append(struct tok_list *l, const char *s, size_t n)
{
	if (n > l->limit || l->text.len > l->limit - n)
		return ft_fail(FT_EFORMAT, "the tokenizer's decoder makes more than %zu bytes of some tokens, which is"
		               " too much", l->limit);
	return ft_buf_append(&l->text, s, n);
}

int tok_list_add(struct tok_list *l, const char *s, size_t n)
{
	int rc = tok_list_append(l, s, n);
	return rc == FT_OK ? tok_list_end(l) : rc;
}

static void list_free(struct tok_list *l)
{
	ft_buf_free(&l->text);
	free(l->end);
}

/* Strings that no stage joins are joined by spaces, when there is no decoder. */
static int join(const struct ft_tok *t, const struct tok_list *l, struct ft_buf *out)
{
	if (t->decoders.n)
		return ft_buf_append(out, l->text.data, l->text.len);
	int rc = FT_OK;
	for (size_t i = 0; i < l->n && rc == FT_OK; i++) {
		struct ft_span s = tok_list_get(l, i);
		rc = i ? ft_buf_append(out, " ", 1) : FT_OK;
		rc = rc == FT_OK ? ft_buf_append(out, s.p, s.n) : rc;
	}
	return rc;
}

int ft_tok_decode(const struct ft_tok *t, const int32_t *ids, size_t n, bool skip_special, struct ft_buf *out)
{
	if (t->undecodable)
		return ft_fail(FT_EFORMAT, "the tokenizer's decoder '%s' is not supported", t->undecodable);
	struct tok_list list[2] = { { .limit = SIZE_MAX }, { .limit = SIZE_MAX } }, *now = list, *next = list + 1;
	int rc = FT_OK;
	for (size_t i = 0; i < n && rc == FT_OK; i++) {
		const char *piece = shown_piece(t, ids[i]);
		if (piece && !(skip_special && ft_tok_is_special(t, ids[i])))
			rc = tok_list_add(now, piece, strlen(piece));
	}
	list[0].limit = list[1].limit = tok_growth_limit(now->text.len);
	for (size_t i = 0; i < t->decoders.n && rc == FT_OK; i++) {
		const struct tok_stage *stage = &t->decoders.stage[i];
		next->n = next->text.len = 0;
		rc = stage->kind->decode(stage->state, now, next);
		struct tok_list *swap = now;
		now = next;
		next = swap;
	}
	if (rc == FT_OK)
		rc = join(t, now, out);
	list_free(&list[0]);
	list_free(&list[1]);
	return rc;
}

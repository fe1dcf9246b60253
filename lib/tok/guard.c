/* guard.c - text that a stranger wrote: special tokens are not found in it. */
#include "ft/err.h"
#include "priv.h"

bool tok_guards(const struct tok_guard *g, size_t from, size_t to)
{
	size_t low = 0, high = g ? g->n : 0;
	while (low < high) { /* the first range that ends behind `from` */
		size_t mid = low + (high - low) / 2;
		if (g->range[mid].end <= from)
			low = mid + 1;
		else
			high = mid;
	}
	return g && low < g->n && g->range[low].begin < to;
}

int tok_guard_check(const struct tok_walk *w, size_t first)
{
	const struct ft_tok_text *x = w->x;
	for (size_t i = first; w->guard && i < x->n; i++) {
		const struct tok_added *a = x->ids[i] == w->t->role[TOK_UNK] ? NULL : tok_added_find(w->t, x->ids[i]);
		if (a && a->special && tok_guards(w->guard, x->begin[i], x->end[i]))
			return ft_fail(FT_EFORMAT, "the vocabulary makes the special token '%s' of text that is not to be one",
			               a->content);
	}
	return FT_OK;
}

/* limit.c - texts that are longer than a model takes: cut short, dropped, or
 * split into overlapping parts. */
#include "ft/err.h"
#include "priv.h"

#include <string.h>

int ft_tok_long_parse(const char *name)
{
	static const char *const names[] = {
		[FT_TOK_ERROR] = "error", [FT_TOK_TRUNCATE] = "truncate",
		[FT_TOK_DROP] = "drop", [FT_TOK_SPLIT] = "split", [FT_TOK_TURNS] = "turns",
	};
	for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	return -1;
}

/* Tokens that texts may have. */
static size_t room(const struct ft_tok *t, const struct ft_tok_limit *l, bool pair)
{
	size_t specials = ft_tok_specials(t, pair);
	return l->max > specials ? l->max - specials : 0;
}

bool ft_tok_is_long(const struct ft_tok *t, const struct ft_tok_limit *l, size_t na, bool pair, size_t nb)
{
	size_t n = room(t, l, pair);
	return na > n || (pair && nb > n - na);
}

int64_t ft_tok_parts(const struct ft_tok *t, const struct ft_tok_limit *l, size_t na, bool pair, size_t nb)
{
	size_t n = room(t, l, pair), all = pair ? nb : na;
	if (!ft_tok_is_long(t, l, na, pair, nb) || l->policy == FT_TOK_TRUNCATE)
		return 1;
	if (l->policy == FT_TOK_DROP)
		return 0;
	if (l->policy == FT_TOK_ERROR)
		return ft_fail(FT_EFORMAT, "has %zu tokens, and %zu are allowed", na + (pair ? nb : 0), n);
	if (pair && na >= n)
		return ft_fail(FT_EFORMAT, "the first text has %zu tokens and leaves none of %zu to the second", na, n);
	n -= pair ? na : 0;
	if (n <= l->stride)
		return ft_fail(FT_EFORMAT, "parts of %zu tokens cannot overlap by %zu", n, l->stride);
	size_t step = n - l->stride;
	return 1 + (int64_t)((all - n + step - 1) / step);
}

static void truncate_pair(size_t n, size_t *na, size_t *nb)
{
	/* Cutting tokens one by one off the longer text comes to this: the shorter
	 * keeps all it has, or else each keeps half, the longer the odd one. */
	size_t *shorter = *na <= *nb ? na : nb, *longer = *na <= *nb ? nb : na;
	if (*shorter > n / 2) {
		*shorter = n / 2;
		*longer = n - n / 2;
	} else {
		*longer = n - *shorter;
	}
}

void ft_tok_part(const struct ft_tok *t, const struct ft_tok_limit *l, size_t i, struct ft_tok_slice *a,
                 struct ft_tok_slice *b)
{
	size_t n = room(t, l, b != NULL);
	if (!ft_tok_is_long(t, l, a->n, b != NULL, b ? b->n : 0))
		return;
	if (l->policy == FT_TOK_SPLIT) {
		struct ft_tok_slice *s = b ? b : a;
		n -= b ? a->n : 0;
		size_t from = i * (n - l->stride);
		s->n = s->n - from < n ? s->n - from : n;
		s->from += from;
	} else if (b) {
		truncate_pair(n, &a->n, &b->n);
	} else {
		a->n = n;
	}
}

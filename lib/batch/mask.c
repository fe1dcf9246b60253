/* mask.c - hides tokens for masked-language modelling.
 *
 * Each position has random numbers of its own, a function of (seed, example,
 * pass, position), so the masks do not depend on the order of the examples and
 * every pass over the data hides other tokens.
 */
#include "ft/batch.h"
#include "ft/err.h"
#include "ft/rng.h"
#include <stdlib.h>
#include <string.h>

struct ft_mask {
	int32_t mask_id;
	int32_t *special;   /* [nspecial], ascending */
	size_t nspecial;
	size_t ordinary;    /* ids of the vocabulary that are not special */
	uint64_t below;     /* chosen when a 32-bit random number is below this */
	uint64_t key;
	int32_t *ids, *labels;
	size_t ids_cap, labels_cap;
};

static int compare_ids(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return (x > y) - (x < y);
}

/* Special ids below `vocab`, sorted, each once. */
static int read_special(struct ft_mask *m, const json_t *list, int64_t vocab)
{
	size_t i, n = 0;
	json_t *v;

	m->special = ft_alloc(json_array_size(list) + 1, sizeof *m->special);
	if (!m->special)
		return FT_EFAIL;
	json_array_foreach(list, i, v) {
		if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT32_MAX)
			return ft_fail(FT_EFORMAT, "meta: tokenizer: special: entry %zu is no token id", i);
		if (json_integer_value(v) < vocab)
			m->special[n++] = (int32_t)json_integer_value(v);
	}
	qsort(m->special, n, sizeof *m->special, compare_ids);
	for (i = 0; i < n; i++)
		if (!m->nspecial || m->special[m->nspecial - 1] != m->special[i])
			m->special[m->nspecial++] = m->special[i];
	return 0;
}

static int configure(struct ft_mask *m, const json_t *tokenizer, double p)
{
	int rc = 0;
	int64_t mask_id = ft_json_int(tokenizer, "mask", -1, &rc);
	int64_t vocab = ft_json_int(tokenizer, "vocab", 0, &rc);
	json_t *special = json_object_get(tokenizer, "special");

	if (!(p > 0 && p <= 1))
		return ft_fail(FT_EUSAGE, "--mask: the probability must be above 0 and at most 1");
	if (rc)
		return ft_context(rc, "meta: tokenizer");
	if (mask_id < 0 || vocab < 1 || mask_id >= vocab || vocab > INT32_MAX || !json_is_array(special))
		return ft_fail(FT_EFORMAT, "meta: tokenizer: --mask needs its mask, special and vocab; "
		                           "this tokenizer has no mask token");
	m->mask_id = (int32_t)mask_id;
	m->below = (uint64_t)(p * 0x1p32);
	if ((rc = read_special(m, special, vocab)) < 0)
		return rc;
	m->ordinary = (size_t)vocab - m->nspecial;
	if (!m->ordinary)
		return ft_fail(FT_EFORMAT, "meta: tokenizer: every token is special");
	return 0;
}

struct ft_mask *ft_mask_new(const json_t *tokenizer, double p, uint64_t seed)
{
	struct ft_mask *m = ft_alloc(1, sizeof *m);

	if (m && configure(m, tokenizer, p) < 0) {
		ft_mask_free(m);
		return NULL;
	}
	if (m)
		m->key = ft_mix(seed, 0x4d41534b);
	return m;
}

void ft_mask_free(struct ft_mask *m)
{
	if (!m)
		return;
	free(m->special);
	free(m->ids);
	free(m->labels);
	free(m);
}

static bool is_special(const struct ft_mask *m, int32_t id)
{
	return bsearch(&id, m->special, m->nspecial, sizeof id, compare_ids) != NULL;
}

bool ft_mask_possible(const struct ft_mask *m, const struct ft_example *e)
{
	for (size_t i = 0; i < e->n; i++)
		if (!is_special(m, e->ids[i]))
			return true;
	return false;
}

/* The k-th id that is not special. */
static int32_t ordinary_id(const struct ft_mask *m, size_t k)
{
	for (size_t i = 0; i < m->nspecial && (size_t)m->special[i] <= k; i++)
		k++;
	return (int32_t)k;
}

static void random_at(const struct ft_mask *m, uint64_t example, uint64_t pass, size_t i, uint32_t r[4])
{
	uint64_t key = ft_mix(m->key, pass);
	uint32_t counter[4] = { (uint32_t)i, (uint32_t)(i >> 32), (uint32_t)example, (uint32_t)(example >> 32) };

	ft_philox(r, counter, (uint32_t[2]){ (uint32_t)key, (uint32_t)(key >> 32) });
}

/* Hides position i: 80 % [MASK], 10 % another token, 10 % as it is. */
static void hide(struct ft_mask *m, size_t i, const uint32_t r[4])
{
	uint64_t tenth = (uint64_t)r[1] * 10 >> 32;

	m->labels[i] = m->ids[i];
	if (tenth < 8)
		m->ids[i] = m->mask_id;
	else if (tenth == 8)
		m->ids[i] = ordinary_id(m, (uint64_t)r[2] * m->ordinary >> 32);
}

int ft_mask_apply(struct ft_mask *m, uint64_t example, uint64_t pass, struct ft_example *e)
{
	uint32_t r[4], least_r[4] = { UINT32_MAX };
	size_t least = e->n, hidden = 0;

	if (ft_grow(&m->ids, &m->ids_cap, e->n, sizeof *m->ids)
	    || ft_grow(&m->labels, &m->labels_cap, e->n, sizeof *m->labels))
		return FT_EFAIL;
	memcpy(m->ids, e->ids, e->n * sizeof *m->ids);
	for (size_t i = 0; i < e->n; i++) {
		m->labels[i] = FT_IGNORE;
		if (is_special(m, e->ids[i]))
			continue;
		random_at(m, example, pass, i, r);
		if (r[0] < m->below) {
			hide(m, i, r);
			hidden++;
		} else if (least == e->n || r[0] < least_r[0]) {
			least = i;
			memcpy(least_r, r, sizeof r);
		}
	}
	/* None chosen: the position that came closest. */
	if (!hidden && least < e->n)
		hide(m, least, least_r);
	e->ids = m->ids;
	e->labels = m->labels;
	e->nlabels = e->n;
	e->targets = NULL;
	e->ntargets = 0;
	e->size = NULL; /* of the tokens that were supervised before */
	return 0;
}

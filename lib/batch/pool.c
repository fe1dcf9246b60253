/* pool.c - examples in memory, packed.
 *
 * A shuffle needs every example at hand, so they are kept as small as is
 * simple: one growing block of bytes holds them end to end, each as
 *
 *	struct head | texts | ids | types | labels | words | targets | window | size | source
 *
 * without padding, ids, labels and words as 16-bit numbers where they fit; texts is
 * there for an example of several, as their count and offsets. An index
 * of offsets finds example i.
 */
#include "ft/batch.h"
#include "ft/err.h"
#include <stdlib.h>
#include <string.h>

enum {
	WIDE_IDS = 1, HAS_TYPES = 2, WIDE_LABELS = 4, HAS_WORDS = 8, WIDE_WORDS = 16, HAS_WINDOW = 32, HAS_TEXTS = 64,
	HAS_SIZE = 128, FLAG_BITS = 8
};
#define LABEL_BIAS 32768 /* labels may be negative (FT_IGNORE) */
#define WORD_BIAS 1      /* and so may words (-1) */

struct head {
	uint32_t n, labels, targets;
	uint32_t src_flags; /* length of the source << FLAG_BITS | flags */
};

struct ft_pool {
	struct ft_buf data;
	uint64_t *at;   /* [count]: offset of each example in data */
	size_t count, cap;
	int32_t *ids, *labels, *words, *offsets;
	uint8_t *types;
	float *targets;
	struct ft_window window;
	struct ft_size size;
	size_t ids_cap, labels_cap, words_cap, offsets_cap, types_cap, targets_cap;
};

struct ft_pool *ft_pool_new(void)
{
	return ft_alloc(1, sizeof(struct ft_pool));
}

void ft_pool_free(struct ft_pool *p)
{
	if (!p)
		return;
	ft_buf_free(&p->data);
	free(p->at);
	free(p->ids);
	free(p->labels);
	free(p->offsets);
	free(p->words);
	free(p->types);
	free(p->targets);
	free(p);
}

size_t ft_pool_count(const struct ft_pool *p)
{
	return p->count;
}

size_t ft_pool_bytes(const struct ft_pool *p)
{
	return p->data.len + p->count * sizeof *p->at;
}

static struct head head_at(const struct ft_pool *p, size_t i)
{
	struct head h;

	memcpy(&h, p->data.data + p->at[i], sizeof h);
	return h;
}

size_t ft_pool_length(const struct ft_pool *p, size_t i)
{
	return head_at(p, i).n;
}

size_t ft_pool_texts(const struct ft_pool *p, size_t i)
{
	uint32_t texts = 1;

	if (head_at(p, i).src_flags & HAS_TEXTS)
		memcpy(&texts, p->data.data + p->at[i] + sizeof(struct head), sizeof texts);
	return texts;
}

/* True when every v + bias fits 16 bits. */
static bool is_narrow(const int32_t *v, size_t n, int32_t bias)
{
	for (size_t i = 0; i < n; i++)
		if ((int64_t)v[i] + bias < 0 || (int64_t)v[i] + bias > UINT16_MAX)
			return false;
	return true;
}

static unsigned char *put_ints(unsigned char *to, const int32_t *v, size_t n, bool wide, int32_t bias)
{
	if (wide) {
		memcpy(to, v, n * sizeof *v);
		return to + n * sizeof *v;
	}
	for (size_t i = 0; i < n; i++, to += 2) {
		uint16_t narrow = (uint16_t)(v[i] + bias);

		memcpy(to, &narrow, sizeof narrow);
	}
	return to;
}

static const unsigned char *get_ints(const unsigned char *from, int32_t *v, size_t n, bool wide, int32_t bias)
{
	if (wide) {
		memcpy(v, from, n * sizeof *v);
		return from + n * sizeof *v;
	}
	for (size_t i = 0; i < n; i++, from += 2) {
		uint16_t narrow;

		memcpy(&narrow, from, sizeof narrow);
		v[i] = (int32_t)narrow - bias;
	}
	return from;
}

static unsigned char *put_bytes(unsigned char *to, const void *p, size_t n)
{
	if (n)
		memcpy(to, p, n);
	return to + n;
}

static bool any(const uint8_t *v, size_t n)
{
	for (size_t i = 0; v && i < n; i++)
		if (v[i])
			return true;
	return false;
}

static unsigned char *put_texts(unsigned char *to, const struct ft_example *e)
{
	uint32_t texts = (uint32_t)e->texts;

	to = put_bytes(to, &texts, sizeof texts);
	return put_bytes(to, e->offsets, (e->texts + 1) * sizeof *e->offsets);
}

int ft_pool_add(struct ft_pool *p, const struct ft_example *e)
{
	size_t offsets = e->offsets ? (e->texts + 2) * sizeof *e->offsets : 0;
	unsigned flags = (is_narrow(e->ids, e->n, 0) ? 0 : WIDE_IDS) | (any(e->types, e->n) ? HAS_TYPES : 0)
		| (is_narrow(e->labels, e->nlabels, LABEL_BIAS) ? 0 : WIDE_LABELS) | (e->words ? HAS_WORDS : 0)
		| (e->words && !is_narrow(e->words, e->n, WORD_BIAS) ? WIDE_WORDS : 0) | (e->window ? HAS_WINDOW : 0)
		| (e->offsets ? HAS_TEXTS : 0) | (e->size ? HAS_SIZE : 0);
	size_t window = e->window ? sizeof *e->window : 0, size = e->size ? sizeof *e->size : 0;
	struct head h = { (uint32_t)e->n, (uint32_t)e->nlabels, (uint32_t)e->ntargets,
	                  (uint32_t)e->src.n << FLAG_BITS | flags };
	unsigned char *to;

	/* Records are bounded far below this; checked because the head is 32 bits wide. */
	if (e->n > INT32_MAX || e->nlabels > INT32_MAX || e->ntargets > INT32_MAX || e->src.n >= 1u << (32 - FLAG_BITS))
		return ft_fail(FT_EFORMAT, "an example of %zu tokens is too long", e->n);
	if (p->count == UINT32_MAX)
		return ft_fail(FT_EFAIL, "more than %u examples do not fit; batch the files one by one", UINT32_MAX);
	if (ft_grow(&p->at, &p->cap, p->count + 1, sizeof *p->at)
	    || ft_buf_reserve(&p->data, sizeof h + offsets + e->n * 9 + e->nlabels * 4 + e->ntargets * 4 + window
	                      + size + e->src.n))
		return FT_EFAIL;
	to = put_bytes(p->data.data + p->data.len, &h, sizeof h);
	if (flags & HAS_TEXTS)
		to = put_texts(to, e);
	to = put_ints(to, e->ids, e->n, flags & WIDE_IDS, 0);
	if (flags & HAS_TYPES)
		to = put_bytes(to, e->types, e->n);
	to = put_ints(to, e->labels, e->nlabels, flags & WIDE_LABELS, LABEL_BIAS);
	if (flags & HAS_WORDS)
		to = put_ints(to, e->words, e->n, flags & WIDE_WORDS, WORD_BIAS);
	to = put_bytes(to, e->targets, e->ntargets * sizeof *e->targets);
	to = put_bytes(to, e->window, window);
	to = put_bytes(to, e->size, size);
	to = put_bytes(to, e->src.p, e->src.n);
	p->at[p->count++] = p->data.len;
	p->data.len = (size_t)(to - p->data.data);
	return 0;
}

int ft_pool_get(struct ft_pool *p, size_t i, struct ft_example *e)
{
	struct head h = head_at(p, i);
	size_t texts = ft_pool_texts(p, i);
	const unsigned char *from = p->data.data + p->at[i] + sizeof h;

	if (ft_grow(&p->ids, &p->ids_cap, h.n, sizeof *p->ids)
	    || ft_grow(&p->types, &p->types_cap, h.n, sizeof *p->types)
	    || ft_grow(&p->labels, &p->labels_cap, h.labels, sizeof *p->labels)
	    || ft_grow(&p->offsets, &p->offsets_cap, texts + 1, sizeof *p->offsets)
	    || ft_grow(&p->words, &p->words_cap, h.n, sizeof *p->words)
	    || ft_grow(&p->targets, &p->targets_cap, h.targets, sizeof *p->targets))
		return FT_EFAIL;
	*e = (struct ft_example){ .ids = p->ids, .n = h.n, .nlabels = h.labels, .ntargets = h.targets, .texts = texts };
	if (h.src_flags & HAS_TEXTS) {
		from += sizeof(uint32_t);
		memcpy(p->offsets, from, (texts + 1) * sizeof *p->offsets);
		e->offsets = p->offsets;
		from += (texts + 1) * sizeof *p->offsets;
	}
	from = get_ints(from, p->ids, h.n, h.src_flags & WIDE_IDS, 0);
	if (h.src_flags & HAS_TYPES) {
		memcpy(p->types, from, h.n);
		e->types = p->types;
		from += h.n;
	}
	from = get_ints(from, p->labels, h.labels, h.src_flags & WIDE_LABELS, LABEL_BIAS);
	if (h.src_flags & HAS_WORDS) {
		from = get_ints(from, p->words, h.n, h.src_flags & WIDE_WORDS, WORD_BIAS);
		e->words = p->words;
	}
	if (h.targets)
		memcpy(p->targets, from, h.targets * sizeof *p->targets);
	from += h.targets * sizeof *p->targets;
	if (h.src_flags & HAS_WINDOW) {
		memcpy(&p->window, from, sizeof p->window);
		e->window = &p->window;
		from += sizeof p->window;
	}
	if (h.src_flags & HAS_SIZE) {
		memcpy(&p->size, from, sizeof p->size);
		e->size = &p->size;
		from += sizeof p->size;
	}
	e->labels = h.labels ? p->labels : NULL;
	e->targets = h.targets ? p->targets : NULL;
	e->src = (struct ft_span){ (const char *)from, h.src_flags >> FLAG_BITS };
	return 0;
}

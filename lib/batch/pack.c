/* pack.c - lays the rows of one batch end to end.
 *
 * A batch is padding-free: ids of all rows in one array, and where each row
 * begins. What a batch needs in memory is kept for the next one.
 */
#include "ft/batch.h"
#include "ft/err.h"
#include <stdlib.h>
#include <string.h>

struct ft_pack {
	int32_t *ids, *offsets, *labels, *words;
	uint8_t *types;
	float *targets;
	struct ft_window *windows;
	struct ft_span *src;
	size_t *src_at;         /* where each row's source begins in text */
	struct ft_buf text;     /* the sources; spans are made when it no longer moves */
	size_t ids_cap, offsets_cap, labels_cap, words_cap, types_cap, targets_cap, windows_cap, src_cap, src_at_cap;
	size_t rows, tokens, nlabels, ntargets, outputs;
	bool typed, sourced;    /* some token's type is not 0; some row has a source */
	bool worded;            /* some row came in words */
	bool windowed;          /* some row is a window of a longer text */
	bool by_row, by_token;  /* every row so far has one label; one a token */
};

struct ft_pack *ft_pack_new(void)
{
	struct ft_pack *p = ft_alloc(1, sizeof *p);

	if (p)
		ft_pack_clear(p);
	return p;
}

void ft_pack_free(struct ft_pack *p)
{
	if (!p)
		return;
	free(p->ids);
	free(p->offsets);
	free(p->labels);
	free(p->words);
	free(p->types);
	free(p->targets);
	free(p->windows);
	free(p->src);
	free(p->src_at);
	ft_buf_free(&p->text);
	free(p);
}

void ft_pack_clear(struct ft_pack *p)
{
	p->rows = p->tokens = p->nlabels = p->ntargets = p->outputs = p->text.len = 0;
	p->typed = p->sourced = p->worded = p->windowed = false;
	p->by_row = p->by_token = true;
}

size_t ft_pack_rows(const struct ft_pack *p)
{
	return p->rows;
}

size_t ft_pack_tokens(const struct ft_pack *p)
{
	return p->tokens;
}

static int fail_row(const struct ft_example *e, const char *reason)
{
	return ft_fail(FT_EFORMAT, "%.*s: %s", (int)e->src.n, e->src.n ? e->src.p : "", reason);
}

/* One kind of label in a batch: none, one a row, one a token, or targets. */
static int check_labels(struct ft_pack *p, const struct ft_example *e)
{
	if (p->rows && !p->nlabels != !e->nlabels)
		return fail_row(e, e->nlabels ? "has a label, the examples before it have none"
		                              : "has no label, the examples before it have one");
	if (p->rows && p->outputs != e->ntargets)
		return ft_fail(FT_EFORMAT, "%.*s: has %zu targets, the examples before it have %zu",
		               (int)e->src.n, e->src.n ? e->src.p : "", e->ntargets, p->outputs);
	p->by_row &= e->nlabels <= 1;
	p->by_token &= !e->nlabels || e->nlabels == e->n;
	if (!p->by_row && !p->by_token)
		return fail_row(e, "some examples have a label for each token, others one for the whole");
	return 0;
}

static int reserve(struct ft_pack *p, const struct ft_example *e)
{
	size_t tokens, src;

	if (!ft_add(p->tokens, e->n, &tokens) || tokens > INT32_MAX)
		return ft_fail(FT_EUSAGE, "a batch of more than %d tokens; fewer rows at a time help", INT32_MAX);
	src = p->rows + 1;
	return ft_grow(&p->ids, &p->ids_cap, tokens, sizeof *p->ids)
		|| ft_grow(&p->types, &p->types_cap, tokens, sizeof *p->types)
		|| ft_grow(&p->words, &p->words_cap, tokens, sizeof *p->words)
		|| ft_grow(&p->offsets, &p->offsets_cap, p->rows + 2, sizeof *p->offsets)
		|| ft_grow(&p->labels, &p->labels_cap, p->nlabels + e->nlabels, sizeof *p->labels)
		|| ft_grow(&p->targets, &p->targets_cap, p->ntargets + e->ntargets, sizeof *p->targets)
		|| ft_grow(&p->windows, &p->windows_cap, p->rows + 1, sizeof *p->windows)
		|| ft_grow(&p->src, &p->src_cap, src, sizeof *p->src)
		|| ft_grow(&p->src_at, &p->src_at_cap, src + 1, sizeof *p->src_at)
		|| ft_buf_append(&p->text, e->src.p, e->src.n) ? FT_EFAIL : 0;
}

int ft_pack_add(struct ft_pack *p, const struct ft_example *e)
{
	int rc = check_labels(p, e);

	if (rc < 0 || (rc = reserve(p, e)) < 0)
		return rc;
	if (e->n)
		memcpy(p->ids + p->tokens, e->ids, e->n * sizeof *e->ids);
	for (size_t i = 0; i < e->n; i++) {
		p->types[p->tokens + i] = e->types ? e->types[i] : 0;
		p->typed |= p->types[p->tokens + i] != 0;
		p->words[p->tokens + i] = e->words ? e->words[i] : -1;
	}
	if (e->nlabels)
		memcpy(p->labels + p->nlabels, e->labels, e->nlabels * sizeof *e->labels);
	if (e->ntargets)
		memcpy(p->targets + p->ntargets, e->targets, e->ntargets * sizeof *e->targets);
	p->windows[p->rows] = e->window ? *e->window : (struct ft_window){ .count = 1 };
	p->windowed |= e->window != NULL;
	p->offsets[p->rows] = (int32_t)p->tokens;
	p->src_at[p->rows] = p->text.len - e->src.n;
	p->worded |= e->words != NULL;
	p->sourced |= e->src.n > 0;
	p->tokens += e->n;
	p->nlabels += e->nlabels;
	p->ntargets += e->ntargets;
	p->outputs = e->ntargets;
	p->rows++;
	p->offsets[p->rows] = (int32_t)p->tokens;
	p->src_at[p->rows] = p->text.len;
	return 0;
}

int ft_pack_batch(struct ft_pack *p, struct ft_batch *b)
{
	if (!p->rows)
		return ft_fail(FT_EFAIL, "a batch without rows");
	for (size_t r = 0; r < p->rows; r++)
		p->src[r] = (struct ft_span){ (const char *)p->text.data + p->src_at[r],
		                              p->src_at[r + 1] - p->src_at[r] };
	*b = (struct ft_batch){
		.ids = p->ids,
		.types = p->typed ? p->types : NULL,
		.offsets = p->offsets,
		.labels = p->nlabels ? p->labels : NULL,
		.words = p->worded ? p->words : NULL,
		.targets = p->ntargets ? p->targets : NULL,
		.windows = p->windowed ? p->windows : NULL,
		.src = p->sourced ? p->src : NULL,
		.tokens = p->tokens,
		.rows = p->rows,
		.nlabels = p->nlabels,
		.ntargets = p->ntargets,
		.epoch = -1,
	};
	return 0;
}

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
	struct ft_size *sizes;  /* [examples] */
	struct ft_span *src;
	size_t *src_at;         /* where each example's source begins in text */
	struct ft_buf text;     /* the sources; spans are made when it no longer moves */
	size_t ids_cap, offsets_cap, labels_cap, words_cap, types_cap, targets_cap, windows_cap, sizes_cap, src_cap,
		src_at_cap;
	size_t rows, examples, texts, tokens, nlabels, ntargets, outputs; /* texts: rows of an example */
	bool typed, sourced;    /* some token's type is not 0; some example has a source */
	bool worded;            /* some example came in words */
	bool windowed;          /* some example is a window of a longer text */
	bool sized;             /* some example says how much text it stands for */
	bool by_row, by_token;  /* every example so far has one label; one a token */
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
	free(p->sizes);
	free(p->src);
	free(p->src_at);
	ft_buf_free(&p->text);
	free(p);
}

void ft_pack_clear(struct ft_pack *p)
{
	p->rows = p->examples = p->texts = p->tokens = p->nlabels = p->ntargets = p->outputs = p->text.len = 0;
	p->typed = p->sourced = p->worded = p->windowed = p->sized = false;
	p->by_row = p->by_token = true;
}

size_t ft_pack_examples(const struct ft_pack *p)
{
	return p->examples;
}

size_t ft_pack_tokens(const struct ft_pack *p)
{
	return p->tokens;
}

static int fail_row(const struct ft_example *e, const char *reason)
{
	return ft_fail(FT_EFORMAT, "%.*s: %s", (int)e->src.n, e->src.n ? e->src.p : "", reason);
}

/* One kind of example in a batch: as many texts, and no label, one label, one a token, or targets. */
static int check_kind(struct ft_pack *p, const struct ft_example *e)
{
	if (p->examples && p->texts != ft_example_texts(e))
		return ft_fail(FT_EFORMAT, "%.*s: has %zu texts, the examples before it have %zu", (int)e->src.n,
		               e->src.n ? e->src.p : "", ft_example_texts(e), p->texts);
	if (p->examples && !p->nlabels != !e->nlabels)
		return fail_row(e, e->nlabels ? "has a label, the examples before it have none"
		                              : "has no label, the examples before it have one");
	if (p->examples && p->outputs != e->ntargets)
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
	size_t tokens, src, rows;

	if (!ft_add(p->tokens, e->n, &tokens) || tokens > INT32_MAX)
		return ft_fail(FT_EUSAGE, "a batch of more than %d tokens; fewer rows at a time help", INT32_MAX);
	if (!ft_add(p->rows, ft_example_texts(e) + 1, &rows))
		return ft_fail_memory(p->rows);
	src = p->examples + 1;
	return ft_grow(&p->ids, &p->ids_cap, tokens, sizeof *p->ids)
		|| ft_grow(&p->types, &p->types_cap, tokens, sizeof *p->types)
		|| ft_grow(&p->words, &p->words_cap, tokens, sizeof *p->words)
		|| ft_grow(&p->offsets, &p->offsets_cap, rows, sizeof *p->offsets)
		|| ft_grow(&p->labels, &p->labels_cap, p->nlabels + e->nlabels, sizeof *p->labels)
		|| ft_grow(&p->targets, &p->targets_cap, p->ntargets + e->ntargets, sizeof *p->targets)
		|| ft_grow(&p->windows, &p->windows_cap, rows, sizeof *p->windows)
		|| ft_grow(&p->sizes, &p->sizes_cap, src, sizeof *p->sizes)
		|| ft_grow(&p->src, &p->src_cap, src, sizeof *p->src)
		|| ft_grow(&p->src_at, &p->src_at_cap, src + 1, sizeof *p->src_at)
		|| ft_buf_append(&p->text, e->src.p, e->src.n) ? FT_EFAIL : 0;
}

int ft_pack_add(struct ft_pack *p, const struct ft_example *e)
{
	int rc = check_kind(p, e);

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
	p->texts = ft_example_texts(e);
	for (size_t t = 0; t < p->texts; t++) {
		p->windows[p->rows] = e->window ? *e->window : (struct ft_window){ .count = 1 };
		p->offsets[p->rows++] = (int32_t)p->tokens + (e->offsets ? e->offsets[t] : 0);
	}
	p->sizes[p->examples] = e->size ? *e->size : (struct ft_size){ -1, -1, -1 };
	p->src_at[p->examples++] = p->text.len - e->src.n;
	p->windowed |= e->window != NULL;
	p->sized |= e->size != NULL;
	p->worded |= e->words != NULL;
	p->sourced |= e->src.n > 0;
	p->tokens += e->n;
	p->nlabels += e->nlabels;
	p->ntargets += e->ntargets;
	p->outputs = e->ntargets;
	p->offsets[p->rows] = (int32_t)p->tokens;
	p->src_at[p->examples] = p->text.len;
	return 0;
}

int ft_pack_batch(struct ft_pack *p, struct ft_batch *b)
{
	if (!p->rows)
		return ft_fail(FT_EFAIL, "a batch without rows");
	for (size_t i = 0; i < p->examples; i++)
		p->src[i] = (struct ft_span){ (const char *)p->text.data + p->src_at[i],
		                              p->src_at[i + 1] - p->src_at[i] };
	*b = (struct ft_batch){
		.ids = p->ids,
		.types = p->typed ? p->types : NULL,
		.offsets = p->offsets,
		.labels = p->nlabels ? p->labels : NULL,
		.words = p->worded ? p->words : NULL,
		.targets = p->ntargets ? p->targets : NULL,
		.windows = p->windowed ? p->windows : NULL,
		.sizes = p->sized ? p->sizes : NULL,
		.src = p->sourced ? p->src : NULL,
		.tokens = p->tokens,
		.rows = p->rows,
		.texts = p->texts,
		.nlabels = p->nlabels,
		.ntargets = p->ntargets,
		.epoch = -1,
	};
	return 0;
}

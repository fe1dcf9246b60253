/* example.c - what the tokens of a row become: one example, none or several, each with its
 * special tokens, labels and source. */
#include "encode.h"
#include "ft/err.h"

int example_put(struct ft_encoder *x, const struct item *it, struct ft_example *e)
{
	for (size_t i = 0; i < e->n; i++)
		if (x->o.vocab && e->ids[i] >= x->o.vocab)
			return ft_fail(FT_EMATCH, "the token '%s' has id %d, but the model has only %lld embeddings",
			               ft_tok_piece(x->o.tok, e->ids[i]), e->ids[i], (long long)x->o.vocab);
	e->src = it->src;
	if (x->o.labels && it->targets) {
		e->targets = it->targets;
		e->ntargets = x->o.targets;
	} else if (x->o.labels && !it->words.first) {
		e->labels = &it->label;
		e->nlabels = 1;
	}
	x->n.examples++;
	x->n.tokens += (int64_t)e->n;
	return ft_example_write(x->out, e);
}

/* Words and labels of the example that is one part of a sentence. */
static int align(struct ft_encoder *x, const struct item *it, const struct ft_words_part *p, struct ft_example *e)
{
	int rc = ft_grow(&x->word, &x->word_cap, e->n, sizeof *x->word);
	if (rc == FT_OK)
		rc = ft_grow(&x->label, &x->label_cap, e->n, sizeof *x->label);
	if (rc < 0)
		return rc;
	ft_words_align(x->o.tok, &it->words, p, x->o.rest, x->word, x->label);
	e->words = x->word;
	e->labels = x->o.labels ? x->label : NULL;
	e->nlabels = x->o.labels ? e->n : 0;
	return FT_OK;
}

static int write_part(struct ft_encoder *x, const struct item *it, const struct ft_words_part *p,
                      const struct ft_tok_slice *b, const struct ft_window *window)
{
	struct ft_tok_text *text = &x->example;
	int rc = ft_tok_wrap(x->o.tok, p->slice, b, text);
	if (rc < 0 || !text->n)
		return rc;
	bool typed = false;
	for (size_t i = 0; i < text->n; i++)
		typed |= text->types[i] != 0;
	struct ft_example e = { .ids = text->ids, .n = text->n, .types = typed ? text->types : NULL,
	                        .window = window->count > 1 ? window : NULL };
	if (it->words.first && (rc = align(x, it, p, &e)) < 0)
		return rc;
	return example_put(x, it, &e);
}

/* Texts that are looked at one by one and belong together. */
static int write_texts(struct ft_encoder *x, const struct item *it, const struct chunk *c)
{
	struct ft_tok_slice text[3] = { { &c->text, it->from, it->n }, { &c->pair, it->pair_from, it->pair_n },
	                                { &c->pair, it->negative_from, it->negative_n } };
	size_t texts = it->negative.p ? 3 : 2;
	bool empty = false, cut = false;
	int64_t parts = 1;
	int rc = FT_OK;
	ft_pack_clear(x->texts);
	for (size_t i = 0; i < texts && rc == FT_OK && parts > 0; i++) {
		empty |= text[i].n == 0;
		cut |= ft_tok_is_long(x->o.tok, &x->o.limit, text[i].n, false, 0);
		parts = ft_tok_parts(x->o.tok, &x->o.limit, text[i].n, false, 0);
		rc = parts < 0 ? (int)parts : FT_OK;
		ft_tok_part(x->o.tok, &x->o.limit, 0, &text[i], NULL);
		rc = rc ? rc : ft_tok_wrap(x->o.tok, &text[i], NULL, &x->example);
		rc = rc ? rc : ft_pack_add(x->texts, &(struct ft_example){ .ids = x->example.ids, .n = x->example.n });
	}
	x->n.invalid_utf8 += it->invalid > 0;
	x->n.empty += empty;
	x->n.truncated += cut && x->o.limit.policy == FT_TOK_TRUNCATE;
	x->n.dropped += cut && x->o.limit.policy == FT_TOK_DROP;
	struct ft_batch b;
	if (rc < 0 || parts == 0 || (rc = ft_pack_batch(x->texts, &b)) < 0)
		return rc;
	struct ft_example e = { .ids = b.ids, .n = b.tokens, .offsets = b.offsets, .texts = b.rows };
	return example_put(x, it, &e);
}

/* The windows of a text, or of two that are read as one. */
static int write_windows(struct ft_encoder *x, const struct item *it, const struct chunk *c)
{
	const struct ft_tok_slice a = { &c->text, it->from, it->n }, b = { &c->pair, it->pair_from, it->pair_n };
	bool pair = it->pair.p != NULL;
	int64_t parts = ft_tok_parts(x->o.tok, &x->o.limit, a.n, pair, b.n);
	x->n.invalid_utf8 += it->invalid > 0;
	x->n.words += (int64_t)it->words.n;
	x->n.words_without_tokens += it->words.first ? (int64_t)ft_words_silent(&it->words) : 0;
	x->n.empty += a.n == 0 || (pair && b.n == 0);
	if (ft_tok_is_long(x->o.tok, &x->o.limit, a.n, pair, b.n)) {
		x->n.truncated += x->o.limit.policy == FT_TOK_TRUNCATE;
		x->n.dropped += x->o.limit.policy == FT_TOK_DROP;
		x->n.split += x->o.limit.policy == FT_TOK_SPLIT;
	}
	int rc = parts < 0 ? (int)parts : FT_OK;
	struct ft_window w = { .count = parts };
	if (parts > 1)
		w.doc = ft_window_doc(c->text.ids + a.from, a.n, c->pair.ids + b.from, b.n);
	for (; w.index < parts && rc == FT_OK; w.index++) {
		struct ft_tok_slice pa = a, pb = b;
		ft_tok_part(x->o.tok, &x->o.limit, (size_t)w.index, &pa, pair ? &pb : NULL);
		const struct ft_words_part p = { &pa, (size_t)w.index, (size_t)parts, x->o.limit.stride };
		rc = write_part(x, it, &p, pair ? &pb : NULL, &w);
	}
	return rc;
}

int example_write(struct ft_encoder *x, const struct item *it, const struct chunk *c)
{
	bool apart = x->o.task == FT_TASK_EMBED && it->pair.p;
	int rc = x->o.task == FT_TASK_LM ? lm_write(x, it, c) : apart ? write_texts(x, it, c) : write_windows(x, it, c);
	return rc < 0 ? ft_context(rc, "%.*s", (int)it->src.n, it->src.p) : FT_OK;
}

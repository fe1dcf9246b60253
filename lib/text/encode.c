/* encode.c - rows in groups, encoded by as many threads as there are. */
#include "encode.h"
#include "ft/cli.h"
#include "ft/digest.h"
#include "ft/err.h"
#include "ft/thread.h"
#include "ft/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUP 1024          /* rows encoded together */
#define GROUP_BYTES 4000000 /* or less, when they are long */
#define CHUNK 32            /* rows that one thread takes at a time */

struct group {
	struct item item[GROUP];
	size_t count, bytes;
	struct chunk chunk[GROUP / CHUNK];
	struct ft_arena arena;
};

/* ---- encoding ---- */

static size_t count_invalid(const struct item *it)
{
	size_t n = ft_utf8_invalid(it->text.p, it->text.n) + ft_utf8_invalid(it->pair.p, it->pair.n) +
	           ft_utf8_invalid(it->negative.p, it->negative.n);
	for (size_t w = 0; w < it->words.n; w++)
		n += ft_utf8_invalid(it->words.word[w].p, it->words.word[w].n);
	return n;
}

static int encode_texts(const struct ft_encode_options *o, struct item *it, struct chunk *c)
{
	it->from = c->text.n;
	it->pair_from = c->pair.n;
	int rc = it->words.first ? ft_words_encode(o->tok, &it->words, &c->text)
	                         : ft_tok_encode(o->tok, it->text.p, it->text.n, 0, &c->text);
	if (rc == FT_OK && it->pair.p)
		rc = ft_tok_encode(o->tok, it->pair.p, it->pair.n, o->task != FT_TASK_EMBED, &c->pair);
	it->n = c->text.n - it->from;
	it->negative_from = c->pair.n;
	it->pair_n = c->pair.n - it->pair_from;
	if (rc == FT_OK && it->negative.p)
		rc = ft_tok_encode(o->tok, it->negative.p, it->negative.n, 0, &c->pair);
	it->negative_n = c->pair.n - it->negative_from;
	return rc;
}

static int encode_item(const struct ft_encode_options *o, struct item *it, struct chunk *c)
{
	int rc = o->task == FT_TASK_LM ? lm_encode(o, it, c) : encode_texts(o, it, c);
	it->invalid = count_invalid(it);
	return rc < 0 ? ft_context(rc, "%.*s", (int)it->src.n, it->src.p) : FT_OK;
}

static void encode_chunk(void *ctx, size_t i)
{
	struct ft_encoder *x = ctx;
	struct chunk *c = &x->group->chunk[i];
	size_t end = (i + 1) * CHUNK < x->group->count ? (i + 1) * CHUNK : x->group->count;
	c->text.n = c->pair.n = c->nstretch = c->said.len = 0;
	c->rc = FT_OK;
	for (size_t k = i * CHUNK; k < end && c->rc == FT_OK; k++)
		c->rc = encode_item(&x->o, &x->group->item[k], c);
	if (c->rc < 0)
		snprintf(c->message, sizeof c->message, "%s", ft_message());
}

static void forget_rows(struct group *g)
{
	for (size_t i = 0; i < g->count; i++) {
		json_decref(g->item[i].messages);
		json_decref(g->item[i].tools);
	}
	g->count = g->bytes = 0;
	ft_arena_reset(&g->arena);
}

int ft_encoder_flush(struct ft_encoder *x)
{
	struct group *g = x->group;
	int rc = FT_OK;
	ft_parallel((g->count + CHUNK - 1) / CHUNK, encode_chunk, x);
	for (size_t i = 0; i < g->count && rc == FT_OK; i++) {
		const struct chunk *c = &g->chunk[i / CHUNK];
		rc = c->rc < 0 ? ft_fail(c->rc, "%s", c->message) : example_write(x, &g->item[i], c);
	}
	forget_rows(g);
	ft_progress("%lld rows, %lld tokens", (long long)x->n.rows, (long long)x->n.tokens);
	return rc;
}

/* ---- taking rows ---- */

/* Copies a text into the group, with `prompt` before it where there is one. */
static int copy_span(struct group *g, struct ft_span from, const char *prompt, struct ft_span *to)
{
	size_t before = prompt ? strlen(prompt) : 0, n = before + from.n;
	*to = (struct ft_span){ 0 };
	if (!from.p)
		return FT_OK;
	char *p = ft_arena_get(&g->arena, n);
	if (!p)
		return FT_EFAIL;
	if (before)
		memcpy(p, prompt, before);
	memcpy(p + before, from.p, from.n);
	*to = (struct ft_span){ p, n };
	g->bytes += n;
	return FT_OK;
}

/* A prompt and its completion, one behind the other, perhaps with a space between them; or a text alone. */
static int copy_joined(struct group *g, struct ft_span prompt, bool apart, struct ft_span completion, struct item *it)
{
	size_t from = prompt.n + apart, n = from + completion.n;
	char *p = ft_arena_get(&g->arena, n);
	if (!p)
		return FT_EFAIL;
	if (prompt.n)
		memcpy(p, prompt.p, prompt.n);
	if (apart)
		p[prompt.n] = ' ';
	if (completion.n)
		memcpy(p + from, completion.p, completion.n);
	it->text = (struct ft_span){ p, n };
	it->completes = completion.p != NULL;
	it->prompt = prompt.n;
	it->said_from = from;
	g->bytes += n;
	return FT_OK;
}

/* A question with one of its choices. What sets them off is one space where neither has any, and of the choice's
 * tokens, as lm-evaluation-harness has it. */
static int copy_choice(struct group *g, const struct ft_row *row, struct item *it)
{
	const json_t *v = json_array_get(row->choices, (size_t)it->choice.index);
	const struct ft_span choice = { json_string_value(v), json_string_length(v) };
	size_t trimmed = ft_text_trimmed(row->text);
	bool apart = trimmed == row->text.n && !ft_is_space_at(choice, 0);
	int rc = copy_joined(g, row->text, apart, choice, it);
	it->prompt = trimmed;
	it->judged = true;
	it->good = row->right == (size_t)it->choice.index;
	return rc;
}

/* What a language model reads: a conversation, or texts. Of two sides what comes first is preferred. */
static int take_lm(struct ft_encoder *x, const struct ft_row *row, struct item *it)
{
	bool worse = it->side == REJECTED;
	it->judged = row->judged && x->o.judged;
	it->good = it->judged && json_is_true(row->json);
	if (it->side && x->o.limit.policy == FT_TOK_SPLIT)
		return ft_fail(FT_EUSAGE, "--long split: texts that belong together are not split");
	if (!row->messages != !x->o.chat)
		return ft_fail(FT_EFORMAT, "%.*s: is %s, unlike the rows before it", (int)row->src.n, row->src.p,
		               row->messages ? "a conversation" : "no conversation");
	if (!row->choices != !x->o.questions)
		return ft_fail(FT_EFORMAT, "%.*s: is %s, unlike the rows before it", (int)row->src.n, row->src.p,
		               row->choices ? "a question with choices" : "no question with choices");
	if (row->choices)
		return copy_choice(x->group, row, it);
	if (!row->messages)
		return copy_joined(x->group, row->text, false, worse ? row->negative : row->pair, it);
	it->messages = json_incref((json_t *)(uintptr_t)(worse ? row->rejected : row->messages));
	it->tools = json_incref((json_t *)(uintptr_t)row->tools);
	x->group->bytes += row->text.n;
	return FT_OK;
}

/* Its label, and its words when it is a sentence of them. */
static int take_labels(struct ft_encoder *x, const struct ft_row *row, struct item *it)
{
	const struct ft_encode_options *o = &x->o;
	struct ft_arena *a = &x->group->arena;
	if (o->labels && o->targets && !(it->targets = ft_arena_get(a, o->targets * sizeof *it->targets)))
		return FT_EFAIL;
	if (o->task == FT_TASK_TAG)
		return ft_words_read(row, o->labels, a, &it->words);
	if (row->words)
		return ft_fail(FT_EFORMAT, "%.*s: is a sentence in words, for --task tag", (int)row->src.n, row->src.p);
	return o->labels ? ft_labels_read(o->labels, row, &it->label, it->targets) : FT_OK;
}

/* A row, or what `as` says of one: a side, or a choice. */
static int take_item(struct ft_encoder *x, const struct ft_row *row, struct item as)
{
	struct group *g = x->group;
	struct item *it = &g->item[g->count];
	const char *prompt = x->o.prompt;
	*it = as;
	int rc = take_labels(x, row, it);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < it->words.n; i++)
		g->bytes += it->words.word[i].n + sizeof it->words;
	bool lm = x->o.task == FT_TASK_LM;
	if ((!lm && !it->words.first && (rc = copy_span(g, row->text, prompt, &it->text)) < 0)
	    || (!lm && (rc = copy_span(g, row->pair, prompt, &it->pair)) < 0)
	    || (!lm && (rc = copy_span(g, row->negative, prompt, &it->negative)) < 0)
	    || (rc = copy_span(g, row->src, NULL, &it->src)) < 0
	    || (lm && (rc = take_lm(x, row, it)) < 0))
		return rc;
	g->count++;
	return FT_OK;
}

/* There is always room for two items. */
static int flush_full(struct ft_encoder *x)
{
	const struct group *g = x->group;
	return g->count + 1 >= GROUP || g->bytes >= GROUP_BYTES ? ft_encoder_flush(x) : FT_OK;
}

/* One number for a question, its copies included. */
static int64_t question_doc(const struct ft_row *row)
{
	uint64_t hash = ft_hash(row->text.p, row->text.n, 0);
	const json_t *v;
	size_t i;
	json_array_foreach((json_t *)(uintptr_t)row->choices, i, v)
		hash = ft_hash(json_string_value(v), json_string_length(v), hash);
	return ft_doc_of_hash(hash);
}

static int add_question(struct ft_encoder *x, const struct ft_row *row)
{
	struct item as = { .choice = { .doc = question_doc(row), .count = (int64_t)json_array_size(row->choices) } };
	int rc = FT_OK;
	for (; as.choice.index < as.choice.count && rc == FT_OK; as.choice.index++) {
		rc = take_item(x, row, as);
		rc = rc < 0 ? rc : flush_full(x);
	}
	return rc;
}

static int add_text(struct ft_encoder *x, const struct ft_row *row)
{
	bool sides = x->o.task == FT_TASK_LM && (row->negative.p || row->rejected);
	int rc = take_item(x, row, (struct item){ .side = sides ? CHOSEN : ALONE });
	if (rc == FT_OK && sides)
		rc = take_item(x, row, (struct item){ .side = REJECTED });
	return rc < 0 ? rc : flush_full(x);
}

int ft_encoder_add(struct ft_encoder *x, const struct ft_row *row)
{
	x->n.unread += !x->o.labels && (row->label.p || row->json);
	x->n.rows++;
	return row->choices ? add_question(x, row) : add_text(x, row);
}

/* ---- life ---- */

struct ft_encoder *ft_encoder_new(const struct ft_encode_options *o, struct ft_writer *out)
{
	struct ft_encoder *x = ft_alloc(1, sizeof *x);
	if (!x)
		return NULL;
	x->o = *o;
	x->out = out;
	x->group = ft_alloc(1, sizeof *x->group);
	x->texts = ft_pack_new();
	if (x->group && x->texts)
		return x;
	ft_encoder_free(x);
	ft_fail(FT_EFAIL, "out of memory");
	return NULL;
}

void ft_encoder_free(struct ft_encoder *x)
{
	if (!x)
		return;
	for (size_t i = 0; x->group && i < GROUP / CHUNK; i++) {
		ft_tok_text_free(&x->group->chunk[i].text);
		ft_tok_text_free(&x->group->chunk[i].pair);
		free(x->group->chunk[i].stretch);
		dialogue_free(&x->group->chunk[i].dialogue);
		ft_buf_free(&x->group->chunk[i].said);
	}
	if (x->group) {
		forget_rows(x->group);
		ft_arena_free(&x->group->arena);
	}
	free(x->group);
	ft_tok_text_free(&x->example);
	ft_pack_free(x->texts);
	free(x->word);
	free(x->label);
	free(x->ids);
	free(x);
}

struct ft_encode_counts *ft_encoder_counts(struct ft_encoder *x)
{
	return &x->n;
}

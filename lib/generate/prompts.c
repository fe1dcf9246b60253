/* prompts.c - rows of text into prompts, side by side, and their answers as JSON lines. */
#include "ft/prompts.h"

#include "ft/batch.h"
#include "ft/cli.h"
#include "ft/encode.h"
#include "ft/file.h"
#include "ft/metric.h"
#include "ft/utf8.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What of a row is repeated: pieces of `bytes`. */
struct kept {
	size_t text, text_n, reference, reference_n;
};

struct ft_prompts {
	struct ft_model *m;
	const struct ft_tok *t;
	struct ft_prompts_options o;
	struct ft_graph *g;
	struct ft_pack *pack;
	struct ft_chat *chat; /* when a row is a conversation */
	struct ft_edges edges; /* what the tokenizer puts around a text */
	struct kept *kept;
	struct ft_answer *answer; /* [cap] */
	size_t nkept, kept_cap, cap, answers;
	struct ft_buf bytes, out;
	struct ft_tok_text text, whole;
	int32_t *cut;   /* a prompt that was too long */
	size_t cut_cap;
	struct ft_predict_counts count;
	int64_t tokens; /* of all answers */
};

struct ft_prompts *ft_prompts_new(struct ft_model *m, const struct ft_tok *t, const struct ft_prompts_options *o)
{
	struct ft_prompts *p = ft_alloc(1, sizeof *p);
	if (!p)
		return NULL;
	*p = (struct ft_prompts){ .m = m, .t = t, .o = *o };
	p->g = ft_graph_new();
	p->pack = ft_pack_new();
	if (p->g && p->pack && ft_edges_choose(&p->edges, t, NULL, "auto") == FT_OK)
		return p;
	ft_prompts_free(p);
	return NULL;
}

void ft_prompts_free(struct ft_prompts *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->answers; i++)
		ft_answer_free(&p->answer[i]);
	free(p->answer);
	free(p->kept);
	ft_buf_free(&p->bytes);
	ft_buf_free(&p->out);
	ft_tok_text_free(&p->text);
	ft_tok_text_free(&p->whole);
	free(p->cut);
	ft_chat_free(p->chat);
	ft_pack_free(p->pack);
	ft_graph_free(p->g);
	free(p);
}

struct ft_predict_counts ft_prompts_count(const struct ft_prompts *p) { return p->count; }

/* ---- answers ---- */

static int put(struct ft_buf *b, const char *text) { return ft_buf_append(b, text, strlen(text)); }

static int put_text(struct ft_buf *b, const char *name, const void *p, size_t n)
{
	int rc = put(b, name);
	return rc < 0 ? rc : ft_put_string(b, p ? p : "", n);
}

static int put_answer(struct ft_prompts *p, const struct ft_batch *b, size_t i)
{
	const struct ft_answer *a = &p->answer[i];
	const struct kept *k = &p->kept[i];
	int rc = put_text(&p->out, "{\"src\":", b->src[i].p, b->src[i].n);
	if (rc == FT_OK && p->o.keep_text)
		rc = put_text(&p->out, ",\"text\":", p->bytes.data + k->text, k->text_n);
	if (rc == FT_OK)
		rc = put_text(&p->out, ",\"answer\":", a->text.data, a->text.len);
	if (rc == FT_OK && p->o.reference)
		rc = put_text(&p->out, ",\"reference\":", p->bytes.data + k->reference, k->reference_n);
	if (rc == FT_OK)
		rc = ft_buf_printf(&p->out, ",\"tokens\":%zu,\"logprob\":%.6g,\"finish\":\"%s\"}\n", a->n, a->logprob,
		                   ft_finish_name(a->finish));
	return rc;
}

/* Text of an answer as it comes. */
static int say(void *ctx, size_t row, const char *text, size_t n)
{
	(void)ctx;
	(void)row;
	return ft_write_all(STDOUT_FILENO, text, n, "stdout");
}

static int make_answers(struct ft_prompts *p, size_t rows)
{
	int rc = ft_grow(&p->answer, &p->cap, rows, sizeof *p->answer);
	if (rc == FT_OK && rows > p->answers) {
		memset(p->answer + p->answers, 0, (rows - p->answers) * sizeof *p->answer);
		p->answers = rows;
	}
	return rc;
}

static int run_group(struct ft_prompts *p)
{
	struct ft_batch b = { 0 };
	if (ft_pack_examples(p->pack) == 0)
		return FT_OK;
	int rc = ft_pack_batch(p->pack, &b);
	rc = rc < 0 ? rc : make_answers(p, b.rows);
	p->o.generate.first_row = (uint64_t)p->count.rows;
	rc = rc < 0 ? rc : ft_generate(p->m, p->g, p->t, &p->o.generate, &b, p->o.raw ? say : NULL, NULL, p->answer);
	for (size_t i = 0; rc == FT_OK && i < b.rows; i++) {
		rc = p->o.raw ? put(&p->out, "\n") : put_answer(p, &b, i);
		p->tokens += (int64_t)p->answer[i].n;
	}
	if (rc == FT_OK)
		rc = ft_write_all(STDOUT_FILENO, p->out.data, p->out.len, "stdout");
	p->count.rows += (int64_t)b.rows;
	p->out.len = p->bytes.len = p->nkept = 0;
	ft_pack_clear(p->pack);
	ft_progress("%lld rows, %lld tokens", (long long)p->count.rows, (long long)p->tokens);
	return rc;
}

int ft_prompts_end(struct ft_prompts *p) { return run_group(p); }

/* ---- prompts ---- */

static int keep(struct ft_prompts *p, struct ft_span text, size_t *at, size_t *n)
{
	*at = p->bytes.len;
	*n = text.n;
	return text.n ? ft_buf_append(&p->bytes, text.p, text.n) : FT_OK;
}

static int keep_row(struct ft_prompts *p, const struct ft_prompt *q)
{
	struct kept k = { 0 };
	int rc = ft_grow(&p->kept, &p->kept_cap, p->nkept + 1, sizeof *p->kept);
	if (rc == FT_OK && p->o.keep_text)
		rc = keep(p, q->text, &k.text, &k.text_n);
	if (rc == FT_OK && p->o.reference)
		rc = keep(p, q->reference, &k.reference, &k.reference_n);
	if (rc == FT_OK)
		p->kept[p->nkept++] = k;
	return rc;
}

/* How many of a prompt's first tokens are the tokenizer's. They stay where its beginning is cut: a model that has
 * always read them first goes on badly without. */
static size_t count_front(const struct ft_prompts *p, const struct ft_prompt *q)
{
	size_t n = p->edges.nbefore;
	bool has = n && n < p->o.limit && n < q->n && memcmp(q->ids, p->edges.before, n * sizeof *q->ids) == 0;
	return has ? n : 0;
}

/* Adds the prompt, or what fits of it. */
static int add_cut(struct ft_prompts *p, const struct ft_prompt *q)
{
	size_t n = q->n < p->o.limit ? q->n : p->o.limit, front = count_front(p, q), rest = n - front;
	struct ft_example e = { .ids = q->ids, .n = n, .src = q->src };
	p->count.cut += q->n > n;
	if (q->n > n) {
		int rc = ft_grow(&p->cut, &p->cut_cap, n, sizeof *p->cut);
		if (rc < 0)
			return rc;
		memcpy(p->cut, q->ids, front * sizeof *p->cut);
		memcpy(p->cut + front, q->ids + q->n - rest, rest * sizeof *p->cut);
		e.ids = p->cut;
	}
	return ft_pack_add(p->pack, &e);
}

int ft_prompts_add(struct ft_prompts *p, const struct ft_prompt *q)
{
	if (q->n == 0)
		return ft_fail(FT_EFORMAT, "%.*s: a prompt without any token", (int)q->src.n, q->src.p);
	if (q->n > p->o.limit && !p->o.cut)
		return ft_fail(FT_EFORMAT, "%.*s: %zu tokens, and a prompt may have %zu (--long truncate cuts its beginning)",
		               (int)q->src.n, q->src.p, q->n, p->o.limit);
	int rc = add_cut(p, q);
	rc = rc < 0 ? rc : keep_row(p, q);
	return rc == FT_OK && ft_pack_examples(p->pack) >= p->o.group ? run_group(p) : rc;
}

/* Of a text: as the tokenizer wraps it, without what ends one. */
static int encode_text(struct ft_prompts *p, struct ft_span text)
{
	struct ft_tok_text *own = &p->text, *whole = &p->whole;
	own->n = whole->n = 0;
	int rc = ft_tok_encode(p->t, text.p, text.n, 0, own);
	if (rc < 0)
		return rc;
	size_t written = ft_edges_written(&p->edges, own->ids, own->n);
	rc = ft_tok_wrap(p->t, &(struct ft_tok_slice){ own, written, own->n - written }, NULL, whole);
	int32_t last = own->n ? own->ids[own->n - 1] : -1;
	while (rc == FT_OK && whole->n > 1 && is_end(&p->o.generate, whole->ids[whole->n - 1]) &&
	       whole->ids[whole->n - 1] != last)
		whole->n--;
	return rc;
}

/* Of a conversation, by the template of the model's base. */
static int encode_messages(struct ft_prompts *p, const struct ft_row *row)
{
	if (!p->chat && !(p->chat = ft_chat_of_dir(ft_model_dir(p->m))))
		return ft_last_error();
	return ft_chat_encode(p->chat, p->t, row->messages, row->tools, &p->whole);
}

int ft_prompts_row(struct ft_prompts *p, const struct ft_row *row)
{
	if (row->words)
		return ft_fail(FT_EFORMAT, "%.*s: is a sentence in words, which are for models that give tags", (int)row->src.n,
		               row->src.p);
	int rc = row->messages ? encode_messages(p, row) : encode_text(p, row->text);
	if (rc < 0)
		return ft_context(rc, "%.*s", (int)row->src.n, row->src.p);
	p->count.invalid += ft_utf8_invalid(row->text.p, row->text.n) > 0;
	return ft_prompts_add(p, &(struct ft_prompt){ p->whole.ids, p->whole.n, row->src, row->text, row->label });
}

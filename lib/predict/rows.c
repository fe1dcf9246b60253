/* rows.c - rows of text or tokens through a head, a group at a time, and the answers as JSON
 * lines. */
#include "ft/predict.h"

#include "ft/batch.h"
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/file.h"
#include "ft/graph.h"
#include "ft/metric.h"
#include "ft/sentence.h"
#include "ft/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The texts of a row that is not answered yet, in `bytes`. */
struct kept {
	size_t text, text_n, pair, pair_n;
	bool has_pair;
};

struct ft_predictor {
	struct ft_model *model;
	struct ft_predict_options o;
	struct ft_graph *graph;
	enum ft_task task;
	struct ft_pack *pack;  /* rows, or windows of them, that are run together */
	struct ft_docs *docs;  /* made when the width of the outputs is known */
	struct kept *kept;     /* [nkept], with keep_text */
	size_t nkept, kept_cap;
	struct ft_words *words; /* [rows of the pack]: of sentences, with tags */
	size_t words_cap;
	struct ft_arena arena; /* what these consist of */
	struct ft_buf bytes, out;
	float *row;            /* probabilities, or a vector, of one row */
	size_t row_cap;
	struct ft_tok_text first, second, whole;
	struct ft_predict_counts count;
};

struct ft_predictor *ft_predictor_new(struct ft_model *m, const struct ft_predict_options *o)
{
	struct ft_predictor *p = ft_alloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->model = m;
	p->o = *o;
	p->task = ft_model_task(m);
	p->graph = ft_graph_new();
	p->pack = ft_pack_new();
	if (p->graph && p->pack && ft_grow(&p->row, &p->row_cap, ft_model_outputs(m), sizeof *p->row) == FT_OK)
		return p;
	ft_predictor_free(p);
	return NULL;
}

void ft_predictor_free(struct ft_predictor *p)
{
	if (!p)
		return;
	ft_tok_text_free(&p->first);
	ft_tok_text_free(&p->second);
	ft_tok_text_free(&p->whole);
	ft_graph_free(p->graph);
	ft_arena_free(&p->arena);
	ft_docs_free(p->docs);
	ft_pack_free(p->pack);
	ft_buf_free(&p->out);
	ft_buf_free(&p->bytes);
	free(p->kept);
	free(p->words);
	free(p->row);
	free(p);
}

struct ft_predict_counts ft_predictor_count(const struct ft_predictor *p) { return p->count; }

/* ---- output ---- */

static int put(struct ft_buf *b, const char *text)
{
	return ft_buf_append(b, text, strlen(text));
}

static int put_member(struct ft_predictor *p, const char *name, size_t at, size_t n)
{
	int rc = put(&p->out, name);
	return rc == FT_OK ? ft_put_string(&p->out, (const char *)p->bytes.data + at, n) : rc;
}

/* {"src":…[,"window":…,"windows":…][,"text":…][,"pair":…] */
static int put_row(struct ft_predictor *p, const struct ft_batch *b, size_t i)
{
	const struct kept *k = p->o.keep_text ? &p->kept[i] : NULL;
	int rc = put(&p->out, "{\"src\":");
	if (rc == FT_OK)
		rc = ft_put_string(&p->out, b->src ? b->src[i].p : "", b->src ? b->src[i].n : 0);
	if (rc == FT_OK && b->windows)
		rc = ft_buf_printf(&p->out, ",\"window\":%lld,\"windows\":%lld", (long long)b->windows[i].index,
		                   (long long)b->windows[i].count);
	if (rc == FT_OK && k && (!p->o.tags || k->text_n)) /* what came in words is repeated anyway */
		rc = put_member(p, ",\"text\":", k->text, k->text_n);
	if (rc == FT_OK && k && k->has_pair)
		rc = put_member(p, ",\"pair\":", k->pair, k->pair_n);
	return rc;
}

/* Sentence i of the batch; what it consists of is numbered as its tokens are. */
static int put_sentence(struct ft_predictor *p, const struct ft_batch *b, size_t i, const float *logits)
{
	size_t at = (size_t)b->offsets[i], end = (size_t)b->offsets[i + 1];
	struct ft_tagged s = { &p->words[i], b->words + at, logits + at * ft_tags_count(p->o.tags), end - at };
	return ft_put_tagged(&p->out, p->o.tags, &s, &p->arena);
}

static int put_vector(struct ft_predictor *p, const float *v, size_t n)
{
	int rc = ft_grow(&p->row, &p->row_cap, n, sizeof *p->row);
	if (rc < 0)
		return rc;
	memcpy(p->row, v, n * sizeof *v);
	if (p->o.normalize)
		ft_vectors_normalize(p->row, 1, n);
	rc = put(&p->out, "\"vector\":");
	return rc == FT_OK ? ft_put_floats(&p->out, p->row, n) : rc;
}

/* Numbers that are not finite would be written as null, which nobody expects. */
static int check_finite(const struct ft_batch *b, const float *v, size_t n, bool by_token)
{
	size_t row = 0;
	for (size_t i = 0; i < (by_token ? b->tokens : b->rows) * n; i++) {
		while (by_token ? i / n >= (size_t)b->offsets[row + 1] : i / n > row)
			row++;
		if (!isfinite(v[i]))
			return ft_fail(FT_ECRITERION, "%.*s: the model's output is not finite",
			               b->src ? (int)b->src[row].n : 0, b->src ? b->src[row].p : "");
	}
	return FT_OK;
}

/* What the model says of row i; v are the outputs of all, n of each row or token. */
static int put_answer(struct ft_predictor *p, const struct ft_batch *b, size_t i, const float *v, size_t n)
{
	int rc = put(&p->out, ",");
	if (rc < 0)
		return rc;
	if (p->o.tags)
		return put_sentence(p, b, i, v);
	if (p->o.vectors)
		return put_vector(p, v + i * n, n);
	return ft_put_prediction(&p->out, p->task, p->o.labels, v + i * n, n, p->o.threshold, p->row);
}

/* ---- running what has gathered ---- */

/* The outputs [rows, *n] of whole rows, to which *b is narrowed. */
static int run_model(struct ft_predictor *p, struct ft_batch *b, const float **v, size_t *n)
{
	struct ft_output out = { 0 };
	int rc = p->o.vectors ? ft_model_vectors(p->model, p->graph, b, p->o.vectors, false, v, n)
	                 : ft_model_eval(p->model, p->graph, b, &out);
	if (!p->o.vectors) {
		*v = out.logits;
		*n = out.outputs;
	}
	if (rc == FT_OK && !p->docs && !(p->docs = ft_docs_new(p->o.vectors ? FT_TASK_REGRESS : p->task, *n, p->o.combine)))
		rc = ft_last_error();
	return rc == FT_OK ? ft_docs_add(p->docs, b, v) : rc;
}

/* Forgets the texts of the first n rows, which have been answered. */
static void drop_kept(struct ft_predictor *p, size_t n)
{
	if (!p->o.keep_text || n == 0)
		return;
	size_t from = n < p->nkept ? p->kept[n].text : p->bytes.len;
	if (from)
		memmove(p->bytes.data, p->bytes.data + from, p->bytes.len - from);
	memmove(p->kept, p->kept + n, (p->nkept - n) * sizeof *p->kept);
	p->bytes.len -= from;
	p->nkept -= n;
	for (size_t i = 0; i < p->nkept; i++) {
		p->kept[i].text -= from;
		p->kept[i].pair -= from;
	}
}

static int run_group(struct ft_predictor *p)
{
	struct ft_batch b = { 0 };
	const float *v = NULL;
	size_t n = 0;
	if (ft_pack_examples(p->pack) == 0)
		return FT_OK;
	int rc = ft_pack_batch(p->pack, &b);
	if (rc == FT_OK)
		rc = run_model(p, &b, &v, &n);
	if (rc == FT_OK)
		rc = check_finite(&b, v, n, p->o.tags != NULL);
	for (size_t i = 0; i < b.rows && rc == FT_OK; i++) {
		rc = put_row(p, &b, i);
		if (rc == FT_OK)
			rc = put_answer(p, &b, i, v, n);
		if (rc == FT_OK)
			rc = put(&p->out, "}\n");
	}
	if (rc == FT_OK && p->out.len)
		rc = ft_write_all(STDOUT_FILENO, p->out.data, p->out.len, "stdout");
	if (rc == FT_OK)
		drop_kept(p, b.rows);
	p->count.rows += (int64_t)b.rows;
	p->out.len = 0;
	ft_pack_clear(p->pack);
	ft_arena_reset(&p->arena);
	ft_progress("%lld rows", (long long)p->count.rows);
	return rc;
}

int ft_predictor_end(struct ft_predictor *p)
{
	int rc = run_group(p);
	return rc == FT_OK && p->docs ? ft_docs_end(p->docs) : rc;
}

/* `words`: of a sentence, or NULL. */
static int add_example(struct ft_predictor *p, const struct ft_example *e, const struct ft_words *words)
{
	size_t rows = ft_pack_examples(p->pack);
	if (e->n == 0)
		return ft_fail(FT_EFORMAT, "%.*s: a row without any token", (int)e->src.n, e->src.n ? e->src.p : "");
	int rc = words ? ft_grow(&p->words, &p->words_cap, rows + 1, sizeof *p->words) : FT_OK;
	if (rc == FT_OK)
		rc = ft_pack_add(p->pack, e);
	if (rc == FT_OK && words)
		p->words[rows] = *words;
	return rc == FT_OK && rows + 1 >= p->o.group ? run_group(p) : rc;
}

/* ---- text ---- */

/* The text, behind the prompt of a model that makes vectors. */
static int encode_text(struct ft_predictor *p, struct ft_span text)
{
	const char *prompt = p->o.vectors ? ft_model_pooling(p->model)->prompt : NULL;
	if (!prompt)
		return ft_tok_encode(p->o.tok, text.p, text.n, 0, &p->first);
	struct ft_buf b = { 0 };
	int rc = ft_buf_printf(&b, "%s", prompt);
	rc = rc ? rc : ft_buf_append(&b, text.p, text.n);
	rc = rc ? rc : ft_tok_encode(p->o.tok, (const char *)b.data, b.len, 0, &p->first);
	ft_buf_free(&b);
	return rc;
}

/* Copies a text; *at is where it lies. */
static int keep_bytes(struct ft_predictor *p, struct ft_span text, size_t *at, size_t *n)
{
	*at = p->bytes.len;
	*n = text.n;
	return text.n ? ft_buf_append(&p->bytes, text.p, text.n) : FT_OK;
}

static int keep(struct ft_predictor *p, const struct ft_row *text)
{
	struct kept k = { .has_pair = text->pair.p != NULL };
	int rc = ft_grow(&p->kept, &p->kept_cap, p->nkept + 1, sizeof *p->kept);
	if (rc == FT_OK)
		rc = keep_bytes(p, text->text, &k.text, &k.text_n);
	if (rc == FT_OK)
		rc = keep_bytes(p, text->pair, &k.pair, &k.pair_n);
	if (rc == FT_OK)
		p->kept[p->nkept++] = k;
	return rc;
}

/* Which word each token of a sentence is of; NULL: out of memory. */
static int32_t *number_tokens(struct ft_predictor *p, const struct ft_words *words, const struct ft_tok_slice *a)
{
	struct ft_words_part whole = { a, 0, 1, 0 };
	int32_t *number = ft_arena_get(&p->arena, p->whole.n * sizeof *number);
	if (number)
		ft_words_align(p->o.tok, words, &whole, NULL, number, NULL);
	return number;
}

/* One window of a row, or the whole row; `words`: of a sentence, or NULL. */
static int add_part(struct ft_predictor *p, const struct ft_row *text, const struct ft_words *words,
                    const struct ft_window *w)
{
	struct ft_tok_slice a = { &p->first, 0, p->first.n }, b = { &p->second, 0, p->second.n };
	bool pair = text->pair.p != NULL;
	ft_tok_part(p->o.tok, &p->o.limit, (size_t)w->index, &a, pair ? &b : NULL);
	int rc = ft_tok_wrap(p->o.tok, &a, pair ? &b : NULL, &p->whole);
	if (rc == FT_OK && p->o.keep_text && (w->index == 0 || p->o.combine == FT_COMBINE_NONE))
		rc = keep(p, text);
	struct ft_example e = { .ids = p->whole.ids, .types = p->whole.types, .n = p->whole.n, .src = text->src,
	                        .window = w->count > 1 ? w : NULL };
	if (rc == FT_OK && words && !(e.words = number_tokens(p, words, &a)))
		rc = FT_EFAIL;
	return rc == FT_OK ? add_example(p, &e, words) : rc;
}

/* Into first and second; the words of a sentence into *words. */
static int encode(struct ft_predictor *p, const struct ft_row *text, struct ft_words *words)
{
	int rc;
	p->first.n = p->second.n = 0;
	if (p->o.tags) {
		rc = ft_words_read(text, NULL, &p->arena, words);
		rc = rc < 0 ? rc : ft_words_encode(p->o.tok, words, &p->first);
	} else {
		rc = encode_text(p, text->text);
	}
	return rc == FT_OK && text->pair.p ? ft_tok_encode(p->o.tok, text->pair.p, text->pair.n, 1, &p->second) : rc;
}

int ft_predictor_row(struct ft_predictor *p, const struct ft_row *text)
{
	bool pair = text->pair.p != NULL;
	struct ft_words words = { 0 };
	if (text->words && !p->o.tags)
		return ft_fail(FT_EFORMAT, "%.*s: is a sentence in words, which are for models that give tags",
		               (int)text->src.n, text->src.p);
	int rc = encode(p, text, &words);
	if (rc < 0)
		return rc;
	struct ft_window w = { .count = ft_tok_parts(p->o.tok, &p->o.limit, p->first.n, pair, p->second.n) };
	if (w.count < 0)
		return ft_context((int)w.count, "%.*s", (int)text->src.n, text->src.p);
	if (w.count > 1)
		w.doc = ft_window_doc(p->first.ids, p->first.n, p->second.ids, p->second.n);
	p->count.cut += ft_tok_is_long(p->o.tok, &p->o.limit, p->first.n, pair, p->second.n);
	p->count.invalid += ft_utf8_invalid(text->text.p, text->text.n) || ft_utf8_invalid(text->pair.p, text->pair.n);
	for (; w.index < w.count && rc == FT_OK; w.index++)
		rc = add_part(p, text, p->o.tags ? &words : NULL, &w);
	return rc;
}

/* ---- a tokens stream ---- */

/* A sentence of a stream: its words as the tokenizer spells them; each token is
 * one when the stream does not say. */
static int add_sentence(struct ft_predictor *p, struct ft_example *e)
{
	struct ft_words words = { 0 };
	int32_t *number = ft_arena_get(&p->arena, e->n * sizeof *number);
	if (!number)
		return FT_EFAIL;
	for (size_t i = 0; i < e->n; i++)
		number[i] = e->words ? e->words[i] : ft_tok_is_special(p->o.tok, e->ids[i]) ? -1 : (int32_t)i;
	int rc = ft_words_decode(p->o.tok, e->ids, number, e->n, &p->arena, &words);
	e->words = number;
	return rc == FT_OK ? add_example(p, e, &words) : rc;
}

int ft_predictor_example(struct ft_predictor *p, struct ft_reader *in, struct ft_example *e)
{
	e->labels = NULL; /* what is so does not matter here */
	e->targets = NULL;
	e->nlabels = e->ntargets = 0;
	if (ft_example_texts(e) > 1)
		return ft_reader_fail(in, FT_EMATCH, "an example of %zu texts; answers are of one", ft_example_texts(e));
	if (e->n > p->o.limit.max)
		return ft_reader_fail(in, FT_EMATCH, "%zu tokens, and the limit is %zu", e->n, p->o.limit.max);
	return p->o.tags ? add_sentence(p, e) : add_example(p, e, NULL);
}

/* ft-predict - what a model says of each row of text: one JSON line a row, in
 * order, written as soon as a group of rows has been run. */
#include "ft/batch.h"
#include "ft/cli.h"
#include "ft/docs.h"
#include "ft/entity.h"
#include "ft/err.h"
#include "ft/graph.h"
#include "ft/metric.h"
#include "ft/prompts.h"
#include "ft/sentence.h"
#include "ft/text.h"
#include "ft/tok.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *model_path, *base, *format, *vectors, *policy, *reference, *combine_name = "mean", *thresholds;
static struct ft_text_options columns = { .header = -1 };
static bool header, no_header, tokens_in, normalize, keep_text;
static int64_t group_rows, max_length, stride = -1, max_line = 16 << 20;
static double threshold = NAN;
static struct ft_generate_options generate = { .sample = { .top_p = 1, .penalty = 1 }, .max_new = 128, .length_penalty = 1 };
static int64_t seed;
static struct ft_list stops;
static bool raw;
static enum ft_combine combine;

static const struct ft_opt options[] = {
	{ "model", 'm', FT_OPT_STR, &model_path, "MODEL",
	  "predict with MODEL: a folder, or a stream of ft-train", 0 },
	{ "base", 0, FT_OPT_STR, &base, "DIR", "where the base model of a stream lies here", FT_OPT_QUIET },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Input", 0 },
	{ "format", 'f', FT_OPT_STR, &format, "FORMAT",
	  "tsv, csv, jsonl, conll, lines, or file: each file is one text (default: by its name, else lines)", 0 },
	{ "text", 't', FT_OPT_STR, &columns.text, "COLUMN",
	  "column of the text: a name, or a number from 1 (default: as ft-tokenize)", 0 },
	{ "pair", 'p', FT_OPT_STR, &columns.pair, "COLUMN", "column of a second text (default: none)", 0 },
	{ "header", 0, FT_OPT_FLAG, &header, NULL,
	  "the first line names the columns (default: when a column is asked for by name)", 0 },
	{ "no-header", 0, FT_OPT_FLAG, &no_header, NULL, "the first line is a row", 0 },
	{ "member", 0, FT_OPT_STR, &columns.member, "GLOB", "files to read of an archive (default: all)", 0 },
	{ "max-line", 0, FT_OPT_INT, &max_line, "N",
	  "refuse lines, and files that are one text, of more than N bytes (default: 16777216)", 0 },
	{ "tokens", 0, FT_OPT_FLAG, &tokens_in, NULL, "stdin is a tokens stream (a file is looked at)", 0 },
	{ "max-length", 0, FT_OPT_INT, &max_length, "N",
	  "most tokens of a row, with special tokens (default: as many as MODEL takes)", 0 },
	{ "long", 0, FT_OPT_STR, &policy, "POLICY",
	  "what to do with a longer row: truncate, split or error (default: truncate; of a language model error, and "
	  "truncate cuts the beginning)", 0 },
	{ "stride", 0, FT_OPT_INT, &stride, "N",
	  "tokens by which windows overlap, with --long split (default: 0)", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Answers of a language model", 0 },
	{ "max-new", 'n', FT_OPT_INT, &generate.max_new, "N", "most tokens of an answer (default: 128)", 0 },
	{ "temperature", 'T', FT_OPT_REAL, &generate.sample.temperature, "X",
	  "choose tokens by chance, more evenly the larger X is (default: 0, always the most likely)", 0 },
	{ "top-k", 0, FT_OPT_INT, &generate.sample.top_k, "N", "of the N most likely alone (default: 0, of all)", 0 },
	{ "top-p", 0, FT_OPT_REAL, &generate.sample.top_p, "P",
	  "of the fewest most likely that make up P together (default: 1)", 0 },
	{ "min-p", 0, FT_OPT_REAL, &generate.sample.min_p, "P",
	  "of those that are P times as likely as the most likely, at least (default: 0)", 0 },
	{ "repetition-penalty", 0, FT_OPT_REAL, &generate.sample.penalty, "X",
	  "divide the logits of tokens that have been by X, or multiply those below 0 (default: 1)", 0 },
	{ "seed", 's', FT_OPT_INT, &seed, "N", "another N, another choice (default: 0)", 0 },
	{ "beams", 0, FT_OPT_INT, &generate.beams, "N", "search the likeliest answer with N beams (default: 1)", 0 },
	{ "length-penalty", 0, FT_OPT_REAL, &generate.length_penalty, "X",
	  "compare beams by their log-probability over their length to the power of X (default: 1)", 0 },
	{ "stop", 0, FT_OPT_LIST, &stops, "TEXT", "end an answer before TEXT; may be repeated", 0 },
	{ "reference", 0, FT_OPT_STR, &reference, "COLUMN",
	  "column of what the answer should be, repeated in the output (default: none)", 0 },
	{ "raw", 0, FT_OPT_FLAG, &raw, NULL, "print the answers alone, as they come", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Output", 0 },
	{ "threshold", 0, FT_OPT_REAL, &threshold, "P",
	  "probability from which on a label of a multi-label model is predicted (default: 0.5)", 0 },
	{ "thresholds", 0, FT_OPT_STR, &thresholds, "FILE",
	  "the same for each label, from a file that ft-eval has tuned", 0 },
	{ "combine", 0, FT_OPT_STR, &combine_name, "HOW",
	  "one answer for a row of several windows: mean, max, first or none (default: mean)", 0 },
	{ "vectors", 0, FT_OPT_STR, &vectors, "POOLING",
	  "print a vector instead of a prediction: auto, as the model says, mean (over the tokens), cls, max, "
	  "mean_sqrt_len_tokens, weightedmean, lasttoken or pooler (default: auto for a model that makes vectors)", 0 },
	{ "normalize", 0, FT_OPT_FLAG, &normalize, NULL, "scale each vector to length 1", 0 },
	{ "keep-text", 0, FT_OPT_FLAG, &keep_text, NULL, "repeat the text in the output", 0 },
	{ "group", 'g', FT_OPT_INT, &group_rows, "N",
	  "run N rows together; 1 answers each line at once (default: 32, on a terminal 1)", 0 },
	{ 0 },
};

/* The texts of a row that is not answered yet, in `bytes` of the run. */
struct kept {
	size_t text, text_n, pair, pair_n;
	bool has_pair;
};

struct run {
	struct ft_model *model;
	struct ft_graph *graph;
	struct ft_tok *tok;
	enum ft_task task;
	json_t *labels;
	struct ft_tags *tags;  /* with the task tag, else NULL */
	struct ft_tok_limit limit;
	struct ft_pack *pack;  /* rows, or windows of them, that are run together */
	struct ft_docs *docs;  /* made when the width of the outputs is known */
	struct kept *kept;     /* [nkept], with --keep-text */
	size_t nkept, kept_cap;
	struct ft_words *words; /* [rows of the pack]: of sentences, with the task tag */
	size_t words_cap;
	struct ft_arena arena; /* what these consist of */
	struct ft_buf bytes, out;
	float *row;            /* probabilities, or a vector, of one row */
	size_t row_cap;
	double *threshold;     /* [outputs]: multilabel */
	struct ft_tok_text first, second, whole;
	struct ft_prompts *prompts; /* of a language model, else NULL */
	int32_t *ends;              /* tokens that end its answers */
	int64_t rows, cut, blank, invalid;
};

/* ---- output ---- */

static int put(struct ft_buf *b, const char *text)
{
	return ft_buf_append(b, text, strlen(text));
}

static int put_member(struct run *r, const char *name, size_t at, size_t n)
{
	int rc = put(&r->out, name);
	return rc == FT_OK ? ft_put_string(&r->out, (const char *)r->bytes.data + at, n) : rc;
}

/* {"src":…[,"window":…,"windows":…][,"text":…][,"pair":…] */
static int put_row(struct run *r, const struct ft_batch *b, size_t i)
{
	const struct kept *k = keep_text ? &r->kept[i] : NULL;
	int rc = put(&r->out, "{\"src\":");
	if (rc == FT_OK)
		rc = ft_put_string(&r->out, b->src ? b->src[i].p : "", b->src ? b->src[i].n : 0);
	if (rc == FT_OK && b->windows)
		rc = ft_buf_printf(&r->out, ",\"window\":%lld,\"windows\":%lld", (long long)b->windows[i].index,
		                   (long long)b->windows[i].count);
	if (rc == FT_OK && k && (!r->tags || k->text_n)) /* what came in words is repeated anyway */
		rc = put_member(r, ",\"text\":", k->text, k->text_n);
	if (rc == FT_OK && k && k->has_pair)
		rc = put_member(r, ",\"pair\":", k->pair, k->pair_n);
	return rc;
}

/* Sentence i of the batch; what it consists of is numbered as its tokens are. */
static int put_sentence(struct run *r, const struct ft_batch *b, size_t i, const float *logits)
{
	size_t at = (size_t)b->offsets[i], end = (size_t)b->offsets[i + 1];
	struct ft_tagged s = { &r->words[i], b->words + at, logits + at * ft_tags_count(r->tags), end - at };
	return ft_put_tagged(&r->out, r->tags, &s, &r->arena);
}

static int put_vector(struct run *r, const float *v, size_t n)
{
	int rc = ft_grow(&r->row, &r->row_cap, n, sizeof *r->row);
	if (rc < 0)
		return rc;
	memcpy(r->row, v, n * sizeof *v);
	if (normalize)
		ft_vectors_normalize(r->row, 1, n);
	rc = put(&r->out, "\"vector\":");
	return rc == FT_OK ? ft_put_floats(&r->out, r->row, n) : rc;
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
static int put_answer(struct run *r, const struct ft_batch *b, size_t i, const float *v, size_t n)
{
	int rc = put(&r->out, ",");
	if (rc < 0)
		return rc;
	if (r->tags)
		return put_sentence(r, b, i, v);
	if (vectors)
		return put_vector(r, v + i * n, n);
	return ft_put_prediction(&r->out, r->task, r->labels, v + i * n, n, r->threshold, r->row);
}

/* ---- running what has gathered ---- */

/* The outputs [rows, *n] of whole rows, to which *b is narrowed. */
static int run_model(struct run *r, struct ft_batch *b, const float **v, size_t *n)
{
	struct ft_output out = { 0 };
	int rc = vectors ? ft_model_vectors(r->model, r->graph, b, vectors, false, v, n)
	                 : ft_model_eval(r->model, r->graph, b, &out);
	if (!vectors) {
		*v = out.logits;
		*n = out.outputs;
	}
	if (rc == FT_OK && !r->docs && !(r->docs = ft_docs_new(vectors ? FT_TASK_REGRESS : r->task, *n, combine)))
		rc = ft_last_error();
	return rc == FT_OK ? ft_docs_add(r->docs, b, v) : rc;
}

/* Forgets the texts of the first n rows, which have been answered. */
static void drop_kept(struct run *r, size_t n)
{
	if (!keep_text || n == 0)
		return;
	size_t from = n < r->nkept ? r->kept[n].text : r->bytes.len;
	if (from)
		memmove(r->bytes.data, r->bytes.data + from, r->bytes.len - from);
	memmove(r->kept, r->kept + n, (r->nkept - n) * sizeof *r->kept);
	r->bytes.len -= from;
	r->nkept -= n;
	for (size_t i = 0; i < r->nkept; i++) {
		r->kept[i].text -= from;
		r->kept[i].pair -= from;
	}
}

static int run_group(struct run *r)
{
	struct ft_batch b = { 0 };
	const float *v = NULL;
	size_t n = 0;
	if (ft_pack_examples(r->pack) == 0)
		return FT_OK;
	int rc = ft_pack_batch(r->pack, &b);
	if (rc == FT_OK)
		rc = run_model(r, &b, &v, &n);
	if (rc == FT_OK)
		rc = check_finite(&b, v, n, r->tags != NULL);
	for (size_t i = 0; i < b.rows && rc == FT_OK; i++) {
		rc = put_row(r, &b, i);
		if (rc == FT_OK)
			rc = put_answer(r, &b, i, v, n);
		if (rc == FT_OK)
			rc = put(&r->out, "}\n");
	}
	if (rc == FT_OK && r->out.len)
		rc = ft_write_all(STDOUT_FILENO, r->out.data, r->out.len, "stdout");
	if (rc == FT_OK)
		drop_kept(r, b.rows);
	r->rows += (int64_t)b.rows;
	r->out.len = 0;
	ft_pack_clear(r->pack);
	ft_arena_reset(&r->arena);
	ft_progress("%lld rows", (long long)r->rows);
	return rc;
}

/* Runs what is left; nothing of it may lack a part. */
static int end_group(struct run *r)
{
	int rc = run_group(r);
	return rc == FT_OK && r->docs ? ft_docs_end(r->docs) : rc;
}

/* `words`: of a sentence, or NULL. */
static int add_example(struct run *r, const struct ft_example *e, const struct ft_words *words)
{
	size_t rows = ft_pack_examples(r->pack);
	if (e->n == 0)
		return ft_fail(FT_EFORMAT, "%.*s: a row without any token", (int)e->src.n, e->src.n ? e->src.p : "");
	int rc = words ? ft_grow(&r->words, &r->words_cap, rows + 1, sizeof *r->words) : FT_OK;
	if (rc == FT_OK)
		rc = ft_pack_add(r->pack, e);
	if (rc == FT_OK && words)
		r->words[rows] = *words;
	return rc == FT_OK && rows + 1 >= (size_t)group_rows ? run_group(r) : rc;
}

/* ---- text ---- */

/* The text, behind the prompt of a model that makes vectors. */
static int encode_text(struct run *r, struct ft_span text)
{
	const char *prompt = vectors ? ft_model_pooling(r->model)->prompt : NULL;
	if (!prompt)
		return ft_tok_encode(r->tok, text.p, text.n, 0, &r->first);
	struct ft_buf b = { 0 };
	int rc = ft_buf_printf(&b, "%s", prompt);
	rc = rc ? rc : ft_buf_append(&b, text.p, text.n);
	rc = rc ? rc : ft_tok_encode(r->tok, (const char *)b.data, b.len, 0, &r->first);
	ft_buf_free(&b);
	return rc;
}

/* Copies a text; *at is where it lies. */
static int keep_bytes(struct run *r, struct ft_span text, size_t *at, size_t *n)
{
	*at = r->bytes.len;
	*n = text.n;
	return text.n ? ft_buf_append(&r->bytes, text.p, text.n) : FT_OK;
}

static int keep(struct run *r, const struct ft_row *text)
{
	struct kept k = { .has_pair = text->pair.p != NULL };
	int rc = ft_grow(&r->kept, &r->kept_cap, r->nkept + 1, sizeof *r->kept);
	if (rc == FT_OK)
		rc = keep_bytes(r, text->text, &k.text, &k.text_n);
	if (rc == FT_OK)
		rc = keep_bytes(r, text->pair, &k.pair, &k.pair_n);
	if (rc == FT_OK)
		r->kept[r->nkept++] = k;
	return rc;
}

/* Which word each token of a sentence is of; NULL: out of memory. */
static int32_t *number_tokens(struct run *r, const struct ft_words *words, const struct ft_tok_slice *a)
{
	struct ft_words_part whole = { a, 0, 1, 0 };
	int32_t *number = ft_arena_get(&r->arena, r->whole.n * sizeof *number);
	if (number)
		ft_words_align(r->tok, words, &whole, NULL, number, NULL);
	return number;
}

/* One window of a row, or the whole row; `words`: of a sentence, or NULL. */
static int add_part(struct run *r, const struct ft_row *text, const struct ft_words *words, const struct ft_window *w)
{
	struct ft_tok_slice a = { &r->first, 0, r->first.n }, b = { &r->second, 0, r->second.n };
	bool pair = text->pair.p != NULL;
	ft_tok_part(r->tok, &r->limit, (size_t)w->index, &a, pair ? &b : NULL);
	int rc = ft_tok_wrap(r->tok, &a, pair ? &b : NULL, &r->whole);
	if (rc == FT_OK && keep_text && (w->index == 0 || combine == FT_COMBINE_NONE))
		rc = keep(r, text);
	struct ft_example e = { .ids = r->whole.ids, .types = r->whole.types, .n = r->whole.n, .src = text->src,
	                        .window = w->count > 1 ? w : NULL };
	if (rc == FT_OK && words && !(e.words = number_tokens(r, words, &a)))
		rc = FT_EFAIL;
	return rc == FT_OK ? add_example(r, &e, words) : rc;
}

/* Into first and second; the words of a sentence into *words. */
static int encode(struct run *r, const struct ft_row *text, struct ft_words *words)
{
	int rc;
	r->first.n = r->second.n = 0;
	if (r->tags) {
		rc = ft_words_read(text, NULL, &r->arena, words);
		rc = rc < 0 ? rc : ft_words_encode(r->tok, words, &r->first);
	} else {
		rc = encode_text(r, text->text);
	}
	return rc == FT_OK && text->pair.p ? ft_tok_encode(r->tok, text->pair.p, text->pair.n, 1, &r->second) : rc;
}

static int add_text(struct run *r, const struct ft_row *text)
{
	bool pair = text->pair.p != NULL;
	struct ft_words words = { 0 };
	if (text->words && !r->tags)
		return ft_fail(FT_EFORMAT, "%.*s: is a sentence in words, which are for models that give tags",
		               (int)text->src.n, text->src.p);
	int rc = encode(r, text, &words);
	if (rc < 0)
		return rc;
	struct ft_window w = { .count = ft_tok_parts(r->tok, &r->limit, r->first.n, pair, r->second.n) };
	if (w.count < 0)
		return ft_context((int)w.count, "%.*s", (int)text->src.n, text->src.p);
	if (w.count > 1)
		w.doc = ft_window_doc(r->first.ids, r->first.n, r->second.ids, r->second.n);
	r->cut += ft_tok_is_long(r->tok, &r->limit, r->first.n, pair, r->second.n);
	r->invalid += ft_utf8_invalid(text->text.p, text->text.n) || ft_utf8_invalid(text->pair.p, text->pair.n);
	for (; w.index < w.count && rc == FT_OK; w.index++)
		rc = add_part(r, text, r->tags ? &words : NULL, &w);
	return rc;
}

static int predict_text(struct run *r, const char *path)
{
	struct ft_row row;
	struct ft_text *t = ft_text_open(path, &columns);
	if (!t)
		return ft_last_error();
	int rc;
	while ((rc = ft_text_next(t, &row)) > 0) {
		rc = add_text(r, &row);
		if (rc < 0)
			break;
	}
	if (rc == FT_OK)
		rc = end_group(r); /* what the next file says of itself comes after these rows */
	r->blank += ft_text_blank(t);
	ft_text_close(t);
	return rc;
}

/* ---- a tokens stream ---- */

/* A sentence of a stream: its words as the tokenizer spells them; each token is
 * one when the stream does not say. */
static int add_sentence(struct run *r, struct ft_example *e)
{
	struct ft_words words = { 0 };
	int32_t *number = ft_arena_get(&r->arena, e->n * sizeof *number);
	if (!number)
		return FT_EFAIL;
	for (size_t i = 0; i < e->n; i++)
		number[i] = e->words ? e->words[i] : ft_tok_is_special(r->tok, e->ids[i]) ? -1 : (int32_t)i;
	int rc = ft_words_decode(r->tok, e->ids, number, e->n, &r->arena, &words);
	e->words = number;
	return rc == FT_OK ? add_example(r, e, &words) : rc;
}

static int predict_tokens(struct run *r, const char *path)
{
	struct ft_example e;
	if (keep_text)
		return ft_fail(FT_EUSAGE, "--keep-text: a tokens stream has no text");
	struct ft_reader *in = ft_reader_open(path, "tokens");
	if (!in)
		return ft_last_error();
	int rc = ft_model_match(r->model, in);
	while (rc == FT_OK && (rc = ft_example_read(in, &e)) > 0) {
		e.labels = NULL; /* what is so does not matter here */
		e.targets = NULL;
		e.nlabels = e.ntargets = 0;
		if (ft_example_texts(&e) > 1)
			rc = ft_reader_fail(in, FT_EMATCH, "an example of %zu texts; answers are of one", ft_example_texts(&e));
		else if (e.n > r->limit.max)
			rc = ft_reader_fail(in, FT_EMATCH, "%zu tokens, and the limit is %zu", e.n, r->limit.max);
		else
			rc = r->tags ? add_sentence(r, &e) : add_example(r, &e, NULL);
		if (rc < 0)
			break;
	}
	if (rc == FT_OK)
		rc = end_group(r);
	ft_reader_close(in);
	return rc;
}

/* ---- setting up ---- */

static int parse_format(void)
{
	int parsed = format ? ft_text_format_parse(format) : FT_TEXT_AUTO;
	if (parsed < 0)
		return ft_fail(FT_EUSAGE, "--format: '%s' is not one of tsv, csv, jsonl, conll, lines, file", format);
	columns.format = (enum ft_text_format)parsed;
	columns.header = header ? 1 : no_header ? 0 : -1;
	columns.max_line = (size_t)max_line;
	return FT_OK;
}

static int check_options(void)
{
	if (!model_path)
		return ft_fail(FT_EUSAGE, "which model? give -m MODEL");
	int p = ft_tok_long_parse(policy ? policy : "truncate"), how = ft_combine_parse("combine", combine_name);
	if (how < 0)
		return how;
	combine = (enum ft_combine)how;
	if (p < 0 || p == FT_TOK_DROP)
		return ft_fail(FT_EUSAGE, "--long: '%s' is not truncate, split or error", policy);
	if (stride >= 0 && p != FT_TOK_SPLIT)
		return ft_fail(FT_EUSAGE, "--stride is for --long split");
	if (thresholds && !isnan(threshold))
		return ft_fail(FT_EUSAGE, "--threshold and --thresholds exclude each other");
	if (threshold <= 0.0 || threshold >= 1.0 || group_rows < 0 || group_rows > 1 << 20 || max_length < 0 ||
	    max_line < 1)
		return ft_fail(FT_EUSAGE, "--threshold, --group, --max-length or --max-line is out of range");
	if (group_rows == 0)
		group_rows = isatty(STDIN_FILENO) ? 1 : 32;
	return parse_format();
}

/* The tokens a row can have: what the model has positions for, or less. */
static int find_limit(struct run *r)
{
	int64_t length = ft_model_length(r->model, max_length);
	if (length < 0)
		return (int)length;
	r->limit.max = (size_t)length;
	r->limit.policy = (enum ft_tok_long)ft_tok_long_parse(policy ? policy : "truncate");
	r->limit.stride = stride > 0 ? (size_t)stride : 0;
	size_t specials = ft_tok_specials(r->tok, columns.pair != NULL);
	if (r->limit.max <= specials || r->limit.max - specials <= r->limit.stride)
		return ft_fail(FT_EUSAGE, "--max-length: %zu tokens%s leave no room for text", r->limit.max,
		               r->limit.stride ? " and the overlap" : "");
	return FT_OK;
}

/* The tokenizer beside the base, which must be the one the model was tuned with. */
static int open_tokenizer(struct run *r)
{
	const json_t *theirs = json_object_get(json_object_get(ft_model_meta(r->model), "tokenizer"), "digest");
	r->tok = ft_tok_open(ft_model_dir(r->model));
	json_t *ours = r->tok ? ft_tok_describe(r->tok) : NULL;
	if (!ours)
		return ft_last_error();
	const json_t *digest = json_object_get(ours, "digest");
	int rc = FT_OK;
	if (json_is_string(theirs) && !json_equal(theirs, digest))
		rc = ft_fail(FT_EMATCH, "%s was made with the tokenizer %s, %s has %s", model_path,
		             json_string_value(theirs), ft_model_dir(r->model), json_string_value(digest));
	json_decref(ours);
	return rc < 0 ? rc : find_limit(r);
}

static int open_tags(struct run *r)
{
	if (r->limit.policy == FT_TOK_SPLIT)
		return ft_fail(FT_EUSAGE, "--long split: %s gives tags, and a sentence is answered whole", model_path);
	columns.words = true;
	if (!r->labels)
		r->labels = ft_names_choose(r->model, r->task, NULL);
	r->tags = r->labels ? ft_tags_new(r->labels) : NULL;
	return r->tags ? FT_OK : ft_last_error();
}

static int open_model(struct run *r)
{
	r->model = ft_model_open(model_path, base, 0);
	if (!r->model)
		return ft_last_error();
	r->task = ft_model_task(r->model);
	if (!vectors && r->task == FT_TASK_EMBED)
		vectors = "auto";
	if (normalize && !vectors)
		return ft_fail(FT_EUSAGE, "--normalize is about --vectors, which was not asked for");
	if (vectors && strcmp(vectors, "auto") == 0) /* so it stays where windows are combined */
		normalize |= ft_model_pooling(r->model)->normalize;
	if (columns.pair && r->task == FT_TASK_EMBED)
		return ft_fail(FT_EUSAGE, "--pair: a vector is of one text");
	if (!vectors && (r->task == FT_TASK_NONE || r->task == FT_TASK_MLM))
		return ft_fail(FT_EUSAGE, "%s: the model has no head that predicts; --vectors mean prints vectors",
		               model_path);
	int rc = open_tokenizer(r);
	if (rc < 0)
		return rc;
	size_t outputs = ft_model_outputs(r->model);
	r->graph = ft_graph_new();
	r->pack = ft_pack_new();
	if (!r->graph || !r->pack || ft_grow(&r->row, &r->row_cap, outputs, sizeof *r->row) < 0)
		return ft_last_error();
	r->labels = ft_label_names(r->model, &rc);
	if (rc < 0)
		return rc;
	if (r->task != FT_TASK_MULTILABEL && thresholds)
		return ft_fail(FT_EUSAGE, "--thresholds: %s is no multi-label model", model_path);
	if (r->task != FT_TASK_MULTILABEL)
		return r->task == FT_TASK_TAG && !vectors ? open_tags(r) : FT_OK;
	r->threshold = ft_thresholds(thresholds, r->labels, outputs, isnan(threshold) ? 0.5 : threshold);
	return r->threshold ? FT_OK : ft_last_error();
}

/* What a person should know of the rows. */
static void print_notes(const struct run *r)
{
	if (r->invalid)
		ft_warn("%lld rows are not all UTF-8; what is not was read as U+FFFD", (long long)r->invalid);
	if (r->blank)
		ft_note("%lld empty lines have no answer", (long long)r->blank);
	if (r->cut && r->limit.policy == FT_TOK_TRUNCATE)
		ft_note("%lld of %lld rows were longer than %zu tokens and were cut",
		        (long long)r->cut, (long long)r->rows, r->limit.max);
}

/* ---- a language model ---- */

static int check_generate(const struct run *r, size_t positions)
{
	if (generate.max_new < 1 || generate.max_new > 1 << 20)
		return ft_fail(FT_EUSAGE, "--max-new: %lld is not from 1 to 1048576", (long long)generate.max_new);
	if (generate.beams < 0 || generate.beams > 256)
		return ft_fail(FT_EUSAGE, "--beams: %lld is not from 1 to 256", (long long)generate.beams);
	if (generate.beams > 1 && (generate.sample.temperature > 0 || generate.sample.penalty != 1))
		return ft_fail(FT_EUSAGE, "--beams: beam search knows no --temperature and no --repetition-penalty");
	if (columns.pair)
		return ft_fail(FT_EUSAGE, "--pair: %s goes on from one text", model_path);
	if (positions < 2 || (size_t)max_length >= positions)
		return ft_fail(FT_EUSAGE, "--max-length: %s takes %zu tokens, and one at least is the answer's", model_path,
		               positions);
	for (size_t i = 0; i < stops.count; i++)
		if (!*stops.item[i])
			return ft_fail(FT_EUSAGE, "--stop: the text is empty");
	if (r->limit.policy == FT_TOK_SPLIT)
		return ft_fail(FT_EUSAGE, "--long split: a prompt is answered whole");
	return ft_sample_check(&generate.sample);
}

static int open_prompts(struct run *r)
{
	int64_t positions = ft_model_length(r->model, 0);
	int rc = positions < 0 ? (int)positions : check_generate(r, (size_t)positions);
	int ends = rc < 0 ? rc : ft_generate_ends(r->model, r->tok, &r->ends);
	if (ends < 0)
		return ends;
	generate.sample.seed = (uint64_t)seed;
	generate.ends = r->ends;
	generate.nends = (size_t)ends;
	generate.stops = stops.item;
	generate.nstops = stops.count;
	columns.label = reference;
	struct ft_prompts_options o = { .generate = generate, .group = raw ? 1 : (size_t)group_rows, .raw = raw,
	                                .limit = (size_t)(max_length ? max_length : positions - 1),
	                                .cut = policy && r->limit.policy == FT_TOK_TRUNCATE, .keep_text = keep_text,
	                                .reference = reference != NULL };
	r->prompts = ft_prompts_new(r->model, r->tok, &o);
	return r->prompts ? FT_OK : FT_EFAIL;
}

static int answer_text(struct run *r, const char *path)
{
	struct ft_row row;
	struct ft_text *t = ft_text_open(path, &columns);
	int rc = t ? FT_OK : ft_last_error();
	while (rc >= 0 && (rc = ft_text_next(t, &row)) > 0)
		rc = ft_prompts_row(r->prompts, &row);
	rc = rc < 0 ? rc : ft_prompts_end(r->prompts);
	r->blank += t ? ft_text_blank(t) : 0;
	ft_text_close(t);
	return rc;
}

static int answer_tokens(struct run *r, const char *path)
{
	struct ft_example e;
	struct ft_reader *in = ft_reader_open(path, "tokens");
	int rc = in ? ft_model_match(r->model, in) : ft_last_error();
	while (rc >= 0 && (rc = ft_example_read(in, &e)) > 0)
		rc = ft_prompts_add(r->prompts, &(struct ft_prompt){ .ids = e.ids, .n = e.n, .src = e.src });
	rc = rc < 0 ? rc : ft_prompts_end(r->prompts);
	ft_reader_close(in);
	return rc;
}

/* The counts in the words of the other tasks. */
static void count_prompts(struct run *r)
{
	struct ft_prompts_counts c = r->prompts ? ft_prompts_count(r->prompts) : (struct ft_prompts_counts){ 0 };
	r->rows += c.rows;
	r->cut += c.cut;
	r->invalid += c.invalid;
}

static int predict(struct run *r, int argc, char **argv)
{
	int rc = open_model(r);
	if (rc == FT_OK && r->task == FT_TASK_LM && !vectors)
		rc = open_prompts(r);
	for (int i = 0; (i < argc || i == 0) && rc == FT_OK; i++) {
		const char *path = i < argc ? argv[i] : "-";
		bool is_stdin = strcmp(path, "-") == 0;
		bool stream = is_stdin ? tokens_in : ft_is_stream(path);
		if (r->prompts)
			rc = stream ? answer_tokens(r, path) : answer_text(r, path);
		else
			rc = stream ? predict_tokens(r, path) : predict_text(r, path);
	}
	count_prompts(r);
	ft_progress_end();
	if (rc == FT_OK)
		print_notes(r);
	return rc;
}

static int run_predict(int argc, char **argv)
{
	struct run r = { 0 };
	int rc = check_options();
	if (rc < 0)
		return rc;
	rc = predict(&r, argc, argv);
	ft_tok_text_free(&r.first);
	ft_tok_text_free(&r.second);
	ft_tok_text_free(&r.whole);
	ft_graph_free(r.graph);
	ft_tok_free(r.tok);
	ft_model_free(r.model);
	json_decref(r.labels);
	ft_tags_free(r.tags);
	ft_arena_free(&r.arena);
	ft_docs_free(r.docs);
	ft_pack_free(r.pack);
	ft_buf_free(&r.out);
	ft_buf_free(&r.bytes);
	ft_prompts_free(r.prompts);
	free(r.ends);
	free(r.kept);
	free(r.words);
	free(r.threshold);
	free(r.row);
	return rc;
}

const struct ft_tool ft_tool = { "ft-predict", "print what a model says of each row of text",
	                         "-m MODEL [OPTION]... [FILE]...", options, run_predict };

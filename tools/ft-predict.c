/* ft-predict - what a model says of each row of text: one JSON line a row, in
 * order, written as soon as a group of rows has been run. */
#include "ft/cli.h"
#include "ft/entity.h"
#include "ft/err.h"
#include "ft/graph.h"
#include "ft/metric.h"
#include "ft/text.h"
#include "ft/tok.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *model_path, *base, *format, *vectors, *policy = "truncate";
static struct ft_text_options columns = { .header = -1 };
static bool header, no_header, tokens_in, normalize, keep_text;
static int64_t group_rows, max_length, max_line = 16 << 20;
static double threshold = 0.5;

static const struct ft_opt options[] = {
	{ "model", 'm', FT_OPT_STR, &model_path, "MODEL",
	  "predict with MODEL: a folder, or a stream of ft-train", 0 },
	{ "base", 0, FT_OPT_STR, &base, "DIR", "where the base model of a stream lies here", FT_OPT_QUIET },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Input", 0 },
	{ "format", 'f', FT_OPT_STR, &format, "FORMAT",
	  "tsv, csv, jsonl, conll or lines (default: by the file's name, else lines)", 0 },
	{ "text", 't', FT_OPT_STR, &columns.text, "COLUMN",
	  "column of the text: a name, or a number from 1 (default: as ft-tokenize)", 0 },
	{ "pair", 'p', FT_OPT_STR, &columns.pair, "COLUMN", "column of a second text (default: none)", 0 },
	{ "header", 0, FT_OPT_FLAG, &header, NULL,
	  "the first line names the columns (default: when a column is asked for by name)", 0 },
	{ "no-header", 0, FT_OPT_FLAG, &no_header, NULL, "the first line is a row", 0 },
	{ "member", 0, FT_OPT_STR, &columns.member, "GLOB", "files to read of an archive (default: all)", 0 },
	{ "max-line", 0, FT_OPT_INT, &max_line, "N", "refuse lines of more than N bytes (default: 16777216)", 0 },
	{ "tokens", 0, FT_OPT_FLAG, &tokens_in, NULL, "stdin is a tokens stream (a file is looked at)", 0 },
	{ "max-length", 0, FT_OPT_INT, &max_length, "N",
	  "most tokens of a row, with special tokens (default: as many as MODEL takes)", 0 },
	{ "long", 0, FT_OPT_STR, &policy, "POLICY",
	  "what to do with a longer row: truncate or error (default: truncate)", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Output", 0 },
	{ "threshold", 0, FT_OPT_REAL, &threshold, "P",
	  "probability from which on a label of a multi-label model is predicted (default: 0.5)", 0 },
	{ "vectors", 0, FT_OPT_STR, &vectors, "POOLING",
	  "print a vector instead of a prediction: mean (over the tokens), cls or pooler", 0 },
	{ "normalize", 0, FT_OPT_FLAG, &normalize, NULL, "scale each vector to length 1", 0 },
	{ "keep-text", 0, FT_OPT_FLAG, &keep_text, NULL, "repeat the text in the output", 0 },
	{ "group", 'g', FT_OPT_INT, &group_rows, "N",
	  "run N rows together; 1 answers each line at once (default: 32, on a terminal 1)", 0 },
	{ 0 },
};

/* Rows that are run together; the bytes of their names and texts in `bytes`. */
struct row {
	size_t src, src_n, text, text_n, pair, pair_n;
	bool has_pair;
	struct ft_words words; /* of a sentence, and */
	int32_t *number;       /* of each token that of its word: with the task tag, in the arena */
};

struct group {
	int32_t *ids, *offsets; /* [tokens], [rows + 1] */
	uint8_t *types;         /* [tokens] */
	struct row *row;        /* [rows] */
	struct ft_buf bytes;
	struct ft_arena arena;
	size_t tokens, rows, ids_cap, types_cap, offsets_cap, row_cap;
};

struct run {
	struct ft_model *model;
	struct ft_graph *graph;
	struct ft_tok *tok;
	enum ft_task task;
	json_t *labels;
	struct ft_tags *tags;  /* with the task tag, else NULL */
	struct ft_tok_limit limit;
	struct group group;
	struct ft_buf out;
	float *probability;    /* [outputs] */
	struct ft_tok_text first, second, whole;
	int64_t rows, cut, blank, invalid;
};

/* ---- output ---- */

static int put(struct ft_buf *b, const char *text)
{
	return ft_buf_append(b, text, strlen(text));
}

static const char *bytes_at(const struct group *g, size_t at)
{
	return (const char *)g->bytes.data + at;
}

/* {"src":…[,"text":…][,"pair":…] */
static int put_row(struct ft_buf *b, const struct group *g, const struct row *row)
{
	int rc = put(b, "{\"src\":");
	if (rc == FT_OK)
		rc = ft_put_string(b, bytes_at(g, row->src), row->src_n);
	if (rc < 0 || !keep_text || (row->words.n && !row->text_n)) /* words are repeated anyway */
		return rc;
	rc = put(b, ",\"text\":");
	if (rc == FT_OK)
		rc = ft_put_string(b, bytes_at(g, row->text), row->text_n);
	if (rc < 0 || !row->has_pair)
		return rc;
	rc = put(b, ",\"pair\":");
	return rc == FT_OK ? ft_put_string(b, bytes_at(g, row->pair), row->pair_n) : rc;
}

static int put_sentence(struct run *r, size_t i, const float *logits)
{
	const struct row *row = &r->group.row[i];
	const int32_t *offsets = r->group.offsets;
	struct ft_tagged s = { &row->words, row->number, logits + (size_t)offsets[i] * ft_tags_count(r->tags),
	                       (size_t)(offsets[i + 1] - offsets[i]) };
	return ft_put_tagged(&r->out, r->tags, &s, &r->group.arena);
}

static int put_vector(struct run *r, const float *v, size_t n)
{
	int rc = put(&r->out, "\"vector\":");
	return rc == FT_OK ? ft_put_floats(&r->out, v, n) : rc;
}

/* Numbers that are not finite would be written as null, which nobody expects. */
static int check_finite(const struct group *g, const float *v, size_t n, bool by_token)
{
	size_t at = 0; /* the row */
	for (size_t i = 0; i < (by_token ? g->tokens : g->rows) * n; i++) {
		while (by_token ? i / n >= (size_t)g->offsets[at + 1] : i / n > at)
			at++;
		const struct row *row = &g->row[at];
		if (!isfinite(v[i]))
			return ft_fail(FT_ECRITERION, "%.*s: the model's output is not finite", (int)row->src_n,
			               bytes_at(g, row->src));
	}
	return FT_OK;
}

/* ---- running a group ---- */

static int run_model(struct run *r, const struct ft_batch *b, const float **v, size_t *n)
{
	if (vectors)
		return ft_model_vectors(r->model, r->graph, b, vectors, normalize, v, n);
	struct ft_output out;
	int rc = ft_model_eval(r->model, r->graph, b, &out);
	*v = out.logits;
	*n = out.outputs;
	return rc;
}

static int run_group(struct run *r)
{
	struct group *g = &r->group;
	struct ft_batch b = {
		.ids = g->ids,
		.types = g->types,
		.offsets = g->offsets,
		.tokens = g->tokens,
		.rows = g->rows,
		.epoch = -1,
	};
	const float *v = NULL;
	size_t n = 0;
	if (g->rows == 0)
		return FT_OK;
	int rc = run_model(r, &b, &v, &n);
	if (rc == FT_OK)
		rc = check_finite(g, v, n, r->tags != NULL);
	for (size_t i = 0; i < g->rows && rc == FT_OK; i++) {
		rc = put_row(&r->out, g, &g->row[i]);
		if (rc == FT_OK)
			rc = put(&r->out, ",");
		if (rc == FT_OK)
			rc = r->tags   ? put_sentence(r, i, v)
			     : vectors ? put_vector(r, v + i * n, n)
			               : ft_put_prediction(&r->out, r->task, r->labels, v + i * n, n, threshold,
			                                   r->probability);
		if (rc == FT_OK)
			rc = put(&r->out, "}\n");
	}
	if (rc == FT_OK)
		rc = ft_write_all(STDOUT_FILENO, r->out.data, r->out.len, "stdout");
	r->rows += (int64_t)g->rows;
	r->out.len = g->bytes.len = g->rows = g->tokens = 0;
	ft_arena_reset(&g->arena);
	ft_progress("%lld rows", (long long)r->rows);
	return rc;
}

/* Copies bytes into the group; *at is where they lie. */
static int keep(struct group *g, const char *p, size_t n, size_t *at)
{
	*at = g->bytes.len;
	return n ? ft_buf_append(&g->bytes, p, n) : FT_OK;
}

static int add_row(struct run *r, struct row row, const int32_t *ids, const uint8_t *types, size_t n)
{
	struct group *g = &r->group;
	if (n == 0)
		return ft_fail(FT_EFORMAT, "%.*s: a row without any token", (int)row.src_n, bytes_at(g, row.src));
	if (n > INT32_MAX - g->tokens)
		return ft_fail(FT_EFORMAT, "a group of more than %d tokens; a smaller --group helps", INT32_MAX);
	int rc = ft_grow(&g->ids, &g->ids_cap, g->tokens + n, sizeof *g->ids);
	if (rc == FT_OK)
		rc = ft_grow(&g->types, &g->types_cap, g->tokens + n, 1);
	if (rc == FT_OK)
		rc = ft_grow(&g->offsets, &g->offsets_cap, g->rows + 2, sizeof *g->offsets);
	if (rc == FT_OK)
		rc = ft_grow(&g->row, &g->row_cap, g->rows + 1, sizeof *g->row);
	if (rc < 0)
		return rc;
	memcpy(g->ids + g->tokens, ids, n * sizeof *ids);
	if (types)
		memcpy(g->types + g->tokens, types, n);
	else
		memset(g->types + g->tokens, 0, n);
	g->offsets[g->rows] = (int32_t)g->tokens;
	g->tokens += n;
	g->row[g->rows++] = row;
	g->offsets[g->rows] = (int32_t)g->tokens;
	return g->rows >= (size_t)group_rows ? run_group(r) : FT_OK;
}

/* ---- text ---- */

/* Which word each token of the row is of, whose words are read and encoded. */
static int number_tokens(struct run *r, const struct ft_tok_slice *a, struct row *row)
{
	struct ft_words_part part = { a, 0, 1, 0 };
	row->number = ft_arena_get(&r->group.arena, r->whole.n * sizeof *row->number);
	if (!row->number)
		return FT_EFAIL;
	ft_words_align(r->tok, &row->words, &part, NULL, row->number, NULL);
	return FT_OK;
}

static int encode_first(struct run *r, const struct ft_row *text, struct row *row)
{
	if (!r->tags)
		return ft_tok_encode(r->tok, text->text.p, text->text.n, 0, &r->first);
	int rc = ft_words_read(text, NULL, &r->group.arena, &row->words);
	return rc == FT_OK ? ft_words_encode(r->tok, &row->words, &r->first) : rc;
}

static int encode(struct run *r, const struct ft_row *text, struct row *row)
{
	bool pair = text->pair.p != NULL;
	r->first.n = r->second.n = r->whole.n = 0;
	int rc = encode_first(r, text, row);
	if (rc == FT_OK && pair)
		rc = ft_tok_encode(r->tok, text->pair.p, text->pair.n, 1, &r->second);
	if (rc < 0)
		return rc;
	struct ft_tok_slice a = { &r->first, 0, r->first.n }, b = { &r->second, 0, r->second.n };
	int64_t parts = ft_tok_parts(r->tok, &r->limit, a.n, pair, b.n);
	if (parts < 0)
		return ft_context((int)parts, "%.*s", (int)text->src.n, text->src.p);
	r->cut += ft_tok_is_long(r->tok, &r->limit, a.n, pair, b.n);
	r->invalid += ft_utf8_invalid(text->text.p, text->text.n) || ft_utf8_invalid(text->pair.p, text->pair.n);
	ft_tok_part(r->tok, &r->limit, 0, &a, pair ? &b : NULL);
	rc = ft_tok_wrap(r->tok, &a, pair ? &b : NULL, &r->whole);
	return rc == FT_OK && r->tags ? number_tokens(r, &a, row) : rc;
}

static int add_text(struct run *r, const struct ft_row *text)
{
	struct row row = { .src_n = text->src.n, .has_pair = text->pair.p != NULL };
	if (text->words && !r->tags)
		return ft_fail(FT_EFORMAT, "%.*s: is a sentence in words, which are for models that give tags",
		               (int)text->src.n, text->src.p);
	int rc = encode(r, text, &row);
	if (rc == FT_OK)
		rc = keep(&r->group, text->src.p, text->src.n, &row.src);
	if (rc == FT_OK && keep_text) {
		row.text_n = text->text.n;
		row.pair_n = text->pair.n;
		rc = keep(&r->group, text->text.p, text->text.n, &row.text);
		if (rc == FT_OK && row.has_pair)
			rc = keep(&r->group, text->pair.p, text->pair.n, &row.pair);
	}
	return rc == FT_OK ? add_row(r, row, r->whole.ids, r->whole.types, r->whole.n) : rc;
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
		rc = run_group(r); /* what the next file says of itself comes after these rows */
	r->blank += ft_text_blank(t);
	ft_text_close(t);
	return rc;
}

/* ---- a tokens stream ---- */

/* Words of an example, as the tokenizer spells them; each token is one when the
 * stream does not say. */
static int take_words(struct run *r, const struct ft_example *e, struct row *row)
{
	row->number = ft_arena_get(&r->group.arena, e->n * sizeof *row->number);
	if (!row->number)
		return FT_EFAIL;
	for (size_t i = 0; i < e->n; i++)
		row->number[i] = e->words ? e->words[i] : ft_tok_is_special(r->tok, e->ids[i]) ? -1 : (int32_t)i;
	return ft_words_decode(r->tok, e->ids, row->number, e->n, &r->group.arena, &row->words);
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
		struct row row = { .src_n = e.src.n };
		rc = e.n > r->limit.max
		             ? ft_reader_fail(in, FT_EMATCH, "%zu tokens, and the limit is %zu", e.n, r->limit.max)
		             : keep(&r->group, e.src.p, e.src.n, &row.src);
		if (rc == FT_OK && r->tags)
			rc = take_words(r, &e, &row);
		if (rc == FT_OK)
			rc = add_row(r, row, e.ids, e.types, e.n);
		if (rc < 0)
			break;
	}
	if (rc == FT_OK)
		rc = run_group(r);
	ft_reader_close(in);
	return rc;
}

/* ---- setting up ---- */

static int parse_format(void)
{
	int parsed = format ? ft_text_format_parse(format) : FT_TEXT_AUTO;
	if (parsed < 0)
		return ft_fail(FT_EUSAGE, "--format: '%s' is not one of tsv, csv, jsonl, conll, lines", format);
	columns.format = (enum ft_text_format)parsed;
	columns.header = header ? 1 : no_header ? 0 : -1;
	columns.max_line = (size_t)max_line;
	return FT_OK;
}

static int check_options(void)
{
	if (!model_path)
		return ft_fail(FT_EUSAGE, "which model? give -m MODEL");
	if (strcmp(policy, "truncate") != 0 && strcmp(policy, "error") != 0)
		return ft_fail(FT_EUSAGE, "--long: '%s' is neither truncate nor error", policy);
	if (normalize && !vectors)
		return ft_fail(FT_EUSAGE, "--normalize is about --vectors, which was not asked for");
	if (!(threshold > 0.0 && threshold < 1.0) || group_rows < 0 || group_rows > 1 << 20 || max_length < 0 ||
	    max_line < 1)
		return ft_fail(FT_EUSAGE, "--threshold, --group, --max-length or --max-line is out of range");
	if (group_rows == 0)
		group_rows = isatty(STDIN_FILENO) ? 1 : 32;
	return parse_format();
}

/* The tokens a row can have: what the model has positions for, or less. */
static int find_limit(struct run *r)
{
	int err = FT_OK;
	int64_t most = ft_json_int(ft_model_meta(r->model), "max_length", INT32_MAX, &err);
	if (err < 0 || most < 1)
		return ft_fail(FT_EFORMAT, "%s: max_length is not a positive number", model_path);
	if (max_length > most)
		return ft_fail(FT_EUSAGE, "--max-length: the model takes at most %lld tokens", (long long)most);
	r->limit.max = (size_t)(max_length ? max_length : most);
	r->limit.policy = strcmp(policy, "error") == 0 ? FT_TOK_ERROR : FT_TOK_TRUNCATE;
	if (r->limit.max <= ft_tok_specials(r->tok, columns.pair != NULL))
		return ft_fail(FT_EUSAGE, "--max-length: %zu tokens leave no room for text", r->limit.max);
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
	if (!vectors && (r->task == FT_TASK_NONE || r->task == FT_TASK_LM))
		return ft_fail(FT_EUSAGE, "%s: the model has no head that predicts; --vectors mean prints vectors",
		               model_path);
	int rc = open_tokenizer(r);
	if (rc < 0)
		return rc;
	r->graph = ft_graph_new();
	r->probability = r->graph ? ft_alloc(ft_model_outputs(r->model), sizeof(float)) : NULL;
	if (!r->probability)
		return ft_last_error();
	r->labels = ft_label_names(r->model, &rc);
	return rc < 0 || vectors || r->task != FT_TASK_TAG ? rc : open_tags(r);
}

/* What a person should know of the rows. */
static void print_notes(const struct run *r)
{
	if (r->invalid)
		ft_warn("%lld rows are not all UTF-8; what is not was read as U+FFFD", (long long)r->invalid);
	if (r->blank)
		ft_note("%lld empty lines have no answer", (long long)r->blank);
	if (r->cut)
		ft_note("%lld of %lld rows were longer than %zu tokens and were cut", (long long)r->cut,
		        (long long)r->rows, r->limit.max);
}

static int predict(struct run *r, int argc, char **argv)
{
	int rc = open_model(r);
	for (int i = 0; (i < argc || i == 0) && rc == FT_OK; i++) {
		const char *path = i < argc ? argv[i] : "-";
		bool is_stdin = strcmp(path, "-") == 0;
		bool stream = is_stdin ? tokens_in : ft_is_stream(path);
		rc = stream ? predict_tokens(r, path) : predict_text(r, path);
	}
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
	ft_arena_free(&r.group.arena);
	ft_buf_free(&r.out);
	ft_buf_free(&r.group.bytes);
	free(r.group.ids);
	free(r.group.types);
	free(r.group.offsets);
	free(r.group.row);
	free(r.probability);
	return rc;
}

const struct ft_tool ft_tool = { "ft-predict", "print what a model says of each row of text",
	                         "-m MODEL [OPTION]... [FILE]...", options, run_predict };

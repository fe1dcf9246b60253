/* ft-tokenize - labelled text to a stream of token ids, as a model wants them.
 *
 * Rows are read one after the other and encoded in groups, by as many threads
 * as there are; they are written in the order in which they came.
 */
#include "ft/batch.h"
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/model.h"
#include "ft/sentence.h"
#include "ft/stream.h"
#include "ft/text.h"
#include "ft/thread.h"
#include "ft/tok.h"
#include "ft/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *model_path, *base, *output, *format, *member;
static const char *text_column, *pair_column, *negative_column, *label_column;
static const char *label_names, *task_name, *long_name = "truncate";
static bool header, no_header, no_labels, label_all;
static int64_t max_length, stride = -1, max_line = 16 << 20, outputs = 1;

static const struct ft_opt options[] = {
	{ "model", 'm', FT_OPT_STR, &model_path, "MODEL",
	  "tokenize for MODEL: a Hugging Face folder, or a stream of ft-freeze or ft-train", FT_OPT_QUIET },
	{ "base", 0, FT_OPT_STR, &base, "DIR", "where the base model of a stream lies here", FT_OPT_QUIET },
	{ "output", 'o', FT_OPT_STR, &output, "FILE", "write to FILE instead of stdout, when complete",
	 FT_OPT_QUIET },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Input", 0 },
	{ "format", 'f', FT_OPT_STR, &format, "FORMAT",
	  "tsv, csv, jsonl, conll, lines, or file: each file is one text (default: by its name, else lines)", 0 },
	{ "header", 0, FT_OPT_FLAG, &header, NULL,
	  "the first line names the columns (default: when a column is asked for by name, or when it names "
	  "'text' or 'sentence' and 'label')", 0 },
	{ "no-header", 0, FT_OPT_FLAG, &no_header, NULL, "the first line is a row", 0 },
	{ "text", 't', FT_OPT_STR, &text_column, "COLUMN",
	  "column of the text: a name, or a number from 1 (default: 'text' or 'sentence'; without a "
	  "header 2, or 1 when there is only one; conll: 1)", 0 },
	{ "pair", 'p', FT_OPT_STR, &pair_column, "COLUMN",
	  "column of a second text; embed: of the text that belongs to the first (default: none)", 0 },
	{ "negative", 0, FT_OPT_STR, &negative_column, "COLUMN",
	  "embed: column of a text that does not, though it is like it (default: none)", 0 },
	{ "label", 'l', FT_OPT_STR, &label_column, "COLUMN",
	  "column of the label (default: 'label'; without a header 1, when there are two or more; conll: the last; "
	  "embed: of the score, and without it none are read)", 0 },
	{ "member", 0, FT_OPT_STR, &member, "GLOB", "files to read of an archive (default: all)", 0 },
	{ "max-line", 0, FT_OPT_INT, &max_line, "N",
	  "refuse lines, and files that are one text, of more than N bytes (default: 16777216)", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Labels", 0 },
	{ "labels", 0, FT_OPT_STR, &label_names, "NAMES",
	  "names of the classes, A,B...; or @FILE, which holds one a line (default: those of MODEL)", 0 },
	{ "task", 0, FT_OPT_STR, &task_name, "TASK",
	  "classify, multilabel, regress, tag, mlm, lm, embed or none (default: that of MODEL; classify with --labels)", 0 },
	{ "outputs", 0, FT_OPT_INT, &outputs, "N", "numbers of a row, with --task regress (default: 1)", 0 },
	{ "label-all", 0, FT_OPT_FLAG, &label_all, NULL,
	  "with --task tag: a label for every token of a word, I-X behind B-X (default: for its first)", 0 },
	{ "no-labels", 0, FT_OPT_FLAG, &no_labels, NULL, "read the text alone", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Length", 0 },
	{ "max-length", 0, FT_OPT_INT, &max_length, "N",
	  "most tokens of an example, with special tokens (default: as many as MODEL takes)", 0 },
	{ "long", 0, FT_OPT_STR, &long_name, "POLICY",
	  "what becomes of longer texts: truncate, drop, split or error (default: truncate)", 0 },
	{ "stride", 0, FT_OPT_INT, &stride, "N",
	  "tokens by which windows overlap, with --long split (default: 0)", 0 },
	{ 0 },
};

/* ---- what the run is about ---- */

#define GROUP 1024          /* rows encoded together */
#define GROUP_BYTES 4000000 /* or less, when they are long */
#define CHUNK 32            /* rows that one thread takes at a time */

struct item {               /* a row */
	struct ft_span text, pair, negative, src; /* in the group's arena */
	int32_t label;
	float *targets;         /* there, too; or NULL */
	struct ft_words words;  /* instead of text, with the task tag */
	size_t from, n, pair_from, pair_n, negative_from, negative_n; /* its tokens among those of its chunk; the third
	                                                      text's stand behind the second's */
	size_t invalid;         /* pieces that are not UTF-8 */
};

struct chunk {              /* what a thread makes of CHUNK rows */
	struct ft_tok_text text, pair;
	int rc;
	char message[512];      /* messages are kept per thread */
};

struct group {
	struct item item[GROUP];
	size_t count, bytes;
	struct chunk chunk[GROUP / CHUNK];
	struct ft_arena arena;
};

/* X(name): what the end of the stream counts. */
#define COUNTED(X)                                                                                             \
	X(rows) X(examples) X(tokens) X(truncated) X(dropped) X(split) X(empty) X(blank) X(invalid_utf8)     \
	X(words) X(words_without_tokens) X(comments)
enum {
#define X(name) n_##name,
	COUNTED(X)
#undef X
	COUNTS
};

struct run {
	struct ft_model *model;
	struct ft_tok *tok;
	struct ft_tok_limit limit;
	enum ft_task task;
	json_t *names;  /* of labels, or NULL */
	size_t targets; /* floats of a row: regress and multilabel; else 0 */
	int64_t vocab;  /* rows of the model's embedding; 0: not known */
	struct ft_labels *labels; /* NULL: none are read */
	int32_t *rest;  /* of each label, that of a word's other tokens; or NULL */
	struct ft_writer *out;
	json_t *inputs;
	struct group *group;
	struct ft_tok_text example; /* with its special tokens */
	struct ft_pack *texts;      /* of an example of several */
	int32_t *word, *label;      /* [tokens of it]: with the task tag */
	size_t word_cap, label_cap;
	int64_t n[COUNTS], unread; /* unread: labels that nobody asked for */
};

/* ---- task and labels ---- */

static int choose_labels(struct run *r)
{
	int t = ft_task_choose(r->model, task_name, label_names), rc = FT_OK;
	if (t < 0)
		return t;
	r->task = (enum ft_task)t;
	if (label_all && r->task != FT_TASK_TAG)
		return ft_fail(FT_EUSAGE, "--label-all is for the task tag");
	if (pair_column && r->task == FT_TASK_TAG)
		return ft_fail(FT_EUSAGE, "--pair: the task tag takes one text");
	size_t own = ft_model_task(r->model) == r->task ? ft_model_outputs(r->model) : 0;
	if (r->task == FT_TASK_REGRESS)
		r->targets = own ? own : (size_t)outputs;
	if (outputs < 1 || outputs > 1 << 20)
		return ft_fail(FT_EUSAGE, "--outputs must be from 1 to 1048576");
	if (ft_task_has_names(r->task) && !(r->names = ft_names_choose(r->model, r->task, label_names)))
		return ft_last_error();
	if (r->task == FT_TASK_MULTILABEL)
		r->targets = json_array_size(r->names);
	bool scored = r->task == FT_TASK_EMBED && label_column;
	if (scored)
		r->targets = 1;
	if (rc < 0 || no_labels || r->task == FT_TASK_NONE || ft_task_of_words(r->task) || (r->task == FT_TASK_EMBED && !scored))
		return rc;
	r->labels = ft_labels_new(scored ? FT_TASK_REGRESS : r->task, r->names, r->targets);
	if (r->labels && label_all && !(r->rest = ft_words_rest(r->names)))
		return ft_last_error();
	return r->labels ? FT_OK : ft_last_error();
}

/* ---- tokenizer and lengths ---- */

static int open_tokenizer(struct run *r)
{
	const json_t *meta = ft_model_meta(r->model), *theirs = json_object_get(meta, "tokenizer");
	r->tok = ft_tok_open(ft_model_dir(r->model));
	if (!r->tok)
		return ft_last_error();
	r->vocab = json_integer_value(json_object_get(json_object_get(meta, "config"), "vocab_size"));
	json_t *ours = ft_tok_describe(r->tok);
	if (!ours)
		return FT_EFAIL;
	const char *a = json_string_value(json_object_get(theirs, "digest"));
	const char *b = json_string_value(json_object_get(ours, "digest"));
	int rc = FT_OK;
	if (a && strcmp(a, b) != 0)
		rc = ft_fail(FT_EMATCH, "%s was made for another tokenizer (digest %s) than the one in %s (%s)",
		             ft_model_name(r->model), a, ft_model_dir(r->model), b);
	json_decref(ours);
	return rc;
}

static int choose_limit(struct run *r)
{
	bool apart = r->task == FT_TASK_EMBED; /* each text for itself */
	int64_t length = ft_model_length(r->model, max_length);
	size_t specials = ft_tok_specials(r->tok, pair_column && !apart);
	int policy = ft_tok_long_parse(long_name);
	if (policy < 0)
		return ft_fail(FT_EUSAGE, "--long: '%s' is not truncate, drop, split or error", long_name);
	if (length < 0)
		return (int)length;
	if (negative_column && (!apart || !pair_column))
		return ft_fail(FT_EUSAGE, "--negative is for the task embed, beside --pair");
	if (apart && pair_column && policy == FT_TOK_SPLIT)
		return ft_fail(FT_EUSAGE, "--long split: texts that belong together are not split");
	if (stride >= 0 && policy != FT_TOK_SPLIT)
		return ft_fail(FT_EUSAGE, "--stride is for --long split");
	r->limit.policy = (enum ft_tok_long)policy;
	r->limit.max = (size_t)length;
	r->limit.stride = stride > 0 ? (size_t)stride : 0;
	if (r->limit.max <= specials || r->limit.max - specials <= r->limit.stride)
		return ft_fail(FT_EUSAGE, "--max-length %zu: %zu special tokens%s leave no room for text",
		               r->limit.max, specials, r->limit.stride ? " and the overlap" : "");
	return FT_OK;
}

static json_t *make_meta(const struct run *r)
{
	json_t *meta = json_pack("{s:o, s:s}", "tokenizer", ft_tok_describe(r->tok), "task", ft_task_name(r->task));
	int rc = meta ? 0 : -1;
	if (r->names)
		rc |= json_object_set(meta, "labels", r->names);
	else if (r->targets && r->task != FT_TASK_EMBED)
		rc |= json_object_set_new(meta, "outputs", json_integer((json_int_t)r->targets));
	rc |= json_object_set_new(meta, "max_length", json_integer((json_int_t)r->limit.max));
	if (rc == 0)
		return meta;
	json_decref(meta);
	ft_fail(FT_EFAIL, "out of memory for a stream's header");
	return NULL;
}

/* ---- encoding and writing a group ---- */

static void encode_chunk(void *ctx, size_t i)
{
	struct run *r = ctx;
	struct chunk *c = &r->group->chunk[i];
	size_t end = (i + 1) * CHUNK < r->group->count ? (i + 1) * CHUNK : r->group->count;
	c->text.n = c->pair.n = 0;
	c->rc = FT_OK;
	for (size_t k = i * CHUNK; k < end && c->rc == FT_OK; k++) {
		struct item *it = &r->group->item[k];
		it->from = c->text.n;
		it->pair_from = c->pair.n;
		c->rc = it->words.first ? ft_words_encode(r->tok, &it->words, &c->text)
		                        : ft_tok_encode(r->tok, it->text.p, it->text.n, 0, &c->text);
		if (c->rc == FT_OK && it->pair.p)
			c->rc = ft_tok_encode(r->tok, it->pair.p, it->pair.n, r->task != FT_TASK_EMBED, &c->pair);
		it->n = c->text.n - it->from;
		it->negative_from = c->pair.n;
		it->pair_n = c->pair.n - it->pair_from;
		if (c->rc == FT_OK && it->negative.p)
			c->rc = ft_tok_encode(r->tok, it->negative.p, it->negative.n, 0, &c->pair);
		it->negative_n = c->pair.n - it->negative_from;
		it->invalid = ft_utf8_invalid(it->text.p, it->text.n) + ft_utf8_invalid(it->pair.p, it->pair.n) +
		              ft_utf8_invalid(it->negative.p, it->negative.n);
		for (size_t w = 0; w < it->words.n; w++)
			it->invalid += ft_utf8_invalid(it->words.word[w].p, it->words.word[w].n);
	}
	if (c->rc < 0)
		snprintf(c->message, sizeof c->message, "%s", ft_message());
}

/* The example is there but for its source, and its label unless it has one a token. */
static int write_example(struct run *r, const struct item *it, struct ft_example *e)
{
	for (size_t i = 0; i < e->n; i++)
		if (r->vocab && e->ids[i] >= r->vocab)
			return ft_fail(FT_EMATCH, "the token '%s' has id %d, but the model has only %lld embeddings",
			               ft_tok_piece(r->tok, e->ids[i]), e->ids[i], (long long)r->vocab);
	e->src = it->src;
	if (r->labels && it->targets) {
		e->targets = it->targets;
		e->ntargets = r->targets;
	} else if (r->labels && !it->words.first) {
		e->labels = &it->label;
		e->nlabels = 1;
	}
	r->n[n_examples]++;
	r->n[n_tokens] += (int64_t)e->n;
	return ft_example_write(r->out, e);
}

/* Words and labels of the example that is one part of a sentence. */
static int align(struct run *r, const struct item *it, const struct ft_words_part *p, struct ft_example *e)
{
	int rc = ft_grow(&r->word, &r->word_cap, e->n, sizeof *r->word);
	if (rc == FT_OK)
		rc = ft_grow(&r->label, &r->label_cap, e->n, sizeof *r->label);
	if (rc < 0)
		return rc;
	ft_words_align(r->tok, &it->words, p, r->rest, r->word, r->label);
	e->words = r->word;
	e->labels = r->labels ? r->label : NULL;
	e->nlabels = r->labels ? e->n : 0;
	return FT_OK;
}

static int write_part(struct run *r, const struct item *it, const struct ft_words_part *p, const struct ft_tok_slice *b,
                      const struct ft_window *window)
{
	const struct ft_tok_slice *a = p->slice;
	struct ft_tok_text *x = &r->example;
	int rc = ft_tok_wrap(r->tok, a, b, x);
	if (rc < 0 || !x->n)
		return rc;
	bool typed = false;
	for (size_t i = 0; i < x->n; i++)
		typed |= x->types[i] != 0;
	struct ft_example e = { .ids = x->ids, .n = x->n, .types = typed ? x->types : NULL,
	                        .window = window->count > 1 ? window : NULL };
	if (it->words.first && (rc = align(r, it, p, &e)) < 0)
		return rc;
	return write_example(r, it, &e);
}

/* Texts that are looked at one by one and belong together. */
static int write_texts(struct run *r, const struct item *it, const struct chunk *c)
{
	struct ft_tok_slice text[3] = { { &c->text, it->from, it->n }, { &c->pair, it->pair_from, it->pair_n },
	                                { &c->pair, it->negative_from, it->negative_n } };
	size_t texts = it->negative.p ? 3 : it->pair.p ? 2 : 1;
	bool empty = false, cut = false;
	int64_t parts = 1;
	int rc = FT_OK;
	ft_pack_clear(r->texts);
	for (size_t i = 0; i < texts && rc == FT_OK && parts > 0; i++) {
		empty |= text[i].n == 0;
		cut |= ft_tok_is_long(r->tok, &r->limit, text[i].n, false, 0);
		parts = ft_tok_parts(r->tok, &r->limit, text[i].n, false, 0);
		rc = parts < 0 ? (int)parts : FT_OK;
		ft_tok_part(r->tok, &r->limit, 0, &text[i], NULL);
		rc = rc ? rc : ft_tok_wrap(r->tok, &text[i], NULL, &r->example);
		rc = rc ? rc : ft_pack_add(r->texts, &(struct ft_example){ .ids = r->example.ids, .n = r->example.n });
	}
	r->n[n_invalid_utf8] += it->invalid > 0;
	r->n[n_empty] += empty;
	r->n[n_truncated] += cut && r->limit.policy == FT_TOK_TRUNCATE;
	r->n[n_dropped] += cut && r->limit.policy == FT_TOK_DROP;
	struct ft_batch b;
	if (rc < 0 || parts == 0 || (rc = ft_pack_batch(r->texts, &b)) < 0)
		return rc;
	struct ft_example e = { .ids = b.ids, .n = b.tokens, .offsets = b.offsets, .texts = b.rows };
	return write_example(r, it, &e);
}

static int write_item(struct run *r, const struct item *it, const struct chunk *c)
{
	const struct ft_tok_slice a = { &c->text, it->from, it->n }, b = { &c->pair, it->pair_from, it->pair_n };
	bool pair = it->pair.p != NULL;
	if (r->task == FT_TASK_EMBED && pair) {
		int rc = write_texts(r, it, c);
		return rc < 0 ? ft_context(rc, "%.*s", (int)it->src.n, it->src.p) : FT_OK;
	}
	int64_t parts = ft_tok_parts(r->tok, &r->limit, a.n, pair, b.n);
	r->n[n_invalid_utf8] += it->invalid > 0;
	r->n[n_words] += (int64_t)it->words.n;
	r->n[n_words_without_tokens] += it->words.first ? (int64_t)ft_words_silent(&it->words) : 0;
	r->n[n_empty] += a.n == 0 || (pair && b.n == 0);
	if (ft_tok_is_long(r->tok, &r->limit, a.n, pair, b.n)) {
		r->n[n_truncated] += r->limit.policy == FT_TOK_TRUNCATE;
		r->n[n_dropped] += r->limit.policy == FT_TOK_DROP;
		r->n[n_split] += r->limit.policy == FT_TOK_SPLIT;
	}
	int rc = parts < 0 ? (int)parts : FT_OK;
	struct ft_window w = { .count = parts };
	if (parts > 1)
		w.doc = ft_window_doc(c->text.ids + a.from, a.n, c->pair.ids + b.from, b.n);
	for (; w.index < parts && rc == FT_OK; w.index++) {
		struct ft_tok_slice pa = a, pb = b;
		ft_tok_part(r->tok, &r->limit, (size_t)w.index, &pa, pair ? &pb : NULL);
		const struct ft_words_part p = { &pa, (size_t)w.index, (size_t)parts, r->limit.stride };
		rc = write_part(r, it, &p, pair ? &pb : NULL, &w);
	}
	return rc < 0 ? ft_context(rc, "%.*s", (int)it->src.n, it->src.p) : FT_OK;
}

static int flush_group(struct run *r)
{
	struct group *g = r->group;
	int rc = FT_OK;
	ft_parallel((g->count + CHUNK - 1) / CHUNK, encode_chunk, r);
	for (size_t i = 0; i < g->count && rc == FT_OK; i++) {
		const struct chunk *c = &g->chunk[i / CHUNK];
		rc = c->rc < 0 ? ft_fail(c->rc, "%s", c->message) : write_item(r, &g->item[i], c);
	}
	g->count = g->bytes = 0;
	ft_arena_reset(&g->arena);
	ft_progress("%lld rows, %lld tokens", (long long)r->n[n_rows], (long long)r->n[n_tokens]);
	return rc;
}

/* ---- reading ---- */

/* Copies a text into the group, with `prompt` before it where there is one. */
static int copy_span(struct group *g, struct ft_span from, const char *prompt, struct ft_span *to)
{
	size_t before = prompt ? strlen(prompt) : 0, n;
	*to = (struct ft_span){ 0 };
	if (!from.p)
		return FT_OK;
	char *p = ft_add(before, from.n, &n) ? ft_arena_get(&g->arena, n) : NULL;
	if (!p)
		return FT_EFAIL;
	if (before)
		memcpy(p, prompt, before);
	memcpy(p + before, from.p, from.n);
	*to = (struct ft_span){ p, n };
	g->bytes += n;
	return FT_OK;
}

static int add_row(struct run *r, const struct ft_row *row)
{
	struct group *g = r->group;
	struct item *it = &g->item[g->count];
	int rc;
	*it = (struct item){ 0 };
	if (r->labels && r->targets && !(it->targets = ft_arena_get(&g->arena, r->targets * sizeof *it->targets)))
		return FT_EFAIL;
	if (r->task == FT_TASK_TAG)
		rc = ft_words_read(row, r->labels, &g->arena, &it->words);
	else if (row->words)
		rc = ft_fail(FT_EFORMAT, "%.*s: is a sentence in words, for --task tag", (int)row->src.n,
		             row->src.p);
	else
		rc = r->labels ? ft_labels_read(r->labels, row, &it->label, it->targets) : FT_OK;
	if (rc < 0)
		return rc;
	r->unread += !r->labels && (row->label.p || row->json);
	const char *prompt = r->task == FT_TASK_EMBED ? ft_model_pooling(r->model)->prompt : NULL;
	for (size_t i = 0; i < it->words.n; i++)
		g->bytes += it->words.word[i].n + sizeof it->words;
	if ((!it->words.first && (rc = copy_span(g, row->text, prompt, &it->text)) < 0)
	    || (rc = copy_span(g, row->pair, prompt, &it->pair)) < 0
	    || (rc = copy_span(g, row->negative, prompt, &it->negative)) < 0
	    || (rc = copy_span(g, row->src, NULL, &it->src)) < 0)
		return rc;
	r->n[n_rows]++;
	g->count++;
	return g->count == GROUP || g->bytes >= GROUP_BYTES ? flush_group(r) : FT_OK;
}

static int read_file(struct run *r, const char *path, const struct ft_text_options *o)
{
	struct ft_text *t = ft_text_open(path, o);
	struct ft_row row;
	int rc = t ? 1 : ft_last_error();
	while (rc > 0 && (rc = ft_text_next(t, &row)) > 0)
		rc = add_row(r, &row) < 0 ? ft_last_error() : 1;
	json_t *inputs = rc == 0 ? ft_text_inputs(t) : NULL;
	if (rc == 0 && (!inputs || json_array_extend(r->inputs, inputs) < 0))
		rc = ft_fail(FT_EFAIL, "out of memory");
	if (t) {
		r->n[n_blank] += ft_text_blank(t);
		r->n[n_comments] += ft_text_comments(t);
	}
	json_decref(inputs);
	ft_text_close(t);
	return rc;
}

static int text_options(struct ft_text_options *o)
{
	int f = format ? ft_text_format_parse(format) : FT_TEXT_AUTO;
	if (f < 0)
		return ft_fail(FT_EUSAGE, "--format: '%s' is not tsv, csv, jsonl, conll, lines, file or auto", format);
	if (header && no_header)
		return ft_fail(FT_EUSAGE, "--header and --no-header contradict each other");
	if (max_line < 1)
		return ft_fail(FT_EUSAGE, "--max-line must be 1 or more");
	*o = (struct ft_text_options){
		.format = (enum ft_text_format)f, .header = header ? 1 : no_header ? 0 : -1, .text = text_column,
		.pair = pair_column, .negative = negative_column, .label = no_labels ? NULL : label_column, .member = member,
		.max_line = (size_t)max_line,
	};
	return FT_OK;
}

/* ---- the end ---- */

static void report(const struct run *r)
{
	const int64_t *n = r->n;
	long long rows = n[n_rows];
	if (n[n_invalid_utf8])
		ft_warn("%lld of %lld rows are not all UTF-8; what is not was read as U+FFFD",
		        (long long)n[n_invalid_utf8], rows);
	if (n[n_truncated])
		ft_note("%lld of %lld rows were cut to %zu tokens (--long chooses)", (long long)n[n_truncated], rows,
		        r->limit.max);
	if (n[n_dropped])
		ft_note("%lld of %lld rows were dropped: more than %zu tokens", (long long)n[n_dropped], rows,
		        r->limit.max);
	if (n[n_split])
		ft_note("%lld of %lld rows were split into windows of %zu tokens", (long long)n[n_split], rows,
		        r->limit.max);
	if (n[n_empty])
		ft_note("%lld of %lld rows have an empty text", (long long)n[n_empty], rows);
	if (n[n_words_without_tokens])
		ft_note("%lld of %lld words have no token, so their tags are not seen",
		        (long long)n[n_words_without_tokens], (long long)n[n_words]);
	if (n[n_comments])
		ft_note("%lld comments were passed over", (long long)n[n_comments]);
	if (r->unread && r->task == FT_TASK_NONE && !no_labels)
		ft_note("labels were not read: %s has no head; see --task and --labels", ft_model_name(r->model));
	if (!rows)
		ft_note("there were no rows");
}

static int write_end(struct run *r)
{
	static const char *const names[COUNTS] = {
#define X(name) #name,
		COUNTED(X)
#undef X
	};
	json_t *counts = json_object();
	int rc = 0;
	for (int i = 0; i < (r->task == FT_TASK_TAG ? COUNTS : n_words); i++)
		rc |= json_object_set_new(counts, names[i], json_integer(r->n[i]));
	if (rc < 0) {
		json_decref(counts);
		return ft_fail(FT_EFAIL, "out of memory");
	}
	rc = ft_writer_note(r->out, "counts", counts);
	if (rc == FT_OK)
		rc = ft_writer_note(r->out, "inputs", json_incref(r->inputs));
	return rc == FT_OK ? ft_writer_close(r->out) : rc;
}

static int open_run(struct run *r)
{
	r->inputs = json_array();
	r->group = ft_alloc(1, sizeof *r->group);
	r->texts = ft_pack_new();
	if (!r->inputs || !r->group || !r->texts)
		return ft_fail(FT_EFAIL, "out of memory");
	r->model = ft_model_open(model_path, base, FT_MODEL_BARE);
	struct ft_reader *parent = r->model ? ft_model_reader(r->model) : NULL;
	int rc = r->model ? FT_OK : ft_last_error() ? ft_last_error() : FT_EFAIL;
	if (parent) /* its tensors are not needed, but it must be whole */
		rc = ft_reader_drain(parent);
	if (rc == FT_OK)
		rc = open_tokenizer(r);
	if (rc == FT_OK)
		rc = choose_labels(r);
	if (rc == FT_OK)
		rc = choose_limit(r);
	json_t *meta = rc == FT_OK ? make_meta(r) : NULL;
	if (rc < 0 || !meta)
		return ft_last_error();
	r->out = ft_writer_open(output, "tokens", meta, &parent, parent ? 1 : 0);
	json_decref(meta);
	return r->out ? FT_OK : ft_last_error();
}

static void close_run(struct run *r)
{
	ft_writer_free(r->out);
	ft_labels_free(r->labels);
	free(r->rest);
	free(r->word);
	free(r->label);
	ft_tok_free(r->tok);
	ft_model_free(r->model);
	ft_tok_text_free(&r->example);
	ft_pack_free(r->texts);
	for (size_t i = 0; r->group && i < GROUP / CHUNK; i++) {
		ft_tok_text_free(&r->group->chunk[i].text);
		ft_tok_text_free(&r->group->chunk[i].pair);
	}
	if (r->group)
		ft_arena_free(&r->group->arena);
	free(r->group);
	json_decref(r->names);
	json_decref(r->inputs);
}

static int run(int argc, char **argv)
{
	struct run r = { 0 };
	struct ft_text_options o;
	if (!model_path)
		return ft_fail(FT_EUSAGE, "-m MODEL is needed: its tokenizer, task and labels are used");
	int rc = text_options(&o);
	if (rc == FT_OK)
		rc = open_run(&r);
	o.words = r.task == FT_TASK_TAG;
	for (int i = 0; rc == FT_OK && i < (argc ? argc : 1); i++)
		rc = read_file(&r, argc ? argv[i] : NULL, &o);
	if (rc == FT_OK)
		rc = flush_group(&r);
	if (rc == FT_OK)
		rc = write_end(&r);
	if (rc == FT_OK)
		report(&r);
	close_run(&r);
	return rc;
}

const struct ft_tool ft_tool = {
	.name = "ft-tokenize",
	.summary = "turn labelled text into a stream of token ids",
	.synopsis = "-m MODEL [OPTION]... [FILE]...",
	.options = options,
	.run = run,
};

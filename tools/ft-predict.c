/* ft-predict - what a model says of each row of text: one JSON line a row, in
 * order, written as soon as a group of rows has been run. */
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/metric.h"
#include "ft/predict.h"
#include "ft/prompts.h"
#include "ft/sentence.h"
#include "ft/talk.h"

#include <math.h>
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
static const char *chat, *system_text;
static enum ft_combine combine;

static const struct ft_opt options[] = {
	{ "model", 'm', FT_OPT_STR, &model_path, "MODEL",
	  "predict with MODEL: a folder, a GGUF file, or a stream of ft-train", 0 },
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
	{ "tokens", 0, FT_OPT_FLAG, &tokens_in, NULL, "the input is a tokens stream (default: a file is looked at, stdin is text)", 0 },
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
	{ "chat", 0, FT_OPT_STR, &chat, "FILE",
	  "talk with the model, a line a turn; FILE keeps the conversation and is gone on from", FT_OPT_MAYBE },
	{ "system", 0, FT_OPT_STR, &system_text, "TEXT", "what a new conversation begins with", 0 },
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

struct run {
	struct ft_model *model;
	struct ft_tok *tok;
	enum ft_task task;
	json_t *labels;
	struct ft_tags *tags;  /* with the task tag, else NULL */
	struct ft_tok_limit limit;
	double *threshold;     /* [outputs]: multilabel */
	int32_t *ends;         /* tokens that end a language model's answers */
	struct ft_predictor *rows;  /* either this, */
	struct ft_prompts *prompts; /* or this of a language model */
	int64_t blank;
};

/* ---- rows ---- */

static int take_row(struct run *r, const struct ft_row *row)
{
	return r->prompts ? ft_prompts_row(r->prompts, row) : ft_predictor_row(r->rows, row);
}

static int take_example(struct run *r, struct ft_reader *in, struct ft_example *e)
{
	if (!r->prompts)
		return ft_predictor_example(r->rows, in, e);
	return ft_prompts_add(r->prompts, &(struct ft_prompt){ .ids = e->ids, .n = e->n, .src = e->src });
}

static int end_rows(struct run *r)
{
	return r->prompts ? ft_prompts_end(r->prompts) : ft_predictor_end(r->rows);
}

static int predict_text(struct run *r, const char *path)
{
	struct ft_row row;
	struct ft_text *t = ft_text_open(path, &columns);
	int rc = t ? FT_OK : ft_last_error();
	while (rc >= 0 && (rc = ft_text_next(t, &row)) > 0)
		rc = take_row(r, &row);
	if (rc == FT_OK)
		rc = end_rows(r); /* what the next file says of itself comes after these rows */
	r->blank += t ? ft_text_blank(t) : 0;
	ft_text_close(t);
	return rc;
}

static int predict_tokens(struct run *r, const char *path)
{
	struct ft_example e;
	if (keep_text)
		return ft_fail(FT_EUSAGE, "--keep-text: a tokens stream has no text");
	struct ft_reader *in = ft_reader_open(path, "tokens");
	int rc = in ? ft_model_match(r->model, in) : ft_last_error();
	while (rc >= 0 && (rc = ft_example_read(in, &e)) > 0)
		rc = take_example(r, in, &e);
	if (rc == FT_OK)
		rc = end_rows(r);
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
	if (system_text && !chat)
		return ft_fail(FT_EUSAGE, "--system is for --chat");
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
	r->tok = ft_model_tokenizer(r->model);
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
	r->model = ft_model_open(model_path, base, FT_MODEL_READ);
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

/* `generate`, and how long a prompt may be: the answer needs a place, too. */
static int choose_generate(struct run *r)
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
	r->limit.max = (size_t)(max_length ? max_length : positions - 1);
	return FT_OK;
}

static int talk(struct run *r)
{
	int rc = choose_generate(r);
	if (rc == FT_OK && generate.beams > 1)
		rc = ft_fail(FT_EUSAGE, "--chat: answers come as they are made, without --beams");
	struct ft_talk_options o = { .generate = generate, .system = system_text, .keep = *chat ? chat : NULL,
	                             .limit = r->limit.max, .terminal = isatty(STDIN_FILENO) };
	return rc < 0 ? rc : ft_talk(r->model, r->tok, &o);
}

/* Where a prompt is cut, without --max-length: what is left has room for all of the answer, unless that would take more
 * than half of the model's places. */
static size_t cut_limit(const struct run *r)
{
	size_t positions = r->limit.max + 1, answer = (size_t)generate.max_new;
	return max_length ? r->limit.max : positions - (answer < positions / 2 ? answer : positions / 2);
}

static int open_prompts(struct run *r)
{
	int rc = choose_generate(r);
	if (rc < 0)
		return rc;
	bool cut = policy && r->limit.policy == FT_TOK_TRUNCATE;
	if (cut)
		r->limit.max = cut_limit(r);
	columns.label = reference;
	columns.prompts = true;
	struct ft_prompts_options o = { .generate = generate, .group = raw ? 1 : (size_t)group_rows, .raw = raw,
	                                .limit = r->limit.max, .cut = cut,
	                                .keep_text = keep_text, .reference = reference != NULL };
	r->prompts = ft_prompts_new(r->model, r->tok, &o);
	return r->prompts ? FT_OK : ft_last_error();
}

static int open_rows(struct run *r)
{
	struct ft_predict_options o = { .tok = r->tok, .limit = r->limit, .combine = combine, .group = (size_t)group_rows,
	                                .keep_text = keep_text, .vectors = vectors, .normalize = normalize,
	                                .labels = r->labels, .tags = r->tags, .threshold = r->threshold };
	r->rows = ft_predictor_new(r->model, &o);
	return r->rows ? FT_OK : ft_last_error();
}

/* What a person should know of the rows. */
static void print_notes(const struct run *r)
{
	struct ft_predict_counts n;
	if (r->prompts)
		n = ft_prompts_count(r->prompts);
	else
		n = ft_predictor_count(r->rows);
	if (n.invalid)
		ft_warn("%lld rows are not all UTF-8; what is not was read as U+FFFD", (long long)n.invalid);
	if (r->blank)
		ft_note("%lld empty lines have no answer", (long long)r->blank);
	if (n.cut && r->limit.policy == FT_TOK_TRUNCATE)
		ft_note("%lld of %lld rows were longer than %zu tokens and were cut", (long long)n.cut, (long long)n.rows,
		        r->limit.max);
}

static int predict(struct run *r, int argc, char **argv)
{
	int rc = open_model(r);
	bool lm = rc == FT_OK && r->task == FT_TASK_LM && !vectors;
	if (rc == FT_OK && chat && !lm)
		return ft_fail(FT_EUSAGE, "--chat: %s is no language model", model_path);
	if (rc == FT_OK && chat)
		return argc ? ft_fail(FT_EUSAGE, "--chat: takes no files (it is --chat=FILE)") : talk(r);
	if (rc == FT_OK)
		rc = lm ? open_prompts(r) : open_rows(r);
	for (int i = 0; (i < argc || i == 0) && rc == FT_OK; i++) {
		const char *path = i < argc ? argv[i] : "-";
		int stream = tokens_in || strcmp(path, "-") == 0 ? tokens_in : ft_is_stream(path);
		rc = stream < 0 ? stream : stream ? predict_tokens(r, path) : predict_text(r, path);
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
	ft_predictor_free(r.rows);
	ft_prompts_free(r.prompts);
	ft_tok_free(r.tok);
	ft_model_free(r.model);
	json_decref(r.labels);
	ft_tags_free(r.tags);
	free(r.ends);
	free(r.threshold);
	return rc;
}

const struct ft_tool ft_tool = { "ft-predict", "print what a model says of each row of text",
	                         "-m MODEL [OPTION]... [FILE]...", options, run_predict };

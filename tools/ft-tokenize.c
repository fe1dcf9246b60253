/* ft-tokenize - labelled text to a stream of token ids, as a model wants them.
 *
 * Here are the options and what they mean for a model; ft/encode.h does the work.
 */
#include "ft/chat.h"
#include "ft/cli.h"
#include "ft/encode.h"
#include "ft/err.h"
#include "ft/model.h"
#include "ft/sentence.h"
#include "ft/stream.h"
#include "ft/text.h"
#include "ft/tok.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *model_path, *base, *output, *format, *member;
static const char *text_column, *pair_column, *negative_column, *label_column, *prompt_column, *completion_column,
	*messages_member, *choices_member;
static const char *label_names, *task_name, *long_name = "truncate", *learn_name, *wrap_name;
static bool header, no_header, no_labels, label_all;
static int64_t max_length, stride = -1, max_line = 16 << 20, outputs = 1;

static const struct ft_opt options[] = {
	{ "model", 'm', FT_OPT_STR, &model_path, "MODEL",
	  "tokenize for MODEL: a Hugging Face folder, a GGUF file, or a stream of ft-freeze or ft-train", FT_OPT_QUIET },
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
	  "embed: column of a text that does not, though it is like it; lm: of a completion that is not as good (default: none)", 0 },
	{ "prompt", 0, FT_OPT_STR, &prompt_column, "COLUMN",
	  "lm: column of a prompt, which is what --text is (jsonl: 'prompt' where there is no 'text')", 0 },
	{ "completion", 0, FT_OPT_STR, &completion_column, "COLUMN",
	  "lm: column of the text that is to follow the prompt (jsonl: 'completion' beside 'prompt')", 0 },
	{ "messages", 0, FT_OPT_STR, &messages_member, "NAME",
	  "lm, jsonl: the member that is a conversation (default: 'messages', where it is there)", 0 },
	{ "choices", 0, FT_OPT_STR, &choices_member, "NAME",
	  "lm, jsonl: the member that is a list of choices behind the text, of which --label is the right one (default: "
	  "'choices', where it is there beside 'context')", 0 },
	{ "label", 'l', FT_OPT_STR, &label_column, "COLUMN",
	  "column of the label (default: 'label', of choices 'answer'; without a header 1, when there are two or more; conll: "
	  "the last; embed: of the score, and without it none are read)", 0 },
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
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Language models (--task lm)", 0 },
	{ "learn", 0, FT_OPT_STR, &learn_name, "WHAT",
	  "what is learnt: replies, which are completions and what the assistant says; last, of a conversation only "
	  "the last of them; or all (default: replies)", 0 },
	{ "wrap", 0, FT_OPT_STR, &wrap_name, "WHAT",
	  "special tokens around a text: none, bos, eos, both, or auto: what the tokenizer puts there, and behind a "
	  "completion the end of text (default: auto)", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Length", 0 },
	{ "max-length", 0, FT_OPT_INT, &max_length, "N",
	  "most tokens of an example, with special tokens (default: as many as MODEL takes)", 0 },
	{ "long", 0, FT_OPT_STR, &long_name, "POLICY",
	  "what becomes of longer texts: truncate, drop, split, error, or turns: conversations lose their oldest turns "
	  "(default: truncate)", 0 },
	{ "stride", 0, FT_OPT_INT, &stride, "N",
	  "tokens by which windows overlap, with --long split (default: 0)", 0 },
	{ 0 },
};

/* ---- what the run is about ---- */

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
	enum ft_learn learn; /* lm */
	struct ft_edges edges;
	struct ft_chat *chat; /* when rows are conversations */
	bool questions;       /* or questions with choices */
	struct ft_writer *out;
	json_t *inputs;
	int64_t blank, comments; /* lines passed over */
	struct ft_encoder *encoder;
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
	if (rc < 0 || no_labels || r->task == FT_TASK_NONE || ft_task_of_words(r->task) ||
	    (r->task == FT_TASK_EMBED && !scored))
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
	r->tok = ft_model_tokenizer(r->model);
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

/* What is for language models alone. */
static int choose_lm(struct run *r)
{
	if (r->task != FT_TASK_LM) {
		const char *given = prompt_column ? "prompt"
		                    : completion_column ? "completion"
		                    : messages_member ? "messages"
		                    : choices_member ? "choices"
		                    : learn_name ? "learn"
		                    : wrap_name ? "wrap"
		                    : strcmp(long_name, "turns") == 0 ? "long turns" : NULL;
		return given ? ft_fail(FT_EUSAGE, "--%s is for the task lm", given) : FT_OK;
	}
	int learn = ft_learn_parse(learn_name ? learn_name : "replies");
	if (learn < 0)
		return ft_fail(FT_EUSAGE, "--learn: '%s' is not replies, last or all", learn_name);
	if (pair_column)
		return ft_fail(FT_EUSAGE, "--pair: the task lm has --completion instead");
	if (prompt_column && text_column)
		return ft_fail(FT_EUSAGE, "--prompt and --text name the same column");
	if (prompt_column && !completion_column && !choices_member)
		return ft_fail(FT_EUSAGE, "--prompt needs --completion or --choices");
	if (choices_member && (completion_column || messages_member))
		return ft_fail(FT_EUSAGE, "--choices and --%s exclude each other",
		               completion_column ? "completion" : "messages");
	r->learn = (enum ft_learn)learn;
	return ft_edges_choose(&r->edges, r->tok, json_object_get(ft_model_meta(r->model), "config"),
	                       wrap_name ? wrap_name : "auto");
}

static int choose_limit(struct run *r)
{
	bool apart = r->task == FT_TASK_EMBED; /* each text for itself */
	int64_t length = ft_model_length(r->model, max_length);
	size_t specials = r->task == FT_TASK_LM ? 0 : ft_tok_specials(r->tok, pair_column && !apart);
	int policy = ft_tok_long_parse(long_name);
	if (policy < 0)
		return ft_fail(FT_EUSAGE, "--long: '%s' is not truncate, drop, split, turns or error", long_name);
	if (length < 0)
		return (int)length;
	if (negative_column && !(r->task == FT_TASK_LM ? prompt_column : apart ? pair_column : NULL))
		return ft_fail(FT_EUSAGE, "--negative is for the task embed, beside --pair, and lm, beside --completion");
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

/* The template of the base, which must be that which the model was planned for. */
static int open_chat(struct run *r)
{
	const json_t *template = json_object_get(ft_model_meta(r->model), "template");
	const char *theirs = json_string_value(json_object_get(template, "digest"));
	r->chat = ft_chat_of_dir(ft_model_dir(r->model));
	if (!r->chat)
		return ft_last_error();
	if (theirs && strcmp(theirs, ft_chat_digest(r->chat)) != 0)
		return ft_fail(FT_EMATCH, "%s was made for another chat template (digest %s) than the one in %s (%s)",
		               ft_model_name(r->model), theirs, ft_model_dir(r->model), ft_chat_digest(r->chat));
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
	if (r->chat)
		rc |= json_object_set_new(meta, "template", json_pack("{s:s}", "digest", ft_chat_digest(r->chat)));
	rc |= json_object_set_new(meta, "max_length", json_integer((json_int_t)r->limit.max));
	if (rc == 0)
		return meta;
	json_decref(meta);
	ft_fail(FT_EFAIL, "out of memory for a stream's header");
	return NULL;
}

/* ---- output ---- */

static int open_encoder(struct run *r)
{
	const struct ft_encode_options o = {
		.tok = r->tok, .limit = r->limit, .task = r->task, .labels = r->labels, .targets = r->targets,
		.rest = r->rest, .vocab = r->vocab, .learn = r->learn, .edges = r->edges, .chat = r->chat,
		.questions = r->questions, .judged = !no_labels,
		.prompt = r->task == FT_TASK_EMBED ? ft_model_pooling(r->model)->prompt : NULL,
	};
	r->encoder = ft_encoder_new(&o, r->out);
	return r->encoder ? FT_OK : ft_last_error();
}

/* Rows are questions with choices, which are measured whole. */
static int open_questions(struct run *r)
{
	r->questions = true;
	if (no_labels)
		return ft_fail(FT_EUSAGE, "--no-labels: questions with choices need their answers");
	if (wrap_name && (strcmp(wrap_name, "eos") == 0 || strcmp(wrap_name, "both") == 0))
		return ft_fail(FT_EUSAGE, "--wrap %s: nothing stands behind the choices of a question", wrap_name);
	if (r->limit.policy != FT_TOK_TRUNCATE && r->limit.policy != FT_TOK_ERROR)
		return ft_fail(FT_EUSAGE,
		               "--long %s: a question keeps all of its choices; truncate cuts what stands before them",
		               long_name);
	return FT_OK;
}

/* What the rows are, the first one tells (NULL: there is none). */
static int open_output(struct run *r, const struct ft_row *first)
{
	struct ft_reader *parent = ft_model_reader(r->model);
	int rc = first && first->messages ? open_chat(r) : first && first->choices ? open_questions(r) : FT_OK;
	json_t *meta = rc == FT_OK ? make_meta(r) : NULL;
	if (!meta)
		return ft_last_error();
	r->out = ft_writer_open(output, "tokens", meta, &parent, parent ? 1 : 0);
	json_decref(meta);
	return r->out ? open_encoder(r) : ft_last_error();
}

/* ---- reading ---- */

static int read_file(struct run *r, const char *path, const struct ft_text_options *o)
{
	struct ft_text *t = ft_text_open(path, o);
	struct ft_row row;
	int rc = t ? 1 : ft_last_error();
	while (rc > 0 && (rc = ft_text_next(t, &row)) > 0) {
		rc = r->encoder ? FT_OK : open_output(r, &row);
		rc = rc == FT_OK && ft_encoder_add(r->encoder, &row) == FT_OK ? 1 : ft_last_error();
	}
	json_t *inputs = rc == 0 ? ft_text_inputs(t) : NULL;
	if (rc == 0 && (!inputs || json_array_extend(r->inputs, inputs) < 0))
		rc = ft_fail(FT_EFAIL, "out of memory");
	r->blank += t ? ft_text_blank(t) : 0;
	r->comments += t ? ft_text_comments(t) : 0;
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
		.format = (enum ft_text_format)f, .header = header ? 1 : no_header ? 0 : -1,
		.text = prompt_column ? prompt_column : text_column,
		.pair = completion_column ? completion_column : pair_column, .negative = negative_column,
		.label = no_labels ? NULL : label_column, .member = member,
		.max_line = (size_t)max_line, .messages = messages_member, .choices = choices_member,
	};
	return FT_OK;
}

/* ---- the end ---- */

static void report(const struct run *r)
{
	const struct ft_encode_counts *n = ft_encoder_counts(r->encoder);
	long long rows = n->rows;
	if (n->invalid_utf8)
		ft_warn("%lld of %lld rows are not all UTF-8; what is not was read as U+FFFD",
		        (long long)n->invalid_utf8, rows);
	if (n->truncated)
		ft_note("%lld of %lld rows were cut to %zu tokens (--long chooses)", (long long)n->truncated, rows,
		        r->limit.max);
	if (n->dropped)
		ft_note("%lld of %lld rows were dropped: more than %zu tokens", (long long)n->dropped, rows,
		        r->limit.max);
	if (n->split)
		ft_note("%lld of %lld rows were split into windows of %zu tokens", (long long)n->split, rows,
		        r->limit.max);
	if (n->empty)
		ft_note("%lld of %lld rows have an empty text", (long long)n->empty, rows);
	if (n->shortened)
		ft_note("%lld of %lld conversations lost their oldest turns: more than %zu tokens", (long long)n->shortened,
		        rows, r->limit.max);
	if (n->unsupervised)
		ft_note("%lld of %lld rows hold nothing to learn and were left out", (long long)n->unsupervised, rows);
	if (n->words_without_tokens)
		ft_note("%lld of %lld words have no token, so their tags are not seen",
		        (long long)n->words_without_tokens, (long long)n->words);
	if (n->comments)
		ft_note("%lld comments were passed over", (long long)n->comments);
	if (n->unread && r->task == FT_TASK_NONE && !no_labels)
		ft_note("labels were not read: %s has no head; see --task and --labels", ft_model_name(r->model));
	if (!rows)
		ft_note("there were no rows");
}

static int write_end(struct run *r)
{
	struct ft_encode_counts *n = ft_encoder_counts(r->encoder);
	json_t *counts = json_object();
	int rc = 0;
	n->blank = r->blank;
	n->comments = r->comments;
#define X(name) rc |= json_object_set_new(counts, #name, json_integer(n->name));
	FT_ENCODE_COUNTED(X)
	if (r->task == FT_TASK_TAG) {
		FT_ENCODE_COUNTED_WORDS(X)
	}
	if (r->task == FT_TASK_LM) {
		FT_ENCODE_COUNTED_LM(X)
	}
#undef X
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
	if (!r->inputs)
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
		rc = choose_lm(r);
	if (rc == FT_OK)
		rc = choose_limit(r);
	/* A reader of the stream need not wait for the first row, but where that tells what they are. */
	return rc == FT_OK && r->task != FT_TASK_LM ? open_output(r, NULL) : rc;
}

static void close_run(struct run *r)
{
	ft_encoder_free(r->encoder);
	ft_writer_free(r->out);
	ft_labels_free(r->labels);
	ft_chat_free(r->chat);
	free(r->rest);
	ft_tok_free(r->tok);
	ft_model_free(r->model);
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
	o.prompts = r.task == FT_TASK_LM;
	for (int i = 0; rc == FT_OK && i < (argc ? argc : 1); i++)
		rc = read_file(&r, argc ? argv[i] : NULL, &o);
	if (rc == FT_OK && !r.encoder)
		rc = open_output(&r, NULL);
	if (rc == FT_OK)
		rc = ft_encoder_flush(r.encoder);
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

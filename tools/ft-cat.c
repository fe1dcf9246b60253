/* ft-cat.c - shows any stream as lines of JSON, and makes streams of such lines.
 *
 * What flows between the tools is binary; this is the window on it. The lines
 * are complete: they can be edited with the usual tools and turned back.
 */
#include "ft/batch.h"
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/format.h"
#include "ft/lines.h"
#include "ft/model.h"
#include "ft/stream.h"
#include "ft/tensor.h"
#include "ft/tok.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool header_only, log_only, text, verify, from_json, join, with_data;
static const char *model, *output;

static const struct ft_opt options[] = {
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "What to show (default: every record as a line of JSON)", 0 },
	{ "header", 'H', FT_OPT_FLAG, &header_only, NULL, "only the header", 0 },
	{ "log", 'l', FT_OPT_FLAG, &log_only, NULL, "who made the stream of what, as a tree", 0 },
	{ "text", 't', FT_OPT_FLAG, &text, NULL,
	  "tokens as text, with what is supervised in colour or between « »", 0 },
	{ "model", 'm', FT_OPT_STR, &model, "MODEL", "decode with the tokenizer of MODEL, for --text", 0 },
	{ "data", 0, FT_OPT_FLAG, &with_data, NULL, "the numbers of tensors too, as --from-json needs them", 0 },
	{ "verify", 0, FT_OPT_FLAG, &verify, NULL, "check everything and print one line of counts", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Making streams", 0 },
	{ "from-json", 0, FT_OPT_FLAG, &from_json, NULL, "turn lines of JSON back into a stream", 0 },
	{ "join", 0, FT_OPT_FLAG, &join, NULL, "join streams of examples or of batches into one", 0 },
	{ "output", 'o', FT_OPT_STR, &output, "FILE",
	  "write the stream to FILE instead of stdout, when complete", FT_OPT_QUIET },
	{ 0 },
};

/* Prints what is in the buffer as a line and empties it. */
static int print_line(struct ft_buf *b)
{
	int rc = ft_buf_append(b, "\n", 1);

	if (!rc && fwrite(b->data, 1, b->len, stdout) != b->len)
		rc = ft_fail_errno("stdout");
	b->len = 0;
	return rc;
}

static int print_json(struct ft_buf *b, const json_t *v)
{
	int rc = ft_lines_json(b, v);

	return rc < 0 ? rc : print_line(b);
}

static int print_header(struct ft_buf *b, struct ft_reader *r)
{
	json_t *empty = json_array();
	const json_t *log = ft_reader_log(r) ? ft_reader_log(r) : empty;
	json_t *head = json_pack("{s:i, s:s, s:O, s:O}", "ft", 1, "kind", ft_reader_kind(r), "meta",
	                         (json_t *)ft_reader_meta(r), "log", (json_t *)log);
	int rc = head ? print_json(b, head) : ft_fail(FT_EFAIL, "out of memory for a header");

	json_decref(head);
	json_decref(empty);
	return rc;
}

/* ---- records as lines; a tensor's data as a summary ---- */

/* The tensor whose chunks are being read. */
struct tensor {
	int dtype;    /* an ft_dtype, or -1 */
	size_t left;  /* bytes of data still to come */
	struct ft_digest *digest;
	size_t numbers;
	double min, max, sum;
	bool odd;     /* no statistics: not of a type, or not finite */
};

/* Takes up what a descriptor says; any other record leaves t as it is. */
static int tensor_begin(struct tensor *t, const struct ft_rec *rec)
{
	const struct ft_field *dtype = ft_rec_find(rec, "dtype"), *bytes = ft_rec_find(rec, "bytes");

	if (!ft_rec_find(rec, "tensor"))
		return FT_OK;
	ft_digest_free(t->digest);
	*t = (struct tensor){ .dtype = -1, .digest = ft_digest_new(), .min = DBL_MAX, .max = -DBL_MAX };
	if (dtype && dtype->type == FT_STR)
		t->dtype = ft_dtype_parse(dtype->bytes.p, dtype->bytes.n);
	if (bytes && bytes->type == FT_INT && bytes->i > 0)
		t->left = (size_t)bytes->i;
	return t->digest ? FT_OK : FT_EFAIL;
}

static void tensor_chunk(struct tensor *t, const struct ft_span data)
{
	size_t size = t->dtype >= 0 ? ft_dtype_size((enum ft_dtype)t->dtype) : 1;

	ft_digest_add(t->digest, data.p, data.n);
	t->odd |= t->dtype < 0 || data.n % size;
	for (size_t i = 0; i < data.n / size && !t->odd; i++) {
		float v;

		t->odd = ft_widen(&v, data.p + i * size, (enum ft_dtype)t->dtype, 1) < 0 || !isfinite(v);
		t->min = v < t->min ? v : t->min;
		t->max = v > t->max ? v : t->max;
		t->sum += v;
		t->numbers++;
	}
}

/* Puts what was seen of the data into the descriptor's line. */
static int tensor_end(struct tensor *t, struct ft_buf *b)
{
	char hex[33];
	int rc;

	ft_digest_hex(t->digest, hex);
	b->len--; /* the closing brace */
	rc = ft_buf_printf(b, ",\"xxh3\":\"%s\"", hex);
	if (!rc && t->numbers && !t->odd)
		rc = ft_buf_printf(b, ",\"min\":%.6g,\"max\":%.6g,\"mean\":%.6g", t->min, t->max,
		                   t->sum / (double)t->numbers);
	if (!rc)
		rc = ft_buf_append(b, "}", 1);
	return rc < 0 ? rc : print_line(b);
}

/* Reads the chunks of a tensor whose descriptor is in the buffer. */
static int show_tensor(struct ft_reader *r, struct tensor *t, struct ft_buf *b)
{
	while (t->left) {
		struct ft_span data;
		int rc = ft_lines_chunk(r, &t->left, &data);

		if (rc < 0)
			return rc;
		tensor_chunk(t, data);
	}
	return tensor_end(t, b);
}

static int show_records(struct ft_reader *r, struct ft_buf *b)
{
	struct tensor t = { .dtype = -1 };
	struct ft_rec rec;
	int rc;

	while ((rc = ft_reader_next(r, &rec)) > 0) {
		bool summary = !with_data && ft_rec_find(&rec, "tensor");

		if ((rc = tensor_begin(&t, &rec)) < 0 || (rc = ft_lines_record(b, &rec, t.dtype)) < 0
		    || (rc = summary ? show_tensor(r, &t, b) : print_line(b)) < 0)
			break;
	}
	ft_digest_free(t.digest);
	return rc;
}

static int show_json(struct ft_reader *r, struct ft_buf *b)
{
	int rc = print_header(b, r);

	if (!rc)
		rc = show_records(r, b);
	return rc < 0 ? rc : print_json(b, ft_reader_end(r));
}

static int show_header(struct ft_reader *r, struct ft_buf *b)
{
	int rc = print_header(b, r);

	return rc < 0 ? rc : ft_reader_drain(r);
}

static int show_log(struct ft_reader *r, struct ft_buf *b)
{
	int rc = ft_lines_log(b, ft_reader_log(r));

	if (!rc && fwrite(b->data, 1, b->len, stdout) != b->len)
		rc = ft_fail_errno("stdout");
	b->len = 0;
	return rc < 0 ? rc : ft_reader_drain(r);
}

/* ---- --verify ---- */

static int show_counts(struct ft_reader *r, struct ft_buf *b)
{
	struct ft_counts c;
	int rc = ft_lines_verify(r, &c);
	bool of_tensors = ft_reader_of_tensors(r), is_batches = !strcmp(ft_reader_kind(r), "batches");

	if (!rc)
		rc = ft_buf_printf(b, "%s: %s: ", ft_reader_name(r), ft_reader_kind(r));
	if (!rc && of_tensors)
		rc = ft_buf_printf(b, "%lld tensors, %lld bytes", (long long)c.tensors, (long long)c.bytes);
	if (!rc && is_batches)
		rc = ft_buf_printf(b, "%lld batches, ", (long long)ft_reader_count(r));
	if (!rc && !of_tensors)
		rc = ft_buf_printf(b, "%lld examples, %lld tokens, %lld labels", (long long)c.examples,
		                   (long long)c.tokens, (long long)c.labels);
	if (!rc)
		rc = ft_buf_printf(b, json_object_get(ft_reader_end(r), "digest") ? ", digest ok" : ", no digest");
	return rc < 0 ? rc : print_line(b);
}

/* ---- --text ---- */

static struct ft_tok *tokenizer; /* of --model */

static int open_tokenizer(void)
{
	struct ft_model *m = NULL;

	if (!model)
		return ft_fail(FT_EUSAGE, "--text needs -m MODEL, whose tokenizer decodes the tokens");
	if (!ft_base_is(model) && !(m = ft_model_open(model, NULL, FT_MODEL_BARE)))
		return ft_last_error();
	tokenizer = m ? ft_model_tokenizer(m) : ft_tok_open(model);
	ft_model_free(m);
	return tokenizer ? FT_OK : ft_last_error();
}

static int match_tokenizer(struct ft_reader *r)
{
	const json_t *of_stream = json_object_get(json_object_get(ft_reader_meta(r), "tokenizer"), "digest");
	json_t *own = ft_tok_describe(tokenizer);
	int rc = FT_OK;

	if (!own)
		return ft_last_error();
	if (of_stream && !json_equal(of_stream, json_object_get(own, "digest")))
		rc = ft_fail(FT_EMATCH, "%s was made with another tokenizer than that of %s", ft_reader_name(r),
		             model);
	json_decref(own);
	return rc;
}

/* "source<TAB>label" of example `at` of a batch. */
static int show_example(const struct ft_batch *c, const json_t *names, size_t at, struct ft_buf *b)
{
	bool whole = c->labels && c->nlabels == ft_batch_examples(c);
	const char *name = whole && c->labels[at] >= 0
		? json_string_value(json_array_get(names, (size_t)c->labels[at])) : NULL;
	size_t outputs = c->targets ? c->ntargets / ft_batch_examples(c) : 0;
	int rc = c->src ? ft_lines_clean(b, c->src[at].p, c->src[at].n) : FT_OK;

	if (!rc)
		rc = ft_buf_append(b, "\t", 1);
	if (!rc && name)
		rc = ft_lines_clean(b, name, strlen(name));
	else if (!rc && whole)
		rc = ft_buf_printf(b, "%d", c->labels[at]);
	for (size_t i = 0; i < outputs && !rc; i++)
		rc = ft_buf_printf(b, "%s%g", i ? "," : "", (double)c->targets[at * outputs + i]);
	return rc;
}

/* "source<TAB>label<TAB>text" of row `at` of a batch; of an example of several texts
 * the first row names it, and the others begin with the tabs. */
static int show_row(const struct ft_reader *r, const struct ft_batch *c, size_t at, struct ft_buf *b)
{
	const json_t *names = json_object_get(ft_reader_meta(r), "labels");
	const char *task = json_string_value(json_object_get(ft_reader_meta(r), "task"));
	size_t from = (size_t)c->offsets[at], n = (size_t)c->offsets[at + 1] - from;
	bool by_token = c->labels && c->nlabels != ft_batch_examples(c);
	struct ft_lines_row row = { .ids = c->ids + from, .labels = by_token ? c->labels + from : NULL,
	                            .words = c->words ? c->words + from : NULL, .n = n, .names = names,
	                            .next = task && strcmp(task, ft_task_name(FT_TASK_LM)) == 0 };
	bool begins = at % ft_batch_texts(c) == 0;
	int rc = begins ? show_example(c, names, at / ft_batch_texts(c), b) : ft_buf_append(b, "\t", 1);

	if (!rc)
		rc = ft_buf_append(b, "\t", 1);
	if (!rc)
		rc = ft_lines_text(b, tokenizer, &row, ft_colour(1));
	return rc < 0 ? rc : print_line(b);
}

static int show_text(struct ft_reader *r, struct ft_buf *b)
{
	bool batches = !strcmp(ft_reader_kind(r), "batches");
	struct ft_example e;
	struct ft_batch c;
	int rc = match_tokenizer(r);

	if (!batches && strcmp(ft_reader_kind(r), "tokens"))
		return ft_fail(FT_EFORMAT, "%s: a %s stream, which holds no tokens", ft_reader_name(r),
		               ft_reader_kind(r));
	while (rc >= 0 && (rc = batches ? ft_batch_read(r, &c) : ft_example_read(r, &e)) > 0) {
		int32_t offsets[2] = { 0, batches ? 0 : (int32_t)e.n };

		if (!batches)
			c = (struct ft_batch){ .ids = e.ids, .offsets = e.offsets ? e.offsets : offsets, .labels = e.labels,
			                       .words = e.words, .targets = e.targets, .src = &e.src, .tokens = e.n,
			                       .rows = e.texts, .texts = e.texts, .nlabels = e.nlabels,
			                       .ntargets = e.ntargets, .epoch = -1 };
		else
			printf("# batch %lld, epoch %lld: %zu rows, %zu tokens\n", (long long)ft_reader_count(r),
			       (long long)c.epoch, c.rows, c.tokens);
		for (size_t i = 0; i < c.rows && rc >= 0; i++)
			rc = show_row(r, &c, i, b);
	}
	return rc;
}

/* ---- making streams ---- */

/* Lets the epochs of one stream of batches follow those of the one before. */
static int64_t shift_epoch(struct ft_rec *rec, int64_t by)
{
	for (size_t i = 0; i < rec->count; i++) {
		struct ft_field *f = &rec->field[i];

		if (f->key.n == 5 && !memcmp(f->key.p, "epoch", 5) && f->type == FT_INT && f->i >= 0
		    && !__builtin_add_overflow(f->i, by, &f->i))
			return f->i;
	}
	return by - 1;
}

static int join_streams(struct ft_reader *const *in, size_t n)
{
	json_t *meta = ft_meta_join(in, n);
	struct ft_writer *w = meta ? ft_writer_open(output, ft_reader_kind(in[0]), meta, in, n) : NULL;
	struct ft_rec rec;
	int64_t epoch = -1, first = 0;
	int rc = w ? FT_OK : ft_last_error();

	for (size_t i = 0; i < n && rc >= 0; i++, first = epoch + 1) {
		while (rc >= 0 && (rc = ft_reader_next(in[i], &rec)) > 0) {
			epoch = shift_epoch(&rec, first);
			rc = ft_writer_put(w, &rec);
		}
	}
	if (rc >= 0)
		rc = ft_notes_join(w, in, n);
	if (rc >= 0)
		rc = ft_writer_close(w);
	ft_writer_free(w);
	json_decref(meta);
	return rc;
}

static int join_files(int argc, char **argv)
{
	struct ft_reader **in = ft_alloc((size_t)argc + 1, sizeof *in);
	int rc = in ? FT_OK : FT_EFAIL;

	for (int i = 0; i < argc && !rc; i++) {
		in[i] = ft_reader_open(argv[i], i ? ft_reader_kind(in[0]) : NULL);
		rc = in[i] ? FT_OK : ft_last_error();
	}
	if (!rc && argc < 1)
		rc = ft_fail(FT_EUSAGE, "--join needs the FILEs to join");
	if (!rc && ft_reader_of_tensors(in[0]))
		rc = ft_fail(FT_EUSAGE, "--join: %s streams cannot be joined", ft_reader_kind(in[0]));
	if (!rc)
		rc = join_streams(in, (size_t)argc);
	for (int i = 0; in && i < argc; i++)
		ft_reader_close(in[i]);
	free(in);
	return rc;
}

static int read_json(int argc, char **argv)
{
	bool is_stdin = !argc || !strcmp(argv[0], "-");
	FILE *f;
	int rc;

	if (argc > 1)
		return ft_fail(FT_EUSAGE, "--from-json takes one FILE");
	f = is_stdin ? stdin : fopen(argv[0], "r");
	if (!f)
		return ft_fail_errno("%s", argv[0]);
	rc = ft_lines_to_stream(f, is_stdin ? "stdin" : argv[0], output);
	if (!is_stdin)
		fclose(f);
	return rc;
}

/* ---- */

static int show_file(const char *path)
{
	int (*show)(struct ft_reader *, struct ft_buf *) = verify ? show_counts : text ? show_text
		: log_only ? show_log : header_only ? show_header : show_json;
	struct ft_reader *r = ft_reader_open(path, NULL);
	struct ft_buf b = { 0 };
	int rc = r ? show(r, &b) : ft_last_error();

	ft_buf_free(&b);
	ft_reader_close(r);
	return rc;
}

static int run(int argc, char **argv)
{
	int rc = FT_OK;

	if (header_only + log_only + text + verify + from_json + join > 1)
		return ft_fail(FT_EUSAGE, "--header, --log, --text, --verify, --from-json and --join exclude "
		                          "each other");
	if (output && !from_json && !join)
		return ft_fail(FT_EUSAGE, "-o needs --from-json or --join; text goes to stdout");
	if (from_json)
		return read_json(argc, argv);
	if (join)
		return join_files(argc, argv);
	if (text)
		rc = open_tokenizer();
	if (!rc && !argc)
		rc = show_file(NULL);
	for (int i = 0; i < argc && !rc; i++)
		rc = show_file(argv[i]);
	ft_tok_free(tokenizer);
	return rc;
}

const struct ft_tool ft_tool = { "ft-cat", "show streams as lines of JSON, and make streams of them",
	                         "[OPTION]... [FILE]...\n--join FILE... -o FILE\n--from-json [FILE] -o FILE",
	                         options, run };

/* ft-batch.c - groups examples into batches, in the order training wants them.
 *
 * Everything about order is decided here, so that ft-train only folds over what
 * comes. One epoch in the order of the input needs no memory and is passed on
 * as it comes; anything else holds the examples, packed, and knows the number of
 * batches before it writes the first.
 */
#include "ft/batch.h"
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/stream.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ABSENT INT64_MIN
#define DEFAULT_ROWS 32
#define DEFAULT_MASK 0.15
#define WEIGHT_UNIT 1000000 /* weights are kept in millionths: exact arithmetic */
#define NOTE_BYTES ((size_t)1 << 30)

static int64_t rows = ABSENT, tokens = ABSENT, epochs = 1, shuffle = ABSENT, bucket = ABSENT, limit = ABSENT;
static int64_t split_seed;
static const char *split, *fold, *except_fold, *mix, *mask, *output;
static bool balance, pack;

static const struct ft_opt options[] = {
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Batches", 0 },
	{ "rows", 'r', FT_OPT_INT, &rows, "N",
	  "at most N examples in a batch (default: 32, unless --tokens is given)", 0 },
	{ "tokens", 't', FT_OPT_INT, &tokens, "N", "at most N tokens in a batch", 0 },
	{ "bucket", 0, FT_OPT_INT, &bucket, "K",
	  "put examples of like length together: sort by length within every K batches", 0 },
	{ "pack", 0, FT_OPT_FLAG, &pack, NULL,
	  "with --tokens and --shuffle: fill batches as far as they go, each with examples that fit", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Order", 0 },
	{ "epochs", 'e', FT_OPT_INT, &epochs, "N", "pass over the examples N times (default: 1)", 0 },
	{ "shuffle", 's', FT_OPT_INT, &shuffle, "SEED",
	  "shuffle all examples, anew for each epoch (default: the order of the input)", 0 },
	{ "mix", 0, FT_OPT_STR, &mix, "W,W...",
	  "interleave the FILEs in these proportions (default: one after the other)", 0 },
	{ "balance", 0, FT_OPT_FLAG, &balance, NULL,
	  "repeat examples of rarer classes until all classes are equally frequent", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Selection", 0 },
	{ "split", 0, FT_OPT_STR, &split, "SIDE:FRACTION",
	  "keep only one side of a split by content: train:0.9, or rest:0.9 for its complement", 0 },
	{ "fold", 0, FT_OPT_STR, &fold, "I/K", "keep only the I-th of K folds by content", 0 },
	{ "except-fold", 0, FT_OPT_STR, &except_fold, "I/K", "keep all but the I-th of K folds", 0 },
	{ "split-seed", 0, FT_OPT_INT, &split_seed, "SEED", "another way to split and to fold (default: 0)", 0 },
	{ "limit", 'n', FT_OPT_INT, &limit, "N",
	  "use N examples: with --shuffle a random choice, else the first", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Objective and output", 0 },
	{ "mask", 0, FT_OPT_STR, &mask, "P",
	  "hide tokens with probability P (default: 0.15) for masked-language modelling", FT_OPT_MAYBE },
	{ "output", 'o', FT_OPT_STR, &output, "FILE",
	  "write to FILE instead of stdout, when complete", FT_OPT_QUIET },
	{ 0 },
};

struct job {
	struct ft_keep keep;
	struct ft_reader **in; /* [files] */
	size_t files;
	uint64_t *weights;     /* [files] or NULL */
	size_t *ends;          /* [files]: examples in the pool up to the end of each */
	json_t *meta;
	struct ft_mask *mask;
	struct ft_pack *pack;
	struct ft_pool *pool;
	struct ft_order *order;
	uint32_t *seen;        /* [pool]: how often an example came before; with a mask */
	struct ft_writer *out;
	int64_t read, kept, unmaskable;
	int64_t batches, rows, tokens;
};

/* ---- options ---- */

static int check_at_least(const char *name, int64_t v, int64_t least)
{
	if (v != ABSENT && v < least)
		return ft_fail(FT_EUSAGE, "--%s: must be at least %lld", name, (long long)least);
	return FT_OK;
}

static int check_options(void)
{
	if (check_at_least("rows", rows, 1) || check_at_least("tokens", tokens, 1)
	    || check_at_least("epochs", epochs, 1) || check_at_least("bucket", bucket, 1)
	    || check_at_least("limit", limit, 1) || check_at_least("shuffle", shuffle, 0)
	    || check_at_least("split-seed", split_seed, 0))
		return FT_EUSAGE;
	if (fold && except_fold)
		return ft_fail(FT_EUSAGE, "--fold and --except-fold exclude each other");
	if (mix && balance)
		return ft_fail(FT_EUSAGE, "--mix and --balance exclude each other");
	if (pack && (tokens == ABSENT || shuffle == ABSENT || bucket != ABSENT))
		return ft_fail(FT_EUSAGE, "--pack needs --tokens, and --shuffle without --bucket: it changes the order");
	if (rows == ABSENT && tokens == ABSENT)
		rows = DEFAULT_ROWS;
	return FT_OK;
}

/* "4,1" or "0.8,0.2" into millionths. */
static int parse_mix(struct job *j)
{
	const char *at = mix;

	j->weights = ft_alloc(j->files, sizeof *j->weights);
	if (!j->weights)
		return FT_EFAIL;
	for (size_t i = 0; i < j->files; i++) {
		char *end;
		double w = strtod(at, &end);

		if (end == at || !(w * WEIGHT_UNIT >= 1 && w <= 1e6) || (*end && *end != ','))
			return ft_fail(FT_EUSAGE, "--mix: weight %zu must be a number from 0.000001 to 1000000", i + 1);
		j->weights[i] = (uint64_t)(w * WEIGHT_UNIT + 0.5);
		if (!*end != (i + 1 == j->files))
			return ft_fail(FT_EUSAGE, "--mix needs one weight for each FILE; there are %zu FILEs", j->files);
		at = end + 1;
	}
	return FT_OK;
}

static int parse_mask(struct job *j)
{
	double p = DEFAULT_MASK;
	char *end = NULL;

	if (*mask) {
		p = strtod(mask, &end);
		if (end == mask || *end)
			return ft_fail(FT_EUSAGE, "--mask: '%s' is not a number", mask);
	}
	j->mask = ft_mask_new(json_object_get(j->meta, "tokenizer"), p,
	                      shuffle == ABSENT ? 0 : (uint64_t)shuffle);
	return j->mask ? FT_OK : ft_last_error();
}

/* ---- input ---- */

/* Options that are about classes, or make labels, are not for examples that have one a token. */
static int check_task(const struct job *j)
{
	const char *task = json_string_value(json_object_get(j->meta, "task"));
	if (!task || strcmp(task, "lm") != 0 || (!balance && !mask))
		return FT_OK;
	return ft_fail(FT_EUSAGE, "--%s: %s is for the task lm, which learns the next token", balance ? "balance" : "mask",
	               ft_reader_name(j->in[0]));
}

static int open_inputs(struct job *j, int argc, char **argv)
{
	j->files = argc ? (size_t)argc : 1;
	j->in = ft_alloc(j->files, sizeof *j->in);
	j->ends = ft_alloc(j->files, sizeof *j->ends);
	if (!j->in || !j->ends)
		return FT_EFAIL;
	for (size_t i = 0; i < j->files; i++) {
		j->in[i] = ft_reader_open(argc ? argv[i] : NULL, "tokens");
		if (!j->in[i])
			return ft_last_error();
	}
	j->meta = ft_meta_join(j->in, j->files);
	return j->meta ? check_task(j) : ft_last_error();
}

/* The next example to keep: 1, 0, <0. */
static int next_kept(struct job *j, struct ft_reader *in, struct ft_example *e)
{
	int rc;

	while ((rc = ft_example_read(in, e)) > 0) {
		if (++j->read % 4096 == 0)
			ft_progress("%lld examples read", (long long)j->read);
		if (!ft_keep_test(&j->keep, e))
			continue;
		if (j->mask && !ft_mask_possible(j->mask, e)) {
			j->unmaskable++;
			continue;
		}
		if (j->mask && ft_example_texts(e) > 1)
			return ft_reader_fail(in, FT_EUSAGE, "%.*s: has %zu texts; --mask is for examples of one",
			                      (int)e->src.n, e->src.n ? e->src.p : "", ft_example_texts(e));
		if (tokens != ABSENT && e->n > (size_t)tokens)
			return ft_reader_fail(in, FT_EUSAGE, "%.*s: has %zu tokens, more than --tokens %lld; raise that, "
			                      "or tokenize with a smaller --max-length", (int)e->src.n,
			                      e->src.n ? e->src.p : "", e->n, (long long)tokens);
		j->kept++;
		return 1;
	}
	return rc;
}

static int fail_empty(const struct job *j)
{
	if (j->unmaskable)
		return ft_fail(FT_EFORMAT, "no examples: none of %lld has a token that may be masked",
		               (long long)j->read);
	if (j->read)
		return ft_fail(FT_EFORMAT, "no examples: --split and --fold keep none of %lld", (long long)j->read);
	return ft_fail(FT_EFORMAT, "%s: no examples", ft_reader_name(j->in[0]));
}

/* ---- output ---- */

static int open_output(struct job *j)
{
	j->out = ft_writer_open(output, "batches", j->meta, j->in, j->files);
	return j->out ? FT_OK : ft_last_error();
}

static int flush(struct job *j, int64_t epoch)
{
	struct ft_batch b;
	int rc = ft_pack_batch(j->pack, &b);

	if (rc < 0)
		return rc;
	b.epoch = epoch;
	rc = ft_batch_write(j->out, &b);
	j->batches++;
	j->rows += (int64_t)b.rows;
	j->tokens += (int64_t)b.tokens;
	ft_pack_clear(j->pack);
	return rc;
}

/* Adds row e, the example with this number, which came `pass` times before. */
static int add_row(struct job *j, struct ft_example *e, uint64_t number, uint64_t pass)
{
	int rc = j->mask ? ft_mask_apply(j->mask, number, pass, e) : FT_OK;

	return rc < 0 ? rc : ft_pack_add(j->pack, e);
}

static int close_output(struct job *j)
{
	json_t *inputs = json_array();
	int rc = FT_OK;

	for (size_t i = 0; i < j->files; i++) { /* a foreign stage may leave its digest out */
		json_t *digest = json_object_get(ft_reader_end(j->in[i]), "digest");
		if (json_array_append_new(inputs, digest ? json_incref(digest) : json_null()) < 0)
			rc = ft_fail(FT_EFAIL, "out of memory for the inputs' digests");
	}
	if (rc < 0) {
		json_decref(inputs);
		return rc;
	}
	rc = ft_writer_note(j->out, "inputs", inputs);
	if (!rc)
		rc = ft_writer_note(j->out, "read", json_integer(j->read));
	if (!rc)
		rc = ft_writer_note(j->out, "kept", json_integer(j->kept));
	if (!rc && j->mask)
		rc = ft_writer_note(j->out, "unmaskable", json_integer(j->unmaskable));
	if (!rc)
		rc = ft_writer_note(j->out, "rows", json_integer(j->rows));
	if (!rc)
		rc = ft_writer_note(j->out, "tokens", json_integer(j->tokens));
	return rc < 0 ? rc : ft_writer_close(j->out);
}

/* ---- one epoch in the order of the input: flat memory ---- */

static bool is_full(const struct job *j, const struct ft_example *next)
{
	return ft_pack_examples(j->pack)
		&& ((rows != ABSENT && ft_pack_examples(j->pack) >= (size_t)rows)
		    || (tokens != ABSENT && ft_pack_tokens(j->pack) + next->n > (size_t)tokens));
}

static int pass_on(struct job *j)
{
	struct ft_example e;
	int rc = open_output(j);

	for (size_t i = 0; i < j->files && rc >= 0; i++) {
		while (rc >= 0 && (limit == ABSENT || j->kept < limit) && (rc = next_kept(j, j->in[i], &e)) > 0) {
			if (is_full(j, &e))
				rc = flush(j, 0);
			if (rc >= 0)
				rc = add_row(j, &e, (uint64_t)j->kept - 1, 0);
		}
		if (rc >= 0)
			rc = ft_reader_drain(j->in[i]); /* beyond --limit */
	}
	if (rc >= 0 && !j->kept)
		rc = fail_empty(j);
	if (rc >= 0)
		rc = flush(j, 0);
	return rc < 0 ? rc : close_output(j);
}

/* ---- anything else: examples in memory, counted in advance ---- */

static int load(struct job *j)
{
	struct ft_example e;
	int rc = FT_OK;

	j->pool = ft_pool_new();
	if (!j->pool)
		return FT_EFAIL;
	for (size_t i = 0; i < j->files; i++) {
		size_t before = ft_pool_count(j->pool);

		while ((rc = next_kept(j, j->in[i], &e)) > 0)
			if ((rc = ft_pool_add(j->pool, &e)) < 0)
				break;
		if (rc < 0)
			return rc;
		j->ends[i] = ft_pool_count(j->pool);
		if (j->weights && j->ends[i] == before)
			return ft_fail(FT_EFORMAT, "%s: no examples to mix in", ft_reader_name(j->in[i]));
	}
	return j->kept ? FT_OK : fail_empty(j);
}

static int make_order(struct job *j)
{
	struct ft_order_options o = {
		.shuffle = shuffle != ABSENT,
		.seed = shuffle == ABSENT ? 0 : (uint64_t)shuffle,
		.rows = rows == ABSENT ? 0 : (size_t)rows,
		.tokens = tokens == ABSENT ? 0 : (size_t)tokens,
		.bucket = bucket == ABSENT ? 0 : (size_t)bucket,
		.pack = pack,
		.limit = limit == ABSENT ? 0 : (size_t)limit,
		.balance = balance,
		.weights = j->weights,
		.ends = j->ends,
		.files = j->files,
	};
	size_t have = j->weights ? j->ends[0] : ft_pool_count(j->pool);

	if (o.limit > have)
		ft_note("--limit %lld: there are only %zu examples", (long long)limit, have);
	j->order = ft_order_new(j->pool, &o);
	return j->order ? FT_OK : ft_last_error();
}

/* Goes through all epochs to count, and puts the counts into the header. */
static int count_ahead(struct job *j)
{
	int64_t batches = 0, total_rows = 0, total_tokens = 0;
	struct ft_epoch e;

	for (int64_t i = 0; i < epochs; i++) {
		int rc = ft_order_next(j->order, &e);

		if (rc < 0)
			return rc;
		batches += (int64_t)e.batches;
		total_rows += (int64_t)e.rows;
		total_tokens += (int64_t)e.tokens;
	}
	ft_order_rewind(j->order);
	int rc = ft_json_set(j->meta, "batches", json_integer(batches));
	rc = rc ? rc : ft_json_set(j->meta, "examples", json_integer((json_int_t)ft_order_examples(j->order)));
	rc = rc ? rc : ft_json_set(j->meta, "rows", json_integer(total_rows));
	return rc ? rc : ft_json_set(j->meta, "tokens", json_integer(total_tokens));
}

static int write_epoch(struct job *j, const struct ft_epoch *epoch)
{
	struct ft_example e;

	for (size_t b = 0; b < epoch->batches; b++) {
		for (size_t k = epoch->cut[b]; k < epoch->cut[b + 1]; k++) {
			uint32_t i = epoch->item[k];
			int rc = ft_pool_get(j->pool, i, &e);

			if (rc < 0 || (rc = add_row(j, &e, i, j->seen ? j->seen[i]++ : 0)) < 0)
				return rc;
		}
		if (flush(j, epoch->number) < 0)
			return ft_last_error();
		ft_progress("%lld batches written", (long long)j->batches);
	}
	return FT_OK;
}

static int hold_and_order(struct job *j)
{
	int rc = load(j);
	size_t bytes;

	if (rc < 0 || (rc = make_order(j)) < 0 || (rc = count_ahead(j)) < 0)
		return rc;
	bytes = ft_pool_bytes(j->pool) + ft_order_bytes(j->order);
	if (bytes > NOTE_BYTES)
		ft_note("%zu examples are held in %.1f GiB", ft_pool_count(j->pool), (double)bytes / NOTE_BYTES);
	if (j->mask && !(j->seen = ft_alloc(ft_pool_count(j->pool), sizeof *j->seen)))
		return FT_EFAIL;
	rc = open_output(j);
	for (int64_t i = 0; i < epochs && !rc; i++) {
		struct ft_epoch e;

		rc = ft_order_next(j->order, &e);
		if (!rc)
			rc = write_epoch(j, &e);
	}
	return rc < 0 ? rc : close_output(j);
}

/* ---- */

static int prepare(struct job *j, int argc, char **argv)
{
	int rc = check_options();

	if (!rc && split)
		rc = ft_keep_split(&j->keep, split);
	if (!rc && (fold || except_fold))
		rc = ft_keep_fold(&j->keep, fold ? fold : except_fold, except_fold != NULL);
	j->keep.seed = (uint64_t)split_seed;
	if (!rc)
		rc = open_inputs(j, argc, argv);
	if (!rc && mix)
		rc = parse_mix(j);
	if (!rc && mask) {
		rc = parse_mask(j);
		/* What is learnt now is the hidden tokens, whatever the labels were. */
		rc = rc ? rc : ft_json_set(j->meta, "task", json_string("mlm"));
		json_object_del(j->meta, "labels");
		json_object_del(j->meta, "outputs");
	}
	if (!rc)
		rc = ft_json_set(j->meta, "epochs", json_integer(epochs));
	j->pack = ft_pack_new();
	return rc < 0 ? rc : j->pack ? FT_OK : FT_EFAIL;
}

static void finish(struct job *j)
{
	ft_writer_free(j->out);
	ft_order_free(j->order);
	ft_pool_free(j->pool);
	ft_pack_free(j->pack);
	ft_mask_free(j->mask);
	for (size_t i = 0; j->in && i < j->files; i++)
		ft_reader_close(j->in[i]);
	json_decref(j->meta);
	free(j->in);
	free(j->ends);
	free(j->weights);
	free(j->seen);
}

static int run(int argc, char **argv)
{
	struct job j = { .files = 0 };
	int rc = prepare(&j, argc, argv);
	bool as_it_comes = epochs == 1 && shuffle == ABSENT && bucket == ABSENT && !mix && !balance;

	if (rc >= 0)
		rc = as_it_comes ? pass_on(&j) : hold_and_order(&j);
	if (rc >= 0 && j.unmaskable)
		ft_note("%lld of %lld examples hold nothing to mask and were left out", (long long)j.unmaskable,
		        (long long)j.read);
	finish(&j);
	return rc < 0 ? rc : FT_OK;
}

const struct ft_tool ft_tool = { "ft-batch", "group examples into batches, in the order of training",
	                         "[OPTION]... [FILE]...", options, run };

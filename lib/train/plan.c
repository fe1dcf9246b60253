/* plan.c - what a run will need, found by the passes that it will make.
 *
 * Every batch goes through the code that will train on it, forward and backward, which asks for its memory and does
 * nothing with it (ft_graph_plan). So plan and run cannot drift apart: there is no formula for a family or a
 * technique. */
#include "ft/format.h"
#include "ft/kernels.h"
#include "ft/tensor.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A table of embeddings, and which rows of it are used. */
struct table {
	struct ft_param *p;
	uint8_t *seen; /* [rows] */
};

/* What the batches are like. */
struct batches {
	int64_t examples; /* the most of one */
	bool parts;       /* they may be cut (ft_objective_splits) */
};

struct planner {
	struct ft_model *m;
	struct run run;
	struct ft_train_options o;
	struct table *tables;
	size_t ntables, cap;
	struct ft_train_plan *plan;
	struct batches *seen;
	int rc; /* of calls that cannot return it */
};

/* ---- tables ---- */
static bool has_table(const struct planner *x, const struct ft_param *p)
{
	for (size_t i = 0; i < x->ntables; i++)
		if (x->tables[i].p == p)
			return true;
	return false;
}

/* Makes a model's tables note which of their rows are read. */
static int add_tables(struct planner *x, struct ft_model *m)
{
	for (size_t i = 0; i < ft_model_params(m); i++) {
		struct ft_param *p = ft_model_param(m, i);
		if (!ft_param_is_table(p) || has_table(x, p))
			continue;
		if (ft_grow(&x->tables, &x->cap, x->ntables + 1, sizeof *x->tables) < 0)
			return FT_EFAIL;
		struct table t = { p, ft_alloc((size_t)p->t.rows, 1) };
		if (t.seen)
			x->tables[x->ntables++] = t;
		if (!p->t.touched)
			p->t.touched = ft_alloc((size_t)p->t.rows, 1);
		if (!t.seen || !p->t.touched)
			return FT_EFAIL;
	}
	return FT_OK;
}

static void add_other(void *ctx, struct ft_model *other, struct ft_graph *g)
{
	struct planner *x = ctx;
	(void)g;
	x->rc = x->rc ? x->rc : add_tables(x, other);
}

static void note_rows(struct planner *x)
{
	for (size_t i = 0; i < x->ntables; i++) {
		const struct ft_tensor *t = &x->tables[i].p->t;
		for (int64_t r = 0; r < t->rows; r++)
			x->tables[i].seen[r] |= t->touched[r] || t->dense;
	}
}

/* Bytes of the pages that hold the used rows of an array of `bytes`, as many for each row. */
static size_t bytes_of_rows(const struct table *t, size_t bytes)
{
	size_t rows = (size_t)t->p->t.rows, each = bytes / rows, page = ft_page(false), sum = 0, end = 0;
	for (size_t r = 0; r < rows; r++) {
		size_t from = r * each / page * page, to = ((r + 1) * each + page - 1) / page * page;
		if (!t->seen[r] || to <= end)
			continue;
		sum += to - (from < end ? end : from);
		end = to; /* of the pages that are counted */
	}
	return sum;
}

/* Of a file that is mapped the system brings what lies around, by rules of its own: so it is asked for the rows. */
static size_t bytes_in_file(const struct table *t, size_t bytes)
{
	const volatile unsigned char *data = t->p->t.stored;
	size_t rows = (size_t)t->p->t.rows, each = bytes / rows, before, now;
	ft_base_used(&(struct ft_stored){ .data = t->p->t.stored, .bytes = bytes });
	before = ft_memory_now();
	for (size_t r = 0; r < rows; r++)
		if (t->seen[r])
			(void)(data[r * each] + data[(r + 1) * each - 1]);
	now = ft_memory_now();
	return now > before ? now - before : 0;
}

static const struct table *table_of(const struct planner *x, const struct ft_param *p)
{
	for (size_t i = 0; i < x->ntables; i++)
		if (x->tables[i].p == p)
			return &x->tables[i];
	return NULL;
}

/* Of an array in memory that belongs to a parameter. */
static size_t bytes_used(const struct planner *x, const struct ft_param *p, size_t bytes, bool by_rows)
{
	const struct table *t = by_rows ? table_of(x, p) : NULL;
	return t ? bytes_of_rows(t, bytes) : bytes;
}

/* ---- what there is beside passes ---- */
static void count_weights(struct planner *x, const struct ft_model *m)
{
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		size_t bytes = ft_param_bytes(p);
		const struct table *t = table_of(x, p);
		if (!ft_param_in_file(p))
			x->plan->weights += bytes;
		else
			x->plan->in_file += t ? bytes_in_file(t, bytes) : bytes;
	}
}

static void count_copies(struct planner *x, const struct ft_param *p)
{
	size_t bytes = ft_param_bytes(p);
	bool held = x->o.ewc || (x->o.l2_sp > 0 && !p->fresh);
	x->plan->copies += ((x->o.ema > 0) + (x->o.valid != NULL) + held + (x->o.ewc != NULL)) * bytes;
}

/* The tree of shards has one in hand for each of the levels that a rank has by itself, beside the optimizer's; and
 * where there are other ranks that of one of them, when no level is left. */
static size_t sets_of_gradients(int64_t shards, int ranks)
{
	size_t levels = 0;
	for (int64_t n = 1; n < shards / ranks; n *= 2)
		levels++;
	return levels || ranks == 1 ? levels : 1;
}

static void count_training(struct planner *x)
{
	const struct ft_optim *optim = x->run.optim;
	struct ft_piece piece;
	for (size_t i = 0; i < ft_model_params(x->m); i++) {
		const struct ft_param *p = ft_model_param(x->m, i);
		if (!p->trains)
			continue;
		x->plan->gradients += bytes_used(x, p, ft_param_bytes(p), ft_param_is_table(p));
		count_copies(x, p);
	}
	x->plan->copies += sets_of_gradients(x->o.shards, ft_ranks_count(x->o.ranks)) * x->plan->gradients;
	for (size_t i = 0; ft_optim_piece(optim, i, &piece); i++) {
		const struct ft_param *p = ft_model_find(x->m, piece.param);
		x->plan->state += bytes_used(x, p, piece.bytes, ft_optim_by_rows(optim, p));
	}
}

static void count_graph(struct planner *x, struct ft_graph *g)
{
	struct ft_graph_use use = ft_graph_use(g);
	x->plan->activations += use.tensors;
	x->plan->buffers += use.scratch + use.products;
}

static void count_other(void *ctx, struct ft_model *other, struct ft_graph *g)
{
	struct planner *x = ctx;
	count_graph(x, g);
	if (other != x->m)
		count_weights(x, other);
}

/* ---- passes ---- */
static int one_pass(struct planner *x, const struct ft_batch *b)
{
	struct ft_output out;
	const struct ft_batch *at;
	return batch_run(&x->run, b, x->run.batch, &at, &out);
}

/* A batch is cut first into shards, and these into parts. */
static int shard_passes(struct planner *x, const struct ft_batch *b)
{
	struct ft_batch_part part = { .cap = 0 };
	int rc = FT_OK;
	if (x->o.shards <= 1)
		return one_pass(x, b);
	for (size_t i = 0; rc == FT_OK && i < (size_t)x->o.shards; i++) {
		size_t from = ft_batch_cut(b, i, (size_t)x->o.shards), to = ft_batch_cut(b, i + 1, (size_t)x->o.shards);
		rc = from < to ? ft_batch_part(&part, b, from, to) : FT_OK;
		if (rc == FT_OK && from < to)
			rc = one_pass(x, &part.batch);
	}
	ft_batch_part_free(&part);
	return rc;
}

static int train_pass(struct planner *x, const struct ft_batch *b)
{
	int rc = shard_passes(x, b);
	ft_objective_others(x->run.objective, add_other, x);
	rc = rc ? rc : x->rc;
	if (rc < 0)
		return rc;
	note_rows(x);
	x->seen->parts = x->seen->parts && ft_objective_splits(x->run.objective, b) == FT_OK;
	if ((int64_t)ft_batch_examples(b) > x->seen->examples)
		x->seen->examples = (int64_t)ft_batch_examples(b);
	if (++x->run.batch % x->o.accumulate == 0)
		ft_optim_clear(x->run.optim);
	return FT_OK;
}

static bool enough(const struct planner *x)
{
	return x->o.steps && x->run.batch >= x->o.steps * x->o.accumulate;
}

static int train_passes(struct planner *x)
{
	struct ft_batch b;
	int64_t epochs = 0, epoch = -1;
	int rc;
	while ((rc = ft_batch_read(x->run.data, &b)) > 0 && !enough(x)) {
		epochs += b.epoch != epoch;
		epoch = b.epoch;
		rc = train_pass(x, &b);
		if (rc < 0)
			return ft_context(rc, "%s: record %lld", ft_reader_name(x->run.data),
			                  (long long)ft_reader_count(x->run.data));
	}
	if (rc < 0)
		return rc;
	x->plan->batches = x->run.batch;
	x->plan->macs = x->run.macs;
	x->plan->steps = (x->run.batch + x->o.accumulate - 1) / x->o.accumulate;
	x->plan->validations = x->o.valid_every ? x->plan->steps / x->o.valid_every + 1 : epochs;
	return x->run.batch ? ft_reader_drain(x->run.data)
	                    : ft_fail(FT_EFORMAT, "%s: no batches", ft_reader_name(x->run.data));
}

static int valid_passes(struct planner *x)
{
	struct ft_reader *r = ft_reader_open(x->o.valid, "batches");
	struct ft_batch b;
	struct ft_output out;
	int rc = r ? ft_model_match(x->m, r) : ft_last_error();
	while (rc == FT_OK && (rc = ft_batch_read(r, &b)) > 0) {
		rc = ft_model_eval(x->m, x->run.graph, &b, &out);
		note_rows(x);
		ft_graph_use(x->run.graph);
		x->plan->valid_macs += ft_graph_macs(x->run.graph);
	}
	ft_reader_close(r);
	x->plan->valid_macs *= (double)x->plan->validations;
	return rc < 0 ? ft_context(rc, "--valid") : FT_OK;
}

/* ---- one plan ---- */
static bool is_file(const char *path)
{
	struct stat st;
	return strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Of a stream of tensors, in records of 1 MiB, that is written and read back. */
#define CHECKPOINT ((size_t)4 << 20)

static void count_all(struct planner *x)
{
	struct ft_train_plan *p = x->plan;
	if (!p->program) /* with the code that passes run through, and a stream being read */
		p->program = ft_memory_now();
	count_weights(x, x->m);
	count_graph(x, x->run.graph);
	ft_objective_others(x->run.objective, count_other, x);
	if (x->o.checkpoint)
		p->buffers += CHECKPOINT;
	if (x->run.trunk && !x->o.trunk_file)
		p->copies += (size_t)ft_trunk_use(x->run.trunk).bytes;
	p->peak = p->program + p->weights + p->in_file + p->gradients + p->state + p->copies + p->activations + p->buffers;
}

static void close_planner(struct planner *x)
{
	for (size_t i = 0; i < x->ntables; i++)
		free(x->tables[i].seen);
	free(x->tables);
	ft_reader_close(x->run.data);
	run_close(&x->run);
}

static int plan_once(struct ft_model *m, const char *path, const struct ft_train_options *o, struct ft_train_plan *plan,
                     struct batches *seen)
{
	struct planner x = { .m = m, .o = *o, .plan = plan, .seen = seen };
	*seen = (struct batches){ .parts = true };
	*plan = (struct ft_train_plan){ .program = plan->program, .rate = plan->rate, .recompute = o->recompute,
	                                .parts = o->parts > 1 ? o->parts : 1 };
	x.run = (struct run){ .m = m, .o = &x.o, .data = ft_reader_open(path, "batches") };
	int rc = x.run.data ? run_check(&x.run) : ft_last_error();
	rc = rc ? rc : run_open(&x.run);
	rc = rc ? rc : add_tables(&x, m);
	rc = rc ? rc : train_passes(&x);
	if (rc == FT_OK)
		count_training(&x); /* before validation: what that reads of tables has no gradient */
	if (rc == FT_OK && o->valid && is_file(o->valid))
		rc = valid_passes(&x);
	if (rc == FT_OK)
		count_all(&x);
	close_planner(&x);
	return rc;
}

/* ---- speed ---- */
#define SIDE 768
#define SECONDS 0.05

/* Of a product as those of a layer are. */
static double measure_rate(void)
{
	float *all = ft_alloc_whole(3 * SIDE * SIDE, sizeof *all);
	struct ft_gemm g = { .tb = true, .m = SIDE, .n = SIDE, .k = SIDE, .a = all, .lda = SIDE,
	                     .b = all ? all + SIDE * SIDE : NULL, .ldb = SIDE, .c = all ? all + 2 * SIDE * SIDE : NULL, .ldc = SIDE };
	double best = 0, began = ft_now();
	for (int i = 0; all && (i < 2 || ft_now() - began < SECONDS); i++) {
		double from = ft_now();
		ft_gemm(&g);
		double rate = (double)SIDE * SIDE * SIDE / (ft_now() - from);
		best = rate > best ? rate : best;
	}
	free(all);
	return best;
}

/* ---- the choice ---- */
static int too_large(size_t limit, size_t least, bool parts)
{
	char have[16], needed[16];
	ft_human_bytes(have, (double)limit);
	ft_human_bytes(needed, (double)least);
	return ft_fail(FT_EFAIL, "--memory: %s do not suffice: the least is %s, with layers computed twice%s", have, needed,
	               parts ? " and each example by itself" : "; the loss is one of whole batches");
}

/* Layers computed twice change no bit, so that comes first; then twice as many parts each time, until they fit. */
static int choose(struct ft_model *m, const char *path, const struct ft_train_options *o, size_t limit,
                  struct ft_train_plan *plan)
{
	struct ft_train_options tried = *o;
	struct batches seen;
	int rc = plan_once(m, path, &tried, plan, &seen);
	if (rc == FT_OK && plan->peak > limit && !tried.recompute) {
		tried.recompute = true;
		rc = plan_once(m, path, &tried, plan, &seen);
	}
	for (int64_t n = plan->parts * 2; rc == FT_OK && plan->peak > limit; n *= 2) {
		if (!seen.parts || tried.parts >= seen.examples)
			return too_large(limit, plan->peak, seen.parts);
		tried.parts = n < seen.examples ? n : seen.examples;
		rc = plan_once(m, path, &tried, plan, &seen);
	}
	return rc;
}

int ft_train_plan(struct ft_model *m, const char *path, const struct ft_train_options *o, size_t limit,
                  struct ft_train_plan *plan)
{
	struct batches seen;
	int rc = shards_check(o->shards > 1 ? o->shards : 1, ft_ranks_count(o->ranks));
	*plan = (struct ft_train_plan){ 0 };
	if (rc < 0)
		return rc;
	if (limit && !is_file(path))
		return ft_fail(FT_EUSAGE, "--memory needs BATCHES as a file: they are read once to plan, and once to train");
	rc = limit ? choose(m, path, o, limit, plan) : plan_once(m, path, o, plan, &seen);
	if (rc == FT_OK)
		plan->rate = ft_ranks_count(o->ranks) * measure_rate();
	return rc;
}

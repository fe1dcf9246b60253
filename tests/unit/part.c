/* part.c - a batch in parts: what each has, and that losses and gradients with dropout sum up to those of the whole. */
#include "ft/batch.h"
#include "ft/err.h"
#include "ft/objective.h"
#include "ft/optim.h"
#include "tests/tap.h"
#include "tests/unit/small.h"

#include <math.h>
#include <string.h>

/* ---- what a part has ---- */
static void check_fields(void)
{
	const int32_t ids[] = { 10, 11, 12, 13, 14, 15, 16, 17, 18 }, offsets[] = { 0, 2, 3, 5, 9 };
	const int32_t labels[] = { FT_IGNORE, 1, 2, FT_IGNORE, 3, 4, FT_IGNORE, 5, FT_IGNORE };
	const float targets[] = { 1, 2, 3, 4 }, reference[] = { 5, 6, 7, 8 }, teacher[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	const struct ft_span src[] = { { "a", 1 }, { "b", 1 } };
	struct ft_batch b = { .ids = ids, .offsets = offsets, .labels = labels, .targets = targets, .reference = reference,
	                      .src = src, .tokens = 9, .rows = 4, .nlabels = 9, .ntargets = 4, .texts = 2, .epoch = 3,
	                      .teacher = teacher, .nteacher = 10 };
	struct ft_batch_part p = { .cap = 0 }, q = { .cap = 0 };
	is_int(ft_batch_part(&p, &b, 1, 2), FT_OK, "the second of two examples of two texts");
	const struct ft_batch *x = &p.batch;
	ok(x->rows == 2 && x->tokens == 6 && x->ids == ids + 3 && x->offsets[0] == 0 && x->offsets[1] == 2 && x->offsets[2] == 6,
	   "its rows begin at 0");
	ok(x->labels == labels + 3 && x->nlabels == 6 && x->targets == targets + 2 && x->ntargets == 2 &&
	   x->reference == reference + 2 && x->src == src + 1 && x->epoch == 3, "and what goes with them");
	ok(x->teacher == teacher + 4 && x->nteacher == 6, "a teacher's logits are those of its supervised tokens");
	ok(x->part->tokens.first == 3 && x->part->rows.first == 2 && x->part->units.first == 2 && x->part->units.n == 3 &&
	   x->part->tokens.n + x->part->tokens.jump == 9, "and it knows where it stands");
	is_int(ft_batch_part(&p, &b, 1, 1), FT_OK, "a part may be empty");
	ok(p.batch.rows == 0 && p.batch.tokens == 0 && p.batch.nlabels == 0 && p.batch.nteacher == 0, "and then has nothing");

	b.texts = 1;
	b.ntargets = 0;
	ft_batch_part(&p, &b, 1, 4);
	ft_batch_part(&q, x, 1, 3);
	ok(q.batch.ids == ids + 3 && q.place.tokens.first == 3 && q.place.rows.first == 2 && q.place.units.first == 2 &&
	   q.place.tokens.n + q.place.tokens.jump == 9, "a part of a part stands in the whole");
	b.nteacher = 7;
	is_int(ft_batch_part(&p, &b, 0, 1), FT_EMATCH, "predictions that are not as many for each unit");
	ok(ft_batch_cut(&b, 0, 2) == 0 && ft_batch_cut(&b, 1, 2) == 3 && ft_batch_cut(&b, 2, 2) == 4 &&
	   ft_batch_cut(&b, 5, 8) == 4 && ft_batch_cut(&b, 8, 8) == 4, "cuts fall between examples, by tokens");
	ft_batch_part_free(&p);
	ft_batch_part_free(&q);
}

/* All that a batch may have, copied. */
static void check_copy(void)
{
	int32_t ids[] = { 1, 2, 3 }, offsets[] = { 0, 1, 3 }, labels[] = { 4, 5, 6 }, words[] = { 0, -1, 1 }, top[] = { 7, 8, 9 };
	uint8_t types[] = { 0, 1, 0 };
	float targets[] = { 1, 2 }, teacher[] = { 3, 4, 5 }, reference[] = { 6, 7 };
	struct ft_window windows[] = { { 1, 0, 2 }, { 1, 1, 2 } };
	struct ft_size sizes[] = { { 1, 2, 3 }, { 4, 5, 6 } };
	char name[] = "a:1";
	struct ft_span src[] = { { name, 3 }, { name, 3 } };
	const struct ft_batch b = { .ids = ids, .types = types, .offsets = offsets, .labels = labels, .words = words, .targets = targets,
	                            .windows = windows, .sizes = sizes, .src = src, .teacher = teacher, .teacher_ids = top,
	                            .reference = reference, .nteacher = 3, .tokens = 3, .rows = 2, .nlabels = 3, .ntargets = 2, .epoch = 5 };
	struct ft_arena memory = { 0 };
	struct ft_batch c;
	is_int(ft_batch_copy(&memory, &b, &c), FT_OK, "a copy");
	ids[0] = offsets[2] = labels[0] = words[0] = top[0] = 99;
	types[0] = 99;
	targets[0] = teacher[0] = reference[0] = 99;
	windows[0].doc = sizes[0].bytes = 99;
	name[0] = 'z';
	ok(c.ids[0] == 1 && c.types[0] == 0 && c.offsets[2] == 3 && c.labels[0] == 4 && c.words[0] == 0 && c.targets[0] == 1 &&
	   c.windows[0].doc == 1 && c.sizes[0].bytes == 1 && c.src[0].p[0] == 'a' && c.src[1].n == 3 && c.teacher[0] == 3 &&
	   c.teacher_ids[0] == 7 && c.reference[0] == 6 && c.rows == 2 && c.epoch == 5, "keeps what it is a copy of");
	const struct ft_batch bare = { .ids = ids, .offsets = offsets, .tokens = 3, .rows = 2 };
	ok(ft_batch_copy(&memory, &bare, &c) == FT_OK && !c.types && !c.labels && !c.src && !c.windows, "and has no more than that");
	ft_arena_free(&memory);
}

/* ---- losses and gradients ---- */
static struct ft_model *m;
static struct ft_objective *objective;
static struct ft_graph *g;

/* One pass over the examples from .. to - 1, added to the gradients there are: the sum of its losses. */
static double pass(const struct ft_batch *b, size_t from, size_t to, struct ft_batch_part *p)
{
	struct ft_output out;
	if (ft_batch_part(p, b, from, to) < 0)
		return NAN;
	ft_graph_begin(g, FT_TRAIN, 7, 3);
	return ft_objective_step(objective, g, &p->batch, &out) < 0 ? NAN : out.loss_sum;
}

/* All gradients, one behind the other; those of tables are made dense. From malloc. */
static float *gradients(size_t *n)
{
	float *all = NULL;
	*n = 0;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_tensor *t = &ft_model_param(m, i)->t;
		size_t size = (size_t)(t->rows * t->cols);
		all = realloc(all, (*n + size) * sizeof *all);
		for (size_t k = 0; k < size; k++)
			all[*n + k] = t->touched && !t->dense && !t->touched[k / (size_t)t->cols] ? 0 : t->grad[k];
		*n += size;
	}
	return all;
}

static double apart(const float *a, const float *b, size_t n)
{
	double sum = 0, size = 0;
	for (size_t i = 0; i < n; i++) {
		sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
		size += (double)a[i] * a[i];
	}
	return sqrt(sum / size);
}

static void check_sums(const char *head, bool masked, double rdrop, bool recompute)
{
	const struct small s = { 24, 48, 2, 2, 60, 40, head };
	struct ft_optim_options o = { .name = "sgd" };
	struct ft_objective_options terms = { .rdrop = rdrop };
	static struct small_batch b;
	static struct ft_batch_part p;
	size_t n, cut[] = { 0, 1, 4, 4, 9 };
	m = small_model(&s);
	small_batch(&b, 9, 11, 3, 60, 5, masked);
	ft_model_dropout(m, 0.3);
	struct ft_optim *optim = ft_optim_new(m, &o);
	objective = ft_objective_new(m, &terms);
	g = ft_graph_new();
	ft_graph_recompute(g, recompute);
	double whole = pass(&b.batch, 0, 9, &p), sum = 0;
	float *want = gradients(&n);
	ft_optim_clear(optim);
	for (int i = 0; i < 4; i++)
		sum += cut[i] < cut[i + 1] ? pass(&b.batch, cut[i], cut[i + 1], &p) : 0;
	float *got = gradients(&n);
	ok(fabs(sum - whole) < 1e-6 * fabs(whole) && apart(want, got, n) < 1e-6,
	   "%s%s%s: parts have the dropout of the whole (losses %g and %g, gradients %.1e apart)", head,
	   rdrop > 0 ? ", R-Drop" : "", recompute ? ", layers twice" : "", whole, sum, apart(want, got, n));
	free(want);
	free(got);
	ft_batch_part_free(&p);
	ft_graph_free(g);
	ft_objective_free(objective);
	ft_optim_free(optim);
	ft_model_free(m);
}

int main(void)
{
	check_fields();
	check_copy();
	check_sums("{\"type\":\"classify\",\"labels\":[\"a\",\"b\"]}", false, 0, false);
	check_sums("{\"type\":\"classify\",\"labels\":[\"a\",\"b\"]}", false, 0, true);
	check_sums("{\"type\":\"classify\",\"labels\":[\"a\",\"b\"]}", false, 1, false);
	check_sums("{\"type\":\"mlm\"}", true, 0, false);
	check_sums("{\"type\":\"mlm\"}", true, 1, false);
	return tap_done();
}

/* divergence_linear.c - divergences of predictions over a large vocabulary, by chunks of units. */
#include "chunks.h"
#include "divergence.h"

struct pairs { /* of one chunk */
	struct chunks *c, *other;
	float *logits, *reference, *loss;
	int64_t known; /* classes that the reference has */
	const struct ft_reference *r;
	const struct ft_divergence_options *o;
	int64_t from; /* the first unit's row of the reference */
	int64_t twin; /* units from one to its twin */
};

/* Scratch for a slope and n more; the first v of it are the slope. */
static float *slope_and_room(struct chunks *c, int64_t n)
{
	return chunks_scratch(c, chunks_vocabulary(c) + n);
}

static void divergence_row(void *ctx, size_t i)
{
	struct pairs *p = ctx;
	int64_t v = chunks_vocabulary(p->c), top = p->r->top, at = (p->from + (int64_t)i) * top;
	float *x = p->logits + (int64_t)i * v, *r = p->reference + (int64_t)i * p->known;
	float *slope = slope_and_room(p->c, v), *room = slope + v;
	if (!slope)
		return;
	chunks_cap(p->c, x, slope, v);
	if (!top)
		chunks_cap(p->other, r, NULL, p->known);
	p->loss[i] = (float)(top ? diverge_top(x, v, p->r->ids + at, p->r->logits + at, top, room, p->o)
	                         : diverge(x, v, r, p->known, room, p->o));
	if (p->c->of.cap > 0)
		ft_kernels()->mul(x, slope, (size_t)v);
}

/* The units first .. first + rows - 1, each with its row of the reference. */
static int diverge_rows(struct pairs *p, int64_t first, int64_t rows, int64_t most)
{
	float *loss = p->loss;
	for (int64_t from = 0; from < rows; from += most) {
		int64_t n = rows - from < most ? rows - from : most;
		p->from = from;
		p->loss = loss + first + from;
		chunks_logits(p->c, first + from, n, chunks_vocabulary(p->c), p->logits);
		if (!p->r->top)
			chunks_logits(p->other, from, n, p->known, p->reference);
		graph_plan_scratch(p->c->g, (size_t)(2 * chunks_vocabulary(p->c)));
		graph_share(p->c->g, (size_t)n, 1e18, divergence_row, p);
		if (chunks_end(p->c) < 0)
			return FT_EFAIL;
		if (p->c->back)
			chunks_back(p->c, first + from, n, p->logits);
	}
	p->loss = loss;
	return FT_OK;
}

static int check_top(struct ft_graph *g, const struct ft_reference *r, int64_t vocabulary)
{
	for (int64_t i = 0; i < r->rows * r->top; i++)
		if (r->ids[i] < 0 || r->ids[i] >= vocabulary)
			return ft_graph_fail(g, ft_fail(FT_EMATCH, "a prediction of token %d; the vocabulary has %lld", r->ids[i],
			                                (long long)vocabulary));
	return FT_OK;
}

struct ft_tensor *ft_linear_divergence(struct ft_graph *g, const struct ft_decoded *of, const struct ft_reference *r,
                                       const struct ft_divergence_options *o)
{
	struct ft_tensor *in[3] = { of->x, of->w, of->b };
	int64_t units, v;
	if (!graph_ready(g, in, of->b ? 3 : 2) || check_top(g, r, of->w->rows) < 0)
		return NULL;
	units = of->x->rows;
	v = of->w->rows;
	int64_t known = r->top ? 0 : r->of.w->rows < v ? r->of.w->rows : v, most = chunk_units(r->rows, v + known);
	struct chunks c = { .g = g, .of = *of }, other = { .g = g, .of = r->of };
	struct ft_tensor *loss = ft_graph_tensor(g, units, 1);
	struct pairs p = { .c = &c, .other = &other, .known = known, .r = r, .o = o,
	                   .logits = graph_floats(g, (size_t)(most * v)),
	                   .reference = graph_floats(g, (size_t)(most * known)) };
	if (!loss || !p.logits || !p.reference || chunks_forward(&c) < 0)
		return NULL;
	p.loss = loss->data;
	for (int64_t first = 0; first < units; first += r->rows)
		if (diverge_rows(&p, first, r->rows, most) < 0)
			return NULL;
	graph_release(g, p.logits, (size_t)(most * v));
	graph_release(g, p.reference, (size_t)(most * known));
	chunks_record(&c, OP_linear_divergence, loss);
	return loss;
}

int op_linear_divergence_back(struct ft_graph *g, struct node *n) { return chunks_known_back(g, n); }

/* ---- of units from one another: i and i + n/2 ---- */
static void twin_row(void *ctx, size_t i)
{
	struct pairs *p = ctx;
	int64_t v = chunks_vocabulary(p->c);
	float *x = p->logits + (int64_t)i * v, *y = p->reference + (int64_t)i * v;
	float *slope_x = chunks_scratch(p->c, 4 * v), *slope_y = slope_x + v;
	if (!slope_x)
		return;
	chunks_cap(p->c, x, slope_x, v);
	chunks_cap(p->c, y, slope_y, v);
	p->loss[i] = p->loss[p->twin + (int64_t)i] =
		(float)diverge_twins(x, y, v, slope_y + v, FT_CLASSES, p->o->scale);
	if (p->c->of.cap > 0) {
		ft_kernels()->mul(x, slope_x, (size_t)v);
		ft_kernels()->mul(y, slope_y, (size_t)v);
	}
}

struct ft_tensor *ft_linear_twin_divergence(struct ft_graph *g, const struct ft_decoded *of, float scale)
{
	struct ft_tensor *in[3] = { of->x, of->w, of->b };
	if (!graph_ready(g, in, of->b ? 3 : 2))
		return NULL;
	int64_t twin = of->x->rows / 2, v = of->w->rows, most = chunk_units(twin, 2 * v);
	struct chunks c = { .g = g, .of = *of };
	struct ft_tensor *loss = ft_graph_tensor(g, of->x->rows, 1);
	const struct ft_divergence_options o = { .scale = scale };
	struct pairs p = { .c = &c, .o = &o, .twin = twin, .logits = graph_floats(g, (size_t)(most * v)),
	                   .reference = graph_floats(g, (size_t)(most * v)) };
	if (!loss || !p.logits || !p.reference || chunks_forward(&c) < 0)
		return NULL;
	for (int64_t from = 0; from < twin; from += most) {
		int64_t n = twin - from < most ? twin - from : most;
		p.loss = loss->data + from;
		chunks_logits(&c, from, n, v, p.logits);
		chunks_logits(&c, twin + from, n, v, p.reference);
		graph_plan_scratch(g, (size_t)(4 * v));
		graph_share(g, (size_t)n, 1e18, twin_row, &p);
		if (chunks_end(&c) < 0)
			return NULL;
		if (c.back) {
			chunks_back(&c, from, n, p.logits);
			chunks_back(&c, twin + from, n, p.reference);
		}
	}
	graph_release(g, p.logits, (size_t)(most * v));
	graph_release(g, p.reference, (size_t)(most * v));
	chunks_record(&c, OP_linear_twin_divergence, loss);
	return loss;
}

int op_linear_twin_divergence_back(struct ft_graph *g, struct node *n) { return chunks_known_back(g, n); }

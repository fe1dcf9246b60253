/* top.c - the words that a prediction holds for the likeliest. Nothing is recorded. */
#include "chunks.h"

struct tops {
	struct chunks *c;
	float *logits;  /* [n, V] of a chunk */
	int32_t *ids;   /* [n, k] */
	float *top;     /* [n, k] */
	int64_t k;
};

/* Keeps ids and top in order, the greatest first; of equals the first one. */
static void put_in(int32_t *ids, float *top, int64_t filled, int64_t k, int32_t id, float x)
{
	int64_t i = filled < k ? filled : k - 1;
	for (; i > 0 && top[i - 1] < x; i--) {
		top[i] = top[i - 1];
		ids[i] = ids[i - 1];
	}
	top[i] = x;
	ids[i] = id;
}

static void top_row(void *ctx, size_t i)
{
	struct tops *t = ctx;
	int64_t v = chunks_vocabulary(t->c), filled = 0;
	float *x = t->logits + (int64_t)i * v, *top = t->top + (int64_t)i * t->k;
	int32_t *ids = t->ids + (int64_t)i * t->k;
	chunks_cap(t->c, x, NULL, v);
	for (int64_t c = 0; c < v; c++) {
		if (filled == t->k && !(x[c] > top[t->k - 1]))
			continue;
		put_in(ids, top, filled, t->k, (int32_t)c, x[c]);
		filled += filled < t->k;
	}
}

int ft_linear_top(struct ft_graph *g, const struct ft_decoded *of, int64_t k, int32_t *ids, float *logits)
{
	struct ft_tensor *in[3] = { of->x, of->w, of->b };
	if (!graph_ready(g, in, of->b ? 3 : 2))
		return ft_graph_error(g);
	struct chunks c = { .g = g, .of = *of };
	int64_t units = of->x->rows, v = of->w->rows, rows = chunk_units(units, v);
	struct tops t = { .c = &c, .logits = graph_floats(g, (size_t)(rows * v)), .k = k };
	if (!t.logits)
		return ft_graph_error(g);
	for (int64_t from = 0; from < units; from += rows) {
		int64_t n = units - from < rows ? units - from : rows;
		t.ids = ids + from * k;
		t.top = logits + from * k;
		chunks_logits(&c, from, n, v, t.logits);
		ft_parallel((size_t)n, top_row, &t);
	}
	graph_release(g, t.logits, (size_t)(rows * v));
	return FT_OK;
}

/* rescale.c - rows and columns multiplied by vectors: IA3 (Liu et al., 2022), and the magnitudes of DoRA (Liu et al.,
 * 2024). */
#include "priv.h"

/* Members of the node: in = x, rows, cols, centre, of which all but x may be NULL; data[0] = the fixed factors of
 * columns or NULL; saved = [N], the factors of columns, all together. */

#define ROWS 32    /* one item of work on rows */
#define COLUMNS 64 /* and on columns */

struct rescale {
	const float *x, *row, *col, *centre, *dy; /* row and centre may be NULL */
	float *y, *dx, *drow, *dcol, *dcentre;    /* those that are wanted */
	const float *fixed;
	size_t rows, cols;
	bool fresh;
};

static float row_of(const struct rescale *s, size_t i) { return s->row ? s->row[i] : 1; }
static float centre_of(const struct rescale *s, size_t j) { return s->centre ? s->centre[j] : 0; }

static size_t end_of(size_t i, size_t block, size_t n) { return (i + 1) * block < n ? (i + 1) * block : n; }

static void rescale_rows(void *ctx, size_t item)
{
	const struct rescale *s = ctx;
	for (size_t i = item * ROWS; i < end_of(item, ROWS, s->rows); i++) {
		const float *x = s->x + i * s->cols;
		float *y = s->y + i * s->cols, r = row_of(s, i);
		for (size_t j = 0; j < s->cols; j++)
			y[j] = r * s->col[j] * (x[j] - centre_of(s, j)) + centre_of(s, j);
	}
}

static struct rescale rescale_of(const struct ft_tensor *x, const struct ft_tensor *rows,
                                 const struct ft_tensor *centre, const float *col)
{
	return (struct rescale){ .x = x->data, .row = rows ? rows->data : NULL, .centre = centre ? centre->data : NULL,
	                         .col = col, .rows = (size_t)x->rows, .cols = (size_t)x->cols };
}

static void each_block(const struct ft_graph *g, struct rescale *s, size_t n, size_t block, void (*f)(void *, size_t))
{
	graph_share(g, (n + block - 1) / block, 4.0 * (double)s->rows * (double)s->cols, f, s);
}

struct ft_tensor *ft_rescale(struct ft_graph *g, struct ft_tensor *x, struct ft_tensor *rows, struct ft_tensor *cols,
                             struct ft_tensor *centre, const float *fixed)
{
	struct ft_tensor *in[4] = { x, rows, cols, centre };
	if (!graph_ready(g, in, 1))
		return NULL;
	struct ft_tensor *y = ft_graph_tensor(g, x->rows, x->cols);
	float *col = ft_graph_alloc(g, (size_t)x->cols * sizeof *col);
	if (!y || !col)
		return NULL;
	for (int64_t j = 0; j < graph_todo(g, x->cols); j++)
		col[j] = (cols ? cols->data[j] : 1) * (fixed ? fixed[j] : 1);
	struct rescale s = rescale_of(x, rows, centre, col);
	s.y = y->data;
	each_block(g, &s, s.rows, ROWS, rescale_rows);
	struct node *n = graph_record(g, OP_rescale, y, in, 4);
	if (n) {
		n->saved = col;
		n->data[0] = fixed;
	}
	return y;
}

/* dx and the gradient of what multiplies rows */
static void back_rows(void *ctx, size_t item)
{
	const struct rescale *s = ctx;
	for (size_t i = item * ROWS; i < end_of(item, ROWS, s->rows); i++) {
		const float *x = s->x + i * s->cols, *dy = s->dy + i * s->cols;
		float r = row_of(s, i);
		double sum = 0;
		for (size_t j = 0; s->dx && j < s->cols; j++) {
			float *dx = s->dx + i * s->cols + j;
			*dx = (s->fresh ? 0 : *dx) + r * s->col[j] * dy[j];
		}
		for (size_t j = 0; s->drow && j < s->cols; j++)
			sum += (double)(dy[j] * s->col[j] * (x[j] - centre_of(s, j)));
		if (s->drow)
			s->drow[i] += (float)sum;
	}
}

/* The gradients of what multiplies columns, and of their centre */
static void back_columns(void *ctx, size_t item)
{
	const struct rescale *s = ctx;
	size_t from = item * COLUMNS, end = end_of(item, COLUMNS, s->cols);
	double scaled[COLUMNS] = { 0 }, sum[COLUMNS] = { 0 };
	for (size_t i = 0; i < s->rows; i++) {
		const float *x = s->x + i * s->cols, *dy = s->dy + i * s->cols;
		float r = row_of(s, i);
		for (size_t j = from; j < end; j++) {
			scaled[j - from] += (double)(dy[j] * r * (x[j] - centre_of(s, j)));
			sum[j - from] += (double)(dy[j] * (1 - r * s->col[j]));
		}
	}
	for (size_t j = from; j < end; j++) {
		if (s->dcol)
			s->dcol[j] += (float)scaled[j - from] * (s->fixed ? s->fixed[j] : 1);
		if (s->dcentre)
			s->dcentre[j] += (float)sum[j - from];
	}
}

/* Where the gradient of a part goes; NULL: nowhere, or *rc says that there is no memory. */
static float *part_grad(struct ft_graph *g, struct ft_tensor *t, int *rc)
{
	float *d = t && t->needs_grad ? graph_zeroed_grad(g, t) : NULL;
	if (t && t->needs_grad && !d)
		*rc = FT_EFAIL;
	return d;
}

int op_rescale_back(struct ft_graph *g, struct node *n)
{
	struct rescale s = rescale_of(n->in[0], n->in[1], n->in[3], n->saved);
	int rc = FT_OK;
	s.dy = n->out->grad;
	s.fixed = n->data[0];
	s.drow = part_grad(g, n->in[1], &rc);
	s.dcol = part_grad(g, n->in[2], &rc);
	s.dcentre = part_grad(g, n->in[3], &rc);
	if (n->in[0]->needs_grad && !(s.dx = ft_grad(g, n->in[0], &s.fresh)))
		rc = FT_EFAIL;
	if (rc == FT_OK && (s.dx || s.drow))
		each_block(g, &s, s.rows, ROWS, back_rows);
	if (rc == FT_OK && (s.dcol || s.dcentre))
		each_block(g, &s, s.cols, COLUMNS, back_columns);
	return rc;
}

/* gemm.c - matrix products: how they are cut, packed and shared among threads.
 *
 * Of a block of rows of A, as deep as a panel, all panels are packed into the
 * second cache; then each panel of B is multiplied by all of them (Goto and van de
 * Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008). With many rows
 * threads share out the rows, and B, which all of them need, is packed first, by all.
 * With few rows they share out the columns, and pack what they need as they go.
 * Neither changes anything in the numbers (product.h), so it may follow the number
 * of threads.
 */
#include "ft/kernels.h"
#include "ft/mem.h"
#include "ft/tensor.h"
#include "ft/thread.h"
#include "product.h"

#include <stdlib.h>

/* Most rows of A that are packed together: a multiple of any tile's. With the depth
 * of a panel they are 0.8 MiB, for the second cache. */
#define BLOCK_ROWS 546
/* Without memory for that: on the stack. */
#define SMALL_ROWS 42

/* Panels of B that all threads use: at most so many floats (16 MiB) at a time, and so
 * many values of k: of 1092 columns at least, as A is packed again for the next. */
#define SHARED_FLOATS ((size_t)4 << 20)
#define SHARED_DEPTH (10 * PRODUCT_DEPTH)

struct space {
	float *a, *b;
	int64_t rows;
};

/* One for each thread, and what they share; kept. */
static struct space *spaces;
static int nspaces;
static float *shared;

#define PANEL_FLOATS(width) ((size_t)(width) * PRODUCT_DEPTH + PRODUCT_SLACK)

static float *get_floats(size_t n)
{
	float *p = aligned_alloc(64, (n * sizeof *p + 63) & ~(size_t)63);
	ft_advise_whole(p, n * sizeof *p);
	return p;
}

/* Not having the memory makes products slower, not wrong. */
static void grow_spaces(void)
{
	int want = ft_threads();
	if (!shared)
		shared = get_floats(SHARED_FLOATS + PRODUCT_SLACK);
	struct space *more = want > nspaces ? realloc(spaces, (size_t)want * sizeof *more) : NULL;
	if (!more)
		return;
	spaces = more;
	for (; nspaces < want; nspaces++) {
		size_t a = (PANEL_FLOATS(BLOCK_ROWS) + 15) & ~(size_t)15;
		float *p = get_floats(a + PANEL_FLOATS(PRODUCT_COLS_MAX));
		spaces[nspaces] = (struct space){ p, p ? p + a : NULL, p ? BLOCK_ROWS : 0 };
	}
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
/* Where the i-th of `parts` about equal parts of n begins. */
static int64_t cut(int64_t n, int64_t parts, int64_t i) { return n * i / parts; }

/* ---- a piece of C, made by one thread ---- */

struct piece {
	const struct ft_gemm *g;
	const struct ft_product *p;
	int64_t i, m; /* rows i .. i+m-1 of C */
	int64_t j, n; /* and its columns */
	int64_t l, k; /* values of k: l .. l+k-1; what is before them has been added */
	struct product_matrix b;
	const float *packed; /* all panels of these columns of B; NULL: to be packed here */
};

/* Tiles of m rows: of about equal heights, as a tile of few rows takes longer for each. */
static int64_t row_tiles(const struct piece *w, int64_t m) { return ceil_div(m, w->p->rows); }

static void pack_a(const struct piece *w, float *a, int64_t i, int64_t m, int64_t l, int64_t depth)
{
	const struct ft_gemm *g = w->g;
	int64_t tiles = row_tiles(w, m);
	for (int64_t t = 0; t < tiles; t++) {
		int64_t r = i + cut(m, tiles, t), rows = i + cut(m, tiles, t + 1) - r;
		const float *from = g->ta ? g->a + l * g->lda + r : g->a + r * g->lda + l;
		w->p->pack_rows(a + t * w->p->rows * depth, from, g->lda, g->ta, rows, depth);
	}
}

static void pack_b(const struct piece *w, float *b, int64_t j, int64_t l, int64_t depth)
{
	w->p->pack_cols(b, &w->b, j, least(w->j + w->n - j, w->p->cols), l, depth);
}

static enum product_start start_of(const struct ft_gemm *g)
{
	return g->add ? PRODUCT_ADD : g->bias ? PRODUCT_BIAS : PRODUCT_SET;
}

/* Where the panel of columns j .. and of values of k from l on lies among all:
 * slab after slab of k, in each panel after panel. */
static size_t panel_at(const struct piece *w, int64_t j, int64_t l, int64_t depth)
{
	return (size_t)((l - w->l) * round_up(w->n, w->p->cols) + (j - w->j) * depth);
}

/* One panel of B, of columns from j on, with all panels of A. `next`: the panel of B after
 * it, `depth` deep too, or NULL. */
static void multiply_panel(const struct piece *w, const float *a, const float *b, const float *next, int64_t i,
                           int64_t m, int64_t j, int64_t l, int64_t depth)
{
	const struct ft_gemm *g = w->g;
	enum product_start start = l > 0 ? PRODUCT_ADD : start_of(g);
	const float *bias = g->bias ? g->bias + j : NULL;
	int64_t tiles = row_tiles(w, m), n = least(w->j + w->n - j, w->p->cols), unsent = next ? w->p->cols * depth : 0;
	for (int64_t t = 0; t < tiles; t++) {
		int64_t r = cut(m, tiles, t), rows = cut(m, tiles, t + 1) - r, at = r * PRODUCT_AHEAD;
		w->p->tile(g->c + (i + r) * g->ldc + j, g->ldc, a + t * w->p->rows * depth, b, rows, n, depth, start, bias,
		           at < unsent ? next + at : NULL);
	}
}

/* m <= s->rows rows of C from i on, with `depth` values of k from l on. */
static void multiply_block(const struct piece *w, const struct space *s, int64_t i, int64_t m, int64_t l, int64_t depth)
{
	pack_a(w, s->a, i, m, l, depth);
	for (int64_t j = w->j; j < w->j + w->n; j += w->p->cols) {
		const float *b = w->packed ? w->packed + panel_at(w, j, l, depth) : s->b;
		bool more = w->packed && j + w->p->cols < w->j + w->n;
		if (!w->packed)
			pack_b(w, s->b, j, l, depth);
		multiply_panel(w, s->a, b, more ? b + w->p->cols * depth : NULL, i, m, j, l, depth);
	}
}

static void multiply(const struct piece *w, const struct space *s)
{
	int64_t blocks = ceil_div(w->m, s->rows);
	for (int64_t t = 0; t < blocks; t++) {
		int64_t r = cut(w->m, blocks, t), m = cut(w->m, blocks, t + 1) - r, l = 0;
		do /* once for k = 0, too: C is what it starts from */
			multiply_block(w, s, w->i + r, m, w->l + l, least(w->k - l, PRODUCT_DEPTH));
		while ((l += PRODUCT_DEPTH) < w->k);
	}
}

static bool has_few_rows(const struct ft_gemm *g, int64_t m) { return m <= PRODUCT_FEW && !g->ta; }

static bool goes_by_blocks(const struct piece *w)
{
	bool blocks = w->b.type == FT_Q8_0 || w->b.type == FT_Q4_0;
	return w->g->by_blocks && w->p->by_blocks && blocks && w->b.turned && w->m <= PRODUCT_BY_BLOCKS && w->g->k > 0;
}

static void multiply_few(const struct piece *w)
{
	const struct ft_gemm *g = w->g;
	if (goes_by_blocks(w)) {
		w->p->by_blocks(g->c + w->i * g->ldc + w->j, g->ldc, g->a + w->i * g->lda, g->lda, &w->b, w->j, w->m, w->n,
		                g->k, start_of(g), g->bias ? g->bias + w->j : NULL);
		return;
	}
	for (int64_t j = w->j; j < w->j + w->n; j += w->p->strip_cols)
		w->p->strip(g->c + w->i * g->ldc + j, g->ldc, g->a + w->i * g->lda, g->lda, &w->b, j, w->m,
		            least(w->j + w->n - j, w->p->strip_cols), g->k, start_of(g), g->bias ? g->bias + j : NULL);
}

__attribute__((noinline)) static void multiply_on_stack(const struct piece *w)
{
	_Alignas(64) float a[PANEL_FLOATS(SMALL_ROWS)], b[PANEL_FLOATS(PRODUCT_COLS_MAX)];
	multiply(w, &(struct space){ a, b, SMALL_ROWS });
}

static void run_piece(const struct piece *w)
{
	int thread = ft_thread_id();
	if (has_few_rows(w->g, w->m))
		multiply_few(w);
	else if (thread < nspaces && spaces[thread].rows)
		multiply(w, &spaces[thread]);
	else
		multiply_on_stack(w);
}

/* ---- pieces for all threads ---- */

struct pieces {
	struct piece whole;
	int64_t parts;
};

static void pack_panel(void *ctx, size_t t)
{
	const struct piece *w = ctx;
	int64_t panels = ceil_div(w->n, w->p->cols), l = (int64_t)t / panels * PRODUCT_DEPTH;
	int64_t j = w->j + (int64_t)t % panels * w->p->cols, depth = least(w->k - l, PRODUCT_DEPTH);
	pack_b(w, shared + panel_at(w, j, w->l + l, depth), j, w->l + l, depth);
}

static void rows_piece(void *ctx, size_t t)
{
	const struct pieces *s = ctx;
	struct piece w = s->whole;
	int64_t from = cut(w.m, s->parts, (int64_t)t);
	w.m = cut(w.m, s->parts, (int64_t)t + 1) - from;
	w.i += from;
	run_piece(&w);
}

/* Of whole tiles but for the last. */
static void columns_piece(void *ctx, size_t t)
{
	const struct pieces *s = ctx;
	struct piece w = s->whole;
	int64_t cols = w.p->cols, tiles = ceil_div(w.n, cols), from = cut(tiles, s->parts, (int64_t)t) * cols;
	w.n = least(w.n, cut(tiles, s->parts, (int64_t)t + 1) * cols) - from;
	w.j += from;
	run_piece(&w);
}

/* Threads take rows, of as many columns and values of k as `shared` has room for. */
static void by_rows(const struct piece *w)
{
	struct pieces s = { *w, round_up(ceil_div(w->m, BLOCK_ROWS / 2), ft_threads()) };
	ft_parallel((size_t)(ceil_div(w->n, w->p->cols) * ceil_div(w->k, PRODUCT_DEPTH)), pack_panel, &s.whole);
	s.whole.packed = shared;
	ft_parallel((size_t)s.parts, rows_piece, &s);
}

static int64_t strip_columns(const struct piece *w, int64_t k)
{
	return (int64_t)(SHARED_FLOATS / (size_t)k) / w->p->cols * w->p->cols;
}

static void by_strips(const struct piece *w)
{
	struct piece part = *w;
	for (part.l = 0; part.l < w->k; part.l += SHARED_DEPTH) {
		part.k = least(w->k - part.l, SHARED_DEPTH);
		int64_t strip = strip_columns(w, part.k);
		for (part.j = 0; part.j < w->n; part.j += strip) {
			part.n = least(w->n - part.j, strip);
			by_rows(&part);
		}
	}
}

/* Pieces for a thread of a product of few rows: it waits for memory, which serves no two threads alike. */
#define FEW_PIECES 4

static void by_columns(const struct piece *w, double work)
{
	int64_t pieces = ft_threads() * (has_few_rows(w->g, w->m) ? FEW_PIECES : 1);
	struct pieces s = { *w, least(pieces, ceil_div(w->n, w->p->cols)) };
	ft_parallel_work((size_t)s.parts, work, columns_piece, &s);
}

bool ft_gemm_takes(enum ft_dtype type)
{
	return ft_dtype_widens(type) && type != FT_F64;
}

static struct piece whole(const struct ft_gemm *g)
{
	struct product_matrix b = { .data = g->b, .type = g->b_type, .turned = g->tb, .ld = g->ldb };
	return (struct piece){ .g = g, .p = ft_kernels()->product, .m = g->m, .n = g->n, .k = g->k, .b = b };
}

/* A product of few rows is worth for threads what it costs to read B. */
static double work_of(const struct ft_gemm *g)
{
	return (double)g->n * (double)g->k * (double)(g->m > FT_WORK_READ ? g->m : FT_WORK_READ);
}

/* Whether B is packed first: of a thread's rows there are enough for a panel of B to be worth reading; one
 * thread packs B again for each of its blocks when it packs as it goes. */
static bool packs_first(const struct piece *w)
{
	int threads = ft_threads();
	bool many_rows = w->m >= 8 * w->p->rows * threads && (threads > 1 || w->m > BLOCK_ROWS);
	return many_rows && w->k > 0 && work_of(w->g) >= FT_WORK_MIN;
}

void ft_gemm(const struct ft_gemm *g)
{
	struct piece w = whole(g);
	if (g->m == 0 || g->n == 0)
		return;
	grow_spaces();
	if (shared && packs_first(&w))
		by_strips(&w);
	else
		by_columns(&w, work_of(g));
}

void ft_gemm_plan(const struct ft_gemm *g, struct ft_gemm_room *room)
{
	struct piece w = whole(g);
	if (g->m == 0 || g->n == 0)
		return;
	size_t k = (size_t)least(w.k, SHARED_DEPTH), depth = (size_t)least(w.k, PRODUCT_DEPTH);
	size_t all = k * (size_t)least(w.n, strip_columns(&w, (int64_t)k)) * sizeof(float);
	size_t own = depth * (size_t)(least(w.m, BLOCK_ROWS) + w.p->cols) * sizeof(float);
	if (packs_first(&w) && all > room->shared)
		room->shared = all;
	if (!has_few_rows(g, w.m) && own > room->own)
		room->own = own;
}

void ft_gemm_one(const struct ft_gemm *g)
{
	struct piece w = whole(g);
	if (g->m > 0 && g->n > 0)
		run_piece(&w);
}

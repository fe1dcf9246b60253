/* embedding.c - the sum of word, position and type vectors of a batch. */
#include "priv.h"

struct embed {
	struct ft_graph *g;
	const struct ft_batch *b;
	float *y;
	int64_t width;
	const struct ft_tensor *word, *position, *type;
	const int32_t *place; /* of each token in the table of positions */
	float scale;
	int failed;
};

static float word_scale(const struct ft_embed_options *o)
{
	return o->scale > 0 ? o->scale : 1;
}

/* y += a row of a table, which may be stored. */
static void add_row(struct embed *e, float *y, const struct ft_tensor *table, int64_t row)
{
	size_t width = (size_t)e->width;
	const float *from = table->stored ? NULL : table->data + (size_t)row * width;
	if (!from) {
		float *wide = graph_scratch(e->g, width);
		if (!wide) {
			__atomic_store_n(&e->failed, 1, __ATOMIC_RELAXED);
			return;
		}
		ft_tensor_floats(table, row, 1, wide);
		from = wide;
	}
	ft_kernels()->add(y, from, width);
}

static void embed_row(void *ctx, size_t r)
{
	struct embed *e = ctx;
	size_t width = (size_t)e->width;
	for (int32_t t = e->b->offsets[r]; t < e->b->offsets[r + 1]; t++) {
		float *y = e->y + (size_t)t * width;
		if (e->b->ids[t] >= 0)
			ft_tensor_floats(e->word, e->b->ids[t], 1, y);
		else
			memset(y, 0, width * sizeof *y);
		for (size_t i = 0; e->scale != 1 && i < width; i++)
			y[i] *= e->scale;
		if (e->position)
			add_row(e, y, e->position, e->place[t]);
		if (e->type)
			add_row(e, y, e->type, e->b->types ? e->b->types[t] : 0);
	}
}

/* Where a row of the batch came from, for messages. */
static struct ft_span row_source(const struct ft_batch *b, size_t r)
{
	return b->src ? b->src[r / ft_batch_texts(b)] : (struct ft_span){ "a row", 5 };
}

int graph_check_rows(const struct ft_graph *g, const struct ft_batch *b, int64_t most)
{
	for (size_t r = 0; r < b->rows; r++) {
		struct ft_span src = row_source(b, r);
		int64_t n = b->offsets[r + 1] - b->offsets[r] + ft_graph_place(g, r);
		if (n > most)
			return ft_fail(FT_EMATCH, "%.*s: %lld tokens; the model has %lld positions", (int)src.n, src.p,
			               (long long)n, (long long)most);
	}
	return FT_OK;
}

static int check_tables(const struct ft_batch *b, const struct ft_tensor *word, const struct ft_tensor *type)
{
	for (size_t r = 0; r < b->rows; r++) {
		struct ft_span src = row_source(b, r);
		for (int32_t t = b->offsets[r]; t < b->offsets[r + 1]; t++) {
			if (b->ids[t] >= word->rows)
				return ft_fail(FT_EMATCH, "%.*s: token id %d; the model's vocabulary has %lld", (int)src.n,
				               src.p, b->ids[t], (long long)word->rows);
			if (type && b->types && b->types[t] >= type->rows)
				return ft_fail(FT_EMATCH, "%.*s: token type %d; the model has %lld types", (int)src.n, src.p,
				               b->types[t], (long long)type->rows);
		}
	}
	return FT_OK;
}

/* Rows of the table of positions before that of a first token. */
static int32_t places_before(const struct ft_embed_options *o)
{
	return o->padding_places ? o->padding + 1 : 0;
}

/* Each token's row of the table of positions; of the pass. */
static int32_t *find_places(struct ft_graph *g, const struct ft_batch *b, const struct ft_embed_options *o)
{
	int32_t *place = ft_graph_alloc(g, b->tokens * sizeof *place);
	for (size_t r = 0; place && r < b->rows; r++) {
		int32_t next = places_before(o) + (int32_t)ft_graph_place(g, r);
		bool pads = o->padding_places && b->ids[b->offsets[r]] >= 0;
		for (int32_t t = b->offsets[r]; t < b->offsets[r + 1]; t++)
			place[t] = pads && b->ids[t] == o->padding ? o->padding : next++;
	}
	return place;
}

/* Marks the rows of tables that a pass reads, where it plans. */
static void plan_rows(const struct embed *e)
{
	int64_t n = graph_todo(e->g, 1) ? 0 : (int64_t)e->b->tokens;
	for (int64_t t = 0; t < n; t++) {
		if (e->word->touched && e->b->ids[t] >= 0)
			e->word->touched[e->b->ids[t]] = 1;
		if (e->position && e->position->touched)
			e->position->touched[e->place[t]] = 1;
		if (e->type && e->type->touched)
			e->type->touched[e->b->types ? e->b->types[t] : 0] = 1;
	}
}

struct ft_tensor *ft_embed(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *word,
                           struct ft_tensor *position, struct ft_tensor *type, const struct ft_embed_options *o)
{
	struct ft_tensor *in[3] = { word, position, type };
	if (!graph_ready(g, in, 1))
		return NULL;
	int rc = position ? graph_check_rows(g, b, position->rows - places_before(o)) : FT_OK;
	rc = rc < 0 ? rc : check_tables(b, word, type);
	if (rc < 0)
		return ft_graph_fail(g, rc), NULL;
	struct ft_tensor *y = ft_graph_tensor(g, (int64_t)b->tokens, word->cols);
	int32_t *place = find_places(g, b, o);
	if (!y || !place)
		return NULL;
	struct embed e = { .g = g, .b = b, .y = y->data, .width = y->cols, .word = word, .position = position, .type = type,
	                   .place = place, .scale = word_scale(o) };
	plan_rows(&e);
	graph_share(g, b->rows, (double)b->tokens * (double)y->cols, embed_row, &e);
	if (e.failed)
		return ft_graph_fail(g, ft_fail(FT_EFAIL, "out of memory for embeddings")), NULL;
	struct node *n = graph_record(g, OP_embed, y, in, 3);
	y->place = b->part ? &b->part->tokens : NULL;
	if (n) {
		n->batch = b;
		n->data[0] = place;
		n->whole = o->padding;
		n->length = o->padding_places ? o->padding : -1;
		n->real = e.scale;
	}
	return y;
}

/* ---- backward: rows of a table get the sums of their tokens' gradients, in
 * token order; items of work are blocks of columns ---- */
#define COLUMNS 64

enum table { WORD, POSITION, TYPE };

struct scatter {
	const struct ft_batch *b;
	enum table which;
	const int32_t *place;
	int64_t fixed; /* a row that does not learn; -1: none */
	const float *dy;
	float *grad, scale;
	size_t width;
};

/* The row of the table that token t used; negative: one that does not learn. */
static int64_t table_row(const struct scatter *s, size_t t)
{
	if (s->which == TYPE)
		return s->b->types ? s->b->types[t] : 0;
	int32_t row = s->which == WORD ? s->b->ids[t] : s->place[t];
	return row == s->fixed ? -1 : row;
}

static void scatter_columns(void *ctx, size_t i)
{
	const struct scatter *s = ctx;
	size_t from = i * COLUMNS, n = s->width - from < COLUMNS ? s->width - from : COLUMNS;
	for (size_t t = 0; t < s->b->tokens; t++) {
		int64_t row = table_row(s, t);
		if (row >= 0)
			ft_kernels()->axpy(s->grad + (size_t)row * s->width + from, s->scale, s->dy + t * s->width + from, n);
	}
}

/* Rows used for the first time since the gradient was cleared get their zeros. */
static void touch_rows(const struct ft_graph *g, const struct scatter *s, struct ft_tensor *table)
{
	if (!table->has_grad)
		memset(table->touched, 0, (size_t)table->rows);
	for (size_t t = 0; t < s->b->tokens; t++) {
		int64_t row = table_row(s, t);
		if (row < 0)
			continue;
		if (!table->touched[row])
			graph_zero(g, table->grad + (size_t)row * s->width, s->width);
		table->touched[row] = 1;
	}
	table->has_grad = true;
}

static int scatter(struct ft_graph *g, struct node *n, enum table which, struct ft_tensor *table)
{
	if (!table || !table->needs_grad)
		return FT_OK;
	struct scatter s = { .b = n->batch, .which = which, .place = n->data[0], .dy = n->out->grad,
	                     .scale = which == WORD ? n->real : 1, .fixed = which == WORD ? n->whole : n->length,
	                     .width = (size_t)table->cols };
	if (table->touched && table->grad && !table->dense) {
		touch_rows(g, &s, table);
		s.grad = table->grad;
	} else {
		bool fresh;
		s.grad = ft_grad(g, table, &fresh);
		if (!s.grad)
			return FT_EFAIL;
		if (fresh)
			graph_zero(g, s.grad, tensor_size(table));
	}
	graph_share(g, (s.width + COLUMNS - 1) / COLUMNS, (double)n->batch->tokens * (double)s.width, scatter_columns, &s);
	return FT_OK;
}

int op_embed_back(struct ft_graph *g, struct node *n)
{
	int rc = scatter(g, n, WORD, n->in[0]);
	if (rc == FT_OK)
		rc = scatter(g, n, POSITION, n->in[1]);
	return rc < 0 ? rc : scatter(g, n, TYPE, n->in[2]);
}

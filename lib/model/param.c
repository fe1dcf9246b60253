/* param.c - the parameters of a model: declared, found, loaded, initialised. */
#include "ft/kernels.h"
#include "ft/rng.h"
#include "ft/thread.h"
#include "priv.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_ 160

/* ---- declaring ---- */
static char *format_name(const char *fmt, int layer)
{
	const char *at = strstr(fmt, "%d");
	return at ? ft_format("%.*s%d%s", (int)(at - fmt), fmt, layer, at + 2) : ft_strdup(fmt);
}

/* The name in a checkpoint: with the family's prefix when the checkpoint has a head. */
static char *file_name(const struct ft_model *m, const char *fmt, int layer)
{
	char *name = format_name(*fmt == '@' ? fmt + 1 : fmt, layer);
	if (!name || *fmt == '@' || m->own_names)
		return name;
	char *full = ft_format("%s%s", m->family->prefix, name);
	free(name);
	return full;
}

int param_add(struct ft_model *m, enum param_kind kind, int layer, const char *name, const char *file, int64_t rows,
              int64_t cols)
{
	int rc = ft_grow(&m->params, &m->cap, m->count + 1, sizeof *m->params);
	struct ft_param *p = rc < 0 ? NULL : ft_alloc(1, sizeof *p);
	if (!p)
		return FT_EFAIL;
	m->params[m->count++] = p;
	p->name = format_name(name, layer);
	p->file = file_name(m, file, layer);
	p->rank = kind == PARAM_WEIGHT || kind == PARAM_TABLE || kind == PARAM_TURNED || kind >= PARAM_ZERO ? 2 : 1;
	p->layer = layer;
	p->trains = true;
	p->decays = p->rank == 2;
	p->turned = kind == PARAM_TURNED;
	p->rate = 1;
	p->t = (struct ft_tensor){ .rows = rows, .cols = cols };
	p->kind = kind;
	return p->name && p->file ? FT_OK : FT_EFAIL;
}

/* name.weight or name.bias, of a parameter that is one of a pair. */
static int param_part(struct ft_model *m, enum param_kind kind, int layer, const char *name, const char *file,
                      const char *part, int64_t rows, int64_t cols)
{
	char ours[NAME_MAX_], theirs[NAME_MAX_];
	snprintf(ours, sizeof ours, "%s.%s", name, part);
	snprintf(theirs, sizeof theirs, "%s.%s", file, part);
	return param_add(m, kind, layer, ours, theirs, rows, cols);
}

int param_weight(struct ft_model *m, int layer, const char *name, const char *file, int64_t out, int64_t in)
{
	return param_part(m, PARAM_WEIGHT, layer, name, file, "weight", out, in);
}

int param_scale(struct ft_model *m, int layer, const char *name, const char *file, int64_t width)
{
	return param_part(m, PARAM_NORM, layer, name, file, "weight", 1, width);
}

int param_linear(struct ft_model *m, int layer, const char *name, const char *file, int64_t out, int64_t in)
{
	int rc = param_weight(m, layer, name, file, out, in);
	return rc ? rc : param_part(m, PARAM_BIAS, layer, name, file, "bias", 1, out);
}

int param_turned(struct ft_model *m, int layer, const char *name, const char *file, int64_t out, int64_t in)
{
	int rc = param_part(m, PARAM_TURNED, layer, name, file, "weight", out, in);
	return rc ? rc : param_part(m, PARAM_BIAS, layer, name, file, "bias", 1, out);
}

int param_norm(struct ft_model *m, int layer, const char *name, const char *file, int64_t width)
{
	int rc = param_scale(m, layer, name, file, width);
	return rc ? rc : param_part(m, PARAM_NORM_BIAS, layer, name, file, "bias", 1, width);
}

/* ---- finding ---- */
uint32_t name_hash(const char *s)
{
	uint32_t h = 2166136261u; /* FNV-1a; the names are our own */
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

int params_index(struct ft_model *m)
{
	free(m->index);
	for (m->slots = 64; m->slots < 2 * m->count; m->slots *= 2)
		;
	m->index = ft_alloc(m->slots, sizeof *m->index);
	if (!m->index)
		return FT_EFAIL;
	for (size_t i = 0; i < m->count; i++) {
		size_t at = name_hash(m->params[i]->name) & (m->slots - 1);
		while (m->index[at])
			at = (at + 1) & (m->slots - 1);
		m->index[at] = (uint32_t)i + 1;
	}
	return FT_OK;
}

struct ft_param *ft_model_find(const struct ft_model *m, const char *name)
{
	for (size_t at = name_hash(name) & (m->slots - 1); m->index[at]; at = (at + 1) & (m->slots - 1))
		if (strcmp(m->params[m->index[at] - 1]->name, name) == 0)
			return m->params[m->index[at] - 1];
	return NULL;
}

static void free_param(struct ft_param *p)
{
	free(p->name);
	free(p->file);
	free(p->t.data);
	free(p->t.grad);
	free(p->t.touched);
	free(p->own);
	free(p);
}

int params_drop_techniques(struct ft_model *m)
{
	size_t kept = 0;
	for (size_t i = 0; i < m->count; i++) {
		if (m->params[i]->technique)
			free_param(m->params[i]);
		else
			m->params[kept++] = m->params[i];
	}
	m->count = kept;
	return params_index(m);
}

void params_free(struct ft_model *m)
{
	for (size_t i = 0; i < m->count; i++)
		free_param(m->params[i]);
	free(m->params);
	free(m->index);
}

/* ---- initial values: a function of (seed, name, row) ---- */
struct init {
	struct ft_param *p;
	uint64_t seed;
	float range; /* deviation; of PARAM_UNIFORM and PARAM_KAIMING the most */
};

static void init_row(void *ctx, size_t row)
{
	const struct init *s = ctx;
	struct ft_rng r;
	ft_rng_init(&r, s->seed, row);
	float *x = s->p->t.data + (int64_t)row * s->p->t.cols;
	bool uniform = s->p->kind == PARAM_UNIFORM || s->p->kind == PARAM_KAIMING;
	for (int64_t c = 0; c < s->p->t.cols; c++)
		x[c] = s->range * (float)(uniform ? 2 * ft_rng_uniform(&r) - 1 : ft_rng_normal(&r));
}

static void init_param(const struct ft_model *m, struct ft_param *p)
{
	int64_t seed = ft_json_int(m->meta, "seed", 0, NULL);
	struct init s = { .p = p, .seed = ft_mix((uint64_t)seed, name_hash(p->name)), .range = m->shape.init_range };
	if (p->kind == PARAM_UNIFORM)
		s.range = 1 / sqrtf((float)p->t.cols);
	if (p->kind == PARAM_KAIMING)
		s.range = sqrtf(6 / (float)p->t.cols);
	if (p->kind == PARAM_NORMAL)
		s.range = 1;
	if (p->kind == PARAM_BERT)
		s.range = 0.02f;
	switch (p->kind) {
	case PARAM_WEIGHT:
	case PARAM_TURNED:
	case PARAM_UNIFORM:
	case PARAM_NORMAL:
	case PARAM_BERT:
	case PARAM_KAIMING:
	case PARAM_TABLE: ft_parallel((size_t)p->t.rows, init_row, &s); break;
	case PARAM_NORM:
	case PARAM_ONE:
		for (int64_t i = 0; i < p->t.rows * p->t.cols; i++)
			p->t.data[i] = 1;
		break;
	case PARAM_BIAS:
	case PARAM_ZERO:
	case PARAM_NORM_PLUS:
	case PARAM_NORM_BIAS: break; /* zero */
	}
}

/* ---- loading ---- */

/* The names a checkpoint may give to what the family calls `file`: with or
 * without prefix, with TensorFlow's names of a norm's weight and bias. */
static const struct ft_stored *find_stored(const struct ft_model *m, const char *file)
{
	size_t n = strlen(m->family->prefix);
	const char *bare = strncmp(file, m->family->prefix, n) == 0 ? file + n : file;
	static const char *const legacy[][2] = { { ".weight", ".gamma" }, { ".bias", ".beta" } };
	for (int form = 0; form < 4; form++) {
		char name[NAME_MAX_ + 16];
		snprintf(name, sizeof name, "%s%s", form & 1 ? m->family->prefix : "", bare);
		for (int i = 0; form & 2 && i < 2; i++) {
			char *end = strrchr(name, '.');
			if (end && strcmp(end, legacy[i][0]) == 0) {
				strcpy(end, legacy[i][1]);
				break;
			}
		}
		const struct ft_stored *t = ft_base_find(m->base, name);
		if (t)
			return t;
	}
	return NULL;
}

static int check_shape(const char *where, const char *asks, const struct ft_param *p, const struct ft_stored *t)
{
	int64_t rows = t->rank == 2 ? t->shape[0] : 1, cols = t->rank ? t->shape[t->rank - 1] : 1;
	bool turned = p->turned && !t->turned;
	int64_t want_rows = turned ? p->t.cols : p->t.rows, want_cols = turned ? p->t.rows : p->t.cols;
	if (t->rank != p->rank || rows != want_rows || cols != want_cols)
		return ft_fail(FT_EFORMAT, "%s: tensor '%s' has shape [%lld, %lld], %s asks for [%lld, %lld]", where, t->name,
		               (long long)rows, (long long)cols, asks, (long long)want_rows, (long long)want_cols);
	return FT_OK;
}

/* y [cols, rows] = x [rows, cols], turned. */
static void turn(float *y, const float *x, int64_t rows, int64_t cols)
{
	for (int64_t r = 0; r < rows; r++)
		for (int64_t c = 0; c < cols; c++)
			y[c * rows + r] = x[r * cols + c];
}

int ft_param_turn(const struct ft_param *p, float *dest)
{
	float *row = ft_alloc((size_t)p->t.cols, sizeof *row);
	for (int64_t r = 0; row && r < p->t.rows; r++) {
		ft_tensor_floats(&p->t, r, 1, row);
		for (int64_t c = 0; c < p->t.cols; c++)
			dest[c * p->t.rows + r] = row[c];
	}
	free(row);
	return row ? FT_OK : FT_EFAIL;
}

static int load_turned(struct ft_param *p, const struct ft_stored *t)
{
	size_t n = (size_t)p->t.rows * (size_t)p->t.cols;
	float *wide = ft_alloc(n, sizeof *wide);
	int rc = wide ? ft_widen(wide, t->data, t->dtype, n) : FT_EFAIL;
	if (rc == FT_OK)
		turn(p->t.data, wide, p->t.cols, p->t.rows);
	free(wide);
	return rc;
}

static int load_stored(const char *where, struct ft_param *p, const struct ft_stored *t)
{
	int rc = p->turned && !t->turned ? load_turned(p, t)
	                   : ft_widen(p->t.data, t->data, t->dtype, (size_t)p->t.rows * (size_t)p->t.cols);
	return rc < 0 ? ft_context(rc, "%s: tensor '%s'", where, t->name) : FT_OK;
}

/* Weights that do not train stay in the mapping, as products and tables read them there.
 * Vectors are small. */
static bool may_stay(const struct ft_model *m, const struct ft_param *p, const struct ft_stored *t)
{
	bool other_way = p->turned && !t->turned;
	return p->rank == 2 && !other_way && (!p->trains || m->reads) && ft_gemm_takes(t->dtype);
}

static int alloc_param(struct ft_param *p)
{
	size_t n;
	if (!ft_mul((size_t)p->t.rows, (size_t)p->t.cols, &n))
		return ft_fail(FT_EFAIL, "%s: its size does not fit", p->name);
	p->t.data = ft_alloc_whole(n, sizeof(float));
	return p->t.data ? FT_OK : FT_EFAIL;
}

bool ft_param_in_file(const struct ft_param *p)
{
	return p->t.stored && !p->own;
}

size_t ft_param_bytes(const struct ft_param *p)
{
	size_t bytes = 0;
	ft_dtype_bytes(p->t.dtype, (size_t)p->t.rows * (size_t)p->t.cols, &bytes); /* it fits: it could be opened */
	return bytes;
}

int param_take(struct ft_param *p, const struct ft_stored *t, const char *where, const char *asks)
{
	int rc = check_shape(where, p->technique ? asks : "config.json", p, t);
	rc = rc ? rc : p->t.data ? FT_OK : alloc_param(p);
	rc = rc ? rc : load_stored(where, p, t);
	p->stored = rc == FT_OK;
	return rc;
}

int param_forget_equal(const struct ft_model *m, struct ft_param *p)
{
	const struct ft_stored *t = find_stored(m, p->file);
	struct ft_param base = *p;
	base.t.data = NULL;
	if (!t || json_object_get(m->meta, "init") || check_shape(m->dir, "config.json", p, t) < 0)
		return FT_OK;
	int rc = alloc_param(&base);
	rc = rc ? rc : load_stored(m->dir, &base, t);
	if (rc == FT_OK && memcmp(base.t.data, p->t.data, (size_t)p->t.rows * (size_t)p->t.cols * sizeof(float)) == 0) {
		free(p->t.data);
		p->t.data = NULL;
		p->stored = false;
	}
	free(base.t.data);
	return rc;
}

/* A technique's parameters are made; the head's and the pooler's when the base lacks them. */
static bool may_be_fresh(const struct ft_model *m, const struct ft_param *p)
{
	return p->technique || json_object_get(m->meta, "init") || p->layer == (int)m->shape.layers;
}

/* Of a matrix that is shorter in the base, this. */
static int load_shorter(const struct ft_model *m, struct ft_param *base, const struct ft_stored *t)
{
	int rc = check_shape(m->dir, "config.json", base, t);
	return rc ? rc : load_stored(m->dir, base, t);
}

int param_base(const struct ft_model *m, struct ft_param *p)
{
	const struct ft_stored *t = json_object_get(m->meta, "init") ? NULL : find_stored(m, p->file);
	if (!t)
		return ft_fail(FT_EFORMAT, "%s: no tensor '%s', of which an adapter has some rows", m->dir, p->file);
	int rc = p->t.data ? FT_OK : alloc_param(p);
	return rc ? rc : tokens_grown(m, p) ? tokens_load(m, p, t, load_shorter) : load_shorter(m, p, t);
}

int param_differs(const struct ft_model *m, const struct ft_param *p, int64_t row)
{
	const struct ft_stored *t = json_object_get(m->meta, "init") ? NULL : find_stored(m, p->file);
	size_t n = (size_t)p->t.cols, at;
	if (!t || p->turned || t->rank != 2 || t->shape[1] != p->t.cols || row >= t->shape[0])
		return 1;
	if (!p->stored)
		return 0;
	float *ours = ft_alloc(2 * n, sizeof *ours);
	int rc = ours ? FT_OK : FT_EFAIL;
	struct ft_tensor base = { .rows = t->shape[0], .cols = p->t.cols, .stored = t->data, .dtype = t->dtype };
	if (rc == FT_OK) {
		ft_tensor_floats(&p->t, row, 1, ours);
		ft_tensor_floats(&base, row, 1, ours + n);
	}
	for (at = 0; rc == FT_OK && at < n && memcmp(ours + at, ours + n + at, sizeof *ours) == 0;)
		at++;
	free(ours);
	return rc ? rc : at < n;
}

int params_load(struct ft_model *m)
{
	for (size_t i = 0; i < m->count; i++) {
		struct ft_param *p = m->params[i];
		if (p->stored && !p->kept) {
			int rc = tokens_grown(m, p) && !m->plans ? tokens_fill(m, p) : FT_OK;
			if (rc < 0)
				return rc;
			continue;
		}
		const struct ft_stored *t = json_object_get(m->meta, "init") || p->fresh ? NULL : find_stored(m, p->file);
		if (!t && !may_be_fresh(m, p))
			return ft_fail(FT_EFORMAT, "%s: no tensor '%s'; config.json says that this is a %s with %lld layers",
			               m->dir, p->file, m->family->name, (long long)m->shape.layers);
		if (!t && p->kept)
			return ft_fail(FT_EFORMAT, "%s: new rows of '%s', of which %s has no others", m->name, p->name, m->dir);
		if (t && tokens_grown(m, p)) {
			int rc = p->t.data || m->plans ? FT_OK : alloc_param(p);
			rc = rc || m->plans ? rc : tokens_load(m, p, t, load_shorter);
			if (rc < 0)
				return rc;
			continue;
		}
		int rc = t ? check_shape(m->dir, "config.json", p, t) : FT_OK; /* before memory is asked for */
		int narrows = rc == FT_OK && t ? narrow_wanted(m, p, t) : FT_F32;
		rc = narrows < 0 ? narrows : rc;
		if (rc == FT_OK && t && !narrows && may_stay(m, p, t)) {
			p->t.stored = t->data;
			p->t.dtype = t->dtype;
			continue;
		}
		if (rc == FT_OK && m->plans) {
			p->t.dtype = (enum ft_dtype)narrows;
			p->fresh |= !t;
			continue;
		}
		rc = rc ? rc : alloc_param(p);
		if (rc == FT_OK && t)
			rc = load_stored(m->dir, p, t);
		if (rc == FT_OK && narrows)
			rc = narrow_take(m, p, p->t.data);
		if (rc == FT_OK && t)
			ft_base_used(t);
		if (rc < 0)
			return rc;
		if (!t) {
			p->fresh = true;
			init_param(m, p);
		}
	}
	ft_base_let_go(m->base);
	return m->plans ? FT_OK : adapt_start(m);
}

int params_read(struct ft_model *m, struct ft_reader *r)
{
	for (;;) {
		struct ft_tensor_desc d;
		int rc = ft_tensor_read(r, &d);
		if (rc <= 0)
			return rc;
		char name[NAME_MAX_];
		snprintf(name, sizeof name, "%.*s", (int)(d.name.n < NAME_MAX_ ? d.name.n : NAME_MAX_ - 1), d.name.p);
		struct ft_param *p = ft_model_find(m, name), *of_new = p ? NULL : tokens_find(m, name);
		p = p ? p : of_new;
		if (m->new_head && (!p || strncmp(p->name, "head.", 5) == 0)) {
			rc = ft_tensor_data(r, &d, NULL); /* of a head that the plan has replaced */
			if (rc < 0)
				return rc;
			continue;
		}
		if (!p)
			return ft_reader_fail(r, FT_EFORMAT, "the model has no parameter '%s'", name);
		int64_t rows = d.rank == 2 ? d.shape[0] : 1, cols = d.rank ? d.shape[d.rank - 1] : 1;
		int64_t from = of_new ? m->shape.words : 0;
		if (d.rank != p->rank || !tokens_fit(m, p, from, rows, cols) || strcmp(d.dtype, "F32") != 0)
			return ft_reader_fail(r, FT_EFORMAT, "'%s' is not a float32 tensor of the shape it must have", name);
		rc = p->t.data || m->plans ? FT_OK : alloc_param(p);
		rc = rc ? rc : ft_tensor_data(r, &d, m->plans ? NULL : p->t.data + from * p->t.cols);
		if (rc < 0)
			return rc;
		p->stored = true;
		p->kept = from;
		p->there = p->rank == 2 ? rows : cols;
	}
}

/* ---- sites ---- */

/* The tensor at a site: its name, with `end` behind it. NULL when there is none. */
static struct ft_tensor *find_site(struct ft_model *m, const char *site, const char *end)
{
	char name[NAME_MAX_ + 8];
	snprintf(name, sizeof name, "%s%s", site, end);
	struct ft_param *p = ft_model_find(m, name);
	return p ? &p->t : NULL;
}

/* The same, of one that must be there. */
static struct ft_tensor *need_site(struct ft_model *m, struct ft_graph *g, const char *site, const char *end)
{
	struct ft_tensor *t = find_site(m, site, end);
	if (!t)
		ft_graph_fail(g, ft_fail(FT_EFAIL, "no parameter '%s%s'", site, end));
	return t;
}

#define SITE(name)                                              \
	char name[NAME_MAX_];                                   \
	do {                                                    \
		va_list ap;                                     \
		va_start(ap, fmt);                              \
		vsnprintf(name, sizeof name, fmt, ap);          \
		va_end(ap);                                     \
	} while (0)

struct ft_tensor *site_tensor(struct ft_model *m, struct ft_graph *g, const char *fmt, ...)
{
	SITE(name);
	return need_site(m, g, name, "");
}

struct ft_tensor *site_linear(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x, const char *fmt, ...)
{
	SITE(name);
	struct ft_tensor *w = need_site(m, g, name, ".weight");
	return w ? adapt_linear(m, g, name, x, w, find_site(m, name, ".bias")) : NULL;
}

struct ft_tensor *site_embed(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b,
                             struct ft_tensor *position, struct ft_tensor *type)
{
	struct ft_tensor *word = need_site(m, g, "embed.word", ".weight");
	return word ? adapt_table(m, g, "embed.word", b, ft_embed(g, b, word, position, type, &m->shape.embed)) : NULL;
}

struct ft_tensor *site_add(struct ft_model *m, struct ft_graph *g, struct ft_tensor *y, struct ft_tensor *x,
                           float dropout, const char *fmt, ...)
{
	SITE(name);
	return adapt_block(m, g, name, y, x, dropout, false);
}

struct ft_tensor *site_add_norm(struct ft_model *m, struct ft_graph *g, struct ft_tensor *y, struct ft_tensor *x,
                                float dropout, const char *fmt, ...)
{
	SITE(name);
	return adapt_block(m, g, name, y, x, dropout, true);
}

struct ft_tensor *site_attention(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *q,
                                 struct ft_tensor *k, struct ft_tensor *v, const struct ft_attention_options *o,
                                 const char *fmt, ...)
{
	SITE(name);
	return adapt_attention(m, g, name, b, q, k, v, o);
}

struct ft_tensor *site_norm(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x, const char *fmt, ...)
{
	SITE(name);
	struct ft_tensor *w = need_site(m, g, name, ".weight");
	if (w && m->shape.rms)
		return ft_rms_norm(g, x, w, m->shape.norm_plus, m->shape.eps);
	return w ? ft_layer_norm(g, x, w, find_site(m, name, ".bias"), m->shape.eps) : NULL;
}

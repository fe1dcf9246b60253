/* rope.c - rotary positions of a config.json, of both generations: rope_theta and
 * rope_scaling, or rope_parameters, in which kinds of layer may have their own.
 *
 * Frequencies and angles are rounded to float32 where transformers rounds them:
 * at the end of a long row the rounding shows. */
#include "ft/thread.h"
#include "priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What there is to say of one kind of layer. */
struct rope_config {
	const json_t *params, *all; /* its object, and that of all kinds */
	double theta, factor;
	int64_t original; /* positions in pre-training */
	double dims;      /* rotated components of a head */
};

static double positive(const json_t *params, const char *key, double absent, int *err)
{
	double v = *err ? 1 : ft_json_real(params, key, absent, err);
	if (!*err && !(v > 0 && v < 1e12))
		*err = ft_fail(FT_EFORMAT, "rope: %s: %s", key,
		               json_object_get(params, key) ? "is not a positive number" : "missing");
	return *err ? 1 : v;
}

static int find_config(const struct ft_model *m, struct rope_config *c, const struct rope_source *s, int64_t size)
{
	int err = 0;
	const json_t *scaling = json_object_get(m->config, "rope_scaling"), *own;
	c->all = json_object_get(m->config, "rope_parameters");
	own = s->kind ? json_object_get(c->all, s->kind) : c->all;
	c->params = s->scaled && json_is_object(scaling) ? scaling : own;
	if (c->params && !json_is_object(c->params) && !json_is_null(c->params))
		return ft_fail(FT_EFORMAT, "rope_parameters: must be an object");
	c->theta = positive(m->config, s->theta_key, s->theta, &err);
	c->theta = positive(own, "rope_theta", c->theta, &err);
	c->theta = positive(c->params, "rope_theta", c->theta, &err);
	c->original = config_size(m, "original_max_position_embeddings", m->shape.positions, 1, 1 << 24, &err);
	if (!json_is_integer(json_object_get(m->config, "original_max_position_embeddings")))
		c->original = ft_json_int(c->params, "original_max_position_embeddings", c->original, &err);
	double share = positive(m->config, "partial_rotary_factor", 1, &err);
	share = positive(c->params, "partial_rotary_factor", share, &err);
	c->dims = floor((double)size * share);
	if (!err && (c->original < 1 || c->original > 1 << 24))
		err = ft_fail(FT_EFORMAT, "rope: original_max_position_embeddings: %lld", (long long)c->original);
	if (!err && (c->dims < 2 || c->dims > (double)size || fmod(c->dims, 2) != 0))
		err = ft_fail(FT_EFORMAT, "rope: %g of %lld components of a head cannot be turned in pairs", c->dims,
		              (long long)size);
	return err;
}

/* ---- the types: frequency[i], i < pairs, holds those of the plain type ---- */

static int scale_linear(struct rope *r, const struct rope_config *c)
{
	for (int64_t i = 0; i < r->table.pairs; i++)
		r->frequency[i] = (float)(r->frequency[i] / c->factor);
	return FT_OK;
}

/* Llama 3.1: long waves as if linear, short ones as they are, a blend between. */
static int scale_llama3(struct rope *r, const struct rope_config *c)
{
	int err = 0;
	double low = positive(c->params, "low_freq_factor", 0, &err),
	       high = positive(c->params, "high_freq_factor", 0, &err);
	if (!err && !(high > low))
		err = ft_fail(FT_EFORMAT, "rope: high_freq_factor is not above low_freq_factor");
	for (int64_t i = 0; !err && i < r->table.pairs; i++) {
		double f = r->frequency[i], waves = (double)c->original * f / (2 * M_PI); /* within the original length */
		double blend = fmin(1, fmax(0, (waves - low) / (high - low)));
		r->frequency[i] = (float)((1 - blend) * f / c->factor + blend * f);
	}
	return err;
}

/* The pair, not a whole number, that turns `turns` times within the original length. */
static double pair_of(const struct rope_config *c, double turns)
{
	return c->dims * log((double)c->original / (turns * 2 * M_PI)) / (2 * log(c->theta));
}

static double yarn_growth(double factor, double scale)
{
	return factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1;
}

/* YaRN (Peng et al., 2023): a ramp from the plain frequencies to the linear ones,
 * over pairs; cosines and sines are scaled. */
static int scale_yarn(struct rope *r, const struct rope_config *c)
{
	int err = 0;
	double fast = positive(c->params, "beta_fast", 32, &err), slow = positive(c->params, "beta_slow", 1, &err);
	double above = ft_json_real(c->params, "mscale", 0, &err),
	       below = ft_json_real(c->params, "mscale_all_dim", 0, &err);
	double grown = above != 0 && below != 0 ? yarn_growth(c->factor, above) / yarn_growth(c->factor, below)
	                                        : yarn_growth(c->factor, 1);
	r->scale = (float)positive(c->params, "attention_factor", grown, &err);
	bool whole = ft_json_bool(c->all ? c->all : c->params, "truncate", true, &err);
	double first = pair_of(c, fast), last = pair_of(c, slow);
	if (!err && !(isfinite(first) && isfinite(last)))
		err = ft_fail(FT_EFORMAT, "rope: rope_theta %g with rope_type yarn", c->theta);
	first = fmax(whole ? floor(first) : first, 0);
	last = fmin(whole ? ceil(last) : last, c->dims - 1);
	if (first == last)
		last += 0.001;
	for (int64_t i = 0; !err && i < r->table.pairs; i++) {
		double ramp = fmin(1, fmax(0, ((double)i - first) / (last - first)));
		r->frequency[i] = (float)(r->frequency[i] / c->factor * ramp + r->frequency[i] * (1 - ramp));
	}
	return err;
}

static int scale_frequencies(struct rope *r, struct rope_config *c, int64_t positions)
{
	static const struct {
		const char *name;
		int (*scale)(struct rope *, const struct rope_config *);
	} types[] = { { "linear", scale_linear }, { "llama3", scale_llama3 }, { "yarn", scale_yarn } };
	int err = 0;
	const char *type = ft_json_str(c->params, "rope_type", ft_json_str(c->params, "type", "default", &err), &err);
	if (err || strcmp(type, "default") == 0)
		return err;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		if (strcmp(types[i].name, type) != 0)
			continue;
		bool own = strcmp(type, "yarn") == 0 && !json_is_number(json_object_get(c->params, "factor"));
		c->factor = positive(c->params, "factor", own ? (double)positions / (double)c->original : 0, &err);
		return err ? err : types[i].scale(r, c);
	}
	return ft_fail(FT_EFORMAT, "rope_type: '%.40s' is not supported; default, linear, llama3 and yarn are", type);
}

int rope_read(const struct ft_model *m, struct rope *r, const struct rope_source *s, int64_t size)
{
	struct rope_config c = { 0 };
	int rc = find_config(m, &c, s, size);
	if (rc < 0)
		return rc;
	r->table.pairs = (int64_t)c.dims / 2;
	r->scale = 1;
	r->frequency = ft_alloc((size_t)r->table.pairs, sizeof *r->frequency);
	if (!r->frequency)
		return FT_EFAIL;
	for (int64_t i = 0; i < r->table.pairs; i++)
		r->frequency[i] = 1.0f / (float)pow(c.theta, (float)(2 * i) / (float)c.dims);
	return scale_frequencies(r, &c, m->shape.positions);
}

void rope_free(struct rope *r)
{
	free(r->frequency);
	free(r->memory);
}

/* ---- the table: made for as many positions as rows have needed ---- */
static void fill_position(void *ctx, size_t position)
{
	struct rope *r = ctx;
	float *row = r->memory + position * 2 * (size_t)r->table.pairs;
	for (int64_t i = 0; i < r->table.pairs; i++) {
		double angle = (float)position * r->frequency[i];
		row[i] = (float)cos(angle) * r->scale;
		row[r->table.pairs + i] = (float)sin(angle) * r->scale;
	}
}

static int64_t longest_row(const struct ft_graph *g, const struct ft_batch *b)
{
	int64_t most = 0;
	for (size_t r = 0; r < b->rows; r++) {
		int64_t n = ft_graph_place(g, r) + b->offsets[r + 1] - b->offsets[r];
		most = n > most ? n : most;
	}
	return most;
}

const struct ft_rope *rope_table(const struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct rope *r)
{
	int64_t need = longest_row(g, b), size = r->table.positions ? r->table.positions : 64;
	need = need < m->shape.positions ? need : m->shape.positions; /* ft_rope() refuses longer rows */
	if (need <= r->table.positions)
		return &r->table;
	while (size < need)
		size *= 2;
	size = size < m->shape.positions ? size : m->shape.positions;
	free(r->memory);
	r->table.positions = 0;
	r->table.table = r->memory = ft_alloc((size_t)size * (size_t)r->table.pairs, 2 * sizeof *r->memory);
	if (r->memory) {
		ft_parallel_work((size_t)size, 50.0 * (double)(size * r->table.pairs), fill_position, r);
		r->table.positions = size;
	} else {
		ft_graph_fail(g, FT_EFAIL);
	}
	return &r->table;
}

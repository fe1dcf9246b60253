/* export_peft_lora.c - matrices of low rank as PEFT's LoRA, whatever technique they are of. */
#include "export_peft.h"
#include "ft/err.h"
#include "ft/mem.h"

#include <math.h>
#include <stdlib.h>

/* ---- adapter_config.json ---- */

/* The rank, or alpha, that most have. */
static double usual(const struct ft_delta *d, size_t n, bool rank)
{
	double best = 0;
	size_t most = 0;
	for (size_t i = 0; i < n; i++) {
		double v = rank ? (double)d[i].r : d[i].alpha;
		size_t count = 0;
		for (size_t k = 0; k < n; k++)
			count += (rank ? (double)d[k].r : d[k].alpha) == v;
		if (count > most) {
			most = count;
			best = v;
		}
	}
	return best;
}

/* A number as Python would write it: 16, not 16.0. */
static json_t *number_json(double v)
{
	return v == floor(v) && fabs(v) < 1e9 ? json_integer((json_int_t)v) : json_real(v);
}

/* rank_pattern and alpha_pattern: of the modules whose number is not the usual one. */
static json_t *make_pattern(const struct ft_delta *d, size_t n, bool rank)
{
	json_t *o = json_object();
	double absent = usual(d, n, rank);
	for (size_t i = 0; i < n; i++) {
		double v = rank ? (double)d[i].r : d[i].alpha;
		if (v != absent && json_object_set_new(o, d[i].module, number_json(v)) < 0) {
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

/* All modules have one kind of scale: where they do not, b takes it. */
static bool same_root(struct ft_delta *d, size_t n)
{
	bool root = n && d[0].root, same = true;
	for (size_t i = 0; i < n; i++)
		same = same && d[i].root == root;
	for (size_t i = 0; i < n && !same; i++)
		ft_delta_fold(&d[i]);
	return same && root;
}

/* All of them or none is DoRA. */
static int check_lengths(const struct ft_delta *d, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (!d[i].lengths != !d[0].lengths)
			return ft_fail(FT_EUSAGE,
			               "%s: rows are scaled (dora), those of %s are not, and a folder of PEFT has one of the two; "
			               "--to hf merges them",
			               d[d[i].lengths ? i : 0].weight->file, d[d[i].lengths ? 0 : i].weight->file);
	return FT_OK;
}

static int put_config(struct peft_out *o, struct ft_delta *d, size_t n, char *const *modules)
{
	bool root = same_root(d, n);
	json_t *c = o->config;
	int rc = ft_json_set(c, "alpha_pattern", make_pattern(d, n, false));
	rc = rc ? rc : ft_json_set(c, "bias", json_string("none"));
	rc = rc ? rc : ft_json_set(c, "fan_in_fan_out", json_boolean(peft_turned(o->m, modules, n)));
	rc = rc ? rc : ft_json_set(c, "init_lora_weights", json_true());
	rc = rc ? rc : ft_json_set(c, "layers_pattern", json_null());
	rc = rc ? rc : ft_json_set(c, "layers_to_transform", json_null());
	rc = rc ? rc : ft_json_set(c, "lora_alpha", number_json(usual(d, n, false)));
	rc = rc ? rc : ft_json_set(c, "lora_dropout", json_real(n ? d[0].dropout : 0));
	rc = rc ? rc : ft_json_set(c, "peft_type", json_string("LORA"));
	rc = rc ? rc : ft_json_set(c, "r", number_json(usual(d, n, true)));
	rc = rc ? rc : ft_json_set(c, "rank_pattern", make_pattern(d, n, true));
	rc = rc ? rc : ft_json_set(c, "target_modules", peft_targets(o->m, modules, n, false));
	rc = rc ? rc : ft_json_set(c, "use_dora", json_boolean(n && d[0].lengths));
	return rc ? rc : ft_json_set(c, "use_rslora", json_boolean(root));
}

/* ---- adapter_model.safetensors ---- */

/* Of `rank` dimensions, under the name of a part of the module. */
static int put_part(struct peft_out *o, const char *module, const char *part, int rank, int64_t rows, int64_t cols,
                    float *data)
{
	char *name = ft_format("%s.%s", module, part);
	struct ft_param p = { .file = name, .rank = rank, .t = { .rows = rows, .cols = cols, .data = data } };
	int rc = name ? peft_tensor(o, &p, PEFT_PREFIX, name) : FT_EFAIL;
	free(name);
	return rc;
}

static int put_tensors(struct peft_out *o, const struct ft_delta *d)
{
	int64_t in = d->table ? d->weight->t.rows : d->weight->t.cols,
	        out = d->table ? d->weight->t.cols : d->weight->t.rows;
	int rc = put_part(o, d->module, d->table ? "lora_embedding_A" : "lora_A.weight", 2, d->r, in, d->a);
	rc = rc ? rc : put_part(o, d->module, d->table ? "lora_embedding_B" : "lora_B.weight", 2, out, d->r, d->b);
	return rc || !d->lengths ? rc : put_part(o, d->module, "lora_magnitude_vector", 1, 1, out, d->lengths);
}

int peft_put_deltas(struct peft_out *o)
{
	struct ft_delta *d = NULL;
	size_t n = 0;
	int rc = ft_model_deltas(o->m, &d, &n);
	char **modules = rc < 0 ? NULL : ft_alloc(n, sizeof *modules);
	rc = rc ? rc : modules ? check_lengths(d, n) : FT_EFAIL;
	for (size_t i = 0; modules && i < n; i++)
		modules[i] = d[i].module;
	rc = rc ? rc : put_config(o, d, n, modules);
	for (size_t i = 0; i < n && rc == FT_OK; i++)
		rc = put_tensors(o, &d[i]);
	free(modules);
	ft_deltas_free(d, n);
	return rc;
}

/* export_peft_vectors.c - techniques whose parameters PEFT has as they are: IA3's vectors, and VeRA's with what they
 * share. */
#include "export_peft.h"
#include "ft/err.h"
#include "ft/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- modules ---- */

struct modules {
	char **name; /* from malloc */
	size_t count;
};

static void free_modules(struct modules *all)
{
	for (size_t i = 0; i < all->count; i++)
		free(all->name[i]);
	free(all->name);
}

/* Adds those that have a parameter of which `is` is true. */
static int add_modules(const struct ft_model *m, struct modules *all, bool (*is)(const struct ft_param *p))
{
	if (!all->name && !(all->name = ft_alloc(ft_model_params(m), sizeof *all->name)))
		return FT_EFAIL;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		if (!p->technique || !is(p))
			continue;
		char *module = peft_module(p);
		all->name[all->count] = module ? ft_strdup(module + strlen(PEFT_PREFIX)) : NULL;
		free(module);
		if (!all->name[all->count++])
			return FT_EFAIL;
	}
	return FT_OK;
}

static int put_parameters(struct peft_out *o)
{
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < ft_model_params(o->m); i++) {
		const struct ft_param *p = ft_model_param(o->m, i);
		rc = p->technique ? peft_tensor(o, p, "", p->file) : FT_OK;
	}
	return rc;
}

/* ---- IA3 ---- */

static bool of_input(const struct ft_param *p) { return p->t.rows == 1; }
static bool of_output(const struct ft_param *p) { return !of_input(p); }

/* Those whose vectors multiply what the layer is given come first, and are `inside`. */
static int put_ia3_config(struct peft_out *o, const struct modules *all, size_t inside)
{
	json_t *c = o->config, *given = peft_targets(o->m, all->name, inside, true);
	json_t *targets = peft_targets(o->m, all->name + inside, all->count - inside, false);
	int rc = json_array_extend(targets, given) < 0 ? ft_fail(FT_EFAIL, "out of memory for adapter_config.json") : FT_OK;
	rc = rc ? rc : ft_json_set(c, "fan_in_fan_out", json_boolean(peft_turned(o->m, all->name, all->count)));
	rc = rc ? rc : ft_json_set(c, "feedforward_modules", json_incref(given));
	rc = rc ? rc : ft_json_set(c, "init_ia3_weights", json_true());
	rc = rc ? rc : ft_json_set(c, "peft_type", json_string("IA3"));
	rc = rc ? rc : ft_json_set(c, "target_modules", json_incref(targets));
	json_decref(given);
	json_decref(targets);
	return rc;
}

int peft_put_ia3(struct peft_out *o)
{
	struct modules all = { 0 };
	int rc = add_modules(o->m, &all, of_input);
	size_t inside = all.count;
	rc = rc ? rc : add_modules(o->m, &all, of_output);
	rc = rc ? rc : put_ia3_config(o, &all, inside);
	free_modules(&all);
	return rc ? rc : put_parameters(o);
}

/* ---- VeRA ---- */

static bool is_lambda(const struct ft_param *p)
{
	static const char end[] = ".vera_lambda_b";
	size_t n = strlen(p->file);
	return n > sizeof end && strcmp(p->file + n - (sizeof end - 1), end) == 0;
}

/* The key is of random numbers that PEFT does not draw, since vera_A and vera_B are saved. */
static int put_vera_config(struct peft_out *o, const struct modules *all)
{
	const json_t *said = json_array_get(json_object_get(ft_model_meta(o->m), "adapt"), 0);
	json_t *c = o->config;
	int rc = ft_json_set(c, "bias", json_string("none"));
	rc = rc ? rc : ft_json_set(c, "d_initial", json_real(ft_json_real(said, "initial", 0.1, NULL)));
	rc = rc ? rc : ft_json_set(c, "fan_in_fan_out", json_boolean(peft_turned(o->m, all->name, all->count)));
	rc = rc ? rc : ft_json_set(c, "init_weights", json_true());
	rc = rc ? rc : ft_json_set(c, "layers_pattern", json_null());
	rc = rc ? rc : ft_json_set(c, "layers_to_transform", json_null());
	rc = rc ? rc : ft_json_set(c, "peft_type", json_string("VERA"));
	rc = rc ? rc : ft_json_set(c, "projection_prng_key", json_integer(0));
	rc = rc ? rc : ft_json_set(c, "r", json_integer(ft_json_int(said, "r", 256, NULL)));
	rc = rc ? rc : ft_json_set(c, "save_projection", json_true());
	rc = rc ? rc : ft_json_set(c, "target_modules", peft_targets(o->m, all->name, all->count, false));
	return rc ? rc : ft_json_set(c, "vera_dropout", json_real(ft_json_real(said, "dropout", 0, NULL)));
}

int peft_put_vera(struct peft_out *o)
{
	struct modules all = { 0 };
	int rc = add_modules(o->m, &all, is_lambda);
	rc = rc ? rc : put_vera_config(o, &all);
	free_modules(&all);
	return rc ? rc : put_parameters(o);
}

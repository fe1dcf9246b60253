/* export_peft_ia3.c - IA3's vectors as PEFT has them, which are ours. */
#include "export_peft.h"
#include "ft/err.h"
#include "ft/mem.h"

#include <stdlib.h>
#include <string.h>

/* Modules: those whose vectors multiply what the layer is given first. */
struct modules {
	char **name; /* from malloc */
	size_t count, inside;
};

static bool of_input(const struct ft_param *p) { return p->t.rows == 1; }

/* Those of one kind behind those that are there. */
static int add_modules(const struct ft_model *m, struct modules *all, bool input)
{
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		if (!p->technique || of_input(p) != input)
			continue;
		char *module = peft_module(p);
		all->name[all->count] = module ? ft_strdup(module + strlen(PEFT_PREFIX)) : NULL;
		free(module);
		if (!all->name[all->count++])
			return FT_EFAIL;
	}
	return FT_OK;
}

static int put_config(struct peft_out *o, const struct modules *all)
{
	json_t *c = o->config, *inside = peft_targets(o->m, all->name, all->inside, true);
	json_t *others = peft_targets(o->m, all->name + all->inside, all->count - all->inside, false);
	int rc = json_array_extend(others, inside) < 0 ? ft_fail(FT_EFAIL, "out of memory for adapter_config.json") : FT_OK;
	rc = rc ? rc : ft_json_set(c, "fan_in_fan_out", json_boolean(peft_turned(o->m, all->name, all->count)));
	rc = rc ? rc : ft_json_set(c, "feedforward_modules", json_incref(inside));
	rc = rc ? rc : ft_json_set(c, "init_ia3_weights", json_true());
	rc = rc ? rc : ft_json_set(c, "peft_type", json_string("IA3"));
	rc = rc ? rc : ft_json_set(c, "target_modules", json_incref(others));
	json_decref(inside);
	json_decref(others);
	return rc;
}

int peft_put_ia3(struct peft_out *o)
{
	struct modules all = { .name = ft_alloc(ft_model_params(o->m), sizeof *all.name) };
	int rc = all.name ? add_modules(o->m, &all, true) : FT_EFAIL;
	all.inside = all.count;
	rc = rc ? rc : add_modules(o->m, &all, false);
	rc = rc ? rc : put_config(o, &all);
	for (size_t i = 0; rc == FT_OK && i < ft_model_params(o->m); i++) {
		const struct ft_param *p = ft_model_param(o->m, i);
		rc = p->technique ? peft_tensor(o, p, "", p->file) : FT_OK;
	}
	for (size_t i = 0; i < all.count; i++)
		free(all.name[i]);
	free(all.name);
	return rc;
}

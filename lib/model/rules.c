/* rules.c - what trains, and how fast: from a plan's options to meta.train,
 * and from meta.train to the parameters.
 *
 * meta.train = {rules: [["freeze" | "train", glob], …] in order, the last that
 * matches wins; rates: [[glob, multiplier], …], all that match multiply;
 * layer_decay: d}. No rules: everything trains. */
#include "priv.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool matches(const struct ft_param *p, const char *glob)
{
	return fnmatch(glob, p->name, 0) == 0 || fnmatch(glob, p->file, 0) == 0;
}

/* The new rows of a matrix, which have a name of their own. */
static bool matches_new(const struct ft_model *m, const struct ft_param *p, const char *glob)
{
	char name[TOKENS_NAME];
	return tokens_name(m, p, name, sizeof name) && fnmatch(glob, name, 0) == 0;
}

static int check_glob(const struct ft_model *m, const char *option, const char *glob)
{
	for (size_t i = 0; i < m->count; i++)
		if (matches(m->params[i], glob) || matches_new(m, m->params[i], glob))
			return FT_OK;
	return ft_fail(FT_EUSAGE, "%s: '%s' matches no parameter of %s (there is, for one, %s)", option, glob, m->name,
	               m->params[0]->name);
}

static int add_rule(json_t *rules, const char *op, const char *glob)
{
	json_t *rule = json_pack("[s,s]", op, glob);
	return rule ? ft_json_append(rules, rule) : ft_json_no_string(glob, FT_EUSAGE, "a glob that is not UTF-8");
}

static int last_layers(const struct ft_model *m, json_t *rules, int64_t n)
{
	if (n > m->shape.layers)
		return ft_fail(FT_EUSAGE, "--last-layers: %lld, of a model with %lld layers", (long long)n,
		               (long long)m->shape.layers);
	int rc = add_rule(rules, "freeze", "*");
	for (int64_t i = m->shape.layers - n; rc == FT_OK && i < m->shape.layers; i++) {
		char glob[40];
		snprintf(glob, sizeof glob, "layer.%lld.*", (long long)i);
		rc = add_rule(rules, "train", glob);
	}
	if (rc == FT_OK && n > 0 && ft_model_find(m, "final.norm.weight")) /* belongs to the last layer */
		rc = add_rule(rules, "train", "final.*");
	return rc;
}

/* The head, and what is new, trains unless it is frozen by name. Beside techniques a head over the
 * vocabulary, as large as the network may be, trains only when it is new. */
static int train_top(const struct ft_model *m, json_t *rules)
{
	bool stays = m->adapt && ft_task_of_words(ft_model_task(m));
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < m->count; i++)
		if (m->params[i]->layer == (int)m->shape.layers && (m->params[i]->fresh || !stays))
			rc = add_rule(rules, "train", m->params[i]->name);
	if (rc == FT_OK && m->shape.words < m->shape.vocabulary)
		rc = add_rule(rules, "train", "*.new");
	return rc;
}

static int make_rules(const struct ft_model *m, const struct ft_plan *p, json_t *rules)
{
	int rc = FT_OK;
	bool some = p->last_layers >= 0 || p->ntrain || m->adapt;
	if (p->last_layers >= 0)
		rc = last_layers(m, rules, p->last_layers);
	else if (some)
		rc = add_rule(rules, "freeze", "*");
	if (rc == FT_OK && some)
		rc = train_top(m, rules);
	rc = rc ? rc : adapt_rules(m, rules);
	for (size_t i = 0; rc == FT_OK && i < p->ntrain; i++) {
		rc = check_glob(m, "--train", p->train[i]);
		rc = rc < 0 ? rc : add_rule(rules, "train", p->train[i]);
	}
	for (size_t i = 0; rc == FT_OK && i < p->nfreeze; i++) {
		rc = check_glob(m, "--freeze", p->freeze[i]);
		rc = rc < 0 ? rc : add_rule(rules, "freeze", p->freeze[i]);
	}
	return rc;
}

static int make_rate(const struct ft_model *m, const char *text, json_t *rates)
{
	const char *equals = strrchr(text, '=');
	char *end = NULL;
	double rate = equals ? strtod(equals + 1, &end) : 0;
	if (!equals || end == equals + 1 || *end || !(rate >= 0 && rate < 1e9))
		return ft_fail(FT_EUSAGE, "--rate: '%s' is not GLOB=MULTIPLIER", text);
	char *glob = ft_strndup(text, (size_t)(equals - text));
	int rc = glob ? check_glob(m, "--rate", glob) : FT_EFAIL;
	if (rc == FT_OK && json_array_append_new(rates, json_pack("[s,f]", glob, rate)) < 0)
		rc = ft_fail(FT_EUSAGE, "--rate: not UTF-8");
	free(glob);
	return rc;
}

int rules_make(struct ft_model *m, const struct ft_plan *p)
{
	json_t *train = json_object(), *rules = json_array(), *rates = json_array();
	int rc = ft_json_set(train, "rules", rules) | ft_json_set(train, "rates", rates) |
	         ft_json_set(train, "layer_decay", json_real(p->layer_decay)) | ft_json_set(m->meta, "train", train);
	rc = rc ? FT_EFAIL : make_rules(m, p, rules);
	for (size_t i = 0; rc == FT_OK && i < p->nrates; i++)
		rc = make_rate(m, p->rates[i], rates);
	return rc;
}

/* Where a matrix is frozen and its new rows are not, these train alone. They do not decay: unlike other weights they do
 * not begin near 0. */
static int apply_train(const struct ft_model *m, const json_t *train, struct ft_param *p)
{
	bool new_rows = true;
	size_t i;
	json_t *rule;
	json_array_foreach(json_object_get(train, "rules"), i, rule) {
		const char *op = json_string_value(json_array_get(rule, 0)), *glob = json_string_value(json_array_get(rule, 1));
		if (!op || !glob)
			return ft_fail(FT_EFORMAT, "%s: train: rule %zu is not [freeze or train, glob]", m->name, i);
		if (matches(p, glob))
			p->trains = strcmp(op, "train") == 0;
		if (matches_new(m, p, glob))
			new_rows = strcmp(op, "train") == 0;
	}
	if (!p->trains && new_rows && matches_new(m, p, "*")) {
		p->trains = true;
		p->decays = false;
		p->first = m->shape.words;
	}
	p->trains = p->trains && !p->constant;
	p->t.needs_grad = p->trains;
	return FT_OK;
}

static int apply_rates(const struct ft_model *m, const json_t *train, struct ft_param *p)
{
	double decay = ft_json_real(train, "layer_decay", 1, NULL);
	size_t i;
	json_t *rate;
	json_array_foreach(json_object_get(train, "rates"), i, rate) {
		const char *glob = json_string_value(json_array_get(rate, 0));
		if (!glob || !json_is_number(json_array_get(rate, 1)))
			return ft_fail(FT_EFORMAT, "%s: train: rate %zu is not [glob, number]", m->name, i);
		if (matches(p, glob) || (p->first && matches_new(m, p, glob)))
			p->rate *= json_number_value(json_array_get(rate, 1));
	}
	for (int64_t l = p->layer; l < m->shape.layers; l++)
		p->rate *= decay;
	return FT_OK;
}

int rules_apply(struct ft_model *m)
{
	const json_t *train = json_object_get(m->meta, "train");
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < m->count; i++) {
		rc = apply_train(m, train, m->params[i]);
		rc = rc ? rc : apply_rates(m, train, m->params[i]);
	}
	return rc;
}

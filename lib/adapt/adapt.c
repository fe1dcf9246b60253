/* adapt.c - techniques of a model: attached when it is opened, called at its sites, merged into its weights. */
#include "priv.h"

#include "ft/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct adapt {
	struct adapter *list; /* as meta.adapt */
	size_t count;
	int64_t tokens, keys; /* that all of them put before each row */
	const struct adapter *prefix; /* whose keys these are */
	struct attached **at; /* all */
	size_t attached, cap;
	struct attached **newest; /* [slots]: open addressing by the name of the site; the older ones follow it */
	size_t slots;
	bool plain; /* none is called */
};

/* ---- parameters ---- */
static int add_param(struct ft_model *m, const struct adapter *r, struct ft_param **out, enum param_kind kind,
                     int layer, char *name_taken, char *file_taken, int64_t rows, int64_t cols)
{
	int rc = name_taken && file_taken ? param_add(m, kind, layer, name_taken, file_taken, rows, cols) : FT_EFAIL;
	free(name_taken);
	free(file_taken);
	if (rc < 0)
		return rc;
	*out = m->params[m->count - 1];
	(*out)->technique = (*out)->fresh = true;
	(*out)->rate = adapt_rate(r);
	return FT_OK;
}

int adapt_param(struct ft_model *m, struct attached *a, int i, const struct site *s, enum param_kind kind,
                const char *part, const char *file, int64_t rows, int64_t cols)
{
	const struct adapter *r = a->adapter;
	return add_param(m, r, &a->part[i], kind, s->layer, ft_format("%s.%s.%s", s->name, r->name, part),
	                 s->kind == SITE_BLOCK ? ft_format("@%s.adapters.%s.%s", s->file, r->name, file)
	                                       : ft_format("@base_model.model.%s.%s", s->file, file), rows, cols);
}

int adapt_share(struct ft_model *m, struct adapter *r, int i, enum param_kind kind, const char *part, const char *file,
                int64_t rows, int64_t cols)
{
	return add_param(m, r, &r->shared[i], kind, -1, ft_format("embed.%s.%s", r->name, part), ft_format("@%s", file),
	                 rows, cols);
}

/* ---- attaching ---- */
static struct attached **slot_of(const struct adapt *all, const char *site)
{
	size_t at = name_hash(site) & (all->slots - 1);
	while (all->newest[at] && strcmp(all->newest[at]->site, site) != 0)
		at = (at + 1) & (all->slots - 1);
	return &all->newest[at];
}

bool adapt_taken(const struct ft_model *m, const char *site) { return *slot_of(m->adapt, site) != NULL; }

/* What stands before each row takes of the places that the model has. */
static int take_places(const struct ft_model *m, struct attached *a)
{
	struct adapt *all = m->adapt;
	if (a->keys && all->prefix && all->prefix != a->adapter)
		return ft_fail(FT_EUSAGE, "%s: at %s: there is one already, and rows can have one", a->kind->name, a->site);
	if (a->keys) {
		all->prefix = a->adapter;
		all->keys = a->keys;
	}
	a->first = all->tokens;
	all->tokens += a->tokens;
	if (all->tokens + all->keys < m->shape.positions)
		return FT_OK;
	return ft_fail(FT_EUSAGE, "%s: at %s: %lld tokens before each row leave no room for one; %s has %lld positions",
	               a->kind->name, a->site, (long long)(all->tokens + all->keys), m->name,
	               (long long)m->shape.positions);
}

static int attach(struct ft_model *m, struct adapter *r, const struct site *s)
{
	struct adapt *all = m->adapt;
	int rc = ft_grow(&all->at, &all->cap, all->attached + 1, sizeof *all->at);
	struct attached *a = rc < 0 ? NULL : ft_alloc(1, sizeof *a);
	if (!a)
		return FT_EFAIL;
	all->at[all->attached++] = a;
	*a = (struct attached){ .kind = r->kind, .adapter = r, .weight = s->weight, .bias = s->bias, .embed = &m->shape.embed };
	a->site = ft_strdup(s->name);
	rc = a->site ? r->kind->attach(m, a, s) : FT_EFAIL;
	rc = rc ? rc : take_places(m, a);
	if (rc < 0)
		return rc;
	struct attached **newest = slot_of(all, s->name);
	a->next = *newest;
	*newest = a;
	return FT_OK;
}

static bool is_at(const struct technique *t, const struct site *s, const char *glob)
{
	return t->kinds & s->kind && adapt_matches(glob, s);
}

static size_t count_matches(const struct technique *t, const struct sites *s, const char *glob)
{
	size_t n = 0;
	for (size_t i = 0; i < s->count; i++)
		n += is_at(t, &s->at[i], glob);
	return n;
}

/* meta's "sites" when nothing was said: those usual globs that match something. */
static int usual_sites(const struct ft_model *m, const struct adapter *r, const struct sites *s)
{
	json_t *globs = json_array();
	int rc = ft_json_set(r->config, "sites", globs);
	for (const char *const *g = r->kind->sites; rc == FT_OK && *g; g++)
		if (count_matches(r->kind, s, *g))
			rc = ft_json_append(globs, json_string(*g));
	if (rc == FT_OK && json_array_size(globs) == 0)
		rc = ft_fail(FT_EUSAGE, "%s: %s has none of its usual sites (%s, …): sites=GLOB says which; ft-freeze --show "
		             "lists them", r->kind->name, m->name, r->kind->sites[0]);
	return rc;
}

/* One that the technique can be at, to be named to a user. */
static const char *some_site(const struct technique *t, const struct sites *s)
{
	for (size_t i = s->count; i-- > 0;)
		if (s->at[i].kind & t->kinds)
			return s->at[i].name;
	return "none";
}

static int check_sites(const struct ft_model *m, const struct adapter *r, const struct sites *s)
{
	size_t i;
	json_t *glob;
	json_array_foreach(json_object_get(r->config, "sites"), i, glob)
		if (count_matches(r->kind, s, json_string_value(glob)) == 0)
			return ft_fail(FT_EUSAGE, "%s: sites: '%s' matches no site of %s (there is, for one, %s)", r->kind->name,
			               json_string_value(glob), m->name, some_site(r->kind, s));
	return FT_OK;
}

static bool is_meant(const struct adapter *r, const struct site *s)
{
	size_t i;
	json_t *glob;
	json_array_foreach(json_object_get(r->config, "sites"), i, glob)
		if (is_at(r->kind, s, json_string_value(glob)))
			return true;
	return false;
}

/* What its sites share, before it comes to them. */
static int share(struct ft_model *m, struct adapter *r, const struct sites *s)
{
	int64_t out = 0, in = 0;
	for (size_t k = 0; k < s->count; k++) {
		const struct ft_param *w = is_meant(r, &s->at[k]) ? s->at[k].weight : NULL;
		out = w && w->t.rows > out ? w->t.rows : out;
		in = w && w->t.cols > in ? w->t.cols : in;
	}
	return r->kind->share(m, r, out, in);
}

static int attach_all(struct ft_model *m, struct adapter *r, const struct sites *s)
{
	int rc = json_object_get(r->config, "sites") ? check_sites(m, r, s) : usual_sites(m, r, s);
	rc = rc == FT_OK && r->kind->share ? share(m, r, s) : rc;
	for (size_t k = 0; rc == FT_OK && k < s->count; k++) {
		if (is_meant(r, &s->at[k]))
			rc = attach(m, r, &s->at[k]);
		else if (r->kind->everywhere && r->kind->kinds & s->at[k].kind)
			rc = ft_fail(FT_EUSAGE, "%s: sites: leave out %s; it is in every layer or in none", r->kind->name,
			             s->at[k].name);
	}
	return rc;
}

static int read_adapter(const struct ft_model *m, struct adapter *r, json_t *config, size_t i)
{
	const char *type = json_string_value(json_object_get(config, "type"));
	*r = (struct adapter){ .config = config, .name = json_string_value(json_object_get(config, "name")),
	                       .planned = i >= m->old_adapters };
	r->kind = type ? adapt_find(type, strlen(type)) : NULL;
	if (!r->kind || !r->name || !*r->name || strlen(r->name) > 40 || strpbrk(r->name, ".*?["))
		return ft_fail(FT_EFORMAT, "%s: adapt: number %zu has no type that is known, or no name", m->name, i);
	for (size_t k = 0; k < i; k++)
		if (strcmp(m->adapt->list[k].name, r->name) == 0)
			return ft_fail(FT_EFORMAT, "%s: adapt: two are called '%s'", m->name, r->name);
	int rc = adapt_check(r->kind, config);
	return rc < 0 ? ft_context(rc, "%s: adapt: number %zu", m->name, i) : FT_OK;
}

int adapt_describe(struct ft_model *m)
{
	const json_t *list = json_object_get(m->meta, "adapt");
	struct sites s = { 0 };
	if (!list)
		return FT_OK;
	if (json_array_size(list) > ADAPT_MOST)
		return ft_fail(m->old_adapters > ADAPT_MOST ? FT_EFORMAT : FT_EUSAGE,
		               "%s: adapt: %zu techniques; there may be %d", m->name, json_array_size(list), ADAPT_MOST);
	struct adapt *all = m->adapt = ft_alloc(1, sizeof *all);
	if (!all)
		return FT_EFAIL;
	int rc = sites_collect(m, &s);
	for (all->slots = 64; all->slots < 2 * s.count; all->slots *= 2)
		;
	all->newest = ft_alloc(all->slots, sizeof(struct attached *));
	all->list = ft_alloc(json_array_size(list) + 1, sizeof *all->list);
	rc = all->newest && all->list ? rc : FT_EFAIL;
	for (size_t i = 0; rc == FT_OK && i < json_array_size(list); i++) {
		rc = read_adapter(m, &all->list[i], json_array_get(list, i), i);
		all->count = i + 1;
		rc = rc ? rc : attach_all(m, &all->list[i], &s);
		if (rc == FT_EUSAGE && i < m->old_adapters)
			rc = ft_fail(FT_EFORMAT, "%s: adapt: %s", m->name, ft_message());
	}
	sites_free(&s);
	return rc;
}

void adapt_free(struct ft_model *m)
{
	struct adapt *all = m->adapt;
	if (!all)
		return;
	for (size_t i = 0; i < all->attached; i++) {
		if (all->at[i]->kind->release)
			all->at[i]->kind->release(all->at[i]);
		free(all->at[i]->site);
		free(all->at[i]);
	}
	for (size_t i = 0; i < all->count; i++)
		if (all->list[i].kind && all->list[i].kind->forget)
			all->list[i].kind->forget(&all->list[i]);
	free(all->at);
	free(all->newest);
	free(all->list);
	free(all);
	m->adapt = NULL;
}

int64_t adapt_places(const struct ft_model *m) { return m->adapt ? m->adapt->tokens + m->adapt->keys : 0; }

static bool is_new(const struct attached *a)
{
	for (int i = 0; i < ADAPT_PARTS; i++)
		if (a->part[i] && a->part[i]->stored)
			return false;
	return true;
}

int adapt_start(struct ft_model *m)
{
	int rc = FT_OK;
	for (size_t i = 0; m->adapt && rc == FT_OK && i < m->adapt->attached; i++) {
		const struct attached *a = m->adapt->at[i];
		if (a->kind->start && is_new(a))
			rc = a->kind->start(m, a);
	}
	return rc;
}

/* The numbers of all sites of the one technique side by side. */
static int fill_virtual(const struct adapt *all, struct ft_virtual *v)
{
	int64_t one = v->cols / (int64_t)all->attached;
	int rc = FT_OK;
	v->data = ft_alloc((size_t)v->rows * (size_t)v->cols, sizeof *v->data);
	for (size_t i = 0; v->data && rc == FT_OK && i < all->attached; i++)
		rc = all->at[i]->kind->embeddings(all->at[i], v->data + (int64_t)i * one, v->cols);
	if (v->data && rc == FT_OK)
		return 1;
	free(v->data);
	v->data = NULL;
	return rc ? rc : FT_EFAIL;
}

int ft_model_virtual(const struct ft_model *m, struct ft_virtual *v)
{
	const struct adapt *all = m->adapt;
	const struct shape *s = &m->shape;
	*v = (struct ft_virtual){ 0 };
	if (!all || all->count != 1 || !all->list[0].kind->embeddings)
		return 0;
	bool own = s->kv_heads && s->head_size; /* keys of another width than states */
	v->keys = all->keys > 0;
	v->rows = v->keys ? all->keys : all->tokens;
	v->width = v->keys && own ? s->kv_heads * s->head_size : s->width;
	v->heads = v->keys && own ? s->kv_heads : s->heads;
	v->layers = s->layers;
	v->cols = v->keys ? 2 * v->layers * v->width : v->width;
	return fill_virtual(all, v);
}

/* ---- plans ---- */

/* "lora", or the first of lora2, lora3, … that is free. */
static json_t *free_name(const json_t *list, const char *name)
{
	char tried[48];
	snprintf(tried, sizeof tried, "%s", name);
	for (int n = 2;; n++) {
		size_t i;
		json_t *o;
		bool taken = false;
		json_array_foreach(list, i, o)
			taken = taken || strcmp(json_string_value(json_object_get(o, "name")), tried) == 0;
		if (!taken)
			return json_string(tried);
		snprintf(tried, sizeof tried, "%s%d", name, n);
	}
}

int adapt_plan(struct ft_model *m, const struct ft_plan *p)
{
	json_t *list = json_object_get(m->meta, "adapt");
	m->old_adapters = json_array_size(list);
	if (p->ntechniques == 0)
		return FT_OK;
	int rc = list ? FT_OK : ft_json_set(m->meta, "adapt", json_array());
	list = json_object_get(m->meta, "adapt");
	for (size_t i = 0; rc == FT_OK && i < json_array_size(list); i++)
		if (!json_is_string(json_object_get(json_array_get(list, i), "name")))
			rc = ft_fail(FT_EFORMAT, "%s: adapt: number %zu has no name", m->name, i);
	for (size_t i = 0; rc == FT_OK && i < p->ntechniques; i++) {
		const struct technique *t = adapt_find(p->techniques[i].name, strlen(p->techniques[i].name));
		json_t *o = t ? adapt_parse(t, p->techniques[i].text) : NULL;
		if (!o)
			return t ? ft_last_error() : ft_fail(FT_EUSAGE, "'%s' is not a technique", p->techniques[i].name);
		rc = ft_json_set(o, "name", free_name(list, t->name));
		if (json_array_append_new(list, o) < 0)
			rc = FT_EFAIL;
	}
	return rc;
}

int adapt_rules(const struct ft_model *m, json_t *rules)
{
	size_t count = m->adapt ? m->adapt->count : 0, from = count > m->old_adapters ? m->old_adapters : 0;
	for (size_t i = from; i < count; i++) {
		json_t *rule = json_pack("[s,o]", "train", json_sprintf("*.%s.*", m->adapt->list[i].name));
		if (json_array_append_new(rules, rule) < 0)
			return ft_fail(FT_EFAIL, "out of memory for a plan");
	}
	return FT_OK;
}

const struct attached *adapt_at(const struct ft_model *m, const char *site)
{
	return m->adapt ? *slot_of(m->adapt, site) : NULL;
}

const struct ft_param *adapt_missing(const struct ft_model *m)
{
	for (size_t i = 0; m->adapt && i < m->adapt->attached; i++) {
		const struct attached *a = m->adapt->at[i];
		for (int k = 0; k < ADAPT_PARTS && (size_t)(a->adapter - m->adapt->list) < m->old_adapters; k++)
			if (a->part[k] && !a->part[k]->stored)
				return a->part[k];
		for (int k = 0; k < ADAPT_SHARED && (size_t)(a->adapter - m->adapt->list) < m->old_adapters; k++)
			if (a->adapter->shared[k] && !a->adapter->shared[k]->stored)
				return a->adapter->shared[k];
	}
	return NULL;
}

/* ---- on every pass ---- */
static const struct attached *attached_at(const struct ft_model *m, const char *site)
{
	return m->adapt && !m->adapt->plain ? *slot_of(m->adapt, site) : NULL;
}

/* Each stands around what was there before it. */
static struct ft_tensor *linear_with(struct ft_graph *g, const struct attached *a, struct ft_tensor *x,
                                     struct ft_tensor *w, struct ft_tensor *b)
{
	if (!a)
		return ft_linear(g, x, w, b);
	if (a->kind->input)
		x = a->kind->input(g, a, x);
	struct ft_tensor *y = linear_with(g, a->next, x, w, b);
	return a->kind->linear ? a->kind->linear(g, a, x, y) : y;
}

struct ft_tensor *adapt_linear(struct ft_model *m, struct ft_graph *g, const char *site, struct ft_tensor *x,
                               struct ft_tensor *w, struct ft_tensor *b)
{
	return linear_with(g, attached_at(m, site), x, w, b);
}

static struct ft_tensor *table_with(struct ft_graph *g, const struct attached *a, const struct ft_batch *b,
                                    struct ft_tensor *y)
{
	if (!a)
		return y;
	y = table_with(g, a->next, b, y);
	return a->kind->table ? a->kind->table(g, a, b, y) : y;
}

struct ft_tensor *adapt_table(struct ft_model *m, struct ft_graph *g, const char *site, const struct ft_batch *b,
                              struct ft_tensor *y)
{
	return table_with(g, attached_at(m, site), b, y);
}

struct ft_tensor *block_sum(struct ft_graph *g, const struct block *b, struct ft_tensor *y)
{
	return ft_sum(g, y, b->x);
}

struct ft_tensor *block_norm(struct ft_graph *g, const struct block *b, struct ft_tensor *sum)
{
	return b->norm ? site_norm(b->m, g, sum, "%s.norm", b->site) : sum;
}

static struct ft_tensor *block_with(struct ft_graph *g, const struct attached *a, struct block *b, struct ft_tensor *y)
{
	if (!a)
		return y;
	y = block_with(g, a->next, b, y);
	return a->kind->block ? a->kind->block(g, a, b, y) : y;
}

struct ft_tensor *adapt_block(struct ft_model *m, struct ft_graph *g, const char *site, struct ft_tensor *y,
                              struct ft_tensor *x, float dropout, bool norm)
{
	const struct attached *a = attached_at(m, site);
	struct block b = { .m = m, .site = site, .x = x, .norm = norm };
	if (a)
		y = block_with(g, a, &b, ft_dropout_add(g, y, NULL, dropout));
	return b.whole ? y : block_norm(g, &b, ft_dropout_add(g, y, x, attached_at(m, site) ? 0 : dropout));
}

struct ft_tensor *adapt_attention(struct ft_model *m, struct ft_graph *g, const char *site, const struct ft_batch *b,
                                  struct ft_tensor *q, struct ft_tensor *k, struct ft_tensor *v,
                                  const struct ft_attention_options *o)
{
	const struct attached *a = attached_at(m, site);
	while (a && !a->kind->prefix)
		a = a->next;
	if (!a)
		return ft_attention(g, b, q, k, v, o);
	struct ft_attention_options with = *o;
	with.lead = a->keys;
	return ft_attention(g, b, q, ft_prefix(g, b, k ? k : q, v, a->kind->prefix(g, a)), NULL, &with);
}

const struct ft_batch *adapt_batch(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b)
{
	bool works = m->adapt && !m->adapt->plain;
	ft_graph_lead(g, works ? m->adapt->tokens : 0, works ? m->adapt->keys : 0);
	return extend_batch(g, b, works ? m->adapt->tokens : 0);
}

void ft_model_plain(struct ft_model *m, bool plain)
{
	if (m->adapt)
		m->adapt->plain = plain;
}

/* ---- merging ---- */

/* The numbers of a weight in memory, to be changed. */
static int to_memory(struct ft_param *p)
{
	if (p->t.data)
		return FT_OK;
	p->t.data = ft_alloc_whole((size_t)p->t.rows * (size_t)p->t.cols, sizeof(float));
	if (!p->t.data)
		return FT_EFAIL;
	ft_tensor_floats(&p->t, 0, p->t.rows, p->t.data);
	free(p->own);
	p->own = NULL;
	p->t.stored = NULL;
	p->t.dtype = FT_F32;
	return FT_OK;
}

static int check_merge(const struct ft_model *m, const struct attached *a)
{
	if (!a->kind->merge)
		return ft_fail(FT_EUSAGE, "%s: %s cannot be merged into the weights; --to %s exports it beside them", m->name,
		               a->adapter->name, a->kind->beside ? a->kind->beside : "peft");
	if (a->weight && a->weight->kind == PARAM_TABLE && ft_model_task(m) == FT_TASK_LM && m->shape.tied)
		return ft_fail(FT_EUSAGE, "%s: %s changes the word embeddings, which also decode: merged it would change both",
		               m->name, a->adapter->name);
	return FT_OK;
}

bool ft_model_adapted(const struct ft_model *m) { return m->adapt && m->adapt->count; }

int ft_model_merge(struct ft_model *m)
{
	struct adapt *all = m->adapt;
	int rc = FT_OK;
	for (size_t i = 0; all && rc == FT_OK && i < all->attached; i++)
		rc = check_merge(m, all->at[i]);
	for (size_t i = 0; all && rc == FT_OK && i < all->attached; i++) {
		struct attached *a = all->at[i];
		rc = to_memory(a->weight);
		rc = rc ? rc : a->kind->merge(a);
		a->weight->stored = true;
		if (a->bias)
			a->bias->stored = true;
	}
	if (!all || rc < 0)
		return rc;
	adapt_free(m);
	json_object_del(m->meta, "adapt");
	return params_drop_techniques(m);
}

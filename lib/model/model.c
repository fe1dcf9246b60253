/* model.c - opening, describing, planning and writing a model. */
#include "ft/adapter.h"
#include "ft/chat.h"
#include "ft/gguf.h"
#include "ft/tok.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct ft_family *const families[] = {
#define X(name) &family_##name,
#include "families.def"
#undef X
};

json_t *ft_model_meta(const struct ft_model *m) { return m->meta; }
struct ft_reader *ft_model_reader(const struct ft_model *m) { return m->reader; }
const char *ft_model_name(const struct ft_model *m) { return m->name; }
const char *ft_model_dir(const struct ft_model *m) { return m->dir; }
size_t ft_model_params(const struct ft_model *m) { return m->count; }
struct ft_param *ft_model_param(const struct ft_model *m, size_t i) { return m->params[i]; }
enum ft_task ft_model_task(const struct ft_model *m) { return m->head->task; }
size_t ft_model_outputs(const struct ft_model *m) { return m->outputs; }

const char *ft_model_label(const struct ft_model *m, size_t i)
{
	return json_string_value(json_array_get(m->labels, i));
}

const char *ft_model_architecture(const struct ft_model *m)
{
	return json_string_value(json_object_get(m->meta, "architecture"));
}

void ft_model_loss(struct ft_model *m, double smoothing, const float *weights)
{
	m->loss = (struct ft_loss_options){ .smoothing = (float)smoothing, .weights = weights };
}

void ft_model_dropout(struct ft_model *m, double p)
{
	struct shape *s = &m->shape;
	s->dropout = s->attention_dropout = s->embed_dropout = s->head_dropout = (float)p;
}

int64_t ft_model_length(const struct ft_model *m, int64_t asked)
{
	int err = FT_OK;
	int64_t most = ft_json_int(m->meta, "max_length", INT32_MAX, &err);
	int64_t usual = ft_json_int(json_object_get(m->meta, "head"), "max_length", most, &err);
	if (err < 0 || most < 1 || usual < 1)
		return ft_fail(FT_EFORMAT, "%s: max_length is not a positive number", m->name);
	if (asked < 0 || asked > most)
		return ft_fail(FT_EUSAGE, "--max-length %lld: %s takes at most %lld tokens", (long long)asked, m->name,
		               (long long)most);
	return asked ? asked : usual < most ? usual : most;
}

int64_t config_size(const struct ft_model *m, const char *key, int64_t absent, int64_t least, int64_t most, int *err)
{
	if (*err) /* the first error is the one to tell */
		return least;
	int64_t v = ft_json_int(m->config, key, absent, err);
	if (*err || (v >= least && v <= most))
		return v;
	int rc = json_object_get(m->config, key)
	                 ? ft_fail(FT_EFORMAT, "%s: %lld is not in %lld .. %lld", key, (long long)v, (long long)least,
	                           (long long)most)
	                 : ft_fail(FT_EFORMAT, "%s: missing", key);
	*err = rc;
	return least;
}

float config_share(const struct ft_model *m, const char *key, double absent, int *err)
{
	double v = *err ? 0 : ft_json_real(m->config, key, absent, err);
	if (!(v >= 0 && v < 1))
		*err = ft_fail(FT_EFORMAT, "%s: %g is not in [0, 1)", key, v);
	return (float)v;
}

ft_activation *config_activation(const struct ft_model *m, const char *key, const char *absent, int *err)
{
	const char *name = *err ? NULL : ft_json_str(m->config, key, absent, err);
	ft_activation *f = name ? ft_activation_find(name) : NULL;
	if (!f && !*err)
		*err = ft_fail(FT_EFORMAT, "%s: '%.40s' is not known", key, name);
	return f;
}

int config_heads(const struct ft_model *m, const char *width, const char *heads)
{
	if (m->shape.width % m->shape.heads == 0)
		return FT_OK;
	return ft_fail(FT_EFORMAT, "%s %lld is not a multiple of %s %lld", width, (long long)m->shape.width, heads,
	               (long long)m->shape.heads);
}

int config_padding(struct ft_model *m, int64_t absent)
{
	int err = 0;
	bool none = json_is_null(json_object_get(m->config, "pad_token_id"));
	m->shape.embed.padding = none ? -1 : (int32_t)config_size(m, "pad_token_id", absent, -1, 1 << 24, &err);
	return err;
}

/* Where the error rc lies: in config.json, or in the keys of a file. */
static int in_config(const struct ft_model *m, int rc)
{
	return ft_gguf_named(m->dir) ? ft_context(rc, "%s", m->dir) : ft_context(rc, "%s: config.json", m->dir);
}

/* ---- meta of a base ---- */
static int describe_tokenizer(struct ft_model *m)
{
	int there = ft_tok_there(m->dir);
	if (there <= 0)
		return there; /* a model may be only weights; ft-tokenize will say so */
	struct ft_tok *t = ft_tok_open(m->dir);
	if (!t)
		return ft_last_error();
	int rc = ft_json_set(m->meta, "tokenizer", ft_tok_describe(t));
	ft_tok_free(t);
	return rc;
}

/* The chat template, where the folder has one that can be rendered. Why another cannot is told to those who
 * want to. */
static int describe_template(struct ft_model *m)
{
	struct ft_chat *c = ft_chat_of_dir(m->dir);
	int rc = c ? ft_json_set(m->meta, "template", json_pack("{s:s}", "digest", ft_chat_digest(c))) : FT_OK;
	ft_chat_free(c);
	return rc;
}

/* A bare model beside a description of its vectors is there for these. What that
 * description asks for and cannot be is told to those who want vectors. */
static json_t *head_of_folder(const struct ft_model *m)
{
	json_t *head = head_of_config(m->config), *vectors = NULL;
	bool bare = head && strcmp(json_string_value(json_object_get(head, "type")), head_none.name) == 0;
	int rc = bare ? vectors_of_folder(m->dir, &vectors) : FT_OK;
	if (rc == FT_OK || rc == FT_EFORMAT)
		return head;
	json_decref(head);
	return vectors; /* NULL: it could not be read at all */
}

static int meta_of_base(struct ft_model *m)
{
	m->meta = json_pack("{s:s, s:O, s:{s:s}}", "family", "", "config", ft_base_config(m->base), "base", "path", m->dir);
	if (!m->meta)
		return ft_json_no_string(m->dir, FT_EUSAGE, "%s: the name is not UTF-8", m->dir);
	m->config = json_object_get(m->meta, "config");
	json_t *head = head_of_folder(m);
	int rc = head ? ft_json_set(m->meta, "head", head) : ft_last_error();
	rc = rc < 0 ? in_config(m, rc) : describe_tokenizer(m);
	return rc < 0 ? rc : describe_template(m);
}

/* ---- where the base lies ---- */
static char *find_base(const char *hint, const char *stream, const char *base)
{
	if (base || !hint)
		return ft_strdup(base ? base : ".");
	struct stat st;
	const char *slash = stream ? strrchr(stream, '/') : NULL;
	if (stat(hint, &st) < 0 && slash && hint[0] != '/') {
		char *beside = ft_format("%.*s/%s", (int)(slash - stream), stream, hint);
		if (beside && stat(beside, &st) == 0)
			return beside;
		free(beside);
	}
	return ft_strdup(hint);
}

static int check_digest(struct ft_model *m)
{
	const char *want = json_string_value(json_object_get(json_object_get(m->meta, "base"), "digest"));
	if (!want && m->reads)
		return FT_OK;
	const char *have = ft_base_digest(m->base);
	if (!have)
		return ft_last_error();
	if (want && strcmp(want, have) != 0)
		return ft_fail(FT_EMATCH, "%s is based on a model with digest %s; %s has %s (--base says where it lies)",
		               m->name, want, m->dir, have);
	return ft_json_set(json_object_get(m->meta, "base"), "digest", json_string(have));
}

/* ---- opening ---- */
static int open_stream(struct ft_model *m, const char *path, const char *base)
{
	m->reader = ft_reader_open(path, "model");
	if (!m->reader)
		return ft_last_error();
	m->meta = ft_json_deep_copy(ft_reader_meta(m->reader));
	if (!m->meta)
		return ft_fail(FT_EFAIL, "%s: out of memory", m->name);
	m->config = json_object_get(m->meta, "config");
	if (!json_is_object(m->config) || !json_is_object(json_object_get(m->meta, "base")))
		return ft_fail(FT_EFORMAT, "%s: the header names no config or no base", m->name);
	const char *hint = json_string_value(json_object_get(json_object_get(m->meta, "base"), "path"));
	m->dir = find_base(hint, path, base);
	return m->dir ? FT_OK : FT_EFAIL;
}

static int open_base(struct ft_model *m, const char *path, unsigned flags)
{
	m->dir = ft_strdup(path);
	m->base = m->dir ? ft_base_open(path, flags & FT_MODEL_BARE ? FT_BASE_BARE : 0) : NULL;
	return m->base ? meta_of_base(m) : ft_last_error();
}

/* A folder of an adapter: what a stream that a base was tuned to would say, by other files. */
static int open_adapter(struct ft_model *m, const char *path, const char *base, unsigned flags)
{
	const char *hint = NULL;
	int rc = folder_open(m, path, &hint);
	char *inside = rc == FT_OK ? ft_format("%s/x", path) : NULL;
	m->dir = inside ? find_base(hint, inside, base) : NULL;
	free(inside);
	if (!m->dir)
		return ft_last_error();
	if (!base && (!hint || !ft_base_is(m->dir)))
		return ft_fail(FT_EFAIL,
		               "%s: its base%s%.120s%s is not a folder or a GGUF file here; --base says where it lies", path,
		               hint ? " '" : "", hint ? hint : "", hint ? "'" : "");
	m->base = ft_base_open(m->dir, flags & FT_MODEL_BARE ? FT_BASE_BARE : 0);
	rc = m->base ? meta_of_base(m) : ft_context(ft_last_error(), "%s: its base", path);
	return rc ? rc : folder_describe(m);
}

static int unknown_family(const struct ft_model *m, const char *type)
{
	struct ft_buf known = { 0 };
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < sizeof families / sizeof *families; i++)
		rc = ft_buf_printf(&known, " %s", families[i]->name);
	if (rc == FT_OK)
		rc = ft_fail(FT_EFORMAT, "%s: model_type '%s' is not supported; supported:%.*s", m->dir, type, (int)known.len,
		             known.data);
	ft_buf_free(&known);
	return rc;
}

static int find_family(struct ft_model *m)
{
	int err = 0;
	const char *type = ft_json_str(m->config, "model_type", NULL, &err);
	if (!type)
		return ft_fail(FT_EFORMAT, "%s: config.json does not say its model_type", m->dir);
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		if (strcmp(families[i]->name, type) == 0)
			m->family = families[i];
	if (!m->family)
		return unknown_family(m, type);
	return ft_json_set(m->meta, "family", json_string(m->family->name));
}

static int describe(struct ft_model *m)
{
	int rc = find_family(m);
	rc = rc ? rc : head_find(m);
	if (rc < 0)
		return rc;
	m->own_names = m->head->task == FT_TASK_NONE || m->head->task == FT_TASK_EMBED;
	rc = vectors_read(m);
	rc = rc ? rc : m->family->describe(m);
	rc = rc ? rc : tokens_describe(m);
	m->pooling.width = m->shape.width;
	rc = rc ? rc : m->head->describe(m);
	if (rc < 0)
		return in_config(m, rc);
	bool own = m->head->task == FT_TASK_LM && m->family->lm_class;
	char *name = own ? ft_strdup(m->family->lm_class)
	                 : ft_format("%s%s", m->family->class_name, m->head->architecture);
	rc = ft_json_set(m->meta, "architecture", name ? json_string(name) : NULL);
	free(name);
	rc = rc ? rc : adapt_describe(m);
	rc = rc ? rc : ft_json_set(m->meta, "max_length", json_integer(m->shape.positions - adapt_places(m)));
	return rc ? rc : params_index(m);
}

static bool is_top(const struct ft_param *p)
{
	return strncmp(p->name, "head.", 5) == 0;
}

/* Another head than the base's: its parameters are not the base's. `before` is
 * the head that a stream's tensors are for. */
static int renew_head(struct ft_model *m, const json_t *before)
{
	const json_t *now = json_object_get(m->meta, "head");
	json_t *base = head_of_config(m->config);
	if (!base)
		return in_config(m, ft_last_error());
	m->new_head = !json_equal(before, now);
	for (size_t i = 0; i < m->count; i++)
		m->params[i]->fresh = m->params[i]->technique || (is_top(m->params[i]) && !json_equal(base, now));
	json_decref(base);
	return FT_OK;
}

static int load(struct ft_model *m, unsigned flags)
{
	bool init = json_is_true(json_object_get(m->meta, "init"));
	if (!m->base)
		m->base = ft_base_open(m->dir, init || flags & FT_MODEL_BARE ? FT_BASE_BARE : 0);
	if (!m->base)
		return ft_context(ft_last_error(), "%s: its base (--base says where it lies)", m->name);
	int rc = check_digest(m);
	if (rc < 0 || flags & FT_MODEL_BARE)
		return rc;
	if (m->reader)
		rc = m->forget ? ft_reader_drain(m->reader) : params_read(m, m->reader);
	if (m->folder && !m->forget)
		rc = folder_load(m);
	return rc < 0 ? rc : params_load(m);
}

/* Copies those of `keys` that a new head does not say itself. */
static int inherit(json_t *head, const json_t *from, const char *const *keys, size_t n)
{
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < n; i++) {
		const json_t *v = json_object_get(from, keys[i]);
		if (v && !json_object_get(head, keys[i]))
			rc = ft_json_set(head, keys[i], ft_json_deep_copy(v));
	}
	return rc;
}

/* A head that makes vectors, as the model did with the head `before`, or as the folder
 * says. A pooling of true asks for that; one that is named keeps lengths and prompt. */
static int inherit_pooling(struct ft_model *m, const json_t *before)
{
	static const char *const keys[] = { "max_length", "prompt", "pooling", "normalize" };
	json_t *head = json_object_get(m->meta, "head"), *folder = NULL;
	const char *type = json_string_value(json_object_get(head, "type"));
	bool embeds = type && strcmp(type, head_embed.name) == 0, asked = json_is_true(json_object_get(head, "pooling"));
	if (!embeds && !asked)
		return FT_OK;
	if (asked)
		json_object_del(head, "pooling");
	bool named = json_object_get(head, "pooling") != NULL;
	int rc = json_object_get(before, "pooling") ? FT_OK : vectors_of_folder(m->dir, &folder);
	if (rc < 0 && !named)
		return rc;
	rc = inherit(head, folder ? folder : before, keys, named ? 2 : 4);
	json_decref(folder);
	if (rc == FT_OK && !json_object_get(head, "pooling"))
		rc = ft_json_set(head, "pooling", json_pack("[s]", ft_pooling_name(FT_POOL_MEAN)));
	return rc;
}

static int plan_loss(struct ft_model *m, const json_t *loss)
{
	json_t *head = json_object_get(m->meta, "head");
	const char *type = json_string_value(json_object_get(head, "type"));
	if (!loss)
		return FT_OK;
	if (!type || strcmp(type, head_embed.name) != 0)
		return ft_fail(FT_EUSAGE, "%s: a loss can be chosen for the head embed only", m->name);
	return ft_json_set(head, "loss", ft_json_deep_copy(loss));
}

/* A plan's head and seed enter meta before the model is described. */
static int plan_meta(struct ft_model *m, const struct ft_plan *p, const json_t *before)
{
	int rc = 0;
	if (p->head)
		rc |= json_object_set_new(m->meta, "head", ft_json_deep_copy(p->head));
	if (p->init)
		rc |= json_object_set_new(m->meta, "init", json_true());
	m->forget = p->init;
	if (p->seed != FT_NO_SEED || !json_object_get(m->meta, "seed"))
		rc |= json_object_set_new(m->meta, "seed", json_integer(p->seed == FT_NO_SEED ? 0 : p->seed));
	json_object_del(m->meta, "trained");
	if (rc)
		return ft_fail(FT_EFAIL, "out of memory for a plan");
	rc = inherit_pooling(m, before);
	rc = rc ? rc : plan_loss(m, p->loss);
	rc = rc ? rc : tokens_plan(m, p->tokens);
	rc = rc ? rc : narrow_plan(m, p->base_type);
	return rc ? rc : adapt_plan(m, p);
}

static struct ft_model *open_model(const char *path, const char *base, const struct ft_plan *plan, unsigned flags)
{
	struct ft_model *m = ft_alloc(1, sizeof *m);
	if (!m || !(m->name = ft_strdup(path))) {
		free(m);
		return NULL;
	}
	m->reads = flags & FT_MODEL_READ;
	m->plans = flags & FT_MODEL_PLAN;
	unsigned base_flags = plan && plan->init ? flags | FT_MODEL_BARE : flags;
	int rc = ft_adapter_is(path) ? open_adapter(m, path, base, base_flags)
	         : ft_base_is(path) ? open_base(m, path, base_flags)
	                            : open_stream(m, path, base);
	const json_t *head = rc == FT_OK ? json_object_get(m->meta, "head") : NULL;
	json_t *old = ft_json_deep_copy(head);
	if (head && !old)
		rc = ft_fail(FT_EFAIL, "out of memory for a head");
	m->old_adapters = SIZE_MAX;
	if (rc == FT_OK && plan)
		rc = plan_meta(m, plan, old);
	rc = rc ? rc : describe(m);
	rc = rc ? rc : renew_head(m, old);
	json_decref(old);
	if (rc == FT_OK && (plan || m->folder))
		rc = rules_make(m, plan ? plan : &(struct ft_plan){ .last_layers = -1, .layer_decay = 1 });
	rc = rc ? rc : rules_apply(m); /* before loading: what does not train is not brought to memory */
	rc = rc ? rc : load(m, flags);
	if (rc == FT_OK)
		return m;
	ft_model_free(m);
	return NULL;
}

struct ft_model *ft_model_open(const char *path, const char *base, unsigned flags)
{
	return open_model(path, base, NULL, flags);
}

struct ft_model *ft_model_plan(const char *path, const char *base, const struct ft_plan *p, unsigned flags)
{
	return open_model(path, base, p, flags);
}

void ft_model_free(struct ft_model *m)
{
	if (!m)
		return;
	adapt_free(m);
	folder_free(m);
	params_free(m);
	for (int i = 0; i < ROPES; i++)
		rope_free(&m->rope[i]);
	ft_base_close(m->base);
	ft_reader_close(m->reader);
	json_decref(m->meta);
	free(m->name);
	free(m->dir);
	free(m);
}

/* All of it, unless it has new rows and the others are the base's. */
static int write_param(const struct ft_model *m, const struct ft_param *p, struct ft_writer *w)
{
	char name[TOKENS_NAME];
	int64_t kept = p->trains && !p->first ? 0 : p->kept;
	int64_t from = kept && tokens_name(m, p, name, sizeof name) ? kept : 0;
	const char *called = from ? name : p->name;
	struct ft_tensor_desc d = { .name = { called, strlen(called) }, .dtype = "F32", .rank = p->rank };
	d.shape[0] = p->rank == 2 ? p->t.rows - from : p->t.cols;
	d.shape[1] = p->t.cols;
	d.bytes = (size_t)(p->t.rows - from) * (size_t)p->t.cols * sizeof(float);
	return ft_tensor_write(w, &d, p->t.data + from * p->t.cols);
}

int ft_model_write(struct ft_model *m, struct ft_writer *w)
{
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < m->count; i++) {
		struct ft_param *p = m->params[i];
		if (!p->stored)
			continue;
		rc = write_param(m, p, w);
	}
	return rc;
}

/* adapterhub_head.c - heads of AdapterHub's own classes, BertAdapterModel and its like: for rows one or two linear
 * layers on the state of the first token, or one on the base's pooler; for tokens one on each. Their tensors are
 * numbered, since what stands between the linear layers (dropout, activation) is counted, too: heads.NAME.1,
 * heads.NAME.4.
 *
 * They are heads that are here already. One layer on the first token is that of --pooling cls; two are what
 * transformers' class of the family has, with another pooler than the base's in BERT. meta.head.flex is the head's
 * name, by which it is written again. */
#include "folder.h"

#include <stdlib.h>
#include <string.h>

static const char prefix[] = "heads.", classification[] = "classification", multilabel[] = "multilabel_classification";
static const char tagging[] = "tagging";

static const json_t *config_of(const struct folder *f) { return ft_json_get(f->head, "config"); }

bool adapterhub_flexible(const struct folder *f)
{
	return config_of(f) != NULL;
}

/* ---- what its configuration says ---- */
struct flex {
	const char *type, *name, *activation; /* activation: "" is none */
	int64_t layers;
	bool pooler, bias;
};

/* `err` as those of ft/json.h take it; NULL: adapterhub_check_files() has seen to it. */
static struct flex flex_of(const struct folder *f, int *err)
{
	const json_t *c = config_of(f);
	return (struct flex){
		.type = ft_json_str(c, "head_type", "", err),
		.name = ft_json_str(f->head, "name", "", err),
		.activation = ft_json_str(c, "activation_function", "", err),
		.layers = ft_json_int(c, "layers", 1, err),
		.pooler = ft_json_bool(c, "use_pooler", false, err),
		.bias = ft_json_bool(c, "bias", true, err),
	};
}

int adapterhub_check_files(const struct folder *f)
{
	int err = FT_OK;
	if (adapterhub_flexible(f))
		flex_of(f, &err);
	return err < 0 ? ft_context(err, "%s: %s", f->dir, f->kind->head_config) : FT_OK;
}

#define head_fail(f, fmt, ...) ft_fail(FT_EFORMAT, "%s: %s: " fmt "; without this file the adapter is read alone", \
                                       (f)->dir, (f)->kind->head_config __VA_OPT__(,) __VA_ARGS__)

int adapterhub_find_flexible(const struct folder *f, json_t **head)
{
	struct flex x = flex_of(f, NULL);
	bool tags = strcmp(x.type, tagging) == 0, many = strcmp(x.type, multilabel) == 0;
	if (!tags && !many && strcmp(x.type, classification) != 0)
		return head_fail(f, "head_type: '%.60s' is not supported; %s, %s and %s are", x.type, classification,
		                 multilabel, tagging);
	if (!*x.name)
		return head_fail(f, "name: missing");
	int rc = adapterhub_head(f, config_of(f), tags ? head_tag.architecture : head_classify.architecture, head);
	rc = rc ? rc : ft_json_set(*head, "flex", json_string(x.name));
	if (rc == FT_OK && many)
		rc = ft_json_set(*head, "type", json_string(head_multilabel.name));
	if (rc == FT_OK && !tags && x.layers == 1 && !x.pooler)
		rc = ft_json_set(*head, "pooling", json_pack("[s]", "cls"));
	return rc;
}

/* ---- whether the family's head is that ---- */

/* The part of the linear layer before the last; NULL: the head has none of its own. */
static struct ft_param *hidden_of(const struct ft_model *m, const char *part)
{
	char name[32];
	snprintf(name, sizeof name, "transform.dense.%s", part);
	struct ft_param *p = ft_model_find(m, name);
	snprintf(name, sizeof name, "pool.%s", part);
	return p ? p : ft_model_find(m, name);
}

static bool has_pooler(const struct ft_model *m) { return ft_model_find(m, "pool.weight") != NULL; }

int adapterhub_check_head(const struct ft_model *m, const struct folder *f)
{
	struct flex x = flex_of(f, NULL);
	if (!adapterhub_flexible(f) || m->new_head)
		return FT_OK;
	bool tags = strcmp(x.type, tagging) == 0, two = x.layers == 2 && !x.pooler && !tags;
	const char *between = strcmp(m->family->name, "distilbert") == 0 ? "relu" : "tanh";
	if (m->family->causal)
		return head_fail(f, "its heads on a %s are not supported", m->family->name);
	if (!x.bias)
		return head_fail(f, "bias: false is not supported");
	if (x.layers != 1 && !two)
		return head_fail(f, "layers: %lld%s are not supported", (long long)x.layers,
		                 x.pooler ? " with use_pooler" : "");
	if (two && strcmp(x.activation, between) != 0)
		return head_fail(f, "activation_function: '%.40s' between two layers; on a %s %s is supported", x.activation,
		                 m->family->name, between);
	if (!tags && x.pooler && !has_pooler(m))
		return head_fail(f, "use_pooler: the classifier of a %s has no pooler", m->family->name);
	return FT_OK;
}

bool adapterhub_wants(const struct ft_model *m, const struct folder *f, const struct ft_param *p)
{
	struct flex x = flex_of(f, NULL);
	if (!adapterhub_flexible(f) || m->new_head)
		return false;
	bool hidden = p == hidden_of(m, "weight") || p == hidden_of(m, "bias");
	return strncmp(p->name, "head.", strlen("head.")) == 0 || (hidden && x.layers == 2);
}

/* The number of the last linear layer: dropout, linear and activation are counted. */
static int last_number(const struct flex *x) { return (int)(x->layers - 1) * (*x->activation ? 3 : 2) + 1; }

int adapterhub_place(const struct ft_model *m, const struct folder *f, const char *name, struct ft_param **p)
{
	struct flex x = flex_of(f, NULL);
	*p = NULL;
	if (!adapterhub_flexible(f) || strncmp(name, prefix, strlen(prefix)) != 0)
		return 0;
	if (m->new_head)
		return 1;
	size_t n = strlen(x.name);
	const char *at = name + strlen(prefix);
	if (strncmp(at, x.name, n) != 0 || at[n] != '.')
		return 0;
	char *end;
	long number = strtol(at + n + 1, &end, 10);
	const char *part = *end == '.' ? end + 1 : "";
	bool known = strcmp(part, "weight") == 0 || strcmp(part, "bias") == 0;
	if (known && number == last_number(&x))
		*p = ft_model_find(m, *part == 'w' ? "head.weight" : "head.bias");
	else if (known && number == 1 && x.layers == 2)
		*p = hidden_of(m, part);
	return *p != NULL;
}

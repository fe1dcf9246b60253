/* export_adapterhub_head.c - heads as AdapterHub's own classes have them: those that were read as such, and those of
 * --pooling cls, for which transformers has no class. The linear layer before the last is RoBERTa's and DistilBERT's,
 * and BERT's pooler where that is not the base's. */
#include "export_adapterhub.h"
#include "ft/err.h"
#include "ft/mem.h"

#include <stdlib.h>
#include <string.h>

static const json_t *head_of(const struct ft_model *m) { return json_object_get(ft_model_meta(m), "head"); }
static bool is_pooled(const struct ft_model *m) { return json_object_get(head_of(m), "pooling") != NULL; }

bool adapterhub_flex(const struct ft_model *m)
{
	return json_object_get(head_of(m), "flex") || (is_pooled(m) && ft_model_task(m) != FT_TASK_EMBED);
}

const char *adapterhub_flex_name(const struct ft_model *m, const char *adapter)
{
	const char *name = json_string_value(json_object_get(head_of(m), "flex"));
	return name ? name : adapter;
}

/* The weight before the last; NULL: there is none that is the head's. */
static const struct ft_param *hidden_of(const struct ft_model *m)
{
	const struct ft_param *p = ft_model_find(m, "transform.dense.weight"), *pooler = ft_model_find(m, "pool.weight");
	return p ? p : pooler && (pooler->stored || pooler->fresh) ? pooler : NULL;
}

static bool is_distilbert(const struct ft_model *m) { return strncmp(ft_model_architecture(m), "DistilBert", 10) == 0; }

int adapterhub_flex_check(const struct ft_model *m)
{
	const json_t *modes = json_object_get(head_of(m), "pooling");
	const char *mode = json_string_value(json_array_get(modes, 0));
	bool first = json_array_size(modes) == 1 && mode && strcmp(mode, "cls") == 0;
	if (!adapterhub_flex(m))
		return FT_OK;
	bool other = is_pooled(m) && (!first || json_is_true(json_object_get(head_of(m), "normalize")));
	if (other || !ft_model_find(m, "head.bias"))
		return ft_fail(FT_EUSAGE, "%s: AdapterHub has no class for this head; of --pooling it has cls, on encoders",
		               ft_model_name(m));
	if (ft_model_task(m) == FT_TASK_REGRESS && ft_model_outputs(m) != 1)
		return ft_fail(FT_EUSAGE, "%s: AdapterHub's own heads give one number; this one %zu", ft_model_name(m),
		               ft_model_outputs(m));
	return FT_OK;
}

json_t *adapterhub_flex_config(const struct ft_model *m, json_t *labels)
{
	bool tags = ft_model_task(m) == FT_TASK_TAG, two = !tags && hidden_of(m);
	bool pooler = !tags && !two && ft_model_find(m, "pool.weight");
	bool many = ft_model_task(m) == FT_TASK_MULTILABEL;
	json_t *o = json_pack("{s:s, s:I, s:i, s:s?, s:O, s:n}", "head_type",
	                      tags ? "tagging" : many ? "multilabel_classification" : "classification", "num_labels",
	                      (json_int_t)ft_model_outputs(m), "layers", two ? 2 : 1, "activation_function",
	                      !two ? NULL : is_distilbert(m) ? "relu" : "tanh", "label2id", labels, "dropout_prob");
	int rc = o && !tags ? ft_json_set(o, "use_pooler", json_boolean(pooler)) : FT_OK;
	rc = rc || tags ? rc : ft_json_set(o, "bias", json_true());
	if (rc == FT_OK)
		return o;
	json_decref(o);
	return NULL;
}

/* Dropout, linear and activation are counted. */
char *adapterhub_flex_tensor(const struct ft_model *m, const struct ft_param *p, const char *adapter)
{
	bool last = strncmp(p->name, "head.", strlen("head.")) == 0;
	int number = last && ft_model_task(m) != FT_TASK_TAG && hidden_of(m) ? 4 : 1;
	return ft_format("heads.%s.%d.%s", adapterhub_flex_name(m, adapter), number, strrchr(p->name, '.') + 1);
}

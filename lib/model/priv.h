/* priv.h - what families, heads and the model share.
 *
 * A family is one file: it reads its config, declares its parameters, and
 * writes the forward pass over named sites:
 *
 *	x = site_linear(m, g, x, "layer.%d.attn.q", i);
 *
 * A site is the place where a parameter works. Techniques attach to sites by
 * name, so no family knows of any technique.
 */
#ifndef FT_MODEL_PRIV_H
#define FT_MODEL_PRIV_H

#include "ft/err.h"
#include "ft/format.h"
#include "ft/model.h"

/* ---- what a family is ---- */
struct ft_family {
	const char *name; /* config.json's model_type */
	/* Reads m->config into m->shape and declares the parameters of the body. */
	int (*describe)(struct ft_model *m);
	/* The last hidden states [tokens, width]. */
	struct ft_tensor *(*encode)(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b);
	/* What a classifier sees of them: [rows, width]. */
	int (*describe_pool)(struct ft_model *m);
	struct ft_tensor *(*pool)(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x);
	/* What the tied decoder of a masked-LM head sees: [n, width]. */
	int (*describe_mlm)(struct ft_model *m);
	struct ft_tensor *(*mlm)(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x);
	/* Names of parameters in checkpoints with a head begin with this. */
	const char *prefix;
	/* "%s" in transformers' class names: "Bert". */
	const char *class_name;
};

/* ---- what a head is ---- */
struct head_output {
	struct ft_tensor *logits; /* [units, outputs] or NULL */
	struct ft_tensor *loss;   /* [units, 1] or NULL without labels */
	int64_t supervised;
	double weight;
};
struct ft_head {
	const char *name;
	enum ft_task task;
	const char *architecture; /* what follows the class name in transformers */
	int (*describe)(struct ft_model *m);
	int (*run)(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *hidden,
	           struct head_output *out);
	/* The part of run() that follows the logits, for heads that have logits of
	 * rows: out->logits is there, the rest is filled in. NULL: there is none. */
	int (*loss)(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct head_output *out);
};

/* Sizes that several families share; what else one needs, it reads itself. */
struct shape {
	int64_t vocabulary, positions, types, width, inner, layers, heads;
	float eps, dropout, attention_dropout, head_dropout;
	float init_range;
	ft_activation *activation;
};

struct ft_model {
	char *name; /* as given */
	char *dir;  /* of the base */
	json_t *meta;
	const json_t *config; /* in meta */
	const struct ft_family *family;
	const struct ft_head *head;
	struct shape shape;
	size_t outputs;
	const json_t *labels; /* in meta, or NULL */
	bool own_names;       /* checkpoint without a head: names have no prefix */
	bool new_head;        /* the plan gives another head than there was */
	bool forget;          /* the plan starts anew: tensors of the stream do not count */

	struct ft_param **params;
	size_t count, cap;
	uint32_t *index; /* open addressing over names: position + 1 */
	size_t slots;

	struct ft_hf *hf;
	struct ft_reader *reader; /* the stream, read to its end; or NULL */
	struct ft_loss_options loss;
};

/* ---- for families and heads ---- */
enum param_kind { PARAM_WEIGHT, PARAM_BIAS, PARAM_NORM, PARAM_NORM_BIAS, PARAM_TABLE };
/* Declares a parameter. `name` is ours, `file` the checkpoint's (without the
 * family's prefix when it begins with "@": a parameter of the head). `layer`
 * as in struct ft_param; "%d" in both names is the layer. */
int param_add(struct ft_model *m, enum param_kind kind, int layer, const char *name, const char *file, int64_t rows,
              int64_t cols);
/* A weight and its bias: name.weight and name.bias. */
int param_linear(struct ft_model *m, int layer, const char *name, const char *file, int64_t out, int64_t in);
int param_norm(struct ft_model *m, int layer, const char *name, const char *file, int64_t width);

struct ft_tensor *site_tensor(struct ft_model *m, struct ft_graph *g, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
struct ft_tensor *site_linear(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
struct ft_tensor *site_norm(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The tokens that have a label, and their labels: [*n] each, of the pass. */
int32_t *head_supervised(struct ft_graph *g, const struct ft_batch *b, int32_t **labels, int64_t *n);

/* A member of config.json that must be a whole number in [least, most]; sets
 * *err as ft_json_int. `absent` < least means it must be there. */
int64_t config_size(const struct ft_model *m, const char *key, int64_t absent, int64_t least, int64_t most, int *err);

/* ---- between the files of lib/model ---- */
int params_index(struct ft_model *m);
void params_free(struct ft_model *m);
int params_read(struct ft_model *m, struct ft_reader *r); /* those of a model stream */
int params_load(struct ft_model *m);                    /* the others: from m->hf, or made by seed */
int rules_apply(struct ft_model *m);                    /* meta.train -> trains, rate */
int rules_make(struct ft_model *m, const struct ft_plan *p); /* plan -> meta.train */
json_t *head_of_config(const json_t *config);           /* that of a folder; new reference */
int head_find(struct ft_model *m);                      /* meta.head -> head, outputs, labels */

#define X(name) extern const struct ft_family family_##name;
#include "families.def"
#undef X
#define X(name) extern const struct ft_head head_##name;
#include "../head/heads.def"
#undef X

#endif

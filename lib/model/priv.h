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
#include "ft/sentence.h"

/* ---- what a family is ---- */
struct ft_family {
	const char *name; /* config.json's model_type */
	/* Reads m->config into m->shape and declares the parameters of the body. */
	int (*describe)(struct ft_model *m);
	/* The last hidden states [tokens, width]. */
	struct ft_tensor *(*encode)(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b);
	/* The bare model's pooler: [rows, width]; no_pooler() and pooler() without one. */
	int (*describe_pool)(struct ft_model *m);
	struct ft_tensor *(*pool)(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x);
	/* What the last layer of a classifier sees of the hidden states: [rows, width]. */
	int (*describe_rows)(struct ft_model *m);
	struct ft_tensor *(*rows)(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x);
	const char *classifier; /* its name in checkpoints, for param_linear() */
	/* What the last layer of a head for tokens sees; NULL: the hidden states. */
	int (*describe_tokens)(struct ft_model *m);
	struct ft_tensor *(*tokens)(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x);
	/* What the tied decoder of a masked-LM head sees: [n, width]. */
	int (*describe_mlm)(struct ft_model *m);
	struct ft_tensor *(*mlm)(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x);
	/* A token sees itself and those before it: the head `lm` is for these, and a row is
	 * what its last token says. classifier then has no bias. */
	bool causal;
	const struct decoder *decoder; /* of the families that decoder.c serves */
	const char *tagger; /* as classifier, of the head for tokens; NULL: "@classifier" */
	/* Names of parameters in checkpoints with a head begin with this. */
	const char *prefix;
	/* "%s" in transformers' class names: "Bert". */
	const char *class_name;
	const char *lm_class; /* the whole name with the head `lm` where it does not follow from class_name */
};

/* ---- what a head is ---- */
struct head_output {
	struct ft_tensor *logits; /* [units, outputs] or NULL */
	struct ft_tensor *vectors; /* [rows, width] or NULL */
	struct ft_tensor *loss;   /* [units, 1] or NULL without labels */
	uint8_t *hits;            /* [units] of the pass, or NULL: whether the label has the greatest logit */
	struct ft_decoded decoded; /* what logits of units are made of, where words are predicted; x NULL: none are */
	const int32_t *labels;    /* [units] of these */
	bool unscored;            /* asked for: decoded alone, without a loss */
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
	int64_t vocabulary;
	int64_t words; /* of these, those that are not added: ids from here on are new (tokens.c) */
	int64_t types, width, inner, layers, heads;
	int64_t kv_heads, head_size; /* of families that say them */
	int64_t positions; /* the most tokens of a row */
	int64_t window;    /* of layers whose attention has one, as struct ft_attention_options */
	struct ft_embed_options embed;
	float eps, dropout, attention_dropout, embed_dropout, head_dropout;
	float init_range;
	float attention_scale, attention_cap, logit_cap; /* 0: 1/sqrt(head_size); none; none */
	bool rms;        /* norms are RMS norms, of weights with norm_plus added */
	float norm_plus;
	bool tied;       /* the head `lm` decodes with the word embeddings */
	ft_activation *activation;
};

/* Rotary positions of one kind of layer. */
struct rope {
	float *frequency; /* [pairs], in radians a position */
	float scale;      /* of cosines and sines */
	float *memory;    /* of the table */
	struct ft_rope table;
};
/* Kinds of layer that a model may have (layers.c). */
enum layer_kind { LAYER_FULL, LAYER_SLIDING };
#define ROPES 2

/* The loss of texts that belong together (lib/head/embed.c). */
struct pair_loss {
	enum pair_loss_kind { LOSS_AUTO, LOSS_MNRL, LOSS_COSINE, LOSS_COSENT } kind;
	float scale;
	bool symmetric, distinct;
};

struct ft_model {
	char *name; /* as given */
	char *dir;  /* of the base */
	json_t *meta;
	const json_t *config; /* in meta */
	const struct ft_family *family;
	const struct ft_head *head;
	struct shape shape;
	struct rope rope[ROPES];
	size_t outputs;
	const json_t *labels; /* in meta, or NULL */
	bool own_names;       /* checkpoint without a head: names have no prefix */
	bool new_head;        /* the plan gives another head than there was */
	bool reads;           /* opened to be read only */
	bool adds;            /* the plan adds tokens, so that tensors of the stream may be shorter */
	bool plans;           /* opened without weights */
	bool forget;          /* the plan starts anew: tensors of the stream do not count */

	struct ft_param **params;
	size_t count, cap;
	uint32_t *index; /* open addressing over names: position + 1 */
	size_t slots;

	struct adapt *adapt;  /* techniques (../adapt), or NULL */
	struct ft_trunk *trunk; /* borrowed, or NULL */
	size_t old_adapters;  /* of meta.adapt: those that a plan does not add */
	struct folder *folder; /* an adapter at rest that the model was read from (../adapt/folder.h), or NULL */

	struct ft_base *base;
	struct ft_reader *reader; /* the stream, read to its end; or NULL */
	struct ft_loss_options loss;
	struct ft_pooling pooling; /* what the head sees of a text; modes 0: its own pooler */
	struct pair_loss pair_loss;
};

/* ---- for families and heads ---- */
enum param_kind {
	PARAM_WEIGHT, PARAM_BIAS, PARAM_NORM, PARAM_NORM_BIAS, PARAM_TABLE,
	PARAM_NORM_PLUS, /* a norm's weight less 1 */
	PARAM_TURNED,    /* a weight whose checkpoints hold it as [in, out] */
	PARAM_ZERO, PARAM_ONE, PARAM_UNIFORM, /* of techniques: 0; 1; within 1/sqrt(cols) */
	PARAM_NORMAL, PARAM_BERT,             /* deviation 1; 0.02 */
	PARAM_KAIMING,                        /* within sqrt(6 / cols) */
};
/* Declares a parameter. `name` is ours, `file` the checkpoint's (without the
 * family's prefix when it begins with "@": a parameter of the head). `layer`
 * as in struct ft_param; "%d" in both names is the layer. */
int param_add(struct ft_model *m, enum param_kind kind, int layer, const char *name, const char *file, int64_t rows,
              int64_t cols);
/* A weight and its bias: name.weight and name.bias. */
int param_linear(struct ft_model *m, int layer, const char *name, const char *file, int64_t out, int64_t in);
int param_norm(struct ft_model *m, int layer, const char *name, const char *file, int64_t width);
/* The same, of checkpoints that hold the weight as [in, out]. */
int param_turned(struct ft_model *m, int layer, const char *name, const char *file, int64_t out, int64_t in);
/* The same without a bias. */
int param_weight(struct ft_model *m, int layer, const char *name, const char *file, int64_t out, int64_t in);
int param_scale(struct ft_model *m, int layer, const char *name, const char *file, int64_t width);

struct ft_tensor *site_tensor(struct ft_model *m, struct ft_graph *g, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* With a bias where one was declared. */
struct ft_tensor *site_linear(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
struct ft_tensor *site_norm(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* What follows a block, called "layer.%d.attn" or the like: dropout of its result y, which is used up, and the sum with
 * x, what the block was given. Behind the sum of the second stands the norm NAME.norm. */
struct ft_tensor *site_add(struct ft_model *m, struct ft_graph *g, struct ft_tensor *y, struct ft_tensor *x,
                           float dropout, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
struct ft_tensor *site_add_norm(struct ft_model *m, struct ft_graph *g, struct ft_tensor *y, struct ft_tensor *x,
                                float dropout, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* Attention, as ft_attention(), of a block: "layer.%d.attn". */
struct ft_tensor *site_attention(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *q,
                                 struct ft_tensor *k, struct ft_tensor *v, const struct ft_attention_options *o,
                                 const char *fmt, ...) __attribute__((format(printf, 8, 9)));
/* The vectors of a batch's tokens: of the words (embed.word), places and types; the last two may be NULL. */
struct ft_tensor *site_embed(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b,
                             struct ft_tensor *position, struct ft_tensor *type);

/* One vector a row of the last hidden states. */
struct ft_tensor *vectors_make(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *hidden,
                               const struct ft_pooling *p);

/* [rows, width]: the last token of each row, as struct ft_family's rows(). */
struct ft_tensor *last_tokens(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x);

/* x, whose rows are said to stand there in a whole batch. */
static inline struct ft_tensor *at_place(struct ft_tensor *x, const struct ft_place *place)
{
	if (x)
		x->place = place;
	return x;
}

/* The tokens that have a label, and their labels: [*n] each, of the pass. */
int32_t *head_supervised(struct ft_graph *g, const struct ft_batch *b, int32_t **labels, int64_t *n);
/* The states of these tokens, a row for each unit. */
static inline struct ft_tensor *head_gather(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *hidden,
                                            const int32_t *index, int64_t n)
{
	return at_place(ft_gather(g, hidden, index, n), b->part ? &b->part->units : NULL);
}
/* Of out->decoded, whose n units have these labels: the loss, unless nobody asks. */
int words_loss(struct ft_graph *g, const int32_t *labels, int64_t n, struct head_output *out);

/* A member of config.json that must be a whole number in [least, most]; sets
 * *err as ft_json_int. `absent` < least means it must be there. */
int64_t config_size(const struct ft_model *m, const char *key, int64_t absent, int64_t least, int64_t most, int *err);

/* A number in [0, 1); the activation that a member names (NULL only with *err
 * set); and that the heads divide the width, by the names of both members. */
float config_share(const struct ft_model *m, const char *key, double absent, int *err);
ft_activation *config_activation(const struct ft_model *m, const char *key, const char *absent, int *err);
int config_heads(const struct ft_model *m, const char *width, const char *heads);

/* What most families' functions for ft_layer() need. */
struct layer {
	struct ft_model *m;
	const struct ft_batch *b;
};

/* ---- layers.c ---- */
int layers_check(const struct ft_model *m); /* config.json's layer_types, after shape.layers is known */
/* What that says of a layer; `slides` where there is no such list. */
enum layer_kind layer_kind(const struct ft_model *m, int layer, bool slides);

/* ---- rope.c ---- */
/* Where a config.json has the rotary positions of one kind of layer. */
struct rope_source {
	const char *kind;      /* its key in rope_parameters; NULL: one object for all layers */
	const char *theta_key; /* the base in older files */
	double theta;          /* the base when no file says it */
	bool scaled;           /* older files' rope_scaling is for this kind, too */
};
/* Reads them for heads of `size` components, after shape.positions is known. */
int rope_read(const struct ft_model *m, struct rope *r, const struct rope_source *s, int64_t size);
/* The table for the rows of a batch, for ft_rope(). Made once, and again when a row is longer. */
const struct ft_rope *rope_table(const struct ft_model *m, struct ft_graph *g, const struct ft_batch *b,
                                 struct rope *r);
void rope_free(struct rope *r);

/* pad_token_id into shape.embed: the reference's table of words does not learn
 * at that id. null: there is none; `absent` when config.json does not say. */
int config_padding(struct ft_model *m, int64_t absent);

/* ---- postnorm.c: BERT's encoder, and what stands on it in several families ---- */
struct postnorm { /* names in checkpoints, as for param_linear() */
	const char *word, *position, *norm, *type; /* type: NULL without token types */
	const char *q, *k, *v, *o, *attn_norm, *up, *down, *ffn_norm;
	bool drop_attention; /* dropout before the sum behind attention */
};
extern const struct postnorm postnorm_bert;
int postnorm_shape(struct ft_model *m); /* of a config.json with BERT's members */
int postnorm_describe(struct ft_model *m, const struct postnorm *n);
struct ft_tensor *postnorm_encode(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b,
                                  const struct postnorm *n);
/* A linear layer and tanh on the first token; FT_EUSAGE for a model that has none. */
int describe_pooler(struct ft_model *m);
int no_pooler(struct ft_model *m);
struct ft_tensor *pooler(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x);
/* A decoder tied to the word embeddings, behind a linear layer, f, and a norm. */
int describe_tied(struct ft_model *m, const char *dense, const char *norm, const char *bias);
struct ft_tensor *before_tied(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x, ft_activation *f);

/* ---- decoder.c: what causal families share ---- */
/* Llama's shape, and in what others differ from it. */
struct decoder {
	const char *activation_key, *activation; /* of the gate; the second when config.json does not say */
	int64_t head_size, positions;            /* when it does not say; 0: width / heads */
	double theta;
	bool tied;             /* when it does not say */
	bool qkv_bias;         /* whatever it says; else attention_bias is for q, k, v and o */
	bool qk_norm;          /* RMS norms of each head's q and k */
	bool gemma;            /* norms add 1, stand behind the blocks, too, and embeddings are scaled */
	/* Whether a layer's attention has a window when there are no layer_types. */
	bool (*slides)(const struct ft_model *m, int layer);
	const struct rope_source *rope; /* [ROPES]; NULL: one for all, by rope_theta */
};
int decoder_describe(struct ft_model *m);
struct ft_tensor *decoder_encode(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b);
/* A family of that shape: config.json's model_type, transformers' name of its classes. */
#define DECODER_FAMILY(type, class, ...)                                                                     \
	{                                                                                                    \
		.name = type, .class_name = class, .prefix = "model.", .causal = true, .decoder = __VA_ARGS__, \
		.describe = decoder_describe, .encode = decoder_encode, .describe_pool = no_pooler, .pool = pooler, \
		.describe_rows = no_pooler, .rows = last_tokens, .classifier = "@score", .tagger = "@score", \
	}

/* ---- techniques (../adapt/adapt.c) ---- */
int adapt_plan(struct ft_model *m, const struct ft_plan *p);   /* a plan's into meta.adapt */
int adapt_describe(struct ft_model *m);                        /* meta.adapt: attached, with their parameters */
int adapt_rules(const struct ft_model *m, json_t *rules);      /* which of them train */
void adapt_free(struct ft_model *m);
struct ft_tensor *adapt_linear(struct ft_model *m, struct ft_graph *g, const char *site, struct ft_tensor *x,
                               struct ft_tensor *w, struct ft_tensor *b);
struct ft_tensor *adapt_table(struct ft_model *m, struct ft_graph *g, const char *site, const struct ft_batch *b,
                              struct ft_tensor *y);
/* At a block: y is its result, before dropout; `norm`: the norm SITE.norm is behind the sum with x. */
struct ft_tensor *adapt_block(struct ft_model *m, struct ft_graph *g, const char *site, struct ft_tensor *y,
                              struct ft_tensor *x, float dropout, bool norm);

struct ft_tensor *adapt_attention(struct ft_model *m, struct ft_graph *g, const char *site, const struct ft_batch *b,
                                  struct ft_tensor *q, struct ft_tensor *k, struct ft_tensor *v,
                                  const struct ft_attention_options *o);
/* How many of the places that the model has techniques take before each row. */
int64_t adapt_places(const struct ft_model *m);
int adapt_start(struct ft_model *m); /* new parameters that begin with more than random values get these */
/* The batch that the network sees: b with those tokens. NULL: the pass has failed. */
const struct ft_batch *adapt_batch(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b);

/* ---- run.c: for objectives ---- */
/* Forward, to the loss of the head; and what callers see of that. */
int model_run(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct head_output *h);
int model_output(const struct ft_model *m, struct ft_graph *g, const struct head_output *h, struct ft_output *out);

/* ---- tokens.c: meta.tokens ---- */
int tokens_plan(struct ft_model *m, const json_t *more); /* a plan's, or NULL, into meta */
int tokens_of_folder(struct ft_model *m, const json_t *tokens); /* of an adapter's note, or NULL: into meta */
/* Puts the rows of t into the base's, at these indices; `where` is t's file. */
int tokens_take(const struct ft_model *m, struct ft_param *p, const struct ft_stored *t, const json_t *indices,
                const char *where);
int tokens_describe(struct ft_model *m);                 /* shape.words, after shape.vocabulary is known */
bool tokens_grown(const struct ft_model *m, const struct ft_param *p); /* it has rows, or numbers, of new ones */
#define TOKENS_NAME 40
/* What rules and streams call the new rows of such a matrix: "embed.word.new". False: it is none. */
bool tokens_name(const struct ft_model *m, const struct ft_param *p, char *name, size_t size);
struct ft_param *tokens_find(const struct ft_model *m, const char *name); /* the matrix of that name; or NULL */
/* Whether a stream's tensor holds all its rows from `from` on, or those of them that were there before the plan. */
bool tokens_fit(const struct ft_model *m, const struct ft_param *p, int64_t from, int64_t rows, int64_t cols);
/* Its numbers, of a base that has t: load() brings those of the base where p->t.data is; the new ones are their mean,
 * but for those that a stream has given. */
int tokens_load(const struct ft_model *m, struct ft_param *p, const struct ft_stored *t,
                int (*load)(const struct ft_model *m, struct ft_param *base, const struct ft_stored *t));
int tokens_fill(const struct ft_model *m, struct ft_param *p); /* of one that a stream has given whole: those that it lacks */

/* ---- narrow.c: meta.base_type ---- */
int narrow_plan(struct ft_model *m, const char *type); /* a plan's, or NULL, into meta */
/* The type that p, which the base has as t, is to be narrowed to; FT_F32: it is not. */
int narrow_wanted(const struct ft_model *m, const struct ft_param *p, const struct ft_stored *t);
int narrow_take(const struct ft_model *m, struct ft_param *p, float *wide); /* takes its numbers */

/* ---- adapters at rest (../adapt/folder.c) ---- */
int folder_open(struct ft_model *m, const char *path, const char **base); /* *base: what it says, or NULL */
int folder_describe(struct ft_model *m); /* m->meta of a base: with the head, the techniques and their base's digest */
int folder_load(struct ft_model *m);     /* its tensors */
void folder_free(struct ft_model *m);

/* ---- between the files of lib/model ---- */
uint32_t name_hash(const char *s);
int params_drop_techniques(struct ft_model *m); /* their parameters, and the index anew */
int params_index(struct ft_model *m);
void params_free(struct ft_model *m);
int params_read(struct ft_model *m, struct ft_reader *r); /* those of a model stream */
int params_load(struct ft_model *m);                    /* the others: from m->base, or made by seed */
/* One of them from a tensor of the file `where`, whose shape `asks` has said. */
int param_take(struct ft_param *p, const struct ft_stored *t, const char *where, const char *asks);
int param_base(const struct ft_model *m, struct ft_param *p); /* the base's numbers, to memory */
/* Whether a row of a matrix is not the base's, which may have fewer: 1, 0, <0. */
int param_differs(const struct ft_model *m, const struct ft_param *p, int64_t row);
int param_forget_equal(const struct ft_model *m, struct ft_param *p); /* that was taken: unless the base has another */
int rules_apply(struct ft_model *m);                    /* meta.train -> trains, rate */
int rules_make(struct ft_model *m, const struct ft_plan *p); /* plan -> meta.train */
json_t *head_of_config(const json_t *config);           /* that of a folder; new reference */
int vectors_read(struct ft_model *m);                   /* meta.head -> pooling */
/* The head of a sentence-transformers folder: 1, 0: it is none. */
int vectors_of_folder(const char *dir, json_t **head);
int head_find(struct ft_model *m);                      /* meta.head -> head, outputs, labels */

#define X(name) extern const struct ft_family family_##name;
#include "families.def"
#undef X
#define X(name) extern const struct ft_head head_##name;
#include "../head/heads.def"
#undef X

#endif

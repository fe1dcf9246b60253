/* model.h - a model: a family's network, its parameters, and a head.
 *
 * A MODEL argument anywhere is one of
 *   - a base (format.h): a Hugging Face folder (config.json, safetensors, tokenizer
 *     files), or a GGUF file, or
 *   - a model stream (ft-stream.5) by ft-freeze or ft-train, which names its
 *     base by digest and holds only what differs from it, or
 *   - the folder of an adapter (adapter.h), which is read as such a stream.
 * ft_model_open() takes them all. ft_model_meta() describes it without weights.
 */
#ifndef FT_MODEL_H
#define FT_MODEL_H

#include "ft/graph.h"
#include "ft/json.h"
#include "ft/stream.h"
#include "ft/tensor.h"
#include "ft/trunk.h"
#include <stdbool.h>

struct ft_pooling; /* sentence.h */

/* ---- parameters ---- */
struct ft_param {
	char *name;       /* ours: "layer.3.attn.q.weight" */
	char *file;       /* as the family's Hugging Face checkpoints spell it,
	                     with prefix: "bert.encoder.layer.3.attention.self.query.weight" */
	struct ft_tensor t; /* t.data is NULL where it is only `stored`: a weight that does not train */
	int rank;         /* 1 or 2: the shape on disk, [cols] or [rows, cols] */
	int layer;        /* 0 .. layers-1; -1 embeddings; layers: head */
	bool trains;
	bool decays;      /* weight decay applies: not to norms and biases */
	bool fresh;       /* not in the base: made by initialisation */
	bool turned;      /* a checkpoint holds it as [cols, rows] */
	bool stored;      /* came from the model stream: differs from the base */
	bool technique;   /* a technique's: no part of the network that config.json describes */
	bool constant;    /* never trains, whatever a plan says */
	int64_t first;    /* rows before it do not train: of a table of words, when those that were added train alone */
	int64_t kept;     /* rows before it are the base's, and in no stream */
	int64_t there;    /* rows from kept on that a stream has given; of a vector numbers */
	int kind;         /* for initialisation; private to lib/model */
	double rate;      /* multiplier of the learning rate */
	void *own;        /* what t.stored points to when it is no file's; or NULL */
};

/* A table of embeddings, of which only the rows are touched that batches use. */
static inline bool ft_param_is_table(const struct ft_param *p) { return p->layer == -1 && p->rank == 2; }
/* Whether a weight stays in the base's file; and its bytes there, or in memory. */
bool ft_param_in_file(const struct ft_param *p);
size_t ft_param_bytes(const struct ft_param *p);

/* dest [cols, rows] = a `turned` parameter as a checkpoint holds it. */
int ft_param_turn(const struct ft_param *p, float *dest);

struct ft_model;
#define FT_MODEL_BARE 1u /* description only, no weights in memory */
/* Nothing will be trained or written: also what the plan trains stays as it is stored, where
 * the base has it, and a folder gets no digest. Weights are then read when they are used. */
#define FT_MODEL_READ 2u
/* Nothing will be computed: weights are not read, but it is known where each will be, and of which type
 * (ft_param_in_file). Passes of such a model only plan (ft_graph_plan). */
#define FT_MODEL_PLAN 4u

/* Opens a base or a model stream. `base` (or NULL) says where the base lies
 * here when the stream's own hint does not; the digest decides (FT_EMATCH).
 * NULL on failure. */
struct ft_model *ft_model_open(const char *path, const char *base, unsigned flags);
void ft_model_free(struct ft_model *m); /* NULL is fine */

/* The model stream's meta object (for a base, the one its plan would start
 * from), ft-stream.5: family, config, base, tokenizer, head, train, … Borrowed. */
json_t *ft_model_meta(const struct ft_model *m);
/* The stream the model was read from, to be given as a parent; NULL for a base. */
struct ft_reader *ft_model_reader(const struct ft_model *m);
const char *ft_model_name(const struct ft_model *m); /* as given by the user */
/* The base: the folder where config.json and tokenizer files are, or the GGUF file. */
const char *ft_model_dir(const struct ft_model *m);

size_t ft_model_params(const struct ft_model *m);
struct ft_param *ft_model_param(const struct ft_model *m, size_t i);
struct ft_param *ft_model_find(const struct ft_model *m, const char *name); /* by `name`; or NULL */

/* ---- the head ---- */
enum ft_task {
	FT_TASK_NONE, FT_TASK_CLASSIFY, FT_TASK_MULTILABEL, FT_TASK_REGRESS, FT_TASK_TAG, FT_TASK_MLM,
	FT_TASK_EMBED, FT_TASK_LM
};
/* Whether what is predicted are tokens of the vocabulary: masked, or next. */
static inline bool ft_task_of_words(enum ft_task t) { return t == FT_TASK_MLM || t == FT_TASK_LM; }
enum ft_task ft_model_task(const struct ft_model *m);
/* Names of the task as they stand in meta and on command lines. */
const char *ft_task_name(enum ft_task t);  /* "none", "classify", "multilabel", "regress", "tag", "mlm", "embed", "lm" */
int ft_task_parse(const char *name);       /* an ft_task, or -1 */
size_t ft_model_outputs(const struct ft_model *m);                /* classes, labels or values */
/* How vectors are made of texts, as the head says; modes 0: it does not. Borrowed. */
const struct ft_pooling *ft_model_pooling(const struct ft_model *m);
/* How many tokens a text may have when `asked` for (0: nobody asks): FT_EUSAGE when that
 * is less than none, or more than the model takes. */
int64_t ft_model_length(const struct ft_model *m, int64_t asked);
const char *ft_model_label(const struct ft_model *m, size_t i);   /* NULL: no names (regress) */

/* Compares the meta of a tokens or batches stream with the model: digests of tokenizer
 * and chat template, task, labels, outputs. FT_EMATCH says which two differ. */
int ft_model_match(const struct ft_model *m, struct ft_reader *data);

/* What transformers calls a model like this: "BertForSequenceClassification". */
const char *ft_model_architecture(const struct ft_model *m);

/* ---- plans (ft-freeze) ---- */
#define FT_NO_SEED INT64_MIN
/* What is to become of an opened model; members that are NULL, empty or 0 leave
 * things as they are. Globs are matched with both names of a parameter. */
struct ft_plan {
	const json_t *head;        /* {type, labels | outputs, pooling, normalize}; borrowed. A head
	                              that makes vectors and names no pooling gets that of the model */
	const json_t *loss;        /* of an embed head: {name, scale, symmetric, distinct}; borrowed */
	const char *const *train, *const *freeze; /* globs */
	size_t ntrain, nfreeze;
	int64_t last_layers;       /* only the last N layers and the head train; -1: all */
	double layer_decay;        /* rate of a layer / rate of the layer above; 1: equal */
	const char *const *rates;  /* "GLOB=MULTIPLIER" */
	size_t nrates;
	const struct ft_plan_technique {
		const char *name, *text; /* "lora", "r=8,alpha=16" (ft-freeze(1)) */
	} *techniques;             /* added to those that are there. With one the base is frozen, unless
	                              the globs say otherwise */
	size_t ntechniques;
	const json_t *tokens;      /* strings to be added to the vocabulary, or NULL; borrowed */
	int64_t seed;              /* of fresh parameters; FT_NO_SEED: that of a stream, or 0 */
	const char *base_type;     /* frozen linear layers are narrowed to this type, "nf4"; "f32": they are not */
	bool init;                 /* every parameter is fresh: a network from its config alone */
};
/* Opens `path` and makes the plan of it. A glob that matches nothing is
 * FT_EUSAGE. NULL on failure. */
struct ft_model *ft_model_plan(const char *path, const char *base, const struct ft_plan *p, unsigned flags);
/* The rows of a matrix of the network that are not the base's, which may have fewer; *rows is from malloc. */
int ft_model_rows(const struct ft_model *m, const struct ft_param *p, int64_t **rows, size_t *n);
/* The tokenizer of its base, with the tokens that plans have added; NULL on failure. */
struct ft_tok *ft_model_tokenizer(const struct ft_model *m);
/* Writes the model stream: meta, and the parameters that differ from the base. */
int ft_model_write(struct ft_model *m, struct ft_writer *w);
/* Label smoothing and class weights [outputs] (or NULL, borrowed) for the loss. */
void ft_model_loss(struct ft_model *m, double smoothing, const float *weights);
/* One probability for every dropout, instead of the config's. */
void ft_model_dropout(struct ft_model *m, double p);

/* ---- techniques ---- */
bool ft_model_adapted(const struct ft_model *m); /* there is one */
/* Switches all of them off, so that the model is what they were added to, and on again. */
void ft_model_plain(struct ft_model *m, bool plain);
/* Makes them part of the weights, and there is none any more. FT_EUSAGE for one that cannot
 * be: nothing has changed then. */
int ft_model_merge(struct ft_model *m);

/* ---- running ---- */
/* How many of the lowest layers lie below all that trains. */
int ft_model_still(const struct ft_model *m);
/* Passes from now on have this trunk (trunk.h), of at most so many layers; borrowed; NULL: none. */
void ft_model_trunk(struct ft_model *m, struct ft_trunk *t);
/* Forward without training. Everything in `out` lives until the next call
 * with the same graph. Logits are raw (no softmax). */
struct ft_output {
	const float *logits; /* [units, outputs]; NULL for a language-model head, but lm without labels
	                        gives those of what follows each row: [rows, vocabulary] */
	const float *vectors; /* [rows, width] of a head that makes vectors, else NULL */
	const float *loss;   /* [units], unreduced; NULL without labels or targets */
	const uint8_t *hits; /* [units], of a language model with labels, else NULL: whether the label came first */
	size_t units, outputs; /* units: rows of the batch; supervised tokens (mlm, lm, tag); all tokens (tag
	                          without labels); or examples (embed), of which CoSENT makes one */
	size_t width;
	double loss_sum;
	int64_t supervised;  /* units with a label */
	double weight;       /* what a mean is taken over: supervised, or with class
	                        weights their sum (as torch.nn.CrossEntropyLoss) */
};
int ft_model_eval(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_output *out);

/* What ft_model_eval() would give if the logits of the rows of b were these:
 * [rows, outputs]. For the tasks classify, multilabel and regress. */
int ft_model_judge(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, const float *logits,
                   struct ft_output *out);

/* One vector a row from the last hidden states: out [rows, width]. `pooling` is one
 * of sentence.h, "mean" or "cls"; "pooler", the family's pooler; or "auto" or NULL,
 * what the model's head says. With `normalize` scaled to length 1, as they are
 * without where the head says so. */
int ft_model_vectors(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b,
                     const char *pooling, bool normalize, const float **out, size_t *width);
/* Scales each row of v [rows, cols] to length 1. */
void ft_vectors_normalize(float *v, size_t rows, size_t cols);

/* Forward in a pass that the caller has begun (ft_graph_begin): *loss is the
 * tensor that ft_backward() may start from; NULL without labels. */
int ft_model_forward(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_output *out,
                     struct ft_tensor **loss);

/* As ft_model_forward(), and backward from the sum of the losses: gradients are
 * ADDED to those of the parameters that train. Without a supervised unit, and
 * when a loss is not finite, there is no backward: the caller looks at `out`. */
int ft_model_step(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_output *out);

#endif

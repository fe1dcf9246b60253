/* priv.h - what the files of lib/metric share.
 *
 * One file a task says what is kept of a row (`add`) and how the metrics
 * follow from the kept rows and their weights (`values`).
 */
#ifndef FT_METRIC_PRIV_H
#define FT_METRIC_PRIV_H

#include "ft/entity.h"
#include "ft/metric.h"

enum metric_id {
#define X(id, name, tasks, better, help) METRIC_##id,
#include "metrics.def"
#undef X
	METRIC_COUNT
};

struct metric_kind {
	int (*add)(struct ft_metric *t, const struct ft_output *out, const struct ft_batch *b);
	/* Called once before values(); NULL when there is nothing to prepare. */
	int (*prepare)(struct ft_metric *t);
	/* Bytes of scratch for one call of values(). */
	size_t (*scratch)(const struct ft_metric *t);
	/* Sets v[id] of the task's metrics; `weight` has one entry a kept row, NULL
	 * means 1 each. What stays NaN is undefined. */
	void (*values)(const struct ft_metric *t, const uint32_t *weight, void *scratch, double *v);
	/* Whether the data has this metric of the task; NULL: all of them. */
	bool (*has)(const struct ft_metric *t, size_t id);
	/* Adds what is not one number: classes, confusion matrix, outputs. NULL: nothing. */
	int (*detail)(const struct ft_metric *t, const json_t *labels, json_t *result);
	void (*free)(struct ft_metric *t);
};

struct classify_row {
	int32_t label, predicted;
	float loss, confidence; /* confidence: the top probability */
};

struct regress_row {
	float loss, squared, absolute; /* the errors are means over outputs */
};

struct lm_row {
	double loss; /* summed over tokens */
	uint32_t tokens, right;
	struct ft_size size;
};

struct tag_row {             /* a sentence */
	double loss;         /* summed over labels */
	uint64_t digest;     /* of the labels of its words */
	size_t from;         /* its cells: [types] */
	uint32_t labels, words, right, types;
};

struct tag_open {            /* the sentence that is being read */
	bool is_open;
	int32_t *actual, *predicted; /* [n] */
	size_t n, actual_cap, predicted_cap, entity_cap;
	int32_t last;        /* number of its last word, -1: not known */
	struct ft_buf src;
	struct ft_entity *entity[2];
};

/* Sums over (x predicted, y target), x and y less an offset near their means,
 * so that variances do not drown in rounding. */
struct moments {
	double x0, y0, w, x, y, xx, yy, xy, squared, absolute;
};

struct ft_metric {
	const struct metric_kind *kind;
	enum ft_task task;
	size_t outputs;
	int resamples;
	uint64_t seed;
	const double *threshold; /* [outputs] or NULL: multilabel */
	size_t rows; /* kept */
	struct embed_rows *embed; /* of the task embed; the scores of its pairs are in regress */
	struct text_rows *text; /* of texts; their task is none */
	struct choice_rows *choices; /* of the task lm with targets */
	union {
		struct {
			struct classify_row *row; /* [rows] */
			size_t cap;
		} classify;
		struct {
			float *loss;   /* [rows] */
			uint8_t *bits; /* [rows, outputs]: bit 0 true, bit 1 predicted */
			float *p;      /* [outputs]: probabilities of a row */
			size_t loss_cap, bits_cap, p_cap;
		} multilabel;
		struct {
			struct regress_row *row;
			float *value;        /* [rows, outputs, 2]: predicted, target; NULL when wide */
			uint32_t *order;     /* [outputs, 2, rows]: rows by rising value; after prepare */
			struct moments *sum; /* [outputs] when wide, else NULL */
			size_t row_cap, value_cap;
		} regress;
		struct {
			struct ft_tags *tags; /* NULL: labels have no names, so there are no entities */
			bool strict;
			struct tag_row *row;
			struct tag_cell *cell; /* [cells]: entities of a type in a sentence */
			size_t row_cap, cells, cell_cap;
			struct tag_open open;
		} tag;
		struct {
			struct lm_row *row;
			size_t cap;
			bool unsized; /* a row does not say how much text it stands for */
		} lm;
	};
};

extern const struct metric_kind metric_classify, metric_multilabel, metric_regress, metric_tag, metric_lm, metric_embed,
	metric_choice;

/* ---- regress.c, whose rows embed.c has too ---- */
int regress_reserve(struct ft_metric *t, size_t rows);
/* Adds a row of t->outputs values; -1: one is not finite. */
int regress_row(struct ft_metric *t, const float *predicted, const float *target, float loss);
int regress_prepare(struct ft_metric *t);
size_t regress_scratch(const struct ft_metric *t);
/* Sets mse, mae, rmse, r2, pearson and spearman of output k; memory as scratch says. */
void regress_output(const struct ft_metric *t, size_t k, const uint32_t *weight, double *memory, double *v);
void regress_free(struct ft_metric *t);

/* Precision, recall and F1 from counts; prf.c. */
struct prf {
	uint64_t both, predicted, actual; /* both: true positives */
};
struct tag_cell {
	int32_t type;
	struct prf count;
};
double prf_precision(const struct prf *c);
double prf_recall(const struct prf *c);
double prf_f1(const struct prf *c);
/* Sets the macro, micro and weighted entries of v. */
void prf_averages(const struct prf *c, size_t n, double *v);
/* result.classes = {label: {precision, recall, f1, support, predicted}}. */
int prf_detail(const struct prf *c, size_t n, const json_t *labels, json_t *result);

/* stderr[id] of t's values, or with `base` of the differences t - base; NaN
 * where undefined. */
int metric_bootstrap(struct ft_metric *t, struct ft_metric *base, double *error);
/* The values themselves. */
int metric_values(struct ft_metric *t, double *v);
/* Adds the task's metrics to obj. With `defined`, only those that are finite. */
int metric_put(const struct ft_metric *t, json_t *obj, const double *v, bool defined);

/* Whether two metrics of tags saw the same labels; two of texts the same references. */
bool tag_same_rows(const struct ft_metric *a, const struct ft_metric *b);
bool text_same_rows(const struct ft_metric *a, const struct ft_metric *b);

/* What results and messages call what is measured: a task, or "texts". */
const char *metric_task_name(enum ft_task task);

/* FT_ECRITERION naming row r of the batch. */
int metric_not_finite(const struct ft_batch *b, size_t r, const char *what);
/* A number, or null when it is not finite. New reference. */
json_t *metric_number(double v);
/* The name of class i: from `labels`, else its number, printed into buf. */
const char *metric_label(const json_t *labels, size_t i, char buf[24]);

/* ---- pairs.c ---- */
struct pairs {
	struct ft_window *windows;
	float *targets;
	struct ft_span *src;
	size_t windows_cap, targets_cap, src_cap;
	int64_t seen;
};
/* Of a batch of two texts an example, the first of which is preferred, makes one of choices, valid until the next
 * call. */
int pairs_open(struct pairs *p, struct ft_batch *b);
void pairs_free(struct pairs *p);

#endif

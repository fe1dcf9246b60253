/* predict.h - what a head says of rows of text: one JSON line a row, in order, written to
 * stdout as soon as a group of rows has been run. (Language models: prompts.h.)
 */
#ifndef FT_PREDICT_H
#define FT_PREDICT_H

#include "ft/docs.h"
#include "ft/entity.h"
#include "ft/model.h"
#include "ft/text.h"
#include "ft/tok.h"

struct ft_predict_options {
	const struct ft_tok *tok;
	struct ft_tok_limit limit; /* of a row or window */
	enum ft_combine combine;   /* windows to one answer */
	size_t group;              /* rows that are run together */
	bool keep_text;            /* repeat the text */
	const char *vectors;       /* print these instead of predictions, as ft_model_vectors(); or NULL */
	bool normalize;            /* scale each to length 1 */
	const json_t *labels;      /* names of the outputs; or NULL */
	const struct ft_tags *tags; /* of a model that gives tags to words, whose rows are sentences; or NULL */
	const double *threshold;   /* [outputs], of a multi-label model; or NULL */
};

struct ft_predictor;
/* All of `o` is borrowed. NULL on failure. */
struct ft_predictor *ft_predictor_new(struct ft_model *m, const struct ft_predict_options *o);
void ft_predictor_free(struct ft_predictor *p); /* NULL is fine */
int ft_predictor_row(struct ft_predictor *p, const struct ft_row *row);
/* An example of a tokens stream, whose labels do not count; `in` names it in errors. */
int ft_predictor_example(struct ft_predictor *p, struct ft_reader *in, struct ft_example *e);
/* Answers what has gathered; nothing of it may lack a window. */
int ft_predictor_end(struct ft_predictor *p);
struct ft_predict_counts {
	int64_t rows, cut, invalid; /* rows answered; cut short; with text that was not all UTF-8 */
};
struct ft_predict_counts ft_predictor_count(const struct ft_predictor *p);

#endif

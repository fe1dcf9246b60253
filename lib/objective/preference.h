/* preference.h - what objectives of preferences share: log-probabilities of the texts of a batch, those of a
 * reference, and what the log says of them. */
#ifndef FT_OBJECTIVE_PREFERENCE_H
#define FT_OBJECTIVE_PREFERENCE_H

#include "priv.h"

struct preference {
	const char *option;       /* that asks for it */
	bool stored;              /* the reference may be in the batches (ft-teach) */
	struct other *reference;  /* opened when a batch needs it; NULL: not yet */
	struct ft_batch rows;     /* of the pass: its texts as rows by themselves */
	struct preference_sums {  /* since the last entry of the log */
		double chosen, rejected, right, divergence;
		double nchosen, nrejected, pairs, batches;
	} sums;
};

/* The model must be causal, and no objective that needs the head's own loss be there. */
int preference_check(const struct ft_objective *x, const char *option);
/* Puts the texts of the batch before the model, which is not to make a loss of them. An example has so many. */
int preference_before(struct preference *s, struct pass *p, size_t texts);
/* [rows,1]: the sum over the labels of each row of their log-probabilities, or the mean. A row without
 * a label fails. */
struct ft_tensor *preference_scores(struct ft_graph *g, const struct ft_batch *rows, const struct head_output *h,
                                    bool mean);
/* The sums by the model before training, [rows] of the pass: those of the batch, or made. */
const float *preference_reference(struct preference *s, struct pass *p);
/* The losses of all examples are that of the pass. */
int preference_finish(struct pass *p, struct ft_tensor *loss);
/* For the log: what two texts of an example are worth, or one that is good or not. */
void preference_note_pair(struct preference *s, double chosen, double rejected);
void preference_note_one(struct preference *s, bool good, double reward);
int preference_log(struct preference *s, json_t *entry);
double *preference_sums(struct preference *s, size_t *n); /* those of the log, as numbers one behind the other */

#endif

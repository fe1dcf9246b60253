/* docs.h - one answer for a document that was split into windows.
 *
 * The model sees windows; what is asked for is an answer for the whole. Each
 * window's outputs become one row of outputs of the same kind, logits again, so
 * that everything that takes a model's outputs (loss, metrics, predictions,
 * thresholds) takes those of documents. Every tool combines by this module.
 *
 * Windows of a document may come in any order and between those of others, as
 * after a shuffle; of a document only the outputs so far are held.
 */
#ifndef FT_DOCS_H
#define FT_DOCS_H

#include "ft/model.h"

/* What becomes of n windows with the outputs x:
 *	classify    MEAN, MAX   mean, greatest of each class's probability; the sum
 *	                        of all classes is made 1 again by the softmax
 *	multilabel  MEAN, MAX   mean, greatest of each label's probability
 *	regress     MEAN, MAX   mean, greatest of each value
 *	all         FIRST       the first window's; the others do not count
 *	            NONE        windows are answered one by one
 */
enum ft_combine { FT_COMBINE_NONE, FT_COMBINE_MEAN, FT_COMBINE_MAX, FT_COMBINE_FIRST };
/* What options take: "none", "mean", "max", "first"; FT_EUSAGE names `option`. */
int ft_combine_parse(const char *option, const char *name);
/* The outputs of n windows in order, n > 0, as one row: out [outputs]. */
int ft_combine(enum ft_task task, enum ft_combine how, const float *const *window, size_t n, size_t outputs,
               float *out);

/* ---- collecting ---- */
struct ft_docs;
/* For a task whose outputs are of rows; with another nothing is combined. NULL on failure. */
struct ft_docs *ft_docs_new(enum ft_task task, size_t outputs, enum ft_combine how);
void ft_docs_free(struct ft_docs *d); /* NULL is fine */

/* Whether there is anything to combine in this batch. */
bool ft_docs_takes(const struct ft_docs *d, const struct ft_batch *b);
/* Takes over the rows of *b with their outputs x [rows, outputs]. Then *b and *x are
 * the documents that have become whole, in that order: labels, targets and
 * sources, but no tokens; maybe no rows. Where there is nothing to combine,
 * both stay as they are. Valid until the next call. FT_EFORMAT names a document whose windows
 * contradict each other. */
int ft_docs_add(struct ft_docs *d, struct ft_batch *b, const float **x);
/* ft_model_eval(), and then both *b and *out are those of documents. Of a language model's preferences they are those
 * of choices: each text of a pair by itself, the preferred one with the target 1. */
int ft_docs_eval(struct ft_docs *d, struct ft_model *m, struct ft_graph *g, struct ft_batch *b,
                 struct ft_output *out);
/* At the end of a stream: FT_EFORMAT when windows of a document did not come. */
int ft_docs_end(const struct ft_docs *d);
/* Rows of batches that had windows; 0: there were none. */
int64_t ft_docs_windows(const struct ft_docs *d);

#endif

/* fisher.h - how much what a model says depends on each of its weights: the diagonal of the
 * empirical Fisher information, the mean over examples of the squared gradient of an
 * example's log-likelihood (what it is trained on: its loss, less sign). Elastic weight consolidation
 * (train.h) keeps those weights that matter.
 */
#ifndef FT_FISHER_H
#define FT_FISHER_H

#include "ft/model.h"
#include "ft/stream.h"

/* Measures what trains in m (which is then without dropout) on the examples of a batches stream, one at
 * a time: the first `most` that have a label; 0: all. Writes a stream of the kind fisher (ft-stream.5) and returns
 * how many there were. FT_EUSAGE for heads that compare examples with one another. */
int64_t ft_fisher(struct ft_model *m, struct ft_reader *data, int64_t most, const char *path);

#endif

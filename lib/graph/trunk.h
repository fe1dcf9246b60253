/* trunk.h - what the tape asks of a trunk (ft/trunk.h). */
#ifndef FT_GRAPH_TRUNK_H
#define FT_GRAPH_TRUNK_H

#include "priv.h"

struct ft_trunk;
void graph_set_trunk(struct ft_graph *g, struct ft_trunk *t); /* of this pass */
struct ft_trunk *graph_trunk(const struct ft_graph *g);       /* or NULL */

bool trunk_is_still(const struct ft_trunk *t);           /* the pass is in the trunk: no dropout */
bool trunk_replays(const struct ft_trunk *t, int layer); /* it need not be computed */
bool trunk_ends(const struct ft_trunk *t, int layer);    /* it is the last of the trunk */
/* x leaves the trunk, and is kept. */
struct ft_tensor *trunk_leave(struct ft_trunk *t, struct ft_graph *g, struct ft_tensor *x);
/* What left it before, for the batch of this pass; of x's shape. */
struct ft_tensor *trunk_replay(struct ft_trunk *t, struct ft_graph *g, const struct ft_tensor *x);

#endif

/* pairs.c - preferences are questions with two choices, of which the first is right. */
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <stdlib.h>

int pairs_open(struct pairs *p, struct ft_batch *b)
{
	size_t n = b->rows;
	int rc = ft_grow(&p->windows, &p->windows_cap, n, sizeof *p->windows);
	rc = rc ? rc : ft_grow(&p->targets, &p->targets_cap, n, sizeof *p->targets);
	rc = rc ? rc : ft_grow(&p->src, &p->src_cap, n, sizeof *p->src);
	if (rc < 0)
		return rc;
	for (size_t r = 0; r < n; r++) {
		p->windows[r] = (struct ft_window){ .doc = p->seen + (int64_t)(r / 2), .index = (int64_t)(r % 2), .count = 2 };
		p->targets[r] = r % 2 == 0;
		if (b->src)
			p->src[r] = b->src[r / 2];
	}
	p->seen += (int64_t)(n / 2);
	b->texts = 1;
	b->windows = p->windows;
	b->targets = p->targets;
	b->ntargets = n;
	b->src = b->src ? p->src : NULL;
	b->sizes = NULL; /* of two texts together they tell nothing of one */
	return FT_OK;
}

void pairs_free(struct pairs *p)
{
	free(p->windows);
	free(p->targets);
	free(p->src);
}

/* order.c - the epochs of a batches stream, one after the other.
 *
 * An epoch is drawn (source.c), then cut into batches (cut.c). Both are functions
 * of the seed and the epoch's number, so the epochs can be gone through once to
 * count the batches for the header, and again to write them.
 */
#include "priv.h"
#include "ft/err.h"
#include <stdlib.h>

static int allocate(struct ft_order *o)
{
	o->item = ft_alloc(o->total, sizeof *o->item);
	bool reorders = o->bucket || o->pack;
	if (reorders)
		o->item_alt = ft_alloc(o->total, sizeof *o->item_alt);
	return o->item && (o->item_alt || !reorders) ? 0 : FT_EFAIL;
}

struct ft_order *ft_order_new(struct ft_pool *p, const struct ft_order_options *opt)
{
	struct ft_order *o = ft_alloc(1, sizeof *o);

	if (!o)
		return NULL;
	o->pool = p;
	o->shuffle = opt->shuffle;
	o->seed = opt->seed;
	o->rows = opt->rows;
	o->tokens = opt->tokens;
	o->bucket = opt->bucket;
	o->pack = opt->pack && opt->tokens;
	if (sources_make(o, opt) < 0 || allocate(o) < 0) {
		ft_order_free(o);
		return NULL;
	}
	ft_order_rewind(o);
	return o;
}

void ft_order_free(struct ft_order *o)
{
	if (!o)
		return;
	sources_free(o);
	free(o->item);
	free(o->cut);
	free(o->item_alt);
	free(o->cut_alt);
	free(o->turn);
	free(o->key);
	free(o);
}

size_t ft_order_examples(const struct ft_order *o)
{
	return o->examples;
}

size_t ft_order_bytes(const struct ft_order *o)
{
	return (o->examples * 2 + o->total * (o->item_alt ? 2 : 1) + o->cut_cap) * sizeof *o->item;
}

void ft_order_rewind(struct ft_order *o)
{
	o->epoch = 0;
	for (size_t s = 0; s < o->sources; s++)
		source_begin(o, s, 0);
}

int ft_order_next(struct ft_order *o, struct ft_epoch *e)
{
	int rc;

	sources_draw(o);
	o->batches = 0;
	rc = o->bucket ? cut_buckets(o) : o->pack ? cut_best_fit(o) : cut_plain(o);
	if (rc < 0)
		return rc;
	*e = (struct ft_epoch){ .item = o->item, .cut = o->cut, .items = o->total,
	                         .batches = o->batches, .number = o->epoch++ };
	for (size_t i = 0; i < o->total; i++)
		e->rows += ft_pool_texts(o->pool, o->item[i]);
	for (size_t i = 0; i < o->total; i++)
		e->tokens += ft_pool_length(o->pool, o->item[i]);
	return 0;
}

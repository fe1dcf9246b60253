/* shards.c - a step in parts: each batch of it is cut into as many shards, the gradients of a shard are added up over
 * the batches, and those of the shards in a tree, which halves them until one is left. The tree follows from the number
 * of shards alone. A rank has a subtree, and what it has in hand is one gradient for each level of it; the upper levels
 * are between ranks. So any number of ranks gives the same bytes. */
#include "ft/batch.h"
#include "shards.h"

#include <stdlib.h>

struct kept {
	struct ft_batch b;
	int64_t number, record; /* of the run, of the stream */
};

struct shards {
	struct run *r;
	int64_t count;
	struct kept *batches; /* of the step */
	size_t nbatches, cap;
	struct ft_arena memory; /* of these */
	struct ft_batch_part part;
	struct gradients *spare;
};

int shards_check(int64_t shards, int ranks)
{
	if (ranks > 1 && shards == 1)
		return ft_fail(FT_EUSAGE, "%d ranks: --shards N says into how many parts each step is cut, as the result follows "
		               "from that", ranks);
	if ((ranks & (ranks - 1)) || shards % ranks)
		return ft_fail(FT_EUSAGE, "--shards %lld and %d ranks: ranks must be a power of two that divides the shards",
		               (long long)shards, ranks);
	return FT_OK;
}

struct shards *shards_new(struct run *r)
{
	int rc = shards_check(r->o->shards, ft_ranks_count(r->ranks));
	struct shards *s = rc < 0 ? NULL : ft_alloc(1, sizeof *s);
	if (s)
		*s = (struct shards){ .r = r, .count = r->o->shards };
	return s;
}

static void give_back(struct shards *s, struct gradients *x)
{
	if (!x)
		return;
	*gradients_next(x) = s->spare;
	s->spare = x;
}

/* The sum of a step, which has got what the model had before: of that nothing may have been written yet, so it is used
 * last, and its memory stays the system's. */
static void give_back_last(struct shards *s, struct gradients *x)
{
	struct gradients **at = &s->spare;
	while (*at)
		at = gradients_next(*at);
	*at = x;
}

/* NULL: out of memory. */
static struct gradients *take(struct shards *s)
{
	struct gradients *x = s->spare;
	if (!x)
		return gradients_new(s->r->m);
	s->spare = *gradients_next(x);
	*gradients_next(x) = NULL;
	return x;
}

void shards_free(struct shards *s)
{
	while (s && s->spare)
		gradients_free(take(s));
	if (s) {
		free(s->batches);
		ft_arena_free(&s->memory);
		ft_batch_part_free(&s->part);
	}
	free(s);
}

int shards_add(struct shards *s, const struct ft_batch *b, int64_t record)
{
	int rc = ft_objective_splits(s->r->objective, b);
	if (rc < 0)
		return ft_context(rc, "--shards");
	rc = ft_grow(&s->batches, &s->cap, s->nbatches + 1, sizeof *s->batches);
	struct kept *k = rc < 0 ? NULL : &s->batches[s->nbatches++];
	if (!k)
		return rc;
	*k = (struct kept){ .number = s->r->batch, .record = record };
	return ft_batch_copy(&s->memory, b, &k->b);
}

/* ---- the tree ---- */

/* One shard: of the model's gradients, of which there are none then. */
static int run_shard(struct shards *s, int64_t i, struct gradients *x)
{
	struct run *r = s->r;
	double *sums = gradients_sums(x);
	int rc = FT_OK;
	gradients_clear(x);
	r->loss_sum = r->weight = 0;
	r->supervised = 0;
	for (size_t k = 0; rc == FT_OK && k < s->nbatches; k++) {
		const struct kept *batch = &s->batches[k];
		size_t from = ft_batch_cut(&batch->b, (size_t)i, (size_t)s->count);
		size_t to = ft_batch_cut(&batch->b, (size_t)i + 1, (size_t)s->count);
		rc = from < to ? ft_batch_part(&s->part, &batch->b, from, to) : FT_OK;
		if (rc == FT_OK && from < to)
			rc = run_pass(r, &s->part.batch, batch->number, batch->record);
	}
	ft_objective_exchange(r->objective, sums + SUM_OBJECTIVES);
	sums[SUM_LOSS] = r->loss_sum;
	sums[SUM_WEIGHT] = r->weight;
	sums[SUM_SUPERVISED] = (double)r->supervised;
	gradients_exchange(x);
	return rc;
}

static int sum_shards(struct shards *s, int64_t from, int64_t to, struct gradients **sum)
{
	struct gradients *right = NULL;
	int64_t middle = from + (to - from) / 2;
	if (to - from == 1)
		return (*sum = take(s)) ? run_shard(s, from, *sum) : FT_EFAIL;
	int rc = sum_shards(s, from, middle, sum);
	rc = rc ? rc : sum_shards(s, middle, to, &right);
	if (rc == FT_OK)
		gradients_add(*sum, right);
	give_back(s, right);
	return rc;
}

/* The levels between ranks: each time every second of those that are left gives what it has to the one before. */
static void sum_ranks(struct ft_ranks *ranks, struct gradients *sum, struct gradients *other)
{
	int mine = ft_ranks_mine(ranks), count = ft_ranks_count(ranks), step = 1;
	for (; step < count && !(mine & step); step *= 2) {
		gradients_receive(other, ranks, mine + step);
		gradients_add(sum, other);
	}
	if (step < count)
		gradients_send(sum, ranks, mine - step);
	gradients_share(sum, ranks);
}

static void put_total(struct run *r, struct gradients *total)
{
	double *sums = gradients_sums(total);
	gradients_exchange(total);
	ft_objective_exchange(r->objective, sums + SUM_OBJECTIVES);
	r->loss_sum = sums[SUM_LOSS];
	r->weight = sums[SUM_WEIGHT];
	r->supervised = (int64_t)sums[SUM_SUPERVISED];
}

int shards_step(struct shards *s)
{
	struct ft_ranks *ranks = s->r->ranks;
	int64_t share = s->count / ft_ranks_count(ranks), first = share * ft_ranks_mine(ranks);
	bool several = ft_ranks_count(ranks) > 1;
	struct gradients *sum = NULL, *other = several && share == 1 ? take(s) : NULL; /* that which was written before */
	int rc = sum_shards(s, first, first + share, &sum);
	if (rc == FT_OK && several && !other && !(other = take(s)))
		rc = FT_EFAIL;
	rc = together_step(s->r, rc);
	if (rc == FT_ECRITERION)
		rc = together_bad_loss(s->r) < 0 ? ft_last_error() : refuse_loss(s->r);
	if (rc == FT_OK && several)
		sum_ranks(ranks, sum, other);
	if (rc == FT_OK)
		put_total(s->r, sum);
	give_back(s, other);
	give_back_last(s, sum);
	s->nbatches = 0;
	ft_arena_reset(&s->memory);
	return rc;
}

/* bpe_merge.c - byte-pair encoding of one word: neighbours merge, the pair of the
 * lowest rank first, of equals the leftmost.
 *
 * Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units",
 * ACL 2016. Short words, which is nearly all of them, are searched for the lowest
 * rank again and again. Long ones (a text without spaces may be one word) have a
 * queue with a bucket for each rank. A merge can only make pairs that lie at it or
 * before it; those of a rank that is due are done at once, from a small heap, all
 * others have higher ranks. So each rank's bucket is opened once, in rising order,
 * and the whole takes time in proportion to the word.
 */
#include "bpe.h"
#include "ft/err.h"

#include <stdlib.h>
#include <string.h>

#define SHORT 48           /* symbols of a word that is searched */
#define WORD_MAX ((size_t)1 << 30)
#define KEPT ((size_t)1 << 20) /* symbols for which memory is kept */

int bpe_tokens_reserve(struct bpe_tokens *k, size_t n)
{
	size_t cap = k->cap;
	if (n <= cap)
		return FT_OK;
	int rc = ft_grow(&k->id, &cap, n, sizeof *k->id);
	cap = k->cap;
	if (rc == FT_OK)
		rc = ft_grow(&k->end, &cap, n, sizeof *k->end);
	if (rc == FT_OK)
		k->cap = cap;
	return rc;
}

/* ---- short words ---- */

static void merge_short(const struct bpe_pairs *p, struct bpe_tokens *k)
{
	uint64_t pair[SHORT]; /* [n - 1]: what symbols i and i + 1 become */
	size_t n = k->n;
	for (size_t i = 0; i + 1 < n; i++)
		pair[i] = bpe_merged(p, k->id[i], k->id[i + 1]);
	while (n > 1) {
		size_t best = 0;
		for (size_t i = 1; i + 1 < n; i++)
			if (pair[i] < pair[best])
				best = i;
		if (pair[best] == BPE_NONE)
			break;
		k->id[best] = (int32_t)(uint32_t)pair[best];
		k->end[best] = k->end[best + 1];
		n--;
		for (size_t i = best + 1; i < n; i++) {
			k->id[i] = k->id[i + 1];
			k->end[i] = k->end[i + 1];
			pair[i - 1] = pair[i];
		}
		if (best + 1 < n)
			pair[best] = bpe_merged(p, k->id[best], k->id[best + 1]);
		if (best > 0)
			pair[best - 1] = bpe_merged(p, k->id[best - 1], k->id[best]);
	}
	k->n = n;
}

/* ---- the queue ---- */

struct node { uint32_t cell, next; };
struct bpe_queue {
	uint32_t *head;     /* [ranks]: 1 + the last node of a bucket, 0: empty */
	uint64_t *full, *groups; /* a bit for each bucket that is not empty, and for each 64 of those bits */
	size_t ngroups;     /* words of `groups` */
	struct node *node;
	size_t nnodes, nodes_cap;
	uint32_t unused;    /* 1 + the first of the nodes given back */
	uint64_t *due;      /* a heap: rank, then cell */
	size_t ndue, due_cap;
	uint32_t *cell;     /* of the bucket that is open */
	size_t ncells, cells_cap;
	uint32_t *other;    /* for sorting them */
	size_t other_cap;
	/* Symbols lie in cells, one for each of the word's beginning. The first and the last cell
	 * of a symbol know how many it has, by which its neighbours are found. */
	uint32_t *span;
	size_t span_cap;
};

static struct bpe_queue *queue_new(size_t ranks)
{
	struct bpe_queue *q = ft_alloc(1, sizeof *q);
	if (!q)
		return NULL;
	size_t words = ranks / 64 + 1;
	q->ngroups = words / 64 + 1;
	q->head = ft_alloc(ranks, sizeof *q->head);
	q->full = ft_alloc(words, sizeof *q->full);
	q->groups = ft_alloc(q->ngroups, sizeof *q->groups);
	if (q->head && q->full && q->groups)
		return q;
	bpe_queue_free(q);
	return NULL;
}

static void free_words(struct bpe_queue *q)
{
	free(q->node);
	free(q->due);
	free(q->cell);
	free(q->other);
	free(q->span);
	q->node = NULL, q->nnodes = q->nodes_cap = q->unused = 0;
	q->due = NULL, q->ndue = q->due_cap = 0;
	q->cell = NULL, q->ncells = q->cells_cap = 0;
	q->other = NULL, q->other_cap = 0;
	q->span = NULL, q->span_cap = 0;
}

void bpe_queue_free(struct bpe_queue *q)
{
	if (!q)
		return;
	free_words(q);
	free(q->head);
	free(q->full);
	free(q->groups);
	free(q);
}

static int push(struct bpe_queue *q, size_t rank, uint32_t cell)
{
	uint32_t i = q->unused;
	if (i) {
		q->unused = q->node[i - 1].next;
	} else {
		int rc = ft_grow(&q->node, &q->nodes_cap, q->nnodes + 1, sizeof *q->node);
		if (rc < 0)
			return rc;
		i = (uint32_t)++q->nnodes;
	}
	q->node[i - 1] = (struct node){ cell, q->head[rank] };
	q->head[rank] = i;
	q->full[rank / 64] |= (uint64_t)1 << rank % 64;
	q->groups[rank / 4096] |= (uint64_t)1 << rank / 64 % 64;
	return FT_OK;
}

/* The lowest rank with a bucket that is not empty; or SIZE_MAX. */
static size_t lowest(const struct bpe_queue *q, size_t from)
{
	for (size_t g = from / 4096; g < q->ngroups; g++) {
		if (!q->groups[g])
			continue;
		size_t word = g * 64 + (size_t)__builtin_ctzll(q->groups[g]);
		return word * 64 + (size_t)__builtin_ctzll(q->full[word]);
	}
	return SIZE_MAX;
}

/* Sorts the open cells, least significant byte first. */
static int sort_cells(struct bpe_queue *q)
{
	int rc = ft_grow(&q->other, &q->other_cap, q->cells_cap, sizeof *q->other);
	if (rc < 0)
		return rc;
	for (unsigned shift = 0; shift < 32; shift += 8) {
		size_t start[256] = { 0 }, sum = 0;
		for (size_t i = 0; i < q->ncells; i++)
			start[q->cell[i] >> shift & 255]++;
		for (size_t b = 0; b < 256; b++) {
			size_t count = start[b];
			start[b] = sum;
			sum += count;
		}
		for (size_t i = 0; i < q->ncells; i++)
			q->other[start[q->cell[i] >> shift & 255]++] = q->cell[i];
		uint32_t *swap = q->cell;
		size_t cap = q->cells_cap;
		q->cell = q->other, q->cells_cap = q->other_cap;
		q->other = swap, q->other_cap = cap;
	}
	return FT_OK;
}

static int compare_cells(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

/* Opens a bucket: its cells, in order, in q->cell; it is empty then. */
static int open_bucket(struct bpe_queue *q, size_t rank)
{
	bool sorted = true;
	q->ncells = 0;
	for (uint32_t i = q->head[rank]; i;) {
		struct node *node = &q->node[i - 1];
		int rc = ft_grow(&q->cell, &q->cells_cap, q->ncells + 1, sizeof *q->cell);
		if (rc < 0)
			return rc;
		sorted &= !q->ncells || node->cell <= q->cell[q->ncells - 1]; /* the last one comes first */
		q->cell[q->ncells++] = node->cell;
		uint32_t next = node->next;
		node->next = q->unused;
		q->unused = i;
		i = next;
	}
	q->head[rank] = 0;
	q->full[rank / 64] &= ~((uint64_t)1 << rank % 64);
	if (!q->full[rank / 64])
		q->groups[rank / 4096] &= ~((uint64_t)1 << rank / 64 % 64);
	if (!sorted && q->ncells > 512)
		return sort_cells(q);
	if (!sorted)
		qsort(q->cell, q->ncells, sizeof *q->cell, compare_cells);
	else
		for (size_t i = 0, k = q->ncells; i + 1 < k; i++) {
			uint32_t swap = q->cell[--k];
			q->cell[k] = q->cell[i];
			q->cell[i] = swap;
		}
	return FT_OK;
}

/* ---- the heap of what is due ---- */

static int push_due(struct bpe_queue *q, uint64_t item)
{
	int rc = ft_grow(&q->due, &q->due_cap, q->ndue + 1, sizeof *q->due);
	if (rc < 0)
		return rc;
	size_t i = q->ndue++;
	for (; i > 0 && q->due[(i - 1) / 2] > item; i = (i - 1) / 2)
		q->due[i] = q->due[(i - 1) / 2];
	q->due[i] = item;
	return FT_OK;
}

static uint64_t pop_due(struct bpe_queue *q)
{
	uint64_t top = q->due[0], item = q->due[--q->ndue];
	size_t i = 0;
	for (size_t child; (child = 2 * i + 1) < q->ndue; i = child) {
		child += child + 1 < q->ndue && q->due[child + 1] < q->due[child];
		if (item <= q->due[child])
			break;
		q->due[i] = q->due[child];
	}
	q->due[i] = item;
	return top;
}

/* ---- long words ---- */

struct merger {
	const struct bpe_pairs *p;
	struct bpe_queue *q;
	struct bpe_tokens *k;
	size_t rank; /* whose bucket is open */
};

/* The symbols at two neighbouring cells merge now, later, or never. */
static int enqueue(struct merger *m, size_t left, size_t right)
{
	uint64_t merged = bpe_merged(m->p, m->k->id[left], m->k->id[right]);
	if (merged == BPE_NONE)
		return FT_OK;
	size_t rank = (size_t)(merged >> 32);
	return rank <= m->rank ? push_due(m->q, (uint64_t)rank << 32 | left) : push(m->q, rank, (uint32_t)left);
}

/* Merges the symbol at `cell` with the next, if they still are the pair of this rank. */
static int merge_at(struct merger *m, size_t cell, size_t rank)
{
	uint32_t *span = m->q->span;
	int32_t *id = m->k->id;
	size_t right = cell + span[cell];
	if (id[cell] < 0 || right >= m->k->n || bpe_key(id[cell], id[right]) != m->p->by_rank[rank])
		return FT_OK;
	uint64_t merged = bpe_merged(m->p, id[cell], id[right]);
	size_t end = right + span[right];
	id[cell] = (int32_t)(uint32_t)merged;
	id[right] = -1;
	span[cell] = span[end - 1] = (uint32_t)(end - cell);
	int rc = cell > 0 ? enqueue(m, cell - span[cell - 1], cell) : FT_OK;
	return rc == FT_OK && end < m->k->n ? enqueue(m, cell, end) : rc;
}

static int merge_bucket(struct merger *m)
{
	struct bpe_queue *q = m->q;
	int rc = open_bucket(q, m->rank);
	for (size_t i = 0; i < q->ncells && rc == FT_OK; i++) {
		rc = merge_at(m, q->cell[i], m->rank);
		while (rc == FT_OK && q->ndue) {
			uint64_t item = pop_due(q);
			rc = merge_at(m, (uint32_t)item, (size_t)(item >> 32));
		}
	}
	return rc;
}

/* Leaves only the symbols, one after the other. */
static void compact(struct bpe_tokens *k, const uint32_t *span)
{
	size_t to = 0;
	for (size_t i = 0, next; i < k->n; i = next) {
		next = i + span[i];
		k->id[to] = k->id[i];
		k->end[to++] = k->end[next - 1];
	}
	k->n = to;
}

static int merge_long(const struct bpe_pairs *p, struct bpe_tokens *k, struct bpe_queue *q)
{
	struct merger m = { p, q, k, 0 };
	int rc = ft_grow(&q->span, &q->span_cap, k->n, sizeof *q->span);
	for (size_t i = 0; i < k->n && rc == FT_OK; i++)
		q->span[i] = 1;
	for (size_t i = 0; i + 1 < k->n && rc == FT_OK; i++) {
		uint64_t merged = bpe_merged(p, k->id[i], k->id[i + 1]);
		if (merged != BPE_NONE)
			rc = push(q, (size_t)(merged >> 32), (uint32_t)i);
	}
	while (rc == FT_OK && (m.rank = lowest(q, m.rank)) != SIZE_MAX)
		rc = merge_bucket(&m);
	if (rc == FT_OK)
		compact(k, q->span);
	return rc;
}

int bpe_merge(const struct bpe_pairs *p, struct bpe_tokens *k, struct bpe_queue **q)
{
	size_t n = k->n;
	if (n <= SHORT) {
		merge_short(p, k);
		return FT_OK;
	}
	if (p->ranks == 0)
		return FT_OK;
	if (n > WORD_MAX)
		return ft_fail(FT_EFORMAT, "a word of %zu symbols; at most %zu are supported", n, WORD_MAX);
	if (!*q && !(*q = queue_new(p->ranks)))
		return FT_EFAIL;
	int rc = merge_long(p, k, *q);
	if (rc < 0) { /* buckets may be full still */
		bpe_queue_free(*q);
		*q = NULL;
	} else if (n > KEPT) {
		free_words(*q);
	}
	return rc;
}

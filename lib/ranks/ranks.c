/* ranks.c - what ranks do together, however they reach one another. */
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ft_ranks {
	const struct ranks_link *link;
	int count, mine, failed;
};

int ranks_announced(void)
{
	static const char *const names[] = { "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *value = getenv(names[i]);
		long n = value ? strtol(value, NULL, 10) : 0;
		if (n > 0 && n < 1 << 20)
			return (int)n;
	}
	return 1;
}

int ft_ranks_open(struct ft_ranks **r)
{
	*r = ft_alloc(1, sizeof **r);
	if (!*r)
		return FT_EFAIL;
#ifdef FT_MPI
	(*r)->link = &ranks_mpi;
#else
	(*r)->link = &ranks_alone;
#endif
	return (*r)->link->open(&(*r)->count, &(*r)->mine);
}

void ft_ranks_close(struct ft_ranks *r)
{
	if (r)
		r->link->close();
	free(r);
}

int ft_ranks_count(const struct ft_ranks *r) { return r ? r->count : 1; }
int ft_ranks_mine(const struct ft_ranks *r) { return r ? r->mine : 0; }
int ft_ranks_failed(const struct ft_ranks *r) { return r ? r->failed : 0; }

/* ---- bytes ---- */
void ft_ranks_send(struct ft_ranks *r, int to, const void *data, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += MOST)
		r->link->send(to, (const char *)data + at, bytes - at < MOST ? bytes - at : MOST);
}

void ft_ranks_receive(struct ft_ranks *r, int from, void *data, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += MOST)
		r->link->receive(from, (char *)data + at, bytes - at < MOST ? bytes - at : MOST);
}

void ft_ranks_share(struct ft_ranks *r, int from, void *data, size_t bytes)
{
	for (size_t at = 0; ft_ranks_count(r) > 1 && at < bytes; at += MOST)
		r->link->share(from, (char *)data + at, bytes - at < MOST ? bytes - at : MOST);
}

/* ---- meeting ---- */
struct note { /* what each rank tells rank 0, and what rank 0 makes of it */
	uint64_t mark;
	int32_t rc;
	uint32_t flags;
	int32_t failed; /* the rank whose rc it is */
	char message[1024];
};

static void take_note(struct note *all, const struct note *one, int rank, const char *what)
{
	all->flags |= one->flags;
	if (all->rc < 0)
		return;
	all->failed = rank;
	if (one->rc < 0) {
		all->rc = one->rc;
		snprintf(all->message, sizeof all->message, "rank %d: %.1000s", rank, one->message);
	} else if (one->mark != all->mark) {
		all->rc = FT_EMATCH;
		snprintf(all->message, sizeof all->message, "rank %d has other %s than rank 0", rank, what);
	}
}

int ft_ranks_agree(struct ft_ranks *r, int rc, const char *what, uint64_t mark, uint32_t *flags)
{
	struct note mine = { .mark = mark, .rc = rc, .flags = flags ? *flags : 0 }, other;
	if (ft_ranks_count(r) == 1)
		return rc;
	if (rc < 0)
		snprintf(mine.message, sizeof mine.message, "%s", ft_message());
	for (int i = 1; i < r->count && r->mine == 0; i++) {
		ft_ranks_receive(r, i, &other, sizeof other);
		take_note(&mine, &other, i, what);
	}
	if (r->mine != 0)
		ft_ranks_send(r, 0, &mine, sizeof mine);
	ft_ranks_share(r, 0, &mine, sizeof mine);
	r->failed = mine.failed;
	if (flags)
		*flags = mine.flags;
	return mine.rc < 0 ? ft_fail(mine.rc, "%s", mine.message) : FT_OK;
}

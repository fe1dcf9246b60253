/* together.c - what the ranks of a run know of one another: who failed, who was asked to stop, and that all of them
 * have the same inputs and the same weights. */
#include "ft/digest.h"
#include "ft/ranks.h"
#include "ft/signals.h"
#include "priv.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static bool alone(const struct run *r) { return ft_ranks_count(r->ranks) == 1; }

/* Signals as bits: those that came here, and then those that came to any rank. */
static uint32_t signals_here(void)
{
	int stop = ft_signals_stop();
	return (stop > 0 && stop < 32 ? 1u << stop : 0) | (ft_signals_save() ? 1u << SIGUSR1 : 0);
}

static void take_signals(uint32_t bits, bool first)
{
	for (int number = 1; number < 32; number++)
		if (bits & 1u << number && (number != SIGUSR1 || first)) /* rank 0 alone saves */
			ft_signals_take(number);
}

static int meet(struct run *r, int rc, const char *what, uint64_t mark)
{
	uint32_t flags = signals_here();
	rc = ft_ranks_agree(r->ranks, rc, what, mark, &flags);
	take_signals(flags, ft_ranks_mine(r->ranks) == 0);
	r->failed_together = rc < 0;
	return rc;
}

int together(struct run *r, int rc)
{
	return alone(r) || r->failed_together ? rc : meet(r, rc, "", 0);
}

int together_step(struct run *r, int rc)
{
	char hex[33];
	if (alone(r))
		return rc;
	ft_reader_digest(r->data, hex);
	return meet(r, rc, "batches", ft_hash(hex, strlen(hex), (uint64_t)r->step));
}

int together_begin(struct run *r, int rc)
{
	if (alone(r))
		return rc;
	json_t *identity = rc < 0 ? NULL : identity_make(r);
	char *text = identity ? ft_json_text(identity) : NULL;
	if (rc == FT_OK && !text)
		rc = ft_last_error();
	rc = meet(r, rc, "options, inputs or kernels", text ? ft_hash(text, strlen(text), 0) : 0);
	free(text);
	json_decref(identity);
	return rc;
}

int together_end(struct run *r, int rc)
{
	uint64_t hash = 0;
	if (alone(r) || rc < 0)
		return together(r, rc);
	for (size_t i = 0; i < ft_model_params(r->m); i++) {
		const struct ft_param *p = ft_model_param(r->m, i);
		if (p->trains)
			hash = ft_hash(p->t.data, (size_t)p->t.rows * (size_t)p->t.cols * sizeof(float), hash);
	}
	return meet(r, rc, "weights", hash);
}

int together_bad_loss(struct run *r)
{
	int from = ft_ranks_failed(r->ranks);
	uint64_t bytes = r->sources.len;
	if (alone(r))
		return FT_OK;
	ft_ranks_share(r->ranks, from, &r->bad_loss, sizeof r->bad_loss);
	ft_ranks_share(r->ranks, from, &bytes, sizeof bytes);
	if (ft_ranks_mine(r->ranks) != from) {
		r->sources.len = 0;
		if (ft_buf_reserve(&r->sources, bytes + 1) < 0)
			return FT_EFAIL;
		r->sources.len = bytes;
		r->sources.data[bytes] = 0;
	}
	ft_ranks_share(r->ranks, from, r->sources.data, bytes);
	return FT_OK;
}

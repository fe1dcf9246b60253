/* kto.c - Kahneman-Tversky optimisation (Ethayarajh et al., ICML 2024): of texts that are good or not,
 * each by itself. What a text is worth is seen from the average divergence from the reference, which
 * the prompts of the batch with one another's completions estimate. */
#include "preference.h"

#include <stdlib.h>

struct judged {
	struct preference common;
	struct other *self;       /* the model as it is, without dropout */
	double beta, desirable, undesirable;
	const float *reference;   /* of this pass */
	double divergence;
	struct ft_batch mixed;    /* prompts with the completions of others */
	struct ft_arena memory;   /* of it, and of reference */
};

static void take_down(void *state)
{
	struct judged *s = state;
	other_free(s->common.reference);
	other_free(s->self);
	ft_arena_free(&s->memory);
	free(s);
}

static int set_up(struct ft_objective *x, void **state)
{
	int rc = x->o->kto ? preference_check(x, "--kto") : FT_OK;
	if (rc < 0 || !x->o->kto)
		return rc;
	struct judged *s = ft_alloc(1, sizeof *s);
	if (!s)
		return FT_EFAIL;
	*s = (struct judged){ .common.option = "--kto", .self = other_self(x->m), .beta = x->o->beta,
	                      .desirable = x->o->desirable, .undesirable = x->o->undesirable };
	*state = s;
	if (s->self)
		return 1;
	take_down(s);
	return FT_EFAIL;
}

/* ---- prompts with the completions of others ---- */

/* The place of a row from which on tokens are learnt. */
static int32_t first_label(const struct ft_batch *b, size_t r)
{
	int32_t t = b->offsets[r];
	while (t < b->offsets[r + 1] && b->labels[t] == FT_IGNORE)
		t++;
	return t;
}

struct mix { /* rows so far */
	int32_t *ids, *labels, n;
};

static void put_token(struct mix *m, int32_t id)
{
	m->labels[m->n] = FT_IGNORE;
	m->ids[m->n++] = id;
}

/* The prompt of row r with what is learnt in row `from`: at most `most` tokens. */
static void mix_row(struct mix *m, const struct ft_batch *b, size_t r, size_t from, int64_t most)
{
	int32_t start = m->n, prompt = first_label(b, r), last = -1;
	for (int32_t t = b->offsets[r]; t < b->offsets[r + 1] && t <= prompt; t++)
		put_token(m, b->ids[t]);
	for (int32_t t = b->offsets[from]; t < b->offsets[from + 1]; t++) {
		if (b->labels[t] == FT_IGNORE)
			continue;
		if (last >= 0 && m->n - start >= most)
			return;
		if (last >= 0)
			put_token(m, last);
		m->labels[m->n - 1] = last = b->labels[t];
	}
}

/* The order is that of the reference implementation: each row has the completion of the one before it. */
static int mix_rows(struct judged *s, const struct ft_batch *b, int64_t most)
{
	struct mix m = { .ids = ft_arena_get(&s->memory, 2 * b->tokens * sizeof *m.ids),
	                 .labels = ft_arena_get(&s->memory, 2 * b->tokens * sizeof *m.labels) };
	int32_t *offsets = ft_arena_get(&s->memory, (b->rows + 1) * sizeof *offsets);
	if (!m.ids || !m.labels || !offsets)
		return FT_EFAIL;
	for (size_t r = 0; r < b->rows; r++) {
		offsets[r] = m.n;
		mix_row(&m, b, r, r ? r - 1 : b->rows - 1, most);
	}
	offsets[b->rows] = m.n;
	s->mixed = (struct ft_batch){ .ids = m.ids, .labels = m.labels, .offsets = offsets, .rows = b->rows,
	                              .tokens = (size_t)m.n, .nlabels = (size_t)m.n, .epoch = -1 };
	return FT_OK;
}

/* max(0, mean of log p - log reference) over such rows; a batch of one row has none. */
static int estimate(struct judged *s, struct pass *p)
{
	double sum = 0;
	s->divergence = 0;
	if (p->b->rows < 2)
		return FT_OK;
	int rc = mix_rows(s, p->b, p->x->m->shape.positions);
	const struct ft_tensor *ours = rc == FT_OK ? other_scores(s->self, &s->mixed) : NULL;
	const struct ft_tensor *theirs = ours ? other_scores(s->common.reference, &s->mixed) : NULL;
	if (!theirs)
		return ft_last_error();
	for (int64_t r = 0; r < ours->rows; r++)
		sum += (double)ours->data[r] - theirs->data[r];
	s->divergence = sum > 0 ? sum / (double)ours->rows : 0;
	s->common.sums.divergence += s->divergence;
	s->common.sums.batches++;
	return FT_OK;
}

static struct other *other(const void *state, size_t i)
{
	const struct judged *s = state;
	return i == 0 ? s->common.reference : i == 1 ? s->self : NULL;
}

static int before(void *state, struct pass *p)
{
	struct judged *s = state;
	ft_arena_reset(&s->memory);
	int rc = preference_before(&s->common, p, 1);
	const float *reference = rc == FT_OK ? preference_reference(&s->common, p) : NULL;
	float *kept = reference ? ft_arena_get(&s->memory, p->b->rows * sizeof *kept) : NULL;
	for (size_t r = 0; kept && r < p->b->rows; r++) /* the next pass of the reference takes its memory */
		kept[r] = reference[r];
	s->reference = kept;
	return rc < 0 ? rc : kept ? estimate(s, p) : ft_last_error();
}

static int add(void *state, struct pass *p)
{
	struct judged *s = state;
	const struct ft_kto_options o = { s->reference, p->batch->targets, (float)s->beta, (float)s->desirable,
	                                  (float)s->undesirable, (float)s->divergence };
	struct ft_tensor *x = preference_scores(p->g, p->b, &p->h, false);
	for (int64_t r = 0; x && r < x->rows; r++)
		preference_note_one(&s->common, o.good[r] > 0, s->beta * (x->data[r] - s->reference[r]));
	return preference_finish(p, ft_kto(p->g, x, &o));
}

static int put_log(void *state, json_t *entry)
{
	struct judged *s = state;
	return preference_log(&s->common, entry);
}

static double *sums(void *state, size_t *n)
{
	struct judged *s = state;
	return preference_sums(&s->common, n);
}

const struct objective objective_kto = {
	.name = "kto", .open = set_up, .close = take_down, .other = other, .before = before, .add = add,
	.log = put_log, .sums = sums
};

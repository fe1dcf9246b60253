/* unigram.c - Unigram: of all ways to cut a text into pieces the one whose scores
 * (logarithms of probabilities) add up to the most. A character that no piece has
 * alone is an unknown one at the cost of the worst piece and 10 more; unknown
 * characters beside each other become one token, or their bytes.
 *
 * Kudo, "Subword Regularization", 2018, section 3.2. The best way to each place in
 * the text is found from left to right; on a tie the way found first stays, which
 * is the one whose last piece is longest.
 */
#include "ft/err.h"
#include "unigram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define UNK_PENALTY 10
#define SCORE_MAX 1e20 /* so that no sum over a text of 4 GiB is infinite in float32 */
#define CHARACTER (-2) /* an unknown one */
#define SPACE "\xe2\x96\x81" /* U+2581, which stands for a space */

/* For one text: the last step of the best way to each place; and the sums of these ways,
 * for as many places as a step can reach. */
struct step { int32_t piece; uint32_t from; }; /* piece: or CHARACTER */
struct lattice {
	struct step *step; /* [n + 1] */
	size_t cap;
	double *sum;       /* [window]; -INFINITY: no way leads there yet */
	struct unigram_words words;
};

static void lattice_free(void *state)
{
	struct lattice *l = state;
	free(l->step);
	free(l->sum);
	unigram_words_free(&l->words);
	free(l);
}

static void *lattice_new(const struct ft_tok *t)
{
	const struct unigram *u = t->state;
	struct lattice *l = ft_alloc(1, sizeof *l);
	if (!l || !(l->sum = ft_alloc(u->window, sizeof *l->sum)) || unigram_words_make(&l->words) < 0) {
		if (l)
			lattice_free(l);
		return NULL;
	}
	for (size_t i = 0; i < u->window; i++)
		l->sum[i] = -INFINITY;
	return l;
}

/* The best way over s[n], behind what has the sum *total; which becomes that of both. */
static inline __attribute__((always_inline)) void search(const struct unigram *u, struct lattice *l,
                                                         const unsigned char *s, size_t n, double *total,
                                                         bool single)
{
	const struct tok_unit *unit = u->trie.unit;
	const double *score = u->score;
	double *restrict sum = l->sum;
	struct step *restrict step = l->step;
	size_t mask = u->window - 1;
	sum[0] = *total;
	for (size_t at = 0, len; at < n; at += len) {
		double here = sum[at & mask], there;
		uint32_t base = unit->base >> TOK_LABEL;
		bool alone = false; /* the character is a piece */
		len = unigram_char(s[at]);
		for (size_t end = at; end < n;) {
			struct tok_unit x = unit[base ^ s[end]];
			if ((x.base & ((1u << TOK_LABEL) - 1)) != s[end])
				break;
			base = x.base >> TOK_LABEL;
			end++;
			if (x.id < 0)
				continue;
			there = single ? (float)(here + score[x.id]) : here + score[x.id];
			alone |= end == at + len;
			if (there > sum[end & mask]) {
				sum[end & mask] = there;
				step[end] = (struct step){ x.id, (uint32_t)at };
			}
		}
		there = single ? (float)(here + u->unk_score) : here + u->unk_score;
		if (!alone && there > sum[(at + len) & mask]) {
			sum[(at + len) & mask] = there;
			step[at + len] = (struct step){ CHARACTER, (uint32_t)at };
		}
		sum[at & mask] = -INFINITY;
	}
	*total = sum[n & mask];
	sum[n & mask] = -INFINITY;
}

/* ---- tokens of the best way ---- */

/* Turns the steps of the best way: to each place where one begins, which it is and where it ends. */
static void turn(struct lattice *l, size_t n)
{
	struct step now = l->step[n];
	for (size_t end = n; end;) {
		size_t from = now.from;
		struct step before = l->step[from];
		l->step[from] = (struct step){ now.piece, (uint32_t)end };
		now = before;
		end = from;
	}
}

static int emit_bytes(const struct ft_tok *t, const struct tok_run *w, int type, size_t from, size_t to,
                      struct ft_tok_text *x)
{
	const struct unigram *u = t->state;
	int rc = FT_OK;
	for (size_t i = from; i < to && rc == FT_OK; i++)
		rc = tok_emit_part(x, u->byte[(unsigned char)w->s[i]], type, w, from, to);
	return rc;
}

static bool all_bytes(const struct unigram *u, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (u->byte[(unsigned char)s[i]] < 0)
			return false;
	return u->has_bytes;
}

static int emit_unknown(const struct ft_tok *t, const struct tok_run *w, int type, size_t from, size_t to,
                        struct ft_tok_text *x)
{
	const struct unigram *u = t->state;
	int32_t id = u->typed || to - from > t->vocab.longest ? -1 : tok_vocab_id(&t->vocab, w->s + from, to - from);
	if (id < 0 && all_bytes(u, w->s + from, to - from))
		return emit_bytes(t, w, type, from, to, x);
	id = id < 0 ? u->unk : id;
	return id < 0 ? ft_fail(FT_EFORMAT, "a character is not in the vocabulary, which has no token for such")
	              : tok_emit_part(x, id, type, w, from, to);
}

static int emit(const struct ft_tok *t, const struct step *step, const struct tok_run *w, int type,
                struct ft_tok_text *x)
{
	const struct unigram *u = t->state;
	int rc = FT_OK;
	for (size_t at = 0, end; at < w->n && rc == FT_OK; at = end) {
		end = step[at].from;
		if (step[at].piece != CHARACTER && step[at].piece != u->unk) {
			rc = tok_emit_part(x, step[at].piece, type, w, at, end);
			continue;
		}
		if (!u->typed || !u->has_bytes) /* else each character by itself */
			while (end < w->n && (step[end].piece == CHARACTER || step[end].piece == u->unk))
				end = step[end].from;
		rc = emit_unknown(t, w, type, at, end, x);
	}
	return rc;
}

/* A part of a text, all ways over which begin and end with it. */
static int encode(const struct ft_tok *t, struct lattice *l, const struct tok_run *w, int type, double *total,
                  struct ft_tok_text *x)
{
	const struct unigram *u = t->state;
	int rc = ft_grow(&l->step, &l->cap, w->n + 1, sizeof *l->step);
	if (rc < 0)
		return rc;
	if (u->single)
		search(u, l, (const unsigned char *)w->s, w->n, total, true);
	else
		search(u, l, (const unsigned char *)w->s, w->n, total, false);
	turn(l, w->n);
	return emit(t, l->step, w, type, x);
}

static double add_unknown(const struct unigram *u, double sum, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i += unigram_char((unsigned char)s[i]))
		sum = u->single ? (float)(sum + u->unk_score) : sum + u->unk_score;
	return sum;
}

/* A word that was seen before, at bytes from.. of w. */
static int emit_word(const struct unigram *u, const struct unigram_word *k, const struct tok_run *w, size_t from,
                     int type, double *total, struct ft_tok_text *x)
{
	int rc = x->cap - x->n < UNIGRAM_TOKENS ? tok_text_reserve(x, UNIGRAM_TOKENS) : FT_OK;
	if (rc < 0)
		return rc;
	int32_t *restrict id = x->ids + x->n;
	uint32_t *restrict begin = x->begin + x->n, *restrict end = x->end + x->n;
	double sum = *total;
	float sum32 = (float)sum; /* one of them counts; a sum of two float32 is the same by way of double */
	size_t at = from;
	for (size_t i = 0; i < k->count; i++) {
		size_t to = from + k->end[i];
		struct tok_span span = tok_run_span(w, at, to);
		if (k->unknown >> i & 1)
			sum32 = (float)(sum = add_unknown(u, u->single ? sum32 : sum, w->s + at, to - at));
		else if (u->single)
			sum32 += u->score32[k->id[i]];
		else
			sum += u->score[k->id[i]];
		id[i] = k->id[i];
		begin[i] = span.begin;
		end[i] = span.end;
		at = to;
	}
	memset(x->types + x->n, type, UNIGRAM_TOKENS); /* of a fixed size, so it is one store */
	x->n += k->count;
	*total = u->single ? sum32 : sum;
	return FT_OK;
}

/* The next place from p on where U+2581 may begin; or end. */
static inline const char *next_lead(const char *p, const char *end)
{
	uint64_t v[2], ones = 0x0101010101010101u, high = ones << 7;
	for (; end - p >= 16; p += 16) { /* nearly all words end within, so that no branch depends on their length */
		memcpy(v, p, 16);
		for (int i = 0; i < 2; i++) {
			v[i] ^= ones * (unsigned char)SPACE[0];
			v[i] = (v[i] - ones) & ~v[i] & high; /* the lowest bit there is that of the first such byte */
		}
		uint64_t half = v[0] ? v[0] : v[1];
		if (half)
			return p + (v[0] ? 0 : 8) + __builtin_ctzll(half) / 8;
	}
	while (p < end && *p != SPACE[0])
		p++;
	return p;
}

/* Where the part ends that begins at `from`. */
static inline size_t next_cut(const struct unigram *u, const struct tok_run *w, size_t from)
{
	const char *p = w->s + from, *end = w->s + w->n;
	if (!u->cuts)
		return w->n;
	while (end - p > 3 && memcmp(p, SPACE, 3) == 0)
		p += 3;
	for (p = next_lead(p, end); end - p > 3; p = next_lead(p + 1, end))
		if (memcmp(p, SPACE, 3) == 0)
			return (size_t)(p - w->s);
	return w->n;
}

/* A part of a text, from one cut to the next. */
struct part { size_t from, to; struct unigram_key key; };

static inline struct part next_part(const struct unigram *u, const struct lattice *l, const struct tok_run *w,
                                    size_t from)
{
	struct part p = { from, from < w->n ? next_cut(u, w, from) : from, { 0, 0, 0 } };
	size_t n = p.to - from;
	if (n && n <= UNIGRAM_BYTES)
		p.key = unigram_words_key(&l->words, w->s + from, n, w->n - from);
	return p;
}

static int word(const struct ft_tok *t, const struct tok_run *w, int type, struct ft_tok_text *x)
{
	const struct unigram *u = t->state;
	struct lattice *l = x->scratch->work;
	double total = 0;
	int rc = FT_OK;
	for (struct part p = next_part(u, l, w, 0), next; p.from < p.to && rc == FT_OK; p = next) {
		size_t n = p.to - p.from;
		next = next_part(u, l, w, p.to);
		const struct unigram_word *seen = NULL;
		if (n <= UNIGRAM_BYTES)
			seen = unigram_words_get(t, &l->words, p.key, w->s + p.from, n);
		struct tok_run part = tok_run_part(w, p.from, p.to);
		rc = seen && unigram_is_clear(u, seen, total) ? emit_word(u, seen, w, p.from, type, &total, x)
		                                               : encode(t, l, &part, type, &total, x);
	}
	return rc;
}

/* ---- loading ---- */

static bool is_matched(const struct tok_source *src, size_t id)
{
	int type = src->types ? src->types[id] : TOK_NORMAL;
	return type == TOK_NORMAL || type == TOK_USER || (type == TOK_UNUSED && !src->single);
}

/* The least score; SentencePiece's is that of its normal pieces. */
static double least_score(const struct tok_source *src)
{
	double least = INFINITY;
	for (size_t i = 0; i < src->nscores; i++)
		if (!src->types || src->types[i] == TOK_NORMAL)
			least = fmin(least, src->scores[i]);
	return isfinite(least) ? least : 0;
}

/* What a user's piece has, so that it is taken before others: a little for each byte, as
 * in SentencePiece 0.2.3. (Earlier ones had nearly nothing.) */
static double user_score(const struct tok_source *src, size_t n)
{
	return src->single ? (float)(0.1 * (double)(n - 1)) : 0;
}

static int load_scores(struct ft_tok *t, struct unigram *u, const struct tok_source *src)
{
	double least = least_score(src);
	u->unk_score = src->single ? (float)least - UNK_PENALTY : least - UNK_PENALTY;
	for (size_t i = 0; i < src->nscores; i++)
		if (!(fabs(src->scores[i]) <= SCORE_MAX))
			return ft_fail(FT_EFORMAT, "piece %zu: the score %g is beyond %g", i, src->scores[i], SCORE_MAX);
	u->most = fabs(u->unk_score);
	for (size_t i = 0; i < src->nscores; i++) {
		u->score[i] = src->types && src->types[i] == TOK_USER ? user_score(src, t->vocab.place[i].n)
		                                                       : src->scores[i];
		u->most = fmax(u->most, fabs(u->score[i]));
		u->score32[i] = (float)u->score[i];
	}
	return FT_OK;
}

/* Whether U+2581 stands in a piece behind another character. */
static bool holds_cut(const char *s, size_t n)
{
	for (const char *p = s; (p = memmem(p, n - (size_t)(p - s), SPACE, 3)); p += 3)
		if (p > s && (p - s < 3 || memcmp(p - 3, SPACE, 3) != 0))
			return true;
	return false;
}

static int load_trie(struct ft_tok *t, struct unigram *u, const struct tok_source *src)
{
	struct tok_key *keys = ft_alloc(src->nscores, sizeof *keys);
	size_t n = 0;
	bool space = false;
	if (!keys)
		return FT_EFAIL;
	u->cuts = true;
	for (size_t i = 0; i < src->nscores; i++) {
		struct tok_place p = t->vocab.place[i];
		const char *s = (const char *)t->vocab.text.data + p.at;
		if (!p.n || !is_matched(src, i))
			continue;
		keys[n++] = (struct tok_key){ s, p.n, (int32_t)i };
		space |= p.n == 3 && memcmp(s, SPACE, 3) == 0;
		u->cuts &= !holds_cut(s, p.n);
	}
	u->cuts &= space; /* else it would be an unknown character, which joins others */
	int rc = tok_trie_build(&u->trie, keys, n);
	free(keys);
	return rc;
}

static int load(struct ft_tok *t, const json_t *model, struct tok_source *src, const char *where)
{
	struct unigram *u = t->state = ft_alloc(1, sizeof *u);
	if (!u)
		return FT_EFAIL;
	int err = FT_OK;
	int64_t unk = ft_json_int(model, "unk_id", -1, &err);
	u->has_bytes = ft_json_bool(model, "byte_fallback", false, &err);
	if (err < 0)
		return ft_context(err, "%s: model", where);
	if (!t->vocab.slots || !src->has_scores || src->nscores != t->vocab.ids)
		return ft_fail(FT_EFORMAT, "%s: model.vocab is missing or not a list of pieces with scores", where);
	bool said = json_is_integer(json_object_get(model, "unk_id")); /* null: there is none */
	if (unk < (said ? 0 : -1) || unk >= (int64_t)src->nscores)
		return ft_fail(FT_EFORMAT, "%s: model.unk_id is %lld, which is not in the vocabulary", where,
		               (long long)unk);
	t->role[TOK_UNK] = u->unk = (int32_t)unk;
	u->single = src->single;
	u->typed = src->types != NULL;
	for (u->window = 8; u->window <= t->vocab.longest; u->window *= 2)
		;
	tok_vocab_bytes(&t->vocab, u->byte);
	u->score = ft_alloc(src->nscores, sizeof *u->score);
	u->score32 = ft_alloc(src->nscores, sizeof *u->score32);
	int rc = u->score && u->score32 ? load_scores(t, u, src) : FT_EFAIL;
	if (rc == FT_OK)
		rc = load_trie(t, u, src);
	return rc < 0 ? ft_context(rc, "%s: model", where) : FT_OK;
}

static void unload(struct ft_tok *t)
{
	struct unigram *u = t->state;
	if (u) {
		tok_trie_free(&u->trie);
		free(u->score);
		free(u->score32);
	}
	free(u);
}

const struct tok_kind tok_unigram = {
	.name = "unigram", .load = load, .word = word, .unload = unload,
	.work_new = lattice_new, .work_free = lattice_free
};

/* bpe_encode.c - byte-pair encoding of words: to their first symbols, which are
 * characters or bytes, and from the merged symbols to tokens. Words are remembered:
 * most of a text are words that were seen before.
 *
 * That short words are kept in a table of fixed size, whole and with their tokens, is
 * what the fastest programs do (gigatoken; this one is smaller, and one thread's).
 */
#include "bpe.h"
#include "bytelevel.h"
#include "ft/err.h"

#include <string.h>

#define SPACE_LETTER "\xc4\xa0" /* U+0120, which ByteLevel writes for a space */
#define PROBES 8                /* places where a word may be remembered */

/* ---- a word's first symbols ---- */

/* A character's id, with what it is spelled with at its place in the word. */
static int32_t char_id(const struct ft_tok *t, const struct bpe *p, const char *s, size_t n, bool first, bool last)
{
	if ((first || !p->prefix) && (!last || !p->suffix))
		return tok_vocab_id(&t->vocab, s, n);
	char text[2 * BPE_AFFIX_MAX + 8], *to = text;
	if (!first && p->prefix)
		to = stpcpy(to, p->prefix);
	memcpy(to, s, n);
	to += n;
	if (last && p->suffix)
		to = stpcpy(to, p->suffix);
	return tok_vocab_id(&t->vocab, text, (size_t)(to - text));
}

static bool has_bytes(const struct bpe *p, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p->byte[(unsigned char)s[i]] < 0)
			return false;
	return true;
}

/* An unknown character may come late, behind bytes that follow it: it gets no place then. */
static void add(struct bpe_tokens *k, int32_t id, size_t end)
{
	size_t before = k->n ? k->end[k->n - 1] : 0;
	k->id[k->n] = id;
	k->end[k->n++] = (uint32_t)(end > before ? end : before);
}

/* Room for one symbol a byte is there. An unknown character waits until the next one
 * is known, as it may be joined to it; with `more` behind, one that still waits is left
 * out, and all that came since. */
static void spell_chars(const struct ft_tok *t, struct bpe_tokens *k, const char *s, size_t n, bool first, bool more)
{
	const struct bpe *p = t->state;
	size_t unknown = 0, before = 0; /* end of the unknown characters that wait, 0: none do; symbols before */
	for (size_t i = 0, len; i < n; i += len) {
		int32_t c;
		len = ft_utf8_get(s + i, n - i, &c, NULL);
		int32_t id = char_id(t, p, s + i, len, first && i == 0, !more && i + len == n);
		if (id >= 0) {
			if (unknown)
				add(k, p->unk, unknown);
			unknown = 0;
			add(k, id, i + len);
		} else if (p->fallback && has_bytes(p, s + i, len)) {
			for (size_t b = 0; b < len; b++)
				add(k, p->byte[(unsigned char)s[i + b]], i + b + 1);
		} else if (p->unk >= 0) {
			if (unknown && !p->fuse_unk)
				add(k, p->unk, unknown);
			if (!unknown || !p->fuse_unk)
				before = k->n;
			unknown = i + len;
		}
	}
	if (unknown && more)
		k->n = before;
	else if (unknown)
		add(k, p->unk, unknown);
}

/* The id of a word that is a piece; or -1. */
static int32_t whole_id(const struct ft_tok *t, struct bpe_work *k, const struct tok_run *w)
{
	if (w->n > t->vocab.longest)
		return -1;
	if (!t->bytes)
		return tok_vocab_id(&t->vocab, w->s, w->n);
	size_t len = 0;
	for (size_t i = 0; i < w->n; i++)
		len += ft_utf8_put(tok_byte_letter((unsigned char)w->s[i]), k->spelled + len);
	return tok_vocab_id(&t->vocab, k->spelled, len);
}

/* The tokens of s[n] in k->tokens; `first`: a word begins with it. When the word goes on
 * to s[all], only those that do not depend on that. */
static int encode(const struct ft_tok *t, struct bpe_work *k, const char *s, size_t n, size_t all, bool first)
{
	const struct bpe *p = t->state;
	k->tokens.n = 0;
	int rc = bpe_tokens_reserve(&k->tokens, n);
	if (rc < 0)
		return rc;
	if (t->bytes)
		for (size_t i = 0; i < n; i++)
			add(&k->tokens, p->byte[(unsigned char)s[i]], i + 1);
	else
		spell_chars(t, &k->tokens, s, n, first, n < all);
	struct bpe_ahead ahead = { s, all, t->bytes, p->opaque };
	return bpe_merge(&p->pairs, &k->tokens, &k->heap, n < all ? &ahead : NULL);
}

/* ---- tokens ---- */

/* A space, or the letter that stands for one. */
static size_t blank_bytes(const struct ft_tok *t, const char *s, size_t n)
{
	if (t->bytes)
		return n && *s == ' ';
	return n >= 2 && memcmp(s, SPACE_LETTER, 2) == 0 ? 2 : 0;
}

static int emit_trimmed(const struct ft_tok *t, const struct tok_run *w, size_t from, size_t to, int32_t id, int type,
                        struct ft_tok_text *x)
{
	struct tok_trim trim = { from, to, false };
	size_t n, size = t->bytes ? 1 : 2;
	while ((n = blank_bytes(t, w->s + trim.from, to - trim.from)))
		trim.from += n;
	while (trim.to - from >= size && (n = blank_bytes(t, w->s + trim.to - size, size)))
		trim.to -= n;
	trim.single = trim.from == from + size;
	return tok_emit_trimmed(t, x, id, type, w, from, to, trim);
}

/* Bytes from..to of w; without spaces at its ends, when they are left out. */
static inline int emit(const struct ft_tok *t, const struct tok_run *w, size_t from, size_t to, int32_t id, int type,
                       struct ft_tok_text *x)
{
	if (from == to) {
		struct tok_span before = tok_run_span(w, from - 1, from);
		return tok_emit(x, id, type, before.end, before.end);
	}
	if (t->trim && (!t->bytes || w->s[from] == ' ' || w->s[to - 1] == ' '))
		return emit_trimmed(t, w, from, to, id, type, x);
	return tok_emit_part(x, id, type, w, from, to);
}

/* Tokens of the part of w that begins at `start`. */
static int emit_all(const struct ft_tok *t, const struct tok_run *w, size_t start, const struct bpe_tokens *k, int type,
                    struct ft_tok_text *x)
{
	int rc = FT_OK;
	for (size_t i = 0, from = start; i < k->n && rc == FT_OK; i++) {
		rc = emit(t, w, from, start + k->end[i], k->id[i], type, x);
		from = start + k->end[i];
	}
	return rc;
}

/* ---- long words ---- */

/* Copies what b is known by: the text behind it, too. */
static int keep_block(struct bpe_block *b, const char *s, size_t n, const struct bpe_tokens *k)
{
	int rc = bpe_tokens_reserve(&b->tokens, k->n);
	if (rc < 0)
		return rc;
	memcpy(b->text, s, n + BPE_BEHIND);
	memcpy(b->tokens.id, k->id, k->n * sizeof *k->id);
	memcpy(b->tokens.end, k->end, k->n * sizeof *k->end);
	b->tokens.n = k->n;
	b->n = n;
	return FT_OK;
}

static size_t block_end(const char *s, size_t n, size_t to)
{
	if (to >= n)
		return n;
	while (tok_utf8_inside(s[to]))
		to--;
	return to;
}

/* The tokens of the block of w that begins at `from`: so many that the work on it was
 * worth it, which makes the time for all of w linear; else a larger block is taken. */
static int encode_block(const struct ft_tok *t, struct bpe_work *k, const struct tok_run *w, size_t from,
                        const struct bpe_tokens **out)
{
	size_t done;
	*out = &k->tokens;
	for (size_t size = BPE_BLOCK;; size *= 2) {
		const char *s = w->s + from;
		size_t n = block_end(s, w->n - from, size);
		bool more = n < w->n - from, usual = from && size == BPE_BLOCK && w->n - from - n >= BPE_BEHIND
			&& t->vocab.longest <= BPE_BEHIND;
		if (usual && n == k->block.n && memcmp(s, k->block.text, n + BPE_BEHIND) == 0) {
			*out = &k->block.tokens;
			return FT_OK;
		}
		int rc = encode(t, k, s, n, w->n - from, from == 0);
		done = k->tokens.n ? k->tokens.end[k->tokens.n - 1] : 0;
		if (rc < 0 || !more)
			return rc;
		if (done >= n / 8)
			return usual ? keep_block(&k->block, s, n, &k->tokens) : FT_OK;
	}
}

static int long_word(const struct ft_tok *t, const struct tok_run *w, int type, struct ft_tok_text *x)
{
	struct bpe_work *k = x->scratch->work;
	int rc = FT_OK;
	for (size_t from = 0; from < w->n && rc == FT_OK;) {
		const struct bpe_tokens *tokens;
		rc = encode_block(t, k, w, from, &tokens);
		if (rc < 0 || !tokens->n) /* characters that are left out may be all there is */
			break;
		rc = emit_all(t, w, from, tokens, type, x);
		from += tokens->end[tokens->n - 1];
	}
	return rc;
}

/* ---- words seen before ---- */

static inline uint64_t load64(const char *s)
{
	uint64_t v;
	memcpy(&v, s, 8);
	return v;
}

static inline void make_key(const struct tok_run *w, uint64_t *low, uint64_t *high)
{
	char bytes[16] = { 0 };
	const char *s = w->s;
	if (w->room < 16)
		s = memcpy(bytes, w->s, w->n);
	uint64_t a = load64(s), b = load64(s + 8);
	unsigned bits = (unsigned)w->n * 8;
	*low = bits < 64 ? a & (((uint64_t)1 << bits) - 1) : a;
	*high = (bits > 64 ? b & (((uint64_t)1 << (bits - 64)) - 1) : 0) | (uint64_t)w->n << 56;
}

static inline size_t home(const struct bpe_cache *c, uint64_t low, uint64_t high)
{
	__uint128_t m = (__uint128_t)(low ^ 0x9E3779B97F4A7C15u) * (high ^ 0xD6E8FEB86659FD93u);
	return (size_t)(((uint64_t)m ^ (uint64_t)(m >> 64)) * 0x9E3779B97F4A7C15u >> c->shift);
}

/* The entry of a word, or the one that it may have: a free one, or another's. */
static inline struct bpe_word *look_up(const struct bpe_cache *c, uint64_t low, uint64_t high)
{
	size_t at = home(c, low, high), last = ((size_t)1 << BPE_CACHE_BITS) - 1;
	for (size_t i = 0; i < PROBES; i++) {
		struct bpe_word *e = &c->word[(at + i) & last];
		if ((e->low == low && e->high == high) || !e->high)
			return e;
	}
	return &c->word[at];
}

static void remember(struct bpe_word *e, uint64_t low, uint64_t high, const struct bpe_tokens *k)
{
	if (k->n > BPE_KEY_TOKENS)
		return;
	e->low = low;
	e->high = high;
	e->count = (uint8_t)k->n;
	for (size_t i = 0; i < k->n; i++) {
		e->id[i] = k->id[i];
		e->end[i] = (uint8_t)k->end[i];
	}
}

/* A word that was not seen before. */
static int new_word(const struct ft_tok *t, const struct tok_run *w, int type, struct ft_tok_text *x,
                    struct bpe_word *e, uint64_t low, uint64_t high)
{
	const struct bpe *p = t->state;
	struct bpe_work *k = x->scratch->work;
	int32_t whole = p->ignore_merges ? whole_id(t, k, w) : -1;
	if (whole >= 0) {
		k->tokens.n = 0;
		add(&k->tokens, whole, w->n);
	} else if (w->n > BPE_BLOCK) {
		return long_word(t, w, type, x);
	} else {
		int rc = encode(t, k, w->s, w->n, w->n, true);
		if (rc < 0)
			return rc;
	}
	if (e)
		remember(e, low, high, &k->tokens);
	return emit_all(t, w, 0, &k->tokens, type, x);
}

/* A word that is cut nowhere. */
static inline int whole_word(const struct ft_tok *t, const struct tok_run *w, int type, struct ft_tok_text *x)
{
	const struct bpe_work *k = x->scratch->work;
	if (w->n > BPE_KEY_BYTES)
		return new_word(t, w, type, x, NULL, 0, 0);
	uint64_t low, high;
	make_key(w, &low, &high);
	struct bpe_word *e = look_up(&k->cache, low, high);
	if (e->low != low || e->high != high)
		return new_word(t, w, type, x, e, low, high);
	int rc = FT_OK;
	for (size_t i = 0, from = 0; i < e->count && rc == FT_OK; from = e->end[i++])
		rc = emit(t, w, from, e->end[i], e->id[i], type, x);
	return rc;
}

int bpe_words(const struct tok_walk *w, tok_scan_fn *scan, const struct tok_run *in)
{
	int rc = FT_OK;
	for (size_t at = 0, end; at < in->n && rc == FT_OK; at = end) {
		end = scan(in->s, in->n, at);
		struct tok_run word = tok_run_part(in, at, end);
		rc = whole_word(w->t, &word, w->type, w->x);
	}
	return rc;
}

static bool is_space(const char *s, const char *end)
{
	return end - s >= 3 && memcmp(s, BPE_SPACE, 3) == 0;
}

/* Where the next part begins that no merge joins to the one at `from`. */
static size_t next_cut(const struct tok_run *w, size_t from)
{
	const char *p = w->s + from, *end = w->s + w->n;
	while (is_space(p, end))
		p += 3;
	while ((p = memchr(p, *BPE_SPACE, (size_t)(end - p))) && !is_space(p, end))
		p++;
	return p ? (size_t)(p - w->s) : w->n;
}

int bpe_word(const struct ft_tok *t, const struct tok_run *w, int type, struct ft_tok_text *x)
{
	const struct bpe *p = t->state;
	if (!p->cuts || w->n <= 3)
		return whole_word(t, w, type, x);
	struct bpe_work *k = x->scratch->work;
	int32_t whole = p->ignore_merges ? whole_id(t, k, w) : -1;
	if (whole >= 0)
		return tok_emit_part(x, whole, type, w, 0, w->n);
	int rc = FT_OK;
	for (size_t from = 0, to; from < w->n && rc == FT_OK; from = to) {
		to = next_cut(w, from);
		struct tok_run part = tok_run_part(w, from, to);
		rc = whole_word(t, &part, type, x);
	}
	return rc;
}

/* unigram_words.c - short words and their pieces, as most of a text was seen before.
 *
 * What is best for a word does not depend on what stands before it, but for rounding:
 * sums grow along the text. So a word is kept with the distance from its best way to
 * the next best, and used only where that is more than rounding can be.
 */
#include "ft/err.h"
#include "unigram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PROBES 4

int unigram_words_make(struct unigram_words *c)
{
	size_t size = sizeof *c->word;
	_Static_assert(sizeof(struct unigram_word) == 64, "one line");
	c->memory = ft_alloc(((size_t)1 << UNIGRAM_BITS) + 1, size);
	c->word = (struct unigram_word *)(((uintptr_t)c->memory + size - 1) & ~(uintptr_t)(size - 1));
	return c->memory ? FT_OK : FT_EFAIL;
}

void unigram_words_free(struct unigram_words *c)
{
	free(c->memory);
}

/* ---- the best way, and the next ---- */

struct two { double first, second; int32_t piece; uint8_t from; }; /* sums; the last step of the first */

static void offer(struct two *at, const struct two *before, double score, int32_t piece, size_t from)
{
	double a = before->first + score, b = before->second + score;
	if (a > at->first) {
		at->second = b > at->first ? b : at->first;
		at->first = a;
		at->piece = piece;
		at->from = (uint8_t)from;
	} else if (a > at->second) {
		at->second = a;
	}
}

static void search(const struct unigram *u, const char *s, size_t n, struct two way[UNIGRAM_BYTES + 1])
{
	const struct tok_unit *unit = u->trie.unit;
	way[0] = (struct two){ 0, -INFINITY, -1, 0 };
	for (size_t i = 1; i <= n; i++)
		way[i] = (struct two){ -INFINITY, -INFINITY, -1, 0 };
	for (size_t at = 0, len; at < n; at += len) {
		uint32_t base = unit->base >> TOK_LABEL;
		bool alone = false;
		len = unigram_char((unsigned char)s[at]);
		for (size_t end = at; end < n;) {
			unsigned char c = (unsigned char)s[end];
			struct tok_unit x = unit[base ^ c];
			if ((x.base & ((1u << TOK_LABEL) - 1)) != c)
				break;
			base = x.base >> TOK_LABEL;
			end++;
			if (x.id < 0)
				continue;
			offer(&way[end], &way[at], u->score[x.id], x.id, at);
			alone |= end == at + len;
		}
		if (!alone)
			offer(&way[at + len], &way[at], u->unk_score, -1, at);
	}
}

/* The token for unknown characters s[n] beside each other, when it is one. */
static int32_t unknown_id(const struct ft_tok *t, const char *s, size_t n)
{
	const struct unigram *u = t->state;
	int32_t id = u->typed ? -1 : tok_vocab_id(&t->vocab, s, n);
	return id >= 0 ? id : u->has_bytes ? -1 : u->unk;
}

static void enter(const struct ft_tok *t, struct unigram_word *w, const char *s, size_t n)
{
	const struct unigram *u = t->state;
	struct two way[UNIGRAM_BYTES + 1];
	struct token { uint8_t end; bool unknown; int32_t id; } token[UNIGRAM_TOKENS]; /* the last one first */
	size_t count = 0;
	search(u, s, n, way);
	double margin = way[n].first - way[n].second;
	w->margin = margin < 1e30 ? (float)margin : 1e30f;
	w->count = w->unknown = 0;
	for (size_t end = n, from; end; end = from) {
		int32_t id = way[end].piece;
		from = way[end].from;
		bool unknown = id < 0;
		if (id == u->unk || count == UNIGRAM_TOKENS)
			return;
		while (unknown && from && way[from].piece < 0)
			from = way[from].from;
		if (unknown && ((id = unknown_id(t, s + from, end - from)) < 0 || way[from].piece == u->unk))
			return;
		token[count++] = (struct token){ (uint8_t)end, unknown, id };
	}
	w->count = (uint8_t)count;
	for (size_t i = 0; i < count; i++) {
		struct token k = token[count - 1 - i];
		w->end[i] = k.end;
		w->id[i] = k.id;
		w->unknown |= (uint8_t)(k.unknown << i);
	}
}

/* ---- the table ---- */

const struct unigram_word *unigram_words_find(const struct ft_tok *t, struct unigram_words *c, struct unigram_key key,
                                              const char *s, size_t n)
{
	struct unigram_word *free_one = NULL;
	for (size_t i = 0; i < PROBES; i++) {
		struct unigram_word *w = &c->word[(key.home + i) & (((size_t)1 << UNIGRAM_BITS) - 1)];
		if (w->low == key.low && w->high == key.high) {
			w->used = true;
			return w->count ? w : NULL;
		}
		if (!free_one && (!w->high || !w->used))
			free_one = w;
		if (!w->high)
			break;
	}
	if (!free_one) { /* all have been used since a new word asked last */
		for (size_t i = 0; i < PROBES; i++)
			c->word[(key.home + i) & (((size_t)1 << UNIGRAM_BITS) - 1)].used = false;
		return NULL;
	}
	free_one->low = key.low;
	free_one->high = key.high;
	free_one->used = false;
	enter(t, free_one, s, n);
	return free_one->count ? free_one : NULL;
}

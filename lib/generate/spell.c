/* spell.c - the text of an answer while its tokens come: only what later tokens cannot
 * change any more is said. */
#include "priv.h"

#include <string.h>

#define CONTEXT 4 /* tokens of what stands before */

void spell_begin(struct spelling *s, const struct ft_tok *t, const struct ft_generate_options *o, const int32_t *prompt,
                 size_t n)
{
	size_t some = n < CONTEXT ? n : CONTEXT;
	*s = (struct spelling){ .tok = t, .o = o, .prompt = prompt + n - some, .nprompt = some };
}

void spell_free(struct spelling *s)
{
	ft_buf_free(&s->context);
	ft_buf_free(&s->now);
}

/* The tokens before `from`, a few of them, into ids; how many. */
static size_t context_of(const struct spelling *s, const struct ft_answer *a, int32_t ids[2 * CONTEXT])
{
	size_t own = s->from < CONTEXT ? s->from : CONTEXT, theirs = s->from < CONTEXT ? s->nprompt : 0;
	memcpy(ids, s->prompt, theirs * sizeof *ids);
	if (own)
		memcpy(ids + theirs, a->ids + s->from - own, own * sizeof *ids);
	return theirs + own;
}

/* s->now = text of the tokens from s->from on, as it reads behind those before them. */
static int decode(struct spelling *s, const struct ft_answer *a)
{
	int32_t before[2 * CONTEXT];
	size_t n = context_of(s, a, before), own = a->n - s->from;
	int32_t *all = ft_alloc(n + own, sizeof *all);
	if (!all)
		return FT_EFAIL;
	memcpy(all, before, n * sizeof *all);
	memcpy(all + n, a->ids + s->from, own * sizeof *all);
	s->context.len = s->now.len = 0;
	int rc = ft_tok_decode(s->tok, all, n, true, &s->context);
	rc = rc < 0 ? rc : ft_tok_decode(s->tok, all, n + own, true, &s->now);
	free(all);
	size_t cut = s->context.len < s->now.len ? s->context.len : s->now.len;
	if (rc == FT_OK && cut)
		memmove(s->now.data, s->now.data + cut, s->now.len - cut);
	s->now.len -= rc == FT_OK ? cut : 0;
	return rc;
}

/* Where the first of the stops begins in the text; its length when there is none. */
static size_t find_stop(const struct spelling *s, const char *text, size_t n)
{
	size_t first = n;
	for (size_t i = 0; i < s->o->nstops; i++) {
		const char *at = memmem(text, n, s->o->stops[i], strlen(s->o->stops[i]));
		if (at && (size_t)(at - text) < first)
			first = (size_t)(at - text);
	}
	return first;
}

/* Bytes at the end of the text that may be the beginning of a stop. */
static size_t begins_stop(const struct spelling *s, const char *text, size_t n)
{
	size_t most = 0;
	for (size_t i = 0; i < s->o->nstops; i++) {
		size_t length = strlen(s->o->stops[i]);
		for (size_t k = length - 1 < n ? length - 1 : n; k > most; k--)
			if (memcmp(text + n - k, s->o->stops[i], k) == 0)
				most = k;
	}
	return most;
}

/* Bytes at the end that are what a decoder makes of the first bytes of a character. */
static size_t begins_character(const char *text, size_t n)
{
	static const char replacement[] = "\xEF\xBF\xBD";
	size_t k = 0;
	while (n - k >= 3 && memcmp(text + n - k - 3, replacement, 3) == 0)
		k += 3;
	return k;
}

int spell_more(struct spelling *s, struct ft_answer *a, bool last)
{
	int rc = decode(s, a);
	if (rc < 0)
		return rc;
	const char *text = (const char *)s->now.data;
	size_t n = s->now.len, stop = n ? find_stop(s, text, n) : 0;
	bool met = stop < n;
	n = stop;
	if (!met && !last && n) {
		size_t waits = begins_stop(s, text, n), part = begins_character(text, n);
		n -= waits > part ? waits : part;
	}
	if (n > s->said)
		rc = ft_buf_append(&a->text, text + s->said, n - s->said);
	if (n == s->now.len) { /* all is said: later text is decoded behind it */
		s->from = a->n;
		s->said = 0;
	} else if (n > s->said) {
		s->said = n;
	}
	return rc < 0 ? rc : met;
}

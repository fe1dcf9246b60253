/* normal_spm.c - normalisation as SentencePiece itself does it, for models that no
 * tokenizer.json describes: a stage that only spm.c and gguf_vocab.c put into a tree.
 *
 *	{"type": "SentencePiece", "precompiled_charsmap": base64 or absent,
 *	 "add_dummy_prefix", "remove_extra_whitespaces", "escape_whitespaces",
 *	 "treat_whitespace_as_suffix": booleans, "user_defined": [pieces that stay as they are]}
 *
 * In one pass from the left: a user-defined piece, else the longest rule of the
 * charsmap, else a character; of spaces beside each other one, at the ends none.
 */
#include "charsmap.h"
#include "ft/err.h"
#include "priv.h"
#include "spm.h"

#include <stdlib.h>
#include <string.h>

static const char escaped[] = "\xe2\x96\x81"; /* U+2581 stands for a space */
#define ESCAPED 3

struct spm_normal {
	struct tok_charsmap *map; /* or NULL */
	struct tok_trie user;
	bool prefix, squeeze, escape, suffix;
	bool printable;    /* all from '!' to '~' are LETTER below */
	uint8_t easy[256]; /* LETTER or SPACE: what a byte is when ASCII, or nothing, follows; 0: ask the charsmap */
};
enum { LETTER = 1, SPACE };

int tok_spm_user_load(const json_t *v, struct tok_trie *trie)
{
	const json_t *list = json_object_get(v, "user_defined");
	size_t n = json_array_size(list);
	struct tok_key *keys = ft_alloc(n, sizeof *keys);
	int rc = keys ? FT_OK : FT_EFAIL;
	for (size_t i = 0; i < n && rc == FT_OK; i++) {
		const json_t *piece = json_array_get(json_array_get(list, i), 0),
		             *id = json_array_get(json_array_get(list, i), 1);
		size_t len = json_string_length(piece);
		if (!len || len >= UINT32_MAX || !json_is_integer(id) || json_integer_value(id) < 0
		    || json_integer_value(id) > INT32_MAX)
			rc = ft_fail(FT_EFORMAT, "user_defined[%zu]: must be a piece and its id", i);
		keys[i] = (struct tok_key){ json_string_value(piece), (uint32_t)len, (int32_t)json_integer_value(id) };
	}
	if (rc == FT_OK)
		rc = tok_trie_build(trie, keys, n);
	free(keys);
	return rc;
}

static int load(struct ft_tok *t, const json_t *v, void **state)
{
	struct spm_normal *p = *state = ft_alloc(1, sizeof *p);
	int err = FT_OK;
	bool there;
	(void)t;
	if (!p)
		return FT_EFAIL;
	p->prefix = ft_json_bool(v, "add_dummy_prefix", true, &err);
	p->squeeze = ft_json_bool(v, "remove_extra_whitespaces", true, &err);
	p->escape = ft_json_bool(v, "escape_whitespaces", true, &err);
	p->suffix = ft_json_bool(v, "treat_whitespace_as_suffix", false, &err);
	p->map = tok_charsmap_load(v, "precompiled_charsmap", &there);
	if (err < 0 || (there && !p->map))
		return err < 0 ? err : ft_last_error();
	int rc = tok_spm_user_load(v, &p->user);
	for (unsigned char c = 0; c < 128 && rc == FT_OK; c++) {
		uint32_t at = 0;
		bool stays = !p->map || tok_charsmap_leaves(p->map, c);
		if (stays && !tok_trie_step(&p->user, &at, c))
			p->easy[c] = c == ' ' ? SPACE : LETTER;
	}
	p->printable = true;
	for (int c = '!'; c <= '~'; c++)
		p->printable &= p->easy[c] == LETTER;
	return rc;
}

static void unload(void *state)
{
	struct spm_normal *p = state;
	if (p) {
		tok_charsmap_free(p->map);
		tok_trie_free(&p->user);
	}
	free(p);
}

/* What s[n] begins with: how many bytes it is, and what it becomes. Copied text may be
 * several characters, but no space. */
static size_t take(const struct spm_normal *p, const char *s, size_t n, struct ft_span *to)
{
	size_t used = 0;
	if (tok_trie_longest(&p->user, s, n, &used) < 0)
		used = p->map ? tok_charsmap_longest(p->map, s, n, to) : 0;
	else
		*to = (struct ft_span){ s, used };
	if (!used) {
		int32_t c;
		used = ft_utf8_get(s, n, &c, NULL);
		*to = (struct ft_span){ s, used };
	}
	return used;
}

static int put_space(const struct spm_normal *p, struct tok_form *out, struct tok_span at)
{
	return p->escape ? tok_form_append(out, escaped, ESCAPED, at) : tok_form_append(out, " ", 1, at);
}

/* Appends s[n], which came from `at`, with its spaces escaped. */
static int put(const struct spm_normal *p, struct tok_form *out, const char *s, size_t n, struct tok_span at)
{
	int rc = FT_OK;
	for (size_t i = 0; i < n && rc == FT_OK;) {
		const char *space = p->escape ? memchr(s + i, ' ', n - i) : NULL;
		size_t len = space ? (size_t)(space - s) - i : n - i;
		rc = tok_form_append(out, s + i, len, at);
		if (rc == FT_OK && space)
			rc = put_space(p, out, at);
		i += len + (space != NULL);
	}
	return rc;
}

/* The place of the character at i, or of the last one: what a space has that is put there. */
static struct tok_span place(const struct tok_run *r, size_t i)
{
	int32_t c;
	if (i < r->n)
		return tok_run_span(r, i, i + ft_utf8_get(r->s + i, r->n - i, &c, NULL));
	for (i = r->n - 1; i > 0 && tok_utf8_inside(r->s[i]);)
		i--;
	return tok_run_span(r, i, r->n);
}

static size_t skip_spaces(const struct spm_normal *p, const struct tok_run *in)
{
	size_t i = 0, used;
	struct ft_span to;
	for (; i < in->n; i += used) {
		used = take(p, in->s + i, in->n - i, &to);
		if (to.n != 1 || *to.p != ' ')
			break;
	}
	return i;
}

/* How many of the eight bytes at s, from the first on, are from '!' to '~'. */
static inline size_t count_printable(const unsigned char *s)
{
	uint64_t v, ones = 0x0101010101010101u, high = 0x80 * ones;
	memcpy(&v, s, 8);
	uint64_t low = v & ~high; /* no sum below reaches the next byte */
	uint64_t other = v | (low + ones) | ~(low + (0x80 - 0x21) * ones);
	other &= high;
	return other ? (size_t)__builtin_ctzll(other) / 8 : 8;
}

/* Goes on over text that is as easy as most is; a large part of all work is here. */
static int take_easy(const struct spm_normal *p, const struct tok_run *in, size_t *from, bool *after_space,
                     struct tok_form *out)
{
	size_t width = p->escape ? ESCAPED : 1, room = out->limit ? out->limit - out->n : SIZE_MAX, i = *from;
	if (in->map || room / width < in->n - i + 8)
		return FT_OK;
	int rc = tok_form_grow(out, width * (in->n - i + 8));
	if (rc < 0)
		return rc;
	const unsigned char *text = (const unsigned char *)in->s;
	char *s = out->s + out->n;
	struct tok_span *map = out->map + out->n;
	bool after = *after_space, before = after, letter = false;
	while (i < in->n) {
		uint32_t at = in->base + (uint32_t)i;
		size_t n = p->printable && i + 8 <= in->n ? count_printable(text + i) : 0;
		if (n) { /* eight are written, `n` count */
			memcpy(s, text + i, 8);
			for (uint32_t k = 0; k < 8; k++)
				map[k] = (struct tok_span){ at + k, at + k + 1 };
		} else if (p->easy[text[i]] == LETTER) {
			*s = (char)text[i];
			*map = (struct tok_span){ at, at + 1 };
			n = 1;
		}
		if (n) {
			before = n > 1 ? false : after;
			after = false;
			letter = true;
			s += n, map += n, i += n;
			continue;
		}
		if (p->easy[text[i]] != SPACE || (i + 1 < in->n && text[i + 1] >= 0x80))
			break;
		letter = false;
		i++;
		if (after)
			continue;
		for (size_t k = 0; k < width; k++) {
			*s++ = p->escape ? escaped[k] : ' ';
			*map++ = (struct tok_span){ at, at + 1 };
		}
		after = p->squeeze;
	}
	if (letter && i < in->n && text[i] >= 0x80) { /* a rule may take both */
		s--, i--;
		after = before;
	}
	out->n = (size_t)(s - out->s);
	*after_space = after;
	*from = i;
	return FT_OK;
}

static int take_one(const struct spm_normal *p, const struct tok_run *in, size_t *i, bool *after_space,
                    struct tok_form *out)
{
	struct ft_span to;
	size_t from = *i;
	*i += take(p, in->s + from, in->n - from, &to);
	for (; *after_space && to.n && *to.p == ' '; to.p++)
		to.n--;
	if (!to.n)
		return FT_OK;
	*after_space = p->squeeze && to.p[to.n - 1] == ' ';
	return put(p, out, to.p, to.n, tok_run_span(in, from, *i));
}

static int normalize(const struct ft_tok *t, const void *state, const struct tok_run *in, struct ft_tok_scratch *s,
                     struct tok_form *out)
{
	const struct spm_normal *p = state;
	size_t i = p->squeeze ? skip_spaces(p, in) : 0;
	bool after_space = p->squeeze;
	(void)t, (void)s;
	if (i == in->n)
		return FT_OK;
	int rc = p->prefix && !p->suffix ? put_space(p, out, place(in, i)) : FT_OK;
	while (i < in->n && rc == FT_OK) {
		rc = take_easy(p, in, &i, &after_space, out);
		if (rc == FT_OK && i < in->n)
			rc = take_one(p, in, &i, &after_space, out);
	}
	const char *space = p->escape ? escaped : " ";
	for (size_t n = strlen(space); rc == FT_OK && p->squeeze && out->n >= n && !memcmp(out->s + out->n - n, space, n);)
		out->n -= n;
	return rc == FT_OK && p->prefix && p->suffix ? put_space(p, out, place(in, in->n)) : rc;
}

const struct tok_stage_kind tok_normal_spm = { "SentencePiece", load, unload, .normalize = normalize };

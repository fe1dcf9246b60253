/* normal_text.c - the small normalizers: letter case, white space at the ends,
 * accents, control characters, a prefix, bytes as letters. */
#include "bytelevel.h"
#include "ft/err.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

/* ---- character by character ---- */

/* What becomes of c: into out, the count returned; at most 2. */
typedef size_t change_fn(int32_t c, int32_t out[2]);

static int change_all(change_fn *change, const struct tok_run *in, struct tok_form *out)
{
	int rc = FT_OK;
	for (size_t i = 0, n; i < in->n && rc == FT_OK; i += n) {
		int32_t c, to[2];
		n = ft_utf8_get(in->s + i, in->n - i, &c, NULL);
		size_t count = change(c, to);
		struct tok_span at = tok_run_span(in, i, i + n);
		for (size_t k = 0; k < count && rc == FT_OK; k++)
			rc = tok_form_put(out, to[k], at);
	}
	return rc;
}

static size_t remove_accent(int32_t c, int32_t out[2])
{
	out[0] = c;
	return c < 0x300 || !tok_is_accent(c);
}

/* The reference's Nmt: control characters away, odd spaces to spaces. */
static size_t clean(int32_t c, int32_t out[2])
{
	bool away = (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
	bool space = c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 || (c >= 0x200B && c <= 0x200F)
		|| c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
	out[0] = space ? ' ' : c;
	return !away;
}

#define EACH(name, type, change)                                                                          \
	static int normalize_##name(const struct ft_tok *t, const void *state, const struct tok_run *in,  \
	                            struct ft_tok_scratch *s, struct tok_form *out)                       \
	{                                                                                                 \
		(void)t, (void)state, (void)s;                                                            \
		return change_all(change, in, out);                                                       \
	}                                                                                                 \
	const struct tok_stage_kind tok_normal_##name = { type, .normalize = normalize_##name };
EACH(lowercase, "Lowercase", tok_lower)
EACH(strip_accents, "StripAccents", remove_accent)
EACH(nmt, "Nmt", clean)

/* ---- Strip ---- */

struct strip { bool left, right; };

static int load_strip(struct ft_tok *t, const json_t *v, void **state)
{
	int err = FT_OK;
	struct strip *p = *state = ft_alloc(1, sizeof *p);
	(void)t;
	if (!p)
		return FT_EFAIL;
	p->left = ft_json_bool(v, "strip_left", true, &err);
	p->right = ft_json_bool(v, "strip_right", true, &err);
	return err;
}

static int strip(const struct ft_tok *t, const void *state, const struct tok_run *in, struct ft_tok_scratch *s,
                 struct tok_form *out)
{
	const struct strip *p = state;
	(void)s;
	size_t from = p->left ? tok_skip_white(t, in->s, in->n, 0) : 0, to = in->n;
	if (p->right && from < to)
		to = tok_skip_white_back(t, in->s, to);
	if (from == 0 && to == in->n)
		return TOK_SAME;
	return tok_form_copy(out, in, from, to);
}

const struct tok_stage_kind tok_normal_strip = { "Strip", load_strip, NULL, .normalize = strip };

/* ---- Prepend ---- */

static int load_prepend(struct ft_tok *t, const json_t *v, void **state)
{
	int err = FT_OK;
	const char *prefix = ft_json_str(v, "prepend", NULL, &err);
	(void)t;
	if (err < 0)
		return err;
	if (!prefix)
		return ft_fail(FT_EFORMAT, "prepend must be a string");
	return (*state = ft_strdup(prefix)) ? FT_OK : FT_EFAIL;
}

static int prepend(const struct ft_tok *t, const void *state, const struct tok_run *in, struct ft_tok_scratch *s,
                   struct tok_form *out)
{
	(void)t, (void)s;
	int rc = tok_form_prefix(out, in, state, strlen(state));
	return rc == FT_OK ? tok_form_copy(out, in, 0, in->n) : rc;
}

const struct tok_stage_kind tok_normal_prepend = { "Prepend", load_prepend, NULL, .normalize = prepend };

/* ---- ByteLevel ---- */

static int byte_level(const struct ft_tok *t, const void *state, const struct tok_run *in, struct ft_tok_scratch *s,
                      struct tok_form *out)
{
	(void)t, (void)state, (void)s;
	return tok_bytes_spell(in, out);
}

const struct tok_stage_kind tok_normal_byte_level = { "ByteLevel", .normalize = byte_level };

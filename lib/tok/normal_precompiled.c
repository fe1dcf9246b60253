/* normal_precompiled.c - the normalizer Precompiled: a charsmap (charsmap.c). */
#include "base64.h"
#include "charsmap.h"
#include "ft/err.h"
#include "priv.h"

struct tok_charsmap *tok_charsmap_load(const json_t *v, const char *key, bool *there)
{
	const json_t *text = ft_json_get(v, key);
	struct ft_buf bytes = { 0 };
	struct tok_charsmap *c = NULL;
	*there = text != NULL;
	if (!json_is_string(text)) {
		if (text)
			ft_fail(FT_EFORMAT, "%s must be a string", key);
		return NULL;
	}
	if (tok_base64_decode(json_string_value(text), json_string_length(text), &bytes) < 0)
		ft_context(ft_last_error(), "%s", key);
	else
		c = tok_charsmap_new(bytes.data, bytes.len);
	ft_buf_free(&bytes);
	return c;
}

static int load(struct ft_tok *t, const json_t *v, void **state)
{
	bool there;
	(void)t;
	*state = tok_charsmap_load(v, "precompiled_charsmap", &there);
	if (!there)
		return ft_fail(FT_EFORMAT, "precompiled_charsmap is missing");
	return *state ? FT_OK : ft_last_error();
}

static void unload(void *state)
{
	tok_charsmap_free(state);
}

/* Appends what bytes from..to of r became. Characters have the places of those they take the
 * place of, one by one; the rest that of the last. */
static int put(struct tok_form *out, const struct tok_run *r, size_t from, size_t to, struct ft_span s)
{
	int rc = FT_OK;
	struct tok_span at = { 0, 0 };
	for (size_t i = 0, len; i < s.n && rc == FT_OK; i += len) {
		int32_t c;
		if (from < to) {
			len = ft_utf8_get(r->s + from, to - from, &c, NULL);
			at = tok_run_span(r, from, from + len);
			from += len;
		}
		len = ft_utf8_get(s.p + i, s.n - i, &c, NULL);
		rc = tok_form_append(out, s.p + i, len, at);
	}
	return rc;
}

static int normalize(const struct ft_tok *t, const void *state, const struct tok_run *in, struct ft_tok_scratch *s,
                     struct tok_form *out)
{
	struct tok_charsmap_state walk = { 0 };
	int rc = FT_OK;
	(void)t, (void)s;
	for (size_t i = 0, used; i < in->n && rc == FT_OK; i += used) {
		struct ft_span to;
		used = tok_charsmap_next(state, in->s + i, in->n - i, &walk, &to);
		rc = to.p == in->s + i ? tok_form_copy(out, in, i, i + used) : put(out, in, i, i + used, to);
	}
	return rc;
}

const struct tok_stage_kind tok_normal_precompiled = { "Precompiled", load, unload, .normalize = normalize };

/* edges.c - which special tokens stand around the texts of a language model. */
#include "ft/encode.h"
#include "ft/err.h"

#include <string.h>

/* What the tokenizer's template puts around a text. */
static int edges_of_template(struct ft_edges *e, const struct ft_tok *t)
{
	int32_t id = -1;
	uint8_t type = 0;
	uint32_t at = 0;
	struct ft_tok_text hole = { .ids = &id, .types = &type, .begin = &at, .end = &at, .n = 1 }, whole = { 0 };
	if (ft_tok_specials(t, false) > FT_EDGES)
		return ft_fail(FT_EFORMAT, "the tokenizer puts more than %d special tokens around a text", FT_EDGES);
	int rc = ft_tok_wrap(t, &(struct ft_tok_slice){ &hole, 0, 1 }, NULL, &whole);
	bool behind = false;
	for (size_t i = 0; rc == FT_OK && i < whole.n; i++) {
		if (whole.ids[i] < 0)
			behind = true;
		else if (behind)
			e->after[e->nafter++] = whole.ids[i];
		else
			e->before[e->nbefore++] = whole.ids[i];
	}
	ft_tok_text_free(&whole);
	return rc;
}

/* The tokenizer's id of a role, or that of config.json, which may be a list; -1: neither says. */
static int32_t find_id(const json_t *tokenizer, const json_t *config, const char *role, const char *member)
{
	const json_t *id = json_object_get(tokenizer, role);
	if (!json_is_integer(id))
		id = json_object_get(config, member);
	if (json_is_array(id))
		id = json_array_get(id, 0);
	json_int_t v = json_is_integer(id) ? json_integer_value(id) : -1;
	return v < 0 || v > INT32_MAX ? -1 : (int32_t)v;
}

static int need(int32_t id, const char *what)
{
	return id >= 0 ? FT_OK : ft_fail(FT_EUSAGE, "--wrap: the tokenizer names no token for the %s of a text", what);
}

int ft_edges_choose(struct ft_edges *e, const struct ft_tok *t, const json_t *config, const char *wrap)
{
	bool both = strcmp(wrap, "both") == 0, bos = both || strcmp(wrap, "bos") == 0,
	     eos = both || strcmp(wrap, "eos") == 0;
	json_t *about = ft_tok_describe(t);
	if (!about)
		return FT_EFAIL;
	int32_t begin = find_id(about, config, "bos", "bos_token_id"), end = find_id(about, config, "eos", "eos_token_id");
	json_decref(about);
	*e = (struct ft_edges){ .end = -1 };
	if (strcmp(wrap, "auto") == 0) {
		e->end = end;
		int rc = edges_of_template(e, t);
		e->endless = end < 0 && !e->nafter;
		return rc;
	}
	if (!bos && !eos && strcmp(wrap, "none") != 0)
		return ft_fail(FT_EUSAGE, "--wrap: '%s' is not auto, none, bos, eos or both", wrap);
	int rc = bos ? need(begin, "beginning") : FT_OK;
	rc = rc == FT_OK && eos ? need(end, "end") : rc;
	if (bos)
		e->before[e->nbefore++] = begin;
	if (eos)
		e->after[e->nafter++] = end;
	return rc;
}

size_t ft_edges_written(const struct ft_edges *e, const int32_t *ids, size_t n)
{
	size_t before = e->nbefore;
	return before && n >= before && memcmp(ids, e->before, before * sizeof *ids) == 0 ? before : 0;
}

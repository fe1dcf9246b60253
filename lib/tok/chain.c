/* chain.c - the stages of normalisation, splitting and decoding, as tokenizer.json
 * names them: one, or a Sequence of them, which may hold Sequences again. */
#include "ft/err.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

#define NESTED 16 /* Sequences in one another */

#define X(name) extern const struct tok_stage_kind tok_normal_##name;
#include "normalizers.def"
#undef X
#define X(name) extern const struct tok_stage_kind tok_split_##name;
#include "splitters.def"
#undef X
#define X(name) extern const struct tok_stage_kind tok_decode_##name;
#include "decoders.def"
#undef X

static const struct tok_stage_kind *const normalizers[] = {
#define X(name) &tok_normal_##name,
#include "normalizers.def"
#undef X
};
static const struct tok_stage_kind *const splitters[] = {
#define X(name) &tok_split_##name,
#include "splitters.def"
#undef X
};
static const struct tok_stage_kind *const decoders[] = {
#define X(name) &tok_decode_##name,
#include "decoders.def"
#undef X
};

#define COUNT(a) (sizeof(a) / sizeof *(a))
static const struct { const struct tok_stage_kind *const *kind; size_t n; const char *members; } sets[] = {
	[TOK_NORMALIZERS] = { normalizers, COUNT(normalizers), "normalizers" },
	[TOK_SPLITTERS] = { splitters, COUNT(splitters), "pretokenizers" },
	[TOK_DECODERS] = { decoders, COUNT(decoders), "decoders" },
};

static int load_stage(struct ft_tok *t, int what, const char *type, const json_t *v, struct tok_chain *c)
{
	for (size_t i = 0; i < sets[what].n; i++) {
		const struct tok_stage_kind *kind = sets[what].kind[i];
		if (strcmp(kind->type, type) != 0)
			continue;
		if (c->n == TOK_STAGES)
			return ft_fail(FT_EFORMAT, "there are more than %d stages", TOK_STAGES);
		struct tok_stage *s = &c->stage[c->n++];
		*s = (struct tok_stage){ kind, NULL };
		int rc = kind->load ? kind->load(t, v, &s->state) : FT_OK;
		return rc < 0 ? ft_context(rc, "%s", type) : FT_OK;
	}
	if (what == TOK_DECODERS && !t->undecodable) /* hinders decoding only */
		return (t->undecodable = ft_strdup(type)) ? FT_OK : FT_EFAIL;
	return what == TOK_DECODERS ? FT_OK : ft_fail(FT_EFORMAT, "type '%s' is not supported", type);
}

static int load(struct ft_tok *t, int what, const json_t *v, struct tok_chain *c, int depth)
{
	int err = FT_OK;
	const char *type = ft_json_str(v, "type", "none", &err);
	if (err < 0)
		return err;
	if (strcmp(type, "Sequence") != 0)
		return load_stage(t, what, type, v, c);
	const json_t *list = json_object_get(v, sets[what].members);
	if (!json_is_array(list))
		return ft_fail(FT_EFORMAT, "a Sequence needs the array %s", sets[what].members);
	if (depth == NESTED)
		return ft_fail(FT_EFORMAT, "Sequences are nested deeper than %d", NESTED);
	for (size_t i = 0; i < json_array_size(list); i++) {
		int rc = load(t, what, json_array_get(list, i), c, depth + 1);
		if (rc < 0)
			return ft_context(rc, "%s[%zu]", sets[what].members, i);
	}
	return FT_OK;
}

int tok_chain_load(struct ft_tok *t, int what, const json_t *v, struct tok_chain *c)
{
	return v ? load(t, what, v, c, 0) : FT_OK;
}

void tok_chain_drop(struct tok_chain *c)
{
	struct tok_stage *s = &c->stage[--c->n];
	(s->kind->unload ? s->kind->unload : free)(s->state);
}

void tok_chain_free(struct tok_chain *c)
{
	while (c->n)
		tok_chain_drop(c);
}

int tok_load_char(const json_t *v, const char *key, int32_t *c)
{
	int err = FT_OK;
	const char *s = ft_json_str(v, key, "", &err);
	size_t n = strlen(s);
	if (err < 0)
		return err;
	if (n == 0 || ft_utf8_get(s, n, c, NULL) != n)
		return ft_fail(FT_EFORMAT, "%s must be one character", key);
	return FT_OK;
}

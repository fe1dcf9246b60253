/* template.c - what tokenizer.json's post_processor does: special tokens around one
 * text or two (TemplateProcessing, BertProcessing, RobertaProcessing), and whether
 * the places of tokens hold their spaces (ByteLevel, RobertaProcessing). */
#include "ft/err.h"
#include "priv.h"

#include <string.h>

static int add_step(struct tok_template *p, struct tok_step s)
{
	int rc = ft_grow(&p->steps, &p->cap, p->count + 1, sizeof *p->steps);
	if (rc < 0)
		return rc;
	p->steps[p->count++] = s;
	p->specials += s.what == TOK_STEP_SPECIAL;
	return FT_OK;
}

/* The ids a template's special token stands for, all of them of one type. */
static int add_special(const struct ft_tok *t, struct tok_template *p, const json_t *specials, const char *name,
                       uint8_t type)
{
	const json_t *ids = json_object_get(json_object_get(specials, name), "ids");
	if (!json_is_array(ids))
		return ft_fail(FT_EFORMAT, "special_tokens does not have '%s' with its ids", name);
	for (size_t i = 0; i < json_array_size(ids); i++) {
		const json_t *v = json_array_get(ids, i);
		json_int_t id = json_integer_value(v);
		if (!json_is_integer(v) || id < 0 || (size_t)id >= ft_tok_size(t))
			return ft_fail(FT_EFORMAT, "special_tokens: '%s' has an id that is not in the vocabulary",
			               name);
		int rc = add_step(p, (struct tok_step){ TOK_STEP_SPECIAL, (int32_t)id, type });
		if (rc < 0)
			return rc;
	}
	return FT_OK;
}

/* {"Sequence": {"id": "A", "type_id": 0}} or {"SpecialToken": {"id": "[CLS]", "type_id": 0}} */
static int add_piece(const struct ft_tok *t, struct tok_template *p, const json_t *specials, const json_t *v)
{
	const json_t *text = json_object_get(v, "Sequence"), *special = json_object_get(v, "SpecialToken");
	const json_t *piece = text ? text : special;
	int err = FT_OK;
	const char *id = ft_json_str(piece, "id", NULL, &err);
	int64_t type = ft_json_int(piece, "type_id", 0, &err);
	if (err < 0 || !id || type < 0 || type > 255)
		return ft_fail(FT_EFORMAT, "must be a Sequence or a SpecialToken with id and type_id (0 to 255)");
	if (!text)
		return add_special(t, p, specials, id, (uint8_t)type);
	if (strcmp(id, "A") != 0 && strcmp(id, "B") != 0)
		return ft_fail(FT_EFORMAT, "Sequence '%s' is neither A nor B", id);
	return add_step(p, (struct tok_step){ *id == 'A' ? TOK_STEP_A : TOK_STEP_B, 0, (uint8_t)type });
}

static int load_template(const struct ft_tok *t, struct tok_template *p, const json_t *processor, const char *key)
{
	const json_t *list = json_object_get(processor, key);
	const json_t *specials = json_object_get(processor, "special_tokens");
	if (!json_is_array(list))
		return ft_fail(FT_EFORMAT, "%s must be an array", key);
	int texts[2] = { 0, 0 };
	for (size_t i = 0; i < json_array_size(list); i++) {
		size_t before = p->count;
		int rc = add_piece(t, p, specials, json_array_get(list, i));
		if (rc < 0)
			return ft_context(rc, "%s[%zu]", key, i);
		if (p->count > before && p->steps[before].what != TOK_STEP_SPECIAL)
			texts[p->steps[before].what]++;
	}
	bool pair = p == &t->pair;
	if (texts[0] != 1 || texts[1] != (pair ? 1 : 0))
		return ft_fail(FT_EFORMAT, "%s must have %s", key, pair ? "A and B, once each" : "A once, and no B");
	return FT_OK;
}

static int add_steps(struct tok_template *p, const struct tok_step *steps, size_t n)
{
	int rc = FT_OK;
	for (size_t i = 0; i < n && rc == FT_OK; i++)
		rc = add_step(p, steps[i]);
	return rc;
}

/* [CLS] A [SEP] B [SEP], or, as RoBERTa has it, <s> A </s> </s> B </s>, all of one type */
static int template_pair(struct ft_tok *t, int32_t cls, int32_t sep, bool roberta)
{
	uint8_t second = roberta ? 0 : 1;
	const struct tok_step steps[] = {
		{ TOK_STEP_SPECIAL, cls, 0 }, { TOK_STEP_A, 0, 0 }, { TOK_STEP_SPECIAL, sep, 0 },
		{ TOK_STEP_SPECIAL, sep, 0 }, { TOK_STEP_B, 0, second }, { TOK_STEP_SPECIAL, sep, second },
	};
	int rc = add_steps(&t->single, steps, 3);
	if (rc == FT_OK)
		rc = add_steps(&t->pair, steps, roberta ? 4 : 3);
	return rc == FT_OK ? add_steps(&t->pair, steps + 4, 2) : rc;
}

/* ["[SEP]", 102] */
static int named_id(const struct ft_tok *t, const json_t *v, int32_t *id)
{
	const json_t *n = json_array_get(v, 1);
	json_int_t i = json_integer_value(n);
	if (json_array_size(v) != 2 || !json_is_integer(n) || i < 0 || (size_t)i >= ft_tok_size(t))
		return ft_fail(FT_EFORMAT, "sep and cls must be a token and its id");
	*id = (int32_t)i;
	return FT_OK;
}

static int load_named(struct ft_tok *t, const json_t *v, bool roberta)
{
	int32_t cls = 0, sep = 0;
	int rc = named_id(t, json_object_get(v, "cls"), &cls);
	if (rc == FT_OK)
		rc = named_id(t, json_object_get(v, "sep"), &sep);
	return rc == FT_OK ? template_pair(t, cls, sep, roberta) : rc;
}

/* Of the processors of the reference these two change the places of tokens. */
static int load_trim(struct ft_tok *t, const json_t *v)
{
	int err = FT_OK;
	bool trim = ft_json_bool(v, "trim_offsets", true, &err);
	bool prefix = ft_json_bool(v, "add_prefix_space", true, &err);
	if (trim) {
		t->trim = true;
		t->trim_prefix = prefix;
	}
	return err;
}

#define NESTED 16 /* Sequences in one another */

static int load_processor(struct ft_tok *t, const json_t *v, int depth)
{
	const char *type = json_string_value(json_object_get(v, "type"));
	type = type ? type : "?";
	bool roberta = strcmp(type, "RobertaProcessing") == 0, template = strcmp(type, "TemplateProcessing") == 0;
	bool puts_tokens = roberta || template || strcmp(type, "BertProcessing") == 0;
	if (puts_tokens && t->single.count)
		return ft_fail(FT_EFORMAT, "a second processor that adds special tokens is not supported");
	if (template) {
		int rc = load_template(t, &t->single, v, "single");
		return rc == FT_OK ? load_template(t, &t->pair, v, "pair") : rc;
	}
	if (roberta || strcmp(type, "ByteLevel") == 0) {
		int rc = load_trim(t, v);
		return rc == FT_OK && roberta ? load_named(t, v, true) : rc;
	}
	if (puts_tokens)
		return load_named(t, v, false);
	const json_t *list = json_object_get(v, "processors");
	if (strcmp(type, "Sequence") != 0 || !json_is_array(list))
		return ft_fail(FT_EFORMAT, "type '%s' is not supported", type);
	if (depth == NESTED)
		return ft_fail(FT_EFORMAT, "Sequences are nested deeper than %d", NESTED);
	int rc = FT_OK;
	for (size_t i = 0; i < json_array_size(list) && rc == FT_OK; i++)
		if ((rc = load_processor(t, json_array_get(list, i), depth + 1)) < 0)
			ft_context(rc, "processors[%zu]", i);
	return rc;
}

int tok_template_load(struct ft_tok *t, const json_t *processor, const char *where)
{
	static const struct tok_step plain[] = { { TOK_STEP_A, 0, 0 }, { TOK_STEP_B, 0, 1 } };
	int rc = processor ? load_processor(t, processor, 0) : FT_OK;
	if (rc < 0)
		return ft_context(rc, "%s: post_processor", where);
	if (!t->single.count)
		rc = add_steps(&t->single, plain, 1);
	return rc == FT_OK && !t->pair.count ? add_steps(&t->pair, plain, 2) : rc;
}

/* ---- use ---- */

size_t ft_tok_specials(const struct ft_tok *t, bool pair)
{
	return pair ? t->pair.specials : t->single.specials;
}

static void copy_slice(struct ft_tok_text *out, const struct ft_tok_slice *s, uint8_t type)
{
	if (!s->n)
		return;
	memcpy(out->ids + out->n, s->text->ids + s->from, s->n * sizeof *out->ids);
	memcpy(out->begin + out->n, s->text->begin + s->from, s->n * sizeof *out->begin);
	memcpy(out->end + out->n, s->text->end + s->from, s->n * sizeof *out->end);
	memset(out->types + out->n, type, s->n);
	out->n += s->n;
}

int ft_tok_wrap(const struct ft_tok *t, const struct ft_tok_slice *a, const struct ft_tok_slice *b,
                struct ft_tok_text *out)
{
	const struct tok_template *p = b ? &t->pair : &t->single;
	out->n = 0;
	int rc = tok_text_reserve(out, a->n + (b ? b->n : 0) + p->specials);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < p->count; i++) {
		const struct tok_step *s = &p->steps[i];
		if (s->what == TOK_STEP_SPECIAL)
			tok_emit(out, s->id, s->type, 0, 0);
		else
			copy_slice(out, s->what == TOK_STEP_A ? a : b, s->type);
	}
	return FT_OK;
}

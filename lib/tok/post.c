/* post.c - templates of special tokens, for files that say them in other words. */
#include "post.h"
#include "ft/err.h"
#include "ft/json.h"

#include <stdio.h>
#include <string.h>

/* What one letter stands for, appended to `list`, and its id to `special`. */
static int add_step(char letter, int type, const struct tok_named named[TOK_ROLES], json_t *list, json_t *special)
{
	static const char letters[TOK_ROLES + 1] = { "??cs?be" }; /* by role */
	char text[2] = { letter, '\0' };
	if (letter == 'A' || letter == 'B')
		return ft_json_append(list, json_pack("{s:{s:s, s:i}}", "Sequence", "id", text, "type_id", type));
	size_t role = (size_t)(strchr(letters, letter) - letters);
	const struct tok_named *n = &named[role];
	if (!n->name)
		return ft_fail(FT_EFORMAT, "there is no %s token, which stands beside every text", tok_role_names[role]);
	int bad = json_object_set_new(special, n->name, json_pack("{s:[I]}", "ids", (json_int_t)n->id));
	bad |= json_array_append_new(list, json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", n->name, "type_id", type));
	return bad ? ft_fail(FT_EFAIL, "out of memory") : FT_OK;
}

static json_t *steps(const char *letters, const struct tok_named named[TOK_ROLES], json_t *special, int *rc)
{
	json_t *list = json_array();
	for (const char *p = letters; *p && *rc == FT_OK;) {
		char letter = *p++;
		int type = *p >= '0' && *p <= '9' ? *p++ - '0' : 0;
		*rc = add_step(letter, type, named, list, special);
	}
	return list;
}

json_t *tok_post_processor(const char *single, const char *pair, const struct tok_named named[TOK_ROLES])
{
	int rc = FT_OK;
	json_t *special = json_object();
	json_t *one = steps(single, named, special, &rc), *two = steps(pair, named, special, &rc);
	json_t *v = json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", one, "pair", two,
	                      "special_tokens", special);
	if (rc == FT_OK && !v)
		rc = ft_fail(FT_EFAIL, "out of memory");
	if (rc == FT_OK)
		return v;
	json_decref(v);
	return NULL;
}

json_t *tok_post_processor_plain(bool bos, bool eos, const struct tok_named named[TOK_ROLES])
{
	char single[8], pair[16];
	snprintf(single, sizeof single, "%sA%s", bos ? "b" : "", eos ? "e" : "");
	snprintf(pair, sizeof pair, "%s%sB1%s", single, bos ? "b1" : "", eos ? "e1" : "");
	return tok_post_processor(single, pair, named);
}

/* prefer.c - preferences in JSON lines, as data sets of preference tuning have them:
 *
 *	{"prompt": …, "chosen": …, "rejected": …}   a reply, and one that is not as good
 *	{"chosen": …, "rejected": …}                the same, with the prompt at the beginning of both
 *	{"prompt": …, "completion": …, "label": …}  a reply, and whether it is good (jsonl.c; lists of messages here)
 *
 * Each is a string, or a list of messages. A prompt that is a string beside lists is passed over: such lists
 * have it in them.
 */
#include "ft/err.h"
#include "priv.h"

#include <string.h>

static const json_t *member(const struct ft_text *t, const char *key)
{
	return json_object_get(t->object, key);
}

bool prefer_is(const struct ft_text *t)
{
	if (!t->prompts || t->column[COLUMN_TEXT] || t->column[COLUMN_PAIR])
		return false;
	return (member(t, "chosen") && member(t, "rejected")) ||
	       (json_is_array(member(t, "prompt")) && member(t, "completion"));
}

/* ---- conversations ---- */

/* A prompt that is a list, with a reply behind it; kept until the next row. */
static const json_t *join(struct ft_text *t, int which, const json_t *reply)
{
	const json_t *prompt = member(t, "prompt");
	json_t *all = json_is_array(prompt) ? ft_json_copy(prompt) : json_array();
	json_decref(t->made[which]);
	t->made[which] = all;
	if (all && json_array_extend(all, (json_t *)(uintptr_t)reply) == 0)
		return all;
	ft_fail(FT_EFAIL, "out of memory for a conversation");
	return NULL;
}

static int take_conversations(struct ft_text *t, struct ft_row *row, const char *better, const char *worse)
{
	int rc = jsonl_tools(t, row);
	if (rc < 0)
		return rc;
	row->text = (struct ft_span){ (char *)t->line.data, t->line.len };
	if (!json_is_array(member(t, better)))
		return text_fail(t, FT_EFORMAT, "'%s' is not a list of messages", better);
	if (worse && !json_is_array(member(t, worse)))
		return text_fail(t, FT_EFORMAT, "'%s' is not a list of messages", worse);
	row->messages = join(t, 0, member(t, better));
	row->rejected = worse && row->messages ? join(t, 1, member(t, worse)) : NULL;
	return row->messages && (row->rejected || !worse) ? FT_OK : FT_EFAIL;
}

/* ---- strings ---- */

/* What both begin with, up to a whole character, is the prompt; a space behind it belongs to the replies. */
static void split_prompt(struct ft_row *row)
{
	struct ft_span *a = &row->pair, *b = &row->negative;
	size_t n = 0;
	while (n < a->n && n < b->n && a->p[n] == b->p[n])
		n++;
	while (n < a->n && (a->p[n] & 0xC0) == 0x80) /* both are UTF-8, so this is not the first byte, nor the end of b */
		n--;
	n -= n && a->p[n - 1] == ' ';
	row->text = (struct ft_span){ a->p, n };
	*a = (struct ft_span){ a->p + n, a->n - n };
	*b = (struct ft_span){ b->p + n, b->n - n };
}

static int take_strings(struct ft_text *t, struct ft_row *row)
{
	int rc = jsonl_needs(t, "chosen", &row->pair);
	rc = rc ? rc : jsonl_needs(t, "rejected", &row->negative);
	rc = rc ? rc : jsonl_text(t, "prompt", &row->text);
	if (rc == FT_OK && !row->text.p)
		split_prompt(row);
	return rc;
}

int prefer_take(struct ft_text *t, struct ft_row *row)
{
	const json_t *chosen = member(t, "chosen"), *rejected = member(t, "rejected");
	if (!chosen || !rejected)
		return take_conversations(t, row, "completion", NULL);
	if (json_is_array(chosen) || json_is_array(rejected))
		return take_conversations(t, row, "chosen", "rejected");
	return take_strings(t, row);
}

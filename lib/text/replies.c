/* replies.c - where in a rendered conversation the assistant speaks.
 *
 * A template may say so itself, with {% generation %}. Else each of the assistant's turns is
 * found by rendering what comes before it, up to where the model would be asked, and what ends with
 * it: the turn is the difference. That holds only as long as both are how the whole begins,
 * which is checked: some templates write a turn otherwise when others follow.
 */
#include "dialogue.h"
#include "ft/err.h"

#include <stdlib.h>
#include <string.h>

/* All renderings together, of a conversation whose template does not say where replies are. */
#define BYTES_MOST ((size_t)1 << 28)

void dialogue_free(struct dialogue *d)
{
	ft_chat_text_free(&d->whole);
	ft_chat_text_free(&d->part);
	free(d->reply);
	free(d->strange);
	*d = (struct dialogue){ 0 };
}

static int add_range(struct ft_tok_range **range, size_t *n, size_t *cap, size_t begin, size_t end)
{
	if (*n && (*range)[*n - 1].end == begin) {
		(*range)[*n - 1].end = end;
		return FT_OK;
	}
	int rc = begin < end ? ft_grow(range, cap, *n + 1, sizeof **range) : FT_OK;
	if (rc == FT_OK && begin < end)
		(*range)[(*n)++] = (struct ft_tok_range){ begin, end };
	return rc;
}

static int add_reply(struct dialogue *d, size_t begin, size_t end)
{
	return add_range(&d->reply, &d->replies, &d->reply_cap, begin, end);
}

int dialogue_spans(struct dialogue *d)
{
	int rc = FT_OK;
	d->nstrange = d->replies = 0;
	for (size_t i = 0; i < d->whole.nspans && rc == FT_OK; i++) {
		const struct ft_chat_span *s = &d->whole.spans[i];
		if (s->from & FT_CHAT_DATA)
			rc = add_range(&d->strange, &d->nstrange, &d->strange_cap, s->begin, s->end);
		if (rc == FT_OK && s->from & FT_CHAT_REPLY)
			rc = add_reply(d, s->begin, s->end);
	}
	return rc;
}

/* ---- without tags ---- */

struct search {
	struct dialogue *d;
	const struct ft_chat *c;
	struct ft_chat_input in; /* the messages so far */
	size_t rendered;         /* bytes, of all that was */
};

/* Of a message that was read. */
static bool is_reply(const json_t *message)
{
	return strcmp(json_string_value(json_object_get(message, "role")), "assistant") == 0;
}

static int fail_differs(const struct ft_buf *part, const struct ft_buf *whole)
{
	size_t i = 0, n = part->len < whole->len ? part->len : whole->len;
	while (i < n && part->data[i] == whole->data[i])
		i++;
	size_t from = i > 20 ? i - 20 : 0, a = part->len - from, b = whole->len - from;
	while (from < i && (part->data[from] & 0xc0) == 0x80) /* a whole character */
		from++, a--, b--;
	return ft_fail(FT_EFORMAT,
	               "the template, which has no {%% generation %%}, writes what ends here otherwise when more follows: "
	               "'%.*s' becomes '%.*s'; --learn last may do",
	               (int)(a < 60 ? a : 60), (char *)part->data + from, (int)(b < 60 ? b : 60),
	               (char *)whole->data + from);
}

/* The length of the messages so far, which must be how the whole begins. */
static int measure(struct search *s, bool asks, size_t *end)
{
	s->in.add_generation_prompt = asks;
	int rc = ft_chat_render(s->c, &s->in, &s->d->part);
	const struct ft_buf *part = &s->d->part.text, *whole = &s->d->whole.text;
	if (rc < 0)
		return rc;
	s->rendered += part->len;
	if (s->rendered > BYTES_MOST)
		return ft_fail(FT_EFORMAT, "the conversation is too long for a template without {%% generation %%}");
	*end = part->len;
	bool begins = part->len <= whole->len && (!part->len || memcmp(part->data, whole->data, part->len) == 0);
	return begins ? FT_OK : fail_differs(part, whole);
}

/* Turn i, which is the assistant's; before it are the messages so far. */
static int find_turn(struct search *s, size_t i, json_t *so_far, json_t *message, bool last)
{
	size_t begin = 0, end = s->d->whole.text.len;
	int rc = i ? measure(s, true, &begin)
	           : ft_fail(FT_EFORMAT, "nothing comes before it, so where it begins is not known");
	if (json_array_append(so_far, message) < 0)
		return ft_fail(FT_EFAIL, "out of memory for a conversation");
	if (rc == FT_OK && !last)
		rc = measure(s, false, &end);
	if (rc == FT_OK && end < begin)
		rc = ft_fail(FT_EFORMAT, "the template writes more where the model is asked than when it has answered");
	return rc == FT_OK ? add_reply(s->d, begin, end) : ft_context(rc, "turn %zu", i + 1);
}

static int find_turns(struct search *s, json_t *messages, enum ft_learn learn)
{
	json_t *so_far = json_array(), *message;
	size_t i, n = json_array_size(messages), first = 0;
	int rc = so_far ? FT_OK : ft_fail(FT_EFAIL, "out of memory for a conversation");
	if (learn == FT_LEARN_LAST)
		for (first = n; first > 0 && !is_reply(json_array_get(messages, first - 1)); first--)
			;
	first -= first > 0;
	s->in.messages = so_far;
	json_array_foreach(messages, i, message) {
		if (rc < 0)
			break;
		if (i >= first && is_reply(message))
			rc = find_turn(s, i, so_far, message, i + 1 == n);
		else if (json_array_append(so_far, message) < 0)
			rc = ft_fail(FT_EFAIL, "out of memory for a conversation");
	}
	json_decref(so_far);
	return rc;
}

int replies_find(struct dialogue *d, const struct ft_chat *c, json_t *messages, const json_t *tools,
                 enum ft_learn learn)
{
	struct search s = { .d = d, .c = c, .in = { .messages = messages, .tools = tools } };
	int rc = ft_chat_render(c, &s.in, &d->whole);
	rc = rc < 0 ? rc : dialogue_spans(d);
	d->exact = learn == FT_LEARN_ALL || ft_chat_has_replies(c);
	if (rc < 0 || (d->exact && learn == FT_LEARN_REPLIES))
		return rc;
	if (learn == FT_LEARN_ALL) {
		d->replies = 0;
		return add_reply(d, 0, d->whole.text.len);
	}
	if (!d->exact)
		return find_turns(&s, messages, learn);
	if (d->replies)
		d->reply[0] = d->reply[d->replies - 1];
	d->replies = d->replies > 0;
	return FT_OK;
}

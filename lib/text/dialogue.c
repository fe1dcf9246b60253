/* dialogue.c - tokens of a conversation, and which of them are learnt.
 *
 * The template's text is tokenised as one, without special tokens around it, since
 * the template writes those; in what comes from messages none are found. A token is learnt when it has
 * a byte of a reply. Where the template does not say what a reply is, it ends with the last special
 * token behind its text: "<|im_end|>", but not the line end that separates turns.
 */
#include "dialogue.h"
#include "encode.h"
#include "ft/err.h"

#include <string.h>

/* ---- messages as templates take them ---- */

/* The text of a list of parts that are all text; new reference. */
static json_t *join_parts(const json_t *parts, size_t message)
{
	struct ft_buf b = { 0 };
	json_t *part, *text = NULL;
	size_t i;
	int rc = FT_OK;
	json_array_foreach((json_t *)parts, i, part) {
		const char *type = json_string_value(json_object_get(part, "type"));
		const json_t *v = json_object_get(part, "text");
		if (rc == FT_OK && (!type || strcmp(type, "text") != 0 || !json_is_string(v)))
			rc = ft_fail(FT_EFORMAT, "messages[%zu]: content[%zu] is of the type '%s'; only text is read", message, i,
			             type ? type : "?");
		else if (rc == FT_OK)
			rc = ft_buf_append(&b, json_string_value(v), json_string_length(v));
	}
	if (rc == FT_OK && !(text = json_stringn(b.data ? (char *)b.data : "", b.len)))
		ft_fail(FT_EFAIL, "out of memory for a conversation");
	ft_buf_free(&b);
	return text;
}

/* A message with its content as one text; new reference. */
static json_t *read_message(json_t *message, size_t i)
{
	const json_t *content = json_object_get(message, "content");
	if (!json_is_string(json_object_get(message, "role")))
		return ft_fail(FT_EFORMAT, "messages[%zu] has no role", i), NULL;
	if (!json_is_array(content))
		return json_incref(message);
	json_t *text = join_parts(content, i), *copy = text ? ft_json_copy(message) : NULL;
	if (copy && ft_json_set(copy, "content", text) == FT_OK)
		return copy;
	if (!copy)
		json_decref(text);
	json_decref(copy);
	return NULL;
}

/* The messages of a row from `from` on, behind the first `head` of them; new reference. */
static json_t *read_messages(const json_t *messages, size_t head, size_t from)
{
	json_t *out = json_array(), *message, *read;
	size_t i;
	if (json_array_size(messages) == 0) {
		json_decref(out);
		return ft_fail(FT_EFORMAT, "a conversation without messages"), NULL;
	}
	json_array_foreach((json_t *)messages, i, message) {
		if (i >= head && i < from)
			continue;
		read = read_message(message, i);
		if (!read || ft_json_append(out, read) < 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

/* ---- replies as tokens ---- */

/* Where the text of a reply ends: behind its last byte that comes from a message. */
static size_t text_end(const struct dialogue *d, struct ft_tok_range reply, size_t *at)
{
	size_t end = reply.begin;
	for (; *at < d->nstrange && d->strange[*at].begin < reply.end; ++*at) {
		if (d->strange[*at].end > reply.begin)
			end = d->strange[*at].end < reply.end ? d->strange[*at].end : reply.end;
		if (d->strange[*at].end > reply.end)
			break;
	}
	return end;
}

static bool stands_in(const struct ft_tok_text *x, size_t i, struct ft_tok_range r)
{
	return x->end[i] > r.begin && (x->begin[i] < r.end || (x->begin[i] == x->end[i] && x->end[i] <= r.end));
}

/* The reply's tokens without what follows the special token that ends it. */
static size_t trim_end(const struct ft_tok *t, const struct ft_tok_text *x, const struct stretch *s, size_t first)
{
	for (size_t i = s->to; i > s->from && x->begin[first + i - 1] >= s->end; i--)
		if (ft_tok_is_special(t, x->ids[first + i - 1]))
			return i;
	return s->to;
}

static int add_stretches(const struct ft_encode_options *o, struct item *it, struct chunk *c)
{
	const struct dialogue *d = &c->dialogue;
	const struct ft_tok_text *x = &c->text;
	size_t i = it->from, at = 0;
	int rc = FT_OK;
	for (size_t k = 0; k < d->replies && rc == FT_OK; k++) {
		struct ft_tok_range r = d->reply[k];
		while (i < x->n && !stands_in(x, i, r) && x->begin[i] < r.end)
			i++;
		struct stretch s = { .from = i - it->from, .base = r.begin, .begin = r.begin, .end = text_end(d, r, &at) };
		while (i < x->n && stands_in(x, i, r))
			i++;
		s.to = i - it->from;
		if (!d->exact)
			s.to = trim_end(o->tok, x, &s, it->from);
		if (s.to > s.from)
			rc = lm_stretch(c, it, s);
	}
	return rc;
}

/* ---- conversations ---- */

/* Of the row's messages those from `from` on, behind the first `head`. */
static int encode_part(const struct ft_encode_options *o, struct item *it, struct chunk *c, size_t head, size_t from)
{
	struct dialogue *d = &c->dialogue;
	json_t *messages = read_messages(it->messages, head, from);
	int rc = messages ? replies_find(d, o->chat, messages, it->tools, it->side || it->judged ? FT_LEARN_LAST : o->learn)
	                  : ft_last_error();
	json_decref(messages);
	c->text.n = it->from;
	c->nstretch = it->stretch;
	it->stretches = 0;
	if (rc == FT_OK)
		rc = ft_tok_encode_guarded(o->tok, (char *)d->whole.text.data, d->whole.text.len, d->strange, d->nstrange,
		                           &c->text);
	it->n = c->text.n - it->from;
	return rc < 0 ? rc : add_stretches(o, it, c);
}

/* Of messages that were read. */
static bool has_role(const json_t *messages, size_t i, const char *role)
{
	return strcmp(json_string_value(json_object_get(json_array_get(messages, i), "role")), role) == 0;
}

static bool is_long(const struct ft_encode_options *o, const struct item *it)
{
	return it->n > o->limit.max + 1;
}

/* Leaves out the oldest turns, from one of the user's to the next, until the rest fits; what the system
 * says at the beginning stays. All of it comes back when even the last turn is too long. */
static int drop_turns(const struct ft_encode_options *o, struct item *it, struct chunk *c)
{
	const json_t *m = it->messages;
	size_t n = json_array_size(m), head = 0;
	while (head < n && (has_role(m, head, "system") || has_role(m, head, "developer")))
		head++;
	size_t low = head + 1, high = n; /* one of the turns from low on; high: all that is known to fit, or n */
	int rc = FT_OK;
	while (rc == FT_OK && low < high) {
		size_t mid = low + (high - low) / 2, turn = mid;
		while (turn < high && !has_role(m, turn, "user"))
			turn++;
		if (turn == high) { /* none from mid on */
			high = mid;
			continue;
		}
		rc = encode_part(o, it, c, head, turn);
		if (rc == FT_OK && is_long(o, it))
			low = turn + 1;
		else
			high = turn;
	}
	if (rc < 0)
		return rc;
	while (high < n && !has_role(m, high, "user"))
		high++;
	it->shortened = high < n;
	return encode_part(o, it, c, head, high < n ? high : head);
}

int dialogue_encode(const struct ft_encode_options *o, struct item *it, struct chunk *c)
{
	const struct ft_buf *text = &c->dialogue.whole.text;
	int rc = encode_part(o, it, c, 0, 0);
	if (rc == FT_OK && o->limit.policy == FT_TOK_TURNS && is_long(o, it))
		rc = drop_turns(o, it, c);
	it->said = c->said.len;
	it->said_n = text->len;
	return rc < 0 ? rc : ft_buf_append(&c->said, text->data, text->len);
}

/* ---- prompts ---- */

int ft_chat_encode(const struct ft_chat *c, const struct ft_tok *t, const json_t *messages, const json_t *tools,
                   struct ft_tok_text *whole)
{
	struct dialogue d = { 0 };
	struct ft_chat_input in = { .messages = read_messages(messages, 0, 0), .tools = tools,
	                            .add_generation_prompt = true };
	int rc = in.messages ? ft_chat_render(c, &in, &d.whole) : ft_last_error();
	rc = rc < 0 ? rc : dialogue_spans(&d);
	whole->n = 0;
	if (rc == FT_OK)
		rc = ft_tok_encode_guarded(t, (char *)d.whole.text.data, d.whole.text.len, d.strange, d.nstrange, whole);
	json_decref((json_t *)(uintptr_t)in.messages);
	dialogue_free(&d);
	return rc;
}

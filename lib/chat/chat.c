/* chat.c - templates compiled, and what they are given to render. */
#include "dir.h"
#include "ft/digest.h"
#include "ft/utf8.h"
#include "priv.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct template {
	char *name;
	struct program program;
	struct ft_arena arena; /* the program */
};

struct ft_chat {
	struct template own, tools; /* `tools` is for conversations with tools; its name is NULL when there is none */
	json_t *tokens;             /* bos_token, …: defaults; or NULL */
	char digest[33];            /* of the sources */
};

/* ---- compiling ---- */
/* What is begun in a run ends here, one way or the other. */
static int parse(struct run *r, struct template *t, const char *source, size_t n)
{
	if (setjmp(r->leave) == 0) {
		parse_program(r, &t->program, source, n);
		t->arena = r->arena;
		r->arena = (struct ft_arena){ 0 };
	}
	run_end(r);
	return r->code;
}

static int compile(struct template *t, const char *name, const char *source, size_t n)
{
	struct run run = { .name = t->name = ft_strdup(name), .line = 1 };
	if (!t->name)
		return FT_EFAIL;
	if (n > CHAT_SOURCE)
		return ft_fail(FT_EFORMAT, "%s: a template of more than %zu KiB", name, CHAT_SOURCE >> 10);
	if (ft_utf8_invalid(source, n))
		return ft_fail(FT_EFORMAT, "%s: the template is not valid UTF-8", name);
	return parse(&run, t, source, n);
}

/* The digest goes on from what it was: a folder's templates always come in one order. */
static int add_digest(struct ft_chat *c, const char *source, size_t n)
{
	struct ft_digest *d = ft_digest_new();
	if (!d)
		return FT_EFAIL;
	ft_digest_add(d, c->digest, strlen(c->digest));
	ft_digest_add(d, source, n);
	ft_digest_hex(d, c->digest);
	ft_digest_free(d);
	return FT_OK;
}

int chat_add(struct ft_chat *c, bool tools, const char *name, const char *source, size_t n)
{
	int rc = compile(tools ? &c->tools : &c->own, name, source, n);
	return rc < 0 ? rc : add_digest(c, source, n);
}

const char *ft_chat_digest(const struct ft_chat *c)
{
	return c->digest;
}

void chat_give_tokens(struct ft_chat *c, json_t *tokens_taken)
{
	json_decref(c->tokens);
	c->tokens = tokens_taken;
}

struct ft_chat *chat_empty(void)
{
	return ft_alloc(1, sizeof(struct ft_chat));
}

bool chat_has(const struct ft_chat *c, bool tools)
{
	return tools ? c->tools.name : c->own.name;
}

struct ft_chat *ft_chat_new(const char *name, const char *source, size_t n)
{
	struct ft_chat *c = chat_empty();
	if (c && chat_add(c, false, name, source, n) < 0) {
		ft_chat_free(c);
		c = NULL;
	}
	return c;
}

void ft_chat_free(struct ft_chat *c)
{
	if (!c)
		return;
	ft_arena_free(&c->own.arena);
	ft_arena_free(&c->tools.arena);
	free(c->own.name);
	free(c->tools.name);
	json_decref(c->tokens);
	free(c);
}

bool ft_chat_has_replies(const struct ft_chat *c)
{
	return c->own.program.has_replies || c->tools.program.has_replies;
}

/* ---- what a rendering is given ---- */
static void give(struct run *r, const struct program *p, const char *name, struct value v)
{
	for (size_t i = 0; i < p->nnames; i++)
		if (text_is(p->names[i], name))
			set_variable(r, (int)i, v);
}

static bool is_token(const char *name)
{
	size_t n = strlen(name);
	return n > 6 && strcmp(name + n - 6, "_token") == 0;
}

static void give_all(struct run *r, const struct program *p, const json_t *o)
{
	const char *name;
	json_t *v;
	json_object_foreach((json_t *)o, name, v)
		give(r, p, name, of_json(r, v, is_token(name) ? 0 : FT_CHAT_DATA));
}

/* One word, of which templates make "<|user|>"; anything else stays data. */
static bool is_role(const json_t *v)
{
	const char *s = json_string_value(v);
	size_t n = s ? json_string_length(v) : 0;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '_' && s[i] != '-')
			return false;
	return n > 0 && n <= 64;
}

/* The first member that says what the model thought, under the names that are in use. */
static json_t *reasoning_of(const json_t *message)
{
	static const char *const names[] = { "reasoning_content", "thinking", "reasoning" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		json_t *v = ft_json_get(message, names[i]);
		if (v)
			return v;
	}
	return NULL;
}

static void add_member(struct run *r, struct map *m, const char *key, const json_t *v, bool data)
{
	uint8_t mark = data ? FT_CHAT_DATA : 0;
	map_set(r, m, of_text(text_of(r, key, strlen(key), FT_CHAT_DATA)), of_json(r, v, mark));
}

/* A message as transformers hands it over: without what is null, its reasoning under both of the
 * names that templates read. */
static struct value message_of(struct run *r, const json_t *message)
{
	struct value v = { .kind = MAP, .mark = FT_CHAT_DATA, .map = map_new(r) };
	json_t *reasoning = reasoning_of(message), *member;
	const char *key;
	if (reasoning && !json_object_get(message, "thinking"))
		add_member(r, v.map, "thinking", reasoning, true);
	json_object_foreach((json_t *)message, key, member)
		if (json_typeof(member) != JSON_NULL)
			add_member(r, v.map, key, member, strcmp(key, "role") != 0 || !is_role(member));
	if (reasoning)
		add_member(r, v.map, "reasoning_content", reasoning, true);
	return v;
}

static struct value messages_of(struct run *r, const json_t *messages)
{
	struct list *l = list_new(r, json_array_size(messages));
	for (size_t i = 0; i < l->n; i++) {
		const json_t *message = json_array_get(messages, i);
		if (json_typeof(message) != JSON_OBJECT)
			stop(r, "message %zu is not an object", i + 1);
		l->at[i] = message_of(r, message);
	}
	if (!l->n)
		stop(r, "there is no message");
	struct value v = of_list(LIST, l);
	v.mark = FT_CHAT_DATA;
	return v;
}

/* ---- rendering ---- */
static int render(struct run *r, const struct ft_chat *c, const struct program *p, const struct ft_chat_input *in)
{
	if (setjmp(r->leave) == 0) {
		r->frame = take(r, 1, sizeof *r->frame);
		give(r, p, "messages", messages_of(r, in->messages));
		give(r, p, "tools", in->tools ? of_json(r, in->tools, FT_CHAT_DATA) : of_none());
		give(r, p, "documents", of_none());
		give(r, p, "add_generation_prompt", of_bool(in->add_generation_prompt));
		give_all(r, p, c->tokens);
		give_all(r, p, in->extra);
		execute(r, p->body);
	}
	return r->code;
}

static int add_span(struct ft_chat_text *t, size_t begin, size_t end, unsigned from)
{
	int rc = ft_grow(&t->spans, &t->cap, t->nspans + 1, sizeof *t->spans);
	if (rc == FT_OK)
		t->spans[t->nspans++] = (struct ft_chat_span){ begin, end, from };
	return rc;
}

static int hand_over(struct run *r, struct ft_chat_text *out)
{
	int rc = FT_OK;
	out->nspans = 0;
	for (size_t i = 0, end; rc == FT_OK && i < r->out.len; i = end) {
		for (end = i + 1; end < r->out.len && r->marks.data[end] == r->marks.data[i]; end++)
			;
		rc = add_span(out, i, end, r->marks.data[i]);
	}
	ft_buf_free(&out->text);
	out->text = r->out;
	r->out = (struct ft_buf){ 0 };
	return rc;
}

int ft_chat_render(const struct ft_chat *c, const struct ft_chat_input *in, struct ft_chat_text *out)
{
	bool tools = in->tools && c->tools.name;
	const struct template *t = tools ? &c->tools : &c->own;
	struct run run = { .name = t->name, .line = 1 };
	if (!json_is_array(in->messages))
		return ft_fail(FT_EFORMAT, "%s: messages must be a list", t->name);
	int rc = render(&run, c, &t->program, in);
	if (rc == FT_OK)
		rc = hand_over(&run, out);
	run_end(&run);
	return rc;
}

void ft_chat_text_free(struct ft_chat_text *t)
{
	ft_buf_free(&t->text);
	free(t->spans);
	*t = (struct ft_chat_text){ 0 };
}

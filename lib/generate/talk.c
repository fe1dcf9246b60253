/* talk.c - a conversation in the terminal, over one cache: of each turn only what is new is
 * read by the model. */
#include "ft/talk.h"

#include "ft/cli.h"
#include "ft/encode.h"
#include "ft/file.h"
#include "priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct talk {
	struct ft_model *m;
	const struct ft_tok *t;
	const struct ft_talk_options *o;
	struct ft_generate_options generate;
	struct ft_chat *chat;
	struct ft_graph *g;
	json_t *messages;
	struct ft_tok_text whole;
	int32_t *had;       /* [nhad]: tokens of the cache */
	size_t nhad, had_cap;
	struct ft_answer answer;
	bool left_out;      /* turns, of the conversation so far */
};

static int add_message(json_t *messages, const char *role, const char *text, size_t n)
{
	json_t *m = json_pack("{s:s, s:s%}", "role", role, "content", text, n);
	if (!m)
		return ft_fail(FT_EFORMAT, "a message that is not UTF-8");
	return json_array_append_new(messages, m) < 0 ? ft_fail(FT_EFAIL, "out of memory for messages") : FT_OK;
}

/* From where the file has it. */
static int go_on(struct talk *k)
{
	json_t *before = ft_json_load(k->o->keep), *messages = json_object_get(before, "messages");
	int rc = before ? FT_OK : ft_last_error();
	if (rc == FT_OK && !json_is_array(messages))
		rc = ft_fail(FT_EFORMAT, "%s: is no conversation: {\"messages\": [...]}", k->o->keep);
	k->messages = rc == FT_OK ? json_incref(messages) : NULL;
	json_decref(before);
	return rc;
}

static int begin(struct talk *k)
{
	bool goes_on = k->o->keep && access(k->o->keep, F_OK) == 0;
	int rc = goes_on ? go_on(k) : FT_OK;
	if (!goes_on && !(k->messages = json_array()))
		rc = ft_fail(FT_EFAIL, "out of memory for messages");
	if (rc < 0)
		return rc;
	if (k->o->system && json_array_size(k->messages) == 0)
		return add_message(k->messages, "system", k->o->system, strlen(k->o->system));
	return FT_OK;
}

static int keep_messages(const struct talk *k)
{
	if (!k->o->keep)
		return FT_OK;
	json_t *o = json_pack("{s:O}", "messages", k->messages);
	char *line = o ? ft_json_text(o) : NULL;
	struct ft_outfile *out = line ? ft_outfile_open(k->o->keep) : NULL;
	int rc = out ? ft_write_all(ft_outfile_fd(out), line, strlen(line), k->o->keep) : ft_last_error();
	rc = rc < 0 ? rc : ft_write_all(ft_outfile_fd(out), "\n", 1, k->o->keep);
	rc = rc < 0 ? rc : ft_outfile_commit(out);
	ft_outfile_free(out);
	free(line);
	json_decref(o);
	return rc;
}

/* The messages without the oldest turns: from message `from` on, behind that of the system. */
static json_t *recent(const struct talk *k, size_t from)
{
	json_t *some = json_array(), *first = json_array_get(k->messages, 0);
	const char *role = json_string_value(json_object_get(first, "role"));
	int rc = some ? FT_OK : ft_fail(FT_EFAIL, "out of memory for a conversation");
	if (rc == FT_OK && from && role && strcmp(role, "system") == 0)
		rc = ft_json_append(some, json_incref(first));
	for (size_t i = from; rc == FT_OK && i < json_array_size(k->messages); i++)
		rc = ft_json_append(some, json_incref(json_array_get(k->messages, i)));
	if (rc == FT_OK)
		return some;
	json_decref(some);
	return NULL;
}

/* The next message from which a user speaks, behind `from`. */
static size_t next_turn(const struct talk *k, size_t from)
{
	for (size_t i = from + 1; i < json_array_size(k->messages); i++) {
		const char *role = json_string_value(json_object_get(json_array_get(k->messages, i), "role"));
		if (role && strcmp(role, "user") == 0)
			return i;
	}
	return json_array_size(k->messages);
}

/* k->whole = ids of the conversation, of its newest turns when it is too long. */
static int encode(struct talk *k)
{
	for (size_t from = 0;; from = next_turn(k, from)) {
		json_t *some = recent(k, from);
		bool any = from < json_array_size(k->messages);
		int rc = !some ? ft_last_error()
		       : any   ? ft_chat_encode(k->chat, k->t, some, NULL, &k->whole)
		               : ft_fail(FT_EFORMAT, "a message of more than %zu tokens", k->o->limit);
		json_decref(some);
		if (rc < 0 || k->whole.n <= k->o->limit) {
			if (rc == FT_OK && from && !k->left_out)
				ft_note("the conversation is longer than the model takes; its oldest turns are left out from here on");
			k->left_out |= from > 0;
			return rc;
		}
	}
}

/* Takes back what of the cache is not how the prompt begins. */
static void rewind_cache(struct talk *k)
{
	size_t same = 0, most = k->whole.n - 1; /* the last token must be read: it says what follows */
	while (same < most && same < k->nhad && k->had[same] == k->whole.ids[same])
		same++;
	ft_cache_cut(k->generate.cache, 0, (int64_t)same);
}

static int remember(struct talk *k)
{
	size_t n = (size_t)ft_cache_length(k->generate.cache, 0), read = k->whole.n < n ? k->whole.n : n;
	int rc = ft_grow(&k->had, &k->had_cap, n + 1, sizeof *k->had);
	if (rc < 0)
		return rc;
	memcpy(k->had, k->whole.ids, read * sizeof *k->had);
	if (n > read)
		memcpy(k->had + read, k->answer.ids, (n - read) * sizeof *k->had);
	k->nhad = n;
	return FT_OK;
}

static int say(void *ctx, size_t row, const char *text, size_t n)
{
	(void)ctx;
	(void)row;
	return ft_write_all(STDOUT_FILENO, text, n, "stdout");
}

static int take_turn(struct talk *k, const char *line, size_t n)
{
	int rc = add_message(k->messages, "user", line, n);
	rc = rc < 0 ? rc : encode(k);
	if (rc < 0)
		return rc;
	rewind_cache(k);
	int32_t offsets[] = { 0, (int32_t)k->whole.n };
	struct ft_batch b = { .ids = k->whole.ids, .offsets = offsets, .rows = 1, .tokens = k->whole.n, .epoch = -1 };
	k->generate.first_row = json_array_size(k->messages);
	rc = ft_generate(k->m, k->g, k->t, &k->generate, &b, say, NULL, &k->answer);
	rc = rc < 0 ? rc : ft_write_all(STDOUT_FILENO, "\n", 1, "stdout");
	rc = rc < 0 ? rc : remember(k);
	rc = rc < 0 ? rc : add_message(k->messages, "assistant", k->answer.text.data ? (char *)k->answer.text.data : "",
	                               k->answer.text.len);
	return rc < 0 ? rc : keep_messages(k);
}

static int converse(struct talk *k)
{
	char *line = NULL;
	size_t cap = 0;
	int rc = FT_OK;
	if (k->o->terminal)
		ft_note("say something; Ctrl-D ends");
	while (rc == FT_OK) {
		if (k->o->terminal)
			fputs("> ", stderr);
		ssize_t n = getline(&line, &cap, stdin);
		if (n < 0)
			break;
		while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			n--;
		if (n)
			rc = take_turn(k, line, (size_t)n);
	}
	if (rc == FT_OK && ferror(stdin))
		rc = ft_fail_errno("stdin");
	if (k->o->terminal)
		fputc('\n', stderr);
	free(line);
	return rc;
}

int ft_talk(struct ft_model *m, const struct ft_tok *t, const struct ft_talk_options *o)
{
	struct talk k = { .m = m, .t = t, .o = o, .generate = o->generate };
	k.chat = ft_chat_of_dir(ft_model_dir(m));
	int rc = k.chat ? begin(&k) : ft_last_error();
	k.g = ft_graph_new();
	k.generate.cache = ft_cache_new();
	if (rc == FT_OK)
		rc = k.g && k.generate.cache ? converse(&k) : FT_EFAIL;
	ft_answer_free(&k.answer);
	ft_tok_text_free(&k.whole);
	ft_cache_free(k.generate.cache);
	ft_graph_free(k.g);
	ft_chat_free(k.chat);
	json_decref(k.messages);
	free(k.had);
	return rc;
}

/* Chat templates: byte for byte what transformers makes of them, and where each byte came from.
 * With a folder as its argument it compares the templates of that folder (tests/ref/make-chat.py). */
#include "ft/chat.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <unistd.h>

#define REF "tests/ref/chat/"

/* ---- renderings of whole templates ---- */
static char *read_all(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	char *text = calloc(1, 1 << 20);
	*n = f && text ? fread(text, 1, (1 << 20) - 1, f) : 0;
	if (f)
		fclose(f);
	return text;
}

/* The spans of replies as the reference counts them: neighbours are one. */
static json_t *replies_of(const struct ft_chat_text *t)
{
	json_t *all = json_array();
	size_t end = SIZE_MAX;
	for (size_t i = 0; i < t->nspans; i++) {
		const struct ft_chat_span *s = &t->spans[i];
		if (!(s->from & FT_CHAT_REPLY))
			continue;
		if (s->begin == end)
			json_array_set_new(json_array_get(all, json_array_size(all) - 1), 1, json_integer((json_int_t)s->end));
		else
			json_array_append_new(all, json_pack("[I,I]", (json_int_t)s->begin, (json_int_t)s->end));
		end = s->end;
	}
	return all;
}

/* Sentences of the template, and those of jinja2 about what is undefined, are ours behind a place. */
static bool same_error(const json_t *row)
{
	const char *want = json_string_value(json_object_get(row, "error"));
	return !want || strpbrk(want, "\n\t") || strstr(ft_message(), want);
}

static bool same(const struct ft_chat *c, const json_t *conversation, const json_t *row)
{
	struct ft_chat_text out = { 0 };
	json_t *extra = json_pack("{ssssss}", "bos_token", "<s>", "eos_token", "</s>", "unk_token", "<unk>");
	json_object_update(extra, json_object_get(conversation, "extra"));
	struct ft_chat_input in = { .messages = json_object_get(conversation, "messages"),
		                    .tools = json_object_get(conversation, "tools"),
		                    .extra = extra,
		                    .add_generation_prompt = json_is_true(json_object_get(row, "prompt")) };
	const json_t *text = json_object_get(row, "text");
	int rc = ft_chat_render(c, &in, &out);
	bool good;
	if (!text) {
		good = rc == FT_EFORMAT && same_error(row);
	} else {
		json_t *replies = replies_of(&out);
		good = rc == FT_OK && out.text.len == json_string_length(text) &&
		       memcmp(out.text.data ? (char *)out.text.data : "", json_string_value(text), out.text.len) == 0 &&
		       json_equal(replies, json_object_get(row, "replies"));
		json_decref(replies);
	}
	ft_chat_text_free(&out);
	json_decref(extra);
	return good;
}

/* All rows of golden.jsonl in a folder; one line of the test for each template. */
static void compare_folder(const char *dir)
{
	char path[4096], now[256] = "";
	json_t *all = ft_json_load(REF "conversations.json");
	struct ft_chat *c = NULL;
	size_t cap = 0, rows = 0, bad = 0;
	char *line = NULL;
	snprintf(path, sizeof path, "%s/golden.jsonl", dir);
	FILE *f = fopen(path, "r");
	while (f && getline(&line, &cap, f) > 0) {
		json_t *row = ft_json_parse(path, line, strlen(line));
		const char *name = json_string_value(json_object_get(row, "template"));
		if (name && strcmp(name, now) != 0) {
			if (*now)
				ok(rows && !bad, "%s: %zu of %zu conversations are as transformers renders them", now, rows - bad, rows);
			size_t n;
			char file[4600];
			rows = bad = 0;
			snprintf(now, sizeof now, "%s", name);
			snprintf(file, sizeof file, "%s/%s", dir, name);
			char *source = read_all(file, &n);
			ft_chat_free(c);
			c = ft_chat_new(name, source, n);
			if (!c)
				printf("# %s\n", ft_message());
			free(source);
		}
		if (name) {
			const char *what = json_string_value(json_object_get(row, "conversation"));
			rows++;
			if (!c || !same(c, json_object_get(all, what), row)) {
				bad++;
				printf("# %s, '%s': differs (%s)\n", name, what, ft_message());
			}
		}
		json_decref(row);
	}
	ok(rows && !bad, "%s: %zu of %zu conversations are as transformers renders them", now, rows - bad, rows);
	ft_chat_free(c);
	free(line);
	json_decref(all);
	if (f)
		fclose(f);
}

/* ---- the language ---- */
static bool same_source(const json_t *row, const json_t *data)
{
	const json_t *source = json_object_get(row, "source"), *want = json_object_get(row, "text");
	struct ft_chat *c = ft_chat_new("t", json_string_value(source), json_string_length(source));
	struct ft_chat_text out = { 0 };
	struct ft_chat_input in = { .messages = json_object_get(data, "messages"), .extra = data };
	int rc = c ? ft_chat_render(c, &in, &out) : FT_EFORMAT;
	bool good = want ? rc == FT_OK && out.text.len == json_string_length(want) &&
	                   (!out.text.len || memcmp(out.text.data, json_string_value(want), out.text.len) == 0)
	                 : rc == FT_EFORMAT;
	if (!good)
		printf("# %s\n# got    %.*s%s\n# wanted %s\n", json_string_value(source), rc ? 0 : (int)out.text.len,
		       out.text.data ? (char *)out.text.data : "", rc ? ft_message() : "",
		       want ? json_string_value(want) : json_string_value(json_object_get(row, "error")));
	ft_chat_text_free(&out);
	ft_chat_free(c);
	return good;
}

static void compare_language(void)
{
	FILE *f = fopen(REF "language.jsonl", "r");
	char *line = NULL;
	size_t cap = 0, rows = 0, bad = 0;
	json_t *data = NULL;
	while (f && getline(&line, &cap, f) > 0) {
		json_t *row = ft_json_parse("language.jsonl", line, strlen(line));
		if (json_object_get(row, "data"))
			data = json_incref(json_object_get(row, "data"));
		if (json_object_get(row, "source")) {
			rows++;
			bad += !same_source(row, data);
		}
		json_decref(row);
	}
	ok(rows > 100 && !bad, "%zu of %zu pieces of templates mean what they mean to jinja2", rows - bad, rows);
	json_decref(data);
	free(line);
	if (f)
		fclose(f);
}

/* ---- where bytes come from ---- */
/* The text with data in <…> and replies in {…}; "" and the message when it fails. */
static const char *marked(const char *source, const char *messages, const char *extra)
{
	static char out[4096];
	struct ft_chat *c = ft_chat_new("t", source, strlen(source));
	json_t *m = json_loads(messages, 0, NULL), *e = json_loads(extra, 0, NULL);
	struct ft_chat_text t = { 0 };
	struct ft_chat_input in = { .messages = m, .extra = e };
	size_t n = 0, end = 0;
	if (c && ft_chat_render(c, &in, &t) == FT_OK) {
		for (size_t i = 0; i < t.nspans; i++) {
			const struct ft_chat_span *s = &t.spans[i];
			const char *open[] = { "", "<", "{", "{<" }, *close[] = { "", ">", "}", ">}" };
			n += (size_t)snprintf(out + n, sizeof out - n, "%s%.*s%s", open[s->from], (int)(s->end - s->begin),
			                      (char *)t.text.data + s->begin, close[s->from]);
			if (s->begin != end || s->end <= s->begin)
				n += (size_t)snprintf(out + n, sizeof out - n, "(a hole)");
			end = s->end;
		}
		if (end != t.text.len)
			n += (size_t)snprintf(out + n, sizeof out - n, "(no end)");
	}
	out[n] = 0;
	json_decref(m);
	json_decref(e);
	ft_chat_text_free(&t);
	ft_chat_free(c);
	return out;
}

#define USER "[{\"role\": \"user\", \"content\": \" aXb \"}]"
static const struct { const char *source, *want, *what; } marks[] = {
	{ "[{{ messages[0].content }}]", "[< aXb >]", "a message's text is data" },
	{ "{{ '[' + messages[0].content|trim + ']' ~ 1 }}", "[<aXb>]1", "through trim, + and ~" },
	{ "{{ messages[0].content[2:0:-1]|upper }}", "<XA>", "through slices and letter case" },
	{ "{{ messages[0].content.replace('X', '-') }}", "< a>-<b >", "what replaces it is the template's" },
	{ "{{ '-X-'.replace('X', messages[0].content) }}", "-< aXb >-", "and the other way round" },
	{ "{{ messages[0].content.split('X')|join('/') }}", "< a>/<b >", "through split and join" },
	{ "{{ messages[0]|tojson }}",
	  "<{\"role\": \">user<\", \"content\": \" aXb \"}>", "JSON of data is data, all but a role" },
	{ "{{ {'k': messages[0].content}|tojson }}", "{\"k\": \"< aXb >\"}", "JSON of the template's is not" },
	{ "{{ [messages[0].content] }}", "['< aXb >']", "lists are alike" },
	{ "<|{{ messages[0].role }}|>", "<|user|>", "a role that is one word makes a marker" },
	{ "{{ n }} {{ n + 1 }} {{ bos_token }} {{ x }}",
	  "<3> <4> <s> <d>", "numbers and other variables are data, tokens are not" },
	{ "{% set t %}-{{ messages[0].content }}-{% endset %}{{ t[1:5] }}{{ t|length }}",
	  "< aXb>7", "through set blocks" },
	{ "{% macro m(x) %}({{ x }}){% endmacro %}{{ m(messages[0].content) * 2 }}",
	  "(< aXb >)(< aXb >)", "through macros" },
	{ "{% for c in messages[0].content %}{{ c }}.{% endfor %}", "< >.<a>.<X>.<b>.< >.", "through loops over characters" },
	{ "{{ messages[0].content|indent(1, true) }}{{ messages[0].content|title }}",
	  " < aXb  Axb >", "through indent and title" },
	{ "a{% generation %}b{{ messages[0].content }}{% endgeneration %}c", "a{b}{< aXb >}c", "replies are marked beside it" },
	{ "{% set r %}{% generation %}b{% endgeneration %}!{% endset %}{{ r[::-1] }}", "!{b}", "and wherever the text goes" },
	{ "{{ '%s' if messages[0].content == ' aXb ' }}", "%s", "what is chosen by data is not" },
};

static void check_marks(void)
{
	const char *extra = "{\"bos_token\": \"<s>\", \"n\": 3, \"x\": \"d\"}";
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		is_str(marked(marks[i].source, USER, extra), marks[i].want, marks[i].what);
	is_str(marked("<|{{ messages[0].role }}|>", "[{\"role\": \"user|>x\"}]", "{}"),
	       "<|<user|>x>|>", "another role is data");
}

/* ---- errors and limits ---- */
static const struct { const char *source, *message; } failures[] = {
	{ "a\n{{ x|pprint }}", "t:2: the filter 'pprint' is not supported" },
	{ "{% if x is escaped %}{% endif %}", "t:1: the test 'escaped' is not supported" },
	{ "\n\n{% include 'x' %}", "t:3: the statement 'include' is not supported" },
	{ "{% for x in y recursive %}{% endfor %}", "t:1: a recursive loop is not supported" },
	{ "{{ f(*x) }}", "t:1: arguments given with '*' are not supported" },
	{ "{{ cycler }}", "t:1: 'cycler' is not supported" },
	{ "{{ ''.__class__ }}", "t:1: the attribute '__class__' is not supported" },
	{ "{% macro m() %}{{ kwargs }}{% endmacro %}", "t:1: 'kwargs' is not supported" },
	{ "{% if x %}\n{% else %}", "t:2: 'endif' is missing at the end" },
	{ "{% endif %}", "t:1: 'endif' without a begin" },
	{ "a\n{{ 1 +\n }}", "t:3: an expression is missing" },
	{ "{{ '\\ud800' }}", "t:1: '\\u' in a text is not a character" },
	{ "\n{{ messages[0].content.x.y }}", "t:2: 'str object' has no attribute 'x'" },
	{ "\n{{ 'a' + 1 }}", "t:2: there is no '+' of 'str' and 'int'" },
	{ "{{ raise_exception('no: ' + messages[0].role) }}", "t:1: the template refuses this: no: user" },
	{ "{{ messages[0].update({}) }}", "t:1: 'dict object' has no attribute 'update'" },
	{ "{{ 'a' % 1 }}", "t:1: '%' of a text is not supported" },
	{ "{{ 9223372036854775807 + 1 }}", "t:1: a whole number of more than 64 bits is not supported" },
	{ "{{ 'a' * 9999999999 }}", "t:1: a text or list of more than 268435456 elements" },
	{ "{{ range(100001) }}", "t:1: a range of more than 100000 numbers" },
	{ "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "t:1: nested more than 800 levels deep" },
	{ "{% set n = namespace(s='ab') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
	  "t:1: the template needs more than 256 MiB of memory" },
	{ "{% set s = 'ab' * 999999 %}{% for i in range(99) %}{{ s }}{% endfor %}", "t:1: more than 64 MiB of text" },
	{ "{% set l = range(99999)|list %}{% for i in l %}{% if 'x' in l %}{% endif %}{% endfor %}",
	  "t:1: the template does not come to an end within 33554432 steps" },
};

static void check_failures(void)
{
	for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
		marked(failures[i].source, USER, "{}");
		is_str(ft_message(), failures[i].message, failures[i].message);
	}
	char *deep = calloc(1, 20001);
	memset(deep, '(', 20000);
	memcpy(deep, "{{", 2);
	ok(!ft_chat_new("t", deep, 20000) && strstr(ft_message(), "levels deep"), "brackets without end");
	ok(!ft_chat_new("t", "\xff", 1) && ft_last_error() == FT_EFORMAT, "a template that is not UTF-8");
	free(deep);
	is_str(marked("{{ 1 }}", "[]", "{}"), "", "no message is an error");
	is_str(ft_message(), "t:1: there is no message", "which says so");
	marked("{{ 1 }}", "[1]", "{}");
	is_str(ft_message(), "t:1: message 1 is not an object", "and a message that is no object");
}

/* ---- folders ---- */
static void put(const char *dir, const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	if (f) {
		fputs(text, f);
		fclose(f);
	}
}

static const char *rendered(const char *dir, bool tools)
{
	static char out[256];
	struct ft_chat *c = ft_chat_of_dir(dir);
	struct ft_chat_text t = { 0 };
	json_t *messages = json_loads(USER, 0, NULL), *list = json_array();
	struct ft_chat_input in = { .messages = messages, .tools = tools ? list : NULL };
	int rc = c ? ft_chat_render(c, &in, &t) : FT_EFORMAT;
	snprintf(out, sizeof out, "%.*s", rc ? 0 : (int)t.text.len, t.text.data ? (char *)t.text.data : "");
	json_decref(messages);
	json_decref(list);
	ft_chat_text_free(&t);
	ft_chat_free(c);
	return out;
}

static void check_folders(void)
{
	char dir[] = "/tmp/ft-chat.XXXXXX", command[64];
	if (!mkdtemp(dir))
		return;
	ok(!ft_chat_of_dir(dir) && strstr(ft_message(), "no chat template"), "a folder without a template");
	put(dir, "tokenizer_config.json", "{\"bos_token\": {\"content\": \"<b>\"}, \"eos_token\": \"<e>\", \"chat_template\": "
	                                  "\"{{ bos_token }}one{{ eos_token }}\"}");
	is_str(rendered(dir, false), "<b>one<e>", "chat_template of tokenizer_config.json, with its tokens");
	put(dir, "tokenizer_config.json", "{\"chat_template\": [{\"name\": \"default\", \"template\": \"plain\"}, "
	                                  "{\"name\": \"tool_use\", \"template\": \"tools\"}]}");
	is_str(rendered(dir, false), "plain", "the default of several");
	is_str(rendered(dir, true), "tools", "the one for tools");
	put(dir, "chat_template.jinja", "file\n");
	is_str(rendered(dir, true), "file", "chat_template.jinja comes first");
	put(dir, "chat_template.jinja", "x\n{% nope %}");
	rendered(dir, false);
	ok(strstr(ft_message(), "/chat_template.jinja:2: the statement 'nope' is not supported") != NULL,
	   "errors name the file");
	snprintf(command, sizeof command, "rm -r %s", dir);
	if (system(command) != 0)
		printf("# %s is still there\n", dir);
}

int main(int argc, char **argv)
{
	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
	if (argc > 1) {
		compare_folder(argv[1]);
		return tap_done();
	}
	compare_folder(REF);
	compare_language();
	check_marks();
	check_failures();
	check_folders();
	return tap_done();
}

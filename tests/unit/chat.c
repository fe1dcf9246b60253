/* Chat templates: byte for byte what transformers makes of them, and where each byte came from.
 * With a folder as its argument it compares the templates of that folder (tests/ref/make-chat.py). */
#include "ft/chat.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <sys/stat.h>
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
	{ "{{ 3 ** 41 }}", "t:1: a whole number of more than 64 bits is not supported" },
	{ "{{ 10 ** 19 }}", "t:1: a whole number of more than 64 bits is not supported" },
	{ "{{ (-9223372036854775807 - 1) // -1 }}", "t:1: a whole number of more than 64 bits is not supported" },
	{ "{{ '99999999999999999999'|int }}", "t:1: a whole number of more than 64 bits is not supported" },
	{ "{{ 1e30|int }}", "t:1: a whole number of more than 64 bits is not supported" },
	{ "{{ (2.5 * 1e308)|int }}", "t:1: int of infinity" },
	{ "{{ 99999999999999999999 }}", "t:1: the number '99999999999999999999' is not supported" },
	{ "{{ 08 }}", "t:1: the number '08' is not supported" },
	{ "{{ 'abc' * 9223372036854775807 }}", "t:1: a text or list of more than 268435456 elements" },
	{ "{{ 'a'|upper(1) }}", "t:1: 'upper' takes at most 0 arguments, not 1" },
	{ "{{ 'a'|trim(x=1) }}", "t:1: the argument 'x' of 'trim' is not supported" },
	{ "{{ 'a'|trim('b', chars='c') }}", "t:1: the argument 'chars' of 'trim' is given twice" },
	{ "{{ 'a'|replace('b') }}", "t:1: 'replace' needs 2 arguments" },
	{ "{{ 'a'.strip(missing) }}", "t:1: 'missing' is undefined" },
	{ "{{ 'a'.strip(1) }}", "t:1: an argument must be a text, not 'int'" },
	{ "{{ 'a'|indent(missing) }}", "t:1: 'missing' is undefined" },
	{ "{{ 'a'|indent(1.5) }}", "t:1: an argument must be a whole number, not 'float'" },
	{ "{{ 'a'|indent(none) }}", "t:1: an argument must be a whole number, not 'None'" },
	{ "{{ {}|tojson(indent=101) }}", "t:1: tojson indents by at most 100" },
	{ "{{ {}|tojson(separators=[',']) }}", "t:1: the separators of tojson must be two texts" },
	{ "{{ {}|tojson(separators=[',', 1]) }}", "t:1: the separators of tojson must be two texts" },
	{ "{{ {}|tojson(separators=[1, ',']) }}", "t:1: the separators of tojson must be two texts" },
	{ "{{ '1'|int(base=1) }}", "t:1: the base of int must be 2 to 36" },
	{ "{{ '1'|int(base=37) }}", "t:1: the base of int must be 2 to 36" },
	{ "{{ 'a'|abs }}", "t:1: abs of a 'str'" },
	{ "{{ 'a'|round }}", "t:1: round takes a number, and 0 to 15 digits" },
	{ "{{ 1|round(-1) }}", "t:1: round takes a number, and 0 to 15 digits" },
	{ "{{ 1|round(16) }}", "t:1: round takes a number, and 0 to 15 digits" },
	{ "{{ messages|map(attribute=none)|list }}", "t:1: an attribute's name must be a text, not 'None'" },
	{ "{{ messages|map(x=1)|list }}", "t:1: map takes 'attribute' and 'default', or a filter" },
	{ "{{ messages|map('nope')|list }}", "t:1: the filter 'nope' is not supported" },
	{ "{{ messages|selectattr|list }}", "t:1: an attribute's name is missing" },
	{ "{{ messages|select('nope')|list }}", "t:1: the test 'nope' is not supported" },
	{ "{{ messages|map('upper')|last }}", "t:1: last needs a list, not a generator" },
	{ "{{ messages|sort(attribute='a,b') }}", "t:1: sort by several attributes is not supported" },
	{ "{{ messages|batch(0)|list }}", "t:1: batch takes 1 to 100000 items" },
	{ "{{ messages|batch(100001)|list }}", "t:1: batch takes 1 to 100000 items" },
	{ "{{ {}|dictsort(by='x') }}", "t:1: dictsort sorts by 'key' or 'value'" },
	{ "{{ missing|dictsort }}", "t:1: 'missing' is undefined" },
	{ "{{ 'a'.partition('') }}", "t:1: the separator is empty" },
	{ "{{ 'a b'.rsplit(none, 1) }}", "t:1: rsplit at white space with a limit is not supported" },
	{ "{% for i in [1] %}{{ loop.cycle() }}{% endfor %}", "t:1: cycle needs values" },
	{ "{{ [1].index(2) }}", "t:1: the value is not in the list" },
	{ "{{ dict(1) }}", "t:1: dict() takes a mapping and named values" },
	{ "{{ dict({}, {}) }}", "t:1: dict() takes a mapping and named values" },
	{ "{{ namespace({'_a': 1}) }}", "t:1: a namespace cannot have '_a'" },
	{ "{% set n = namespace() %}{% set n._a = 1 %}", "t:1: a namespace cannot have '_a'" },
	{ "{% set x = 1 %}{% set x.a = 1 %}", "t:1: 'x' is not a namespace" },
	{ "{% set a, b = (1, 2, 3) %}", "t:1: 3 values for 2 names" },
	{ "{{ range(1, 2, 0) }}", "t:1: range() needs a step other than 0" },
	{ "{{ range(-9223372036854775807, 9223372036854775807) }}", "t:1: a range of more than 100000 numbers" },
	{ "{{ range(1, 2, -9223372036854775807 - 1) }}", "t:1: a range of more than 100000 numbers" },
	{ "{{ [][::-9223372036854775807 - 1] }}", "t:1: a slice cannot have this step" },
	{ "{{ [1]['a':] }}", "t:1: a place of a slice must be a whole number, not 'str'" },
	{ "{{ missing[0] }}", "t:1: 'missing' is undefined" },
	{ "{{ messages[9].content }}", "t:1: list object has no element 9" },
	{ "{{ none[1].x }}", "t:1: None object has no element 1" },
	{ "{{ {[1]: 2} }}", "t:1: unhashable type: 'list'" },
	{ "{{ {{}: 2} }}", "t:1: unhashable type: 'dict'" },
	{ "{{ 1 < missing }}", "t:1: 'missing' is undefined" },
	{ "{{ {} < {} }}", "t:1: there is no order between 'dict' and 'dict'" },
	{ "{{ [1] < (1,) }}", "t:1: there is no order between 'list' and 'tuple'" },
	{ "{{ 5|list }}", "t:1: 'int' object is not iterable" },
	{ "{{ range }}", "t:1: a function cannot be written as text" },
	{ "{{ range|tojson }}", "t:1: tojson cannot write a function" },
	{ "{{ {'a': missing}|tojson }}", "t:1: 'missing' is undefined, and tojson cannot write it" },
	{ "{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}", "t:1: the argument 'a' is given twice" },
	{ "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "t:1: the macro 'm' takes 1 arguments, not 2" },
	{ "{% macro m(a) %}{% endmacro %}{{ m(c=2) }}", "t:1: the macro 'm' has no parameter 'c'" },
	{ "{% call missing() %}{% endcall %}", "t:1: 'missing' is undefined" },
	{ "{% set x = 1 %}{% call x() %}{% endcall %}", "t:1: 'call' of what is not a macro" },
	{ "{% call 5 %}{% endcall %}", "t:1: 'call' without a call" },
	{ "{{ 5() }}", "t:1: 'int' object is not callable" },
	{ "{% macro m(a=1, b) %}{% endmacro %}", "t:1: a parameter without a default behind one with a default" },
	{ "a {#- no end", "t:1: a comment has no end" },
	{ "{% raw %}{% endraw", "t:1: 'raw' has no end" },
	{ "{% raw %}{% endraw ", "t:1: 'raw' has no end" },
	{ "{% raw %}{% endraw x %}{%", "t:1: 'raw' has no end" },
	{ "{{ '\\x4' }}", "t:1: '\\x' in a text is not a character" },
	{ "{{ '\\x4", "t:1: '\\x' in a text is not a character" },
	{ "{{ '\\U00110000' }}", "t:1: '\\U' in a text is not a character" },
	{ "{{ '\\N{BULLET}' }}", "t:1: '\\N' in a text is not supported" },
	{ "{{ 'a\\", "t:1: a text has no end" },
	{ "{{ 0x }}", "t:1: the number '0x' is not supported" },
	{ "{{ 1 ? 2 }}", "t:1: unexpected character '?'" },
	{ "{{ é }}", "t:1: unexpected character 'é'" },
	{ "{{ (1] }}", "t:1: unexpected ']'" },
	{ "{{ ) }}", "t:1: unexpected ')'" },
	{ "{{ 1 ", "t:1: a tag has no end: '}}' is missing" },
	{ "{% if x", "t:1: a tag has no end: '%}' is missing" },
	{ "{% for x of y %}", "t:1: 'of' where 'in' must stand" },
	{ "{% for 'x' in y %}", "t:1: a text where a name must stand" },
	{ "{% for 1 in y %}", "t:1: '1' where a name must stand" },
	{ "{% for + in y %}", "t:1: '+' where a name must stand" },
	{ "{% for ** in y %}", "t:1: '**' where a name must stand" },
	{ "{% if x 5 %}", "t:1: '5' where the end of the tag must stand" },
	{ "{% 5 %}", "t:1: '5' where the name of a statement must stand" },
	{ "{% %}", "t:1: the name of a statement is missing" },
	{ "{{ x y }}", "t:1: 'y' where '}}' must stand" },
	{ "{{ [1 2] }}", "t:1: '2' where ']' must stand" },
	{ "{{ f(a=1, 2) }}", "t:1: '2' where a named argument must stand" },
	{ "{{ f(**x) }}", "t:1: arguments given with '*' are not supported" },
	{ "{{ x is y }}", "t:1: the test 'y' is not supported" },
	{ "{{ x is eq is }}", "t:1: 'is' where one test must stand" },
	{ "{% break %}", "t:1: 'break' outside of a loop" },
	{ "{% continue %}", "t:1: 'continue' outside of a loop" },
	{ "{% for x in y %}", "t:1: 'endfor' is missing at the end" },
	{ "{% macro m() %}", "t:1: 'endmacro' is missing at the end" },
	{ "{{ missing in 'a' }}", "t:1: 'missing' is undefined" },
	{ "{{ 1 in 'a' }}", "t:1: 'in' of a text needs a text on its left, not 'int'" },
	{ "{{ 9223372036854775807 + 1 }}", "t:1: a whole number of more than 64 bits is not supported" },
	{ "{{ 'a' * 9999999999 }}", "t:1: a text or list of more than 268435456 elements" },
	{ "{{ 10 ** 100 }}", "t:1: a whole number of more than 64 bits is not supported" },
	{ "{{ range(100001) }}", "t:1: a range of more than 100000 numbers" },
	{ "{{ 'a'|upper()() }}", "t:1: 'str' object is not callable" },
	{ "{{ '%Y'|default(1)(2) }}", "t:1: 'str' object is not callable" },
	{ "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "t:1: nested more than 800 levels deep" },
	{ "{% set n = namespace(s='ab') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
	  "t:1: the template needs more than 256 MiB of memory" },
	{ "{% set s = 'ab' * 999999 %}{% for i in range(99) %}{{ s }}{% endfor %}", "t:1: more than 64 MiB of text" },
	{ "{% set l = range(99999)|list %}{% for i in l %}{% if 'x' in l %}{% endif %}{% endfor %}",
	  "t:1: the template does not come to an end within 33554432 steps" },
};

/* Chains without end are as deep as brackets. */
static const struct { const char *begin, *link, *message; } chains[] = {
	{ "{{ x", ".a", "more than 800 steps of a path" },
	{ "{{ x", "|upper", "more than 800 filters in a row" },
	{ "{{ x", " is defined()", "more than 800 tests in a row" },
	{ "{{ x", " ** 2", "more than 800 operators in a row" },
	{ "{{ x", " + 2", "more than 800 operators in a row" },
	{ "{{ x", " and y", "more than 800 operators in a row" },
	{ "{{ x", " if y", "more than 800 operators in a row" },
};

static void check_failures(void)
{
	for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
		marked(failures[i].source, USER, "{}");
		is_str(ft_message(), failures[i].message, failures[i].message);
	}
	for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
		char *chain = calloc(1, 20001);
		strcpy(chain, chains[i].begin);
		for (size_t k = 0; k < 900; k++)
			strcat(chain, chains[i].link);
		strcat(chain, " }}");
		ok(!ft_chat_new("t", chain, strlen(chain)) && strstr(ft_message(), chains[i].message), "%s", chains[i].message);
		free(chain);
	}
	char *deep = calloc(1, 20001);
	memset(deep, '(', 20000);
	memcpy(deep, "{{", 2);
	ok(!ft_chat_new("t", deep, 20000) && strstr(ft_message(), "levels deep"), "brackets without end");
	ok(!ft_chat_new("t", "\xff", 1) && ft_last_error() == FT_EFORMAT, "a template that is not UTF-8");
	deep = realloc(deep, (1 << 20) + 1);
	memset(deep, 'x', (1 << 20) + 1);
	ok(!ft_chat_new("t", deep, (1 << 20) + 1) && strstr(ft_message(), "t: a template of more than 1024 KiB"), "a long one");
	free(deep);
	is_str(marked("a\r\nb\rc\n\n", USER, "{}"), "a\nb\nc\n", "line ends are \\n, and the last one goes");
	is_str(marked("{{ 1 }}", "[]", "{}"), "", "no message is an error");
	is_str(ft_message(), "t:1: there is no message", "which says so");
	marked("{{ 1 }}", "[1]", "{}");
	is_str(ft_message(), "t:1: message 1 is not an object", "and a message that is no object");
	marked("{{ 1 }}", "{}", "{}");
	is_str(ft_message(), "t: messages must be a list", "and messages that are no list");
}

/* ---- dates ---- */
static void check_date(const char *epoch, const char *source, const char *want, const char *message)
{
	if (epoch)
		setenv("SOURCE_DATE_EPOCH", epoch, 1);
	else
		unsetenv("SOURCE_DATE_EPOCH");
	const char *got = marked(source, USER, "{\"x\":\"%d\"}");
	if (message)
		is_str(ft_message(), message, message);
	else if (want)
		is_str(got, want, source);
	else
		ok(strlen(got) == 4 && atoi(got) > 2000, "%s: the year now, %s", source, got);
	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
}

static void check_dates(void)
{
	static const char odd[] = "t:1: SOURCE_DATE_EPOCH must be a number of seconds, not '%s'", never[] = "t:1: strftime_now cannot write this date";
	static const char *const epochs[] = { "", "x", "12x", "99999999999999999999999" };
	check_date(NULL, "{{ strftime_now('%Y') }}", NULL, NULL);
	for (size_t i = 0; i < sizeof epochs / sizeof *epochs; i++) {
		char message[120];
		snprintf(message, sizeof message, odd, epochs[i]);
		check_date(epochs[i], "{{ strftime_now('%Y') }}", NULL, message);
	}
	check_date("9223372036854775807", "{{ strftime_now('%Y') }}", NULL, never);
	check_date("1700000000", "{{ strftime_now('%Y' * 64) }}", NULL, never);
	check_date("1700000000", "{{ strftime_now('%Y-%m-' ~ x) }}", "<2023-11-14>", NULL); /* what is data stays it */
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
	put(dir, "chat_template.jinja", "");
	is_str(rendered(dir, false), "", "an empty file is an empty template");
	char path[64];
	snprintf(path, sizeof path, "%s/chat_template.jinja", dir);
	ok(truncate(path, (4 << 20) + 1) == 0 && !ft_chat_of_dir(dir) && strstr(ft_message(), "/chat_template.jinja: more than 4 MiB"),
	   "a large file: %s", ft_message());
	unlink(path);
	ok(mkdir(path, 0700) == 0 && !ft_chat_of_dir(dir) && strstr(ft_message(), "/chat_template.jinja: Is a directory"), "a folder: %s",
	   ft_message());
	rmdir(path);
	put(dir, "tokenizer_config.json", "{\"chat_template\": 7}");
	ok(!ft_chat_of_dir(dir) && strstr(ft_message(), "chat_template must be a text, or a list of named texts"), "a number: %s", ft_message());
	put(dir, "tokenizer_config.json", "{\"chat_template\": [{\"name\": \"default\", \"template\": null}]}");
	ok(!ft_chat_of_dir(dir) && strstr(ft_message(), "chat_template must be a text, or a list of named texts"), "null: %s", ft_message());
	put(dir, "tokenizer_config.json", "{\"chat_template\": null}");
	ok(!ft_chat_of_dir(dir) && strstr(ft_message(), "no chat template"), "none: %s", ft_message());
	put(dir, "tokenizer_config.json", "{\"_token\": \"x\", \"a_token\": 7, \"chat_template\": [7, {\"name\": \"other\", \"template\": 7}, "
	                                  "{\"name\": \"default\", \"template\": \"{{ a_token is defined }} {{ _token is defined }}\"}]}");
	is_str(rendered(dir, false), "False False", "what is none of these is passed over");
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
	check_dates();
	check_folders();
	return tap_done();
}

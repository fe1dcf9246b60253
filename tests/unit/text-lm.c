/* Rows of JSON lines for language models: prompts and completions, preferences, conversations, questions with choices,
 * and what is wrong with them. */
#include "ft/text.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/ft-unit.XXXXXX", path[100];

static void add_json(struct ft_buf *b, const char *name, const json_t *v)
{
	char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
	if (text)
		ft_buf_printf(b, "%s%s", name, text);
	free(text);
}

/* A row as "text|pair|negative", or messages, or "text?right choice", and its label. */
static void add_row(struct ft_buf *b, const struct ft_row *r)
{
	if (r->messages) {
		add_json(b, "", r->messages);
		add_json(b, " rejected ", r->rejected);
		add_json(b, " tools ", r->tools);
	} else if (r->choices) {
		ft_buf_printf(b, "%.*s?%s", (int)r->text.n, r->text.p, json_string_value(json_array_get(r->choices, r->right)));
	} else {
		ft_buf_printf(b, "%.*s|%.*s|%.*s", (int)r->text.n, r->text.p, (int)r->pair.n, r->pair.n ? r->pair.p : "", (int)r->negative.n,
		              r->negative.n ? r->negative.p : "");
	}
	add_json(b, r->judged ? " judged " : " label ", r->json);
	ft_buf_printf(b, ";");
}

static void check(const char *text, const struct ft_text_options *like, const char *want)
{
	static struct ft_buf b;
	struct ft_text_options o = *like;
	o.prompts = true;
	FILE *f = fopen(path, "wb");
	if (f) {
		fwrite(text, 1, strlen(text), f);
		fclose(f);
	}
	struct ft_text *t = ft_text_open(path, &o);
	struct ft_row r;
	int rc = t ? 1 : ft_last_error();
	b.len = 0;
	while (rc > 0 && (rc = ft_text_next(t, &r)) > 0)
		add_row(&b, &r);
	if (rc < 0)
		ft_buf_printf(&b, "!%s", strrchr(ft_message(), '/') ? strrchr(ft_message(), '/') + 1 : ft_message());
	ft_buf_append(&b, "", 1);
	is_str((char *)b.data, want, text);
	ft_text_close(t);
	unlink(path);
}

#define PLAIN &(struct ft_text_options){ .header = -1 }
#define WITH(...) &(struct ft_text_options){ .header = -1, __VA_ARGS__ }
#define M "[{\"role\":\"user\",\"content\":\"a\"}]"

static void prompts(void)
{
	check("{\"prompt\":\"a\",\"completion\":\"b\"}", PLAIN, "a|b|;");
	check("{\"prompt\":\"\",\"completion\":\"b\",\"label\":true}", PLAIN, "|b| judged true;");
	check("{\"prompt\":\"a\",\"completion\":\"b\",\"label\":1}", PLAIN, "a|b| label 1;");
	check("{\"prompt\":5,\"completion\":\"b\"}", PLAIN, "!a.jsonl:1: 'prompt' is not a string");
	check("{\"prompt\":\"a\"}", PLAIN, "!a.jsonl:1: has no 'completion'");
	check("{\"prompt\":\"a\",\"completion\":null}", PLAIN, "!a.jsonl:1: has no 'completion'");
	check("{\"prompt\":" M "}", PLAIN, "!a.jsonl:1: 'prompt' is not a string");
	check("{\"text\":\"t\",\"prompt\":\"a\"}", PLAIN, "t||;");
	check("{\"q\":\"a\",\"prompt\":\"b\",\"z\":\"c\"}", WITH(.text = "q", .pair = "z"), "a|c|;");
	check("{\"text\":\"a\",\"label\":\"x\\u0000\"}", WITH(.label = "label"), "!a.jsonl:1: 'label' holds a NUL character");
	check("7", PLAIN, "!a.jsonl:1: '[' or '{' expected near '7' (line 1, column 1)");
}

static void preferences(void)
{
	check("{\"prompt\":\"p\",\"chosen\":\"a\",\"rejected\":\"b\"}", PLAIN, "p|a|b;");
	check("{\"chosen\":\"one two\",\"rejected\":\"one six\"}", PLAIN, "one| two| six;");
	check("{\"chosen\":\"one t\",\"rejected\":\"one\"}", PLAIN, "one| t|;");
	check("{\"chosen\":\"one\",\"rejected\":\"one t\"}", PLAIN, "one|| t;");
	check("{\"chosen\":\"same\",\"rejected\":\"same\"}", PLAIN, "same||;");
	check("{\"chosen\":\"a\",\"rejected\":\"b\"}", PLAIN, "|a|b;");
	check("{\"chosen\":\" \",\"rejected\":\" b\"}", PLAIN, "| | b;");
	check("{\"chosen\":\"x\u00e9\",\"rejected\":\"x\u00e8\"}", PLAIN, "x|\u00e9|\u00e8;");
	check("{\"chosen\":\"\u65e5\",\"rejected\":\"\u65e6\"}", PLAIN, "|\u65e5|\u65e6;");
	check("{\"chosen\":\"\u65e5\",\"rejected\":\"\u65e5\u65e6\"}", PLAIN, "\u65e5||\u65e6;");
	check("{\"chosen\":5,\"rejected\":\"b\"}", PLAIN, "!a.jsonl:1: 'chosen' is not a string");
	check("{\"chosen\":\"a\",\"rejected\":5}", PLAIN, "!a.jsonl:1: 'rejected' is not a string");
	check("{\"chosen\":\"a\",\"rejected\":\"b\",\"prompt\":5}", PLAIN, "!a.jsonl:1: 'prompt' is not a string");
	check("{\"chosen\":" M ",\"rejected\":[]}", PLAIN, M " rejected [];");
	check("{\"prompt\":" M ",\"chosen\":[1],\"rejected\":[2]}", PLAIN,
	      "[{\"role\":\"user\",\"content\":\"a\"},1] rejected [{\"role\":\"user\",\"content\":\"a\"},2];");
	check("{\"chosen\":" M ",\"rejected\":[],\"tools\":[3]}", PLAIN, M " rejected [] tools [3];");
	check("{\"chosen\":" M ",\"rejected\":[],\"tools\":null}", PLAIN, M " rejected [];");
	check("{\"chosen\":" M ",\"rejected\":[],\"tools\":{}}", PLAIN, "!a.jsonl:1: 'tools' is not a list");
	check("{\"chosen\":" M ",\"rejected\":\"b\"}", PLAIN, "!a.jsonl:1: 'rejected' is not a list of messages");
	check("{\"chosen\":\"a\",\"rejected\":" M "}", PLAIN, "!a.jsonl:1: 'chosen' is not a list of messages");
	check("{\"prompt\":" M ",\"completion\":[1],\"label\":false}", PLAIN, "[{\"role\":\"user\",\"content\":\"a\"},1] judged false;");
	check("{\"prompt\":" M ",\"completion\":[1],\"chosen\":\"x\"}", PLAIN, "[{\"role\":\"user\",\"content\":\"a\"},1];");
	check("{\"prompt\":" M ",\"completion\":\"b\"}", PLAIN, "!a.jsonl:1: 'completion' is not a list of messages");
	check("{\"text\":\"t\",\"chosen\":\"a\",\"rejected\":\"b\"}", WITH(.text = "text"), "t||;");
	check("{\"text\":\"t\",\"chosen\":\"a\",\"rejected\":\"b\"}", WITH(.pair = "chosen"), "t|a|;");
}

static void conversations(void)
{
	check(M, PLAIN, M ";");
	check("{\"messages\":" M ",\"tools\":[1]}", PLAIN, M " tools [1];");
	check("{\"messages\":" M ",\"tools\":null}", PLAIN, M ";");
	check("{\"messages\":" M ",\"tools\":7}", PLAIN, "!a.jsonl:1: 'tools' is not a list");
	check("{\"messages\":7}", PLAIN, "!a.jsonl:1: 'messages' is not a list of messages");
	check("{\"messages\":" M ",\"good\":true}", WITH(.label = "good"), M " judged true;");
	check("{\"messages\":" M "}", WITH(.label = "good"), "!a.jsonl:1: has no 'good'");
	check("{\"talk\":" M ",\"choices\":[\"a\",\"b\"],\"chosen\":\"a\",\"rejected\":\"b\"}", WITH(.messages = "talk"), M ";");
	check("{\"messages\":" M "}", WITH(.messages = "talk"), "!a.jsonl:1: has no 'talk'");
	check("{\"messages\":" M ",\"text\":\"t\"}", WITH(.text = "text"), "t||;");
}

static void questions(void)
{
	check("{\"context\":\"q\",\"choices\":[\"a\",\"b\"],\"answer\":1}", PLAIN, "q?b;");
	check("{\"context\":\"q\",\"choices\":[\"a\",\"b\"],\"answer\":\"a\"}", PLAIN, "q?a;");
	check("{\"ask\":\"q\",\"of\":[\"a\",\"b\"],\"is\":0}", WITH(.text = "ask", .choices = "of", .label = "is"), "q?a;");
	static const char *const none[] = { "2", "-1", "1.0", "true", "[1]", "\"c\"" };
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		char text[100];
		snprintf(text, sizeof text, "{\"context\":\"q\",\"choices\":[\"a\",\"b\"],\"answer\":%s}", none[i]);
		check(text, PLAIN, "!a.jsonl:1: 'answer' is neither a choice nor the number of one, from 0 to 1");
	}
	check("{\"context\":\"q\",\"choices\":[\"a\",\"b\"],\"answer\":null}", PLAIN, "!a.jsonl:1: has no 'answer'");
	check("{\"context\":\"q\",\"choices\":[\"a\",\"b\"]}", PLAIN, "!a.jsonl:1: has no 'answer'");
	check("{\"context\":\"q\",\"choices\":{}}", PLAIN, "!a.jsonl:1: 'choices' is not a list of two choices or more");
	check("{\"context\":\"q\",\"choices\":[\"a\",null],\"answer\":1}", PLAIN, "!a.jsonl:1: choice 1 is not a string");
	check("{\"choices\":[\"a\",\"b\"],\"text\":\"t\"}", PLAIN, "t||;");
	check("{\"context\":\"q\",\"choices\":[\"a\",\"b\"],\"text\":\"t\"}", WITH(.text = "text"), "t||;");
	check("{\"context\":\"q\",\"choices\":[\"a\",\"b\"],\"text\":\"t\",\"p\":\"p\"}", WITH(.pair = "p"), "t|p|;");
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof path, "%s/a.jsonl", folder);
	prompts();
	preferences();
	conversations();
	questions();
	rmdir(folder);
	return tap_done();
}

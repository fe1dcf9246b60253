/* Fuzzes chat templates: the input is a template, rendered with messages of all kinds, or, behind a
 * NUL byte, with those that follow there as JSON. */
#include "ft/chat.h"
#include "ft/err.h"
#include "ft/tok.h"
#include "ft/utf8.h"
#include "tests/fuzz/harness.h"

#include <string.h>

static const char conversation[] =
	"[{\"role\":\"system\",\"content\":\"Be é\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]},"
	"{\"role\":\"assistant\",\"content\":\" <think>x</think> y\\n\",\"tool_calls\":[{\"id\":\"abcdefghi\",\"type\":"
	"\"function\",\"function\":{\"name\":\"f\",\"arguments\":{\"a\":[1,2.5,null,true],\"b\":\"\"}}}]},"
	"{\"role\":\"tool\",\"name\":\"f\",\"content\":\"{}\"},{\"role\":\"user\",\"content\":\"q\"}]";
static const char signatures[] =
	"[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"type\":\"object\","
	"\"properties\":{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}},\"required\":[\"a\"]}}}]";

static const char variables[] =
	"{\"n\":3,\"x\":2.5,\"s\":\"Hello, w\u00f6rld\",\"empty\":\"\",\"nothing\":null,\"yes\":true,\"l\":[3,1,2],"
	"\"words\":[\"b\",\"A\",\"c\",\"a\"],\"d\":{\"b\":1,\"a\":[1,\"two\",null],\"C\":{\"k\":\"v'\\\"\\n\"}},"
	"\"rows\":[{\"n\":\"x\",\"v\":2,\"in\":{\"a\":1}},{\"n\":\"y\",\"v\":1,\"in\":{\"a\":2}}],\"bos_token\":\"<s>\"}";

/* Spans lie end to end over the whole text. */
static void check(const struct ft_chat_text *t)
{
	size_t end = 0;
	for (size_t i = 0; i < t->nspans; i++) {
		must(t->spans[i].begin == end && t->spans[i].end > end && t->spans[i].from <= 3);
		end = t->spans[i].end;
	}
	must(end == t->text.len && !ft_utf8_invalid((const char *)t->text.data, t->text.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static json_t *usual, *tools, *extra;
	if (!usual) {
		usual = json_loads(conversation, 0, NULL);
		tools = json_loads(signatures, 0, NULL);
		extra = json_loads(variables, 0, NULL);
	}
	must(usual && tools && extra);
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	size_t n = nul ? (size_t)(nul - data) : size;
	struct ft_chat *c = ft_chat_new("fuzz", (const char *)data, n);
	if (!c) {
		must(ft_last_error() < 0 && *ft_message());
		return 0;
	}
	json_t *own = nul ? json_loadb((const char *)nul + 1, size - n - 1, 0, NULL) : NULL;
	struct ft_chat_text out = { 0 };
	for (int turn = 0; turn < 2; turn++) {
		struct ft_chat_input in = { .messages = json_is_array(own) ? own : usual, .tools = turn ? tools : NULL,
			                    .extra = extra, .add_generation_prompt = turn };
		if (ft_chat_render(c, &in, &out) == FT_OK)
			check(&out);
		else
			must(ft_last_error() < 0 && *ft_message());
	}
	ft_chat_text_free(&out);
	json_decref(own);
	ft_chat_free(c);
	return 0;
}

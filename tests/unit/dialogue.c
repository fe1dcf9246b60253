/* dialogue.c - conversations as a language model learns them: ids and what is learnt as
 * transformers has them (tests/ref/dialogues), conversations that are too long, and what is refused. */
#include "ft/encode.h"
#include "tests/tap.h"
#include "tests/unit/tokens.h"

#include <stdlib.h>
#include <unistd.h>

#define REF "tests/ref/"

static char folder[] = "/tmp/ft-unit.XXXXXX", path[100];
static struct ft_tok *tok;

/* The template, in a folder with the special tokens that it may write. */
static struct ft_chat *open_template(const char *name)
{
	char from[200], to[200], text[8192];
	snprintf(from, sizeof from, REF "%s", name);
	snprintf(to, sizeof to, "%s/chat_template.jinja", folder);
	FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
	size_t n = in ? fread(text, 1, sizeof text, in) : 0;
	if (out)
		fwrite(text, 1, n, out);
	if (in)
		fclose(in);
	if (out)
		fclose(out);
	struct ft_chat *c = ft_chat_of_dir(folder);
	unlink(to);
	return c;
}

/* Encodes one conversation; the stream is at `path`. */
static int encode(const struct ft_encode_options *o, const json_t *messages, const json_t *tools, struct ft_encode_counts *c)
{
	json_t *meta = json_pack("{s:s}", "task", "lm");
	struct ft_writer *w = ft_writer_open(path, "tokens", meta, NULL, 0);
	struct ft_encoder *x = w ? ft_encoder_new(o, w) : NULL;
	const struct ft_row row = { .messages = messages, .tools = tools, .text = { "", 0 }, .src = { "c.jsonl:7", 9 } };
	int rc = x ? ft_encoder_add(x, &row) : ft_last_error();
	rc = rc < 0 ? rc : ft_encoder_flush(x);
	rc = rc < 0 ? rc : ft_writer_close(w);
	if (x)
		*c = *ft_encoder_counts(x);
	ft_encoder_free(x);
	ft_writer_free(w);
	json_decref(meta);
	return rc;
}

/* The example of the stream as "ids|learnt", a digit for each token; "" when there is none. */
static const char *only(void)
{
	static struct ft_buf b;
	struct ft_reader *r = ft_reader_open(path, "tokens");
	struct ft_example e;
	b.len = 0;
	if (r && ft_example_read(r, &e) > 0) {
		for (size_t i = 0; i < e.n; i++)
			ft_buf_printf(&b, "%d ", e.ids[i]);
		ft_buf_append(&b, "|0", 2);
		for (size_t i = 0; i + 1 < e.n; i++)
			ft_buf_printf(&b, "%d", e.labels[i] == e.ids[i + 1]);
	}
	ft_reader_close(r);
	ft_buf_append(&b, "", 1);
	return (const char *)b.data;
}

static const char *expected(const json_t *row)
{
	static struct ft_buf b;
	const json_t *ids = json_object_get(row, "ids");
	const char *learnt = json_string_value(json_object_get(row, "learnt"));
	b.len = 0;
	for (size_t i = 0; strchr(learnt + 1, '1') && i < json_array_size(ids); i++)
		ft_buf_printf(&b, "%lld ", (long long)json_integer_value(json_array_get(ids, i)));
	if (b.len) /* nothing predicts the first token */
		ft_buf_printf(&b, "|0%s", learnt + 1);
	ft_buf_append(&b, "", 1);
	return (const char *)b.data;
}

static void compare(const json_t *row, const json_t *conversations)
{
	const char *template = json_string_value(json_object_get(row, "template"));
	const char *name = json_string_value(json_object_get(row, "conversation"));
	const json_t *c = json_object_get(conversations, name);
	bool last = json_is_true(json_object_get(row, "last")), fails = json_object_get(row, "error") != NULL;
	struct ft_chat *chat = open_template(template);
	struct ft_encode_options o = { .tok = tok, .task = FT_TASK_LM, .limit = { .max = 10000 }, .chat = chat,
	                               .learn = last ? FT_LEARN_LAST : FT_LEARN_REPLIES };
	struct ft_encode_counts n = { 0 };
	int rc = chat ? encode(&o, json_object_get(c, "messages"), json_object_get(c, "tools"), &n) : FT_EFAIL;
	if (fails)
		ok(rc == FT_EFORMAT && strncmp(ft_message(), "c.jsonl:7: ", 11) == 0, "%s refuses '%s'%s", template, name,
		   last ? ", the last reply" : "");
	else if (!ok(rc == FT_OK && strcmp(only(), expected(row)) == 0, "%s with '%s'%s", template, name,
	             last ? ", the last reply" : ""))
		printf("# got    %s\n# wanted %s\n", only(), expected(row));
	ft_chat_free(chat);
}

static void golden(void)
{
	json_t *conversations = ft_json_load(REF "chat/conversations.json");
	FILE *f = fopen(REF "dialogues/golden.jsonl", "r");
	char *line = NULL;
	size_t cap = 0, rows = 0;
	ssize_t n;
	while (f && (n = getline(&line, &cap, f)) > 0) {
		json_t *row = json_loadb(line, (size_t)n, 0, NULL);
		if (json_object_get(row, "template")) {
			compare(row, conversations);
			rows++;
		}
		json_decref(row);
	}
	ok(rows > 100, "there are many");
	free(line);
	if (f)
		fclose(f);
	json_decref(conversations);
}

/* Encodes messages of JSON with a template: the example, or "!" and what is wrong. */
static const char *run(const struct ft_encode_options *like, const char *template, const char *messages,
                       struct ft_encode_counts *n)
{
	struct ft_encode_options o = *like;
	struct ft_chat *chat = open_template(template);
	json_t *m = json_loads(messages, 0, NULL);
	static char said[700];
	o.tok = tok;
	o.task = FT_TASK_LM;
	o.chat = chat;
	*n = (struct ft_encode_counts){ 0 };
	if (encode(&o, m, NULL, n) < 0)
		snprintf(said, sizeof said, "!%s", ft_message());
	json_decref(m);
	ft_chat_free(chat);
	return n->examples || n->rows == 0 ? only() : said;
}

static int count_of(const char *text)
{
	struct ft_tok_text x = { 0 };
	ft_tok_encode(tok, text, strlen(text), 0, &x);
	int n = (int)x.n;
	ft_tok_text_free(&x);
	return n;
}

#define SAYS(role, text) "{\"role\":\"" role "\",\"content\":\"" text "\"}"
#define TURNS SAYS("system", "Be brief.") "," SAYS("user", "the one") "," SAYS("assistant", "first") "," \
	SAYS("user", "the other") "," SAYS("assistant", "second")

/* What the model reads when it is asked is how the conversation begins in which it has answered, and the first
 * token behind it is learnt. */
static void prompt(const char *template)
{
	static const char text[] = "[" TURNS "]";
	json_t *m = json_loads(text, 0, NULL);
	struct ft_chat *chat = open_template(template);
	struct ft_encode_options o = { .tok = tok, .task = FT_TASK_LM, .limit = { .max = 1000 }, .chat = chat };
	struct ft_encode_counts n;
	struct ft_tok_text asked = { 0 };
	struct ft_example e = { 0 };
	int rc = encode(&o, m, NULL, &n);
	json_array_remove(m, json_array_size(m) - 1);
	rc = rc < 0 ? rc : ft_chat_encode(chat, tok, m, NULL, &asked);
	struct ft_reader *r = rc < 0 ? NULL : ft_reader_open(path, "tokens");
	ok(r && ft_example_read(r, &e) > 0 && e.n > asked.n && memcmp(e.ids, asked.ids, asked.n * sizeof *e.ids) == 0 &&
	   e.labels[asked.n - 1] == e.ids[asked.n] && e.labels[asked.n - 2] == FT_IGNORE,
	   "%s: a reply is learnt behind the tokens that ft-predict asks with", template);
	ft_reader_close(r);
	ft_tok_text_free(&asked);
	ft_chat_free(chat);
	json_decref(m);
}

static void too_long(void)
{
	struct ft_encode_options o = { .limit = { .max = 10000 } };
	struct ft_encode_counts n;
	char all[2000], rest[2000], short_one[2000];
	snprintf(all, sizeof all, "%s", run(&o, "dialogues/plain.jinja", "[" TURNS "]", &n));
	snprintf(rest, sizeof rest, "%s", run(&o, "dialogues/plain.jinja", "[" SAYS("system", "Be brief.") ","
	         SAYS("user", "the other") "," SAYS("assistant", "second") "]", &n));
	int64_t few = n.tokens;
	o.limit.max = 40;
	o.limit.policy = FT_TOK_TURNS;
	while (strcmp(run(&o, "dialogues/plain.jinja", "[" TURNS "]", &n), all) != 0 && o.limit.max < 1000)
		o.limit.max++;
	ok(n.shortened == 0, "a conversation that fits keeps its turns");
	o.limit.max -= 2; /* of one more the last token is only predicted, or not even that */
	snprintf(short_one, sizeof short_one, "%s", run(&o, "dialogues/plain.jinja", "[" TURNS "]", &n));
	is_str(short_one, rest, "one that is too long loses its oldest turns, but not what the system says");
	is_int(n.shortened, 1, "and is counted");
	o.limit.max = (size_t)few - 1;
	run(&o, "dialogues/plain.jinja", "[" TURNS "]", &n);
	ok(n.shortened == 1 && n.tokens == few - 1, "a last token that is only predicted needs no room");
	o.limit.max = (size_t)few - 2;
	run(&o, "dialogues/plain.jinja", "[" TURNS "]", &n);
	ok(n.dropped == 1 && !n.examples && !n.shortened, "one whose last turn is too long is left out");
	o.limit.policy = FT_TOK_TRUNCATE;
	run(&o, "dialogues/plain.jinja", "[" TURNS "]", &n);
	ok(n.truncated == 1 && n.examples == 1, "or cut at its end");
	o.limit.max = 10;
	run(&o, "dialogues/plain.jinja", "[" TURNS "]", &n);
	ok(n.truncated == 1 && n.unsupervised == 1 && !n.examples, "and left out when nothing to learn remains");
	o.limit.policy = FT_TOK_SPLIT;
	run(&o, "dialogues/plain.jinja", "[" TURNS "]", &n);
	is_int(n.supervised, count_of("first<|im_end|>second<|im_end|>"), "or split, and all replies are learnt");
}

static void messages(void)
{
	static const struct ft_encode_options o = { .limit = { .max = 1000 } };
	struct ft_encode_counts n;
	char plain[2000];
	snprintf(plain, sizeof plain, "%s", run(&o, "dialogues/plain.jinja", "[" SAYS("user", "ab") "," SAYS("assistant", "c") "]", &n));
	is_str(run(&o, "dialogues/plain.jinja", "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
	           "{\"type\":\"text\",\"text\":\"b\"}]}," SAYS("assistant", "c") "]", &n), plain, "content in parts of text");
	is_int(n.supervised, count_of("c<|im_end|>"), "a reply and its end are learnt");
	run(&o, "dialogues/plain.jinja", "[" SAYS("user", "a") "," SAYS("assistant", "b<|im_end|>\\n<|im_start|>c") "]", &n);
	is_int(n.supervised, count_of("b<|im_end") + count_of("|>\n<|im_start") + count_of("|>c") + 1,
	       "markers in a message are text, and no end");
	struct ft_encode_options all = o;
	all.learn = FT_LEARN_ALL;
	run(&all, "dialogues/plain.jinja", "[" SAYS("user", "a") "," SAYS("assistant", "b") "]", &n);
	is_int(n.supervised, n.tokens - 1, "all is learnt when asked for");
	run(&o, "dialogues/plain.jinja", "[" SAYS("user", "a") "]", &n);
	ok(n.unsupervised == 1 && !n.examples, "a conversation without a reply teaches nothing");

	static const struct { const char *messages, *says; } bad[] = {
		{ "[]", "c.jsonl:7: a conversation without messages" },
		{ "[1]", "c.jsonl:7: messages[0] has no role" },
		{ "[" SAYS("user", "a") ",{\"content\":\"b\"}]", "c.jsonl:7: messages[1] has no role" },
		{ "[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]",
		  "c.jsonl:7: messages[0]: content[0] is of the type 'image_url'; only text is read" },
		{ "[" SAYS("assistant", "a") "]", "c.jsonl:7: turn 1: nothing comes before it, so where it begins is not known" },
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct ft_encode_options like = o;
		run(&like, "dialogues/plain.jinja", bad[i].messages, &n);
		is_str(ft_message(), bad[i].says, "what is wrong is told with its place");
	}
	run(&o, "dialogues/hidden.jinja", "[" TURNS "]", &n);
	ok(strstr(ft_message(), "c.jsonl:7: turn 3: the template, which has no {% generation %}, writes what ends here otherwise") != NULL,
	   "a turn that is written otherwise when others follow");
}

/* ---- templates of a few words ---- */

/* Encodes messages of JSON with the template `source` and the tokenizer t: tokens as text, those that are learnt between
 * < and >, and bytes of text that they are; or "!" and what is wrong. */
static const char *written(const struct ft_tok *t, const char *source, const char *messages, enum ft_learn learn)
{
	static struct ft_buf b;
	struct ft_encode_options o = { .tok = t, .task = FT_TASK_LM, .limit = { .max = 10000 }, .learn = learn };
	struct ft_encode_counts n = { 0 };
	struct ft_example e;
	char to[200];
	snprintf(to, sizeof to, "%s/chat_template.jinja", folder);
	FILE *f = fopen(to, "wb");
	if (f) {
		fwrite(source, 1, strlen(source), f);
		fclose(f);
	}
	struct ft_chat *chat = ft_chat_of_dir(folder);
	json_t *m = json_loads(messages, 0, NULL);
	unlink(to);
	b.len = 0;
	o.chat = chat;
	int rc = chat ? encode(&o, m, NULL, &n) : FT_EFAIL;
	struct ft_reader *r = rc == FT_OK ? ft_reader_open(path, "tokens") : NULL;
	if (rc < 0)
		ft_buf_printf(&b, "!%s", ft_message());
	if (r && ft_example_read(r, &e) > 0) {
		bool in = false;
		for (size_t i = 0; i < e.n; i++) {
			bool learnt = i && e.labels[i - 1] == e.ids[i];
			ft_buf_printf(&b, "%s%s", learnt == in ? "" : in ? ">" : "<", ft_tok_piece(t, e.ids[i]));
			in = learnt;
		}
		ft_buf_printf(&b, "%s %lld", in ? ">" : "", (long long)e.size->bytes);
	}
	ft_reader_close(r);
	ft_buf_append(&b, "", 1);
	ft_chat_free(chat);
	json_decref(m);
	return (const char *)b.data;
}

#define EACH(turn) "{% for m in messages %}" turn "{% endfor %}"
#define REPLY(text) "{% if m.role == 'assistant' %}{% generation %}" text "{% endgeneration %}{% endif %}"

static void replies(void)
{
	/* What a message says stands beside it once more. */
	is_str(written(tok, EACH("{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% endif %}{{ m.content }}"),
	               "[" SAYS("user", "x") "," SAYS("assistant", "q") "," SAYS("assistant", "z") "]", FT_LEARN_REPLIES),
	       "x<q>q<z>z 2", "replies that a message's other text surrounds");
	/* Without tags a reply ends with the last special token behind its text; or where the next turn begins. */
	static const char plain[] = EACH("{{ m.role[0] }}:{{ m.content }}\n") "{% if add_generation_prompt %}a:{% endif %}";
	is_str(written(tok, plain, "[" SAYS("user", "x") "," SAYS("assistant", "z") "," SAYS("user", "q") "," SAYS("assistant", "k") "]", FT_LEARN_REPLIES),
	       "u:x\u010aa:<z\u010a>u:q\u010aa:<k\u010a> 2", "turns that no special token ends");
	is_str(written(tok, plain, "[" SAYS("user", "x") "," SAYS("assistant", "") "]", FT_LEARN_REPLIES), "u:x\u010aa:<\u010a> 0",
	       "a reply of nothing but its end");
	is_str(written(tok, EACH("{{ m.content }}"), "[" SAYS("user", "x") "," SAYS("assistant", "") "]", FT_LEARN_REPLIES), "", "a reply of nothing");
	is_str(written(tok, EACH("{{ m.content }}"), "[" SAYS("user", "") "," SAYS("assistant", "xz") "]", FT_LEARN_REPLIES), "x<z> 2",
	       "a turn of nothing before it");
	is_str(written(tok, EACH("{{ m.content }}") "{% if messages|length == 1 %}!{% endif %}", "[" SAYS("user", "x") "," SAYS("assistant", "") "]",
	               FT_LEARN_REPLIES),
	       "!c.jsonl:7: turn 2: the template, which has no {% generation %}, writes what ends here otherwise when more follows: 'x!' becomes 'x'; "
	       "--learn last may do", "more when it is asked than in all");
	is_str(written(tok, "{{ messages|length }}" EACH("{{ m.content }}"), "[" SAYS("user", "x") "," SAYS("assistant", "z") "]", FT_LEARN_REPLIES),
	       "!c.jsonl:7: turn 2: the template, which has no {% generation %}, writes what ends here otherwise when more follows: '1x' becomes "
	       "'2xz'; --learn last may do", "another text from the start");
	is_str(written(tok, EACH("{{ m.content }}" "{% if add_generation_prompt %}!{% endif %}"), "[" SAYS("user", "x") "," SAYS("assistant", "!") "]",
	               FT_LEARN_REPLIES), "", "as much when it is asked as when it has answered");
	is_str(written(tok, EACH(REPLY("{{ m.content }}") "{% if m.role == 'user' %}{{ m.content }}{% endif %}"), "[" SAYS("user", "x") "]", FT_LEARN_LAST),
	       "", "no reply that could be the last");
	is_str(written(tok, EACH(REPLY("{{ m.content }}") "{% if m.role == 'user' %}{{ m.content }}{% endif %}"),
	               "[" SAYS("user", "x") "," SAYS("assistant", "z") "," SAYS("user", "q") "," SAYS("assistant", "k") "]", FT_LEARN_LAST), "xzq<k> 1",
	       "the last reply alone");
}

/* Tokens of which places are empty, and replies without a token. */
static void places(void)
{
	struct ft_tok *t = open_like(REF "dialogues/tokenizer.json", "{\"post_processor\":{\"type\":\"ByteLevel\",\"trim_offsets\":true,"
	                             "\"add_prefix_space\":false}}");
	is_str(written(t, EACH(REPLY("{{ m.content }}") "{{ '\\n' }}q"), "[" SAYS("user", "") "," SAYS("assistant", "x ") "]", FT_LEARN_REPLIES),
	       "\u010aq<x\u0120>\u010aq 2", "a space at the end of a reply is of it");
	is_str(written(t, EACH(REPLY("{{ m.content }}") " \nq"), "[" SAYS("user", "") "," SAYS("assistant", "x") "," SAYS("assistant", "z") "]", FT_LEARN_REPLIES),
	       "\u0120\u010aq<x>\u0120\u010aq<z>\u0120\u010aq 2", "one behind it is not");
	ft_tok_free(t);
	t = ft_tok_open(REF "wordpiece/uncased");
	is_str(written(t, "the" EACH(REPLY("{{ m.content }}")) "film", "[" SAYS("user", "") "," SAYS("assistant", " ") "]", FT_LEARN_REPLIES), "",
	       "a reply of white space has no token");
	is_str(written(t, "the" EACH(REPLY("{{ m.content }}")), "[" SAYS("user", "") "," SAYS("assistant", " ") "]", FT_LEARN_REPLIES), "", "at the end, too");
	is_str(written(t, "the" EACH(REPLY("{{ m.content }}")) "film", "[" SAYS("assistant", "  ") "," SAYS("assistant", " was ") "]", FT_LEARN_REPLIES),
	       "the<was>film 7", "beside one that has some");
	ft_tok_free(t);
}

/* What the system or a developer says is all there is, or stays. */
static void heads(void)
{
	struct ft_encode_options o = { .limit = { .max = 12, .policy = FT_TOK_TURNS } };
	struct ft_encode_counts n;
	run(&o, "dialogues/plain.jinja", "[" SAYS("system", "the one and the other") "," SAYS("developer", "and the one") "]", &n);
	ok(n.dropped == 1 && !n.examples && !n.shortened, "rules alone that are too long are left out");
	o.limit.max = 10000;
	char rest[1000];
	snprintf(rest, sizeof rest, "%s", run(&o, "dialogues/plain.jinja", "[" SAYS("developer", "x") "," SAYS("user", "z") "," SAYS("assistant", "k") "]", &n));
	o.limit.max = (size_t)n.tokens;
	is_str(run(&o, "dialogues/plain.jinja", "[" SAYS("developer", "x") "," SAYS("user", "the one") "," SAYS("assistant", "first") "," SAYS("user", "z") ","
	           SAYS("assistant", "k") "]", &n), rest, "a developer's stay when turns are left out");
	is_int(n.shortened, 1, "which is counted");
}

static void contents(void)
{
	static const struct { const char *content, *says; } bad[] = {
		{ "[{\"text\":\"a\"}]", "content[0] is of the type '?'" }, { "[{\"type\":\"text\"}]", "content[0] is of the type 'text'" },
		{ "[{\"type\":\"text\",\"text\":5}]", "content[0] is of the type 'text'" }, { "[5]", "content[0] is of the type '?'" },
		{ "[{\"type\":\"audio\"},{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image\"}]", "content[0] is of the type 'audio'" },
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char messages[200];
		snprintf(messages, sizeof messages, "[{\"role\":\"user\",\"content\":%s}]", bad[i].content);
		const char *got = written(tok, EACH("{{ m.content }}"), messages, FT_LEARN_REPLIES);
		ok(strncmp(got, "!c.jsonl:7: messages[0]: ", 25) == 0 && strncmp(got + 25, bad[i].says, strlen(bad[i].says)) == 0, "%s: %s", bad[i].content, got);
	}
	is_str(written(tok, EACH("{{ m.content }}"), "[{\"role\":5,\"content\":\"a\"}]", FT_LEARN_REPLIES), "!c.jsonl:7: messages[0] has no role",
	       "a role that is a number");
}

/* Sixteen turns behind a text of sixteen megabytes: each would be rendered twice with it. */
static void much(void)
{
	enum { LETTERS = 14 << 20 };
	struct ft_buf b = { 0 };
	ft_buf_printf(&b, "[{\"role\":\"user\",\"content\":\"");
	if (ft_buf_reserve(&b, LETTERS + 2000) == FT_OK) {
		memset(b.data + b.len, 'a', LETTERS);
		b.len += LETTERS;
	}
	ft_buf_printf(&b, "\"}");
	for (int i = 0; i < 12; i++)
		ft_buf_printf(&b, "," SAYS("assistant", "b"));
	ft_buf_append(&b, "]", 2);
	is_str(written(tok, EACH("{{ m.content }}"), (char *)b.data, FT_LEARN_REPLIES),
	       "!c.jsonl:7: turn 11: the conversation is too long for a template without {% generation %}", "what would take too long");
	ft_buf_free(&b);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	setenv("SOURCE_DATE_EPOCH", "1795608000", 1); /* the day of make-dialogues.py: a template writes it */
	char config[100];
	snprintf(config, sizeof config, "%s/tokenizer_config.json", folder);
	json_t *tokens = json_pack("{s:s, s:s}", "bos_token", "<s>", "eos_token", "</s>");
	ft_json_save(config, tokens);
	json_decref(tokens);
	snprintf(path, sizeof path, "%s/t.tok", folder);
	tok = ft_tok_open(REF "dialogues");
	if (ok(tok != NULL, "the tokenizer")) {
		golden();
		prompt("dialogues/plain.jinja");
		prompt("chat/chatml.jinja");
		too_long();
		messages();
		replies();
		places();
		heads();
		contents();
		much();
	}
	ft_tok_free(tok);
	unlink(config);
	unlink(path);
	rmdir(folder);
	return tap_done();
}

/* lm.c - texts, prompts and completions as a causal language model learns them (ft/encode.h):
 * each token is learnt once, whatever the windows; what stands around; how much text it is. */
#include "ft/encode.h"
#include "tests/tap.h"
#include "tests/unit/tokens.h"

#include <stdlib.h>
#include <unistd.h>

#define REF "tests/ref/tokenizers/"

static char folder[] = "/tmp/ft-unit.XXXXXX", path[100];

/* Encodes rows of text and pair (NULL: none), n of them; the stream is at `path`. */
static int encode(const struct ft_encode_options *o, const char *const (*row)[2], size_t n, struct ft_encode_counts *c)
{
	json_t *meta = json_pack("{s:s}", "task", "lm");
	struct ft_writer *w = ft_writer_open(path, "tokens", meta, NULL, 0);
	struct ft_encoder *x = w ? ft_encoder_new(o, w) : NULL;
	int rc = x ? FT_OK : ft_last_error();
	for (size_t i = 0; i < n && rc == FT_OK; i++) {
		char src[20];
		struct ft_row r = { .text = { row[i][0], strlen(row[i][0]) } };
		r.src = (struct ft_span){ src, (size_t)snprintf(src, sizeof src, "t:%zu", i) };
		if (row[i][1])
			r.pair = (struct ft_span){ row[i][1], strlen(row[i][1]) };
		rc = ft_encoder_add(x, &r);
	}
	rc = rc < 0 ? rc : ft_encoder_flush(x);
	if (rc == FT_OK)
		rc = ft_writer_close(w);
	if (x)
		*c = *ft_encoder_counts(x);
	ft_encoder_free(x);
	ft_writer_free(w);
	json_decref(meta);
	return rc;
}

/* The line of tokens that a text is: what stands before, its tokens, what stands behind. */
static size_t line_of(const struct ft_encode_options *o, const char *text, int32_t *line)
{
	struct ft_tok_text x = { 0 };
	size_t n = o->edges.nbefore;
	memcpy(line, o->edges.before, n * sizeof *line);
	ft_tok_encode(o->tok, text, strlen(text), 0, &x);
	memcpy(line + n, x.ids, x.n * sizeof *line);
	n += x.n;
	memcpy(line + n, o->edges.after, o->edges.nafter * sizeof *line);
	ft_tok_text_free(&x);
	return n + o->edges.nafter;
}

/* A text of the stream: its line of tokens, how often each was taught, and how much text that was. */
struct taught {
	int32_t line[200];
	size_t n;
	int times[200];
	struct ft_size size;
};

/* Whether the example is a slice of the line, of `max` tokens at most, and its labels are the tokens behind. */
static bool teach(const struct ft_encode_options *o, const struct ft_example *e, struct taught *t)
{
	size_t from = e->window ? (size_t)e->window->index * (o->limit.max - o->limit.stride) : 0;
	bool good = e->n <= o->limit.max && e->nlabels == e->n && from + e->n <= t->n && e->size &&
		memcmp(e->ids, t->line + from, e->n * sizeof *e->ids) == 0;
	for (size_t i = 0; good && i < e->n; i++) {
		if (e->labels[i] == FT_IGNORE)
			continue;
		good = from + i + 1 < t->n && e->labels[i] == t->line[from + i + 1];
		t->times[from + i + 1]++;
	}
	t->size.bytes += good ? e->size->bytes : 0;
	t->size.characters += good ? e->size->characters : 0;
	t->size.words += good ? e->size->words : 0;
	return good;
}

static void make_text(char *text, size_t words, uint32_t seed)
{
	static const char *const word[] = { "the", "train", " and", "rest", "Ünder", "日本語", "\n", "of it", "🦙", "a" };
	size_t n = 0;
	for (size_t i = 0; i < words; i++) {
		seed = seed * 1103515245u + 12345u;
		n += (size_t)sprintf(text + n, "%s%s", i ? " " : "", word[(seed >> 16) % 10]);
	}
	text[n] = '\0';
}

#define TEXTS 40
static char text[TEXTS][512];
static struct taught taught[TEXTS];

/* Each token but the first once; with a token before the text, all of the text. */
static bool is_taught(const struct ft_encode_options *o, const char *s, const struct taught *t)
{
	struct ft_size whole = ft_text_size((struct ft_span){ s, strlen(s) }, 0, strlen(s));
	bool good = true;
	for (size_t i = 1; good && i < t->n; i++)
		good = t->times[i] == 1;
	if (o->edges.nbefore)
		return good && t->size.bytes == whole.bytes && t->size.characters == whole.characters && t->size.words == whole.words;
	return good && t->size.bytes <= whole.bytes && t->size.words <= whole.words;
}

/* How many of the texts are not taught as they should be. */
static int run_windows(const struct ft_encode_options *o)
{
	const char *row[TEXTS][2];
	struct ft_encode_counts c;
	struct ft_example e;
	size_t n = 0;
	int bad = 0, rc;
	memset(taught, 0, sizeof taught);
	for (size_t i = 0; i < TEXTS; i++) {
		row[i][0] = text[i];
		row[i][1] = NULL;
		taught[i].n = line_of(o, text[i], taught[i].line);
		n += taught[i].n - 1;
	}
	if (encode(o, (const char *const(*)[2])row, TEXTS, &c) < 0 || (size_t)c.supervised != n)
		return TEXTS;
	struct ft_reader *r = ft_reader_open(path, "tokens");
	while ((rc = r ? ft_example_read(r, &e) : FT_EFAIL) > 0) {
		size_t i = strtoul(e.src.p + 2, NULL, 10);
		bad += i >= TEXTS || !teach(o, &e, &taught[i]);
	}
	ft_reader_close(r);
	for (size_t i = 0; i < TEXTS; i++)
		bad += !is_taught(o, text[i], &taught[i]);
	return rc < 0 ? TEXTS : bad;
}

static void windows(const struct ft_tok *t, const char *name, const char *wrap)
{
	struct ft_encode_options o = { .tok = t, .task = FT_TASK_LM, .limit = { .policy = FT_TOK_SPLIT } };
	json_t *config = json_pack("{s:i, s:[i, i]}", "bos_token_id", 1, "eos_token_id", 2, 3);
	int bad = ft_edges_choose(&o.edges, t, config, wrap), tried = 0;
	for (size_t i = 0; i < TEXTS; i++)
		make_text(text[i], i + 1, (uint32_t)i);
	for (o.limit.max = 1; o.limit.max < 120; o.limit.max += 1 + o.limit.max / 2)
		for (o.limit.stride = 0; o.limit.stride < o.limit.max; o.limit.stride += 1 + 3 * o.limit.stride) {
			bad += run_windows(&o);
			tried++;
		}
	json_decref(config);
	ok(!bad, "%s, --wrap %s: each token is learnt once, in windows of %d kinds (%d are wrong)", name, wrap, tried, bad);
}

/* The only example of a stream: ids and labels as text, '.' for a place where nothing is learnt. */
static const char *only(void)
{
	static struct ft_buf b;
	struct ft_reader *r = ft_reader_open(path, "tokens");
	struct ft_example e;
	b.len = 0;
	while (r && ft_example_read(r, &e) > 0) {
		for (size_t i = 0; i < e.n; i++)
			ft_buf_printf(&b, "%s%d", i ? " " : "", e.ids[i]);
		ft_buf_printf(&b, "|");
		for (size_t i = 0; i < e.n; i++)
			e.labels[i] == FT_IGNORE ? ft_buf_printf(&b, ".") : ft_buf_printf(&b, " %d", e.labels[i]);
		ft_buf_printf(&b, "|%lld %lld\n", (long long)e.size->bytes, (long long)e.size->words);
	}
	ft_reader_close(r);
	ft_buf_append(&b, "", 1);
	return (const char *)b.data;
}

/* What should stand there, of ids that begin with `prompt` of which nothing is learnt. */
static const char *expect(const int32_t *line, size_t n, size_t prompt, long long bytes, long long words)
{
	static struct ft_buf b;
	b.len = 0;
	for (size_t i = 0; i < n; i++)
		ft_buf_printf(&b, "%s%d", i ? " " : "", line[i]);
	ft_buf_printf(&b, "|");
	for (size_t i = 1; i <= n; i++)
		i < prompt || i == n ? ft_buf_printf(&b, ".") : ft_buf_printf(&b, " %d", line[i]);
	ft_buf_printf(&b, "|%lld %lld\n", bytes, words);
	ft_buf_append(&b, "", 1);
	return (const char *)b.data;
}

static void completions(const struct ft_tok *t, const char *name)
{
	struct ft_encode_options o = { .tok = t, .task = FT_TASK_LM, .limit = { .max = 100 } };
	json_t *config = json_pack("{s:i}", "eos_token_id", 2);
	struct ft_encode_counts c;
	int32_t line[100], prompt[100], together[100];
	is_int(ft_edges_choose(&o.edges, t, config, "auto"), FT_OK, "edges by the tokenizer");
	size_t nprompt = line_of(&o, "the train:", prompt), nafter = o.edges.nafter;

	/* Where the prompt's tokens stay as they are, the two are read as one text. */
	size_t n = line_of(&o, "the train: rest of it", together) - nafter;
	together[n++] = nafter ? o.edges.after[0] : 2;
	const char *const whole[1][2] = { { "the train:", " rest of it" } };
	is_int(encode(&o, whole, 1, &c), FT_OK, "a prompt and its completion");
	is_str(only(), expect(together, n, nprompt - nafter, 11, 4), name);

	/* "the tra" + "in": the prompt's tokens would not stay; they do, and the completion is read for itself. */
	const char *const inside[1][2] = { { "the tra", "in" } };
	nprompt = line_of(&o, "the tra", line) - nafter;
	struct ft_tok_text x = { 0 };
	ft_tok_encode(t, "in", 2, 0, &x);
	memcpy(line + nprompt, x.ids, x.n * sizeof *line);
	n = nprompt + x.n;
	ft_tok_text_free(&x);
	line[n++] = nafter ? o.edges.after[0] : 2;
	is_int(encode(&o, inside, 1, &c), FT_OK, "one that ends inside a word");
	is_str(only(), expect(line, n, nprompt, 2, 1), "keeps the prompt's tokens");

	o.learn = FT_LEARN_ALL;
	encode(&o, inside, 1, &c);
	is_int(c.supervised, (long long)n - 1, "all of it is learnt when asked for");
	o.learn = FT_LEARN_REPLIES;
	json_decref(config);
}

/* A prompt that is too long loses its beginning, but not what stands before it; a completion its end. */
static void cut(const struct ft_tok *t)
{
	struct ft_encode_options o = { .tok = t, .task = FT_TASK_LM, .limit = { .policy = FT_TOK_TRUNCATE } };
	json_t *config = json_pack("{s:i, s:i}", "bos_token_id", 1, "eos_token_id", 2);
	struct ft_encode_counts c;
	int32_t line[200], end[200];
	const char *const row[1][2] = { { "the train and the rest of the train and the rest", " of it" } };
	ft_edges_choose(&o.edges, t, config, "both");
	struct ft_tok_text x = { 0 };
	ft_tok_encode(t, row[0][0], strlen(row[0][0]), 0, &x);
	size_t prompt = x.n + 1, n = line_of(&o, "the train and the rest of the train and the rest of it", line);
	ft_tok_text_free(&x);
	o.limit.max = n - 5;
	is_int(encode(&o, row, 1, &c), FT_OK, "a long prompt");
	end[0] = 1;
	memcpy(end + 1, line + 5, (n - 5) * sizeof *line);
	char want[4096];
	/* The last token is only predicted. */
	snprintf(want, sizeof want, "%s", expect(end, n - 4, prompt - 4, 6, 3));
	const char *got = only(), *bar = strchr(got, '|');
	size_t shown = (size_t)(bar - got);
	ok(strncmp(got, want, shown) == 0 && want[shown] == ' ', "loses its beginning, behind the first special token");
	is_int(c.truncated, 1, "and is counted");
	is_int(c.supervised, (long long)(n - prompt), "all of the completion is learnt");

	o.limit.max = n - prompt - 2;
	encode(&o, row, 1, &c);
	ok(c.truncated == 1 && c.supervised == (long long)(n - prompt) - 2, "a completion that is too long loses its end");
	o.limit.policy = FT_TOK_DROP;
	encode(&o, row, 1, &c);
	ok(c.dropped == 1 && !c.examples, "or is left out");
	o.limit.policy = FT_TOK_ERROR;
	is_int(encode(&o, row, 1, &c), FT_EFORMAT, "or is an error");
	o.limit.max = n - 1;
	is_int(encode(&o, row, 1, &c), FT_OK, "which it is not when one token is only predicted");
	json_decref(config);
}

static void nothing(const struct ft_tok *t)
{
	struct ft_encode_options o = { .tok = t, .task = FT_TASK_LM, .limit = { .max = 8, .policy = FT_TOK_SPLIT } };
	struct ft_encode_counts c;
	const char *const rows[][2] = { { "", NULL }, { "a", NULL }, { "a b", NULL } };
	const char *const empty[][2] = { { "the train", "" } };
	ft_edges_choose(&o.edges, t, NULL, "none");
	is_int(encode(&o, rows, 3, &c), FT_OK, "texts of no token, one and more");
	ok(c.unsupervised == 2 && c.examples == 1 && c.empty == 1, "those that teach nothing are counted, not written");
	is_int(encode(&o, empty, 1, &c), FT_OK, "a completion without any text or end");
	is_int(c.unsupervised, 1, "teaches nothing, too");
	is_int(ft_edges_choose(&o.edges, t, NULL, "eos"), FT_EUSAGE, "an end of text that nobody names");
	is_int(ft_edges_choose(&o.edges, t, NULL, "all"), FT_EUSAGE, "a way to wrap that there is not");
	ft_edges_choose(&o.edges, t, NULL, "auto");
	is_int(encode(&o, empty, 1, &c), FT_EUSAGE, "a completion that should end, and cannot");
	ok(strncmp(ft_message(), "t:0: ", 5) == 0, "is named with its place");
	o.vocab = 10;
	ft_edges_choose(&o.edges, t, NULL, "none");
	is_int(encode(&o, rows, 3, &c), FT_EMATCH, "a token beyond the model's embeddings");
}

/* ---- rows of all kinds ---- */

/* Encodes one row; the stream is at `path`. */
static int encode_row(const struct ft_encode_options *o, struct ft_row r, struct ft_encode_counts *c)
{
	json_t *meta = json_pack("{s:s}", "task", "lm");
	struct ft_writer *w = ft_writer_open(path, "tokens", meta, NULL, 0);
	struct ft_encoder *x = w ? ft_encoder_new(o, w) : NULL;
	r.src = (struct ft_span){ "t:1", 3 };
	int rc = x ? ft_encoder_add(x, &r) : ft_last_error();
	rc = rc < 0 ? rc : ft_encoder_flush(x);
	rc = rc < 0 ? rc : ft_writer_close(w);
	if (x)
		*c = *ft_encoder_counts(x);
	ft_encoder_free(x);
	ft_writer_free(w);
	json_decref(meta);
	return rc;
}

#define SPAN(text) { text, sizeof text - 1 }

/* Texts that are what stands before a text, or less, and prompts of nothing. */
static void little(const struct ft_tok *t)
{
	struct ft_encode_options o = { .tok = t, .task = FT_TASK_LM, .limit = { .max = 50 } };
	json_t *config = json_pack("{s:i, s:i}", "bos_token_id", 1, "eos_token_id", 2);
	struct ft_encode_counts c;
	ft_edges_choose(&o.edges, t, config, "both");
	is_int(encode_row(&o, (struct ft_row){ .text = SPAN("") }, &c), FT_OK, "a text of nothing");
	is_str(only(), "1 2| 2.|0 0\n", "is its end");
	is_int(encode_row(&o, (struct ft_row){ .text = SPAN("<s>") }, &c), FT_OK, "a text that is what stands before it");
	is_str(only(), "1 2| 2.|0 0\n", "stands there once");
	is_int(encode_row(&o, (struct ft_row){ .text = SPAN(""), .pair = SPAN("the") }, &c), FT_OK, "a prompt of nothing");
	struct ft_tok_text x = { 0 };
	ft_tok_encode(t, "the", 3, 0, &x);
	is_int(c.supervised, (long long)x.n + 1, "all of the completion is learnt");
	ft_tok_text_free(&x);
	json_decref(config);
}

/* What is learnt of both parts when all is: of sides, and of what is said to be good, the completion alone. */
static void all(const struct ft_tok *t)
{
	struct ft_encode_options o = { .tok = t, .task = FT_TASK_LM, .limit = { .max = 50 }, .learn = FT_LEARN_ALL };
	json_t *config = json_pack("{s:i, s:i}", "bos_token_id", 1, "eos_token_id", 2), *good = json_true();
	struct ft_encode_counts c, alone;
	ft_edges_choose(&o.edges, t, config, "both");
	struct ft_row row = { .text = SPAN("the train:"), .pair = SPAN(" rest") };
	o.learn = FT_LEARN_REPLIES;
	encode_row(&o, row, &alone);
	o.learn = FT_LEARN_ALL;
	is_int(encode_row(&o, row, &c), FT_OK, "a prompt and its completion");
	is_int(c.supervised, c.tokens - 1, "all of it is learnt");
	row.negative = (struct ft_span)SPAN(" end");
	is_int(encode_row(&o, row, &c), FT_OK, "two completions");
	ok(c.supervised >= 2 && c.supervised < c.tokens - 2, "of which one is better are learnt without their prompt");
	row = (struct ft_row){ .text = row.text, .pair = row.pair, .json = good, .judged = true };
	o.judged = true;
	is_int(encode_row(&o, row, &c), FT_OK, "one that is good");
	is_int(c.supervised, alone.supervised, "is learnt without its prompt");
	o.judged = false;
	/* a prompt that loses its beginning is learnt from where it begins */
	row = (struct ft_row){ .text = SPAN("the train and the rest of the train and the rest"), .pair = SPAN(" of it") };
	o.limit = (struct ft_tok_limit){ .max = 10, .policy = FT_TOK_TRUNCATE };
	is_int(encode_row(&o, row, &c), FT_OK, "a long prompt");
	ok(c.truncated == 1 && c.supervised == 10 && c.tokens == 10, "of which the end is learnt, too");
	const char *bytes = strrchr(only(), '|');
	long long n = atoll(bytes + 1);
	ok(n > 6 && n < 54, "and counted as text: %lld bytes", n);
	json_decref(config);
}

/* A token beyond the table in the first of several windows. */
static void beyond(const struct ft_tok *t)
{
	struct ft_encode_options o = { .tok = t, .task = FT_TASK_LM, .vocab = 10, .limit = { .max = 4, .policy = FT_TOK_SPLIT } };
	struct ft_encode_counts c;
	ft_edges_choose(&o.edges, t, NULL, "none");
	is_int(encode_row(&o, (struct ft_row){ .text = SPAN("the train and the rest of the train") }, &c), FT_EMATCH, "a token beyond the table");
	is_int(c.examples, 0, "nothing is written behind it");
}

static void questions(const struct ft_tok *t)
{
	struct ft_encode_options o = { .tok = t, .task = FT_TASK_LM, .limit = { .max = 6, .policy = FT_TOK_DROP } };
	struct ft_encode_counts c;
	json_t *choices = json_pack("[s,s]", " a", " the rest of the train and more");
	const struct ft_row row = { .text = SPAN("the train"), .choices = choices };
	ft_edges_choose(&o.edges, t, NULL, "none");
	is_int(encode_row(&o, row, &c), FT_EFORMAT, "a question among texts");
	is_str(ft_message(), "t:1: is a question with choices, unlike the rows before it", "is told");
	o.questions = true;
	is_int(encode_row(&o, row, &c), FT_OK, "a long choice that may be left out");
	ok(c.examples == 1 && c.dropped == 1, "is left out");
	o.limit.policy = FT_TOK_TRUNCATE;
	is_int(encode_row(&o, row, &c), FT_EFORMAT, "one that is cut");
	is_str(ft_message(), "t:1: choice 1 alone has more than 6 tokens", "is refused");
	json_decref(choices);
	struct ft_tok *words = ft_tok_open("tests/ref/wordpiece/uncased");
	choices = json_pack("[s,s]", "film", " ");
	o.tok = words;
	is_int(encode_row(&o, (struct ft_row){ .text = SPAN("the"), .choices = choices }, &c), FT_EFORMAT, "a choice of no token");
	is_str(ft_message(), "t:1: choice 1 has no token of its own", "is refused");
	json_decref(choices);
	ft_tok_free(words);
}

/* ---- what stands around a text ---- */

static void edges(void)
{
	struct ft_edges e;
	struct ft_tok *t = ft_tok_open("tests/ref/sentencepiece/t5");
	is_int(ft_edges_choose(&e, t, NULL, "auto"), FT_OK, "a template with a token behind the text");
	ok(e.nbefore == 0 && e.nafter == 1 && e.after[0] == ft_tok_id(t, "</s>") && e.end == -1 && !e.endless, "which ends it");
	json_t *config = json_pack("{s:I}", "eos_token_id", (json_int_t)3000000000);
	is_int(ft_edges_choose(&e, t, config, "eos"), FT_EUSAGE, "an id beyond all");
	json_decref(config);
	config = json_pack("{s:i}", "eos_token_id", -1);
	is_int(ft_edges_choose(&e, t, config, "eos"), FT_EUSAGE, "a negative one");
	json_decref(config);
	ft_tok_free(t);
	t = open_json("{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}},{\"Sequence\":{\"id\":"
	              "\"A\"}}],\"pair\":[{\"Sequence\":{\"id\":\"A\"}},{\"Sequence\":{\"id\":\"B\"}}],\"special_tokens\":{\"x\":{\"ids\":"
	              "[0,0,0,0,0,0,0,0,0]}}},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}");
	is_int(ft_edges_choose(&e, t, NULL, "auto"), FT_EFORMAT, "nine tokens before a text");
	is_str(ft_message(), "the tokenizer puts more than 8 special tokens around a text", "are too many");
	ft_tok_free(t);
}

int main(void)
{
	static const char *const names[] = { "smollm", "llama2", "prefixed" };
	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof path, "%s/t.tok", folder);
	for (size_t i = 0; i < 3; i++) {
		char dir[100];
		snprintf(dir, sizeof dir, REF "%s", names[i]);
		struct ft_tok *t = ft_tok_open(dir);
		if (!ok(t != NULL, "%s is opened", names[i]))
			continue;
		windows(t, names[i], "both");
		windows(t, names[i], "none");
		completions(t, names[i]);
		cut(t);
		if (i == 0) {
			nothing(t);
			beyond(t);
			questions(t);
		}
		all(t);
		if (i == 1)
			little(t);
		ft_tok_free(t);
	}
	edges();
	unlink(path);
	rmdir(folder);
	return tap_done();
}

/* guard.c - text that a stranger wrote is read without special tokens (ft_tok_encode_guarded). */
#include "ft/tok.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/ft-unit.XXXXXX";

/* A tokenizer of the references with more added tokens (all given) and a normalizer, or NULL. */
static struct ft_tok *open_with(const char *name, const char *tokens, const char *normalizer)
{
	char from[100], path[100];
	snprintf(from, sizeof from, "tests/ref/%s/tokenizer.json", name);
	snprintf(path, sizeof path, "%s/tokenizer.json", folder);
	json_t *t = ft_json_load(from), *more = json_loads(tokens, 0, NULL), *v;
	json_t *list = json_object_get(t, "added_tokens");
	int64_t id = json_integer_value(json_object_get(json_array_get(list, json_array_size(list) - 1), "id"));
	size_t i;
	json_array_foreach(more, i, v) {
		json_object_set_new(v, "id", json_integer(++id));
		json_array_append(list, v);
	}
	if (normalizer)
		json_object_set_new(t, "normalizer", json_loads(normalizer, 0, NULL));
	ft_json_save(path, t);
	json_decref(t);
	json_decref(more);
	struct ft_tok *tok = ft_tok_open(folder);
	unlink(path);
	return tok;
}

/* Ids of a text in which what stands between { and } is a stranger's, as pieces with '|' between;
 * "!" when it fails. Special tokens stand in []. */
static const char *pieces(const struct ft_tok *t, const char *marked)
{
	static struct ft_buf b;
	char text[500];
	struct ft_tok_range range[20];
	size_t n = 0, ranges = 0;
	for (const char *p = marked; *p; p++) {
		if (*p == '{')
			range[ranges].begin = n;
		else if (*p == '}')
			range[ranges++].end = n;
		else
			text[n++] = *p;
	}
	struct ft_tok_text x = { 0 };
	b.len = 0;
	if (ft_tok_encode_guarded(t, text, n, range, ranges, &x) < 0)
		ft_buf_append(&b, "!", 1);
	else
		for (size_t i = 0; i < x.n; i++)
			ft_buf_printf(&b, ft_tok_is_special(t, x.ids[i]) ? "[%s]" : "|%s", ft_tok_piece(t, x.ids[i]));
	ft_buf_append(&b, "", 1);
	ft_tok_text_free(&x);
	return (const char *)b.data;
}

/* Ids, and the text that they are. */
static void is_same(const struct ft_tok *t, const char *text, const struct ft_tok_range *r, size_t ranges, bool special,
                    const char *what)
{
	struct ft_tok_text a = { 0 }, b = { 0 };
	struct ft_buf said = { 0 };
	size_t n = strlen(text), found = 0;
	int rc = ft_tok_encode_guarded(t, text, n, r, ranges, &a);
	if (rc == FT_OK && !special)
		rc = ft_tok_encode(t, text, n, 0, &b);
	for (size_t i = 0; i < a.n; i++)
		found += ft_tok_is_special(t, a.ids[i]);
	if (rc == FT_OK)
		rc = ft_tok_decode(t, a.ids, a.n, false, &said);
	bool same = a.n == b.n && (!a.n || memcmp(a.ids, b.ids, a.n * sizeof *a.ids) == 0);
	ok(rc == FT_OK && said.len == n && memcmp(said.data, text, n) == 0 && (special ? !found : same), "%s", what);
	ft_tok_text_free(&a);
	ft_tok_text_free(&b);
	ft_buf_free(&said);
}

static void test_gpt(void)
{
	struct ft_tok *t = open_with("tokenizers/smollm",
		"[{\"content\":\"<a>\",\"special\":true,\"normalized\":false},{\"content\":\"<a>b\",\"special\":true,\"normalized\":false},"
		"{\"content\":\"<think>\",\"special\":false,\"normalized\":false},"
		"{\"content\":\"<left>\",\"special\":true,\"normalized\":false,\"lstrip\":true}]", NULL);
	if (!ok(t != NULL, "a byte-level tokenizer with more tokens"))
		return;
	is_str(pieces(t, "<|end|>"), "[<|end|>]", "the writer's own special token");
	is_str(pieces(t, "{a}<|end|>{b}"), "|a[<|end|>]|b", "between a stranger's words");
	is_str(strchr(pieces(t, "{<|end|>}"), '['), NULL, "a stranger's is none");
	is_str(strchr(pieces(t, "<|e{nd|>}"), '['), NULL, "nor one of which he wrote a part");
	is_str(strchr(pieces(t, "{<|end|}>"), '['), NULL, "whichever");
	is_str(pieces(t, "{<}<a>"), "|<[<a>]", "what he begins does not hide one behind it");
	is_str(pieces(t, "<a>b"), "[<a>b]", "the longer of two tokens");
	is_str(pieces(t, "<a>{b}"), "[<a>]|b", "or the shorter, when the rest is his");
	is_str(strchr(pieces(t, "{<a>}b"), '['), NULL, "or none");
	is_str(pieces(t, "{<think>}"), "|<think>", "an added token that is not special is found");
	is_str(pieces(t, "{x }<left>"), "|x[<left>]", "a token takes the blanks before it, whoever wrote them");
	static const char text[] = "you said <|end|>, <a> and <a>b; so <|end|><|end|>";
	is_same(t, text, &(struct ft_tok_range){ 0, sizeof text - 1 }, 1, true, "a text of special tokens comes back as it was");
	static const char plain[] = "<|end|>the train<a> and the rest<|end|>";
	static const struct ft_tok_range range[] = { { 7, 16 }, { 19, 32 } };
	is_same(t, plain, range, 2, false, "without any in a stranger's text the ids are as ever");
	is_same(t, plain, NULL, 0, false, "and without a stranger's text");
	ft_tok_free(t);
}

static void test_normalized(void)
{
	struct ft_tok *t = open_with("tokenizers/smollm", "[{\"content\":\"<stop>\",\"special\":true,\"normalized\":true}]",
	                             "{\"type\":\"Lowercase\"}");
	if (!ok(t != NULL, "one whose special token is looked for in lower case"))
		return;
	is_str(pieces(t, "{a }<STOP>"), "|a|\xc4\xa0[<stop>]", "the writer's own");
	is_str(strchr(pieces(t, "a {<STOP>}"), '['), NULL, "a stranger's is none");
	is_str(strchr(pieces(t, "a <ST{O}P>"), '['), NULL, "nor a letter of it");
	ft_tok_free(t);
}

static void test_vocabulary(void)
{
	struct ft_tok *t = open_with("tokenizers/llama2", "[]", NULL);
	if (ok(t != NULL, "one that merges characters")) {
		is_str(pieces(t, "<s>{a}</s>"), "[<s>]|\xe2\x96\x81" "a[</s>]", "the writer's own");
		is_str(strchr(pieces(t, "{</s>}"), '['), NULL, "merges do not make a special token");
		ft_tok_free(t);
	}
	t = open_with("sentencepiece/t5", "[]", NULL);
	if (ok(t != NULL, "a unigram model, in whose vocabulary special tokens are pieces")) {
		ok(strstr(pieces(t, "<s>"), "[<s>]") != NULL, "the writer's own");
		is_str(pieces(t, "{<s>}"), "!", "a stranger's is an error");
		ft_tok_free(t);
	}
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	test_gpt();
	test_normalized();
	test_vocabulary();
	rmdir(folder);
	return tap_done();
}

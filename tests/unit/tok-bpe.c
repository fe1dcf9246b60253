/* Byte-pair encoding where it is odd: pieces that hold a space behind a letter, unknown characters that merge, words
 * of many blocks, tables that are full or made to collide. Run from the repository's root. */
#include "ft/err.h"
#include "lib/tok/bpe.h"
#include "tests/tap.h"
#include "tests/unit/tokens.h"

#define GPT2 "tests/ref/tokenizers/gpt2/tokenizer.json"
#define S "\u2581" /* a space */

/* ---- small vocabularies ---- */

static const struct { const char *model, *text, *pieces, *what; } small[] = {
	{ "\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0,\"a\":1,\"" S "\":2,\"a" S "\":3,\"b\":4},\"merges\":[\"a " S "\"]",
	  "a" S "b" S "ba" S, "a" S "|b|" S "|b|a" S, "a space behind a letter" },
	{ "\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0,\"a\":1,\"b\":2,\"c\":3,\"" S "\":4,\"ab\":5,\"abc\":6,\"abc" S "\":7},"
	  "\"merges\":[\"a b\",\"ab c\",\"abc " S "\"]", "abc" S "abc", "abc" S "|abc", "a space behind three" },
	{ "\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0,\"a\":1,\"" S "\":2,\"" S S "\":3,\"" S S "a\":4},"
	  "\"merges\":[\"" S " " S "\",\"" S S " a\"]", "a" S S "a" S "a", "a|" S S "a|" S "|a", "spaces beside each other" },
	{ "\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0,\"a\":1,\"<unk>a\":2},\"merges\":[\"<unk> a\"]", "xaax", "<unk>a|a|<unk>",
	  "an unknown character that merges with what follows" },
	{ "\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0,\"a\":1,\"a<unk>\":2},\"merges\":[\"a <unk>\"]", "xaax", "<unk>|a|a<unk>",
	  "or with what it follows" },
	{ "\"unk_token\":\"<unk>\",\"ignore_merges\":true,\"vocab\":{\"<unk>\":0,\"" S "\":1,\"a\":2,\"b\":3,\"" S "ab\":4},\"merges\":[]",
	  S "ab", S "ab", "a word that is a piece" },
	{ "\"unk_token\":\"<unk>\",\"ignore_merges\":true,\"vocab\":{\"<unk>\":0,\"" S "\":1,\"a\":2,\"b\":3,\"" S "ab\":4},\"merges\":[]",
	  S "ab" S "ba" S "ab", S "ab|" S "|b|a|" S "ab", "several of which some are" },
	{ "\"continuing_subword_prefix\":\"##\",\"vocab\":{\"a\":0,\"##\":1,\"##b\":2,\"ab\":3},\"merges\":[\"a ##\",\"a ##b\"]", "ab", "ab",
	  "a right part that is a prefix alone" },
	{ "\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]", "\u00e9a\u00e9b", "a|b", "unknown characters are left out" },
};

static void check_small(void)
{
	for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
		struct ft_tok *t = open_json("{\"model\":{\"type\":\"BPE\",%s}}", small[i].model);
		is_str(pieces(t, small[i].text), small[i].pieces, small[i].what);
		ft_tok_free(t);
	}
}

/* ---- bytes ---- */

#define LEVEL(options) "{\"type\":\"ByteLevel\"," options "}"
static const struct { const char *members, *text, *pieces, *what; } bytes[] = {
	{ "{\"pre_tokenizer\":" LEVEL("\"use_regex\":false,\"add_prefix_space\":true") ",\"model\":{\"merges\":[]}}", "ab", "\u0120|a|b",
	  "a text that is one word, with a space before it" },
	{ "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" LEVEL("\"use_regex\":false,\"add_prefix_space\":false") ","
	  LEVEL("\"use_regex\":false,\"add_prefix_space\":false") "]},\"model\":{\"merges\":[]}}", "\u00e9",
	  "\u00c3|\u0125|\u00c2|\u00a9", "bytes that are spelled twice" },
	{ "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" LEVEL("\"use_regex\":false,\"add_prefix_space\":false") ","
	  LEVEL("\"add_prefix_space\":false") "]},\"model\":{\"merges\":[]}}", "\u00e9 a",
	  "\u00c3|\u0125|\u00c2|\u00a9|\u00c4|\u0142|a", "the second time in words" },
	{ "{\"model\":{\"merges\":[],\"end_of_word_suffix\":\"</w>\"}}", "ab", "a", "a suffix that no byte has" },
	{ "{\"model\":{\"merges\":[],\"continuing_subword_prefix\":\"##\"}}", "ab", "a", "a prefix that no byte has" },
	{ "{\"added_tokens\":[{\"id\":376,\"content\":\"<x>\",\"single_word\":true,\"normalized\":false}],\"model\":{\"merges\":[]}}",
	  "a\x80<x> \u00e9<x> a<x>", "a|\u00ef|\u00bf|\u00bd|<x>|\u0120|\u00c3|\u00a9|<|x|>|\u0120|a|<|x|>",
	  "a token that is a word of its own stands behind a broken character, but not behind a letter" },
};

static void check_bytes(void)
{
	for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
		struct ft_tok *t = open_like(GPT2, bytes[i].members);
		is_str(pieces(t, bytes[i].text), bytes[i].pieces, bytes[i].what);
		ft_tok_free(t);
	}
	struct ft_tok *t = open_like(GPT2, "{\"pre_tokenizer\":" LEVEL("\"use_regex\":false,\"add_prefix_space\":false") ","
	                             "\"post_processor\":" LEVEL("\"trim_offsets\":true") ",\"added_tokens\":[],"
	                             "\"model\":{\"vocab\":{\"a\u0120\":376},\"merges\":[\"a \u0120\"]}}");
	is_str(parts(t, "ba b"), "b|a|b", "a space at the end of a token is not of its place");
	is_str(pieces(t, "ba b"), "b|a\u0120|b", "but of the token");
	ft_tok_free(t);
}

/* ---- words of many blocks ---- */

static struct ft_buf model, text;

static void add(struct ft_buf *b, const char *s, size_t times)
{
	for (size_t i = 0; i < times; i++)
		ft_buf_append(b, s, strlen(s));
}

/* How many tokens of one piece stand beside each other in what a text becomes: "3 ac, 1 b"; "!" and what is wrong. */
static const char *runs(const struct ft_tok *t)
{
	static struct ft_buf b;
	struct ft_tok_text x = { 0 };
	b.len = 0;
	if (!t || ft_tok_encode(t, (char *)text.data, text.len, 0, &x) < 0)
		ft_buf_printf(&b, "!%s", ft_message());
	for (size_t i = 0, end; i < x.n; i = end) {
		for (end = i; end < x.n && x.ids[end] == x.ids[i]; end++)
			;
		const char *piece = ft_tok_piece(t, x.ids[i]);
		ft_buf_printf(&b, "%s%zu of ", i ? ", " : "", end - i);
		strlen(piece) > 8 ? ft_buf_printf(&b, "%zu", strlen(piece)) : ft_buf_printf(&b, "%s", piece);
	}
	ft_buf_append(&b, "", 1);
	ft_tok_text_free(&x);
	return (const char *)b.data;
}

/* Pieces of a letter that double, up to `most` of it, and "ac". */
static struct ft_tok *doubling(size_t most)
{
	struct ft_buf merges = { 0 };
	model.len = 0;
	ft_buf_printf(&model, "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0,\"a\":1,\"c\":2,\"ac\":3");
	ft_buf_printf(&merges, "\"a c\"");
	for (size_t n = 1, id = 4; n <= most; n *= 2, id++) {
		ft_buf_printf(&model, ",\"");
		add(&model, "b", n);
		ft_buf_printf(&model, "\":%zu", id);
		if (n == 1)
			continue;
		ft_buf_printf(&merges, ",\"");
		add(&merges, "b", n / 2);
		add(&merges, " ", 1);
		add(&merges, "b", n / 2);
		add(&merges, "\"", 1);
	}
	ft_buf_printf(&model, "},\"merges\":[%.*s]}}", (int)merges.len, (char *)merges.data);
	ft_buf_free(&merges);
	return open_text((char *)model.data, model.len);
}

static void check_long(void)
{
	struct ft_tok *t = doubling(2048);
	text.len = 0;
	add(&text, "ac", 3000), add(&text, "b", 2048), add(&text, "ac", 6000);
	is_str(runs(t), "3000 of ac, 1 of 2048, 6000 of ac", "a piece that is longer than what is looked ahead");
	ft_tok_free(t);
	t = doubling(8);
	char want[100];
	int wrong = 0;
	for (size_t n = 4090; n < 4122; n++) {
		static const char *const rest[] = { "", ", 1 of b", ", 1 of bb", ", 1 of bb, 1 of b", ", 1 of bbbb", ", 1 of bbbb, 1 of b",
			                            ", 1 of bbbb, 1 of bb", ", 1 of bbbb, 1 of bb, 1 of b" };
		text.len = 0;
		add(&text, "b", n);
		snprintf(want, sizeof want, "%zu of bbbbbbbb%s", n / 8, rest[n % 8]);
		wrong += strcmp(runs(t), want) != 0;
	}
	is_int(wrong, 0, "a word that ends a little behind a block");
	ft_tok_free(t);
	t = open_like(GPT2, "{\"pre_tokenizer\":" LEVEL("\"use_regex\":false,\"add_prefix_space\":false") ",\"added_tokens\":[],"
	              "\"model\":{\"vocab\":{\"zz\":376,\"zzzz\":377,\"zzzzzzzz\":378},\"merges\":[\"z z\",\"zz zz\",\"zzzz zzzz\"]}}");
	wrong = 0;
	for (size_t n = 4090; n < 4122; n++) {
		static const char *const rest[] = { "", ", 1 of z", ", 1 of zz", ", 1 of zz, 1 of z", ", 1 of zzzz", ", 1 of zzzz, 1 of z",
			                            ", 1 of zzzz, 1 of zz", ", 1 of zzzz, 1 of zz, 1 of z" };
		text.len = 0;
		add(&text, "z", n);
		snprintf(want, sizeof want, "%zu of zzzzzzzz%s", n / 8, rest[n % 8]);
		wrong += strcmp(runs(t), want) != 0;
	}
	is_int(wrong, 0, "the same in bytes");
	ft_tok_free(t);
	t = open_json("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"aa\":1},\"merges\":[\"a a\"]}}");
	text.len = 0;
	add(&text, "\u00e9", 5000);
	is_str(runs(t), "", "a long word of characters that are left out");
	add(&text, "a", 2);
	is_str(runs(t), "1 of aa", "and a piece behind them");
	text.len = 0;
	add(&text, "a\u00e9", 5000);
	is_str(runs(t), "2500 of aa", "or between");
	ft_tok_free(t);
	t = open_json("{\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0,\"a\":1,\"<unk>a\":2},"
	              "\"merges\":[\"<unk> a\"]}}");
	text.len = 0;
	add(&text, "xa", 5000);
	is_str(runs(t), "5000 of <unk>a", "unknown characters that merge in a long word");
	ft_tok_free(t);
}

/* Merges from the longest to the shortest: each piece is made when it is the turn of the last. */
static void check_reversed(void)
{
	model.len = text.len = 0;
	ft_buf_printf(&model, "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0");
	for (size_t n = 1; n <= 80; n++) {
		ft_buf_printf(&model, ",\"");
		add(&model, "a", n);
		ft_buf_printf(&model, "\":%zu", n);
	}
	ft_buf_printf(&model, "},\"merges\":[");
	for (size_t n = 79; n > 0; n--) {
		ft_buf_printf(&model, "\"");
		add(&model, "a", n);
		ft_buf_printf(&model, n > 1 ? " a\"," : " a\"]}}");
	}
	struct ft_tok *t = open_text((char *)model.data, model.len);
	add(&text, "a", 8120);
	is_str(runs(t), "101 of 80, 1 of 40", "a long word with merges in the wrong order");
	ft_tok_free(t);
}

/* ---- tables ---- */

/* More words of three tokens than are remembered, all of which begin alike; twice. */
static void check_words(void)
{
	enum { WORDS = 40000 };
	model.len = text.len = 0;
	ft_buf_printf(&model, "{\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\","
	              "\"vocab\":{\"<unk>\":0,\"12\":1,\"123\":2,\"1234\":3,\"12345\":4,\"123456\":5,\"1234567\":6,\"12345678\":7");
	for (int i = 0; i < 8; i++)
		ft_buf_printf(&model, ",\"%d\":%d", i + 1, 8 + i);
	for (int i = 0; i < 26; i++)
		ft_buf_printf(&model, ",\"%c\":%d,\"%c\":%d", 'A' + i, 16 + i, 'a' + i, 42 + i);
	for (int i = 0; i < 676; i++)
		ft_buf_printf(&model, ",\"%c%c\":%d", 'A' + i / 26, 'a' + i % 26, 68 + i);
	ft_buf_printf(&model, "},\"merges\":[\"1 2\",\"12 3\",\"123 4\",\"1234 5\",\"12345 6\",\"123456 7\",\"1234567 8\"");
	for (int i = 0; i < 676; i++)
		ft_buf_printf(&model, ",\"%c %c\"", 'A' + i / 26, 'a' + i % 26);
	ft_buf_printf(&model, "]}}");
	struct ft_tok *t = open_text((char *)model.data, model.len);
	for (int i = 0; i < WORDS; i++)
		ft_buf_printf(&text, "12345678%c%c%c%c ", 'A' + i / 17576 % 26, 'a' + i / 676 % 26, 'A' + i / 26 % 26, 'a' + i % 26);
	struct ft_tok_text x = { 0 };
	for (int turn = 0; turn < 2 && t; turn++) {
		size_t wrong = 0;
		x.n = 0;
		ft_tok_encode(t, (char *)text.data, text.len, 0, &x);
		for (int i = 0; i < WORDS && x.n == 3 * WORDS; i++)
			wrong += x.ids[3 * i] != 7 || x.ids[3 * i + 1] != 68 + i / 676 || x.ids[3 * i + 2] != 68 + i % 676;
		ok(x.n == 3 * WORDS && !wrong, "more words than are remembered%s", turn ? ", again" : "");
	}
	ok(t != NULL, "there is a tokenizer");
	ft_tok_text_free(&x);
	ft_tok_free(t);
}

/* Merges of two of 256 letters each, which crowd for the first `seeds` of the table's. */
static struct ft_tok *crowded(int seeds)
{
	static const uint64_t seed[] = { 0, 0x243F6A8885A308D3u, 0x13198A2E03707344u, 0xA4093822299F31D0u }; /* of bpe_pairs.c */
	enum { PAIRS = 1365 }; /* in 2048 slots */
	struct ft_buf merges = { 0 };
	model.len = text.len = 0;
	ft_buf_printf(&model, "{\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\","
	              "\"vocab\":{\"<unk>\":0");
	char letter[256][4] = { "" };
	for (int i = 0; i < 256; i++) {
		ft_utf8_put(0x4E00 + i, letter[i]);
		ft_buf_printf(&model, ",\"%.3s\":%d", letter[i], i + 1);
	}
	int n = 0;
	for (int i = 0; i < 65536 && n < PAIRS; i++) {
		int left = i / 256, right = i % 256, crowds = 0;
		for (int k = 0; k < seeds; k++)
			crowds += bpe_slot(&(struct bpe_pairs){ .shift = 64 - 11, .seed = seed[k] }, bpe_key(left + 1, right + 1)) < 1000;
		if (crowds < seeds)
			continue;
		ft_buf_printf(&model, ",\"%.3s%.3s\":%d", letter[left], letter[right], 257 + n);
		ft_buf_printf(&merges, "%s\"%.3s %.3s\"", n ? "," : "", letter[left], letter[right]);
		ft_buf_printf(&text, "%.3s%.3s ", letter[left], letter[right]);
		n++;
	}
	ft_buf_printf(&model, "},\"merges\":[%.*s]}}", (int)merges.len, (char *)merges.data);
	ft_buf_free(&merges);
	return n == PAIRS ? open_text((char *)model.data, model.len) : NULL;
}

static void check_crowded(void)
{
	for (int seeds = 0; seeds < 4; seeds++) {
		struct ft_tok *t = crowded(seeds);
		struct ft_tok_text x = { 0 };
		size_t good = 0;
		if (t && ft_tok_encode(t, (char *)text.data, text.len, 0, &x) == FT_OK)
			for (size_t i = 0; i < x.n; i++)
				good += x.ids[i] == (int32_t)(257 + i);
		is_int((long long)good, 1365, "pairs that crowd are put in another order");
		ft_tok_text_free(&x);
		ft_tok_free(t);
	}
	struct ft_tok *t = crowded(4);
	ok(!t && ft_last_error() == FT_EFORMAT && strstr(ft_message(), "model.merges: the pairs are made to collide"), "or are refused");
	ft_tok_free(t);
}

int main(void)
{
	check_small();
	check_bytes();
	check_long();
	check_reversed();
	check_words();
	check_crowded();
	ft_buf_free(&model);
	ft_buf_free(&text);
	return tap_done();
}

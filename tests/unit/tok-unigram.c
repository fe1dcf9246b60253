/* Unigrams where they are odd: unknown characters that are a piece together, the unknown piece in a text, spaces within
 * pieces, words that crowd in the table of those seen before. */
#include "ft/err.h"
#include "lib/tok/unigram.h"
#include "tests/tap.h"
#include "tests/unit/tokens.h"

#define S "\u2581" /* a space */
#define LONG "aaaaaaaaaaaaaaaaaaaa" /* with it a word is not kept */
#define LONG_PIECES "a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|"

static const struct { const char *members, *vocab, *text, *pieces, *what; } cases[] = {
	{ "\"unk_id\":0,", "[\"<unk>\",50.0],[\"a\",60.0],[\"\u00e9\u00e9\",50.0]", "a\u00e9\u00e9", "a|\u00e9\u00e9",
	  "unknown characters that are a piece together" },
	{ "\"unk_id\":0,", "[\"<unk>\",50.0],[\"a\",60.0],[\"\u00e9\u00e9\",50.0]", "a\u00e9\u00e9\u00e9", "a|<unk>", "or are none" },
	{ "\"unk_id\":0,", "[\"<unk>\",50.0],[\"a\",60.0],[\"\u00e9\u00e9\",50.0]", LONG "\u00e9\u00e9", LONG_PIECES "\u00e9\u00e9",
	  "in a word that is not kept" },
	{ "\"unk_id\":0,", "[\"<unk>\",0.0],[\"a\",-1.0]", "a\u00e9<unk>\u00e9a", "a|<unk>|a", "the unknown piece in a text joins its like" },
	{ "\"unk_id\":0,", "[\"<unk>\",0.0],[\"a\",-1.0],[\"" S "\",-1.0]", S "\u00e9<unk>" S "<unk>\u00e9" S "a" S "\u00e9<unk>",
	  S "|<unk>|" S "|<unk>|" S "|a|" S "|<unk>", "in words" },
	{ "\"unk_id\":0,", "[\"<unk>\",0.0],[\"" S "\",-1.0],[\"" S S "\",-1.5],[\"" S S "a\",-1.6],[\"a\",-3.0]", S S "a" S "a",
	  S S "a|" S "|a", "spaces beside each other in a piece" },
	{ "\"unk_id\":0,", "[\"<unk>\",0.0],[\"" S "\",-1.0],[\"a\",-3.0],[\"a" S "\",-3.0]", "a" S "a" S, "a" S "|a" S,
	  "a space behind a letter" },
	{ "\"unk_id\":1,", "[\"\",0.0],[\"<unk>\",0.0],[\"a\",-3.0]", "ab", "a|<unk>", "a piece of nothing is in no text" },
	{ "", "[\"a\",-3.0],[\"<unk>\",0.0]", "aa", "a|a", "nothing is unknown" },
	{ "", "[\"a\",-3.0],[\"<unk>\",0.0]", "ab", "!a character is not in the vocabulary, which has no token for such",
	  "what is not there has no token" },
	{ "\"unk_id\":0,", "[\"<unk>\",0.0],[\"" S "\",-1.0],[\"a\",-1.0]", S "aaaaaaaaa" S "aaaaaaaaa", S "|a|a|a|a|a|a|a|a|a|" S "|a|a|a|a|a|a|a|a|a",
	  "a word of more tokens than are kept, twice" },
};

static void check_cases(void)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct ft_tok *t = open_json("{\"model\":{\"type\":\"Unigram\",%s\"vocab\":[%s]}}", cases[i].members, cases[i].vocab);
		is_str(pieces(t, cases[i].text), cases[i].pieces, cases[i].what);
		ft_tok_free(t);
	}
	char letters[1026] = "";
	memset(letters, 'a', 1025);
	struct ft_tok *t = open_json("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"%s\",0.0]]}}", letters);
	ok(!t && strstr(ft_message(), "model: a piece of 1025 bytes; at most 1024 are supported"), "a piece that is too long");
}

/* Words of six letters that have one place in the table, more than there are places to go. */
static size_t find_crowd(char word[][12], size_t most)
{
	struct unigram_words table = { 0 };
	size_t n = 0, home = 0;
	if (unigram_words_make(&table) < 0)
		return 0;
	for (int i = 0; i < 26 * 26 * 26 * 26 * 26 && n < most; i++) {
		char s[20] = S;
		snprintf(s, sizeof s, S "z%c%c%c%c%c", 'a' + i / 456976, 'a' + i / 17576 % 26, 'a' + i / 676 % 26, 'a' + i / 26 % 26, 'a' + i % 26);
		struct unigram_key key = unigram_words_key(&table, s, 9, sizeof s);
		home = n ? home : key.home;
		if (key.home == home)
			memcpy(word[n++], s, 10);
	}
	unigram_words_free(&table);
	return n;
}

static void check_crowd(void)
{
	char word[6][12] = { "" };
	struct ft_buf vocab = { 0 }, text = { 0 }, want = { 0 };
	for (int c = 'a'; c <= 'z'; c++)
		ft_buf_printf(&vocab, ",[\"%c\",-%d.0]", c, c);
	struct ft_tok *t = open_json("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0.0],[\"" S "\",-1.0]%.*s]}}",
	                             (int)vocab.len, (char *)vocab.data);
	is_int((long long)find_crowd(word, 6), 6, "words of one place");
	for (int i = 0; i < 30; i++) {
		const char *w = word[i < 24 ? i / 4 : i - 24];
		ft_buf_printf(&text, "%s", w);
		ft_buf_printf(&want, "%s" S "|%c|%c|%c|%c|%c|%c", i ? "|" : "", w[3], w[4], w[5], w[6], w[7], w[8]);
	}
	ft_buf_append(&text, "", 1);
	ft_buf_append(&want, "", 1);
	is_str(pieces(t, (char *)text.data), (char *)want.data, "each is what it is, whichever of them are kept");
	ft_tok_free(t);
	ft_buf_free(&vocab);
	ft_buf_free(&text);
	ft_buf_free(&want);
}

int main(void)
{
	check_cases();
	check_crowd();
	return tap_done();
}

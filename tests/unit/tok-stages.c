/* Single stages of tokenizers: what a normalizer makes of a text, where a pre-tokenizer cuts it, what a decoder makes
 * of tokens. Run from the repository's root. */
#include "ft/err.h"
#include "lib/tok/priv.h"
#include "tests/tap.h"
#include "tests/unit/tokens.h"

/* ---- normalizers ---- */

#define NO_WORDS \
	"\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\"," \
	"\"max_input_chars_per_word\":100,\"vocab\":{\"[UNK]\":0}}"

/* The normal form of s[n], NUL as '@'; or "!" and why there is none. */
static const char *normal(const struct ft_tok *t, const char *s, size_t n)
{
	static char out[400];
	struct ft_tok_text x = { .scratch = ft_alloc(1, sizeof *x.scratch) };
	struct tok_run in = { .s = s, .n = n, .room = n }, form;
	if (!t || tok_normalize(t, &in, x.scratch, &form) < 0)
		snprintf(out, sizeof out, "!%s", ft_message());
	else
		for (size_t i = 0; i <= form.n && i < sizeof out; i++)
			out[i] = i == form.n ? '\0' : form.s[i] ? form.s[i] : '@';
	ft_tok_text_free(&x);
	return out;
}

static const struct { const char *stage, *in, *out, *what; } normalizers[] = {
	{ "\"type\":\"Nmt\"", "\x01\x08|\x0b|\x0e\x1f|\x7f|\xc2\x8f|\xc2\x9f|", "||||||", "control characters that go" },
	{ "\"type\":\"Nmt\"", "\t\n\f\r\u1680\u200b\u200f\u2028\u2029\u2581\ufeff\ufffd", "            ", "what becomes a space" },
	{ "\"type\":\"Nmt\"", " ~\xc2\x80\xc2\x8e\xc2\x90\xc2\x9e\u00a0\u167f\u1681\u200a\u2010\u2027\u202a\u2580\u2582\ufefe\ufffc",
	  " ~\xc2\x80\xc2\x8e\xc2\x90\xc2\x9e\u00a0\u167f\u1681\u200a\u2010\u2027\u202a\u2580\u2582\ufefe\ufffc", "what stays" },
	{ "\"type\":\"Strip\",\"strip_right\":false", " a ", "a ", "on the left" },
	{ "\"type\":\"Strip\",\"strip_left\":false", " a ", " a", "on the right" },
	{ "\"type\":\"Strip\",\"strip_left\":false,\"strip_right\":false", " a ", " a ", "on neither side" },
	{ "\"type\":\"Strip\"", " \u00a0 ", "", "nothing is left" },
	{ "\"type\":\"Strip\"", "a \x80\x80\x80\x80", "a \ufffd\ufffd\ufffd\ufffd", "broken bytes are no space" },
	{ "\"type\":\"Prepend\",\"prepend\":\"_\"", "ab", "_ab", "a prefix" },
	{ "\"type\":\"Replace\",\"pattern\":{\"Regex\":\"^\"},\"content\":\"_\"", "ab", "_ab", "a match of nothing at the start" },
	{ "\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"_\"", "ab", "_a_b_", "a text of nothing, everywhere" },
	{ "\"type\":\"Replace\",\"pattern\":{\"String\":\"\u00e9\"},\"content\":\"e\"", "\u00e9a\u00e9", "eae", "a character of two bytes" },
	{ "\"type\":\"Replace\",\"pattern\":{\"String\":\"x\"},\"content\":\"e\"", "ab", "ab", "nothing to replace" },
	{ "\"type\":\"Replace\",\"pattern\":{\"Regex\":\"[a&b]+\"},\"content\":\"_\"", "x&ab&", "x_", "one & in a class is a character" },
	{ "\"type\":\"Lowercase\"", "\u0130I\u1c89\ua7cb\ua7cc\ua7cf", "i\u0307i\u1c8a\u0264\ua7cd\ua7cf", "capitals that came late" },
	{ "\"type\":\"StripAccents\"", "a\u1cf2\u1cf3b\u20ddc\u0903d\u07fd", "abcd\u07fd", "signs that were marks once, marks of three kinds, one that stays" },
	{ "\"type\":\"NFD\"", "\U000105c9\U00011938\u00e9", "\U000105c9\U00011938e\u0301", "what Unicode 16 takes apart stays whole" },
	{ "\"type\":\"NFKD\"", "\u32ff\u32fe", "\u32ff\u30f2", "the same by compatibility" },
	{ "\"type\":\"NFC\"", "\U00011935\U00011930e\u0301", "\U00011935\U00011930\u00e9", "and is not put together" },
	{ "\"type\":\"NFC\"", "e\u030d\u0301", "e\u030d\u0301", "a mark behind another of its class" },
	{ "\"type\":\"NFC\"", "\u1100a\u1100\u1176\u1100\u1160\u1113\u1161", "\u1100a\u1100\u1176\u1100\u1160\u1113\u1161", "no syllables" },
	{ "\"type\":\"NFC\"", "\uac00\u11a7\uac00\u11c3\uac01\u11a8\uac00a", "\uac00\u11a7\uac00\u11c3\uac01\u11a8\uac00a", "no tails" },
	{ "\"type\":\"NFC\"", "\uac00\u11c2\u1112\u1175", "\uac1b\ud788", "the last of each" },
	{ "\"type\":\"BertNormalizer\",\"strip_accents\":false", "\u0130\u00c9", "i\u0307\u00e9", "lower case that is two characters" },
	{ "\"type\":\"BertNormalizer\"", "a\u08d4\u1b44\u08d5b", "a\u1b44\u08d4\u08d5b", "marks that stay, in order" },
	{ "\"type\":\"BertNormalizer\"", "a\u08d4\u0941\u1b44b", "a\u08d4\u1b44b", "which none of class 0 lets by" },
	{ "\"type\":\"BertNormalizer\"", "a\u08d4\u0301\u1b44b", "a\u1b44\u08d4b", "but one that goes does" },
};

static void check_normalizers(void)
{
	for (size_t i = 0; i < sizeof normalizers / sizeof *normalizers; i++) {
		struct ft_tok *t = open_json("{\"normalizer\":{%s}," NO_WORDS "}", normalizers[i].stage);
		is_str(normal(t, normalizers[i].in, strlen(normalizers[i].in)), normalizers[i].out, normalizers[i].what);
		ft_tok_free(t);
	}
	struct ft_tok *t = open_json("{\"normalizer\":{\"type\":\"Nmt\"}," NO_WORDS "}");
	is_str(normal(t, "\0a", 2), "@a", "a NUL stays");
	ft_tok_free(t);
}

/* As SentencePiece does it: spaces, and pieces that stay. */
static void check_sentencepiece(void)
{
	static const struct { const char *options, *in, *out; } cases[] = {
		{ "", " a  b ", "\u2581a\u2581b" },
		{ ",\"add_dummy_prefix\":false", " a  b ", "a\u2581b" },
		{ ",\"remove_extra_whitespaces\":false", " a  b ", "\u2581\u2581a\u2581\u2581b\u2581" },
		{ ",\"treat_whitespace_as_suffix\":true", " a  b ", "a\u2581b\u2581" },
		{ ",\"escape_whitespaces\":false", " a  b ", " a b" },
		{ ",\"escape_whitespaces\":false,\"treat_whitespace_as_suffix\":true", " a  b ", "a b " },
		{ ",\"escape_whitespaces\":false,\"remove_extra_whitespaces\":false", "a  \u00e9 b", " a  \u00e9 b" },
		{ ",\"user_defined\":[[\" b\",1],[\"a \",2]]", "xa  b", "\u2581xa\u2581b" },
		{ ",\"user_defined\":[[\" b\",1]],\"escape_whitespaces\":false", "a  b", " a b" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct ft_tok *t = open_json("{\"normalizer\":{\"type\":\"SentencePiece\"%s}," NO_WORDS "}", cases[i].options);
		is_str(normal(t, cases[i].in, strlen(cases[i].in)), cases[i].out, cases[i].options);
		ft_tok_free(t);
		t = open_json("{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Lowercase\"},"
		              "{\"type\":\"SentencePiece\"%s}]}," NO_WORDS "}", cases[i].options);
		is_str(normal(t, cases[i].in, strlen(cases[i].in)), cases[i].out, "behind another stage");
		ft_tok_free(t);
	}
	static const char *const bad[] = { "[[\"a\",-1]]", "[[\"a\",4294967296]]", "[[\"\",1]]", "[[\"a\"]]", "[[1,1]]", "[\"a\"]" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct ft_tok *t = open_json("{\"normalizer\":{\"type\":\"SentencePiece\",\"user_defined\":%s}," NO_WORDS "}", bad[i]);
		ok(!t && strstr(ft_message(), "normalizer: SentencePiece: user_defined[0]: must be a piece and its id"), "refused: %s", bad[i]);
	}
	struct ft_tok *t = open_json("{\"normalizer\":{\"type\":\"SentencePiece\",\"escape_whitespaces\":1}," NO_WORDS "}");
	ok(!t && strstr(ft_message(), "escape_whitespaces: must be true or false"), "a flag that is none");
	t = open_json("{\"normalizer\":{\"type\":\"SentencePiece\",\"precompiled_charsmap\":\"\"}," NO_WORDS "}");
	ok(!t && strstr(ft_message(), "precompiled_charsmap of 0 bytes is cut short"), "a charsmap of nothing");
}

/* ---- charsmaps ---- */

/* Clusters of a letter and marks that Unicode has had since libutf8proc's are looked up whole, too. */
static void check_clusters(void)
{
	struct ft_tok *t = ft_tok_open("tests/ref/sentencepiece/t5");
	is_str(normal(t, "\u00bd\u0301", 4), "1\u20442", "the first rule that begins a cluster counts for all of it");
	is_str(normal(t, "\u00bd\u0897", 5), "1\u20442", "a mark of Unicode 16 belongs to it");
	is_str(normal(t, "\u00bd\u0898", 5), "1\u20442", "and one of 14, above it");
	is_str(normal(t, "\u00bd\u0301\u0302", 6), "1\u20442\u0301\u0302", "in a long one each character is looked up");
	is_str(normal(t, "a\0\u00bd", 4), "a@1\u20442", "a NUL ends no text");
	ft_tok_free(t);
}

static void put32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> 8 * i);
}

/* A trie of one rule, "ab" to "c": 'a' begins it and is none itself. */
static void check_rule(void)
{
	enum { UNITS = 1024 };
	unsigned char map[4 + 4 * UNITS + 4] = { 0 };
	struct ft_buf text = { 0 };
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	put32(map, 4 * UNITS);
	put32(map + 4, 256u << 10);                                                     /* the root's children are at 256 ^ byte */
	put32(map + 4 + 4 * (256 ^ 'a'), (uint32_t)((256 ^ 'a') ^ 512) << 10 | 'a');    /* those of 'a' at 512 ^ byte */
	put32(map + 4 + 4 * (512 ^ 'b'), (uint32_t)((512 ^ 'b') ^ 768) << 10 | 'b' | 0x100);
	put32(map + 4 + 4 * 768, 0x80000000u);                                          /* its text is at 0 */
	map[4 + 4 * UNITS] = 'c';
	for (size_t i = 0; i < sizeof map; i += 3) {
		unsigned v = (unsigned)map[i] << 16 | (unsigned)map[i + 1] << 8 | map[i + 2];
		for (int k = 18; k >= 0; k -= 6)
			ft_buf_append(&text, &digits[v >> k & 63], 1);
	}
	_Static_assert(sizeof map % 3 == 0, "no padding");
	struct ft_tok *t = open_json("{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"%.*s\"}," NO_WORDS "}",
	                             (int)text.len, (char *)text.data);
	is_str(normal(t, "xabaab", 6), "xabaab", "clusters are characters: no rule of two is found");
	ft_tok_free(t);
	t = open_json("{\"normalizer\":{\"type\":\"SentencePiece\",\"add_dummy_prefix\":false,\"precompiled_charsmap\":\"%.*s\"},"
	              NO_WORDS "}", (int)text.len, (char *)text.data);
	is_str(normal(t, "xabaab", 6), "xcac", "SentencePiece takes the longest rule");
	ft_tok_free(t);
	ft_buf_free(&text);
}

/* ---- pre-tokenizers ---- */

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| ?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)|\\\\s+"
#define SPLIT(pattern, more) "{\"type\":\"Split\",\"pattern\":{" pattern "}," more "}"
#define TWO(a, b) "{\"type\":\"Sequence\",\"pretokenizers\":[" a "," b "]}"
#define DIGITS "{\"type\":\"Digits\",\"individual_digits\":true}"
#define BYTES(more) "{\"type\":\"ByteLevel\"" more "}"
/* No piece is known: each word is an unknown one, which stands for its bytes. */
static const struct { const char *stage, *in, *out, *what; } splitters[] = {
	{ SPLIT("\"Regex\":\"" GPT2 "\"", "\"behavior\":\"Isolated\""), "it's 42", "it|'s| 42", "a known pattern" },
	{ TWO(SPLIT("\"Regex\":\"" GPT2 "\"", "\"behavior\":\"Isolated\""), DIGITS), "it's 42 it'", "it|'s| |4|2| it|'",
	  "with another stage behind it" },
	{ SPLIT("\"Regex\":\"" GPT2 "\"", "\"behavior\":\"Removed\",\"invert\":true"), "it's 42", "it|'s| 42", "what matches is kept" },
	{ SPLIT("\"Regex\":\"" GPT2 "\"", "\"behavior\":\"Removed\""), "it's 42", "", "or removed" },
	{ SPLIT("\"String\":\"s\"", "\"behavior\":\"Isolated\""), "ass", "a|s|s", "a text" },
	{ SPLIT("\"String\":\"s\"", "\"behavior\":\"Contiguous\""), "assb", "a|ss|b", "a text, beside itself" },
	{ SPLIT("\"Regex\":\"a(?=b)\"", "\"behavior\":\"MergedWithNext\""), "xabab", "x|ab|ab", "a pattern that looks ahead" },
	{ BYTES(",\"use_regex\":false"), "a b", " a b", "bytes with a space before them" },
	{ TWO(BYTES(",\"use_regex\":false,\"add_prefix_space\":false"), DIGITS), "a1b", "a|1|b", "bytes, then digits" },
	{ TWO(BYTES(",\"add_prefix_space\":false"), DIGITS), "a 1b", "a| |1|b", "bytes in words, then digits" },
	{ DIGITS, "a\U00011de0\U00016ff4b1", "a|\U00011de0|\U00016ff4|b|1", "digits that came late" },
	{ "{\"type\":\"Whitespace\"}", "a,b  c!", "a|,|b|c|!", "words and others" },
	{ "{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"-\"}", "a-b--c-", "a|b|c", "a delimiter" },
	{ "{\"type\":\"BertPreTokenizer\"}", "ab,c", "ab|,|c", "as BERT does it" },
};

static void check_splitters(void)
{
	for (size_t i = 0; i < sizeof splitters / sizeof *splitters; i++) {
		struct ft_tok *t = open_json("{\"pre_tokenizer\":%s," NO_WORDS "}", splitters[i].stage);
		const char *want = splitters[i].out;
		if (*want == ' ') /* a space that was put there has the place of what follows */
			want++;
		is_str(parts(t, splitters[i].in), want, splitters[i].what);
		ft_tok_free(t);
	}
	static const char *const bad[] = { "{\"type\":\"Sequence\",\"pretokenizers\":{}}", "{\"type\":\"Sequence\"}" };
	for (size_t i = 0; i < 2; i++) {
		struct ft_tok *t = open_json("{\"pre_tokenizer\":%s," NO_WORDS "}", bad[i]);
		ok(!t && strstr(ft_message(), "pre_tokenizer: a Sequence needs the array pretokenizers"), "refused: %s", bad[i]);
	}
}

/* A word longer than what is kept of one while BERT's text is read. */
static void check_long_word(void)
{
	char text[3001] = "", word[101] = "";
	memset(word, 'a', 100);
	struct ft_tok *t = open_json("{\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
	                             "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","
	                             "\"max_input_chars_per_word\":1000,\"vocab\":{\"[UNK]\":0,\"A\":1,\"a\":2,\"##a\":3,\"%s\":4,\"##%s\":5}}}",
	                             word, word);
	memset(text, 'A', 1000);
	const char *got = pieces(t, text);
	size_t good = strncmp(got, word, 100) == 0;
	for (const char *p = got; (p = strstr(p, "|##")) && strncmp(p + 3, word, 100) == 0; p += 103)
		good++;
	is_int((long long)good, 10, "a word of a thousand letters, in lower case");
	memset(text, 'a', 3000);
	is_str(pieces(t, text), "[UNK]", "one of three thousand");
	ft_tok_free(t);
}

/* ---- decoders ---- */

static const struct { const char *decoder, *pieces, *out, *what; } decoders[] = {
	{ "\"type\":\"ByteLevel\"", "[\"\u0120a\",\"\u65e5\",\"b c\",\"\u00c3\",\"\u00a9\",\"\u0143\",\"\u0144\"]",
	  " a\u65e5b c\u00e9\ufffd\u0144", "letters that are bytes, and what are none" },
	{ "\"type\":\"ByteFallback\"", "[\"<0x41>\",\"<0xC3>\",\"<0xA9>\",\"x\",\"<0xC3>\",\"<0xff>\",\"<0xG0>\",\"<0x0G>\",\"<0x00]\",\"<0y00>\"]",
	  "A\u00e9x\ufffd\ufffd<0xG0><0x0G><0x00]<0y00>", "bytes by name, and what looks like one" },
	{ "\"type\":\"Metaspace\",\"replacement\":\"_\"", "[\"_a\",\"_b_\"]", "a b ", "spaces, but the first" },
	{ "\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"never\"", "[\"_a\",\"_b\"]", " a b", "and the first" },
	{ "\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false", "[\"_a\",\"_b\"]", " a b", "as older files say it" },
	{ "\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Strip\",\"content\":\"a\",\"start\":1},"
	  "{\"type\":\"Replace\",\"pattern\":{\"String\":\"b\"},\"content\":\"c\"}]", "[\"a\",\"ab\",\"aab\"]", "cac",
	  "a token of which nothing is left" },
	{ "\"type\":\"Strip\",\"content\":\"_\",\"start\":1,\"stop\":2", "[\"__a___\",\"_\",\"a_\"]", "_a_a", "ends that go" },
	{ "\"type\":\"BPEDecoder\",\"suffix\":\"\"", "[\"a</w>\",\"b\"]", "a</w>b", "a suffix of nothing" },
	{ "\"type\":\"BPEDecoder\"", "[\"a</w>\",\"b</w>\"]", "a b", "a suffix, the last without a space" },
	{ "\"type\":\"WordPiece\",\"cleanup\":false", "[\"a\",\"##b\",\".\",\"n't\"]", "ab . n't", "as it is" },
	{ "\"type\":\"WordPiece\"", "[\"a\",\"##b\",\".\",\"n't\"]", "ab.n't", "cleaned up" },
	{ "\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(a+)+$\"},\"content\":\"\"", "[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"]",
	  "!the tokenizer's pattern '(a+)+$' fails on this text: match limit exceeded", "a pattern without end" },
	{ "\"type\":\"CTC\"", "[\"a\"]", "!the tokenizer's decoder 'CTC' is not supported", "one that is not known" },
};

static void check_decoders(void)
{
	for (size_t i = 0; i < sizeof decoders / sizeof *decoders; i++) {
		struct ft_buf vocab = { 0 }, out = { 0 };
		int32_t ids[10];
		json_t *list = json_loads(decoders[i].pieces, 0, NULL), *v;
		size_t k, n = json_array_size(list), different = 0;
		json_t *seen = json_object();
		json_array_foreach(list, k, v) {
			const char *piece = json_string_value(v);
			if (!json_object_get(seen, piece)) {
				json_object_set_new(seen, piece, json_integer((json_int_t)++different));
				ft_buf_printf(&vocab, ",\"%s\":%zu", piece, different);
			}
			ids[k] = (int32_t)json_integer_value(json_object_get(seen, piece));
		}
		struct ft_tok *t = open_json("{\"decoder\":{%s},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\","
		                             "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,"
		                             "\"vocab\":{\"[UNK]\":0%.*s}}}", decoders[i].decoder, (int)vocab.len, (char *)vocab.data);
		if (!t || ft_tok_decode(t, ids, n, false, &out) < 0) {
			out.len = 0;
			ft_buf_printf(&out, "!%s", ft_message());
		}
		ft_buf_append(&out, "", 1);
		is_str((char *)out.data, decoders[i].out, decoders[i].what);
		ft_tok_free(t);
		ft_buf_free(&out);
		ft_buf_free(&vocab);
		json_decref(list);
		json_decref(seen);
	}
}

/* One letter for which a page is put. */
static void check_growth(void)
{
	char content[5001] = "";
	struct ft_buf out = { 0 };
	memset(content, 'b', 5000);
	struct ft_tok *t = open_json("{\"decoder\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"[\"},\"content\":\"%s\"}," NO_WORDS "}", content);
	ok(t && ft_tok_decode(t, (int32_t[]){ 0 }, 1, false, &out) == FT_EFORMAT && strstr(ft_message(), "which is too much"),
	   "a decoder that makes a page of a letter");
	ft_tok_free(t);
	ft_buf_free(&out);
}

int main(void)
{
	check_normalizers();
	check_sentencepiece();
	check_clusters();
	check_rule();
	check_splitters();
	check_long_word();
	check_decoders();
	check_growth();
	return tap_done();
}

/* words.c - sentences in words: read from CoNLL and JSONL, encoded as the reference
 * does (tests/ref/tags.json), and aligned with their labels. */
#include "ft/words.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/ft-unit.XXXXXX", path[100];
static json_t *names;

static const char *put(const char *name, const char *text, size_t n)
{
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "wb");
	if (f) {
		fwrite(text, 1, n, f);
		fclose(f);
	}
	return path;
}

/* All sentences of a file as "word/tag word/tag|line;", at the end comments as
 * "#N" and what is wrong as "!CODE reason". Reused by the next call. */
static const char *sentences(const char *file, const struct ft_text_options *o, bool tags)
{
	static struct ft_buf b;
	struct ft_labels *l = tags ? ft_labels_new(FT_TASK_TAG, names, 0) : NULL;
	struct ft_text *t = ft_text_open(file, o);
	struct ft_arena a = { 0 };
	struct ft_row r;
	int rc = t ? 1 : ft_last_error();
	b.len = 0;
	while (rc > 0 && (rc = ft_text_next(t, &r)) > 0) {
		struct ft_words w;
		ft_arena_reset(&a);
		if ((rc = ft_words_read(&r, l, &a, &w)) < 0)
			break;
		for (size_t i = 0; i < w.n; i++) {
			ft_buf_printf(&b, "%s%.*s", i ? " " : "", (int)w.word[i].n, w.word[i].p);
			if (w.tag)
				ft_buf_printf(&b, "/%d", w.tag[i]);
		}
		const char *line = memrchr(r.src.p, ':', r.src.n);
		ft_buf_printf(&b, "|%.*s;", (int)(r.src.p + r.src.n - line - 1), line + 1);
		rc = 1;
	}
	if (t && ft_text_comments(t))
		ft_buf_printf(&b, "#%lld", (long long)ft_text_comments(t));
	if (rc < 0)
		ft_buf_printf(&b, "!%d %s", -rc, ft_message());
	ft_buf_append(&b, "", 1);
	ft_text_close(t);
	ft_labels_free(l);
	ft_arena_free(&a);
	unlink(file);
	return (const char *)b.data;
}

#define WITH(...) &(struct ft_text_options){ .header = -1, .words = true, __VA_ARGS__ }
#define PLAIN WITH(.text = NULL)

static void check(const char *what, const char *name, const char *text, const struct ft_text_options *o,
                  const char *want)
{
	is_str(sentences(put(name, text, strlen(text)), o, true), want, what);
}

static void conll(void)
{
	check("tabs", "a.conll", "New\tB-LOC\nYork\tI-LOC\n\nwe\tO\n", PLAIN, "New/3 York/4|1;we/0|4;");
	check("spaces, first and last column", "a.conll", "New NNP x  B-LOC\nYork NNP y I-LOC\n", PLAIN,
	      "New/3 York/4|1;");
	check("columns by number", "a.conll", "1 x B-LOC New\n2 x O y\n", WITH(.text = "4", .label = "3"),
	      "New/3 y/0|1;");
	check("a byte order mark, CRLF, no last line end", "a.bio", "\xef\xbb\xbfwe\tO\r\n\r\nyou\tO", PLAIN,
	      "we/0|1;you/0|3;");
	check("empty lines in a row, white space in them", "a.conll", "\n \n\t\nwe O\n \t \r\n\n\nyou O\n\n", PLAIN,
	      "we/0|4;you/0|8;");
	check("an empty file", "a.conll", "", PLAIN, "");
	check("a file of empty lines", "a.conll", "\n\n", PLAIN, "");
	check("-DOCSTART- ends a sentence", "a.conll", "-DOCSTART- -X- O\n\nwe x O\n-DOCSTART- -X- O\nyou x O\n", PLAIN,
	      "we/0|3;you/0|5;");
	check("comments before a sentence", "a.conll", "# id = 1 x\n#\nwe O\nyou O\n\n# text of the next\nthey O\n",
	      PLAIN, "we/0 you/0|3;they/0|7;#3");
	check("# as a word", "a.conll", "we\tO\n#\tO\n#tag\tO\n\n#\tB-PER\nx\tI-PER\n\n#tag\tO\n", PLAIN,
	      "we/0 #/0 #tag/0|1;#/1 x/2|5;#tag/0|8;");
	check("# as a word between spaces", "a.conll", "we O\n# O\n\n# O\nyou O\n", PLAIN, "we/0 #/0|1;#/0 you/0|4;");
	check("with a tab a word may hold spaces", "a.conll", "New York\tB-LOC\n", PLAIN, "New York/3|1;");
	check("an unknown tag, with its line", "a.conll", "we O\n\nwe O\nyou B-ORG\n", PLAIN,
	      "we/0|1;!65 a.conll:4: unknown tag 'B-ORG'; known: O, B-PER, I-PER, B-LOC, I-LOC");
	check("a word without a tag", "a.conll", "we O\nyou\n", PLAIN,
	      "!65 a.conll:2: a word without a tag: 1 column where 2 are expected");
	check("another number of columns", "a.conll", "we x O\nyou O\n", PLAIN,
	      "!65 a.conll:2: 2 columns where 3 are expected");
	check("an empty word", "a.conll", "we\tO\n\tO\n", PLAIN, "!65 a.conll:2: an empty word");
	check("no tags at all", "a.conll", "we\nyou\n", PLAIN, "!65 a.conll:1: a word without a tag");
	check("a column that is not there", "a.conll", "we O\n", WITH(.label = "3"),
	      "!65 a.conll:1: there is no column 3; there are 2");
	check("column 0", "a.conll", "we O\n", WITH(.text = "0"), "!65 a.conll:1: there is no column 0; there are 2");
	check("a column of negatives", "a.conll", "we O x\n", WITH(.negative = "3"),
	      "!2 --negative 3: a.conll has columns of words and of tags, by number");
	check("a column of pairs", "a.conll", "we O x\n", WITH(.pair = "3"), "!2 --pair 3: a.conll has columns of words and of tags, by number");
	check("a column by name", "a.conll", "we O\n", WITH(.label = "tag"),
	      "!2 --label tag: a.conll has columns of words and of tags, by number");
	check("a sentence that is too long", "a.conll", "we O\nyou O\n", WITH(.max_line = 8),
	      "!65 a.conll:1: the sentence is longer than 8 bytes");
	is_str(sentences(put("a.conll", "we\tO\ny\0u\tO\n", 11), PLAIN, true),
	       "!65 a.conll:1: has a NUL byte; this is not text", "a NUL byte");
	is_str(sentences(put("a.conll", "we\nyou x\n", 9), PLAIN, false),
	       "!65 a.conll:2: 2 columns where 1 are expected", "words alone");
	is_str(sentences(put("a.conll", "we\n\nyou\n", 8), PLAIN, false), "we|1;you|3;",
	       "words alone are enough without labels");
}

#define FIFTY "01234567890123456789012345678901234567890123456789"
static void other_formats(void)
{
	check("JSONL, arrays", "a.jsonl",
	      "{\"tokens\":[\"New\",\"York\"],\"tags\":[\"B-LOC\",4]}\n\n{\"words\":[],\"labels\":[]}\n", PLAIN,
	      "New/3 York/4|1;|3;");
	check("ner_tags, and other names", "a.jsonl", "{\"words\":[\"a b\"],\"ner_tags\":[0],\"x\":1}\n", PLAIN,
	      "a b/0|1;");
	check("names that are asked for", "a.jsonl", "{\"w\":[\"a\"],\"t\":[1],\"tokens\":3}\n",
	      WITH(.text = "w", .label = "t"), "a/1|1;");
	check("strings are split", "a.jsonl", "{\"text\":\" New  York \",\"label\":\"B-LOC I-LOC\"}\n", PLAIN,
	      "New/3 York/4|1;");
	check("an empty word", "a.jsonl", "{\"words\":[\"a\",\"\"],\"tags\":[0,0]}\n", PLAIN,
	      "!65 a.jsonl:1: 'words': word 2 is empty");
	check("a word that is none", "a.jsonl", "{\"words\":[\"a\",1],\"tags\":[0,0]}\n", PLAIN,
	      "!65 a.jsonl:1: 'words': word 2 is not a string");
	check("arrays of different length", "a.jsonl", "{\"words\":[\"a\",\"b\"],\"tags\":[0]}\n", PLAIN,
	      "!65 a.jsonl:1: 1 tag for 2 words");
	check("an unknown tag", "a.jsonl", "{\"words\":[\"a\",\"b\"],\"tags\":[\"O\",\"X\"]}\n", PLAIN,
	      "!65 a.jsonl:1: word 2: unknown tag 'X'; known: O, B-PER, I-PER, B-LOC, I-LOC");
	check("a number that is no label", "a.jsonl", "{\"words\":[\"a\"],\"tags\":[5]}\n", PLAIN,
	      "!65 a.jsonl:1: word 1: the tag 5 is not one of 5 labels");
	check("a negative number", "a.jsonl", "{\"words\":[\"a\"],\"tags\":[-1]}\n", PLAIN,
	      "!65 a.jsonl:1: word 1: the tag -1 is not one of 5 labels");
	check("a long tag", "a.jsonl", "{\"words\":[\"a\"],\"tags\":[\"" FIFTY FIFTY "more\"]}\n", PLAIN,
	      "!65 a.jsonl:1: word 1: unknown tag '" FIFTY FIFTY "'; known: O, B-PER, I-PER, B-LOC, I-LOC");
	check("null for words", "a.jsonl", "{\"tokens\":null}\n", WITH(.text = "tokens"), "!65 a.jsonl:1: has no 'tokens'");
	check("null for tags", "a.jsonl", "{\"words\":[\"a\"],\"tags\":null}\n", WITH(.label = "tags"), "!65 a.jsonl:1: has no 'tags'");
	check("a tag that is neither", "a.jsonl", "{\"words\":[\"a\"],\"tags\":[null]}\n", PLAIN,
	      "!65 a.jsonl:1: word 1: the tag is neither a name nor a number");
	check("tags that are no array", "a.jsonl", "{\"words\":[\"a\"],\"tags\":1}\n", PLAIN,
	      "!65 a.jsonl:1: the tags are not an array");
	check("no tags", "a.jsonl", "{\"words\":[\"a\"]}\n", PLAIN, "!65 a.jsonl:1: has no tags");
	check("no words", "a.jsonl", "{\"tags\":[]}\n", PLAIN, "!65 a.jsonl:1: has no 'tokens', 'words' or 'text'");
	check("TSV: words and tags between spaces", "a.tsv", "O B-PER\tfor Ann\n", PLAIN, "for/0 Ann/1|1;");
	check("of different number", "a.tsv", "O\tfor Ann\n", PLAIN, "!65 a.tsv:1: 1 tag for 2 words");
	is_str(sentences(put("a.txt", " for\t Ann \n\n", 12), PLAIN, false), "for Ann|1;|2;", "lines");
}

/* ---- tokens ---- */

static int same_ints(const int32_t *a, const json_t *b, size_t n)
{
	int good = json_array_size(b) == n;
	for (size_t i = 0; i < n && good; i++)
		good = a[i] == json_integer_value(json_array_get(b, i));
	return good;
}

static struct ft_words words_of(const json_t *array, struct ft_arena *a)
{
	size_t n = json_array_size(array);
	struct ft_words w = { .n = n, .word = ft_arena_get(a, n * sizeof *w.word),
	                      .first = ft_arena_get(a, (n + 1) * sizeof *w.first) };
	for (size_t i = 0; i < n; i++)
		w.word[i] = (struct ft_span){ json_string_value(json_array_get(array, i)),
		                              json_string_length(json_array_get(array, i)) };
	return w;
}

static void reference(void)
{
	json_t *all = ft_json_load("tests/ref/tags.json"), *c;
	size_t i;
	json_array_foreach(json_object_get(all, "words"), i, c) {
		struct ft_arena a = { 0 };
		struct ft_tok_text x = { 0 }, whole = { 0 };
		int32_t number[64];
		char dir[100];
		snprintf(dir, sizeof dir, "tests/ref/wordpiece/%s", json_string_value(json_object_get(c, "model")));
		struct ft_tok *t = ft_tok_open(dir);
		struct ft_words w = words_of(json_object_get(c, "words"), &a);
		int rc = t ? ft_words_encode(t, &w, &x) : FT_EFAIL;
		struct ft_tok_slice s = { &x, 0, x.n };
		struct ft_words_part p = { &s, 0, 1, 0 };
		rc = rc ? rc : ft_tok_wrap(t, &s, NULL, &whole);
		if (rc == FT_OK && whole.n <= 64)
			ft_words_align(t, &w, &p, NULL, number, NULL);
		ok(rc == FT_OK && same_ints(whole.ids, json_object_get(c, "ids"), whole.n), "%s, row %zu: ids", dir, i);
		ok(rc == FT_OK && same_ints(number, json_object_get(c, "numbers"), whole.n), "%s, row %zu: words", dir,
		   i);
		if (i == 1)
			is_int((long long)ft_words_silent(&w), 2, "words without a token");
		ft_tok_text_free(&x);
		ft_tok_text_free(&whole);
		ft_tok_free(t);
		ft_arena_free(&a);
	}
	ok(i > 5, "there is a reference");
	json_decref(all);
}

/* Labels of all parts of five words, of which the second and fourth have three tokens,
 * as the numbers of each example, "." for none, "|" between parts. */
static const char *aligned(struct ft_tok *t, size_t max, size_t stride, const int32_t *rest)
{
	static char out[200];
	static int32_t tag[] = { 0, 1, 2, 3, 4 };
	struct ft_arena a = { 0 };
	struct ft_tok_text x = { 0 };
	json_t *array = json_pack("[s,s,s,s,s]", "the", "a.b", "film", "c.d", "was");
	struct ft_words w = words_of(array, &a);
	struct ft_tok_limit l = { max, stride, FT_TOK_SPLIT };
	w.tag = tag;
	ft_tok_encode(t, "film film", 9, 0, &x); /* tokens of others before it */
	ft_words_encode(t, &w, &x);
	struct ft_tok_slice whole = { &x, 2, x.n - 2 };
	size_t at = 0, parts = (size_t)ft_tok_parts(t, &l, whole.n, false, 0);
	for (size_t i = 0; i < parts; i++) {
		struct ft_tok_slice s = whole;
		int32_t number[20], label[20];
		ft_tok_part(t, &l, i, &s, NULL);
		struct ft_words_part p = { &s, i, parts, stride };
		ft_words_align(t, &w, &p, rest, number, label);
		for (size_t k = 0; k < s.n + 2; k++)
			at += (size_t)snprintf(out + at, sizeof out - at, label[k] == FT_IGNORE ? "." : "%d", label[k]);
		at += (size_t)snprintf(out + at, sizeof out - at, i + 1 < parts ? "|" : "");
	}
	ft_tok_text_free(&x);
	ft_arena_free(&a);
	json_decref(array);
	return out;
}

static int counts_once(const char *s)
{
	int seen[5] = { 0 }, n = 0;
	for (; *s; s++)
		if (*s >= '0' && *s <= '4')
			seen[*s - '0']++;
	for (int i = 0; i < 5; i++)
		n += seen[i] == 1;
	return n == 5;
}

static void labels(void)
{
	struct ft_tok *t = ft_tok_open("tests/ref/wordpiece/uncased");
	int32_t *rest = ft_words_rest(names);
	ok(rest && !memcmp(rest, (int32_t[]){ 0, 2, 2, 4, 4 }, 5 * sizeof *rest), "behind B-X comes I-X");
	json_t *alone = json_pack("[s,s,s]", "O", "B-X", "I-Y");
	int32_t *same = ft_words_rest(alone);
	ok(same && !memcmp(same, (int32_t[]){ 0, 1, 2 }, 3 * sizeof *same), "or B-X again, where there is no I-X");
	json_decref(alone);
	free(same);
	if (!ok(t != NULL, "the tokenizer opens"))
		return;
	is_str(aligned(t, 64, 0, NULL), ".01..23..4.", "the first token of each word");
	is_str(aligned(t, 64, 0, rest), ".012223444.", "all tokens of each word");
	is_str(aligned(t, 6, 0, NULL), ".01...|.23...|.4.", "in parts");
	is_str(aligned(t, 5, 0, NULL), ".01..|..23.|...4.", "a word that is cut belongs to where it begins");
	is_str(aligned(t, 7, 2, NULL), ".01....|..23...|...4.", "of an overlap each word counts once");
	is_str(aligned(t, 7, 2, rest), ".0122..|..2344.|...4.", "all its tokens where it counts");
	int wrong = 0;
	for (size_t max = 4; max < 12; max++)
		for (size_t stride = 0; stride + 2 < max; stride++)
			wrong += !counts_once(aligned(t, max, stride, NULL));
	is_int(wrong, 0, "whatever the lengths");
	free(rest);
	ft_tok_free(t);
}

static void decoding(void)
{
	struct ft_tok *t = ft_tok_open("tests/ref/wordpiece/uncased");
	struct ft_arena a = { 0 };
	struct ft_words w;
	int32_t ids[] = { 2, 224, 392, 393, 96, 375, 230, 3 }, number[] = { -1, 4, 7, 7, 7, 7, 1000000000, -1 };
	int rc = ft_words_decode(t, ids, number, 8, &a, &w);
	ok(rc == FT_OK && w.n == 3 && w.word[1].n == 11 &&
	      memcmp(w.word[1].p, "unhappiness", 11) == 0, "words of tokens");
	ok(number[0] == -1 && number[1] == 0 && number[5] == 1 && number[6] == 2 && number[7] == -1, "numbered anew");
	ft_arena_free(&a);
	ft_tok_free(t);
	t = ft_tok_open("tests/ref/tokenizers/llama3"); /* a word's space is of its first token */
	struct ft_tok_text x = { 0 };
	if (t)
		ft_tok_encode(t, " the  train", 11, 0, &x);
	int32_t word[20] = { 0 };
	for (size_t i = 0; i < x.n && i < 20; i++)
		word[i] = x.begin[i] < 4 ? 0 : x.begin[i] < 5 ? 1 : 2;
	a = (struct ft_arena){ 0 };
	rc = t ? ft_words_decode(t, x.ids, word, x.n, &a, &w) : FT_EFAIL;
	ok(rc == FT_OK && w.n == 3 && w.word[0].n == 3 && !memcmp(w.word[0].p, "the", 3) && w.word[1].n == 0 && w.word[2].n == 5 &&
	   !memcmp(w.word[2].p, "train", 5), "spaces before words are not theirs, and a space alone is nothing");
	ft_tok_text_free(&x);
	ft_arena_free(&a);
	ft_tok_free(t);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	names = json_pack("[s,s,s,s,s]", "O", "B-PER", "I-PER", "B-LOC", "I-LOC");
	conll();
	other_formats();
	reference();
	labels();
	decoding();
	json_decref(names);
	rmdir(folder);
	return tap_done();
}

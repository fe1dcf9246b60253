/* The tokenizer against the reference's results (tests/ref/wordpiece), offsets,
 * templates, long texts, what is not UTF-8. Run from the repository's root. */
#include "ft/thread.h"
#include "ft/tok.h"
#include "ft/utf8.h"
#include "tests/tap.h"

#include <stdlib.h>

#define FOLDER "tests/ref/wordpiece"

static struct ft_tok *uncased;

/* ---- the reference's results ---- */

static bool same(const struct ft_tok_text *x, const json_t *ids, const json_t *types)
{
	bool good = json_array_size(ids) == x->n;
	for (size_t i = 0; good && i < x->n; i++)
		good = json_integer_value(json_array_get(ids, i)) == x->ids[i]
		       && json_integer_value(json_array_get(types, i)) == x->types[i];
	return good;
}

static void encode(const struct ft_tok *t, const char *text, const char *pair, struct ft_tok_text *out)
{
	struct ft_tok_text a = { 0 }, b = { 0 };
	int rc = ft_tok_encode(t, text, strlen(text), 0, &a);
	rc = rc < 0 || !pair ? rc : ft_tok_encode(t, pair, strlen(pair), 1, &b);
	struct ft_tok_slice sa = { &a, 0, a.n }, sb = { &b, 0, b.n };
	if (rc < 0 || ft_tok_wrap(t, &sa, pair ? &sb : NULL, out) < 0)
		out->n = 0;
	ft_tok_text_free(&a);
	ft_tok_text_free(&b);
}

static void golden(void)
{
	FILE *f = fopen(FOLDER "/golden.jsonl", "r");
	char *line = NULL, path[100], name[20] = "";
	size_t cap = 0;
	struct ft_tok *t = NULL;
	struct ft_tok_text x = { 0 };
	for (int n = 1; f && getline(&line, &cap, f) > 0; n++) {
		json_t *row = json_loads(line, JSON_ALLOW_NUL, NULL);
		const char *model = json_string_value(json_object_get(row, "model"));
		if (model && strcmp(model, name) != 0) {
			snprintf(name, sizeof name, "%s", model);
			snprintf(path, sizeof path, FOLDER "/%s", name);
			ft_tok_free(t);
			t = ft_tok_open(path);
			ok(t != NULL, "%s opens", name);
		}
		if (model && t) {
			struct ft_buf text = { 0 };
			const char *decoded = json_string_value(json_object_get(row, "decoded"));
			encode(t, json_string_value(json_object_get(row, "text")),
			       json_string_value(json_object_get(row, "pair")), &x);
			ok(same(&x, json_object_get(row, "ids"), json_object_get(row, "types")),
			   "line %d: ids, types", n);
			ft_tok_decode(t, x.ids, x.n, false, &text);
			ft_buf_append(&text, "", 1);
			is_str((char *)text.data, decoded, "and back to text");
			ft_buf_free(&text);
		}
		json_decref(row);
	}
	ok(f && t, "there is a file of results");
	ft_tok_text_free(&x);
	ft_tok_free(t);
	free(line);
	if (f)
		fclose(f);
}

/* ---- offsets ---- */

static void offsets(void)
{
	static const struct { const char *text; unsigned at[20]; } cases[] = { /* as the reference says */
		{ "The  film.", { 0, 3, 5, 9, 9, 10 } },
		{ "Café x", { 0, 5, 6, 7 } },
		{ "cafe\xcc\x81 x", { 0, 4, 7, 8 } },
		{ "a\xe2\x80\x8b" "b c", { 0, 1, 4, 5, 6, 7 } },
		{ "你好in", { 0, 3, 3, 6, 6, 8 } },
		{ "tokenizable", { 0, 5, 5, 6, 6, 7, 7, 11 } },
		{ "x[ENT] New  york", { 0, 1, 1, 6, 7, 10, 12, 13, 13, 14, 14, 15, 15, 16 } },
		{ "a New York b", { 0, 1, 2, 10, 11, 12 } },
		{ "한", { 0, 3, 0, 3, 0, 3 } },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct ft_tok_text x = { 0 };
		bool good = ft_tok_encode(uncased, cases[i].text, strlen(cases[i].text), 0, &x) == FT_OK
			&& x.n > 0;
		for (size_t k = 0; k < x.n; k++)
			good &= x.begin[k] == cases[i].at[2 * k] && x.end[k] == cases[i].at[2 * k + 1];
		ok(good && !cases[i].at[2 * x.n], "offsets of '%s'", cases[i].text);
		ft_tok_text_free(&x);
	}
}

/* ---- looking up ---- */

static void lookups(void)
{
	json_t *d = ft_tok_describe(uncased);
	char *text = d ? json_dumps(json_object_get(d, "special"), JSON_COMPACT) : NULL;
	is_str(text, "[0,1,2,3,4]", "special tokens");
	is_str(json_string_value(json_object_get(d, "type")), "wordpiece", "type");
	is_int(json_integer_value(json_object_get(d, "mask")), 4, "mask token");
	is_int(json_integer_value(json_object_get(d, "vocab")), (long long)ft_tok_size(uncased), "size");
	is_int(json_string_length(json_object_get(d, "digest")), 32, "digest");
	json_decref(d);
	free(text);
	is_int(ft_tok_id(uncased, "[SEP]"), 3, "id of a piece");
	is_int(ft_tok_id(uncased, "New York"), 409, "id of an added token");
	is_int(ft_tok_id(uncased, "nonsense"), -1, "no id");
	is_str(ft_tok_piece(uncased, 3), "[SEP]", "piece of an id");
	is_str(ft_tok_piece(uncased, 409), "New York", "of an added token");
	is_str(ft_tok_piece(uncased, -1), NULL, "of a negative id");
	is_str(ft_tok_piece(uncased, 410), NULL, "of an id too high");
	ok(ft_tok_is_special(uncased, 3) && !ft_tok_is_special(uncased, 409) && !ft_tok_is_special(uncased,
	                                                                                           30),
		"special");
	int32_t ids[] = { 2, 403, 3, -5, 99999, 184 };
	struct ft_buf b = { 0 };
	ft_buf_append(&b, ">", 1);
	ft_tok_decode(uncased, ids, 6, true, &b);
	ok(b.len == 6 && memcmp(b.data, ">film.", 6) == 0, "decoding appends, without special tokens and unknown ids");
	ft_buf_free(&b);
}

/* ---- long texts ---- */

/* What the reference leaves of a pair, found by trying: the shorter text whole,
 * or half; of an odd number the longer text, or the second of equals, has more. */
static void cut(size_t room, size_t *na, size_t *nb)
{
	bool second = *na <= *nb;
	while (*na + *nb > room) {
		if (*na > *nb || (*na == *nb && second))
			--*na;
		else
			--*nb;
	}
}

static void truncation(void)
{
	struct ft_tok_text none = { 0 };
	int wrong = 0;
	for (size_t max = 4; max < 14; max++) {
		struct ft_tok_limit l = { max, 0, FT_TOK_TRUNCATE };
		for (size_t na = 0; na < 16; na++) {
			struct ft_tok_slice a = { &none, 0, na };
			ft_tok_part(uncased, &l, 0, &a, NULL);
			wrong += a.n != (na > max - 2 ? max - 2 : na) || ft_tok_parts(uncased, &l, na, false, 0) != 1;
			for (size_t nb = 0; nb < 16; nb++) {
				struct ft_tok_slice pa = { &none, 0, na }, pb = { &none, 0, nb };
				size_t wa = na, wb = nb;
				ft_tok_part(uncased, &l, 0, &pa, &pb);
				cut(max - 3, &wa, &wb);
				wrong += pa.n != wa || pb.n != wb;
			}
		}
	}
	is_int(wrong, 0, "texts are cut as the reference cuts them");
}

/* Every token of n is in a part, neighbours overlap by the stride, none is too long. */
static bool covers(const struct ft_tok_limit *l, size_t n, bool pair, size_t first)
{
	struct ft_tok_text none = { 0 };
	int64_t parts = ft_tok_parts(uncased, l, pair ? first : n, pair, pair ? n : 0);
	size_t end = 0;
	bool good = parts > 0;
	for (int64_t i = 0; i < parts; i++) {
		struct ft_tok_slice a = { &none, 0, pair ? first : n }, b = { &none, 0, n };
		ft_tok_part(uncased, l, (size_t)i, &a, pair ? &b : NULL);
		struct ft_tok_slice *s = pair ? &b : &a;
		good &= s->n > 0 && s->from == (i ? end - l->stride : 0) && (!pair || a.n == first);
		good &= s->n + (pair ? a.n + 3 : 2) <= l->max;
		end = s->from + s->n;
	}
	return good && end == n;
}

static void splitting(void)
{
	int wrong = 0;
	for (size_t max = 8; max < 14; max++)
		for (size_t stride = 0; stride < 4; stride++)
			for (size_t n = 1; n < 40; n++) {
				struct ft_tok_limit l = { max, stride, FT_TOK_SPLIT };
				wrong += !covers(&l, n, false, 0);
				wrong += stride < max - 4 && !covers(&l, n, true, 1);
			}
	is_int(wrong, 0, "parts cover the text and overlap by the stride");
	struct ft_tok_limit l = { 10, 2, FT_TOK_SPLIT }, few = { 1, 0, FT_TOK_ERROR };
	ok(ft_tok_is_long(uncased, &few, 1, false, 0) && !ft_tok_is_long(uncased, &few, 0, false, 0), "where special tokens have no room nothing has");
	ok(ft_tok_parts(uncased, &few, 2, true, 3) == FT_EFORMAT && strcmp(ft_message(), "has 5 tokens, and 0 are allowed") == 0, "two texts are counted together");
	is_int(ft_tok_parts(uncased, &l, 7, true, 5), FT_EFORMAT, "a first text that leaves no room");
	is_int(ft_tok_parts(uncased, &l, 6, true, 5), FT_EFORMAT, "or not enough for the overlap");
	l.policy = FT_TOK_DROP;
	is_int(ft_tok_parts(uncased, &l, 9, false, 0), 0, "dropped");
	is_int(ft_tok_parts(uncased, &l, 8, false, 0), 1, "not dropped");
	l.policy = FT_TOK_ERROR;
	is_int(ft_tok_parts(uncased, &l, 9, false, 0), FT_EFORMAT, "refused");
}

/* ---- UTF-8, threads ---- */

static void utf8(void)
{
	static const struct { const char *bytes; size_t n, count; } cases[] = {
		{ "plain ascii text", 16, 0 }, { "é漢🦙", 9, 0 }, { "\x80", 1, 1 }, { "\xc3", 1, 1 },
		{ "\xe6\xbc", 2, 1 }, { "\xe6\xbc" "a", 3, 1 }, { "\xf0\x9f\xa6", 3, 1 }, { "\xc0\x80", 2,
		                                                                           2 },
		{ "\xed\xa0\x80", 3, 3 }, { "\xf4\x90\x80\x80", 4, 4 }, { "\xe0\x80\x80", 3, 3 },
		{ "abcdefgh\xff" "abcdefgh", 17, 1 }, { "", 0, 0 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		is_int((long long)ft_utf8_invalid(cases[i].bytes, cases[i].n), (long long)cases[i].count, "not UTF-8");
	struct ft_tok_text x = { 0 };
	ft_tok_encode(uncased, "fi\xfflm", 5, 0, &x);
	ok(x.n == 1 && x.ids[0] == 403 && x.end[0] == 5, "what is not UTF-8 is dropped by clean_text");
	ft_tok_text_free(&x);
}

static void encode_again(void *ctx, size_t i)
{
	static const char text[] = "Unhappiness, un-tokenizable é 你好 [SEP] trainings!";
	struct ft_tok_text *x = ctx;
	for (int k = 0; k < 50; k++) {
		x[i].n = 0;
		ft_tok_encode(uncased, text, strlen(text), 0, &x[i]);
	}
}

static void threads(void)
{
	struct ft_tok_text x[16] = { 0 };
	bool good = true;
	ft_threads_set(4);
	ft_parallel(16, encode_again, x);
	for (int i = 0; i < 16; i++) {
		good &= x[i].n == x[0].n && memcmp(x[i].ids, x[0].ids, x[0].n * sizeof(int32_t)) == 0;
		if (i)
			ft_tok_text_free(&x[i]);
	}
	ok(good && x[0].n > 10, "threads share a tokenizer");
	ft_tok_text_free(&x[0]);
}

int main(void)
{
	uncased = ft_tok_open(FOLDER "/uncased");
	if (!ok(uncased != NULL, "the tokenizer opens"))
		return tap_done();
	golden();
	offsets();
	lookups();
	truncation();
	splitting();
	utf8();
	threads();
	ft_tok_free(uncased);
	return tap_done();
}

/* Tokenizers of the great families against the reference's results
 * (tests/ref/tokenizers): ids, types, places, text; long texts without a space. Run
 * from the repository's root. */
#include "ft/thread.h"
#include "ft/tok.h"
#include "tests/tap.h"

#include <stdlib.h>

#define FOLDER "tests/ref/tokenizers"

static bool same_ints(const json_t *list, const int32_t *have, size_t n)
{
	bool good = json_array_size(list) == n;
	for (size_t i = 0; good && i < n; i++)
		good = json_integer_value(json_array_get(list, i)) == have[i];
	return good;
}

static bool same_types(const json_t *list, const struct ft_tok_text *x)
{
	bool good = !list || json_array_size(list) == x->n;
	for (size_t i = 0; good && i < x->n; i++)
		good = (list ? json_integer_value(json_array_get(list, i)) : 0) == x->types[i];
	return good;
}

static bool same_places(const json_t *at, const struct ft_tok_text *x)
{
	bool good = json_array_size(at) == 2 * x->n;
	for (size_t i = 0; good && i < x->n; i++)
		good = json_integer_value(json_array_get(at, 2 * i)) == x->begin[i]
		       && json_integer_value(json_array_get(at, 2 * i + 1)) == x->end[i];
	return good;
}

static void text_row(const struct ft_tok *t, const json_t *row, int line)
{
	const json_t *text = json_object_get(row, "text"), *pair = json_object_get(row, "pair");
	struct ft_tok_text a = { 0 }, b = { 0 }, x = { 0 };
	struct ft_buf back = { 0 };
	int rc = ft_tok_encode(t, json_string_value(text), json_string_length(text), 0, &a);
	if (rc == FT_OK && pair)
		rc = ft_tok_encode(t, json_string_value(pair), json_string_length(pair), 1, &b);
	struct ft_tok_slice sa = { &a, 0, a.n }, sb = { &b, 0, b.n };
	if (rc == FT_OK)
		rc = ft_tok_wrap(t, &sa, pair ? &sb : NULL, &x);
	bool ids = rc == FT_OK && same_ints(json_object_get(row, "ids"), x.ids, x.n);
	ok(ids && same_types(json_object_get(row, "types"), &x), "line %d: ids and types", line);
	if (json_object_get(row, "at"))
		ok(ids && same_places(json_object_get(row, "at"), &x), "line %d: places", line);
	const json_t *decoded = json_object_get(row, "decoded");
	ft_tok_decode(t, x.ids, x.n, false, &back);
	ft_buf_append(&back, "", 1);
	is_str((char *)back.data, json_string_value(decoded ? decoded : text), "and back to text");
	ft_buf_free(&back);
	ft_tok_text_free(&a);
	ft_tok_text_free(&b);
	ft_tok_text_free(&x);
}

/* As long_text() of make-tokenizers.py. */
static int make_long(const json_t *row, struct ft_buf *out)
{
	const char *letters = json_string_value(json_object_get(row, "letters")), *letter[16];
	uint64_t state = (uint64_t)json_integer_value(json_object_get(row, "seed"));
	size_t count = 0;
	int rc = FT_OK;
	for (const char *p = letters; *p; p++)
		if (((unsigned char)*p & 0xc0) != 0x80)
			letter[count++] = p;
	letter[count] = letters + strlen(letters);
	for (json_int_t i = json_integer_value(json_object_get(row, "n")); i > 0 && rc == FT_OK; i--) {
		state = (state * 1103515245 + 12345) % ((uint64_t)1 << 31);
		size_t k = (size_t)(state >> 16) % count;
		rc = ft_buf_append(out, letter[k], (size_t)(letter[k + 1] - letter[k]));
	}
	return rc;
}

static void long_row(const struct ft_tok *t, const json_t *row, int line)
{
	struct ft_tok_text x = { 0 };
	struct ft_buf text = { 0 };
	char sum[20] = "";
	if (make_long(row, &text) == FT_OK && ft_tok_encode(t, (char *)text.data, text.len, 0, &x) == FT_OK) {
		uint64_t h = 1469598103934665603u;
		for (size_t i = 0; i < x.n; i++)
			h = (h ^ (uint64_t)x.ids[i]) * 1099511628211u;
		snprintf(sum, sizeof sum, "%016llx", (unsigned long long)h);
	}
	printf("# line %d: %zu bytes of '%s'\n", line, text.len, json_string_value(json_object_get(row, "letters")));
	is_int((long long)x.n, json_integer_value(json_object_get(row, "count")), "tokens of a long text");
	is_str(sum, json_string_value(json_object_get(row, "sum")), "and their ids");
	ft_buf_free(&text);
	ft_tok_text_free(&x);
}

static void golden(void)
{
	FILE *f = fopen(FOLDER "/golden.jsonl", "r");
	char *line = NULL, path[100], name[20] = "";
	size_t cap = 0;
	struct ft_tok *t = NULL;
	for (int n = 1; f && getline(&line, &cap, f) > 0; n++) {
		json_t *row = json_loads(line, 0, NULL);
		const char *model = json_string_value(json_object_get(row, "model"));
		if (model && strcmp(model, name) != 0) {
			snprintf(name, sizeof name, "%s", model);
			snprintf(path, sizeof path, FOLDER "/%s", name);
			ft_tok_free(t);
			t = ft_tok_open(path);
			ok(t != NULL, "%s opens", name);
		}
		if (model && t)
			(json_object_get(row, "letters") ? long_row : text_row)(t, row, n);
		json_decref(row);
	}
	ok(f && t, "there is a file of results");
	ft_tok_free(t);
	free(line);
	if (f)
		fclose(f);
}

/* ---- what a stream says of them ---- */

static void describe(void)
{
	static const struct { const char *name; int unk, cls, sep, mask, bos, eos, pad; } cases[] = {
		{ "roberta", 379, 376, 377, 380, 376, 377, 378 }, { "gpt2", -1, -1, -1, -1, -1, -1, -1 },
		{ "llama2", 0, -1, -1, -1, -1, -1, -1 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char path[100];
		snprintf(path, sizeof path, FOLDER "/%s", cases[i].name);
		struct ft_tok *t = ft_tok_open(path);
		json_t *d = t ? ft_tok_describe(t) : NULL;
		const struct { const char *key; int want; } keys[] = {
			{ "unk", cases[i].unk }, { "cls", cases[i].cls }, { "sep", cases[i].sep },
			{ "mask", cases[i].mask }, { "bos", cases[i].bos }, { "eos", cases[i].eos },
			{ "pad", cases[i].pad },
		};
		is_str(json_string_value(json_object_get(d, "type")), "bpe", cases[i].name);
		for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
			const json_t *v = json_object_get(d, keys[k].key);
			is_int(json_is_integer(v) ? json_integer_value(v) : -1, keys[k].want, keys[k].key);
		}
		json_decref(d);
		ft_tok_free(t);
	}
}

/* ---- one tokenizer for all threads, one result for several tokenizers ---- */

static const struct ft_tok *shared;

static void encode_again(void *ctx, size_t i)
{
	static const char text[] = "The trainer's trains they've told, été 你好世界 🦙 "
	                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";
	struct ft_tok_text *x = ctx;
	for (int k = 0; k < 50; k++) {
		x[i].n = 0;
		ft_tok_encode(shared, text, strlen(text) - i % 3, 0, &x[i]);
	}
}

static void threads(void)
{
	struct ft_tok_text x[16] = { 0 }, one = { 0 };
	struct ft_tok *a = ft_tok_open(FOLDER "/llama3"), *b = ft_tok_open(FOLDER "/llama2");
	bool good = a && b;
	shared = a;
	ft_threads_set(4);
	ft_parallel(16, encode_again, x);
	for (int i = 3; i < 16; i++)
		good &= x[i].n == x[i % 3].n && memcmp(x[i].ids, x[i % 3].ids, x[i].n * sizeof(int32_t)) == 0;
	ok(good && x[0].n > 10, "threads share a tokenizer");
	for (int i = 0; i < 6; i++) {
		const struct ft_tok *t = i % 2 ? b : a;
		one.n = 0;
		good &= ft_tok_encode(t, "the train", 9, 0, &one) == FT_OK && one.n > 1
		        && strcmp(ft_tok_piece(t, one.ids[one.n - 1]), i % 2 ? "▁train" : "Ġtrain") == 0;
	}
	ok(good, "a result serves two tokenizers by turns");
	for (int i = 0; i < 16; i++)
		ft_tok_text_free(&x[i]);
	ft_tok_text_free(&one);
	ft_tok_free(a);
	ft_tok_free(b);
}

/* What is not UTF-8 is U+FFFD, as in the reference's bindings. */
static void not_utf8(void)
{
	struct ft_tok *t = ft_tok_open(FOLDER "/gpt2");
	struct ft_tok_text x = { 0 }, y = { 0 };
	int rc = t ? ft_tok_encode(t, "a\xff b", 4, 0, &x) : FT_EFAIL;
	rc = rc == FT_OK ? ft_tok_encode(t, "a\xef\xbf\xbd b", 6, 0, &y) : rc;
	ok(rc == FT_OK && x.n == y.n && memcmp(x.ids, y.ids, x.n * sizeof *x.ids) == 0,
	   "what is not UTF-8 is replaced");
	ok(x.n > 2 && x.begin[1] == 1 && x.end[1] == 2 && x.end[x.n - 1] == 4, "and the places are those of the bytes");
	ft_tok_text_free(&x);
	ft_tok_text_free(&y);
	ft_tok_free(t);
}

int main(void)
{
	golden();
	describe();
	threads();
	not_utf8();
	return tap_done();
}

/* lines.c - records as JSON and back, bit for bit. */
#include "ft/lines.h"
#include "ft/tensor.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>

/* One record to text and back; *text is what it looked like. */
static int there_and_back(const struct ft_rec *rec, int data, struct ft_rec *back, struct ft_arena *a, char **text)
{
	struct ft_buf b = { 0 };
	int rc = ft_lines_record(&b, rec, data);
	json_t *v = rc == FT_OK ? ft_json_parse("line 1", (const char *)b.data, b.len) : NULL;
	rc = v ? ft_lines_parse(v, data, a, back) : FT_EFAIL;
	*text = ft_strndup((const char *)b.data, b.len);
	ft_buf_free(&b);
	/* *back borrows from v: leaked on purpose until the program ends. */
	static json_t *held;
	if (!held)
		held = json_array();
	json_array_append_new(held, v);
	return rc;
}

static int same_bytes(struct ft_span a, struct ft_span b)
{
	return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n));
}

static int same(const struct ft_rec *a, const struct ft_rec *b)
{
	int good = a->count == b->count;
	for (size_t i = 0; i < a->count && good; i++) {
		const struct ft_field *x = &a->field[i], *y = &b->field[i];
		good = same_bytes(x->key, y->key) && x->type == y->type && x->nstrs == y->nstrs;
		if (good && x->type == FT_INT)
			good = x->i == y->i;
		if (good && x->type == FT_REAL)
			good = !memcmp(&x->real, &y->real, sizeof x->real);
		if (good && (x->type == FT_STR || x->type == FT_BIN))
			good = same_bytes(x->bytes, y->bytes);
		for (size_t k = 0; k < x->nstrs && good; k++)
			good = same_bytes(x->strs[k], y->strs[k]);
	}
	return good;
}

static void check(const struct ft_rec *rec, int data, const char *want, const char *what)
{
	struct ft_arena a = { 0 };
	struct ft_rec back;
	char *text = NULL;
	int rc = there_and_back(rec, data, &back, &a, &text);
	int good = ok(rc == FT_OK && same(rec, &back), "%s: there and back", what);
	if (want)
		is_str(text, want, what);
	else if (!good)
		printf("# %s\n", text);
	free(text);
	ft_arena_free(&a);
}

static void test_example(void)
{
	const int32_t ids[] = { 0, 101, INT32_MAX }, labels[] = { FT_IGNORE, INT32_MIN, 7 };
	const uint8_t types[] = { 0, 1, 255 };
	const float targets[] = { 0.1f, -0.0f, 1e-45f, 3.4028235e38f, 16777217.0f, 2.0f };
	const struct ft_span src[] = { { "a:1", 3 }, { "", 0 }, { "\xc3\xa9", 2 } };
	const int64_t window[] = { (1ll << 53) - 1, 0, 2 };
	struct ft_rec r = { .count = 0 };
	ft_rec_bin(&r, "ids", ids, sizeof ids);
	ft_rec_bin(&r, "types", types, sizeof types);
	ft_rec_bin(&r, "labels", labels, sizeof labels);
	ft_rec_bin(&r, "targets", targets, sizeof targets);
	ft_rec_strs(&r, "src", src, 3);
	ft_rec_bin(&r, "window", window, sizeof window);
	ft_rec_int(&r, "epoch", 3);
	check(&r, -1,
	      "{\"ids\":[0,101,2147483647],\"types\":[0,1,255],\"labels\":[-100,-2147483648,7],"
	      "\"targets\":[0.1,-0.0,1.4013e-45,3.4028235e+38,16777216,2],\"src\":[\"a:1\",\"\",\"\xc3\xa9\"],"
	      "\"window\":[9007199254740991,0,2],\"epoch\":3}",
	      "an example");
}

static void test_odd(void)
{
	const float bad[] = { 1.0f, NAN, -INFINITY };
	struct ft_rec r = { .count = 0 };
	ft_rec_str(&r, "src", (struct ft_span){ "q\"\\\n\x01\x7f\0z", 8 });
	ft_rec_bin(&r, "targets", bad, sizeof bad);
	ft_rec_bin(&r, "extra", "\x00\xff\x10", 3);
	ft_rec_bin(&r, "ids", "\x01\x02\x03", 3);
	ft_rec_strs(&r, "empty", NULL, 0);
	ft_rec_bin(&r, "labels", NULL, 0);
	ft_rec_int(&r, "i", INT64_MIN);
	ft_rec_real(&r, "a", 0.1);
	ft_rec_real(&r, "b", 3.0);
	ft_rec_real(&r, "c", -0.0);
	ft_rec_real(&r, "d", 1e300);
	ft_rec_real(&r, "e", INFINITY);
	ft_rec_real(&r, "f", 5e-324);
	check(&r, -1, NULL, "text, bins and numbers that JSON has not");
}

static void test_chunk(void)
{
	float values[257];
	for (int i = 0; i < 257; i++)
		values[i] = (float)(sin(i) * pow(10, i % 60 - 30));
	struct ft_rec r = { .count = 0 };
	ft_rec_bin(&r, "data", values, sizeof values);
	check(&r, FT_F32, NULL, "a chunk of F32");
	check(&r, FT_I64, NULL, "a chunk of another type");
	static uint16_t half[63488]; /* all of them but those that are not finite */
	size_t n = 0;
	for (unsigned i = 0; i < 65536; i++)
		if ((i & 0x7c00) != 0x7c00)
			half[n++] = (uint16_t)i;
	r.count = 0;
	ft_rec_bin(&r, "data", half, n * 2);
	check(&r, FT_F16, NULL, "every F16");
	n = 0;
	for (unsigned i = 0; i < 65536; i++)
		if ((i & 0x7f80) != 0x7f80 && n < 63488)
			half[n++] = (uint16_t)i;
	r.count = 0;
	ft_rec_bin(&r, "data", half, n * 2);
	check(&r, FT_BF16, NULL, "BF16");
}

static void test_refused(void)
{
	static const char *const bad[] = {
		"[]", "{\"ids\":[1.5]}", "{\"ids\":[2147483648]}", "{\"ids\":[\"x\"]}", "{\"types\":[256]}", "{\"types\":[-1]}",
		"{\"targets\":[\"x\"]}", "{\"targets\":[1e39]}", "{\"src\":[1]}", "{\"x\":null}", "{\"x\":true}",
		"{\"x\":{\"bin\":\"0\"}}", "{\"x\":{\"bin\":\"zz\"}}", "{\"x\":{\"bin\":\"00\",\"y\":1}}", "{\"x\":{}}",
		"{\"x\":{\"real\":\"00\"}}",
		"{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,"
		"\"n\":1,\"o\":1,\"p\":1,\"q\":1}",
	};
	struct ft_arena a = { 0 };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		json_t *v = ft_json_parse("line 1", bad[i], strlen(bad[i]));
		struct ft_rec rec;
		ok(v && ft_lines_parse(v, -1, &a, &rec) == FT_EFORMAT, "refused: %.40s", bad[i]);
		json_decref(v);
	}
	ft_arena_free(&a);
}

static void test_json(void)
{
	const char *text = "{\"a\":[1,0.1,2.0,1e-05,null,true,false,\"x\\ny\",{}],\"b\":{\"c\":-3}}";
	json_t *v = ft_json_parse("t", text, strlen(text)), *again;
	struct ft_buf b = { 0 };
	ft_lines_json(&b, v);
	again = ft_json_parse("t", (const char *)b.data, b.len);
	ft_buf_append(&b, "", 1);
	is_str((const char *)b.data, "{\"a\":[1,0.1,2.0,1e-05,null,true,false,\"x\\u000ay\",{}],\"b\":{\"c\":-3}}",
	       "a header's values with no more digits than they need");
	ok(json_equal(v, again), "and they come back the same");
	json_decref(v);
	json_decref(again);
	ft_buf_free(&b);
}

static void test_log(void)
{
	const char *text =
		"[{\"tool\":\"ft-tokenize\",\"version\":\"1\",\"options\":[],\"parents\":[],\"id\":\"aaaaaaaaaa\"},"
		"{\"tool\":\"ft-batch\",\"version\":\"1\",\"options\":[\"--rows=2\"],\"id\":\"bbbbbbbbbb\","
		" \"parents\":[{\"kind\":\"tokens\",\"id\":\"aaaaaaaaaa\"}]},"
		"{\"tool\":\"ft-freeze\",\"version\":\"1\",\"options\":[],\"parents\":[],\"id\":\"cccccccccc\"},"
		"{\"tool\":\"ft-train\\u001b\",\"version\":\"1\",\"options\":[],\"parents\":[{\"kind\":\"model\",\"id\":\"cccccccccc\"},"
		"{\"kind\":\"batches\",\"id\":\"bbbbbbbbbb\"},{\"kind\":\"batches\",\"id\":\"dddddddddd\"}]}]";
	json_t *log = ft_json_parse("t", text, strlen(text));
	struct ft_buf b = { 0 };
	int rc = ft_lines_log(&b, log);
	ft_buf_append(&b, "", 1);
	is_int(rc, 0, "a log is shown");
	is_str((const char *)b.data,
	       "ft-train\\x1b 1\n"
	       "|- model cccccccc: ft-freeze 1\n"
	       "|- batches bbbbbbbb: ft-batch 1 --rows=2\n"
	       "|  `- tokens aaaaaaaa: ft-tokenize 1\n"
	       "`- batches dddddddd: (its log says nothing)\n",
	       "as a tree, by the ids of its entries");
	json_decref(log);
	ft_buf_free(&b);
}

int main(void)
{
	test_example();
	test_odd();
	test_chunk();
	test_refused();
	test_json();
	test_log();
	return tap_done();
}

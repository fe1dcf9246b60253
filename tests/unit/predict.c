/* predict.c - probabilities, and the text that predictions are written as. */
#include "ft/err.h"
#include "ft/metric.h"
#include "ft/rng.h"
#include "tests/tap.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static const char *text_of(struct ft_buf *b)
{
	ft_buf_append(b, "", 1);
	b->len = 0;
	return (const char *)b->data;
}

static void is_float(float v, const char *want)
{
	struct ft_buf b = { 0 };
	ft_put_float(&b, v);
	is_str(text_of(&b), want, want);
	ft_buf_free(&b);
}

static void test_float_text(void)
{
	is_float(0.0f, "0");
	is_float(1.0f, "1");
	is_float(-2.5f, "-2.5");
	is_float(0.1f, "0.100000001");
	is_float(10000.0f, "10000");
	is_float(12345.678f, "12345.6777");
	is_float(99999999.0f, "100000000");
	is_float(16777215.0f, "16777215");
	is_float(1e-5f, "9.99999975e-06");
	is_float(0.99999994f, "0.99999994");
	is_float(0.00012207031f, "0.000122070313");
	is_float(FLT_MAX, "3.40282347e+38");
	is_float(NAN, "null");
	is_float(-INFINITY, "null");
}

/* Every exponent, random mantissas: what is written reads back as the same float. */
static void test_float_round_trip(void)
{
	struct ft_rng rng;
	int wrong = 0;
	ft_rng_init(&rng, 1, 0);
	for (int i = 0; i < 300000; i++) {
		uint32_t bits = ft_rng_u32(&rng);
		float v, back;
		/* Half of them near what vectors and probabilities hold. */
		if (i % 2)
			bits = (bits & 0x807fffffu) | (uint32_t)(100 + bits % 40) << 23;
		memcpy(&v, &bits, sizeof v);
		struct ft_buf b = { 0 };
		if (ft_put_float(&b, v) < 0)
			wrong++;
		back = strtof(text_of(&b), NULL);
		wrong += isfinite(v) && memcmp(&v, &back, sizeof v) != 0 && !(v == 0.0f && back == 0.0f);
		ft_buf_free(&b);
	}
	is_int(wrong, 0, "300000 floats read back as they were");
}

static void is_string(const char *s, size_t n, const char *want, const char *what)
{
	struct ft_buf b = { 0 };
	ft_put_string(&b, s, n);
	is_str(text_of(&b), want, what);
	ft_buf_free(&b);
}

static void test_string(void)
{
	is_string("a\"b\\c\n\t\x01", 8, "\"a\\\"b\\\\c\\n\\t\\u0001\"", "what JSON escapes");
	is_string("z\xC3\xA9\xF0\x9F\x98\x80", 7, "\"z\xC3\xA9\xF0\x9F\x98\x80\"", "UTF-8 goes through");
	is_string("a\xC3", 2, "\"a\xEF\xBF\xBD\"", "a cut character is replaced");
	is_string("\xFF\xED\xA0\x80", 1, "\"\xEF\xBF\xBD\"", "a byte that is not UTF-8 is replaced");
	is_string("\0", 1, "\"\\u0000\"", "a NUL");
	is_string("", 0, "\"\"", "nothing");
}

static void test_probabilities(void)
{
	float logits[] = { 1000.0f, 999.0f, -1000.0f }, p[3];
	ft_probabilities(FT_TASK_CLASSIFY, logits, 3, p);
	is_near((double)p[0] + (double)p[1] + (double)p[2], 1.0, 1e-6, "softmax sums to 1");
	is_near((double)p[0], 0.7310585786, 1e-6, "and does not overflow");
	ft_probabilities(FT_TASK_MULTILABEL, logits, 3, p);
	ok(p[0] == 1.0f && p[2] == 0.0f, "sigmoid of large logits");
	ft_probabilities(FT_TASK_REGRESS, logits, 3, p);
	ok(p[1] == 999.0f, "a value stays as it is");
	float equal[] = { 1.0f, 3.0f, 3.0f };
	is_int((long long)ft_argmax(equal, 3), 1, "the first of equals");
}

static void test_labels(void)
{
	struct ft_buf b = { 0 };
	json_t *labels = json_pack("[s, s]", "a\"b", "c");
	float p[] = { 0.25f, 0.5f };
	ft_put_probabilities(&b, labels, p, 2);
	is_str(text_of(&b), "{\"a\\\"b\":0.25,\"c\":0.5}", "probabilities by name");
	ft_put_probabilities(&b, NULL, p, 2);
	is_str(text_of(&b), "[0.25,0.5]", "without names an array");
	ft_put_labels(&b, labels, p, 2, NULL);
	is_str(text_of(&b), "[\"c\"]", "labels from the threshold on");
	ft_put_label(&b, NULL, 7);
	is_str(text_of(&b), "7", "a class without a name is its number");
	json_decref(labels);
	ft_buf_free(&b);
}

int main(void)
{
	test_float_text();
	test_float_round_trip();
	test_string();
	test_probabilities();
	test_labels();
	return tap_done();
}

/* meta.c - the meta object of what is made from several streams. */
#include "ft/batch.h"
#include "ft/err.h"
#include <string.h>

/* Of two tokenizers the digest decides; where one says none, all of them must be alike. */
static bool same_tokenizer(const json_t *a, const json_t *b)
{
	const json_t *x = json_object_get(a, "digest"), *y = json_object_get(b, "digest");

	return x && y ? json_equal(x, y) : json_equal(a, b);
}

static int agree(struct ft_reader *first, struct ft_reader *other, const char *key)
{
	const json_t *a = json_object_get(ft_reader_meta(first), key);
	const json_t *b = json_object_get(ft_reader_meta(other), key);
	bool same = !a || !b ? a == b : !strcmp(key, "tokenizer") ? same_tokenizer(a, b) : json_equal(a, b);

	if (same)
		return FT_OK;
	return ft_fail(FT_EMATCH, "%s and %s differ in %s; they were not tokenized for the same model",
	               ft_reader_name(first), ft_reader_name(other), key);
}

/* Counts of batches streams add up; where one does not count, the sum is unknown. */
static int add_counts(json_t *meta, struct ft_reader *const *r, size_t n)
{
	static const char *const keys[] = { "batches", "epochs", "examples", "rows", "tokens" };

	for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
		json_int_t sum = 0, v;
		bool known = true;

		for (size_t i = 0; i < n; i++) {
			const json_t *count = json_object_get(ft_reader_meta(r[i]), keys[k]);

			v = json_integer_value(count);
			known &= json_is_integer(count) && v >= 0 && !__builtin_add_overflow(sum, v, &sum);
		}
		if (!known)
			json_object_del(meta, keys[k]);
		else if (json_object_set_new(meta, keys[k], json_integer(sum)) < 0)
			return ft_fail(FT_EFAIL, "out of memory for a stream's header");
	}
	return FT_OK;
}

/* Conversations were rendered with one template; texts with none, and may stand beside them. */
static int join_template(json_t *meta, struct ft_reader *const *r, size_t n)
{
	struct ft_reader *first = NULL;

	for (size_t i = 0; i < n; i++) {
		json_t *template = json_object_get(ft_reader_meta(r[i]), "template");

		if (!template)
			continue;
		if (first && agree(first, r[i], "template") < 0)
			return FT_EMATCH;
		if (!first && json_object_set(meta, "template", template) < 0)
			return ft_fail(FT_EFAIL, "out of memory for a stream's header");
		first = first ? first : r[i];
	}
	return FT_OK;
}

json_t *ft_meta_join(struct ft_reader *const *r, size_t n)
{
	static const char *const keys[] = { "tokenizer", "task", "labels", "outputs" };
	json_t *meta = ft_json_deep_copy(ft_reader_meta(r[0]));
	json_int_t longest = json_integer_value(json_object_get(meta, "max_length"));

	if (!meta) {
		ft_fail(FT_EFAIL, "out of memory for a stream's header");
		return NULL;
	}
	for (size_t i = 1; i < n; i++) {
		json_int_t length = json_integer_value(json_object_get(ft_reader_meta(r[i]), "max_length"));

		for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
			if (agree(r[0], r[i], keys[k]) < 0) {
				json_decref(meta);
				return NULL;
			}
		}
		longest = length > longest ? length : longest;
	}
	if (longest)
		json_object_set_new(meta, "max_length", json_integer(longest));
	if (add_counts(meta, r, n) < 0 || join_template(meta, r, n) < 0) {
		json_decref(meta);
		return NULL;
	}
	return meta;
}

/* identity.c - what the result of a run follows from, and how two of these differ.
 *
 * Options are taken as the command line gives them: every option that can change the
 * result is there by being an option, and the model's log repeats them to the letter. */
#include "ft/digest.h"
#include "ft/format.h"
#include "ft/tensor.h"
#include "priv.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int differ(struct ft_buf *differences, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return ft_buf_printf(differences, "%s%s", differences->len ? "; " : "", text);
}

/* ---- making it ---- */

/* Of a plan or a tuned model: of its stream, all tensors included. Of a folder or a GGUF file: of
 * what is said about it, in which the digest of its contents stands. */
static json_t *plan_digest(const struct ft_model *m)
{
	char hex[33];
	if (ft_model_reader(m)) {
		ft_reader_digest(ft_model_reader(m), hex);
		return json_string(hex);
	}
	struct ft_digest *d = ft_digest_new();
	char *text = d ? ft_json_text(ft_model_meta(m)) : NULL;
	if (text) {
		ft_digest_add(d, text, strlen(text));
		ft_digest_hex(d, hex);
	}
	ft_digest_free(d);
	json_t *v = text ? json_string(hex) : NULL;
	free(text);
	return v;
}

/* Of a file that is read beside the batches: of all of the stream. `path` NULL: of none. */
static json_t *file_digest(const char *option, const char *path, const char *kind)
{
	char hex[33];
	if (!path)
		return json_null();
	struct ft_reader *r = ft_reader_open(path, kind);
	int rc = r ? ft_reader_drain(r) : ft_last_error();
	if (rc == FT_OK)
		ft_reader_digest(r, hex);
	else
		ft_context(rc, "%s", option);
	ft_reader_close(r);
	return rc == FT_OK ? json_string(hex) : NULL;
}

/* Of another model, whose stream names its base by digest. */
static json_t *model_digest(const char *option, const char *path)
{
	if (!path || !ft_base_is(path))
		return file_digest(option, path, "model");
	struct ft_base *b = ft_base_open(path, FT_BASE_BARE);
	const char *hex = b ? ft_base_digest(b) : NULL;
	json_t *v = hex ? json_string(hex) : NULL;
	if (!hex)
		ft_context(ft_last_error(), "%s", option);
	ft_base_close(b);
	return v;
}

/* Takes over `v`, which is NULL when it could not be made. */
static int add(json_t *identity, const char *key, json_t *v)
{
	return v ? ft_json_set(identity, key, v) : ft_last_error();
}

json_t *identity_make(struct run *r)
{
	const json_t *base = json_object_get(json_object_get(ft_model_meta(r->m), "base"), "digest");
	json_t *v = json_pack("{s:s, s:O?, s:O?, s:s, s:b, s:s}", "version", FT_VERSION, "options",
	                      json_object_get(ft_invocation(), "options"), "base", base, "header of the batches",
	                      ft_reader_id(r->data), "log", r->o->log != NULL, "kernels", ft_isa());
	char parts[24];
	snprintf(parts, sizeof parts, "%lld", (long long)r->o->parts); /* may be chosen, and is in no option then */
	int rc = v ? add(v, "plan", plan_digest(r->m)) : ft_fail(FT_EFAIL, "out of memory for a checkpoint");
	rc = rc ? rc : add(v, "parts", json_string(parts));
	const char *valid = r->valid ? validator_path(r->valid) : NULL;
	rc = rc ? rc : add(v, "validation data", file_digest("--valid", valid, "batches"));
	rc = rc ? rc : add(v, "Fisher information", file_digest("--ewc", r->o->ewc, "fisher"));
	rc = rc ? rc : add(v, "teacher", model_digest("--distill", r->o->objective.teacher));
	if (rc == FT_OK)
		return v;
	json_decref(v);
	return NULL;
}

/* ---- comparing options: arrays of "--name=value" and "--name" ---- */
static size_t name_length(const char *option)
{
	return strcspn(option, "=");
}

/* Appends the values of the option whose name is the first n bytes of `option`: "1e-3", "a, b". */
static int put_values(struct ft_buf *b, const json_t *options, const char *option, size_t n)
{
	size_t i;
	const json_t *item;
	int rc = FT_OK;
	json_array_foreach(options, i, item) {
		const char *s = json_string_value(item);
		if (rc < 0 || !s || name_length(s) != n || memcmp(s, option, n) != 0)
			continue;
		rc = ft_buf_printf(b, "%s%s", b->len ? ", " : "", s[n] ? s + n + 1 : "given");
	}
	return rc == FT_OK && !b->len ? ft_buf_printf(b, "not given") : rc;
}

static int compare_option(struct ft_buf *differences, const json_t *then, const json_t *now, const char *option)
{
	size_t n = name_length(option);
	struct ft_buf a = { 0 }, b = { 0 };
	int rc = put_values(&a, then, option, n);
	rc = rc ? rc : put_values(&b, now, option, n);
	if (rc == FT_OK && (a.len != b.len || memcmp(a.data, b.data, a.len) != 0))
		rc = differ(differences, "%.*s: %s then, %s now", (int)n, option, a.data, b.data);
	ft_buf_free(&a);
	ft_buf_free(&b);
	return rc;
}

/* Whether an option of this name stands among the first `count` of the array. */
static bool named_before(const json_t *options, size_t count, const char *option)
{
	size_t n = name_length(option);
	for (size_t i = 0; i < count; i++) {
		const char *s = json_string_value(json_array_get(options, i));
		if (s && name_length(s) == n && memcmp(s, option, n) == 0)
			return true;
	}
	return false;
}

static int compare_options(struct ft_buf *differences, const json_t *then, const json_t *now)
{
	size_t i, before = differences->len;
	const json_t *item;
	int rc = FT_OK;
	json_array_foreach(then, i, item) {
		const char *s = json_string_value(item);
		if (rc == FT_OK && s && !named_before(then, i, s))
			rc = compare_option(differences, then, now, s);
	}
	json_array_foreach(now, i, item) {
		const char *s = json_string_value(item);
		if (rc == FT_OK && s && !named_before(now, i, s) && !named_before(then, json_array_size(then), s))
			rc = compare_option(differences, then, now, s);
	}
	if (rc == FT_OK && differences->len == before && !json_equal(then, now))
		rc = differ(differences, "the order of the options");
	return rc;
}

/* ---- comparing all ---- */
static const char *show(const json_t *v)
{
	return json_is_string(v) ? json_string_value(v) : json_is_true(v) ? "there" : "none";
}

int identity_compare(const json_t *then, const json_t *now, struct ft_buf *differences)
{
	const char *key;
	json_t *v;
	int rc = FT_OK;
	json_object_foreach((json_t *)now, key, v) {
		const json_t *old = json_object_get(then, key);
		if (rc < 0 || json_equal(old, v))
			continue;
		rc = json_is_array(v) ? compare_options(differences, old, v)
		                      : differ(differences, "%s: %s then, %s now", key, show(old), show(v));
	}
	return rc;
}

/* gguf_values.c - the values of a GGUF file's keys, whatever width they were written in. */
#include "gguf.h"
#include "ft/err.h"

#include <string.h>

static bool is_int(enum ft_gguf_type t)
{
	return t != FT_GGUF_F32 && t != FT_GGUF_F64 && t != FT_GGUF_BOOL && t != FT_GGUF_STRING;
}

static bool is_real(enum ft_gguf_type t)
{
	return t == FT_GGUF_F32 || t == FT_GGUF_F64 || is_int(t);
}

/* The key's value, when it is one (or an array) of the kind that is asked for. */
static const struct ft_gguf_value *want(const struct ft_gguf *g, const char *key, bool is_array,
                                        bool (*fits)(enum ft_gguf_type), const char *kind, int *err)
{
	const struct ft_gguf_value *v = ft_gguf_find(g, key);
	if (!v || (v->is_array == is_array && fits(v->type)))
		return v;
	*err = ft_fail(FT_EFORMAT, "key '%s' is not %s", key, kind);
	return NULL;
}

static int64_t sign_extended(uint64_t bits, size_t bytes)
{
	unsigned unused = 64 - 8 * (unsigned)bytes;
	return (int64_t)(bits << unused) >> unused;
}

int64_t ft_gguf_int_at(const struct ft_gguf_value *v, size_t i)
{
	size_t bytes = (size_t)gguf_size(v->type);
	uint64_t bits = gguf_get((const unsigned char *)v->data + i * bytes, bytes);
	switch (v->type) {
	case FT_GGUF_I8:
	case FT_GGUF_I16:
	case FT_GGUF_I32:
	case FT_GGUF_I64: return sign_extended(bits, bytes);
	default: return bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
	}
}

double ft_gguf_real_at(const struct ft_gguf_value *v, size_t i)
{
	const unsigned char *p = v->data;
	float f;
	double d;
	uint32_t bits;
	uint64_t wide;
	switch (v->type) {
	case FT_GGUF_F32:
		bits = (uint32_t)gguf_get(p + 4 * i, 4);
		memcpy(&f, &bits, 4);
		return (double)f;
	case FT_GGUF_F64:
		wide = gguf_get(p + 8 * i, 8);
		memcpy(&d, &wide, 8);
		return d;
	default: return (double)ft_gguf_int_at(v, i);
	}
}

struct ft_span ft_gguf_text_next(const struct ft_gguf_value *v, const void **at)
{
	const unsigned char *p = *at ? *at : v->data;
	size_t n = (size_t)gguf_get(p, 8);
	*at = p + 8 + n;
	return (struct ft_span){ (const char *)p + 8, n };
}

int64_t ft_gguf_int(const struct ft_gguf *g, const char *key, int64_t absent, int *err)
{
	const struct ft_gguf_value *v = want(g, key, false, is_int, "a whole number", err);
	return v ? ft_gguf_int_at(v, 0) : absent;
}

double ft_gguf_real(const struct ft_gguf *g, const char *key, double absent, int *err)
{
	const struct ft_gguf_value *v = want(g, key, false, is_real, "a number", err);
	return v ? ft_gguf_real_at(v, 0) : absent;
}

static bool is_bool(enum ft_gguf_type t)
{
	return t == FT_GGUF_BOOL;
}

bool ft_gguf_bool(const struct ft_gguf *g, const char *key, bool absent, int *err)
{
	const struct ft_gguf_value *v = want(g, key, false, is_bool, "true or false", err);
	return v ? *(const unsigned char *)v->data : absent;
}

static bool is_text(enum ft_gguf_type t)
{
	return t == FT_GGUF_STRING;
}

struct ft_span ft_gguf_text(const struct ft_gguf *g, const char *key, int *err)
{
	const struct ft_gguf_value *v = want(g, key, false, is_text, "a string", err);
	const void *at = NULL;
	return v ? ft_gguf_text_next(v, &at) : (struct ft_span){ NULL, 0 };
}

const struct ft_gguf_value *ft_gguf_array(const struct ft_gguf *g, const char *key, int kind, int *err)
{
	static bool (*const fits[])(enum ft_gguf_type) = {
		[FT_GGUF_INTS] = is_int, [FT_GGUF_REALS] = is_real, [FT_GGUF_TEXTS] = is_text,
	};
	static const char *const kinds[] = {
		[FT_GGUF_INTS] = "an array of whole numbers", [FT_GGUF_REALS] = "an array of numbers",
		[FT_GGUF_TEXTS] = "an array of strings",
	};
	return want(g, key, true, fits[kind], kinds[kind], err);
}

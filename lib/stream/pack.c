/* pack.c - msgpack objects: a checking scan, decoding, encoding. The only file
 * with msgpack.h.
 *
 * msgpack-c believes the counts in its input and asks for memory by them, so
 * an object is scanned whole (lengths, counts, depth, UTF-8) before it is
 * given to msgpack-c.
 */
#include "ft/err.h"
#include "ft/utf8.h"
#include "priv.h"

#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

/* ---- scan ---- */
struct scan {
	const unsigned char *p;
	size_t n, at;
	size_t elements;
};

static uint64_t big_endian(const unsigned char *p, int bytes)
{
	uint64_t v = 0;
	for (int i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

enum shape { SCALAR, STRING, BINARY, ARRAY, MAP, BAD };

/* What a tag byte announces: the bytes of its length field, and either a fixed
 * body (SCALAR) or the count in the tag itself. */
static enum shape tag_shape(unsigned char tag, int *length_bytes, size_t *body)
{
	*length_bytes = 0;
	*body = 0;
	if (tag <= 0x7f || tag >= 0xe0)
		return SCALAR;
	if (tag <= 0x8f)
		return *body = tag & 15, MAP;
	if (tag <= 0x9f)
		return *body = tag & 15, ARRAY;
	if (tag <= 0xbf)
		return *body = tag & 31, STRING;
	switch (tag) {
	case 0xc0: case 0xc2: case 0xc3: return SCALAR;
	case 0xc4: case 0xc5: case 0xc6: *length_bytes = 1 << (tag - 0xc4); return BINARY;
	case 0xca: *body = 4; return SCALAR;
	case 0xcb: *body = 8; return SCALAR;
	case 0xcc: case 0xcd: case 0xce: case 0xcf: *body = (size_t)1 << (tag - 0xcc); return SCALAR;
	case 0xd0: case 0xd1: case 0xd2: case 0xd3: *body = (size_t)1 << (tag - 0xd0); return SCALAR;
	case 0xd9: case 0xda: case 0xdb: *length_bytes = 1 << (tag - 0xd9); return STRING;
	case 0xdc: case 0xdd: *length_bytes = 2 << (tag - 0xdc); return ARRAY;
	case 0xde: case 0xdf: *length_bytes = 2 << (tag - 0xde); return MAP;
	default: return BAD; /* 0xc1 and extension types */
	}
}

/* One tag with its length field; *children is how many values follow inside. */
static int scan_one(struct scan *s, size_t *children)
{
	int length_bytes;
	size_t body;
	*children = 0;
	if (s->at >= s->n)
		return s->at = s->n + 1, 0;
	enum shape shape = tag_shape(s->p[s->at], &length_bytes, &body);
	size_t start = s->at + 1;
	if (s->n - start < (size_t)length_bytes)
		return s->at = start + (size_t)length_bytes, 0;
	if (length_bytes)
		body = big_endian(s->p + start, length_bytes);
	start += (size_t)length_bytes;
	if (shape == BAD)
		return ft_fail(FT_EFORMAT, "msgpack extension types are not used here (byte 0x%02x)", s->p[s->at]);
	if (++s->elements > MAX_ELEMENTS)
		return ft_fail(FT_EFORMAT, "an object of more than %zu values", MAX_ELEMENTS);
	if (shape == ARRAY || shape == MAP) {
		*children = shape == MAP ? 2 * body : body;
		if (*children > MAX_ELEMENTS)
			return ft_fail(FT_EFORMAT, "an object of more than %zu values", MAX_ELEMENTS);
		return s->at = start, 1;
	}
	if (body > MAX_OBJECT)
		return ft_fail(FT_EFORMAT, "a value of %zu bytes; at most %zu are allowed", body, MAX_OBJECT);
	if (s->n - start < body)
		return s->at = start + body, 0;
	if (shape == STRING && ft_utf8_invalid((const char *)s->p + start, body))
		return ft_fail(FT_EFORMAT, "a string that is not UTF-8");
	return s->at = start + body, 1;
}

int pack_scan(const unsigned char *p, size_t n, size_t *size)
{
	struct scan s = { .p = p, .n = n };
	size_t left[MAX_DEPTH] = { 1 };
	int depth = 0;
	while (depth >= 0) {
		if (left[depth] == 0) {
			depth--;
			continue;
		}
		left[depth]--;
		size_t children;
		int rc = scan_one(&s, &children);
		*size = s.at;
		if (rc <= 0)
			return rc;
		if (s.at > MAX_OBJECT)
			return ft_fail(FT_EFORMAT, "an object of more than %zu bytes", MAX_OBJECT);
		if (!children)
			continue;
		if (++depth == MAX_DEPTH)
			return ft_fail(FT_EFORMAT, "an object nested deeper than %d", MAX_DEPTH);
		left[depth] = children;
	}
	return 1;
}

/* ---- decoding ---- */
struct unpacked {
	msgpack_unpacked result;
	struct ft_arena scratch; /* aligned copies of bins, arrays of spans */
};

struct unpacked *unpacked_new(void)
{
	struct unpacked *u = ft_alloc(1, sizeof *u);
	if (u)
		msgpack_unpacked_init(&u->result);
	return u;
}

void unpacked_free(struct unpacked *u)
{
	if (!u)
		return;
	msgpack_unpacked_destroy(&u->result);
	ft_arena_free(&u->scratch);
	free(u);
}

static int decode(msgpack_unpacked *result, const unsigned char *p, size_t n)
{
	size_t at = 0;
	msgpack_unpack_return rc = msgpack_unpack_next(result, (const char *)p, n, &at);
	if (rc == MSGPACK_UNPACK_NOMEM_ERROR)
		return ft_fail(FT_EFAIL, "out of memory while reading msgpack");
	return rc == MSGPACK_UNPACK_SUCCESS ? FT_OK : ft_fail(FT_EFORMAT, "damaged msgpack");
}

static int unpack_strs(struct unpacked *u, const msgpack_object *v, struct ft_field *f)
{
	struct ft_span *strs = ft_arena_get(&u->scratch, v->via.array.size * sizeof *strs);
	if (!strs)
		return FT_EFAIL;
	for (uint32_t i = 0; i < v->via.array.size; i++) {
		const msgpack_object *o = &v->via.array.ptr[i];
		if (o->type != MSGPACK_OBJECT_STR)
			return ft_fail(FT_EFORMAT, "%.*s: an array of a record holds strings; numbers go as bin",
			               (int)f->key.n, f->key.p);
		strs[i] = (struct ft_span){ o->via.str.ptr, o->via.str.size };
	}
	f->type = FT_STRS;
	f->strs = strs;
	f->nstrs = v->via.array.size;
	return FT_OK;
}

/* Arrays in a bin are used in place, so they must be aligned. */
static int unpack_bin(struct unpacked *u, const msgpack_object *v, struct ft_field *f)
{
	f->type = FT_BIN;
	f->bytes = (struct ft_span){ v->via.bin.ptr, v->via.bin.size };
	if ((uintptr_t)f->bytes.p % 8 == 0)
		return FT_OK;
	void *copy = ft_arena_get(&u->scratch, f->bytes.n);
	if (!copy)
		return FT_EFAIL;
	memcpy(copy, f->bytes.p, f->bytes.n);
	f->bytes.p = copy;
	return FT_OK;
}

static int unpack_field(struct unpacked *u, const msgpack_object *v, struct ft_field *f)
{
	switch (v->type) {
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		if (v->via.u64 > INT64_MAX)
			return ft_fail(FT_EFORMAT, "%.*s: a number beyond 2^63", (int)f->key.n, f->key.p);
		/* fall through */
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		f->type = FT_INT;
		f->i = v->via.i64;
		return FT_OK;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		f->type = FT_REAL;
		f->real = v->via.f64;
		return FT_OK;
	case MSGPACK_OBJECT_STR:
		f->type = FT_STR;
		f->bytes = (struct ft_span){ v->via.str.ptr, v->via.str.size };
		return FT_OK;
	case MSGPACK_OBJECT_BIN: return unpack_bin(u, v, f);
	case MSGPACK_OBJECT_ARRAY: return unpack_strs(u, v, f);
	default:
		return ft_fail(FT_EFORMAT, "%.*s: a value of a type that records do not use", (int)f->key.n, f->key.p);
	}
}

int unpack_record(struct unpacked *u, const unsigned char *p, size_t n, struct ft_rec *rec)
{
	rec->count = 0;
	ft_arena_reset(&u->scratch);
	int rc = decode(&u->result, p, n);
	if (rc < 0)
		return rc;
	const msgpack_object *o = &u->result.data;
	if (o->type != MSGPACK_OBJECT_MAP)
		return ft_fail(FT_EFORMAT, "a record must be a map");
	if (o->via.map.size > FT_REC_FIELDS)
		return ft_fail(FT_EFORMAT, "a record of %u fields; at most %d are allowed", o->via.map.size, FT_REC_FIELDS);
	for (uint32_t i = 0; i < o->via.map.size; i++) {
		const msgpack_object *key = &o->via.map.ptr[i].key;
		if (key->type != MSGPACK_OBJECT_STR)
			return ft_fail(FT_EFORMAT, "a record's keys must be strings");
		struct ft_field f = { .key = { key->via.str.ptr, key->via.str.size } };
		for (size_t j = 0; j < rec->count; j++)
			if (rec->field[j].key.n == f.key.n && memcmp(rec->field[j].key.p, f.key.p, f.key.n) == 0)
				return ft_fail(FT_EFORMAT, "the key '%.*s' stands twice", (int)f.key.n, f.key.p);
		rc = unpack_field(u, &o->via.map.ptr[i].val, &f);
		if (rc < 0)
			return rc;
		rec->field[rec->count++] = f;
	}
	return FT_OK;
}

static json_t *to_json(const msgpack_object *o);

/* Adds one member; FT_EFORMAT when the key is no plain string or stands twice. */
static int add_member(json_t *obj, const msgpack_object_kv *kv)
{
	if (kv->key.type != MSGPACK_OBJECT_STR)
		return ft_fail(FT_EFORMAT, "a key that is not a string");
	char *name = ft_strndup(kv->key.via.str.ptr, kv->key.via.str.size);
	int rc = name ? FT_OK : FT_EFAIL;
	if (name && strlen(name) != kv->key.via.str.size)
		rc = ft_fail(FT_EFORMAT, "a key with a NUL in it");
	else if (name && json_object_get(obj, name))
		rc = ft_fail(FT_EFORMAT, "the key '%s' stands twice", name);
	json_t *v = rc == FT_OK ? to_json(&kv->val) : NULL;
	if (rc == FT_OK && !v)
		rc = ft_context(ft_last_error(), "%s", name);
	else if (rc == FT_OK && json_object_set_new(obj, name, v) < 0)
		rc = ft_fail(FT_EFAIL, "out of memory for '%s'", name);
	free(name);
	return rc;
}

static json_t *map_to_json(const msgpack_object *o)
{
	json_t *obj = json_object();
	if (!obj)
		ft_fail(FT_EFAIL, "out of memory");
	for (uint32_t i = 0; obj && i < o->via.map.size; i++) {
		if (add_member(obj, &o->via.map.ptr[i]) < 0) {
			json_decref(obj);
			obj = NULL;
		}
	}
	return obj;
}

static json_t *array_to_json(const msgpack_object *o)
{
	json_t *a = json_array();
	if (!a)
		ft_fail(FT_EFAIL, "out of memory");
	for (uint32_t i = 0; a && i < o->via.array.size; i++) {
		json_t *v = to_json(&o->via.array.ptr[i]);
		if (!v || ft_json_append(a, v) < 0) {
			json_decref(a);
			a = NULL;
		}
	}
	return a;
}

/* NULL: out of memory, or JSON has no such value. */
static json_t *scalar_to_json(const msgpack_object *o, bool *exists)
{
	*exists = true;
	switch (o->type) {
	case MSGPACK_OBJECT_NIL: return json_null();
	case MSGPACK_OBJECT_BOOLEAN: return json_boolean(o->via.boolean);
	case MSGPACK_OBJECT_NEGATIVE_INTEGER: return json_integer(o->via.i64);
	case MSGPACK_OBJECT_STR: return json_stringn(o->via.str.ptr, o->via.str.size);
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		*exists = o->via.u64 <= INT64_MAX;
		return *exists ? json_integer((json_int_t)o->via.u64) : NULL;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		*exists = isfinite(o->via.f64);
		return *exists ? json_real(o->via.f64) : NULL;
	default: return *exists = false, NULL;
	}
}

static json_t *to_json(const msgpack_object *o)
{
	if (o->type == MSGPACK_OBJECT_MAP)
		return map_to_json(o);
	if (o->type == MSGPACK_OBJECT_ARRAY)
		return array_to_json(o);
	bool exists;
	json_t *v = scalar_to_json(o, &exists);
	if (!exists)
		ft_fail(FT_EFORMAT, "a value that JSON has not: a bin, or a number not finite or beyond 2^63");
	else if (!v)
		ft_fail(FT_EFAIL, "out of memory");
	return v;
}

json_t *unpack_json(const unsigned char *p, size_t n)
{
	msgpack_unpacked result;
	msgpack_unpacked_init(&result);
	json_t *v = decode(&result, p, n) == FT_OK ? to_json(&result.data) : NULL;
	msgpack_unpacked_destroy(&result);
	return v;
}

bool pack_has_key(const unsigned char *p, size_t n, const char *key)
{
	size_t len = strlen(key);
	/* The first key decides what a map is; writers put it first. */
	return n >= len + 2 && (p[0] & 0xf0) == 0x80 && p[1] == (0xa0 | len) && memcmp(p + 2, key, len) == 0;
}

/* ---- encoding ---- */

/* The packer's own results are not looked at: a failure is kept here. */
struct sink {
	struct ft_buf *b;
	int failed;
};

static int append(void *data, const char *p, size_t n)
{
	struct sink *s = data;
	if (!s->failed)
		s->failed = ft_buf_append(s->b, p, n);
	return s->failed;
}

static void pack_text(msgpack_packer *k, const char *p, size_t n)
{
	msgpack_pack_str(k, n);
	msgpack_pack_str_body(k, p, n);
}

int pack_record(struct ft_buf *b, const struct ft_rec *rec)
{
	struct sink sink = { b, FT_OK };
	msgpack_packer k;
	msgpack_packer_init(&k, &sink, append);
	msgpack_pack_map(&k, rec->count);
	for (size_t i = 0; i < rec->count; i++) {
		const struct ft_field *f = &rec->field[i];
		pack_text(&k, f->key.p, f->key.n);
		switch (f->type) {
		case FT_INT: msgpack_pack_int64(&k, f->i); break;
		case FT_REAL: msgpack_pack_double(&k, f->real); break;
		case FT_STR: pack_text(&k, f->bytes.p, f->bytes.n); break;
		case FT_BIN:
			msgpack_pack_bin(&k, f->bytes.n);
			msgpack_pack_bin_body(&k, f->bytes.p, f->bytes.n);
			break;
		case FT_STRS:
			msgpack_pack_array(&k, f->nstrs);
			for (size_t j = 0; j < f->nstrs; j++)
				pack_text(&k, f->strs[j].p, f->strs[j].n);
			break;
		}
	}
	return sink.failed;
}

static void pack_value(msgpack_packer *k, const json_t *v)
{
	const char *key;
	const json_t *item;
	size_t i;
	switch (json_typeof(v)) {
	case JSON_NULL: msgpack_pack_nil(k); break;
	case JSON_TRUE: msgpack_pack_true(k); break;
	case JSON_FALSE: msgpack_pack_false(k); break;
	case JSON_INTEGER: msgpack_pack_int64(k, json_integer_value(v)); break;
	case JSON_REAL: msgpack_pack_double(k, json_real_value(v)); break;
	case JSON_STRING: pack_text(k, json_string_value(v), json_string_length(v)); break;
	case JSON_ARRAY:
		msgpack_pack_array(k, json_array_size(v));
		json_array_foreach(v, i, item)
			pack_value(k, item);
		break;
	case JSON_OBJECT:
		msgpack_pack_map(k, json_object_size(v));
		json_object_foreach((json_t *)v, key, item) {
			pack_text(k, key, strlen(key));
			pack_value(k, item);
		}
		break;
	}
}

int pack_json(struct ft_buf *b, const json_t *v)
{
	struct sink sink = { b, FT_OK };
	msgpack_packer k;
	msgpack_packer_init(&k, &sink, append);
	pack_value(&k, v);
	return sink.failed;
}

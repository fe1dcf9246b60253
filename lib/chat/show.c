/* show.c - values as text: str() and repr() of Python, and JSON as its json module writes it. */
#include "priv.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The shortest digits that give the number back; an exponent below 1e-4 and from 1e16 on. */
void show_real(double x, char out[40])
{
	if (isnan(x) || isinf(x)) {
		strcpy(out, isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
		return;
	}
	char digits[40];
	int precision = 0;
	do
		snprintf(digits, sizeof digits, "%.*e", precision, x);
	while (strtod(digits, NULL) != x && ++precision < 17);
	int exponent = atoi(strchr(digits, 'e') + 1);
	if (exponent < -4 || exponent >= 16)
		snprintf(out, 40, "%s", digits);
	else
		snprintf(out, 40, "%.*f", precision > exponent ? precision - exponent : 1, x);
}

/* ---- repr() ---- */
static void put_escaped(struct build *b, int32_t c, uint8_t mark)
{
	char out[16];
	const char *form = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
	snprintf(out, sizeof out, form, (unsigned)c);
	build_str(b, out, mark);
}

/* Quotes, brackets and commas come from where the list or mapping around them does. */
static void repr_text(struct build *b, const struct text *t, uint8_t mark)
{
	char quote = memchr(t->s, '\'', t->n) && !memchr(t->s, '"', t->n) ? '"' : '\'';
	size_t len;
	int32_t c;
	build_add(b, &quote, 1, mark);
	for (size_t i = 0; i < t->n; i += len) {
		len = char_get(t->s + i, t->n - i, &c);
		spend(b->run, 1);
		const char *known = c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : c == '\\' ? "\\\\" : NULL;
		if (c == quote)
			known = quote == '"' ? "\\\"" : "\\'";
		if (known)
			build_str(b, known, mark_at(t, i));
		else if (is_printable(c))
			build_part(b, t, i, i + len);
		else
			put_escaped(b, c, mark_at(t, i));
	}
	build_add(b, &quote, 1, mark);
}

static void repr(struct build *b, struct value v, uint8_t around);

static void repr_list(struct build *b, struct value v)
{
	build_str(b, v.kind == TUPLE ? "(" : "[", v.mark);
	for (size_t i = 0; i < v.list->n; i++) {
		build_str(b, i ? ", " : "", v.mark);
		repr(b, v.list->at[i], v.mark);
	}
	build_str(b, v.kind == LIST ? "]" : v.list->n == 1 ? ",)" : ")", v.mark);
}

static void repr_map(struct build *b, struct value v)
{
	build_str(b, "{", v.mark);
	for (size_t i = 0; i < v.map->n; i++) {
		build_str(b, i ? ", " : "", v.mark);
		repr(b, v.map->at[i].key, v.mark);
		build_str(b, ": ", v.mark);
		repr(b, v.map->at[i].value, v.mark);
	}
	build_str(b, "}", v.mark);
}

/* What is written alike alone and inside of others. */
static void put_scalar(struct build *b, struct value v)
{
	char out[40];
	if (v.kind == INT)
		snprintf(out, sizeof out, "%" PRId64, v.i);
	else if (v.kind == REAL)
		show_real(v.r, out);
	else if (v.kind == NONE || v.kind == BOOL)
		strcpy(out, v.kind == NONE ? "None" : v.yes ? "True" : "False");
	else
		stop(b->run, "a %s cannot be written as text", kind_name(v));
	build_str(b, out, v.mark);
}

static void repr(struct build *b, struct value v, uint8_t around)
{
	enter(b->run);
	if (v.kind == TEXT)
		repr_text(b, v.t, around);
	else if (v.kind == LIST || v.kind == TUPLE)
		repr_list(b, v);
	else if (v.kind == MAP)
		repr_map(b, v);
	else if (v.kind == UNDEFINED)
		build_str(b, "Undefined", 0);
	else
		put_scalar(b, v);
	leave(b->run);
}

const struct text *show(struct run *r, struct value v)
{
	if (v.kind == TEXT)
		return v.t;
	struct build b = { .run = r };
	if (v.kind != UNDEFINED)
		repr(&b, v, 0);
	return build_done(&b);
}

/* ---- JSON ---- */
struct dumping { struct build b; const struct dump *how; int level; };

static void json_escape(struct build *b, int32_t c, uint8_t mark)
{
	static const char letters[] = "\"\\\n\r\t\f\b", escapes[] = "\"\\nrtfb";
	const char *known = c > 0 && c < 0x80 ? strchr(letters, (int)c) : NULL;
	char out[16];
	if (known)
		snprintf(out, sizeof out, "\\%c", escapes[known - letters]);
	else if (c < 0x10000)
		snprintf(out, sizeof out, "\\u%04x", (unsigned)c);
	else
		snprintf(out, sizeof out, "\\u%04x\\u%04x", (unsigned)(0xd7c0 + (c >> 10)), (unsigned)(0xdc00 + (c & 0x3ff)));
	build_str(b, out, mark);
}

static void json_text(struct dumping *d, const struct text *t, uint8_t mark)
{
	size_t len;
	int32_t c;
	build_str(&d->b, "\"", mark);
	for (size_t i = 0; i < t->n; i += len) {
		len = char_get(t->s + i, t->n - i, &c);
		spend(d->b.run, 1);
		if (c < 0x20 || c == '"' || c == '\\' || (d->how->ascii && c > 0x7e))
			json_escape(&d->b, c, mark_at(t, i));
		else
			build_part(&d->b, t, i, i + len);
	}
	build_str(&d->b, "\"", mark);
}

static void json_scalar(struct dumping *d, struct value v)
{
	if (v.kind == NONE)
		build_str(&d->b, "null", v.mark);
	else if (v.kind == BOOL)
		build_str(&d->b, v.yes ? "true" : "false", v.mark);
	else if (v.kind == REAL && (isnan(v.r) || isinf(v.r)))
		build_str(&d->b, isnan(v.r) ? "NaN" : v.r < 0 ? "-Infinity" : "Infinity", v.mark);
	else if (is_number(v))
		put_scalar(&d->b, v);
	else if (v.kind == UNDEFINED)
		stop(d->b.run, "%s, and tojson cannot write it", v.why);
	else
		stop(d->b.run, "tojson cannot write a %s", kind_name(v));
}

/* In front of an element, or of the closing bracket. */
static void json_break(struct dumping *d, uint8_t mark)
{
	if (d->how->indent < 0)
		return;
	build_str(&d->b, "\n", mark);
	for (int i = 0; i < d->level * d->how->indent; i++)
		build_str(&d->b, " ", mark);
	spend(d->b.run, (size_t)(d->level * d->how->indent));
}

static void json_key(struct dumping *d, struct value key, uint8_t around)
{
	if (key.kind == TEXT) {
		json_text(d, key.t, around);
		return;
	}
	build_str(&d->b, "\"", around);
	json_scalar(d, key);
	build_str(&d->b, "\"", around);
}

static void json_value(struct dumping *d, struct value v, uint8_t around);

static void json_pairs(struct dumping *d, struct value v)
{
	struct list *pairs = pairs_of(d->b.run, v), keys = { .n = 0 };
	if (d->how->sort) {
		keys = *items_of(d->b.run, v);
		pairs = sorted(d->b.run, pairs, &keys, false).list;
	}
	for (size_t i = 0; i < pairs->n; i++) {
		if (i)
			build_add(&d->b, d->how->item->s, d->how->item->n, v.mark);
		json_break(d, v.mark);
		json_key(d, pairs->at[i].list->at[0], v.mark);
		build_add(&d->b, d->how->key->s, d->how->key->n, v.mark);
		json_value(d, pairs->at[i].list->at[1], v.mark);
	}
}

static void json_elements(struct dumping *d, struct value v)
{
	for (size_t i = 0; i < v.list->n; i++) {
		if (i)
			build_add(&d->b, d->how->item->s, d->how->item->n, v.mark);
		json_break(d, v.mark);
		json_value(d, v.list->at[i], v.mark);
	}
}

static void json_value(struct dumping *d, struct value v, uint8_t around)
{
	bool map = v.kind == MAP, list = v.kind == LIST || v.kind == TUPLE;
	enter(d->b.run);
	if (v.kind == TEXT) {
		json_text(d, v.t, around);
	} else if (!map && !list) {
		json_scalar(d, v);
	} else {
		build_str(&d->b, map ? "{" : "[", v.mark);
		d->level++;
		if (map)
			json_pairs(d, v);
		else
			json_elements(d, v);
		d->level--;
		if (truth(v))
			json_break(d, v.mark);
		build_str(&d->b, map ? "}" : "]", v.mark);
	}
	leave(d->b.run);
}

const struct text *dump_json(struct run *r, struct value v, const struct dump *how)
{
	struct dumping d = { .b = { .run = r }, .how = how };
	json_value(&d, v, 0);
	return build_done(&d.b);
}

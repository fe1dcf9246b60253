/* vocab_json.c - the one large member of tokenizer.json, {"piece": id, ...}.
 *
 * jansson needs 15 to 25 ms for the 30,000 members of a BERT vocabulary, more
 * than a tool may take to start. So that object alone, a flat map of strings to
 * whole numbers, is found and read here, in about 1 ms; jansson gets the file
 * with {} in its place and checks all the rest.
 */
#include "vocab_json.h"
#include "ft/err.h"
#include "priv.h"

#include <string.h>

struct reader {
	const char *at, *end, *begin;
	const char *where;
};

static int fail(const struct reader *r, const char *what)
{
	size_t line = 1;
	for (const char *p = r->begin; p < r->at && p < r->end; p++)
		line += *p == '\n';
	return ft_fail(FT_EFORMAT, "%s:%zu: model.vocab: %s (offset %zu)", r->where, line, what,
	               (size_t)(r->at - r->begin));
}

static char peek(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
		r->at++;
	return r->at < r->end ? *r->at : '\0';
}

/* ---- finding it ---- */

/* Over a string, at its opening quote. False when it does not end. */
static bool skip_string(struct reader *r)
{
	for (r->at++; r->at < r->end; r->at++) {
		if (*r->at == '\\')
			r->at++;
		else if (*r->at == '"')
			return r->at++, true;
	}
	return false;
}

/* Whether the string with its quotes at from..to is `key`. One spelled with
 * escapes is not found here; jansson then reads what it names. */
static bool is_key(const char *from, const char *to, const char *key)
{
	size_t n = strlen(key);
	return (size_t)(to - from) == n + 2 && memcmp(from + 1, key, n) == 0;
}

/* Goes to the { of model.vocab. False when the text has none, or is not JSON:
 * then jansson says why. Only nesting and keys matter here. */
static bool find_vocab(struct reader *r)
{
	int depth = 0;
	bool is_model = false, in_model = false; /* the key at depth 1 is "model"; inside that object */
	for (char c; (c = peek(r));) {
		if (c == '"') {
			const char *from = r->at;
			if (!skip_string(r))
				return false;
			const char *to = r->at;
			if (peek(r) != ':')
				continue;
			r->at++;
			if (depth == 1)
				is_model = is_key(from, to, "model");
			else if (depth == 2 && in_model && is_key(from, to, "vocab") && peek(r) == '{')
				return true;
			continue;
		}
		r->at++;
		if (c == '{' || c == '[') {
			if (++depth == 2)
				in_model = is_model && c == '{';
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return false;
}

/* ---- reading it ---- */

static int hex4(const char *s, const char *end)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	int v = 0;
	for (int i = 0; i < 4; i++, s++) {
		const char *d = s < end && *s ? strchr(digits, *s) : NULL;
		if (!d)
			return -1;
		v = v << 4 | ((d - digits) & 15);
	}
	return v;
}

/* One escape, at its backslash, appended to out. False when it is malformed. */
static bool read_escape(struct reader *r, char out[4], size_t *n)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *s = r->at + 1, *p;
	*n = 1;
	if (s < r->end && *s && (p = strchr(from, *s))) {
		out[0] = to[p - from];
		r->at += 2;
		return true;
	}
	if (s >= r->end || *s != 'u')
		return false;
	int32_t c = hex4(s + 1, r->end);
	r->at += 6;
	if (c >= 0xD800 && c < 0xDC00) {
		bool more = r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u';
		int low = more ? hex4(r->at + 2, r->end) : -1;
		if (low < 0xDC00 || low > 0xDFFF)
			return false;
		c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
		r->at += 6;
	} else if (c <= 0 || (c >= 0xDC00 && c < 0xE000)) {
		return false; /* malformed, NUL, or half of a pair */
	}
	*n = tok_utf8_put(c, out);
	return true;
}

/* A string, at its opening quote: its bytes in `out`. */
static int read_string(struct reader *r, struct ft_buf *out)
{
	out->len = 0;
	r->at++;
	for (;;) {
		const char *from = r->at;
		while (r->at < r->end && *r->at != '"' && *r->at != '\\' && (unsigned char)*r->at >= 0x20)
			r->at++;
		int rc = ft_buf_append(out, from, (size_t)(r->at - from));
		if (rc < 0)
			return rc;
		if (r->at == r->end || (unsigned char)*r->at < 0x20)
			return fail(r, "a piece does not end");
		if (*r->at == '"')
			break;
		char c[4];
		size_t n;
		if (!read_escape(r, c, &n))
			return fail(r, "a piece has a wrong escape");
		if ((rc = ft_buf_append(out, c, n)) < 0)
			return rc;
	}
	r->at++;
	return ft_utf8_invalid((char *)out->data, out->len) ? fail(r, "a piece is not UTF-8") : FT_OK;
}

static int read_id(struct reader *r, int64_t *id)
{
	const char *from = r->at;
	for (*id = 0; r->at < r->end && *r->at >= '0' && *r->at <= '9' && *id < INT32_MAX; r->at++)
		*id = *id * 10 + (*r->at - '0');
	char next = r->at < r->end ? *r->at : '\0';
	bool ends = next == ',' || next == '}' || next == ' ' || next == '\n' || next == '\r' || next == '\t';
	if (r->at == from || !ends || *id > INT32_MAX || (*from == '0' && r->at - from > 1))
		return fail(r, "an id is not a whole number from 0 to 2147483647");
	return FT_OK;
}

static int read_vocab(struct reader *r, struct tok_vocab *v, struct ft_buf *piece)
{
	r->at++;
	if (peek(r) == '}')
		return r->at++, FT_OK;
	for (;;) {
		int64_t id;
		if (peek(r) != '"')
			return fail(r, "a piece in quotes is expected");
		int rc = read_string(r, piece);
		if (rc == FT_OK && peek(r) != ':')
			rc = fail(r, "':' is expected");
		if (rc < 0)
			return rc;
		r->at++;
		peek(r);
		if ((rc = read_id(r, &id)) < 0 || (rc = tok_vocab_add(v, (char *)piece->data, piece->len, id)) < 0)
			return rc;
		char c = peek(r);
		if (c != ',' && c != '}')
			return fail(r, "',' or '}' is expected");
		r->at++;
		if (c == '}')
			return FT_OK;
	}
}

/* The text with {} for from..to, and as many line ends as were there, so that
 * jansson's line numbers stay right. */
static int cut_out(const struct reader *r, const char *from, const char *to, struct ft_buf *out)
{
	int rc = ft_buf_append(out, r->begin, (size_t)(from - r->begin));
	if (rc == FT_OK)
		rc = ft_buf_append(out, "{", 1);
	for (const char *p = from; rc == FT_OK && (p = memchr(p, '\n', (size_t)(to - p))); p++)
		rc = ft_buf_append(out, "\n", 1);
	if (rc == FT_OK)
		rc = ft_buf_append(out, "}", 1);
	return rc == FT_OK ? ft_buf_append(out, to, (size_t)(r->end - to)) : rc;
}

json_t *tok_json_parse(const char *where, const char *text, size_t n, struct tok_vocab *v)
{
	struct reader r = { text, text + n, text, where };
	struct ft_buf piece = { 0 }, rest = { 0 };
	json_t *root = NULL;
	if (!find_vocab(&r)) {
		root = ft_json_parse(where, text, n);
		goto out;
	}
	const char *from = r.at;
	if (ft_buf_reserve(&piece, 64) < 0 || read_vocab(&r, v, &piece) < 0 || cut_out(&r, from, r.at, &rest) < 0)
		goto out;
	root = ft_json_parse(where, (char *)rest.data, rest.len);
out:
	ft_buf_free(&piece);
	ft_buf_free(&rest);
	return root;
}

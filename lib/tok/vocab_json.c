/* vocab_json.c - the large members of tokenizer.json: model.vocab, which is
 * {"piece": id, ...} or [["piece", score], ...], and model.merges, which is
 * ["a b", ...] or [["a", "b"], ...].
 *
 * jansson needs 15 to 25 ms for the 30,000 members of a BERT vocabulary, more
 * than a tool may take to start, and a second for the largest files. So these
 * alone are found and read here, at 1 ms for the 30,000; jansson gets the file
 * with {} or [] in their places and checks all the rest.
 */
#include "vocab_json.h"
#include "ft/err.h"

#include <stdlib.h>
#include <string.h>

struct reader {
	const char *at, *end, *begin;
	const char *where, *member; /* "vocab" */
	struct ft_buf text, second; /* of strings */
};

static int fail(const struct reader *r, const char *what)
{
	size_t line = 1;
	for (const char *p = r->begin; p < r->at && p < r->end; p++)
		line += *p == '\n';
	return ft_fail(FT_EFORMAT, "%s:%zu: model.%s: %s (offset %zu)", r->where, line, r->member, what,
	               (size_t)(r->at - r->begin));
}

static char peek(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
		r->at++;
	return r->at < r->end ? *r->at : '\0';
}

/* ---- finding them ---- */

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

struct place { int depth; bool is_model, in_model; }; /* is_model: the key at depth 1 is "model" */

/* Goes on to the value of model.vocab or model.merges, when it is an object or an
 * array. False when there is none, or the text is not JSON: then jansson says why.
 * Only nesting and keys matter here. */
static bool find_next(struct reader *r, struct place *p)
{
	for (char c; (c = peek(r));) {
		if (c == '"') {
			const char *from = r->at;
			if (!skip_string(r))
				return false;
			const char *to = r->at;
			if (peek(r) != ':')
				continue;
			r->at++;
			if (p->depth == 1)
				p->is_model = is_key(from, to, "model");
			if (p->depth != 2 || !p->in_model)
				continue;
			c = peek(r);
			r->member = is_key(from, to, "vocab") ? "vocab" : "merges";
			if (is_key(from, to, r->member) && (c == '[' || (c == '{' && *r->member == 'v')))
				return true;
			continue;
		}
		r->at++;
		if (c == '{' || c == '[') {
			if (++p->depth == 2)
				p->in_model = p->is_model && c == '{';
		} else if (c == '}' || c == ']') {
			p->depth--;
		}
	}
	return false;
}

/* ---- reading their parts ---- */

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
	*n = ft_utf8_put(c, out);
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
			return fail(r, "a string does not end");
		if (*r->at == '"')
			break;
		char c[4];
		size_t n;
		if (!read_escape(r, c, &n))
			return fail(r, "a string has a wrong escape");
		if ((rc = ft_buf_append(out, c, n)) < 0)
			return rc;
	}
	r->at++;
	return ft_utf8_invalid((char *)out->data, out->len) ? fail(r, "a string is not UTF-8") : FT_OK;
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

static int read_score(struct reader *r, double *score)
{
	char text[48];
	size_t n = 0;
	while (r->at < r->end && n < sizeof text - 1 && *r->at && strchr("+-.0123456789Ee", *r->at))
		text[n++] = *r->at++;
	text[n] = '\0';
	char *end;
	*score = strtod(text, &end);
	bool starts = text[0] == '-' ? text[1] >= '0' && text[1] <= '9' : text[0] >= '0' && text[0] <= '9';
	return starts && !*end ? FT_OK : fail(r, "a score is not a number");
}

static int expect(struct reader *r, char c)
{
	if (peek(r) == c)
		return r->at++, FT_OK;
	return fail(r, c == ':' ? "':' is expected" : c == ',' ? "',' is expected" : c == ']' ? "']' is expected"
	                                                                         : "'[' is expected");
}

/* Elements, separated by commas, from the opening bracket to the closing one. */
static int read_all(struct reader *r, char close, int (*one)(struct reader *r, void *ctx), void *ctx)
{
	r->at++;
	if (peek(r) == close)
		return r->at++, FT_OK;
	for (;;) {
		int rc = one(r, ctx);
		if (rc < 0)
			return rc;
		char c = peek(r);
		if (c != ',' && c != close)
			return fail(r, close == '}' ? "',' or '}' is expected" : "',' or ']' is expected");
		r->at++;
		if (c == close)
			return FT_OK;
	}
}

/* ---- reading them ---- */

struct target { struct tok_vocab *v; struct tok_source *src; };

static int read_text(struct reader *r, struct ft_buf *out, const char *missing)
{
	return peek(r) == '"' ? read_string(r, out) : fail(r, missing);
}

/* "piece": id */
static int read_member(struct reader *r, void *ctx)
{
	struct target *t = ctx;
	int64_t id;
	int rc = read_text(r, &r->text, "a piece in quotes is expected");
	if (rc == FT_OK)
		rc = expect(r, ':');
	if (rc < 0)
		return rc;
	peek(r);
	rc = read_id(r, &id);
	return rc < 0 ? rc : tok_vocab_add(t->v, (char *)r->text.data, r->text.len, id);
}

/* ["piece", score]: the id is its place in the list. */
static int read_scored(struct reader *r, void *ctx)
{
	struct target *t = ctx;
	double score = 0;
	int rc = expect(r, '[');
	if (rc == FT_OK)
		rc = read_text(r, &r->text, "a piece in quotes is expected");
	if (rc == FT_OK)
		rc = expect(r, ',');
	if (rc < 0)
		return rc;
	peek(r);
	if ((rc = read_score(r, &score)) < 0 || (rc = expect(r, ']')) < 0)
		return rc;
	rc = tok_vocab_add(t->v, (char *)r->text.data, r->text.len, (int64_t)t->src->nscores);
	return rc < 0 ? rc : tok_source_score(t->src, score);
}

/* "a b" or ["a", "b"] */
static int read_merge(struct reader *r, void *ctx)
{
	struct target *t = ctx;
	if (peek(r) == '"') {
		int rc = read_string(r, &r->text);
		if (rc < 0)
			return rc;
		const char *s = (char *)r->text.data, *space = memchr(s, ' ', r->text.len);
		size_t left = space ? (size_t)(space - s) : 0, right = space ? r->text.len - left - 1 : 0;
		if (r->text.len >= 8 && memcmp(s, "#version", 8) == 0) /* as in merges.txt */
			return FT_OK;
		if (!space || memchr(space + 1, ' ', right))
			return fail(r, "a merge is not two parts with a space between");
		return tok_source_merge(t->src, s, left, space + 1, right);
	}
	int rc = expect(r, '[');
	if (rc == FT_OK)
		rc = read_text(r, &r->text, "a part in quotes is expected");
	if (rc == FT_OK)
		rc = expect(r, ',');
	if (rc == FT_OK)
		rc = read_text(r, &r->second, "a part in quotes is expected");
	if (rc == FT_OK)
		rc = expect(r, ']');
	return rc < 0 ? rc : tok_source_merge(t->src, (char *)r->text.data, r->text.len, (char *)r->second.data,
	                                      r->second.len);
}

static int read_value(struct reader *r, struct tok_vocab *v, struct tok_source *src)
{
	struct target t = { v, src };
	if (*r->member == 'm') {
		src->has_merges = true;
		return read_all(r, ']', read_merge, &t);
	}
	if (*r->at == '{')
		return read_all(r, '}', read_member, &t);
	src->has_scores = true;
	return read_all(r, ']', read_scored, &t);
}

/* Appends {} or [] for from..to, and as many line ends as were there, so that
 * jansson's line numbers stay right. */
static int stand_in(const char *from, const char *to, struct ft_buf *out)
{
	int rc = ft_buf_append(out, from, 1);
	for (const char *p = from; rc == FT_OK && (p = memchr(p, '\n', (size_t)(to - p))); p++)
		rc = ft_buf_append(out, "\n", 1);
	return rc == FT_OK ? ft_buf_append(out, to - 1, 1) : rc;
}

json_t *tok_json_parse(const char *where, const char *text, size_t n, struct tok_vocab *v, struct tok_source *src)
{
	struct reader r = { .at = text, .end = text + n, .begin = text, .where = where };
	struct place place = { 0 };
	struct ft_buf rest = { 0 };
	const char *done = text;
	int rc = ft_buf_reserve(&r.text, 64);
	if (rc == FT_OK)
		rc = ft_buf_reserve(&r.second, 64);
	while (rc == FT_OK && find_next(&r, &place)) {
		const char *from = r.at;
		rc = ft_buf_append(&rest, done, (size_t)(from - done));
		if (rc == FT_OK)
			rc = read_value(&r, v, src);
		if (rc == FT_OK)
			rc = stand_in(from, r.at, &rest);
		done = r.at;
	}
	if (rc == FT_OK)
		rc = ft_buf_append(&rest, done, (size_t)(text + n - done));
	json_t *root = rc == FT_OK ? ft_json_parse(where, (char *)rest.data, rest.len) : NULL;
	ft_buf_free(&r.text);
	ft_buf_free(&r.second);
	ft_buf_free(&rest);
	return root;
}

/* ---- what was read ---- */

int tok_source_score(struct tok_source *src, double score)
{
	int rc = ft_grow(&src->scores, &src->scores_cap, src->nscores + 1, sizeof *src->scores);
	if (rc == FT_OK)
		src->scores[src->nscores++] = score;
	return rc;
}

int tok_source_merge(struct tok_source *src, const char *left, size_t left_n, const char *right, size_t right_n)
{
	if (left_n >= UINT32_MAX || right_n >= UINT32_MAX || src->text.len >= UINT32_MAX - left_n - right_n)
		return ft_fail(FT_EFORMAT, "the merges are larger than 4 GiB");
	int rc = ft_grow(&src->merges, &src->merges_cap, src->nmerges + 1, sizeof *src->merges);
	struct tok_merge m = { (uint32_t)src->text.len, (uint32_t)left_n, (uint32_t)right_n, (uint32_t)src->nmerges };
	if (rc == FT_OK)
		rc = ft_buf_append(&src->text, left, left_n);
	if (rc == FT_OK)
		rc = ft_buf_append(&src->text, right, right_n);
	if (rc == FT_OK)
		src->merges[src->nmerges++] = m;
	return rc;
}

void tok_source_free(struct tok_source *src)
{
	free(src->scores);
	free(src->types);
	free(src->merges);
	ft_buf_free(&src->text);
	*src = (struct tok_source){ 0 };
}

/* regex.c - regular expressions by PCRE2. The only file with pcre2.h.
 *
 * The reference uses Oniguruma with Ruby's syntax. Where that and PCRE2's differ,
 * the pattern is translated: \s does not match U+180E, \w is letters, marks,
 * decimal digits and connectors, \h is a hexadecimal digit, ^ and $ stand at every
 * line, and a class inside a class joins it. What cannot be translated is refused.
 */
#include "regex.h"
#include "ft/err.h"
#include "ft/mem.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

/* A match that backtracks more often than this is given up: patterns in use need a
 * few steps a character of one word. */
#define STEPS_MAX 1000000
#define PATTERN_MAX 65536

struct tok_regex {
	char *text;          /* the pattern, or the literal */
	size_t n;
	bool literal;
	pcre2_code *code;
	pcre2_match_context *limits;
};

/* ---- from Ruby's syntax to PCRE2's ---- */

#define BLANKS "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}" \
	"\\x{3000}"
#define WORDS "\\p{L}\\p{M}\\p{Nd}\\p{Pc}"
#define HEXES "0-9a-fA-F"

/* An escape that means something else: what stands for it in a class, or out of it
 * between brackets. */
static const struct { char letter; const char *in, *out; } escapes[] = {
	{ 's', BLANKS, "[" BLANKS "]" }, { 'S', "\\S\\x{180e}", "[^" BLANKS "]" },
	{ 'w', WORDS, "[" WORDS "]" }, { 'W', NULL, "[^" WORDS "]" },
	{ 'h', HEXES, "[" HEXES "]" }, { 'H', NULL, "[^" HEXES "]" },
};

static int add_escape(char letter, bool in_class, struct ft_buf *out)
{
	for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
		if (escapes[i].letter != letter)
			continue;
		const char *s = in_class ? escapes[i].in : escapes[i].out;
		return s ? ft_buf_append(out, s, strlen(s))
		         : ft_fail(FT_EFORMAT, "\\%c in a class is not supported", letter);
	}
	return ft_buf_append(out, (char[]){ '\\', letter }, 2);
}

/* At a [ inside a class: [:alpha:] stays, a class that is not negated joins the one it is in. */
static int add_nested(const char **p, int *depth, struct ft_buf *out)
{
	const char *s = *p;
	if (s[1] == ':') {
		const char *end = strstr(s, ":]");
		if (!end)
			return ft_fail(FT_EFORMAT, "[: without :]");
		*p = end + 2;
		return ft_buf_append(out, s, (size_t)(end + 2 - s));
	}
	if (s[1] == '^')
		return ft_fail(FT_EFORMAT, "a negated class in a class is not supported");
	++*depth;
	*p += 1;
	return FT_OK;
}

/* At the [ of a class: it, ^ and a first ], which is a character. */
static int open_class(const char **p, struct ft_buf *out)
{
	size_t n = 1;
	if ((*p)[n] == '^')
		n++;
	if ((*p)[n] == ']')
		n++;
	int rc = ft_buf_append(out, *p, n);
	*p += n;
	return rc;
}

static int translate(const char *p, struct ft_buf *out)
{
	int depth = 0, rc = FT_OK; /* classes around us */
	while (*p && rc == FT_OK) {
		if (*p == '\\' && p[1]) {
			rc = add_escape(p[1], depth > 0, out);
			p += 2;
		} else if (depth && *p == '[') {
			rc = add_nested(&p, &depth, out);
		} else if (depth && p[0] == '&' && p[1] == '&') {
			rc = ft_fail(FT_EFORMAT, "&& in a class is not supported");
		} else if (*p == '[') {
			depth = 1;
			rc = open_class(&p, out);
		} else if (depth && *p == ']') {
			rc = --depth ? FT_OK : ft_buf_append(out, p, 1);
			p++;
		} else {
			rc = ft_buf_append(out, p++, 1);
		}
	}
	return rc;
}

/* ---- making ---- */

static int compile(struct tok_regex *r, const char *text, size_t n)
{
	int code;
	PCRE2_SIZE at;
	pcre2_compile_context *c = pcre2_compile_context_create(NULL);
	if (!c)
		return ft_fail(FT_EFAIL, "out of memory");
	pcre2_set_newline(c, PCRE2_NEWLINE_LF);
	pcre2_set_parens_nest_limit(c, 100);
	r->code = pcre2_compile((PCRE2_SPTR)text, n, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
	                        &code, &at, c);
	pcre2_compile_context_free(c);
	if (!r->code && code == PCRE2_ERROR_HEAP_FAILED)
		return ft_fail(FT_EFAIL, "out of memory");
	if (!r->code) {
		PCRE2_UCHAR reason[160] = "";
		pcre2_get_error_message(code, reason, sizeof reason);
		return ft_fail(FT_EFORMAT, "%s", (char *)reason);
	}
	pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* where there is none, it is interpreted */
	r->limits = pcre2_match_context_create(NULL);
	if (!r->limits)
		return ft_fail(FT_EFAIL, "out of memory");
	pcre2_set_match_limit(r->limits, STEPS_MAX);
	pcre2_set_heap_limit(r->limits, 65536); /* KiB */
	return FT_OK;
}

static struct tok_regex *make(const char *text, bool literal)
{
	struct tok_regex *r = ft_alloc(1, sizeof *r);
	struct ft_buf pattern = { 0 };
	if (!r)
		return NULL;
	r->literal = literal;
	r->n = strlen(text);
	r->text = ft_strdup(text);
	int rc = !r->text ? FT_EFAIL : r->n > PATTERN_MAX ? ft_fail(FT_EFORMAT, "it is too long") : FT_OK;
	if (rc == FT_OK && !literal) {
		rc = translate(text, &pattern);
		if (rc == FT_OK)
			rc = compile(r, pattern.data ? (char *)pattern.data : "", pattern.len);
	}
	ft_buf_free(&pattern);
	if (rc < 0) {
		ft_context(rc, "the pattern '%.200s'", text);
		tok_regex_free(r);
		return NULL;
	}
	return r;
}

struct tok_regex *tok_regex_new(const char *pattern)
{
	return make(pattern, false);
}

struct tok_regex *tok_regex_load(const json_t *v)
{
	const json_t *string = json_object_get(v, "String"), *regex = json_object_get(v, "Regex");
	const json_t *text = string ? string : regex;
	if (json_object_size(v) != 1 || !json_is_string(text)
	    || strlen(json_string_value(text)) != json_string_length(text)) {
		ft_fail(FT_EFORMAT, "pattern must be {\"String\": text} or {\"Regex\": text}, without NUL");
		return NULL;
	}
	return make(json_string_value(text), string && *json_string_value(text)); /* "" matches everywhere */
}

void tok_regex_free(struct tok_regex *r)
{
	if (!r)
		return;
	pcre2_match_context_free(r->limits);
	pcre2_code_free(r->code);
	free(r->text);
	free(r);
}

const char *tok_regex_pattern(const struct tok_regex *r)
{
	return r->literal ? NULL : r->text;
}

/* ---- searching ---- */

static int find(struct tok_search *f, size_t *from, size_t *to)
{
	const struct tok_regex *r = f->regex;
	if (r->literal) {
		const char *at = f->s + f->at;
		size_t left = f->n - f->at;
		const char *p = r->n == 1 ? memchr(at, *r->text, left) : memmem(at, left, r->text, r->n);
		if (!p)
			return 0;
		*from = (size_t)(p - f->s);
		*to = *from + r->n;
		return 1;
	}
	if (!*f->store && !(*f->store = pcre2_match_data_create(1, NULL)))
		return ft_fail(FT_EFAIL, "out of memory");
	pcre2_match_data *data = *f->store;
	PCRE2_SPTR s = (PCRE2_SPTR)f->s;
	int rc = pcre2_match(r->code, s, f->n, f->at, PCRE2_NO_UTF_CHECK, data, r->limits);
	if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
		rc = pcre2_match(r->code, s, f->n, f->at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, r->limits);
	if (rc == PCRE2_ERROR_NOMATCH)
		return 0;
	if (rc == PCRE2_ERROR_NOMEMORY)
		return ft_fail(FT_EFAIL, "out of memory");
	if (rc < 0) {
		PCRE2_UCHAR reason[160] = "";
		pcre2_get_error_message(rc, reason, sizeof reason);
		return ft_fail(FT_EFORMAT, "the tokenizer's pattern '%.200s' fails on this text: %s", r->text,
		               (char *)reason);
	}
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(data);
	*from = at[0] < at[1] ? at[0] : at[1]; /* \K may put the start behind the end */
	*to = at[1];
	return 1;
}

int tok_search_next(struct tok_search *f, size_t *from, size_t *to)
{
	while (f->at <= f->n) {
		int rc = find(f, from, to);
		if (rc <= 0)
			return rc;
		bool empty = *from == *to;
		f->at = *to;
		if (empty) /* on by a character, or beyond the end */
			do
				f->at++;
			while (f->at < f->n && ((unsigned char)f->s[f->at] & 0xc0) == 0x80);
		if (*from < f->last || (empty && f->begun && *to == f->last))
			continue;
		f->last = *to;
		f->begun = true;
		return 1;
	}
	return 0;
}

void tok_search_free(void *store)
{
	pcre2_match_data_free(store);
}

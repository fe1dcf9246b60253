/* lex.c - a template cut into tokens, with the white space around tags as transformers has it:
 * trim_blocks (the line end behind a block or comment goes), lstrip_blocks (so does white space
 * between the line's begin and a block), and '-' or '+' at a tag. */
#include "priv.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

struct lexer {
	struct run *run;
	const char *s;
	size_t n, at;
	struct token *tokens;
	size_t count;
	bool line_start; /* what was read last ended a line */
	char closes[CHAT_DEPTH]; /* of the brackets that are open in the tag */
	size_t open;
};

static void add(struct lexer *x, struct token t)
{
	x->tokens = one_more(x->run, x->tokens, x->count, sizeof t);
	t.line = x->run->line;
	x->tokens[x->count++] = t;
}

/* Goes to `to`, counting lines. */
static void go(struct lexer *x, size_t to)
{
	for (; x->at < to; x->at++)
		x->run->line += x->s[x->at] == '\n';
	x->line_start = to > 0 && x->s[to - 1] == '\n';
}

static bool here(const struct lexer *x, size_t at, const char *what)
{
	size_t n = strlen(what);
	return at + n <= x->n && memcmp(x->s + at, what, n) == 0;
}

static size_t white(const struct lexer *x, size_t at)
{
	int32_t c;
	size_t len;
	while (at < x->n && (len = char_get(x->s + at, x->n - at, &c), is_white(c)))
		at += len;
	return at;
}

/* Where a tag ends that closes with `end` ("%}") at `at`, with what belongs to it; 0: no end there. */
static size_t tag_end(const struct lexer *x, size_t at, const char *end)
{
	bool variable = *end == '}', dash = x->s[at] == '-', plus = x->s[at] == '+' && !variable;
	if (!here(x, at + (dash || plus), end))
		return 0;
	at += (size_t)(dash || plus) + 2;
	if (dash)
		return white(x, at);
	return !plus && !variable && at < x->n && x->s[at] == '\n' ? at + 1 : at;
}

/* ---- text between tags ---- */
/* The text from here to a tag at `to`, whose sign is `sign`; of a variable white space stays. */
static void add_data(struct lexer *x, size_t to, char sign, bool variable)
{
	struct text all = { .s = x->s + x->at, .n = to - x->at };
	const struct text *t = &all;
	if (sign == '-') {
		t = strip(x->run, t, NULL, false, true);
	} else if (sign != '+' && !variable) {
		size_t line = all.n;
		while (line > 0 && all.s[line - 1] != '\n')
			line--;
		if ((line > 0 || x->line_start) && white(x, x->at + line) >= to)
			all.n = line;
	}
	if (t->n)
		add(x, (struct token){ .kind = T_DATA, .text = text_of(x->run, t->s, t->n, 0) });
	go(x, to);
}

static void comment(struct lexer *x)
{
	size_t end = 0, from = x->at + 2 + (here(x, x->at + 2, "-") || here(x, x->at + 2, "+"));
	for (size_t at = from; !end && at < x->n; at++)
		end = tag_end(x, at, "#}");
	if (!end)
		stop(x->run, "a comment has no end");
	go(x, end);
}

/* {% raw %} at `at`: where its text begins; 0: it is another block. */
static size_t raw_begin(const struct lexer *x, size_t at)
{
	at = white(x, at + 2 + (here(x, at + 2, "-") || here(x, at + 2, "+")));
	if (!here(x, at, "raw"))
		return 0;
	at = white(x, at + 3);
	return here(x, at, "-%}") ? white(x, at + 3) : here(x, at, "%}") ? at + 2 : 0;
}

static void raw(struct lexer *x, size_t begin)
{
	go(x, begin);
	for (size_t at = begin; at < x->n; at++) {
		if (!here(x, at, "{%"))
			continue;
		char sign = at + 2 < x->n ? x->s[at + 2] : 0;
		size_t word = white(x, at + 2 + (sign == '-' || sign == '+'));
		if (!here(x, word, "endraw"))
			continue;
		size_t end = white(x, word + 6);
		end = end < x->n ? tag_end(x, end, "%}") : 0;
		if (!end)
			continue;
		add_data(x, at, sign, false);
		go(x, end);
		return;
	}
	stop(x->run, "'raw' has no end");
}

/* ---- inside a tag ---- */
/* One character of \x41, \u0041, \U00000041 or \101 at `at`; returns how many bytes it took. */
static size_t escape_number(struct lexer *x, size_t at, struct build *b)
{
	char letter = x->s[at], digits[9] = { 0 }, out[4];
	bool octal = letter >= '0' && letter <= '7';
	size_t want = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 3, from = at + !octal, n = 0;
	for (; n < want && from + n < x->n; n++) {
		char c = x->s[from + n];
		if (octal ? c < '0' || c > '7' : !isxdigit((unsigned char)c))
			break;
		digits[n] = c;
	}
	unsigned long c = strtoul(digits, NULL, octal ? 8 : 16);
	if ((!octal && n < want) || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		stop(x->run, "'\\%c' in a text is not a character", letter);
	build_add(b, out, char_put((int32_t)c, out), 0);
	return n + !octal;
}

/* What stands behind a backslash; returns how many bytes it took. */
static size_t escape(struct lexer *x, size_t at, struct build *b)
{
	static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
	char c = x->s[at];
	const char *known = memchr(from, c, sizeof from - 1);
	if (known)
		build_add(b, &to[known - from], 1, 0);
	else if (memchr("xuU01234567", c, 11))
		return escape_number(x, at, b);
	else if (c == 'N')
		stop(x->run, "'\\N' in a text is not supported");
	else if (c != '\n') /* a backslash at a line's end joins lines; others stay */
		return build_add(b, "\\", 1, 0), 0;
	return 1;
}

static void quoted(struct lexer *x)
{
	struct build b = { .run = x->run };
	char quote = x->s[x->at];
	size_t at = x->at + 1;
	while (at < x->n && x->s[at] != quote) {
		if (x->s[at] == '\\' && at + 1 < x->n) {
			at += 1 + escape(x, at + 1, &b);
			continue;
		}
		build_add(&b, x->s + at, 1, 0);
		at++;
	}
	if (at >= x->n)
		stop(x->run, "a text has no end");
	add(x, (struct token){ .kind = T_TEXT, .text = build_done(&b) });
	go(x, at + 1);
}

static size_t digits(const struct lexer *x, size_t at, int is_digit(int), struct build *b)
{
	for (; at < x->n; at++) {
		bool joined = x->s[at] == '_' && at + 1 < x->n && is_digit((unsigned char)x->s[at + 1]);
		if (!joined && !is_digit((unsigned char)x->s[at]))
			break;
		if (!joined)
			build_add(b, x->s + at, 1, 0);
	}
	return at;
}

/* The fraction and exponent of a number whose whole part ends at `at`; returns where they end. */
static size_t fraction(const struct lexer *x, size_t at, struct build *b)
{
	if (x->at > 0 && x->s[x->at - 1] == '.')
		return at; /* x.0.1 */
	if (here(x, at, ".") && at + 1 < x->n && isdigit((unsigned char)x->s[at + 1])) {
		build_add(b, ".", 1, 0);
		at = digits(x, at + 1, isdigit, b);
	}
	size_t e = at + 1 + (here(x, at + 1, "-") || here(x, at + 1, "+"));
	if ((here(x, at, "e") || here(x, at, "E")) && e < x->n && isdigit((unsigned char)x->s[e])) {
		build_add(b, x->s + at, e - at, 0);
		at = digits(x, e, isdigit, b);
	}
	return at;
}

static void number(struct lexer *x)
{
	struct build b = { .run = x->run };
	static const struct { const char *prefix; int base; } bases[] = { { "0x", 16 }, { "0X", 16 }, { "0o", 8 },
	                                                                    { "0O", 8 }, { "0b", 2 }, { "0B", 2 } };
	int base = 10;
	for (size_t i = 0; i < sizeof bases / sizeof *bases; i++)
		if (here(x, x->at, bases[i].prefix))
			base = bases[i].base;
	size_t whole = digits(x, x->at + (base == 10 ? 0 : 2), base == 16 ? isxdigit : isdigit, &b);
	size_t end = base == 10 ? fraction(x, whole, &b) : whole;
	struct token t = { .kind = T_NUMBER, .text = text_of(x->run, x->s + x->at, end - x->at, 0) };
	build_add(&b, "", 1, 0);
	char *stopped;
	errno = 0;
	if (end > whole)
		t.value = of_real(strtod(b.s, &stopped));
	else
		t.value = of_int(strtoll(b.s, &stopped, base));
	bool octal = base == 10 && end == whole && b.s[0] == '0' && t.value.i != 0; /* of another language */
	if (*stopped || stopped == b.s || (errno && end == whole) || octal)
		stop(x->run, "the number '%.*s' is not supported", (int)(end - x->at < 40 ? end - x->at : 40), x->s + x->at);
	add(x, t);
	go(x, end);
}

static void operator(struct lexer *x)
{
	static const char two[] = "== != <= >= // **", one[] = "+-/*%~[](){}<>=.:|,;";
	char c = x->s[x->at];
	for (const char *p = two; p; p = p[2] ? p + 3 : NULL)
		if (here(x, x->at, (char[]){ p[0], p[1], 0 })) {
			add(x, (struct token){ .kind = T_OP, .op = OP(p[0], p[1]) });
			go(x, x->at + 2);
			return;
		}
	if (!c || !strchr(one, c)) {
		int32_t character;
		stop(x->run, "unexpected character '%.*s'", (int)char_get(x->s + x->at, x->n - x->at, &character),
		     x->s + x->at);
	}
	if (strchr("([{", c)) {
		if (x->open == sizeof x->closes)
			stop(x->run, "nested more than %d levels deep", CHAT_DEPTH);
		x->closes[x->open++] = c == '(' ? ')' : c == '[' ? ']' : '}';
	} else if (strchr(")]}", c) && (!x->open || x->closes[--x->open] != c)) {
		stop(x->run, "unexpected '%c'", c);
	}
	add(x, (struct token){ .kind = T_OP, .op = c });
	go(x, x->at + 1);
}

static bool word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* The tokens of a tag that closes with `end`. */
static void tag(struct lexer *x, const char *end, enum token_kind closes)
{
	x->open = 0;
	for (;;) {
		size_t at = white(x, x->at), to;
		spend(x->run, 1);
		if (at > x->at)
			go(x, at);
		if (x->at >= x->n)
			stop(x->run, "a tag has no end: '%s' is missing", end);
		to = x->open ? 0 : tag_end(x, x->at, end);
		if (to) {
			add(x, (struct token){ .kind = closes });
			go(x, to);
			return;
		}
		char c = x->s[x->at];
		if (isdigit((unsigned char)c)) {
			number(x);
		} else if (word(c)) {
			for (to = x->at; to < x->n && word(x->s[to]); to++)
				;
			add(x, (struct token){ .kind = T_NAME, .text = text_of(x->run, x->s + x->at, to - x->at, 0) });
			go(x, to);
		} else if (c == '\'' || c == '"') {
			quoted(x);
		} else {
			operator(x);
		}
	}
}

/* Line ends are \n whatever they were, and the last one goes. */
static void take_source(struct lexer *x, const char *source, size_t n)
{
	char *s = take(x->run, n + 1, 1);
	for (size_t i = 0; i < n; i++) {
		if (source[i] == '\r' && i + 1 < n && source[i + 1] == '\n')
			continue;
		s[x->n++] = source[i] == '\r' ? '\n' : source[i];
	}
	if (x->n && s[x->n - 1] == '\n')
		x->n--;
	x->s = s;
}

struct token *lex(struct run *r, const char *source, size_t n)
{
	struct lexer x = { .run = r, .line_start = true };
	take_source(&x, source, n);
	r->line = 1;
	while (x.at < x.n) {
		size_t to = x.at;
		while (to < x.n && !(x.s[to] == '{' && to + 1 < x.n && memchr("{%#", x.s[to + 1], 3)))
			to++;
		char kind = to < x.n ? x.s[to + 1] : 0, sign = to + 2 < x.n ? x.s[to + 2] : 0;
		add_data(&x, to, kind ? sign : '+', kind == '{');
		size_t text = kind == '%' ? raw_begin(&x, to) : 0;
		if (text) {
			raw(&x, text);
		} else if (kind == '#') {
			comment(&x);
		} else if (kind) {
			add(&x, (struct token){ .kind = kind == '{' ? T_PRINT : T_BLOCK });
			go(&x, to + 2 + (sign == '-' || sign == '+'));
			tag(&x, kind == '{' ? "}}" : "%}", kind == '{' ? T_PRINT_END : T_BLOCK_END);
		}
	}
	add(&x, (struct token){ .kind = T_END });
	return x.tokens;
}

/* text_words.c - texts as words, as each metric sees them. White space is that of Python. */
#include "ft/err.h"
#include "ft/text.h"
#include "ft/utf8.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

void cutter_clear(struct cutter *c)
{
	paths_clear(&c->words);
	c->lines = 0;
}

void cutter_free(struct cutter *c)
{
	paths_free(&c->words);
	free(c->line);
	ft_buf_free(&c->a);
	ft_buf_free(&c->b);
}

static int push_word(struct cutter *c, const char *p, size_t n)
{
	int32_t node = 0;
	for (size_t i = 0; i < n; i++)
		if ((node = paths_step(&c->words, node, (unsigned char)p[i])) < 0)
			return node;
	return sequences_push(c->out, node);
}

static struct ft_span span_of(const struct ft_buf *b)
{
	return (struct ft_span){ (const char *)b->data, b->len };
}

/* Words between white space. */
static int push_words(struct cutter *c, struct ft_span text)
{
	size_t from = 0, used;
	int32_t ch;
	for (size_t i = 0; i < text.n; i += used) {
		used = ft_utf8_get(text.p + i, text.n - i, &ch, NULL);
		if (!ft_is_space(ch))
			continue;
		if (i > from && push_word(c, text.p + from, i - from) < 0)
			return FT_EFAIL;
		from = i + used;
	}
	return text.n > from ? push_word(c, text.p + from, text.n - from) : FT_OK;
}

/* ---- ROUGE: runs of a-z and 0-9 of the text in lower case ---- */

/* A letter or digit as it is in lower case, or 0. Of all characters beyond ASCII just two
 * become an ASCII letter: K (Kelvin), and I with a dot, with a combining dot behind. */
static char rouge_letter(int32_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c + 'a' - 'A');
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
		return (char)c;
	return c == 0x212a ? 'k' : c == 0x130 ? 'i' : 0;
}

static int push_rouge(struct cutter *c)
{
	char *word = (char *)c->a.data;
	size_t n = c->a.len;
	c->a.len = 0;
	if (n > 3 && c->stem)
		n = stem_word(word, n);
	return n ? push_word(c, word, n) : FT_OK;
}

/* Lines without a word are none. */
static int push_line(struct cutter *c)
{
	if (c->lines && c->line[c->lines - 1] == c->out->n)
		return FT_OK;
	if (ft_grow(&c->line, &c->line_cap, c->lines + 1, sizeof *c->line) < 0)
		return FT_EFAIL;
	c->line[c->lines++] = c->out->n;
	return FT_OK;
}

int cut_rouge(struct cutter *c, struct ft_span text)
{
	int rc = FT_OK;
	int32_t ch;
	c->a.len = 0;
	for (size_t i = 0; i < text.n && rc == FT_OK;) {
		i += ft_utf8_get(text.p + i, text.n - i, &ch, NULL);
		char letter = rouge_letter(ch);
		if (ft_buf_reserve(&c->a, 1) < 0)
			return FT_EFAIL;
		if (letter)
			c->a.data[c->a.len++] = (unsigned char)letter;
		if (!letter || ch == 0x130) /* whose combining dot is no letter */
			rc = push_rouge(c);
		if (rc == FT_OK && ch == '\n')
			rc = push_line(c);
	}
	return rc == FT_OK ? push_rouge(c) : rc;
}

/* ---- BLEU: the tokenizer of mteval-v13a, as sacrebleu has it ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_stop(char c)
{
	return c == '.' || c == ',';
}

/* Marks that always stand alone. */
static bool is_mark(char c)
{
	return (c >= ' ' && c <= '~' && !(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z')) &&
		!strchr("',-.", c);
}

/* How many bytes at s[i] a rule concerns: 0 for none. Passes over a text are one rule
 * each, from left to right, and what a rule has taken it does not look at again. */
typedef size_t rule_13a(const char *s, size_t n, size_t i);
static size_t mark_rule(const char *s, size_t n, size_t i)
{
	(void)n;
	return is_mark(s[i]);
}
static size_t stop_behind_rule(const char *s, size_t n, size_t i)
{
	return i + 1 < n && !is_digit(s[i]) && is_stop(s[i + 1]) ? 2 : 0;
}
static size_t stop_before_rule(const char *s, size_t n, size_t i)
{
	return i + 1 < n && is_stop(s[i]) && !is_digit(s[i + 1]) ? 2 : 0;
}
static size_t dash_rule(const char *s, size_t n, size_t i)
{
	return i + 1 < n && is_digit(s[i]) && s[i + 1] == '-' ? 2 : 0;
}

/* c->a becomes itself with a blank before, between and behind the bytes of each place of
 * the rule; `before` and `behind` say whether there. */
static int set_off(struct cutter *c, rule_13a *rule, bool before, bool behind)
{
	const char *s = (const char *)c->a.data;
	c->b.len = 0;
	for (size_t i = 0, n; i < c->a.len; i += n ? n : 1) {
		n = rule(s, c->a.len, i);
		if (ft_buf_reserve(&c->b, 5) < 0)
			return FT_EFAIL;
		if (n && before)
			c->b.data[c->b.len++] = ' ';
		c->b.data[c->b.len++] = (unsigned char)s[i];
		if (n == 2) {
			c->b.data[c->b.len++] = ' ';
			c->b.data[c->b.len++] = (unsigned char)s[i + 1];
		}
		if (n && behind)
			c->b.data[c->b.len++] = ' ';
	}
	struct ft_buf swap = c->a;
	c->a = c->b;
	c->b = swap;
	return FT_OK;
}

static int replace(struct cutter *c, const char *from, const char *to)
{
	size_t length = strlen(from);
	const unsigned char *at = c->a.data, *end = at + c->a.len;
	c->b.len = 0;
	for (const unsigned char *hit; at; at = hit ? hit + length : NULL) {
		hit = memmem(at, (size_t)(end - at), from, length);
		if (ft_buf_append(&c->b, at, (size_t)((hit ? hit : end) - at)) < 0 ||
		    (hit && ft_buf_append(&c->b, to, strlen(to)) < 0))
			return FT_EFAIL;
	}
	struct ft_buf swap = c->a;
	c->a = c->b;
	c->b = swap;
	return FT_OK;
}

static size_t without_space_behind(struct ft_span text)
{
	size_t end = 0, used;
	int32_t ch;
	for (size_t i = 0; i < text.n; i += used) {
		used = ft_utf8_get(text.p + i, text.n - i, &ch, NULL);
		if (!ft_is_space(ch))
			end = i + used;
	}
	return end;
}

int cut_13a(struct cutter *c, struct ft_span text)
{
	static const char *const pairs[][2] = {
		{ "<skipped>", "" }, { "-\n", "" }, { "\n", " " }, { "&quot;", "\"" }, { "&amp;", "&" }, { "&lt;", "<" },
		{ "&gt;", ">" },
	};
	c->a.len = 0;
	int rc = ft_buf_append(&c->a, text.p, without_space_behind(text));
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs && rc == FT_OK; i++)
		rc = c->a.len ? replace(c, pairs[i][0], pairs[i][1]) : FT_OK;
	c->b.len = 0;
	if (rc == FT_OK)
		rc = ft_buf_printf(&c->b, " ");
	if (rc == FT_OK)
		rc = ft_buf_append(&c->b, c->a.data, c->a.len);
	if (rc == FT_OK)
		rc = ft_buf_append(&c->b, " ", 1);
	struct ft_buf swap = c->a;
	c->a = c->b;
	c->b = swap;
	if (rc == FT_OK)
		rc = set_off(c, mark_rule, true, true);
	if (rc == FT_OK)
		rc = set_off(c, stop_behind_rule, false, true);
	if (rc == FT_OK)
		rc = set_off(c, stop_before_rule, true, false);
	if (rc == FT_OK)
		rc = set_off(c, dash_rule, false, true);
	return rc == FT_OK ? push_words(c, span_of(&c->a)) : rc;
}

/* ---- chrF: characters without white space ---- */

int cut_characters(struct cutter *c, struct ft_span text)
{
	int rc = FT_OK;
	int32_t ch;
	for (size_t i = 0; i < text.n && rc == FT_OK;) {
		i += ft_utf8_get(text.p + i, text.n - i, &ch, NULL);
		if (!ft_is_space(ch))
			rc = sequences_push(c->out, ch);
	}
	return rc;
}

/* ---- answers as SQuAD normalises them: lower case, no punctuation, no articles ---- */

static bool is_letter(int32_t c)
{
	utf8proc_category_t k = utf8proc_category(c);
	return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

/* What a regular expression in Python takes for part of a word, but for '_', which is gone. */
static bool is_word_character(int32_t c)
{
	utf8proc_category_t k = utf8proc_category(c);
	return is_letter(c) || (k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO);
}

/* Unicode's Case_Ignorable. */
static bool passes_case(int32_t c)
{
	switch (utf8proc_category(c)) {
	case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_ME: case UTF8PROC_CATEGORY_CF: case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_SK: return true;
	default: break;
	}
	static const int32_t more[] = { '\'', '.', ':', 0xb7, 0x387, 0x55f, 0x5f4, 0x2018, 0x2019, 0x2024, 0x2027, 0xfe13,
	                                0xfe52, 0xfe55, 0xff07, 0xff0e, 0xff1a };
	for (size_t i = 0; i < sizeof more / sizeof *more; i++)
		if (c == more[i])
			return true;
	return false;
}

static bool is_cased(int32_t c)
{
	utf8proc_category_t k = utf8proc_category(c);
	return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT || c == 0xaa ||
		c == 0xba || (c >= 0x2160 && c <= 0x217f) || (c >= 0x24b6 && c <= 0x24e9);
}

/* Whether the capital sigma before text[i..] ends a word, of which `cased` says that it began. */
static bool is_final(struct ft_span text, size_t i, bool cased)
{
	int32_t c;
	while (cased && i < text.n) {
		i += ft_utf8_get(text.p + i, text.n - i, &c, NULL);
		if (!passes_case(c))
			return !is_cased(c);
	}
	return cased;
}

static int put_character(struct ft_buf *b, int32_t c)
{
	if (ft_buf_reserve(b, 4) < 0)
		return FT_EFAIL;
	b->len += ft_utf8_put(c, (char *)b->data + b->len);
	return FT_OK;
}

/* c->a: the text in lower case without ASCII punctuation. */
static int simplify(struct cutter *c, struct ft_span text)
{
	bool cased = false; /* a cased letter came, and then nothing that ends it */
	int rc = FT_OK;
	int32_t ch;
	c->a.len = 0;
	for (size_t i = 0; i < text.n && rc == FT_OK;) {
		i += ft_utf8_get(text.p + i, text.n - i, &ch, NULL);
		int32_t lower = ch == 0x3a3 && is_final(text, i, cased) ? 0x3c2 : utf8proc_tolower(ch);
		cased = is_cased(ch) || (cased && passes_case(ch));
		if (ch == 0x130) { /* the one character that becomes two */
			rc = ft_buf_append(&c->a, "i\xcc\x87", 3);
			continue;
		}
		bool mark = ch > ' ' && ch < 0x7f && !(ch >= '0' && ch <= '9') && !(lower >= 'a' && lower <= 'z');
		if (!mark)
			rc = put_character(&c->a, lower);
	}
	return rc;
}

static bool is_article(const char *p, size_t n)
{
	return (n == 1 && p[0] == 'a') || (n == 2 && memcmp(p, "an", 2) == 0) || (n == 3 && memcmp(p, "the", 3) == 0);
}

/* c->b: c->a with a blank for each article, a word of letters and digits of its own. */
static int drop_articles(struct cutter *c)
{
	const char *s = (const char *)c->a.data;
	size_t n = c->a.len, from = 0, used;
	int rc = FT_OK;
	c->b.len = 0;
	for (size_t i = 0; i <= n && rc == FT_OK; i += used) {
		int32_t ch = 0;
		used = i < n ? ft_utf8_get(s + i, n - i, &ch, NULL) : 1;
		if (i < n && is_word_character(ch))
			continue;
		rc = is_article(s + from, i - from) ? ft_buf_append(&c->b, " ", 1) : ft_buf_append(&c->b, s + from, i - from);
		if (rc == FT_OK && i < n)
			rc = ft_buf_append(&c->b, s + i, used);
		from = i + used;
	}
	return rc;
}

int cut_answer(struct cutter *c, struct ft_span text)
{
	int rc = simplify(c, text);
	if (rc == FT_OK && c->a.len)
		rc = drop_articles(c);
	return rc == FT_OK && c->a.len ? push_words(c, span_of(&c->b)) : rc;
}

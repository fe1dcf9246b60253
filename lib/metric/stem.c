/* stem.c - Porter's stemmer (Porter, "An algorithm for suffix stripping", Program 14, 1980)
 * with the extensions that NLTK's has by default, which rouge_score uses: forms that are
 * looked up, and rules of its own in steps 1 and 2.
 *
 * A word is letters a-z and digits; digits count as consonants. Its measure m is the
 * number of times that a consonant follows a vowel.
 */
#include "text.h"

#include <string.h>

struct word {
	char *s;
	size_t n;
};

static bool is_vowel_letter(char c)
{
	return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u';
}

/* A y is a consonant at the beginning and behind a vowel. */
static bool is_consonant(const char *s, size_t i)
{
	size_t ys = 0;
	for (; i > 0 && s[i] == 'y'; i--)
		ys++;
	return !is_vowel_letter(s[i]) != (ys % 2 == 1);
}

/* The measure of the first n letters; *vowel: whether one of them is a vowel. */
static size_t measure(const char *s, size_t n, bool *vowel)
{
	bool consonant = true, any = false;
	size_t m = 0;
	for (size_t i = 0; i < n; i++) {
		bool now = s[i] == 'y' ? i == 0 || !consonant : !is_vowel_letter(s[i]);
		m += i && now && !consonant;
		any |= !now;
		consonant = now;
	}
	if (vowel)
		*vowel = any;
	return m;
}

static size_t measure_of(const struct word *w, size_t n)
{
	return measure(w->s, n, NULL);
}

static bool has_vowel(const struct word *w, size_t n)
{
	bool any;
	measure(w->s, n, &any);
	return any;
}

static bool ends(const struct word *w, const char *suffix)
{
	size_t n = strlen(suffix);
	return w->n >= n && memcmp(w->s + w->n - n, suffix, n) == 0;
}

/* The first n letters end in a consonant, a vowel, and a consonant that is not w, x or y;
 * or are a vowel and a consonant. */
static bool ends_short(const struct word *w, size_t n)
{
	const char *s = w->s;
	if (n == 2)
		return !is_consonant(s, 0) && is_consonant(s, 1);
	return n >= 3 && is_consonant(s, n - 3) && !is_consonant(s, n - 2) && is_consonant(s, n - 1) &&
		!strchr("wxy", s[n - 1]);
}

static void put(struct word *w, size_t keep, const char *suffix)
{
	size_t n = strlen(suffix);
	memcpy(w->s + keep, suffix, n);
	w->n = keep + n;
}

struct rule {
	const char *suffix, *other;
};

/* The first rule whose suffix is there is the one that counts: it applies when the
 * measure of what is before the suffix is above `above`. */
static void apply(struct word *w, const struct rule *rule, size_t rules, size_t above)
{
	for (size_t i = 0; i < rules; i++) {
		if (!ends(w, rule[i].suffix))
			continue;
		size_t keep = w->n - strlen(rule[i].suffix);
		if (measure_of(w, keep) > above)
			put(w, keep, rule[i].other);
		return;
	}
}
#define APPLY(w, rules, above) apply(w, rules, sizeof(rules) / sizeof *(rules), above)

/* Plurals. */
static void step1a(struct word *w)
{
	if (ends(w, "ies"))
		put(w, w->n - 3, w->n == 4 ? "ie" : "i");
	else if (ends(w, "sses"))
		w->n -= 2;
	else if (ends(w, "s") && !ends(w, "ss"))
		w->n--;
}

/* What remains after -ed and -ing. */
static void mend(struct word *w)
{
	if (ends(w, "at") || ends(w, "bl") || ends(w, "iz"))
		put(w, w->n, "e");
	else if (w->n >= 2 && w->s[w->n - 1] == w->s[w->n - 2] && is_consonant(w->s, w->n - 1))
		w->n -= !strchr("lsz", w->s[w->n - 1]);
	else if (measure_of(w, w->n) == 1 && ends_short(w, w->n))
		put(w, w->n, "e");
}

/* -ed and -ing. */
static void step1b(struct word *w)
{
	if (ends(w, "ied")) {
		put(w, w->n - 3, w->n == 4 ? "ie" : "i");
	} else if (ends(w, "eed")) {
		w->n -= measure_of(w, w->n - 3) > 0;
	} else if (ends(w, "ed") && has_vowel(w, w->n - 2)) {
		w->n -= 2;
		mend(w);
	} else if (ends(w, "ing") && has_vowel(w, w->n - 3)) {
		w->n -= 3;
		mend(w);
	}
}

static void step1c(struct word *w)
{
	if (ends(w, "y") && w->n > 2 && is_consonant(w->s, w->n - 2))
		put(w, w->n - 1, "i");
}

static void step2(struct word *w)
{
	static const struct rule rules[] = {
		{ "ational", "ate" }, { "tional", "tion" }, { "enci", "ence" },   { "anci", "ance" },   { "izer", "ize" },
		{ "bli", "ble" },     { "alli", "al" },     { "entli", "ent" },   { "eli", "e" },       { "ousli", "ous" },
		{ "ization", "ize" }, { "ation", "ate" },   { "ator", "ate" },    { "alism", "al" },    { "iveness", "ive" },
		{ "fulness", "ful" }, { "ousness", "ous" }, { "aliti", "al" },    { "iviti", "ive" },   { "biliti", "ble" },
		{ "fulli", "ful" },
	};
	if (ends(w, "alli") && measure_of(w, w->n - 4) > 0)
		w->n -= 2;
	if (ends(w, "logi")) /* the l counts as part of what is before */
		w->n -= measure_of(w, w->n - 3) > 0;
	else
		APPLY(w, rules, 0);
}

static void step3(struct word *w)
{
	static const struct rule rules[] = {
		{ "icate", "ic" }, { "ative", "" }, { "alize", "al" }, { "iciti", "ic" }, { "ical", "ic" }, { "ful", "" },
		{ "ness", "" },
	};
	APPLY(w, rules, 0);
}

static void step4(struct word *w)
{
	static const struct rule before[] = {
		{ "al", "" },  { "ance", "" }, { "ence", "" },  { "er", "" },   { "ic", "" },  { "able", "" },
		{ "ible", "" }, { "ant", "" },  { "ement", "" }, { "ment", "" }, { "ent", "" }, { "ou", "" },
		{ "ism", "" }, { "ate", "" },  { "iti", "" },   { "ous", "" },  { "ive", "" }, { "ize", "" },
	};
	if (!ends(w, "ion"))
		APPLY(w, before, 1);
	else if (measure_of(w, w->n - 3) > 1 && strchr("st", w->s[w->n - 4]))
		w->n -= 3;
}

static void step5(struct word *w)
{
	if (ends(w, "e")) {
		size_t m = measure_of(w, w->n - 1);
		w->n -= m > 1 || (m == 1 && !ends_short(w, w->n - 1));
	}
	if (ends(w, "ll") && measure_of(w, w->n - 1) > 1)
		w->n--;
}

/* Forms that have no rule. */
static bool look_up(struct word *w)
{
	static const struct rule form[] = {
		{ "skies", "sky" },      { "sky", "sky" },         { "dying", "die" },       { "lying", "lie" },
		{ "tying", "tie" },      { "news", "news" },       { "innings", "inning" },  { "inning", "inning" },
		{ "outings", "outing" }, { "outing", "outing" },   { "cannings", "canning" }, { "canning", "canning" },
		{ "howe", "howe" },      { "proceed", "proceed" }, { "exceed", "exceed" },   { "succeed", "succeed" },
	};
	for (size_t i = 0; i < sizeof form / sizeof *form; i++)
		if (w->n == strlen(form[i].suffix) && ends(w, form[i].suffix)) {
			put(w, 0, form[i].other);
			return true;
		}
	return false;
}

size_t stem_word(char *word, size_t n)
{
	struct word w = { word, n };
	if (n <= 2 || look_up(&w))
		return w.n;
	step1a(&w);
	step1b(&w);
	step1c(&w);
	step2(&w);
	step3(&w);
	step4(&w);
	step5(&w);
	return w.n;
}

/* priv.h - how the files of lib/tok share a tokenizer.
 *
 * A text goes through five steps, each in its own file, in the reference's
 * order: special tokens are cut out of the raw text (added.c), the rest is
 * normalised (normalize.c) and split into words (pretokenize.c), and the kind
 * of tokenizer cuts words into pieces (wordpiece.c); ft_tok_wrap() puts the
 * template's special tokens around them (template.c).
 */
#ifndef FT_TOK_PRIV_H
#define FT_TOK_PRIV_H

#include "ft/tok.h"
#include "vocab.h"

/* ---- characters (unicode.c): what the reference thinks of them ---- */
enum {
	TOK_DROPPED = 1,   /* clean_text removes it */
	TOK_WHITE = 2,
	TOK_CHINESE = 4,   /* set off by spaces */
	TOK_MARK = 8,      /* strip_accents removes it */
	TOK_PUNCT = 16,    /* a word of its own */
	TOK_COMBINING = 32 /* strip_accents leaves it, but it may change places */
};
#define TOK_TABLE 0x20000 /* characters below have their flags in a table */
void tok_chars_fill(uint8_t table[TOK_TABLE]);
unsigned tok_chars_above(int32_t c); /* flags of c >= TOK_TABLE */
bool tok_is_word(int32_t c);         /* \w of the reference's regular expressions */
int tok_combining(int32_t c);        /* canonical combining class */
/* Canonical decomposition of c into out; returns the count, 1 when it is itself. */
#define TOK_DECOMPOSED 18
size_t tok_decompose(int32_t c, int32_t out[TOK_DECOMPOSED]);
/* Lower case of c into out; returns the count, at most 2. */
size_t tok_lower(int32_t c, int32_t out[2]);

/* Reads one character of n > 0 bytes; returns how many bytes it is. What is
 * not UTF-8 gives U+FFFD with *bad set (when not NULL; never cleared). */
size_t tok_utf8_get(const char *s, size_t n, int32_t *c, bool *bad);
size_t tok_utf8_put(int32_t c, char out[4]);

/* ---- scratch: what one call of ft_tok_encode() needs, kept for the next ---- */
struct tok_span { uint32_t begin, end; }; /* bytes of the source */
struct tok_mark { int32_t c; int class; size_t order; struct tok_span at; };
struct ft_tok_scratch {
	char *text;           /* [n] normalised bytes */
	struct tok_span *map; /* [n] where each came from */
	size_t n, cap;
	struct tok_mark *marks; /* combining characters since the last base */
	size_t nmarks, marks_cap;
};

/* ---- words ---- */
struct tok_word {
	const char *s;             /* [n] normalised */
	size_t n;
	uint64_t hash;             /* tok_hash of it */
	const struct tok_span *map; /* [n], or NULL: byte i is byte `base` + i of the source */
	uint32_t base;
};

/* ---- kinds (tokenizers.def) ---- */
struct tok_kind {
	const char *name; /* in a stream's meta: "wordpiece" */
	/* Reads tokenizer.json's `model`, whose `vocab`, when it is an object of
	 * ids, is already in t->vocab. `where` names the file. */
	int (*load)(struct ft_tok *t, const json_t *model, const char *where);
	/* The pieces of one word, appended to x. */
	int (*word)(const struct ft_tok *t, const struct tok_word *w, int type, struct ft_tok_text *x);
	void (*unload)(struct ft_tok *t); /* frees t->state; also after a failed load */
};

/* ---- added tokens ---- */
struct tok_added {
	int32_t id;
	char *content;
	char *normal; /* its normal form, when that is what is looked for; else NULL */
	bool special, single_word, lstrip, rstrip, normalized;
};
struct tok_matcher {          /* one set of contents to look for */
	struct tok_vocab contents; /* id there: index in ft_tok.added */
	bool first[256];           /* bytes that begin one */
	int only;                  /* the only such byte, or -1 */
};

/* ---- templates ---- */
enum { TOK_STEP_A, TOK_STEP_B, TOK_STEP_SPECIAL };
struct tok_step {
	int what;
	int32_t id; /* STEP_SPECIAL */
	uint8_t type;
};
struct tok_template {
	struct tok_step *steps;
	size_t count, cap, specials;
};

enum { TOK_PAD, TOK_UNK, TOK_CLS, TOK_SEP, TOK_MASK, TOK_ROLES };

struct ft_tok {
	char digest[33];
	const struct tok_kind *kind;
	struct tok_vocab vocab; /* pieces of the model; added tokens are apart */

	struct { bool clean, chinese, strip, lower; } normal;
	uint8_t chars[TOK_TABLE]; /* TOK_ flags */
	uint8_t letter[256];      /* a byte that stays in a word alone: its lower case; else 0 */
	uint8_t breaks[256];      /* a byte that ends words by itself: TOK_WHITE or TOK_PUNCT; else 0 */

	struct tok_added *added; /* by rising id */
	size_t nadded, added_cap;
	struct tok_matcher raw, normalized;

	struct tok_template single, pair;
	struct { char *prefix; bool cleanup; char *unsupported; } decoder; /* prefix NULL: joined by spaces */
	int32_t role[TOK_ROLES]; /* ids, -1 for none */

	void *state; /* the kind's own */
};

static inline unsigned tok_flags(const struct ft_tok *t, int32_t c)
{
	return c < TOK_TABLE ? t->chars[c] : tok_chars_above(c);
}

/* ---- load.c ---- */
int tok_load(struct ft_tok *t, const char *dir);
/* The whole of a file; *missing and FT_OK when there is none. */
int tok_read_file(const char *path, struct ft_buf *out, bool *missing);
void tok_set_normal(struct ft_tok *t, bool clean, bool chinese, bool strip, bool lower);
int tok_load_model(struct ft_tok *t, const json_t *model, bool repeats, const char *where);
int tok_set_digest(struct ft_tok *t, const void *a, size_t an, const void *b, size_t bn);

/* ---- config.c: what stands beside tokenizer.json and vocab.txt ---- */
struct tok_config {
	json_t *tokenizer, *special; /* tokenizer_config.json, special_tokens_map.json; or NULL */
	const char *token[TOK_ROLES]; /* names of the special tokens; borrowed from them */
	char *path;                  /* of tokenizer_config.json */
};
int tok_config_read(struct tok_config *c, const char *dir);
void tok_config_free(struct tok_config *c);
/* Some programs let tokenizer_config.json overrule tokenizer.json's normalizer,
 * others do not: where they differ, FT_EMATCH. */
int tok_config_agrees(const struct tok_config *c, const json_t *normalizer);
int tok_load_vocab_txt(struct ft_tok *t, const char *path, const struct ft_buf *text, const struct tok_config *c);

/* ---- normalize.c ---- */
/* Appends the normal form of text (bytes base.. of the source) to the scratch. */
int tok_normalize(const struct ft_tok *t, const char *text, size_t n, uint32_t base, struct ft_tok_scratch *s);

/* ---- pretokenize.c ---- */
/* Words of raw text without special tokens; their pieces appended to x. */
int tok_split_raw(const struct ft_tok *t, const char *text, size_t n, uint32_t base, int type, struct ft_tok_text *x);
/* Words of bytes from..to of the scratch's normalised text. */
int tok_split(const struct ft_tok *t, size_t from, size_t to, int type, struct ft_tok_text *x);

/* ---- added.c ---- */
/* Reads the added_tokens array; the vocabulary is there already. */
int tok_added_load(struct ft_tok *t, const json_t *list, const char *where);
/* One special token, as vocab.txt implies it. Absent from the vocabulary: nothing. */
int tok_added_special(struct ft_tok *t, const char *content);
/* Builds the matchers; after the last token. */
int tok_added_finish(struct ft_tok *t);
int tok_added_split(const struct ft_tok *t, const char *text, size_t n, int type, struct ft_tok_text *x);
void tok_added_free(struct ft_tok *t);
const struct tok_added *tok_added_find(const struct ft_tok *t, int32_t id); /* or NULL */

/* ---- template.c ---- */
int tok_template_load(struct ft_tok *t, const json_t *processor, const char *where);
/* [CLS] A [SEP] B [SEP] */
int tok_template_bert(struct ft_tok *t, int32_t cls, int32_t sep);

/* ---- growth ---- */
int tok_text_reserve(struct ft_tok_text *x, size_t more);
static inline int tok_emit(struct ft_tok_text *x, int32_t id, int type, uint32_t begin, uint32_t end)
{
	if (x->n == x->cap) {
		int rc = tok_text_reserve(x, 1);
		if (rc < 0)
			return rc;
	}
	x->ids[x->n] = id;
	x->types[x->n] = (uint8_t)type;
	x->begin[x->n] = begin;
	x->end[x->n++] = end;
	return 0;
}

#endif

/* priv.h - how the files of lib/tok share a tokenizer.
 *
 * A text goes through five steps, in the reference's order: special tokens are
 * cut out of the raw text (added.c), the rest is normalised (normalize.c) and
 * split into words (pretokenize.c), and the kind of tokenizer cuts words into
 * pieces (wordpiece.c, bpe.c); ft_tok_wrap() puts the template's special tokens
 * around them (template.c). The way back is decode.c.
 *
 * Normalisation, splitting and decoding are chains of stages as tokenizer.json
 * names them, each a line in normalizers.def, splitters.def or decoders.def.
 */
#ifndef FT_TOK_PRIV_H
#define FT_TOK_PRIV_H

#include "ft/tok.h"
#include "ft/utf8.h"
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
/* Decomposition of c, canonical or also by compatibility, into out; returns the
 * count, 1 when it is itself. */
#define TOK_DECOMPOSED 18
size_t tok_decompose(int32_t c, bool compatible, int32_t out[TOK_DECOMPOSED]);
int32_t tok_compose(int32_t a, int32_t b); /* the character that is a and b, or -1 */
/* Lower case of c into out; returns the count, at most 2. */
size_t tok_lower(int32_t c, int32_t out[2]);

bool tok_is_accent(int32_t c);  /* StripAccents removes it */
bool tok_is_numeric(int32_t c); /* Digits sets it apart */

/* Classes of the reference's regular expressions: \p{L} in three parts, \p{M},
 * \p{N}, \s. The table is empty until it is filled, once for all tokenizers. */
enum { TOK_UPPER = 1, TOK_LOWER = 2, TOK_OTHER_LETTER = 4, TOK_ACCENT = 8, TOK_NUMBER = 16, TOK_BLANK = 32 };
#define TOK_LETTER (TOK_UPPER | TOK_LOWER | TOK_OTHER_LETTER)
extern uint8_t tok_classes[TOK_TABLE];
void tok_classes_fill(void);
uint8_t tok_class_above(int32_t c);
static inline uint8_t tok_class(int32_t c)
{
	return c < TOK_TABLE ? tok_classes[c] : tok_class_above(c);
}

/* ---- text, and where it came from ---- */
struct tok_span { uint32_t begin, end; }; /* bytes of the source */

struct tok_run {                    /* some text on its way; borrowed */
	const char *s;              /* [n] UTF-8 */
	size_t n;
	const struct tok_span *map; /* [n], or NULL: byte i is byte `base` + i of the source */
	uint32_t base;
	size_t room;                /* bytes from s on that may be read, when more than n */
	uint64_t hash;              /* of a word: tok_hash of s, or 0: not known */
};

struct tok_form {                   /* some text in the making; {0} is an empty one */
	char *s;
	struct tok_span *map;
	size_t n, cap;
	size_t limit;               /* bytes it may have; 0: any */
};
int tok_form_grow(struct tok_form *x, size_t more); /* room for `more` bytes, or FT_EFORMAT beyond the limit */
int tok_form_put(struct tok_form *x, int32_t c, struct tok_span at);
int tok_form_append(struct tok_form *x, const char *s, size_t n, struct tok_span at);
/* Bytes from..to of r with their own places. */
int tok_form_copy(struct tok_form *x, const struct tok_run *r, size_t from, size_t to);
/* A prefix of r, which is not empty: it has the place of r's first character, as in the reference. */
int tok_form_prefix(struct tok_form *x, const struct tok_run *r, const char *prefix, size_t n);
void tok_form_free(struct tok_form *x);
static inline struct tok_run tok_form_run(const struct tok_form *x)
{
	return (struct tok_run){ .s = x->s ? x->s : "", .n = x->n, .map = x->map, .room = x->cap };
}
static inline bool tok_utf8_inside(char c) /* a byte of a character, but not the first */
{
	return ((unsigned char)c & 0xc0) == 0x80;
}
/* Where bytes from..to (from < to) of r came from; whole characters of the source. */
static inline struct tok_span tok_run_span(const struct tok_run *r, size_t from, size_t to)
{
	if (r->map) {
		/* Combining characters may have changed places: the first need not come first. */
		struct tok_span a = r->map[from], b = r->map[to - 1];
		return (struct tok_span){ a.begin < b.begin ? a.begin : b.begin, a.end > b.end ? a.end : b.end };
	}
	while (from > 0 && tok_utf8_inside(r->s[from]))
		from--;
	while (to < r->n && tok_utf8_inside(r->s[to]))
		to++;
	return (struct tok_span){ r->base + (uint32_t)from, r->base + (uint32_t)to };
}
static inline struct tok_run tok_run_part(const struct tok_run *r, size_t from, size_t to)
{
	return (struct tok_run){ .s = r->s + from, .n = to - from, .map = r->map ? r->map + from : NULL,
	                         .base = r->base + (uint32_t)from, .room = r->room > from ? r->room - from : 0 };
}

/* ---- scratch: what one call of ft_tok_encode() needs, kept for the next ---- */
#define TOK_STAGES 32 /* stages of a chain, at most */
struct tok_mark { int32_t c; int class; size_t order; struct tok_span at; };
struct ft_tok_scratch {
	struct tok_form normal[2];        /* between stages of normalisation */
	struct tok_form split[TOK_STAGES][2]; /* what a splitting stage has rewritten */
	void *store;                      /* for searches (regex.h) */
	struct tok_mark *marks;           /* combining characters since the last base */
	size_t nmarks, marks_cap;
	void *work;                       /* the kind's, during one call of ft_tok_encode() */
	size_t first;                     /* the token at which that call began */
};
void tok_scratch_free(struct ft_tok_scratch *s); /* NULL is fine */

/* ---- stages ---- */
typedef size_t tok_scan_fn(const char *s, size_t n, size_t at); /* scan.h */
struct tok_list {              /* strings, one after the other; {0} is an empty one */
	struct ft_buf text;
	size_t *end;           /* [n]: where each ends in text */
	size_t n, cap;
	size_t limit;          /* bytes it may have */
};
int tok_list_append(struct tok_list *l, const char *s, size_t n); /* to the string in the making */
int tok_list_end(struct tok_list *l);                             /* which ends here */
int tok_list_add(struct tok_list *l, const char *s, size_t n);    /* both */
static inline struct ft_span tok_list_get(const struct tok_list *l, size_t i)
{
	size_t from = i ? l->end[i - 1] : 0;
	return (struct ft_span){ l->text.data ? (const char *)l->text.data + from : "", l->end[i] - from };
}
/* Bytes of the source in which no special token begins or ends. */
struct tok_guard {
	const struct ft_tok_range *range; /* [n], in order */
	size_t n;
};
/* A walk of text through the stages that split it. */
struct tok_walk {
	const struct ft_tok *t;
	struct ft_tok_text *x;
	int type;
	const struct tok_guard *guard; /* or NULL */
};
enum { TOK_SAME = 1 };
struct tok_stage_kind {
	const char *type; /* in tokenizer.json */
	/* Reads the stage's members into *state, which `unload` frees (NULL: free()), also
	 * after a failed load. NULL: it has none. Errors name no place. */
	int (*load)(struct ft_tok *t, const json_t *v, void **state);
	void (*unload)(void *state);
	union {
		/* Appends to `out`, which is empty, what becomes of `in`; or TOK_SAME: it stays as it is. */
		int (*normalize)(const struct ft_tok *t, const void *state, const struct tok_run *in,
		                 struct ft_tok_scratch *s, struct tok_form *out);
		/* Gives each part of `in` to tok_walk_on(w, stage + 1, part). */
		int (*split)(const struct tok_walk *w, size_t stage, const void *state, const struct tok_run *in);
		/* Appends to `out`, which is empty, what becomes of the strings of `in`. */
		int (*decode)(const void *state, const struct tok_list *in, struct tok_list *out);
	};
};
struct tok_stage { const struct tok_stage_kind *kind; void *state; };
struct tok_chain { struct tok_stage stage[TOK_STAGES]; size_t n; };

/* ---- what a file says, before it is a tokenizer ---- */
struct tok_merge {
	uint32_t at, left, right; /* text[at]: `left` bytes, and `right` bytes behind them */
	uint32_t rank;            /* its place; equal ranks are merged from the left */
};
/* What a piece is, numbered as in SentencePiece's models. */
enum { TOK_NORMAL = 1, TOK_UNKNOWN, TOK_CONTROL, TOK_USER, TOK_UNUSED, TOK_BYTE };
struct tok_source {
	bool repeats;           /* of equal pieces the last counts; else they are an error */
	const char *added_where; /* the file that has added_tokens; NULL: the one that has all */
	bool has_scores;        /* model.vocab is a list of pieces with scores */
	double *scores;         /* [nscores]: of the pieces of t->vocab, by id */
	size_t nscores, scores_cap;
	uint8_t *types;         /* [nscores], of the pieces; NULL: tokenizer.json's rules, which know no types */
	bool single;            /* sums of scores are float32, as SentencePiece's */
	bool has_merges;        /* a list was there; it may be empty */
	struct ft_buf text;     /* of the merges */
	struct tok_merge *merges; /* [nmerges], best first */
	size_t nmerges, merges_cap;
};
int tok_source_merge(struct tok_source *src, const char *left, size_t left_n, const char *right, size_t right_n);
int tok_source_score(struct tok_source *src, double score);
void tok_source_free(struct tok_source *src);
/* What a tokenizer was made of, for those who write it in another form (tables.c). */
struct tok_kept {
	json_t *root; /* as tok_load_tree() had it */
	struct tok_source src;
};
/* A loader is done with both: they are kept where t->kept is set, else freed. */
struct ft_tok;
void tok_source_done(struct ft_tok *t, json_t *root_taken, struct tok_source *src);

/* ---- kinds (tokenizers.def) ---- */
struct tok_kind {
	const char *name; /* in a stream's meta: "wordpiece" */
	/* Reads tokenizer.json's `model`; its `vocab` is in t->vocab, built, and in `src`
	 * are scores and merges. `where` names the file. */
	int (*load)(struct ft_tok *t, const json_t *model, struct tok_source *src, const char *where);
	/* The pieces of one word, appended to x. */
	int (*word)(const struct ft_tok *t, const struct tok_run *w, int type, struct ft_tok_text *x);
	void (*unload)(struct ft_tok *t); /* frees t->state; also after a failed load */
	/* All words of w's text `in`, as `scan` cuts them (scan.h), when no stage comes between;
	 * NULL: word() takes them one by one. */
	int (*words)(const struct tok_walk *w, tok_scan_fn *scan, const struct tok_run *in);
	/* What a call of ft_tok_encode() works with, for word() in scratch->work: there are as
	 * many as threads at the same time, and what they have learnt of texts stays. */
	void *(*work_new)(const struct ft_tok *t); /* NULL: nothing is needed */
	void (*work_free)(void *work);
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

enum { TOK_PAD, TOK_UNK, TOK_CLS, TOK_SEP, TOK_MASK, TOK_BOS, TOK_EOS, TOK_ROLES };
extern const char *const tok_role_names[TOK_ROLES]; /* "pad", ... */

struct ft_tok {
	char digest[33];
	const struct tok_kind *kind;
	struct tok_vocab vocab; /* pieces of the model; added tokens are apart */

	struct tok_chain normalizers, splitters, decoders;
	const struct tok_bert *plain; /* BertNormalizer, then BertPreTokenizer: tok_split_raw() does both; or NULL */
	uint8_t chars[TOK_TABLE]; /* TOK_ flags */
	uint8_t letter[256];      /* a byte that stays in a word alone: its lower case; else 0 */
	uint8_t breaks[256];      /* a byte that ends words by itself: TOK_WHITE or TOK_PUNCT; else 0 */

	struct tok_added *added; /* by rising id */
	size_t nadded, added_cap;
	struct tok_matcher raw, normalized;

	bool bytes;               /* words are bytes: the last splitter is ByteLevel, whose letters the kind reads */
	bool trim, trim_prefix;   /* spaces at the ends of a token are left out of its place; but a first one */

	struct tok_template single, pair;
	char *undecodable; /* the decoder's type, when it is not known */
	int32_t role[TOK_ROLES]; /* ids, -1 for none */

	void *state; /* the kind's own */
	struct tok_kept *kept; /* NULL: what it was made of is not needed any more */
	struct tok_pool *pool; /* tok.c: what no thread works with just now */
};

static inline unsigned tok_flags(const struct ft_tok *t, int32_t c)
{
	return c < TOK_TABLE ? t->chars[c] : tok_chars_above(c);
}

/* A member that is a string of one character. */
int tok_load_char(const json_t *v, const char *key, int32_t *c);

/* Where white space that stands at i, or that ends there, ends, or begins. */
size_t tok_skip_white(const struct ft_tok *t, const char *s, size_t n, size_t i);
size_t tok_skip_white_back(const struct ft_tok *t, const char *s, size_t i);

/* ---- tok.c ---- */
/* As ft_tok_open(). `text` stands for the folder's tokenizer.json, unless it is NULL. */
struct ft_tok *tok_open(const char *dir, const struct ft_buf *text, struct tok_kept *kept);

/* ---- load.c ---- */
/* SentencePiece models in ft_tok_files; all before the end are tokenizers. */
enum { TOK_SPM_BEGIN = 3, TOK_SPM_END = 7 };
int tok_load(struct ft_tok *t, const char *dir, const struct ft_buf *text);
/* The whole of a file; *missing and FT_OK when there is none. */
int tok_read_file(const char *path, struct ft_buf *out, bool *missing);
int tok_set_digest(struct ft_tok *t, const void *a, size_t an, const void *b, size_t bn);
/* All that a tokenizer.json says: `root` is its tree, without what is large; model.vocab is
 * in t->vocab, built or not, scores and merges are in `src`. Older formats are brought into
 * this form. The digest and the roles are set by the caller. */
int tok_load_tree(struct ft_tok *t, const json_t *root, struct tok_source *src, const char *where);

/* ---- chain.c ---- */
enum { TOK_NORMALIZERS, TOK_SPLITTERS, TOK_DECODERS };
/* The stages of a member of tokenizer.json, which may be NULL, a stage or a Sequence. */
int tok_chain_load(struct ft_tok *t, int what, const json_t *v, struct tok_chain *c);
void tok_chain_free(struct tok_chain *c);
void tok_chain_drop(struct tok_chain *c); /* the last stage */

/* ---- config.c: what stands beside tokenizer.json and vocab.txt ---- */
struct tok_config {
	json_t *tokenizer, *special; /* tokenizer_config.json, special_tokens_map.json; or NULL */
	json_t *added, *model;       /* added_tokens.json, config.json; or NULL */
	const char *token[TOK_ROLES]; /* names of the special tokens, or NULL; borrowed from them */
	bool given[TOK_ROLES];       /* the files say so */
	char *path;                  /* of tokenizer_config.json */
};
int tok_config_read(struct tok_config *c, const char *dir);
void tok_config_free(struct tok_config *c);
/* Some programs let tokenizer_config.json overrule tokenizer.json's normalizer,
 * others do not: where they differ, FT_EMATCH. */
int tok_config_agrees(const struct tok_config *c, const json_t *normalizer);
/* The added tokens that these files name, as tokenizer.json has them: what is in
 * added_tokens_decoder and added_tokens.json, and special tokens that t->vocab, which is
 * built, has. NULL on failure. New reference. */
json_t *tok_config_added(const struct tok_config *c, const struct tok_vocab *v);
int tok_load_vocab_txt(struct ft_tok *t, const char *path, const struct ft_buf *text, const struct tok_config *c);

/* ---- merges_txt.c: vocab.json and merges.txt ---- */
/* `vocab` is the text of the first, whose path is `path`. Names of special tokens that
 * the family has are set in c. */
int tok_load_merges_txt(struct ft_tok *t, const char *dir, const char *path, const struct ft_buf *vocab,
                        struct tok_config *c);

/* ---- spm_load.c ---- */
/* A SentencePiece model in a folder; *missing and FT_OK when there is none. Names of
 * special tokens that it or its family has are set in c. */
int tok_load_spm(struct ft_tok *t, const char *dir, struct tok_config *c, bool *missing);

/* ---- gguf_vocab.c ---- */
int tok_load_gguf(struct ft_tok *t, const char *path);
int tok_gguf_there(const char *path); /* as ft_tok_there() */

/* ---- normalize.c ---- */
/* The normal form of `in`: itself, or in the scratch, valid until the next call. */
int tok_normalize(const struct ft_tok *t, const struct tok_run *in, struct ft_tok_scratch *s, struct tok_run *out);
/* The most bytes that a chain of stages may make of n. */
size_t tok_growth_limit(size_t n);

/* ---- normal_bert.c ---- */
extern const struct tok_stage_kind tok_normal_bert, tok_split_bytelevel; /* that others ask for */
struct tok_bert { bool clean, chinese, strip, lower; };
/* Appends what a BertNormalizer makes of `in`. */
int tok_bert_normalize(const struct ft_tok *t, const struct tok_bert *b, const struct tok_run *in,
                       struct ft_tok_scratch *s, struct tok_form *out);

/* ---- pretokenize.c ---- */
/* Gives `in` to the stage, or, behind the last, to the kind as a word. */
int tok_walk_on(const struct tok_walk *w, size_t stage, const struct tok_run *in);

/* ---- split_bert.c ---- */
/* Sets t->plain, when t is so. */
void tok_plain_set(struct ft_tok *t);
/* Words of raw text without special tokens, when t->plain. */
int tok_split_raw(const struct tok_walk *w, const struct tok_run *in);

/* ---- added.c ---- */
/* Reads the added_tokens array; the vocabulary is there already. */
int tok_added_load(struct ft_tok *t, const json_t *list, const char *where);
/* Builds the matchers; after the last token. */
int tok_added_finish(struct ft_tok *t);
int tok_added_split(const struct tok_walk *w, const struct tok_run *in);
void tok_added_free(struct ft_tok *t);
const struct tok_added *tok_added_find(const struct ft_tok *t, int32_t id); /* or NULL */

/* ---- guard.c ---- */
/* Whether one of the bytes from..to - 1 of the source is guarded; g may be NULL. */
bool tok_guards(const struct tok_guard *g, size_t from, size_t to);
/* Fails when a token from `first` on, which the vocabulary made, is special and of guarded bytes. */
int tok_guard_check(const struct tok_walk *w, size_t first);

/* ---- template.c ---- */
int tok_template_load(struct ft_tok *t, const json_t *processor, const char *where);

/* ---- tokens ---- */
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
/* A token that is bytes from..to of a word. */
static inline int tok_emit_part(struct ft_tok_text *x, int32_t id, int type, const struct tok_run *w, size_t from,
                                size_t to)
{
	struct tok_span at = tok_run_span(w, from, to);
	return tok_emit(x, id, type, at.begin, at.end);
}

/* The same, when t->trim: white space is left out at the token's ends. */
struct tok_trim {
	size_t from, to; /* what is left; from is the token's end when nothing is */
	bool single;     /* one character was left out at the start */
};
int tok_emit_trimmed(const struct ft_tok *t, struct ft_tok_text *x, int32_t id, int type, const struct tok_run *r,
                     size_t from, size_t to, struct tok_trim trim);

#endif

/* priv.h - what the files of lib/text share.
 *
 * source.c gives the bytes of one file after another, text.c cuts them into
 * lines, delim.c, jsonl.c and conll.c make rows of lines.
 */
#ifndef FT_TEXT_PRIV_H
#define FT_TEXT_PRIV_H

#include "ft/text.h"
#include <sys/types.h>

/* ---- source.c ---- */
struct source;
struct source *source_open(const char *path, const char *member); /* NULL on failure */
/* Goes to the next file: 1, 0: there is none, <0. */
int source_next(struct source *s);
/* Its name in messages: "train.tsv", "data.zip/train.tsv". */
const char *source_name(const struct source *s);
/* Its name for the choice of a format: without a suffix of compression. */
const char *source_base(const struct source *s);
/* A block of its bytes, borrowed until the next call: 1, 0: the end, <0. */
int source_read(struct source *s, const char **p, size_t *n);
const json_t *source_inputs(const struct source *s);
void source_close(struct source *s);

/* ---- gunzip.c, for source.c ---- */
struct archive;
struct raw *raw_open(int fd); /* bytes of a descriptor, which stays the caller's */
/* 1: they begin like gzip data, 0: not, <0: errno is set. Reads ahead. */
int raw_is_gzip(struct raw *r);
/* 1 when the data begins like plain text (reads until there is a line), 0, or -1. */
int raw_is_text(struct raw *r);
ssize_t raw_some(struct raw *r, const char **p); /* the next bytes as they come; 0 at the end, -1 */
ssize_t raw_read(struct archive *a, void *raw, const void **block); /* a callback of libarchive */
#define RAW_TAIL ((size_t)22 + 65535) /* what can stand behind the directory of a zip archive */
ssize_t raw_rest(struct raw *r, const unsigned char **tail); /* reads to the end; how many of the last bytes these are, or -1 */
int64_t raw_seek(struct archive *a, void *raw, int64_t offset, int whence); /* another */
int raw_error(const struct raw *r); /* the errno of a read that failed, or 0 */
int raw_attach(struct archive *a, ssize_t (*read)(struct archive *, void *, const void **), void *ctx);
bool raw_is_empty(const struct raw *r); /* after raw_is_gzip */
void raw_close(struct raw *r);
struct gunzip *gunzip_open(struct raw *r);
ssize_t gunzip_read(struct archive *a, void *gunzip, const void **block); /* the same of what was packed */
bool gunzip_is_empty(const struct gunzip *g);
const char *gunzip_reason(const struct gunzip *g); /* why it failed; NULL: it did not */
void gunzip_close(struct gunzip *g);

/* ---- jsonl.c ---- */
/* A member that must be a string when it is there; null is not there. And one that must be there. */
int jsonl_text(const struct ft_text *t, const char *key, struct ft_span *out);
int jsonl_needs(const struct ft_text *t, const char *key, struct ft_span *out);
/* Sets row->tools, of a conversation. */
int jsonl_tools(const struct ft_text *t, struct ft_row *row);

/* ---- prefer.c: preferences in JSONL ---- */
bool prefer_is(const struct ft_text *t);
int prefer_take(struct ft_text *t, struct ft_row *row);

/* ---- choices.c: questions with choices in JSONL ---- */
bool choices_is(const struct ft_text *t);
int choices_take(struct ft_text *t, struct ft_row *row);

/* ---- text.c ---- */
enum { COLUMN_TEXT, COLUMN_PAIR, COLUMN_NEGATIVE, COLUMN_LABEL, COLUMNS };
#define NO_COLUMN SIZE_MAX
#define COLUMNS_MAX 65536 /* of a line: sixteen bytes are kept for each */
struct field { size_t at, n; }; /* in `line` */

struct words {           /* of one row */
	struct place { struct field word, tag; } *place; /* [n] */
	struct ft_span *span;  /* [2 n]: words, then tags */
	size_t *line;          /* [n] */
	size_t n, place_cap, span_cap, line_cap;
};

struct ft_text {
	struct source *source;
	enum ft_text_format wanted, format;
	int header;
	char *column[COLUMNS]; /* as asked for, or NULL */
	size_t max_line;
	int64_t blank;

	const char *block;     /* bytes of the source not yet in a line */
	size_t block_n;
	struct ft_buf line;    /* the row's line or lines */
	size_t number, first;  /* of the last line read; of the row's first line */
	struct ft_buf src;

	struct field *fields;  /* delim.c, conll.c */
	size_t nfields, fields_cap, expected; /* expected 0: not yet known */
	size_t index[COLUMNS];
	bool pending;          /* the first line is a row, too */
	json_t *object;        /* jsonl.c */
	json_t *made[2];       /* of its members: conversations of a prompt and a reply; or NULL */
	bool as_words;         /* texts come in words */
	bool prompts;          /* or may be a prompt and a completion, or a conversation: */
	char *messages;        /* its member, or NULL */
	char *choices;         /* the same of a question */
	struct words words;    /* jsonl.c, conll.c */
	int64_t comments;
};

/* Appends the next line, with its line end, to t->line: 1, 0: the file has
 * ended, <0. */
int text_line(struct ft_text *t);
/* As that, for a row of one line: t->line is that line without its end. */
int text_plain_line(struct ft_text *t);
/* Appends a column to t->fields. */
int text_field(struct ft_text *t, size_t at, size_t n);
/* Fails with "file:line: reason"; the line is the row's first. */
int text_fail(const struct ft_text *t, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A column asked for by its number, from 1. */
bool text_is_number(const char *column);

/* ---- delim.c, jsonl.c, conll.c: 1, 0, <0; begin is called before the first row of a file ---- */
int delim_begin(struct ft_text *t);
int delim_next(struct ft_text *t, struct ft_row *row);
int jsonl_next(struct ft_text *t, struct ft_row *row);
int conll_begin(struct ft_text *t);
int conll_next(struct ft_text *t, struct ft_row *row);

/* ---- label.c ---- */
/* The label of this name, -1: there is none. */
int32_t label_find(const struct ft_labels *l, const char *name, size_t n);
size_t label_count(const struct ft_labels *l);
const char *label_names(const struct ft_labels *l); /* for messages */

#endif

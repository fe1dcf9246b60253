/* lines.h - streams as lines of JSON, and back.
 *
 * One line for the header, one for each record, one for the end: what ft-cat
 * prints and reads. Arrays of numbers (bin in a stream) are JSON arrays; their
 * element types follow from the keys, as ft-stream.5 gives them. What JSON
 * cannot say (a bin of another key, numbers that are not finite) is written
 * {"bin": "hex digits"}, so a record survives there and back bit for bit.
 */
#ifndef FT_LINES_H
#define FT_LINES_H

#include "ft/json.h"
#include "ft/mem.h"
#include "ft/stream.h"
#include "ft/tok.h"
#include <stdbool.h>
#include <stdio.h>

/* Appends any JSON value, compact; reals with as many digits as they need to
 * come back the same. */
int ft_lines_json(struct ft_buf *b, const json_t *v);
/* Appends one record as an object. `data` is the ft_dtype of the tensor whose
 * chunks are being read, which says what the bin "data" holds; -1: none. */
int ft_lines_record(struct ft_buf *b, const struct ft_rec *rec, int data);
/* Makes a record of an object; it borrows from `obj` and from memory of `a`.
 * FT_EFORMAT names the key. */
int ft_lines_parse(const json_t *obj, int data, struct ft_arena *a, struct ft_rec *rec);

/* ---- whole streams ---- */
/* Turns JSON lines into a stream at `output`. Every line must be a record but the
 * first, a header, and the last, an end; FT_ECUT when the end is missing. The count
 * and the digest are made anew, so records may have been added or taken out. */
int ft_lines_to_stream(FILE *f, const char *name, const char *output);

/* Reads a stream to its end and checks what a consumer would, and also that ids and
 * labels are in the range the header gives, and that as many batches came as it
 * promises. */
struct ft_counts {
	int64_t examples, rows, tokens, labels; /* rows: texts; labels: also targets, that are supervised */
	int64_t tensors, bytes;
};
int ft_lines_verify(struct ft_reader *r, struct ft_counts *c);

/* The next chunk of a tensor of which *left bytes are to come; valid until the
 * next read. */
int ft_lines_chunk(struct ft_reader *r, size_t *left, struct ft_span *data);

/* ---- for people ---- */
/* Appends text with control characters, which could drive a terminal, as \xNN. */
int ft_lines_clean(struct ft_buf *b, const char *p, size_t n);

/* The provenance log of a stream as a tree, the stream's own stage first: appends
 * lines. */
int ft_lines_log(struct ft_buf *b, const json_t *log);

/* A row of tokens as text. What is supervised stands in colour (one for each label, "O" grey) or between the
 * marks « », followed by what is to be predicted: "/" and the label's
 * name, or an arrow and the hidden text. Of a causal language model what is to be predicted stands in
 * the row itself, one token on, and that is marked; the last token's may stand behind the row. */
struct ft_lines_row {
	const int32_t *ids;    /* [n] */
	const int32_t *labels; /* [n], one a token, or NULL */
	bool next;             /* a label is the token behind */
	const int32_t *words;  /* [n], the number of its word; or NULL. A word's tokens have its label */
	size_t n;
	const json_t *names;   /* of the labels; NULL: they are token ids */
};
int ft_lines_text(struct ft_buf *b, const struct ft_tok *t, const struct ft_lines_row *row, bool colour);

#endif

/* stream.h - the three streams: tokens, batches, model (ft-stream.5).
 *
 * A stream is a sequence of msgpack objects, plain or in zstd frames: a header
 * {ft: 1, kind, meta, log}, records (maps with short keys, arrays of numbers
 * as little-endian bin), and an end {end: records, digest}. A reader fails with
 * FT_ECUT when the end is missing or says "aborted", so a cut pipe is never
 * taken for an end. The header's `log` says who made the stream of what; the
 * writer adds this run's entry itself.
 *
 * Paths: NULL and "-" are stdin and stdout.
 */
#ifndef FT_STREAM_H
#define FT_STREAM_H

#include "ft/digest.h"
#include "ft/file.h"
#include "ft/json.h"
#include "ft/mem.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct ft_span { /* borrowed bytes, not terminated */
	const char *p;
	size_t n;
};

/* ---- records: a flat map of named fields, in order ---- */
enum ft_field_type { FT_INT, FT_REAL, FT_STR, FT_BIN, FT_STRS };
#define FT_REC_FIELDS 16
struct ft_field {
	struct ft_span key;
	enum ft_field_type type;
	int64_t i;                  /* FT_INT */
	double real;                /* FT_REAL */
	struct ft_span bytes;       /* FT_STR, FT_BIN; a bin is 8-byte aligned */
	const struct ft_span *strs; /* FT_STRS */
	size_t nstrs;
};
struct ft_rec {
	struct ft_field field[FT_REC_FIELDS];
	size_t count;
};
/* Building one; what is passed is borrowed until the record is written. */
void ft_rec_int(struct ft_rec *r, const char *key, int64_t v);
void ft_rec_real(struct ft_rec *r, const char *key, double v);
void ft_rec_str(struct ft_rec *r, const char *key, struct ft_span v);
void ft_rec_bin(struct ft_rec *r, const char *key, const void *p, size_t bytes);
void ft_rec_strs(struct ft_rec *r, const char *key, const struct ft_span *v, size_t n);
/* The field called `key`, or NULL. */
const struct ft_field *ft_rec_find(const struct ft_rec *r, const char *key);
/* Elements of the bin field `key`: sets *count, returns the array, or NULL with
 * *count 0 when absent. Another type, or bytes that are not whole elements of
 * `size`, set *err to FT_EFORMAT. */
const void *ft_rec_array(const struct ft_rec *r, const char *key, size_t size, size_t *count, int *err);

/* ---- reading ---- */
struct ft_reader;
/* Opens a stream and reads its header. `kind` is what is wanted ("tokens",
 * "batches", "model") or NULL for any. NULL on failure. */
struct ft_reader *ft_reader_open(const char *path, const char *kind);
const char *ft_reader_name(const struct ft_reader *r);   /* for messages */
const char *ft_reader_kind(const struct ft_reader *r);
const json_t *ft_reader_meta(const struct ft_reader *r); /* borrowed */
const json_t *ft_reader_log(const struct ft_reader *r);  /* borrowed array */
const json_t *ft_reader_end(const struct ft_reader *r);  /* after 0 from next; borrowed */
const char *ft_reader_id(const struct ft_reader *r);     /* digest of the header object, hex */
/* Digest of the header and of the records so far, hex: what the end of a stream that stopped
 * here would have. */
void ft_reader_digest(const struct ft_reader *r, char hex[33]);
/* 1: a record, valid until the next call. 0: the checked end. <0: error. */
int ft_reader_next(struct ft_reader *r, struct ft_rec *rec);
int64_t ft_reader_count(const struct ft_reader *r);      /* records so far */
/* Reads on to the end, so that whoever writes does not die of SIGPIPE. */
int ft_reader_drain(struct ft_reader *r);
void ft_reader_close(struct ft_reader *r);               /* NULL is fine */
/* Fails with "NAME: record N: <reason>"; returns code. */
int ft_reader_fail(const struct ft_reader *r, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* 1: the file at `path` begins like a stream (msgpack map or zstd). 0: it does not, or cannot be opened. <0: it cannot
 * be read. */
int ft_is_stream(const char *path);

/* ---- writing ---- */
struct ft_writer;
/* Opens a stream and writes its header at once. `meta` is borrowed; `parents`
 * are the streams this one is made of, and their logs come before ours. A path
 * other than "-" appears only when ft_writer_close() has succeeded (temporary
 * name, fsync, rename). Refuses a terminal (FT_EUSAGE). NULL on failure. */
struct ft_writer *ft_writer_open(const char *path, const char *kind, const json_t *meta,
                                 struct ft_reader *const *parents, size_t nparents);
/* As ft_writer_open, for what was no stream but has a history (JSON lines): the entries
 * of `log`, an array or NULL, come before ours. */
struct ft_writer *ft_writer_open_log(const char *path, const char *kind, const json_t *meta, const json_t *log);
int ft_writer_put(struct ft_writer *w, const struct ft_rec *rec);
/* Adds a member to the end record, e.g. the digests of inputs. */
int ft_writer_note(struct ft_writer *w, const char *key, json_t *value_taken);
int ft_writer_close(struct ft_writer *w); /* writes the end; makes it durable */
/* Frees. When close was not reached: the stream ends with {end, aborted:
 * ft_message()}, and a named file does not appear. NULL is fine. */
void ft_writer_free(struct ft_writer *w);

/* ---- examples (records of a tokens stream) ---- */
#define FT_IGNORE (-100) /* a label that is not supervised */
/* Which part of a document an example is, when texts were split into windows.
 * Windows of one document have equal `doc` and `src`; so have those of a copy of
 * it equal `doc`. */
struct ft_window {
	int64_t doc;            /* from the document's tokens; 0 .. 2^53 - 1 */
	int64_t index, count;   /* 0 .. count - 1; count 1: the whole */
};
/* How much text the supervised tokens stand for. */
struct ft_size {
	int64_t bytes, characters, words; /* words: pieces between white space; -1 each: not known */
};
/* The number of a document: of its ids, and those of its second text (n 0: none); or of another hash. */
int64_t ft_doc_of_hash(uint64_t hash);
int64_t ft_window_doc(const int32_t *a, size_t na, const int32_t *b, size_t nb);
struct ft_example {
	const int32_t *ids;     /* [n], of all its texts end to end */
	const int32_t *offsets; /* [texts + 1]: text t is offsets[t] .. offsets[t+1]-1; NULL: one text */
	const uint8_t *types;   /* [n], or NULL: all 0 */
	size_t n;
	const int32_t *labels;  /* [nlabels]: 1 class, or n (one a token), FT_IGNORE = none */
	size_t nlabels;
	const int32_t *words;   /* [n]: the number of each token's word in its sentence, -1 none; or NULL */
	const float *targets;   /* [ntargets]: one per output (regression, multi-label) */
	size_t ntargets;
	size_t texts;           /* that belong together, as anchor and positive; with offsets */
	const struct ft_window *window; /* NULL: a whole text */
	const struct ft_size *size; /* NULL: not known */
	struct ft_span src;     /* "file:line" */
};
static inline size_t ft_example_texts(const struct ft_example *e) { return e->offsets ? e->texts : 1; }
/* 1, 0, <0 as ft_reader_next; checked: n > 0, ids >= 0, lengths agree. Borrowed
 * until the next call. */
int ft_example_read(struct ft_reader *r, struct ft_example *e);
int ft_example_write(struct ft_writer *w, const struct ft_example *e);

/* ---- batches (records of a batches stream): padding-free ----
 * A row is a text. An example is one row, or `texts` of them in a row: example e is
 * the rows from e * texts on. */

/* Where what a part of a batch has stands in the whole: number i is number first + i, and, where all of it comes
 * a second time behind it, from n on, number first + jump + i. */
struct ft_place {
	int64_t first, n, jump;
};
struct ft_part {
	struct ft_place tokens, rows, units; /* units: labels of tokens that are not FT_IGNORE */
};

struct ft_batch {
	const int32_t *ids;      /* [tokens], rows end to end */
	const uint8_t *types;    /* [tokens], or NULL: all 0 */
	const int32_t *offsets;  /* [rows + 1]; row r is offsets[r] .. offsets[r+1]-1 */
	const int32_t *labels;   /* [nlabels]: examples or tokens of them; or NULL */
	const int32_t *words;    /* [tokens]: as of examples; or NULL */
	const float *targets;    /* [examples * outputs], or NULL */
	const struct ft_window *windows; /* [rows], or NULL: whole texts */
	const struct ft_size *sizes; /* [examples], or NULL: not known */
	const struct ft_span *src; /* [examples], "file:line"; or NULL */
	/* What another model predicted (ft-teach), or NULL: logits of each unit, as many for each;
	 * with ids, of these words. And the log-probability of each row's labels, [rows]. */
	const float *teacher;
	const int32_t *teacher_ids;
	const float *reference;
	size_t nteacher;         /* of both */
	size_t tokens, rows, nlabels, ntargets;
	size_t texts;            /* of each example, alike; 0 is 1 */
	int64_t epoch;           /* 0, 1, …; -1 when the stream does not say */
	const struct ft_part *part; /* of which batch it is a part (ft_batch_part()); NULL: it is whole */
};
static inline size_t ft_batch_texts(const struct ft_batch *b) { return b->texts ? b->texts : 1; }
static inline size_t ft_batch_examples(const struct ft_batch *b) { return b->rows / ft_batch_texts(b); }
/* How many examples have labels all of which are FT_IGNORE, so that nothing is learnt of them. */
size_t ft_batch_skipped(const struct ft_batch *b);
/* Checked: offsets rise from 0 to tokens, ids >= 0, lengths agree. */
int ft_batch_read(struct ft_reader *r, struct ft_batch *b);
int ft_batch_write(struct ft_writer *w, const struct ft_batch *b);

/* ---- tensors (records of a model stream): a descriptor, then its bytes in
 * records of at most 1 MiB, read straight into their destination ---- */
/* Whether the records of a stream are tensors: a model, or what is kept about one. */
bool ft_reader_of_tensors(const struct ft_reader *r);
#define FT_RANK 4
struct ft_tensor_desc {
	struct ft_span name;
	char dtype[8];            /* safetensors spelling: "F32", "F16", "BF16" */
	int rank;
	int64_t shape[FT_RANK];
	size_t bytes;             /* checked: product of shape times element size */
};
int ft_tensor_read(struct ft_reader *r, struct ft_tensor_desc *d); /* 1, 0, <0 */
/* `dest` NULL: passes over them. */
int ft_tensor_data(struct ft_reader *r, const struct ft_tensor_desc *d, void *dest);
int ft_tensor_write(struct ft_writer *w, const struct ft_tensor_desc *d, const void *data);

#endif

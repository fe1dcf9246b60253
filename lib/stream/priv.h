/* priv.h - what the files of lib/stream share. */
#ifndef FT_STREAM_PRIV_H
#define FT_STREAM_PRIV_H

#include "ft/stream.h"
#include <stdbool.h>

#define STREAM_VERSION 1

/* Limits a reader holds every stream to (ft-stream.5). */
#define MAX_OBJECT ((size_t)256 << 20) /* bytes of one header, record or end */
#define MAX_ELEMENTS ((size_t)8 << 20) /* values in one of them */
#define MAX_DEPTH 16
#define LOG_MAX 1000 /* entries of a log: they are compared with one another */
#define TENSOR_CHUNK ((size_t)1 << 20)
#define JSON_BITS 53 /* of whole numbers: as many as programs that read JSON keep */

/* ---- io.c: bytes in and out, through zstd where it is used ---- */
struct input;
struct input *input_open(const char *path); /* NULL on failure */
const char *input_name(const struct input *in);
/* Makes at least `need` unread bytes available, fewer only at the end of the
 * input. 0, or FT_ECUT when a zstd frame is cut, FT_EFORMAT when it is damaged. */
int input_fill(struct input *in, size_t need);
const unsigned char *input_data(const struct input *in, size_t *n);
void input_skip(struct input *in, size_t n);
void input_close(struct input *in);

struct output;
struct output *output_open(const char *path, bool compress);
int output_put(struct output *o, const void *p, size_t n);
int output_flush(struct output *o); /* everything so far reaches the descriptor */
int output_commit(struct output *o); /* ends the frame; makes a file durable */
int output_end(struct output *o);    /* ends the frame only: an aborted stream */
const char *output_name(const struct output *o);
void output_free(struct output *o);

/* ---- pack.c: msgpack ---- */
/* Looks at one object at the start of p[0..n). 1: whole, its bytes in *size.
 * 0: more is needed, at least *size in all. <0: FT_EFORMAT. */
int pack_scan(const unsigned char *p, size_t n, size_t *size);
/* Decodes one whole, scanned object. Spans point into p. */
struct unpacked;
struct unpacked *unpacked_new(void);
void unpacked_free(struct unpacked *u);
int unpack_record(struct unpacked *u, const unsigned char *p, size_t n, struct ft_rec *rec);
json_t *unpack_json(const unsigned char *p, size_t n); /* NULL on failure */
bool pack_has_key(const unsigned char *p, size_t n, const char *key); /* of a map at p */
int pack_record(struct ft_buf *b, const struct ft_rec *rec);
int pack_json(struct ft_buf *b, const json_t *v);

#endif

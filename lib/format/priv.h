/* priv.h - what the files of lib/format share. */
#ifndef FT_FORMAT_PRIV_H
#define FT_FORMAT_PRIV_H

#include "ft/digest.h"
#include "ft/format.h"

/* ---- filemap.c: a whole file, read-only in memory ----
 * The bytes are the file's own: a file that another program makes shorter
 * while it is mapped ends the process with SIGBUS. Writers that replace a file
 * by renaming (as ft's do) never do that. */
struct filemap {
	const unsigned char *data; /* NULL when bytes is 0 */
	size_t bytes;
};
int filemap_open(struct filemap *m, const char *path); /* a regular file; else FT_EFAIL */
void filemap_let_go(const struct filemap *m); /* it is not resident any more: read again where it is used */
void filemap_digest(const struct filemap *m, struct ft_digest *d);
void filemap_close(struct filemap *m);                 /* leaves {0} */

/* ---- members.c: walking the members of a JSON object without a tree ---- */
struct member {
	const char *key, *value; /* raw text, the key with its quotes */
	size_t key_len, value_len;
};
struct members {
	const char *file;  /* for messages */
	const char *text;  /* the whole header */
	size_t len, at;
	bool begun;
};
/* Starts on the object that begins at text[at]. */
struct members members_of(const char *file, const char *text, size_t len, size_t at);
/* 1: a member. 0: the closing brace has been read; `at` is behind it. <0: FT_EFORMAT.
 * Finds where keys and values end; whether they are JSON is for member_json(). */
int members_next(struct members *it, struct member *m);
/* Parses a piece of the text with jansson; errors give the place in the file. NULL on failure. */
json_t *member_json(const struct members *it, const char *piece, size_t n, size_t flags);
/* Fails with "FILE: header: byte N: reason", N counted from the start of the file. */
int member_fail(const struct members *it, const char *place, const char *reason);

/* ---- safetensors.c ---- */
/* The bytes of the file; borrowed until it is closed. */
const struct filemap *safetensors_bytes(const struct ft_safetensors *s);
/* True for one piece of a path: not empty, no '/', not "." or "..". */
bool is_basename(const char *name);

/* ---- sentence.c ---- */
struct ft_pooling;
/* A JSON file of the folder, or of a folder in it ("" is none). 1, or 0 with NULL: not there. */
int sentence_load(json_t **v, const char *dir, const char *folder, const char *name);
/* Module `i` of modules.json: the last part of its type, and where its files lie. Borrowed. */
struct sentence_module {
	const char *type, *path; /* path: "" or the plain name of a folder */
};
int sentence_module(const json_t *modules, size_t i, struct sentence_module *m);
/* What the config.json of a pooling says: modes, width, with_prompt. */
int sentence_pooling(struct ft_pooling *p, const json_t *config);
/* What the folder says of lengths and letter case: max_length, lower_case. */
int sentence_lengths(struct ft_pooling *p, const char *dir);

/* ---- export_sentence.c, export_hf.c ---- */
int head_has_class(const struct ft_model *m); /* FT_EUSAGE: transformers has none for it */
/* The files of a sentence-transformers folder `from`, when it is one, into `to`. */
int sentence_export(const char *from, const char *to);
int copy_file(const char *from, const char *to);

/* ---- export ---- */
#define X(name) extern const struct ft_format format_##name;
#include "formats.def"
#undef X
/* Every value must be finite, and be it when it is narrowed to a type that is not in blocks; narrow
 * is not looked at for F32. */
int check_finite(const struct ft_param *p, const float *wide, const void *narrow, enum ft_dtype dtype);
/* The parameter as it will be stored. For F32 the bytes are the parameter's own, where it has
 * floats that need not be turned; else memory of its own, also after a failure. */
int stored_make(const struct ft_param *p, enum ft_dtype dtype, struct ft_stored *t);
/* FT_ADAPTER_NOTE of an adapter's folder. */
int adapter_note_write(const struct ft_model *m, const char *dir);
/* The base's files of a tokenizer into `dir`. */
int tokenizer_export(const struct ft_model *m, const char *dir);
/* Writes the model card, README.md, into `dir`. */
int card_write(const struct ft_model *m, const char *dir, enum ft_dtype dtype);

#define SAFETENSORS_HEADER_MAX 100000000u /* bytes; the format's own limit */
#define NAME_SHOWN 120                     /* bytes of a name in a message */

#endif

/* format.h - files of models: safetensors, Hugging Face folders, GGUF, archives.
 *
 * Every file is treated as hostile: lengths, offsets and products are checked
 * against the bytes there are before anything is believed (FT_EFORMAT, with the
 * file, the tensor and the reason).
 */
#ifndef FT_FORMAT_H
#define FT_FORMAT_H

#include "ft/json.h"
#include "ft/stream.h"
#include "ft/tensor.h"
#include <stdbool.h>

/* A tensor at rest; `data` is inside a mapping, at any alignment. */
struct ft_stored {
	const char *name;
	enum ft_dtype dtype;
	int rank;
	int64_t shape[FT_RANK];
	const void *data;
	size_t bytes;
	bool turned; /* transposed: [out, in], of what transformers holds as [in, out] */
};

/* ---- safetensors (one file) ---- */
struct ft_safetensors;
struct ft_safetensors *ft_safetensors_open(const char *path); /* NULL on failure */
size_t ft_safetensors_count(const struct ft_safetensors *s);
const struct ft_stored *ft_safetensors_at(const struct ft_safetensors *s, size_t i);
const struct ft_stored *ft_safetensors_find(const struct ft_safetensors *s, const char *name);
void ft_safetensors_close(struct ft_safetensors *s);
/* Writes a file as the reference writer does (descending dtype rank, then
 * name; header padded to 8; __metadata__ {"format":"pt"}). Atomic. */
int ft_safetensors_write(const char *path, const struct ft_stored *t, size_t n);

/* ---- a base model at rest: a Hugging Face folder, or a GGUF file of a causal language
 * model, which is seen as the folder it could have been made of ---- */
struct ft_base;
bool ft_base_is(const char *path); /* a folder, but not one of an adapter, or a name that ends in .gguf */
#define FT_BASE_BARE 1u /* config only; weights are not opened and need not be there */
struct ft_base *ft_base_open(const char *path, unsigned flags); /* a file by its name, *.gguf; NULL on failure */
json_t *ft_base_config(const struct ft_base *b); /* as in config.json; borrowed */
/* Tensors by the names that transformers gives them: over model.safetensors or all
 * shards of its index, or of the file. None in a bare base. */
size_t ft_base_count(const struct ft_base *b);
const struct ft_stored *ft_base_at(const struct ft_base *b, size_t i);
const struct ft_stored *ft_base_find(const struct ft_base *b, const char *name);
/* Its numbers have been copied: what of the file is in memory only for them may go. */
void ft_base_used(const struct ft_stored *t);
/* Nothing of its files is to be in memory any more: what is used again is read again. The system brings more than what
 * is asked for, so that after ft_base_used() there may be much. */
void ft_base_let_go(const struct ft_base *b);
/* Digest of config and weight files, or of the file, 32 hex digits; computed at first
 * call. NULL on failure. */
const char *ft_base_digest(struct ft_base *b);
void ft_base_close(struct ft_base *b); /* NULL is fine */

/* ---- archives to write (tar, by name also .zst .gz): reproducible ---- */
/* Packs the regular files of folder `dir` and of the folders in it (not below),
 * sorted by name, owner 0, mode 0644, time SOURCE_DATE_EPOCH or 0. Atomic. */
int ft_archive_pack(const char *path, const char *dir);
bool ft_archive_named(const char *path); /* ends in .tar, .tar.zst or .tar.gz */

/* ---- a folder, an archive of one, or a file, that appears whole or not at all ---- */
struct ft_outdir;
/* Makes a temporary folder beside `path`. What is at `path` already must be
 * an empty folder; with `force` it may be an archive, or a folder with
 * config.json and without folders in it but those of sentence-transformers'
 * modules ("1_Pooling"), which is then replaced. With a `file` that is a name, `path` is
 * to be that file of the temporary folder alone. NULL on failure. */
struct ft_outdir *ft_outdir_open(const char *path, const char *file, bool force);
const char *ft_outdir_path(const struct ft_outdir *d); /* the temporary folder: files go here */
/* Packs the files when `path` names an archive, else gives the folder, or the file, its name. Durable. */
int ft_outdir_commit(struct ft_outdir *d);
void ft_outdir_free(struct ft_outdir *d); /* removes what was not committed; NULL is fine */

/* ---- exporting. To add a format: a file in lib/format that defines
 * `const struct ft_format format_NAME`, and a line in lib/format/formats.def. ---- */
struct ft_model;
struct ft_param;
struct ft_verified;
struct ft_format {
	const char *name, *summary; /* "hf", "a Hugging Face folder" */
	const char *file;           /* it is one file, called like this: "model.gguf"; NULL: a folder */
	bool adapter;               /* only what was added to the base, which stays what it is */
	bool words;                 /* it can hold a vocabulary that tokens were added to */
	const char *types;          /* of weights, as a user names them: "f32, f16, bf16" */
	/* Writes the model's files into the empty folder `path`, or the file of this name,
	 * weights as `dtype`, which is one of `types`. */
	int (*write)(const struct ft_model *m, const char *path, enum ft_dtype dtype);
	/* What v[n], n <= FT_FORMAT_CHUNK, of the parameter p are when they are read again. NULL:
	 * every weight is narrowed to dtype. Chunks are whole but for a parameter's last. */
	int (*round)(const struct ft_model *m, const struct ft_param *p, enum ft_dtype dtype, float *v, size_t n);
	/* Compares what was written with the model. NULL: it can be opened as one, and is (ft_export_verify). */
	int (*verify)(struct ft_model *m, const char *path, enum ft_dtype dtype, struct ft_verified *v);
};
#define FT_FORMAT_CHUNK 256
const struct ft_format *ft_format_find(const char *name); /* NULL: FT_EUSAGE, listing what there is */
/* FT_EUSAGE: the model is one that no file of this format can hold. */
int ft_format_check(const struct ft_format *f, const struct ft_model *m);

/* Opens what was written and compares it with the model: architecture, labels,
 * tokenizer, each weight bit by bit (after rounding to dtype), and the outputs on
 * a few rows of ids; those must be equal for F32, and within `allowed` for others. */
struct ft_verified {
	size_t params, rows, tokens; /* compared; rows and tokens of the probe */
	double difference, allowed;  /* largest absolute difference of an output */
};
int ft_export_verify(struct ft_model *m, const struct ft_format *f, const char *path, enum ft_dtype dtype,
                     struct ft_verified *v);

/* ft_model_merge(), with the outputs before and after it compared: a difference beyond `allowed` is a
 * failure. params stays 0. */
int ft_export_merge(struct ft_model *m, struct ft_verified *v);

#endif

/* gguf_arch.h - architectures of GGUF files, and what transformers calls the same things.
 *
 * The tables serve both directions: a file that is read as a base, and one that is written.
 */
#ifndef FT_FORMAT_GGUF_ARCH_H
#define FT_FORMAT_GGUF_ARCH_H

#include "gguf.h"

/* What llama.cpp's converter does to a tensor on the way in. */
enum gguf_how {
	GGUF_AS_IS,
	GGUF_QUERY,  /* rows of each head are in another order, where the architecture says so */
	GGUF_KEY,    /* the same, of the heads of keys */
	GGUF_NORM,   /* 1 is added, where it says so */
	GGUF_TURNED, /* transposed */
};
struct gguf_name {
	const char *file, *hf; /* without ".weight" or ".bias"; "%d" is the layer */
	enum gguf_how how;
};

struct gguf_field {
	const char *key, *member; /* behind "llama."; of config.json */
	enum gguf_field_kind { GGUF_WHOLE, GGUF_REAL, GGUF_CAP } kind; /* a cap may be null */
	double absent;            /* what llama.cpp takes when the key is not there; NEEDED: it refuses */
	double usual;             /* what transformers takes when the member is not there; the same */
};
#define GGUF_NEEDED (-1.0)

#define GGUF_LISTS 2
struct gguf_arch {
	const char *name;         /* general.architecture */
	const char *type, *class; /* config.json's model_type; of architectures, with a head */
	const char *prefix;       /* which names in checkpoints without a head lack */
	const struct gguf_name *names[GGUF_LISTS];   /* each ended by {0} */
	const struct gguf_field *fields[GGUF_LISTS];
	const char *width, *heads, *kv_heads; /* members of config.json */
	bool pairs;               /* rotary positions turn neighbouring components: rows are permuted */
	bool plus;                /* norms hold 1 more */
	bool swa;                 /* some layers have a window */
	int64_t odd_layers;       /* with so many layers, scores are scaled by width / heads; 0: never */
};
/* By general.architecture, or by model_type; NULL: FT_EFORMAT, listing what there is. */
const struct gguf_arch *gguf_arch_named(struct ft_span name);
const struct gguf_arch *gguf_arch_of(const char *model_type); /* NULL: none */
const struct gguf_arch *gguf_arch_mistral(void); /* of a "llama" whose attention has a window */

/* Translates a tensor's name from the file's to transformers' or (`to_file`) back: the new
 * one into out, its layer (-1: none) and what is done to it. False: there is none. */
#define GGUF_NAME 128
bool gguf_translate(const struct gguf_arch *a, const char *name, bool to_file, char out[GGUF_NAME], int *layer,
                    enum gguf_how *how);

/* dst = the rows of src in the other order, within each of `heads` heads: to neighbouring
 * components (to_file) or back from there. rows is a multiple of 2 heads. */
void gguf_permute(void *dst, const void *src, size_t rows, size_t row_bytes, size_t heads, bool to_file);

/* factor[i], i < pairs: what Llama 3's scaling of rotary positions divides frequencies by. */
struct gguf_llama3 {
	double theta, factor, low, high, original;
};
void gguf_rope_factors(const struct gguf_llama3 *s, size_t pairs, float *factor);

/* ---- gguf_meta.c: the keys of an architecture, of a config.json. FT_EUSAGE where they have no
 * place for what it says. ---- */
struct gguf_writer;
int gguf_meta(struct gguf_writer *w, const json_t *config, const struct gguf_arch *a, int64_t positions);
/* Llama 3's scaling of rotary positions: 1, or 0: there is none. */
int gguf_llama3_of(const json_t *config, const struct gguf_arch *a, struct gguf_llama3 *s);
int64_t gguf_head_size(const json_t *config, const struct gguf_arch *a);

/* ---- gguf_config.c: config.json as its values under a file's keys say it; NULL on failure ---- */
json_t *gguf_config(const struct ft_gguf *g, const struct gguf_arch **arch);

#endif

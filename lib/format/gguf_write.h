/* gguf_write.h - writing GGUF files: keys and descriptions of tensors first, in memory, then
 * the tensors' data one after the other.
 */
#ifndef FT_FORMAT_GGUF_WRITE_H
#define FT_FORMAT_GGUF_WRITE_H

#include "ft/mem.h"
#include "gguf.h"

struct gguf_writer { /* {0} is an empty one */
	struct ft_buf keys, tensors;
	uint64_t nkeys, ntensors;
	size_t data; /* bytes of the tensors that have been described, padded */
};
int gguf_put_whole(struct gguf_writer *w, const char *key, int64_t v); /* as U32 */
int gguf_put_real(struct gguf_writer *w, const char *key, double v);   /* as F32 */
int gguf_put_bool(struct gguf_writer *w, const char *key, bool v);
int gguf_put_text(struct gguf_writer *w, const char *key, struct ft_span v);
int gguf_put_texts(struct gguf_writer *w, const char *key, const struct ft_span *v, size_t n);
int gguf_put_reals(struct gguf_writer *w, const char *key, const float *v, size_t n);
int gguf_put_wholes(struct gguf_writer *w, const char *key, const int32_t *v, size_t n);
int gguf_put_bools(struct gguf_writer *w, const char *key, const bool *v, size_t n);
int gguf_put_copy(struct gguf_writer *w, const struct ft_gguf_value *v); /* of another file */

/* Its data will be `bytes`, in the order in which tensors are added. The shape is outermost first. */
int gguf_add(struct gguf_writer *w, const char *name, enum ft_ggml_type type, int rank, const int64_t *shape,
             size_t bytes);
/* All that is before the data. */
int gguf_write_head(const struct gguf_writer *w, int fd, const char *path);
/* The data of the next tensor, and the bytes up to where the one behind it begins. */
int gguf_write_data(int fd, const char *path, const void *data, size_t bytes);
void gguf_writer_free(struct gguf_writer *w); /* leaves {0} */

/* That of a model; NULL: there is none. */
struct ft_model;
const struct gguf_arch *gguf_arch_of_model(const struct ft_model *m);

#endif

/* gguf.h - what the files of the GGUF reader share. */
#ifndef FT_FORMAT_GGUF_H
#define FT_FORMAT_GGUF_H

#include "ft/gguf.h"
#include "priv.h"

static inline uint64_t gguf_get(const unsigned char *p, size_t bytes) /* little endian */
{
	uint64_t v = 0;
	for (size_t i = bytes; i--;)
		v = v << 8 | p[i];
	return v;
}

/* The bytes of the file; borrowed until it is closed. */
const struct filemap *gguf_bytes(const struct ft_gguf *g);

/* Bytes of a value of this type; 0: it is a string or an array, -1: there is no such type. */
static inline int gguf_size(uint64_t type)
{
	switch (type) {
#define X(name, number, bytes) case number: return bytes;
	FT_GGUF_TYPES(X)
#undef X
	}
	return -1;
}

#endif

/* base.h - what the kinds of bases share. */
#ifndef FT_FORMAT_BASE_H
#define FT_FORMAT_BASE_H

#include "priv.h"

struct base_kind {
	size_t (*count)(const struct ft_base *b);
	const struct ft_stored *(*at)(const struct ft_base *b, size_t i);
	const struct ft_stored *(*find)(const struct ft_base *b, const char *name);
	int (*digest)(const struct ft_base *b, struct ft_digest *d);
	void (*let_go)(const struct ft_base *b); /* nothing of the files stays resident */
	void (*close)(struct ft_base *b); /* all but what struct ft_base holds; frees b */
};
/* The first member of each kind's structure. */
struct ft_base {
	const struct base_kind *kind;
	json_t *config;
	char digest[33];
};

/* NULL on failure. */
struct ft_base *hf_open(const char *dir, unsigned flags);
struct ft_base *gguf_base_open(const char *path, unsigned flags);

#endif

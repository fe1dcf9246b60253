/* base.c - a base model at rest, whatever it lies in. */
#include "base.h"
#include "ft/adapter.h"
#include "ft/err.h"
#include "ft/gguf.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool ft_base_is(const char *path)
{
	struct stat st;
	bool folder = strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
	return (folder && !ft_adapter_is(path)) || (strcmp(path, "-") != 0 && ft_gguf_named(path));
}

struct ft_base *ft_base_open(const char *path, unsigned flags)
{
	return ft_gguf_named(path) ? gguf_base_open(path, flags) : hf_open(path, flags);
}

json_t *ft_base_config(const struct ft_base *b)
{
	return b->config;
}

size_t ft_base_count(const struct ft_base *b)
{
	return b->kind->count(b);
}

const struct ft_stored *ft_base_at(const struct ft_base *b, size_t i)
{
	return b->kind->at(b, i);
}

const struct ft_stored *ft_base_find(const struct ft_base *b, const char *name)
{
	return b->kind->find(b, name);
}

const char *ft_base_digest(struct ft_base *b)
{
	if (b->digest[0])
		return b->digest;
	struct ft_digest *d = ft_digest_new();
	if (!d)
		return NULL;
	int rc = b->kind->digest(b, d);
	if (rc == FT_OK)
		ft_digest_hex(d, b->digest);
	ft_digest_free(d);
	return rc < 0 ? NULL : b->digest;
}

void ft_base_used(const struct ft_stored *t)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = ((uintptr_t)t->data + page - 1) / page * page;
	uintptr_t end = ((uintptr_t)t->data + t->bytes) / page * page;
	if (from < end)
		madvise((void *)from, end - from, MADV_DONTNEED); /* of a file: read again should it be used again */
}

void ft_base_let_go(const struct ft_base *b)
{
	b->kind->let_go(b);
}

void ft_base_close(struct ft_base *b)
{
	if (!b)
		return;
	json_decref(b->config);
	b->kind->close(b);
}

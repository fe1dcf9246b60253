/* Fuzzes the reader of streams, as the tools use it: an input is taken whole or
 * not at all, and what is taken holds what stream.h promises. */
#include "ft/err.h"
#include "ft/lines.h"
#include "ft/stream.h"
#include "tests/fuzz/harness.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int64_t sum; /* of all that is handed out, so that all of it is read */

static void touch(const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum += ((const unsigned char *)p)[i];
}

/* Rise from 0 to the number of tokens. */
static void check_offsets(const int32_t *offsets, size_t n, size_t tokens)
{
	must(n > 0 && offsets[0] == 0 && (size_t)offsets[n] == tokens);
	for (size_t i = 0; i < n; i++)
		must(offsets[i] < offsets[i + 1]);
}

static void check_example(const struct ft_example *e)
{
	must(ft_example_texts(e) == e->texts);
	if (e->offsets)
		check_offsets(e->offsets, e->texts, e->n);
	must(e->n > 0 && (uintptr_t)e->ids % 4 == 0);
	for (size_t i = 0; i < e->n; i++)
		must(e->ids[i] >= 0);
	must(!e->labels || e->nlabels == 1 || e->nlabels == e->n);
	touch(e->labels, e->nlabels * 4);
	touch(e->types, e->types ? e->n : 0);
	for (size_t i = 0; e->words && i < e->n; i++)
		must(e->words[i] >= -1);
	touch(e->src.p, e->src.n);
	for (size_t i = 0; i < e->ntargets; i++)
		must(isfinite(e->targets[i]));
}

static void check_batch(const struct ft_batch *b)
{
	size_t examples = ft_batch_examples(b);
	must(b->tokens >= b->rows && examples > 0 && examples * ft_batch_texts(b) == b->rows);
	check_offsets(b->offsets, b->rows, b->tokens);
	for (size_t i = 0; b->src && i < examples; i++)
		touch(b->src[i].p, b->src[i].n);
	for (size_t i = 0; i < b->tokens; i++)
		must(b->ids[i] >= 0);
	must(!b->labels || b->nlabels == examples || b->nlabels == b->tokens);
	must(!b->targets || b->ntargets % examples == 0);
	touch(b->labels, b->nlabels * 4);
	touch(b->types, b->types ? b->tokens : 0);
	for (size_t i = 0; b->words && i < b->tokens; i++)
		must(b->words[i] >= -1);
	touch(b->targets, b->ntargets * 4);
}

/* What a tensor says of its size is believed only as far as memory goes. */
static int take_tensor(struct ft_reader *r, const struct ft_tensor_desc *d)
{
	must(d->rank >= 0 && d->rank <= FT_RANK);
	touch(d->name.p, d->name.n);
	if (d->bytes > 1 << 20)
		return ft_tensor_data(r, d, NULL);
	char *data = malloc(d->bytes ? d->bytes : 1);
	must(data);
	int rc = ft_tensor_data(r, d, data);
	if (rc == FT_OK)
		touch(data, d->bytes);
	free(data);
	return rc;
}

static int take_all(struct ft_reader *r)
{
	struct ft_example e;
	struct ft_batch b;
	struct ft_tensor_desc d;
	struct ft_rec rec;
	char kind = ft_reader_kind(r)[0];
	int rc;
	for (;;) {
		switch (kind) {
		case 't': rc = ft_example_read(r, &e); break;
		case 'b': rc = ft_batch_read(r, &b); break;
		case 'm': rc = ft_tensor_read(r, &d); break;
		default: rc = ft_reader_next(r, &rec); break;
		}
		if (rc <= 0)
			return rc;
		if (kind == 't')
			check_example(&e);
		else if (kind == 'b')
			check_batch(&b);
		else if (kind == 'm' && (rc = take_tensor(r, &d)) < 0)
			return rc;
	}
}

/* As ft-cat --verify and as ft-cat read it. */
static int verify(const char *path)
{
	struct ft_reader *r = ft_reader_open(path, NULL);
	struct ft_counts counts;
	int rc = r ? ft_lines_verify(r, &counts) : ft_last_error();
	ft_reader_close(r);
	return rc;
}

static void show(const char *path)
{
	struct ft_reader *r = ft_reader_open(path, NULL);
	struct ft_buf b = { 0 };
	struct ft_rec rec;
	int rc = r ? ft_lines_json(&b, ft_reader_meta(r)) : -1;
	if (rc == FT_OK)
		rc = ft_lines_log(&b, ft_reader_log(r));
	while (rc == FT_OK && (rc = ft_reader_next(r, &rec)) > 0)
		rc = ft_lines_record(&b, &rec, -1);
	ft_buf_free(&b);
	ft_reader_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static char path[64];
	if (fd < 0) {
		fd = memfd_create("stream", MFD_CLOEXEC);
		must(fd >= 0);
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	}
	must(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
	struct ft_reader *r = ft_reader_open(path, NULL);
	int rc = r ? take_all(r) : ft_last_error();
	must(rc == FT_OK || rc == FT_EFORMAT || rc == FT_ECUT);
	must(rc == FT_OK || *ft_message());
	if (r && rc == FT_OK) {
		must(json_integer_value(json_object_get(ft_reader_end(r), "end")) == ft_reader_count(r));
		must(ft_reader_drain(r) == FT_OK);
	}
	ft_reader_close(r);
	int again = verify(path);
	must(rc == FT_OK || again != FT_OK);
	show(path);
	return 0;
}

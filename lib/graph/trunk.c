/* trunk.c - what leaves the frozen layers at the bottom of a network, kept by text. */
#include "ft/digest.h"
#include "ft/file.h"
#include "ft/trunk.h"
#include "trunk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define NONE SIZE_MAX

struct kept { /* one text */
	uint64_t key[2];
	int64_t length;
	float *data; /* [length, width]; NULL: in the file */
	off_t at;    /* there */
};

struct ft_trunk {
	int layers;
	bool keep;
	char *path; /* of the file, for messages; NULL: memory */
	int fd;
	off_t end;
	struct kept *texts;
	size_t count, cap;
	size_t *slots; /* open addressing by key: position + 1 */
	size_t nslots;
	struct ft_trunk_use use;
	/* the pass */
	const struct ft_batch *batch;
	size_t *text; /* [rows of the batch]: position in texts, or NONE */
	size_t text_cap;
	bool inside, ready; /* ready: all rows are kept */
};

struct ft_trunk *ft_trunk_new(int layers, bool keep, const char *path)
{
	struct ft_trunk *t = ft_alloc(1, sizeof *t);
	if (!t)
		return NULL;
	*t = (struct ft_trunk){ .layers = layers, .keep = keep, .fd = -1, .nslots = 1024 };
	t->slots = ft_alloc(t->nslots, sizeof *t->slots);
	t->path = path ? ft_strdup(path) : NULL;
	int rc = t->slots && (!path || t->path) ? FT_OK : FT_EFAIL;
	if (rc == FT_OK && path) {
		t->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		rc = t->fd < 0 ? ft_fail(FT_EFAIL, "%s: %s", path, strerror(errno)) : FT_OK;
		if (rc == FT_OK)
			unlink(path); /* its space is free however this process ends */
	}
	if (rc == FT_OK)
		return t;
	ft_trunk_free(t);
	return NULL;
}

void ft_trunk_free(struct ft_trunk *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->count; i++)
		free(t->texts[i].data);
	if (t->fd >= 0)
		close(t->fd);
	free(t->texts);
	free(t->slots);
	free(t->text);
	free(t->path);
	free(t);
}

struct ft_trunk_use ft_trunk_use(const struct ft_trunk *t) { return t->use; }

/* ---- finding ---- */

/* Of ids and types: no types are zeros. */
static void key_of(const struct ft_batch *b, size_t row, uint64_t key[2])
{
	size_t from = (size_t)b->offsets[row], n = (size_t)b->offsets[row + 1] - from;
	bool typed = false;
	for (size_t i = 0; b->types && i < n; i++)
		typed |= b->types[from + i] != 0;
	for (uint64_t k = 0; k < 2; k++) {
		key[k] = ft_hash(b->ids + from, n * sizeof *b->ids, k);
		if (typed)
			key[k] = ft_hash(b->types + from, n, key[k]);
	}
}

static size_t *slot_of(const struct ft_trunk *t, const uint64_t key[2])
{
	size_t at = key[0] & (t->nslots - 1);
	while (t->slots[at] && memcmp(t->texts[t->slots[at] - 1].key, key, sizeof t->texts->key) != 0)
		at = (at + 1) & (t->nslots - 1);
	return &t->slots[at];
}

static int more_slots(struct ft_trunk *t)
{
	size_t *old = t->slots;
	if (2 * t->count < t->nslots)
		return FT_OK;
	t->slots = ft_alloc(2 * t->nslots, sizeof *t->slots);
	if (!t->slots) {
		t->slots = old;
		return FT_EFAIL;
	}
	t->nslots *= 2;
	free(old);
	for (size_t i = 0; i < t->count; i++)
		*slot_of(t, t->texts[i].key) = i + 1;
	return FT_OK;
}

int ft_trunk_begin(struct ft_trunk *t, struct ft_graph *g, const struct ft_batch *b)
{
	graph_set_trunk(g, t);
	t->batch = b;
	t->inside = true;
	t->ready = t->keep;
	if (!t->keep)
		return FT_OK;
	if (ft_grow(&t->text, &t->text_cap, b->rows, sizeof *t->text) < 0)
		return FT_EFAIL;
	for (size_t r = 0; r < b->rows; r++) {
		uint64_t key[2];
		key_of(b, r, key);
		size_t found = *slot_of(t, key);
		t->text[r] = found ? found - 1 : NONE;
		t->ready = t->ready && found;
	}
	t->use.computed += !t->ready;
	t->use.reused += t->ready;
	return FT_OK;
}

bool trunk_is_still(const struct ft_trunk *t) { return t->inside; }
bool trunk_replays(const struct ft_trunk *t, int layer) { return layer < t->layers && t->inside && t->ready; }
bool trunk_ends(const struct ft_trunk *t, int layer) { return layer == t->layers - 1; }

/* ---- keeping ---- */
static int put_file(struct ft_trunk *t, struct kept *k, const float *data, size_t bytes)
{
	k->at = t->end;
	for (size_t done = 0; done < bytes;) {
		ssize_t n = pwrite(t->fd, (const char *)data + done, bytes - done, t->end + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ft_fail(FT_EFAIL, "%s: what leaves the trunk cannot be written: %s", t->path, strerror(errno));
		done += (size_t)n;
	}
	t->end += (off_t)bytes;
	return FT_OK;
}

static int get_file(const struct ft_trunk *t, const struct kept *k, float *data, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t n = pread(t->fd, (char *)data + done, bytes - done, k->at + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ft_fail(FT_EFAIL, "%s: what leaves the trunk cannot be read: %s", t->path,
			               n < 0 ? strerror(errno) : "it is shorter than it was");
		done += (size_t)n;
	}
	return FT_OK;
}

static int keep_data(struct ft_trunk *t, struct kept *k, const float *data, size_t width)
{
	size_t bytes = (size_t)k->length * width * sizeof *data;
	if (t->path)
		return put_file(t, k, data, bytes);
	k->data = ft_alloc((size_t)k->length * width, sizeof *data);
	if (k->data)
		memcpy(k->data, data, bytes);
	return k->data ? FT_OK : FT_EFAIL;
}

/* data NULL: only planned. */
static int keep_row(struct ft_trunk *t, size_t row, const float *data, size_t width)
{
	struct kept k = { .length = t->batch->offsets[row + 1] - t->batch->offsets[row] };
	double bytes = (double)k.length * (double)width * sizeof *data;
	key_of(t->batch, row, k.key);
	if (*slot_of(t, k.key)) /* twice in the batch */
		return FT_OK;
	int rc = ft_grow(&t->texts, &t->cap, t->count + 1, sizeof *t->texts);
	rc = rc ? rc : more_slots(t);
	if (rc < 0)
		return rc;
	rc = data ? keep_data(t, &k, data, width) : FT_OK;
	if (rc < 0)
		return rc;
	*slot_of(t, k.key) = t->count + 1;
	t->texts[t->count++] = k;
	t->use.rows = t->count;
	t->use.bytes += bytes;
	return FT_OK;
}

struct ft_tensor *trunk_leave(struct ft_trunk *t, struct ft_graph *g, struct ft_tensor *x)
{
	int rc = FT_OK;
	t->inside = false;
	for (size_t r = 0; x && t->keep && rc == FT_OK && r < t->batch->rows; r++)
		if (t->text[r] == NONE)
			rc = keep_row(t, r, graph_todo(g, 1) ? x->data + t->batch->offsets[r] * x->cols : NULL, (size_t)x->cols);
	return rc < 0 ? ft_graph_fail(g, rc), NULL : x;
}

struct ft_tensor *trunk_replay(struct ft_trunk *t, struct ft_graph *g, const struct ft_tensor *x)
{
	struct ft_tensor *y = ft_graph_tensor(g, x->rows, x->cols);
	t->inside = false;
	if (y)
		y->place = x->place;
	for (int64_t r = 0; y && r < graph_todo(g, (int64_t)t->batch->rows); r++) {
		const struct kept *k = &t->texts[t->text[r]];
		float *to = y->data + t->batch->offsets[r] * y->cols;
		size_t bytes = (size_t)k->length * (size_t)y->cols * sizeof *to;
		int rc = FT_OK;
		if (k->data)
			memcpy(to, k->data, bytes);
		else
			rc = get_file(t, k, to, bytes);
		if (rc < 0)
			return ft_graph_fail(g, rc), NULL;
	}
	return y;
}

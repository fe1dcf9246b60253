/* state.c - all that the later steps of a run depend on, as a stream and back.
 *
 * Numbers stand in the header, arrays are tensors, in an order that follows from model and
 * options: the weights that train, the optimizer's pieces, the averages and the best weights so
 * far. Of a finished run only the weights are kept. */
#include "ft/tensor.h"
#include "priv.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* ---- arrays ---- */
struct part {
	const char *of, *what, *param; /* "optimizer", "mean" or NULL, "head.weight" */
	enum ft_dtype dtype;
	void *data;
	size_t bytes;
};
typedef int part_fn(void *ctx, const struct part *p);

static size_t bytes_of(const struct ft_param *p)
{
	return (size_t)p->t.rows * (size_t)p->t.cols * sizeof(float);
}

static int each_piece(const struct run *r, part_fn *f, void *ctx)
{
	struct ft_piece piece;
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && ft_optim_piece(r->optim, i, &piece); i++) {
		struct part p = { "optimizer", piece.what, piece.param, piece.dtype, piece.data, piece.bytes };
		rc = f(ctx, &p);
	}
	return rc;
}

static int each_part(const struct run *r, bool finished, part_fn *f, void *ctx)
{
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < ft_model_params(r->m); i++) {
		const struct ft_param *p = ft_model_param(r->m, i);
		struct part part = { "weights", NULL, p->name, FT_F32, p->t.data, bytes_of(p) };
		rc = p->trains ? f(ctx, &part) : FT_OK;
	}
	if (finished)
		return rc;
	rc = rc ? rc : each_piece(r, f, ctx);
	for (size_t i = 0; rc == FT_OK && i < ft_model_params(r->m); i++) {
		const struct ft_param *p = ft_model_param(r->m, i);
		struct part mean = { "average", NULL, p->name, FT_F32, r->ema ? ema_weights(r->ema, i) : NULL, bytes_of(p) };
		struct part best = { "best", NULL, p->name, FT_F32, r->valid ? validator_weights(r->valid, i) : NULL,
		                     bytes_of(p) };
		rc = mean.data ? f(ctx, &mean) : FT_OK;
		rc = rc == FT_OK && best.data ? f(ctx, &best) : rc;
	}
	return rc;
}

#define NAME_SIZE 256
static void name_part(char name[NAME_SIZE], const struct part *p)
{
	snprintf(name, NAME_SIZE, "%s%s%s/%s", p->of, p->what ? "/" : "", p->what ? p->what : "", p->param);
}

static int add_bytes(void *ctx, const struct part *p)
{
	*(size_t *)ctx += p->bytes;
	return FT_OK;
}

size_t state_bytes(const struct run *r, bool finished)
{
	size_t bytes = 0;
	each_part(r, finished, add_bytes, &bytes);
	return bytes;
}

static int write_part(void *ctx, const struct part *p)
{
	char name[NAME_SIZE];
	struct ft_tensor_desc d = { .rank = 1, .bytes = p->bytes };
	name_part(name, p);
	d.name = (struct ft_span){ name, strlen(name) };
	d.shape[0] = (int64_t)(p->bytes / ft_dtype_size(p->dtype));
	snprintf(d.dtype, sizeof d.dtype, "%s", ft_dtype_name(p->dtype));
	return ft_tensor_write(ctx, &d, p->data);
}

int state_write(const struct run *r, struct ft_writer *w, bool finished)
{
	return each_part(r, finished, write_part, w);
}

/* Only what differs is written, so that pages of state that no step has used stay unused. */
static void bring(char *dest, const char *src, size_t n)
{
	for (size_t at = 0; at < n; at += 4096) {
		size_t some = n - at < 4096 ? n - at : 4096;
		if (memcmp(dest + at, src + at, some) != 0)
			memcpy(dest + at, src + at, some);
	}
}

static int read_part(void *ctx, const struct part *p)
{
	struct ft_reader *r = ctx;
	char name[NAME_SIZE];
	struct ft_tensor_desc d = { .bytes = 0 };
	struct ft_rec rec;
	int rc = ft_tensor_read(r, &d);
	name_part(name, p);
	if (rc < 0)
		return rc;
	if (rc == 0 || d.name.n != strlen(name) || memcmp(d.name.p, name, d.name.n) != 0 || d.bytes != p->bytes ||
	    strcmp(d.dtype, ft_dtype_name(p->dtype)) != 0)
		return ft_reader_fail(r, FT_EFORMAT, "expected %zu bytes of '%s'", p->bytes, name);
	for (size_t at = 0; at < p->bytes;) {
		rc = ft_reader_next(r, &rec);
		const struct ft_field *data = rc > 0 ? ft_rec_find(&rec, "data") : NULL;
		if (rc < 0)
			return rc;
		if (!data || data->type != FT_BIN || !data->bytes.n || data->bytes.n > p->bytes - at)
			return ft_reader_fail(r, FT_EFORMAT, "expected 1 to %zu bytes of '%s'", p->bytes - at, name);
		bring((char *)p->data + at, data->bytes.p, data->bytes.n);
		at += data->bytes.n;
	}
	return FT_OK;
}

static int share_part(void *ctx, const struct part *p)
{
	ft_ranks_share(ctx, 0, p->data, p->bytes);
	return FT_OK;
}

/* ---- numbers ---- */
static const struct { const char *key; size_t at; } counts[] = {
#define X(member) { #member, offsetof(struct run, member) },
	X(step) X(unbettered) X(all_tokens) X(all_units)
#undef X
}, reals[] = {
#define X(member) { #member, offsetof(struct run, member) },
	X(last_loss) X(smooth)
#undef X
}, flags[] = {
#define X(member) { #member, offsetof(struct run, member) },
	X(stop) X(valid_due)
#undef X
};
#define LENGTH(array) (sizeof(array) / sizeof *(array))

static json_t *numbers(const struct run *r)
{
	const char *base = (const char *)r;
	json_t *v = json_pack("{s:I, s:I, s:I}", "batch", (json_int_t)r->mark.batch, "epoch", (json_int_t)r->mark.epoch,
	                      "optimizer_steps", (json_int_t)ft_optim_steps(r->optim));
	int rc = 0;
	for (size_t i = 0; i < LENGTH(counts); i++)
		rc |= ft_json_set(v, counts[i].key, json_integer(*(const int64_t *)(base + counts[i].at)));
	for (size_t i = 0; i < LENGTH(reals); i++)
		rc |= ft_json_set(v, reals[i].key, json_real(*(const double *)(base + reals[i].at)));
	for (size_t i = 0; i < LENGTH(flags); i++)
		rc |= ft_json_set(v, flags[i].key, json_boolean(*(const bool *)(base + flags[i].at)));
	if (v && rc == 0)
		return v;
	json_decref(v);
	return NULL;
}

/* A number that can be counted on from. */
static int64_t count_of(const json_t *v, const char *key, int *err)
{
	int64_t n = ft_json_int(v, key, -1, err);
	if (n < 0 || n > (int64_t)1 << 53)
		*err = FT_EFORMAT;
	return n;
}

static void set_numbers(struct run *r, const json_t *v, int *err)
{
	char *base = (char *)r;
	r->batch = r->mark.batch = count_of(v, "batch", err);
	r->epoch = r->mark.epoch = count_of(v, "epoch", err);
	for (size_t i = 0; i < LENGTH(counts); i++)
		*(int64_t *)(base + counts[i].at) = count_of(v, counts[i].key, err);
	for (size_t i = 0; i < LENGTH(reals); i++)
		*(double *)(base + reals[i].at) = ft_json_real(v, reals[i].key, 0, err);
	for (size_t i = 0; i < LENGTH(flags); i++)
		*(bool *)(base + flags[i].at) = ft_json_bool(v, flags[i].key, false, err);
	ft_optim_resume(r->optim, count_of(v, "optimizer_steps", err));
}

static json_t *best_run(const struct run *r)
{
	const json_t *result = r->valid ? validator_best(r->valid) : NULL;
	if (!result)
		return json_null();
	return json_pack("{s:I, s:O}", "step", (json_int_t)validator_best_step(r->valid), "result", result);
}

json_t *state_meta(const struct run *r, const json_t *identity, bool finished)
{
	char now[33];
	ft_reader_digest(r->data, now);
	const char *digest = finished ? now : r->mark.digest;
	json_int_t records = finished ? (json_int_t)ft_reader_count(r->data) : (json_int_t)r->mark.batch;
	json_t *meta = json_pack("{s:i, s:b, s:O, s:{s:I, s:s}, s:o, s:o, s:o}", "checkpoint", 1, "finished", (int)finished,
	                         "run", identity, "batches", "records", records, "digest", digest, "log",
	                         log_place(r->log), "numbers", numbers(r), "best", best_run(r));
	if (!meta)
		ft_fail(FT_EFAIL, "out of memory for a checkpoint");
	return meta;
}

/* Whether there must have been a validation, by the numbers. */
static bool has_validated(const struct run *r)
{
	if (!r->valid)
		return false;
	int64_t every = r->o->valid_every;
	return r->finished || r->stop || r->unbettered > 0 || (every && r->step >= every + r->valid_due);
}

int state_read(struct run *r, struct ft_reader *checkpoint)
{
	const json_t *meta = ft_reader_meta(checkpoint), *found = json_object_get(meta, "best");
	int err = 0;
	r->finished = ft_json_bool(meta, "finished", false, &err);
	set_numbers(r, json_object_get(meta, "numbers"), &err);
	if (err == FT_OK && r->valid && json_is_object(found))
		err = validator_resume(r->valid, ft_json_int(found, "step", 0, NULL), json_object_get(found, "result"),
		                       !r->finished);
	else if (err == FT_OK && has_validated(r))
		err = FT_EFORMAT;
	if (err == FT_EFAIL)
		return err;
	if (err)
		return ft_fail(FT_EFORMAT, "%s: its header does not say all that a run needs", ft_reader_name(checkpoint));
	int rc = each_part(r, r->finished, read_part, checkpoint);
	struct ft_rec rec;
	rc = rc ? rc : ft_reader_next(checkpoint, &rec);
	return rc > 0 ? ft_reader_fail(checkpoint, FT_EFORMAT, "more than the run has") : rc;
}

/* ---- from rank 0 to the others ---- */

/* A JSON text of rank 0; in the others it becomes *v, a new reference. */
static int share_json(struct ft_ranks *ranks, json_t **v)
{
	char *text = *v ? ft_json_dumps(*v, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL; /* numbers are exact */
	uint64_t bytes = text ? strlen(text) + 1 : 0;
	bool gives = *v != NULL;
	ft_ranks_share(ranks, 0, &bytes, sizeof bytes);
	if (!gives && bytes)
		text = ft_alloc(1, bytes);
	if (text)
		ft_ranks_share(ranks, 0, text, bytes);
	if (text && !gives)
		*v = ft_json_parse("the state of rank 0", text, bytes - 1);
	free(text);
	return *v && bytes ? FT_OK : ft_fail(FT_EFAIL, "out of memory for the state of a run");
}

int state_share(struct run *r, int64_t *records)
{
	bool first = ft_ranks_mine(r->ranks) == 0;
	json_t *v = !first ? NULL
	                   : json_pack("{s:b, s:I, s:o, s:o}", "finished", (int)r->finished, "records",
	                               (json_int_t)ft_reader_count(r->data), "numbers", numbers(r), "best", best_run(r));
	int err = share_json(r->ranks, &v);
	const json_t *best = json_object_get(v, "best");
	*records = ft_json_int(v, "records", 0, NULL);
	if (err == FT_OK && !first && *records) {
		r->finished = ft_json_bool(v, "finished", false, &err);
		set_numbers(r, json_object_get(v, "numbers"), &err);
		if (r->valid && json_is_object(best))
			err |= validator_resume(r->valid, ft_json_int(best, "step", 0, NULL), json_object_get(best, "result"),
			                        !r->finished);
	}
	json_decref(v);
	/* All share what all have memory for. */
	err = together(r, err ? ft_last_error() : FT_OK);
	return err || !*records ? err : each_part(r, r->finished, share_part, r->ranks);
}

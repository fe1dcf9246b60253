/* checkpoint.c - the file that a run goes on from: when it is written, and how it is kept.
 *
 *	FILE        the newest one
 *	FILE.1      the one before, used when FILE is damaged
 *	FILE.new    one that is being made: given its name when it was read back
 *	FILE.lock   held by the run
 */
#include "ft/file.h"
#include "ft/signals.h"
#include "priv.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION 1
#define SECONDS 600 /* between two, when --every does not say */

struct checkpoint {
	const char *path;
	char *before, *fresh;
	char *advice;       /* how to begin anew, for messages */
	struct lock *lock;
	json_t *identity;
	bool good;          /* `path` is whole: it becomes the one before */
	bool changed;       /* something has happened since it was written */
	double saved;       /* ft_now() of that */
	int64_t saved_step;
};

/* ---- what there is ---- */

/* 1: a whole checkpoint, *meta a new reference. 0: no such file. */
static int examine(const char *path, json_t **meta)
{
	struct stat st;
	*meta = NULL;
	if (stat(path, &st) < 0)
		return errno == ENOENT ? 0 : ft_fail_errno("%s", path);
	if (!S_ISREG(st.st_mode))
		return ft_fail(FT_EUSAGE, "--checkpoint: %s is no regular file", path);
	struct ft_reader *r = ft_reader_open(path, "checkpoint");
	int rc = r ? ft_reader_drain(r) : ft_last_error();
	if (rc == FT_OK && !json_is_string(json_object_get(ft_reader_end(r), "digest")))
		rc = ft_fail(FT_EFORMAT, "%s: no digest at its end", path);
	if (rc == FT_OK && ft_json_int(ft_reader_meta(r), "checkpoint", 0, NULL) != VERSION)
		rc = ft_fail(FT_EFORMAT, "%s: a checkpoint of another form; this program has form %d", path, VERSION);
	if (rc == FT_OK && !(*meta = ft_json_deep_copy(ft_reader_meta(r))))
		rc = ft_fail(FT_EFAIL, "out of memory for %s", path);
	ft_reader_close(r);
	return rc < 0 ? rc : 1;
}

static bool is_damage(int rc)
{
	return rc == FT_EFORMAT || rc == FT_ECUT;
}

/* The newest whole one: *from is its path, NULL when there is none at all. */
static int find(struct checkpoint *c, const char **from, json_t **meta)
{
	*from = NULL;
	int newest = examine(c->path, meta);
	c->good = newest > 0;
	if (c->good)
		*from = c->path;
	if (c->good || (newest < 0 && !is_damage(newest)))
		return c->good ? FT_OK : newest;
	char *why = newest < 0 ? ft_strdup(ft_message()) : ft_format("%s is not there", c->path);
	int older = why ? examine(c->before, meta) : FT_EFAIL;
	if (older > 0) {
		*from = c->before;
		ft_warn("%s; going on from the one before, %s", why, c->before);
	} else if (older < 0) {
		older = newest < 0 ? ft_context(older, "%s", why) : older;
	} else if (newest < 0) {
		older = ft_fail(newest, "%s; there is no %s, either; remove it to begin anew", why, c->before);
	}
	free(why);
	return older < 0 ? older : FT_OK;
}

/* 1: of this run. 0: of another one, which is finished and in nobody's way. */
static int compare(struct run *r, const char *from, const json_t *meta)
{
	struct ft_buf differences = { 0 };
	int rc = identity_compare(json_object_get(meta, "run"), r->checkpoint->identity, &differences);
	rc = rc ? rc : log_compare(r->o->log, json_object_get(meta, "log"), &differences);
	if (rc == FT_OK && !differences.len)
		rc = 1;
	else if (rc == FT_OK && json_is_true(json_object_get(meta, "finished")))
		ft_note("%s is of another run, which is finished: beginning anew (%s)", from, differences.data);
	else if (rc == FT_OK)
		rc = ft_fail(FT_EMATCH, "%s is of another run, which is not finished (%s)%s", from, differences.data,
		             r->checkpoint->advice);
	ft_buf_free(&differences);
	return rc;
}

static int bring_back(struct run *r, const char *from)
{
	struct ft_reader *in = ft_reader_open(from, "checkpoint");
	int rc = in ? state_read(r, in) : ft_last_error();
	ft_reader_close(in);
	return rc;
}

/* Passes over the batches that the checkpoint has seen: they must be the same. */
static int skip(struct run *r, const char *from, const json_t *batches)
{
	const char *name = ft_reader_name(r->data), *digest = ft_json_str(batches, "digest", "", NULL);
	int64_t records = ft_json_int(batches, "records", 0, NULL);
	struct ft_rec rec;
	int rc = 1;
	while (ft_reader_count(r->data) < records && (rc = ft_reader_next(r->data, &rec)) > 0 && !ft_signals_stop())
		ft_progress("batch %lld of the %lld that %s has seen", (long long)ft_reader_count(r->data),
		            (long long)records, from);
	if (ft_signals_stop())
		return checkpoint_leave(r);
	if (rc == 0)
		return ft_fail(FT_EMATCH, "%s has %lld batches, %s has seen %lld%s", name,
		               (long long)ft_reader_count(r->data), from, (long long)records, r->checkpoint->advice);
	checkpoint_mark(r);
	r->checkpoint->changed = false;
	if (rc > 0 && strcmp(r->mark.digest, digest) != 0)
		return ft_fail(FT_EMATCH,
		               "%s is not what %s was made with (digest of the first %lld batches: %s then, %s now)%s", name,
		               from, (long long)records, digest, r->mark.digest, r->checkpoint->advice);
	if (rc > 0 && r->finished)
		rc = ft_reader_next(r->data, &rec);
	if (rc > 0 && r->finished)
		return ft_fail(FT_EMATCH, "%s has more than the %lld batches that %s was made with%s", name,
		               (long long)records, from, r->checkpoint->advice);
	return rc < 0 ? rc : FT_OK;
}

/* ---- opening ---- */

/* Removes what a run that was killed has left. Ours is the lock. */
static void clear_leftovers(const struct checkpoint *c)
{
	const char *slash = strrchr(c->fresh, '/'), *name = slash ? slash + 1 : c->fresh;
	char *dir = slash ? ft_strndup(c->fresh, (size_t)(slash - c->fresh) + 1) : ft_strdup(".");
	DIR *d = dir ? opendir(dir) : NULL;
	size_t n = strlen(name);
	unlink(c->fresh);
	for (struct dirent *e; d && (e = readdir(d));)
		/* ".NAME.new.XXXXXX", as ft_outfile_open() names what is not yet whole */
		if (strlen(e->d_name) == n + 8 && e->d_name[0] == '.' && memcmp(e->d_name + 1, name, n) == 0 &&
		    e->d_name[n + 1] == '.')
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	free(dir);
}

static int open_lock(struct run *r)
{
	struct checkpoint *c = r->checkpoint;
	c->path = r->o->checkpoint;
	c->before = ft_format("%s.1", c->path);
	c->fresh = ft_format("%s.new", c->path);
	c->advice = ft_format("; remove %s and %s to begin anew", c->path, c->before);
	if (!c->before || !c->fresh || !c->advice)
		return FT_EFAIL;
	ft_signals_catch();
	c->lock = lock_take(c->path);
	if (!c->lock)
		return ft_last_error();
	clear_leftovers(c);
	c->identity = identity_make(r);
	return c->identity ? FT_OK : ft_last_error();
}

int checkpoint_open(struct run *r, json_t **place)
{
	const char *from = NULL;
	json_t *meta = NULL;
	*place = NULL;
	r->checkpoint = ft_alloc(1, sizeof *r->checkpoint);
	int rc = r->checkpoint ? open_lock(r) : FT_EFAIL;
	rc = rc ? rc : find(r->checkpoint, &from, &meta);
	int ours = rc == FT_OK && from ? compare(r, from, meta) : rc;
	if (ours > 0) {
		*place = json_incref(json_object_get(meta, "log"));
		rc = bring_back(r, from);
		r->checkpoint->saved_step = r->step;
		rc = rc ? rc : skip(r, from, json_object_get(meta, "batches"));
		if (rc == FT_OK)
			ft_note(r->finished ? "%s: the run is finished" : "%s: going on after step %lld", from, (long long)r->step);
	} else {
		rc = ours;
		checkpoint_mark(r);
	}
	json_decref(meta);
	if (r->checkpoint)
		r->checkpoint->saved = ft_now();
	return rc;
}

/* Of the other ranks: passes over what rank 0 has passed over. That it is the same, all see when they meet. */
static int follow(struct run *r, int64_t records)
{
	struct ft_rec rec;
	int rc = 1;
	while (ft_reader_count(r->data) < records && (rc = ft_reader_next(r->data, &rec)) > 0)
		;
	if (rc == 0)
		return ft_fail(FT_EMATCH, "%s has fewer than %lld batches", ft_reader_name(r->data), (long long)records);
	if (rc > 0 && r->finished)
		rc = ft_reader_next(r->data, &rec);
	return rc < 0 ? rc : FT_OK;
}

int checkpoint_share(struct run *r)
{
	int64_t records;
	if (ft_ranks_count(r->ranks) == 1)
		return FT_OK;
	ft_signals_catch();
	int rc = state_share(r, &records);
	if (rc == FT_OK && !r->checkpoint)
		rc = follow(r, records);
	return r->failed_together ? rc : together_step(r, rc);
}

void checkpoint_close(struct checkpoint *c)
{
	if (!c)
		return;
	lock_drop(c->lock);
	json_decref(c->identity);
	free(c->before);
	free(c->fresh);
	free(c->advice);
	free(c);
}

/* ---- saving ---- */
static int write_fresh(struct run *r, bool finished)
{
	struct checkpoint *c = r->checkpoint;
	struct ft_reader *parents[2] = { ft_model_reader(r->m), r->data };
	json_t *meta = state_meta(r, c->identity, finished), *again;
	struct ft_writer *w = meta ? ft_writer_open(c->fresh, "checkpoint", meta, parents, 2) : NULL;
	int rc = w ? state_write(r, w, finished) : ft_last_error();
	rc = rc ? rc : ft_writer_close(w);
	ft_writer_free(w);
	json_decref(meta);
	if (rc < 0)
		return rc;
	rc = examine(c->fresh, &again);
	json_decref(again);
	return rc > 0 ? FT_OK : ft_context(rc < 0 ? rc : FT_EFAIL, "read back");
}

/* FILE is there at every moment, where the file system can give a file two names. */
static int give_names(struct checkpoint *c)
{
	if (c->good) {
		unlink(c->before);
		if (link(c->path, c->before) < 0 && rename(c->path, c->before) < 0)
			return ft_fail_errno("%s", c->before);
	}
	int rc = ft_file_rename(c->fresh, c->path);
	c->good = c->good || rc == FT_OK;
	return rc;
}

/* Adds to a failure to write what is needed and what there is, when that is too little. */
static int explain(const struct run *r, bool finished, int rc)
{
	unsigned long long need = state_bytes(r, finished), have = lock_room(r->checkpoint->lock);
	return have < need ? ft_fail(rc, "%s (%llu bytes are needed, %llu are free)", ft_message(), need, have) : rc;
}

static int save(struct run *r, bool finished)
{
	struct checkpoint *c = r->checkpoint;
	int rc = log_sync(r->log);
	rc = rc ? rc : write_fresh(r, finished);
	rc = rc ? rc : give_names(c);
	if (rc < 0) {
		unlink(c->fresh);
		return explain(r, finished, ft_context(rc, "checkpoint"));
	}
	c->saved = ft_now();
	c->saved_step = r->step;
	c->changed = false;
	return FT_OK;
}

/* ---- when ---- */
void checkpoint_mark(struct run *r)
{
	if (!r->checkpoint)
		return;
	r->mark.batch = r->batch;
	r->mark.epoch = r->epoch;
	r->mark.moved = false;
	ft_reader_digest(r->data, r->mark.digest);
	r->checkpoint->changed = true;
}

static void say_saved(const struct run *r)
{
	ft_note("step %lld is saved in %s", (long long)r->step, r->checkpoint->path);
}

int checkpoint_turn(struct run *r)
{
	struct checkpoint *c = r->checkpoint;
	if (!c)
		return FT_OK;
	if (ft_signals_stop())
		return checkpoint_leave(r);
	bool asked = ft_signals_save();
	bool due = r->o->every ? r->step % r->o->every == 0 : ft_now() - c->saved >= SECONDS;
	int rc = asked || due ? save(r, false) : FT_OK;
	if (rc == FT_OK && asked)
		say_saved(r);
	return rc;
}

/* What cannot be saved now, or fails, is saved when the step is whole, or fails then. */
static void save_meanwhile(void *ctx)
{
	struct run *r = ctx;
	if (r->mark.moved || !ft_signals_save())
		return;
	if (r->checkpoint->changed && save(r, false) < 0)
		ft_signals_take(SIGUSR1);
	else
		say_saved(r);
}

int checkpoint_batch(struct run *r, struct ft_batch *b)
{
	ft_signals_meanwhile(r->checkpoint ? save_meanwhile : NULL, r);
	int rc = ft_batch_read(r->data, b);
	ft_signals_meanwhile(NULL, NULL);
	return rc;
}

int checkpoint_leave(struct run *r)
{
	struct checkpoint *c = r->checkpoint;
	int rc = c->changed && !r->mark.moved ? save(r, false) : FT_OK;
	if (rc < 0)
		return rc;
	return ft_fail(FT_EFAIL, "stopped by %s; the same command goes on after step %lld",
	               ft_signals_name(ft_signals_stop()), (long long)c->saved_step);
}

int checkpoint_finish(struct run *r)
{
	struct checkpoint *c = r->checkpoint;
	if (!c)
		return FT_OK;
	bool whole = !ft_json_incomplete();
	if (!r->finished && save(r, true) < 0) {
		ft_warn("%s; the model is written all the same", ft_message());
		if (whole) /* what misses something is the checkpoint's alone */
			ft_json_dropped();
	}
	if (ft_signals_stop())
		return ft_fail(FT_EFAIL, "stopped by %s when all was done; the same command writes the model",
		               ft_signals_name(ft_signals_stop()));
	return FT_OK;
}

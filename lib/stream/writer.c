/* writer.c - a stream written: header with provenance, records, and an end that
 * says how it went. */
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/stream.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

struct ft_writer {
	struct output *out;
	struct ft_digest *digest;
	struct ft_buf buf;
	json_t *end; /* members of the end record added by the tool */
	int64_t count;
	bool closed;
};

static int write_object(struct ft_writer *w, bool digested)
{
	if (digested)
		ft_digest_add(w->digest, w->buf.data, w->buf.len);
	int rc = output_put(w->out, w->buf.data, w->buf.len);
	w->buf.len = 0;
	return rc;
}

/* Adds the entries of one stream, each once. The last one made it: it gets the
 * stream's id, by which other entries name it as their parent. */
static int add_log(json_t *log, const json_t *entries, const char *id)
{
	size_t k, j, last = json_array_size(entries);
	json_t *entry, *old;
	int rc = 0;
	json_array_foreach((json_t *)entries, k, entry) {
		json_t *named = k + 1 == last && id && json_is_object(entry) && !json_object_get(entry, "id")
		                        ? ft_json_deep_copy(entry) : json_incref(entry);
		bool known = false;
		if (named != entry)
			rc |= json_object_set_new(named, "id", json_string(id));
		json_array_foreach(log, j, old)
			known = known || json_equal(old, named);
		if (known)
			json_decref(named);
		else
			rc |= json_array_append_new(log, named);
	}
	return rc;
}

/* What was before (or NULL) and the parents' entries, then ours, which names
 * the parents by the digests of their headers. NULL: out of memory. */
static json_t *chain(const json_t *before, struct ft_reader *const *parents, size_t nparents)
{
	json_t *log = json_array(), *mine = ft_invocation() ? ft_json_deep_copy(ft_invocation()) : json_object();
	json_t *ids = json_array();
	int rc = add_log(log, before, NULL);
	for (size_t i = 0; i < nparents; i++) {
		if (!parents[i])
			continue;
		rc |= add_log(log, ft_reader_log(parents[i]), ft_reader_id(parents[i]));
		rc |= json_array_append_new(ids, json_pack("{s:s, s:s}", "kind", ft_reader_kind(parents[i]), "id",
		                                           ft_reader_id(parents[i])));
	}
	rc |= json_object_set_new(mine, "parents", ids);
	rc |= json_array_append_new(log, mine);
	if (rc == 0)
		return log;
	ft_fail(FT_EFAIL, "out of memory for a stream's log");
	json_decref(log);
	return NULL;
}

static int write_header(struct ft_writer *w, const char *kind, const json_t *meta, json_t *log_taken)
{
	if (json_array_size(log_taken) > LOG_MAX) {
		json_decref(log_taken);
		return ft_fail(FT_EFAIL, "%s: a history of more than %d stages", output_name(w->out), LOG_MAX);
	}
	json_t *header = json_pack("{s:i, s:s, s:O, s:o}", "ft", STREAM_VERSION, "kind", kind, "meta", meta, "log",
	                           log_taken);
	int rc = header ? pack_json(&w->buf, header) : ft_fail(FT_EFAIL, "out of memory for a stream's header");
	json_decref(header);
	if (rc == FT_OK)
		rc = write_object(w, true);
	return rc < 0 ? rc : output_flush(w->out);
}

static struct ft_writer *open_writer(const char *path, const char *kind, const json_t *meta, json_t *log_taken)
{
	struct ft_writer *w = log_taken ? ft_alloc(1, sizeof *w) : NULL;
	if (!w) {
		json_decref(log_taken);
		return NULL;
	}
	/* Weights hardly compress; the digest guards them either way. */
	bool weights = strcmp(kind, "model") == 0 || strcmp(kind, "fisher") == 0 || strcmp(kind, "checkpoint") == 0;
	w->out = output_open(path, !weights);
	w->digest = w->out ? ft_digest_new() : NULL;
	w->end = w->digest ? json_object() : NULL;
	if (w->digest && !w->end)
		ft_fail(FT_EFAIL, "out of memory for a stream");
	if (w->digest && w->end && write_header(w, kind, meta, log_taken) == FT_OK)
		return w;
	if (!w->digest || !w->end)
		json_decref(log_taken);
	w->closed = true; /* nothing to abort: no header went out */
	ft_writer_free(w);
	return NULL;
}

struct ft_writer *ft_writer_open(const char *path, const char *kind, const json_t *meta,
                                 struct ft_reader *const *parents, size_t nparents)
{
	return open_writer(path, kind, meta, chain(NULL, parents, nparents));
}

struct ft_writer *ft_writer_open_log(const char *path, const char *kind, const json_t *meta, const json_t *log)
{
	return open_writer(path, kind, meta, chain(log, NULL, 0));
}

int ft_writer_put(struct ft_writer *w, const struct ft_rec *rec)
{
	int rc = pack_record(&w->buf, rec);
	if (rc < 0)
		return rc;
	w->count++;
	return write_object(w, true);
}

int ft_writer_note(struct ft_writer *w, const char *key, json_t *value_taken)
{
	return ft_json_set(w->end, key, value_taken);
}

/* `aborted`: why the stream is not whole; NULL when it is. */
static int write_end(struct ft_writer *w, const char *aborted)
{
	char hex[33];
	ft_digest_hex(w->digest, hex);
	json_t *end = json_object(), *reason = aborted ? json_string(aborted) : NULL;
	/* A count that cannot be is refused also where the reason is damaged, or not looked for. */
	int bad = json_object_set_new(end, "end", json_integer(aborted ? -1 : (json_int_t)w->count));
	if (aborted) /* a reason that is not UTF-8 has no string */
		bad |= json_object_set_new(end, "aborted", reason ? reason : json_string("failure"));
	else
		bad |= json_object_set_new(end, "digest", json_string(hex)) | json_object_update(end, w->end);
	int rc = bad ? ft_fail(FT_EFAIL, "out of memory for the end of a stream") : pack_json(&w->buf, end);
	json_decref(end);
	return rc < 0 ? rc : write_object(w, false);
}

int ft_writer_close(struct ft_writer *w)
{
	int rc = ft_json_whole();
	if (rc == FT_OK)
		rc = write_end(w, NULL);
	if (rc == FT_OK)
		rc = output_commit(w->out);
	w->closed = rc == FT_OK;
	return rc;
}

void ft_writer_free(struct ft_writer *w)
{
	if (!w)
		return;
	if (!w->closed) {
		/* Tell the next stage why; keep the message of the failure itself. */
		char *why = ft_strdup(*ft_message() ? ft_message() : "failure");
		int code = ft_last_error();
		w->buf.len = 0;
		if (why && write_end(w, why) == FT_OK)
			output_end(w->out);
		if (why)
			ft_fail(code, "%s", why);
		free(why);
	}
	output_free(w->out);
	ft_digest_free(w->digest);
	ft_buf_free(&w->buf);
	json_decref(w->end);
	free(w);
}

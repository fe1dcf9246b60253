/* log.c - the log of a run: JSON lines, flushed as they come. */
#include "priv.h"

#include <stdlib.h>
#include <string.h>

struct log {
	FILE *f;
	const char *path;
};

struct log *log_open(const char *path)
{
	struct log *l = ft_alloc(1, sizeof *l);
	if (!l || !path)
		return l;
	l->path = path;
	l->f = fopen(path, "w");
	if (l->f)
		return l;
	ft_fail_errno("%s", path);
	free(l);
	return NULL;
}

int log_put(struct log *l, json_t *entry_taken)
{
	int rc = FT_OK;
	char *text = l->f ? ft_json_text(entry_taken) : NULL;
	if (l->f && (!text || fprintf(l->f, "%s\n", text) < 0 || fflush(l->f) == EOF))
		rc = text ? ft_fail_errno("%s", l->path) : FT_EFAIL;
	free(text);
	json_decref(entry_taken);
	return rc;
}

int log_close(struct log *l)
{
	int rc = l->f && fclose(l->f) == EOF ? ft_fail_errno("%s", l->path) : FT_OK;
	l->f = NULL;
	log_free(l);
	return rc;
}

void log_free(struct log *l)
{
	if (l && l->f)
		fclose(l->f);
	free(l);
}

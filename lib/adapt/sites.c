/* sites.c - the places of a network that techniques can be at. */
#include "priv.h"

#include "ft/mem.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static const char end[] = ".weight";

/* A weight of the body, or the table of words. */
static bool is_site(const struct ft_model *m, const struct ft_param *p, enum site_kind *kind)
{
	size_t n = strlen(p->name), m_ = sizeof end - 1;
	if (n <= m_ || strcmp(p->name + n - m_, end) != 0)
		return false;
	*kind = p->kind == PARAM_TABLE ? SITE_TABLE : SITE_LINEAR;
	if (*kind == SITE_TABLE)
		return strcmp(p->name, "embed.word.weight") == 0;
	return (p->kind == PARAM_WEIGHT || p->kind == PARAM_TURNED) && p->layer >= 0 && p->layer < (int)m->shape.layers;
}

int sites_collect(struct ft_model *m, struct sites *s)
{
	for (size_t i = 0; i < m->count; i++) {
		struct ft_param *p = m->params[i];
		enum site_kind kind;
		if (!is_site(m, p, &kind))
			continue;
		if (ft_grow(&s->at, &s->cap, s->count + 1, sizeof *s->at) < 0)
			return FT_EFAIL;
		struct site *x = &s->at[s->count++];
		size_t file = strlen(p->file) - (sizeof end - 1);
		*x = (struct site){ .kind = kind, .layer = p->layer, .weight = p };
		x->name = ft_strndup(p->name, strlen(p->name) - (sizeof end - 1));
		x->file = ft_strndup(p->file, file);
		if (!x->name || !x->file)
			return FT_EFAIL;
	}
	return FT_OK;
}

void sites_free(struct sites *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free(s->at[i].name);
		free(s->at[i].file);
	}
	free(s->at);
}

bool adapt_matches(const char *glob, const struct site *s)
{
	return fnmatch(glob, s->name, 0) == 0 || fnmatch(glob, s->file, 0) == 0;
}

/* sites.c - the places of a network that techniques can be at. */
#include "priv.h"

#include "ft/mem.h"

#include <fnmatch.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char end[] = ".weight";

/* The bias beside weight number i, which is declared behind it. */
static struct ft_param *bias_of(const struct ft_model *m, size_t i)
{
	const char *name = m->params[i]->name;
	size_t stem = strlen(name) - (sizeof end - 1);
	struct ft_param *p = i + 1 < m->count ? m->params[i + 1] : NULL;
	return p && strncmp(p->name, name, stem) == 0 && strcmp(p->name + stem, ".bias") == 0 ? p : NULL;
}

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

/* name_taken and file_taken are taken over; NULL: out of memory. */
static int add(struct sites *s, const struct site *x, char *name_taken, char *file_taken)
{
	int rc = name_taken && file_taken ? ft_grow(&s->at, &s->cap, s->count + 1, sizeof *s->at) : FT_EFAIL;
	if (rc < 0) {
		free(name_taken);
		free(file_taken);
		return FT_EFAIL;
	}
	s->at[s->count] = *x;
	s->at[s->count].name = name_taken;
	s->at[s->count++].file = file_taken;
	return FT_OK;
}

/* Parameter number i, when it is one. */
static int add_weight(const struct ft_model *m, struct sites *s, size_t i)
{
	struct ft_param *p = m->params[i];
	struct site x = { .layer = p->layer, .weight = p };
	size_t n = sizeof end - 1;
	if (!is_site(m, p, &x.kind))
		return FT_OK;
	x.bias = bias_of(m, i);
	return add(s, &x, ft_strndup(p->name, strlen(p->name) - n), ft_strndup(p->file, strlen(p->file) - n));
}

/* ---- blocks: "layer.3.attn" where the parameters "layer.3.attn.*" are ---- */

/* What AdapterHub calls the end of a block: a module of the layer ("h.3.attention_adapters"), or where the block's sum
 * and norm are a module themselves, as BERT's, that one. */
static char *block_file(const struct ft_model *m, const char *block, int layer, const char *of_layer)
{
	static const char sum[] = ".output.LayerNorm.weight";
	char *name = ft_format("%s.norm.weight", block), number[16];
	const struct ft_param *norm = NULL;
	if (!name)
		return NULL;
	for (size_t i = 0; !norm && i < m->count; i++)
		norm = strcmp(m->params[i]->name, name) == 0 ? m->params[i] : NULL;
	free(name);
	size_t n = norm ? strlen(norm->file) : 0;
	if (n >= sizeof sum && strcmp(norm->file + n - (sizeof sum - 1), sum) == 0)
		return ft_strndup(norm->file, n - strlen(".LayerNorm.weight"));
	snprintf(number, sizeof number, ".%d.", layer);
	const char *at = strstr(of_layer, number);
	return ft_format("%.*s.%s", at ? (int)(at - of_layer + (long)strlen(number) - 1) : 0, of_layer,
	                 strcmp(strrchr(block, '.'), ".attn") == 0 ? "attention_adapters" : "output_adapters");
}

/* The block that a parameter is of, unless that was the last one added. */
static int add_block(const struct ft_model *m, struct sites *s, const struct ft_param *p, size_t *last)
{
	struct site x = { .kind = SITE_BLOCK, .layer = p->layer };
	size_t n = strncmp(p->name, "layer.", 6) == 0 ? 6 + strspn(p->name + 6, "0123456789") : 0;
	if (n == 0 || p->name[n] != '.')
		return FT_OK;
	n += 1 + strcspn(p->name + n + 1, ".");
	if (*last < s->count && strlen(s->at[*last].name) == n && strncmp(s->at[*last].name, p->name, n) == 0)
		return FT_OK;
	char *name = ft_strndup(p->name, n), *file = name ? block_file(m, name, p->layer, p->file) : NULL;
	*last = s->count;
	int rc = add(s, &x, name, file);
	x.kind = SITE_ATTENTION;
	bool attends = rc == FT_OK && strcmp(strrchr(name, '.'), ".attn") == 0;
	return attends ? add(s, &x, ft_strdup(name), ft_strdup(name)) : rc;
}

int sites_collect(struct ft_model *m, struct sites *s)
{
	int rc = FT_OK;
	size_t last = SIZE_MAX;
	for (size_t i = 0; rc == FT_OK && i < m->count; i++) {
		rc = add_block(m, s, m->params[i], &last);
		rc = rc ? rc : add_weight(m, s, i);
	}
	return rc;
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

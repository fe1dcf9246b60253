/* entity.c - entities in a sequence of tags. */
#include "ft/entity.h"
#include "ft/err.h"

#include <stdlib.h>
#include <string.h>

struct tag {
	char prefix;  /* of "BIESO" */
	char written; /* as the name has it, 0: it has none */
	int32_t type;
};

struct ft_tags {
	json_t *names;         /* of labels */
	json_t *types, *index; /* names; {name: number} */
	size_t count;
	struct tag tag[];      /* [count] */
};

static const struct tag outside = { 'O', 'O', -1 };

/* ---- names ---- */

/* B of "B-PER" and "B"; 0: the name has no prefix. */
static char prefix_of(const char *name)
{
	bool known = *name && strchr("BIESLUO", *name);
	return known && (name[1] == '-' || !name[1]) ? *name : 0;
}

static int read_tag(struct ft_tags *t, const char *name, struct tag *out)
{
	out->written = prefix_of(name);
	out->prefix = out->written == 'L' ? 'E' : out->written == 'U' ? 'S' : out->written ? out->written : 'I';
	const char *type = !out->written ? name : name[1] && name[2] ? name + 2 : "_";
	const json_t *known = json_object_get(t->index, type);
	if (out->prefix == 'O') {
		*out = outside;
		return FT_OK;
	}
	out->type = known ? (int32_t)json_integer_value(known) : (int32_t)json_array_size(t->types);
	if (!known && (json_object_set_new(t->index, type, json_integer(out->type)) < 0 ||
	               json_array_append_new(t->types, json_string(type)) < 0))
		return ft_fail(FT_EFAIL, "out of memory for the types of entities");
	return FT_OK;
}

struct ft_tags *ft_tags_new(const json_t *names)
{
	size_t n = json_array_size(names);
	struct ft_tags *t = ft_alloc(1, sizeof *t + n * sizeof *t->tag);
	if (!t)
		return NULL;
	t->names = json_incref((json_t *)names);
	t->types = json_array();
	t->index = json_object();
	int rc = t->types && t->index ? FT_OK : ft_fail(FT_EFAIL, "out of memory for the types of entities");
	for (; t->count < n && rc == FT_OK; t->count++) {
		const char *name = json_string_value(json_array_get(names, t->count));
		rc = name ? read_tag(t, name, &t->tag[t->count])
		          : ft_fail(FT_EFORMAT, "label %zu is not a string", t->count);
	}
	if (rc == FT_OK)
		return t;
	ft_tags_free(t);
	return NULL;
}

void ft_tags_free(struct ft_tags *t)
{
	if (!t)
		return;
	json_decref(t->names);
	json_decref(t->types);
	json_decref(t->index);
	free(t);
}

size_t ft_tags_count(const struct ft_tags *t)
{
	return t->count;
}

const json_t *ft_tags_names(const struct ft_tags *t)
{
	return t->names;
}

const json_t *ft_tags_types(const struct ft_tags *t)
{
	return t->types;
}

int ft_tags_strict(const struct ft_tags *t)
{
	for (size_t i = 0; i < t->count; i++)
		if (!t->tag[i].written || !strchr("BIO", t->tag[i].written))
			return ft_fail(FT_EUSAGE, "entities cannot be counted strictly: '%s' is not of IOB2",
			               json_string_value(json_array_get(t->names, i)));
	return FT_OK;
}

/* ---- sequences ---- */

/* As conlleval: whether an entity ends between two tags, and whether one begins. */
static bool ends(const struct tag *before, const struct tag *now)
{
	if (before->prefix == 'E' || before->prefix == 'S')
		return true;
	if (before->prefix == 'O')
		return false;
	return now->prefix == 'B' || now->prefix == 'S' || now->prefix == 'O' || before->type != now->type;
}

static bool begins(const struct tag *before, const struct tag *now)
{
	if (now->prefix == 'O')
		return false;
	return now->prefix == 'B' || now->prefix == 'S' || before->prefix == 'O' || before->prefix == 'E' ||
	       before->prefix == 'S' || before->type != now->type;
}

static size_t strict_entities(const struct ft_tags *t, const int32_t *tag, size_t n, struct ft_entity *out)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i++) {
		const struct tag *first = &t->tag[tag[i]];
		if (first->prefix != 'B')
			continue;
		size_t last = i;
		while (last + 1 < n && t->tag[tag[last + 1]].prefix == 'I' && t->tag[tag[last + 1]].type == first->type)
			last++;
		out[count++] = (struct ft_entity){ first->type, i, last };
		i = last;
	}
	return count;
}

size_t ft_tags_entities(const struct ft_tags *t, const int32_t *tag, size_t n, bool strict, struct ft_entity *out)
{
	const struct tag *before = &outside;
	size_t count = 0, first = 0;
	if (strict)
		return strict_entities(t, tag, n, out);
	for (size_t i = 0; i <= n; i++) {
		const struct tag *now = i < n ? &t->tag[tag[i]] : &outside;
		if (ends(before, now))
			out[count++] = (struct ft_entity){ before->type, first, i - 1 };
		if (begins(before, now))
			first = i;
		before = now;
	}
	return count;
}

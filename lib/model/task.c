/* task.c - which head a model has: from its meta, or from a config.json. */
#include "priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct ft_head *const heads[] = {
#define X(name) &head_##name,
#include "../head/heads.def"
#undef X
};
#define HEADS (sizeof heads / sizeof *heads)

const char *ft_task_name(enum ft_task t)
{
	for (size_t i = 0; i < HEADS; i++)
		if (heads[i]->task == t)
			return heads[i]->name;
	return "none";
}

int ft_task_parse(const char *name)
{
	for (size_t i = 0; i < HEADS; i++)
		if (strcmp(heads[i]->name, name) == 0)
			return (int)heads[i]->task;
	return -1;
}

/* Labels of a config.json in the order of their numbers; new reference. */
static json_t *labels_of_config(const json_t *config)
{
	json_t *map = json_object_get(config, "id2label"), *labels = json_array();
	if (!labels)
		ft_fail(FT_EFAIL, "out of memory for labels");
	for (size_t i = 0; labels && i < json_object_size(map); i++) {
		char key[24];
		snprintf(key, sizeof key, "%zu", i);
		const json_t *label = json_object_get(map, key);
		if (!json_is_string(label)) {
			json_decref(labels);
			return ft_fail(FT_EFORMAT, "id2label: no label for \"%s\"", key), NULL;
		}
		if (ft_json_append(labels, json_incref((json_t *)label)) < 0) {
			json_decref(labels);
			return NULL;
		}
	}
	return labels;
}

/* As json_pack() has made it, or failing because it has not. */
static json_t *made(json_t *head)
{
	if (!head)
		ft_fail(FT_EFAIL, "out of memory for a head");
	return head;
}

static json_t *sequence_head(const json_t *config)
{
	int err = 0;
	const char *type = ft_json_str(config, "problem_type", NULL, &err);
	json_t *labels = err ? NULL : labels_of_config(config);
	if (!labels)
		return NULL;
	size_t n = json_array_size(labels);
	if (n == 0) /* transformers' default */
		n = (size_t)ft_json_int(config, "num_labels", 2, &err);
	bool regress = type ? strcmp(type, "regression") == 0 : n == 1;
	if (regress || json_array_size(labels) == 0) {
		json_decref(labels);
		return made(json_pack("{s:s, s:I}", "type", regress ? "regress" : "classify", "outputs", (json_int_t)n));
	}
	const char *name = type && strcmp(type, "multi_label_classification") == 0 ? "multilabel" : "classify";
	return made(json_pack("{s:s, s:o}", "type", name, "labels", labels));
}

static json_t *token_head(const json_t *config)
{
	int err = 0;
	json_t *labels = labels_of_config(config);
	if (!labels)
		return NULL;
	if (json_array_size(labels))
		return made(json_pack("{s:s, s:o}", "type", head_tag.name, "labels", labels));
	json_decref(labels);
	int64_t n = ft_json_int(config, "num_labels", 2, &err);
	return err ? NULL : made(json_pack("{s:s, s:I}", "type", head_tag.name, "outputs", (json_int_t)n));
}

static bool has_architecture(const json_t *config, const char *end)
{
	size_t i;
	json_t *name;
	json_array_foreach(json_object_get(config, "architectures"), i, name) {
		const char *s = json_string_value(name);
		if (s && strlen(s) >= strlen(end) && strcmp(s + strlen(s) - strlen(end), end) == 0)
			return true;
	}
	return false;
}

json_t *head_of_config(const json_t *config)
{
	if (has_architecture(config, head_classify.architecture))
		return sequence_head(config);
	if (has_architecture(config, head_tag.architecture))
		return token_head(config);
	const char *type = has_architecture(config, head_mlm.architecture)  ? head_mlm.name
	                   : has_architecture(config, head_lm.architecture) || has_architecture(config, "LMHeadModel")
	                           ? head_lm.name
	                           : head_none.name;
	return made(json_pack("{s:s}", "type", type));
}

/* Label names are distinct strings. */
static int check_labels(const json_t *labels)
{
	size_t i;
	json_t *label, *seen = json_object();
	int rc = FT_OK;
	json_array_foreach((json_t *)labels, i, label) {
		const char *name = json_string_value(label);
		if (!name)
			rc = ft_fail(FT_EFORMAT, "head: label %zu is not a string", i);
		else if (json_object_get(seen, name))
			rc = ft_fail(FT_EFORMAT, "head: the label '%s' stands twice", name);
		else if (json_object_set_new(seen, name, json_true()) < 0)
			rc = ft_fail(FT_EFAIL, "out of memory for labels");
		if (rc < 0)
			break;
	}
	json_decref(seen);
	return rc;
}

int head_find(struct ft_model *m)
{
	const json_t *head = json_object_get(m->meta, "head");
	int err = 0;
	const char *type = ft_json_str(head, "type", head_none.name, &err);
	m->labels = json_object_get(head, "labels");
	int64_t outputs = ft_json_int(head, "outputs", (int64_t)json_array_size(m->labels), &err);
	if (err)
		return ft_context(err, "%s: head", m->name);
	m->head = NULL;
	for (size_t i = 0; i < HEADS; i++)
		if (strcmp(heads[i]->name, type) == 0)
			m->head = heads[i];
	if (!m->head)
		return ft_fail(FT_EFORMAT, "%s: a head of type '%s' is not known", m->name, type);
	bool sequence = m->head->task != FT_TASK_NONE && !ft_task_of_words(m->head->task) && m->head->task != FT_TASK_EMBED;
	if (sequence && (outputs < 1 || outputs > 1 << 20))
		return ft_fail(FT_EFORMAT, "%s: head: %lld outputs", m->name, (long long)outputs);
	if (m->labels && (int64_t)json_array_size(m->labels) != outputs)
		return ft_fail(FT_EFORMAT, "%s: head: %zu labels for %lld outputs", m->name, json_array_size(m->labels),
		               (long long)outputs);
	m->outputs = sequence ? (size_t)outputs : 0;
	return check_labels(m->labels);
}

/* ---- what the data must agree with ---- */
static int differ(struct ft_reader *data, const struct ft_model *m, const char *what, const char *a, const char *b)
{
	return ft_fail(FT_EMATCH, "%s was made with %s %s, %s has %s", ft_reader_name(data), what, a ? a : "(none)",
	               m->name, b ? b : "(none)");
}

static int match_labels(const struct ft_model *m, struct ft_reader *data, const json_t *labels)
{
	if (!labels || !m->labels || json_equal(labels, m->labels))
		return FT_OK;
	char *a = ft_json_text(labels), *b = ft_json_text(m->labels);
	int rc = a && b ? differ(data, m, "the labels", a, b) : FT_EFAIL;
	free(a);
	free(b);
	return rc;
}

/* The digest of a thing that both may name. */
static int match_digest(const struct ft_model *m, struct ft_reader *data, const char *key, const char *what)
{
	const char *theirs = json_string_value(json_object_get(json_object_get(ft_reader_meta(data), key), "digest"));
	const char *ours = json_string_value(json_object_get(json_object_get(m->meta, key), "digest"));
	return theirs && ours && strcmp(theirs, ours) != 0 ? differ(data, m, what, theirs, ours) : FT_OK;
}

int ft_model_match(const struct ft_model *m, struct ft_reader *data)
{
	const json_t *meta = ft_reader_meta(data);
	int rc = match_digest(m, data, "tokenizer", "the tokenizer");
	if (rc == FT_OK)
		rc = match_digest(m, data, "template", "the chat template");
	if (rc < 0)
		return rc;
	const char *task = json_string_value(json_object_get(meta, "task"));
	if (task && strcmp(task, "none") != 0 && strcmp(task, m->head->name) != 0)
		return differ(data, m, "the task", task, m->head->name);
	rc = match_labels(m, data, json_object_get(meta, "labels"));
	if (rc < 0)
		return rc;
	const json_t *outputs = json_object_get(meta, "outputs");
	if (json_is_integer(outputs) && m->outputs && (size_t)json_integer_value(outputs) != m->outputs)
		return ft_fail(FT_EMATCH, "%s has %lld targets a row, %s has %zu outputs", ft_reader_name(data),
		               (long long)json_integer_value(outputs), m->name, m->outputs);
	return FT_OK;
}

/* choose.c - which task and labels data is for: what the model says, and options. */
#include "ft/err.h"
#include "priv.h"

static int fail_differs(const struct ft_model *m, const char *option, const char *value)
{
	return ft_fail(FT_EMATCH, "--%s %s: %s says otherwise; leave the option out, or make another plan", option,
	               value, ft_model_name(m));
}

bool ft_task_has_names(enum ft_task t)
{
	return t == FT_TASK_CLASSIFY || t == FT_TASK_MULTILABEL || t == FT_TASK_TAG;
}

int ft_task_choose(const struct ft_model *m, const char *task, const char *labels)
{
	enum ft_task own = ft_model_task(m);
	bool free_choice = !ft_model_reader(m) || own == FT_TASK_NONE;
	int t = task ? ft_task_parse(task) : (int)own;
	if (t < 0)
		return ft_fail(FT_EUSAGE, "--task: '%s' is not a task", task);
	if (task && !free_choice && (enum ft_task)t != own)
		return fail_differs(m, "task", task);
	if (!task && labels && free_choice && !ft_task_has_names(own))
		t = FT_TASK_CLASSIFY;
	if (labels && !ft_task_has_names((enum ft_task)t))
		return ft_fail(FT_EUSAGE, "--labels: labels of the task %s have no names",
		               ft_task_name((enum ft_task)t));
	return t;
}

/* Names that are numbers. */
static json_t *number_names(size_t n)
{
	json_t *names = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(names, json_sprintf("%zu", i));
	if (json_array_size(names) == n)
		return names;
	json_decref(names);
	return ft_fail(FT_EFAIL, "out of memory for labels"), NULL;
}

json_t *ft_names_choose(const struct ft_model *m, enum ft_task task, const char *labels)
{
	json_t *own = json_object_get(json_object_get(ft_model_meta(m), "head"), "labels");
	size_t n = ft_model_task(m) == task ? ft_model_outputs(m) : 0;
	if (!labels && json_is_array(own))
		return json_incref(own);
	if (!labels && n)
		return number_names(n);
	if (!labels)
		return ft_fail(FT_EUSAGE, "--labels is needed: %s names no classes", ft_model_name(m)), NULL;
	json_t *names = ft_label_list("labels", labels);
	if (!names || !ft_model_reader(m) || !own || json_equal(own, names))
		return names;
	json_decref(names);
	return fail_differs(m, "labels", labels), NULL;
}

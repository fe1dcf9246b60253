/* criteria.c - bounds that a script sets for metrics: "macro.f1=0.8". */
#include "ft/cli.h"
#include "ft/err.h"
#include "priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Splits "macro.f1=0.8"; *name is from malloc, NULL on failure. */
static int parse_criterion(const char *option, const char *text, char **name, double *bound)
{
	const char *equals = strrchr(text, '=');
	char *end = NULL;
	*name = NULL;
	*bound = equals ? strtod(equals + 1, &end) : NAN;
	if (!equals || equals == text || end == equals + 1 || *end || !isfinite(*bound))
		return ft_fail(FT_EUSAGE, "--%s: '%s' is not METRIC=NUMBER, such as accuracy=0.8", option, text);
	*name = ft_strndup(text, (size_t)(equals - text));
	return *name ? FT_OK : FT_EFAIL;
}

/* "classes.LABEL.f1" for one of the classes that results have. */
static bool is_class_metric(const char *name, const json_t *classes)
{
	static const char *const of[] = { ".precision", ".recall", ".f1" };
	size_t i;
	json_t *label;
	if (strncmp(name, "classes.", 8) != 0)
		return false;
	json_array_foreach((json_t *)classes, i, label)
	{
		size_t n = json_string_length(label);
		if (strncmp(name + 8, json_string_value(label), n) != 0)
			continue;
		for (size_t k = 0; k < sizeof of / sizeof of[0]; k++)
			if (strcmp(name + 8 + n, of[k]) == 0)
				return true;
	}
	return false;
}

int ft_criteria_check(const char *option, const struct ft_list *list, enum ft_task task, const json_t *classes)
{
	const struct ft_metric_info *info;
	for (size_t i = 0; i < list->count; i++) {
		char *name;
		double bound;
		int rc = parse_criterion(option, list->item[i], &name, &bound);
		if (rc < 0)
			return rc;
		bool known = is_class_metric(name, classes);
		for (size_t k = 0; (info = ft_metric_info(k)) && !known; k++)
			known = strcmp(info->name, name) == 0 && info->tasks & 1u << task;
		if (!known)
			rc = ft_fail(FT_EUSAGE, "--%s: '%s' is no metric of %s; --metrics lists them", option, name,
			             metric_task_name(task));
		free(name);
		if (rc < 0)
			return rc;
	}
	return FT_OK;
}

/* Appends what is not met to `why`. */
static int judge(const char *option, const struct ft_list *list, const json_t *result, struct ft_buf *why)
{
	bool below = strcmp(option, "fail-below") == 0;
	for (size_t i = 0; i < list->count; i++) {
		char *name;
		double bound, v;
		int rc = parse_criterion(option, list->item[i], &name, &bound);
		if (rc == FT_OK)
			rc = ft_metric_lookup(result, name, &v);
		if (rc == FT_OK && isnan(v)) /* meets nothing */
			rc = ft_buf_printf(why, "%s%s is undefined", why->len ? "; " : "", name);
		else if (rc == FT_OK && (below ? v < bound : v > bound))
			rc = ft_buf_printf(why, "%s%s is %.6g, %s %.6g", why->len ? "; " : "", name, v,
			                   below ? "below" : "above", bound);
		free(name);
		if (rc < 0)
			return rc;
	}
	return FT_OK;
}

int ft_criteria_judge(const json_t *result, const struct ft_list *below, const struct ft_list *above)
{
	struct ft_buf why = { 0 };
	int rc = judge("fail-below", below, result, &why);
	if (rc == FT_OK)
		rc = judge("fail-above", above, result, &why);
	if (rc == FT_OK && why.len)
		rc = ft_fail(FT_ECRITERION, "%.*s", (int)why.len, (char *)why.data);
	ft_buf_free(&why);
	return rc;
}

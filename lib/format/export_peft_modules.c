/* export_peft_modules.c - how PEFT is told which modules are meant. */
#include "export_peft.h"
#include "ft/err.h"
#include "ft/mem.h"

#include <stdlib.h>
#include <string.h>

char *peft_module(const struct ft_param *p)
{
	const char *dot = strrchr(p->file, '.');
	return ft_strndup(p->file, dot ? (size_t)(dot - p->file) : strlen(p->file));
}

static bool ends_with(const char *module, const char *end, bool loose)
{
	size_t n = strlen(module), k = strlen(end);
	return n >= k && strcmp(module + n - k, end) == 0 && (loose || n == k || module[n - k - 1] == '.');
}

/* Its last n components. */
static const char *last_components(const char *module, int n)
{
	const char *at = module + strlen(module);
	for (; at > module; at--)
		if (at[-1] == '.' && --n == 0)
			break;
	return at;
}

static bool is_one(char *const *modules, size_t n, const char *module)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(modules[i], module) == 0)
			return true;
	return false;
}

/* Whether PEFT would take the end of a name for nothing but these modules: 1, 0, <0. */
static int says_only(const struct ft_model *m, char *const *modules, size_t n, const char *end, bool loose)
{
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		char *module = peft_module(p);
		bool other = module && !p->technique && ends_with(module, end, loose) && !is_one(modules, n, module);
		free(module);
		if (!module || other)
			return module ? 0 : FT_EFAIL;
	}
	return 1;
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A list of names, each once, sorted. */
static json_t *sorted_list(const char **names, size_t n)
{
	json_t *list = json_array();
	if (n)
		qsort(names, n, sizeof *names, compare_text);
	for (size_t i = 0; i < n; i++)
		if ((i == 0 || strcmp(names[i - 1], names[i]) != 0) && json_array_append_new(list, json_string(names[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

json_t *peft_targets(const struct ft_model *m, char *const *modules, size_t n, bool loose)
{
	const char **ends = ft_alloc(n, sizeof *ends);
	int rc = ends ? FT_OK : FT_EFAIL;
	for (size_t i = 0; i < n && rc >= 0; i++) {
		int parts = 0;
		do {
			ends[i] = last_components(modules[i], ++parts);
			rc = ends[i] == modules[i] ? 1 : says_only(m, modules, n, ends[i], loose);
		} while (rc == 0);
	}
	json_t *list = rc >= 0 ? sorted_list(ends, n) : NULL;
	free(ends);
	return list;
}

bool peft_turned(const struct ft_model *m, char *const *modules, size_t n)
{
	bool turned = false;
	for (size_t i = 0; i < ft_model_params(m) && !turned; i++) {
		const struct ft_param *p = ft_model_param(m, i);
		char *module = p->turned && !p->technique ? peft_module(p) : NULL;
		turned = module && is_one(modules, n, module);
		free(module);
	}
	return turned;
}

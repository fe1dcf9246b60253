/* formats.c - the formats to export to, by name. */
#include "ft/err.h"
#include "ft/mem.h"
#include "ft/model.h"
#include "priv.h"

#include <string.h>

static const struct ft_format *const formats[] = {
#define X(name) &format_##name,
#include "formats.def"
#undef X
};

const struct ft_format *ft_format_find(const char *name)
{
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
		if (!strcmp(formats[i]->name, name))
			return formats[i];
	struct ft_buf known = { 0 };
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < sizeof formats / sizeof *formats; i++)
		rc = ft_buf_printf(&known, " %s", formats[i]->name);
	if (rc == FT_OK)
		ft_fail(FT_EUSAGE, "--to: '%s' is not a format to export to; there is:%.*s", name, (int)known.len, known.data);
	ft_buf_free(&known);
	return NULL;
}

int ft_format_check(const struct ft_format *f, const struct ft_model *m)
{
	if (f->words || !json_object_get(ft_model_meta(m), "tokens"))
		return FT_OK;
	return ft_fail(FT_EUSAGE, "%s: tokens were added to its vocabulary, which only --to %s and --to %s can say",
	               ft_model_name(m), format_hf.name, format_peft.name);
}

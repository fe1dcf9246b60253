/* formats.c - the formats to export to, by name. */
#include "ft/err.h"
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
	ft_fail(FT_EUSAGE, "--to: '%s' is not a format to export to; there is:"
#define X(format) " " #format
#include "formats.def"
#undef X
	        ,
	        name);
	return NULL;
}
